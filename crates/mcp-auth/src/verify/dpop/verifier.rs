//! Verifies the DPoP proof of a request.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::HeaderValue;
use http::request::Parts;

use crate::model::credentials::Credentials;
use crate::model::denial::Denial;
use crate::model::error_codes::BadProof;
use crate::model::verified_token::VerifiedToken;
use crate::util::unix_time::unix_secs;
use crate::verify::dpop::htu::HtuMatcher;
use crate::verify::dpop::nonces::Nonces;
use crate::verify::dpop::proof::{Claims, Proof, ath};
use crate::verify::dpop::replay_cache::{
    NewProof, ProofId, ReplayCache, ReplayCheck, ReplayQuotaKey,
};
use crate::verify::jwt::{Algorithm, EmbeddedKeyCache};

/// The algorithms that proofs may use, the most common first. ML-DSA keys do not fit into every header.
const ALGORITHMS: [Algorithm; 10] = [
    Algorithm::Es256,
    Algorithm::Ed25519,
    Algorithm::Es384,
    Algorithm::Es512,
    Algorithm::Ps256,
    Algorithm::Ps384,
    Algorithm::Ps512,
    Algorithm::Rs256,
    Algorithm::Rs384,
    Algorithm::Rs512,
];

/// How old a proof may be, in addition to the leeway. A proof is made for one request and sent at once.
const MAX_PROOF_AGE: Duration = Duration::from_secs(60);

/// The limit for `iat`, whatever the leeway: "MUST be within ±5 minutes" (MCP, DPoP extension).
const MAX_IAT_SKEW: Duration = Duration::from_secs(5 * 60);

/// When a client should retry if a proof could not be stored. Some stored proofs will have expired by then.
const RETRY_AFTER: Duration = Duration::from_secs(30);

/// The published names of the algorithms. `EdDSA` is the older name of Ed25519.
pub(crate) fn algorithm_names() -> impl Iterator<Item = &'static str> {
    ALGORITHMS.iter().map(|algorithm| algorithm.name()).chain(["EdDSA"])
}

/// Verifies the proofs of one resource.
pub(crate) struct DpopVerifier {
    resource: Box<str>,
    /// One for each public name of the resource.
    htus: Vec<HtuMatcher>,
    max_age: u64,
    max_ahead: u64,
    nonces: Option<Nonces>,
    keys: EmbeddedKeyCache,
    replays: Arc<ReplayCache>,
}

impl DpopVerifier {
    /// Returns `None` if one of the names of the resource is not a URL.
    pub(crate) fn new(
        names: &[String],
        leeway: Duration,
        nonces: Option<Nonces>,
        replays: Arc<ReplayCache>,
    ) -> Option<Self> {
        Some(Self {
            resource: names.first().map_or("", String::as_str).into(),
            htus: names.iter().map(|name| HtuMatcher::new(name)).collect::<Option<_>>()?,
            max_age: (MAX_PROOF_AGE + leeway).min(MAX_IAT_SKEW).as_secs(),
            max_ahead: leeway.min(MAX_IAT_SKEW).as_secs(),
            nonces,
            keys: EmbeddedKeyCache::default(),
            replays,
        })
    }

    /// The proofs that were accepted.
    pub(crate) fn replays(&self) -> &Arc<ReplayCache> {
        &self.replays
    }

    /// The nonce that the next proof must have. Returns `None` if nonces are not required.
    pub(crate) fn nonce(&self, now: SystemTime) -> Option<HeaderValue> {
        self.nonces.as_ref().and_then(|nonces| nonces.current(unix_secs(now)))
    }

    /// Verifies that the proof sent with the token was made by the key with this thumbprint, for this request, at
    /// this time, and is seen for the first time. The cheapest checks come first. Returns how other processes know the proof,
    /// if it `is_shared` with them.
    pub(crate) fn verify(
        &self,
        token: &VerifiedToken,
        credentials: &Credentials,
        thumbprint: &[u8; 32],
        parts: &Parts,
        now: SystemTime,
        is_shared: bool,
    ) -> Result<Option<NewProof>, Denial> {
        let now = unix_secs(now);
        let text = credentials.proof().ok_or_else(|| Denial::bad_proof(BadProof::Missing))?;
        let proof = Proof::parse(text, &ALGORITHMS).map_err(Denial::bad_proof)?;
        let claims = proof.claims().map_err(Denial::bad_proof)?;
        let until = claims.issued_at.saturating_add(self.max_age);
        let ath = match &token.data().ath {
            Some(known) => Cow::Borrowed(&**known),
            None => Cow::Owned(ath(credentials.token().as_bytes())),
        };
        self.check(&proof, &claims, thumbprint, &ath, parts, (now, until))
            .map_err(|why| self.refuse(why, &claims, now))?;
        // Only the holder of the key of a verified token gets here: an unauthenticated client cannot fill the cache.
        match self.replays.check_and_insert(ReplayQuotaKey::of(token), thumbprint, &claims.id, until, now) {
            ReplayCheck::New => Ok(is_shared.then(|| NewProof {
                id: ProofId::of(&self.resource, thumbprint, &claims.id),
                until,
            })),
            ReplayCheck::Replayed => Err(Denial::bad_proof(BadProof::Replayed)),
            ReplayCheck::Unknown => Err(Denial::unavailable(RETRY_AFTER).detail(
                "the clock of this server was ahead and went back, and proofs of the time between were forgotten: new ones are accepted when the clock has passed it",
            )),
            ReplayCheck::Full => Err(Denial::unavailable(RETRY_AFTER).detail(
                "the replay cache of DPoP proofs is full: raise `.replay_cache_capacity(..)`, or look for a client that sends too much",
            )),
        }
    }

    #[cold]
    fn refuse(&self, why: BadProof, claims: &Claims<'_>, now: u64) -> Denial {
        let denial = Denial::bad_proof(why);
        if why != BadProof::Time {
            return denial;
        }
        let (age, ahead) =
            (now.checked_sub(claims.issued_at), claims.issued_at.saturating_sub(now));
        let found = age.map_or(format!("{ahead} s in the future"), |age| format!("{age} s old"));
        denial.detail(format!(
            "the DPoP proof is {found} by its `iat`, and may be {} s old or {} s in the future: compare the clocks of this machine and of the client",
            self.max_age, self.max_ahead,
        ))
    }

    fn check(
        &self,
        proof: &Proof<'_>,
        claims: &Claims<'_>,
        thumbprint: &[u8; 32],
        ath: &str,
        parts: &Parts,
        (now, until): (u64, u64),
    ) -> Result<(), BadProof> {
        if claims.method != parts.method.as_str() {
            return Err(BadProof::Method);
        }
        if !self.htus.iter().any(|htu| htu.matches(&claims.url, parts)) {
            return Err(BadProof::Url);
        }
        if until < now || claims.issued_at > now.saturating_add(self.max_ahead) {
            return Err(BadProof::Time);
        }
        if claims.ath != ath {
            return Err(BadProof::AthMismatch);
        }
        let key = self.keys.key_of(&proof.jws).ok_or(BadProof::Key)?;
        if key.thumbprint != *thumbprint {
            return Err(BadProof::KeyMismatch);
        }
        if let Some(nonces) = &self.nonces {
            let nonce = claims.nonce.as_deref();
            nonce.filter(|nonce| nonces.is_valid(nonce, now)).ok_or(BadProof::Nonce)?;
        }
        if !key.has_signed(&proof.jws).map_err(|_| BadProof::Key)? {
            return Err(BadProof::Signature);
        }
        self.keys.insert(key, &proof.jws);
        Ok(())
    }
}

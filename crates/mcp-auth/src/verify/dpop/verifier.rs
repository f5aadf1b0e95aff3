//! Verifies the DPoP proof of a request.

use std::borrow::Cow;
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
use crate::verify::dpop::proof::{Claims, Proof, digest};
use crate::verify::dpop::replay_cache::{ReplayCache, ReplayCheck, ReplayQuotaKey};
use crate::verify::jwt::{Algorithm, EmbeddedKeys};

/// The algorithms of proofs, the most usual first. ML-DSA keys would not fit into every header.
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

/// How old a proof may be, besides the leeway: it is made for one request and sent at once.
const LIFETIME: Duration = Duration::from_secs(60);

/// "MUST be within ±5 minutes" (MCP, DPoP extension), whatever the leeway.
const LONGEST_WINDOW: Duration = Duration::from_secs(5 * 60);

/// When to ask a second time where there was no place to remember a proof: some will be forgotten by then.
const RETRY: Duration = Duration::from_secs(30);

/// The names of the algorithms, as they are published. `EdDSA` is the older name of Ed25519.
pub(crate) fn algorithm_names() -> impl Iterator<Item = &'static str> {
    ALGORITHMS.iter().map(|algorithm| algorithm.name()).chain(["EdDSA"])
}

/// Judges the proofs of one resource.
pub(crate) struct DpopVerifier {
    endpoint: HtuMatcher,
    past: u64,
    future: u64,
    nonces: Option<Nonces>,
    keys: EmbeddedKeys,
    replays: ReplayCache,
}

impl DpopVerifier {
    /// Nothing if `resource` is no URL.
    pub(crate) fn new(
        resource: &str,
        leeway: Duration,
        nonces: Option<Nonces>,
        cache: usize,
    ) -> Option<Self> {
        Some(Self {
            endpoint: HtuMatcher::new(resource)?,
            past: (LIFETIME + leeway).min(LONGEST_WINDOW).as_secs(),
            future: leeway.min(LONGEST_WINDOW).as_secs(),
            nonces,
            keys: EmbeddedKeys::default(),
            replays: ReplayCache::new(cache),
        })
    }

    /// The nonce that the next proof must have, if nonces are demanded.
    pub(crate) fn nonce(&self, now: SystemTime) -> Option<HeaderValue> {
        self.nonces.as_ref().and_then(|nonces| nonces.current(unix_secs(now)))
    }

    /// Whether the proof that came with the token was made by the key with this thumbprint, for this
    /// request and now, and comes for the first time. Whatever costs least is asked first.
    pub(crate) fn verify(
        &self,
        token: &VerifiedToken,
        credentials: &Credentials,
        thumbprint: &[u8; 32],
        parts: &Parts,
        now: SystemTime,
    ) -> Result<(), Denial> {
        let now = unix_secs(now);
        let text = credentials.proof().ok_or_else(|| Denial::bad_proof(BadProof::Missing))?;
        let proof = Proof::parse(text, &ALGORITHMS).map_err(Denial::bad_proof)?;
        let claims = proof.claims().map_err(Denial::bad_proof)?;
        let until = claims.issued_at.saturating_add(self.past);
        let digest = match &token.data().digest {
            Some(known) => Cow::Borrowed(&**known),
            None => Cow::Owned(digest(credentials.token().as_bytes())),
        };
        self.check(&proof, &claims, thumbprint, &digest, parts, (now, until))
            .map_err(Denial::bad_proof)?;
        // Only the holder of the key of a true token comes here: strangers cannot fill the memory.
        match self.replays.check_and_insert(ReplayQuotaKey::of(token), thumbprint, &claims.id, until, now) {
            ReplayCheck::New => Ok(()),
            ReplayCheck::Replayed => Err(Denial::bad_proof(BadProof::Replayed)),
            ReplayCheck::Evicted => Err(Denial::unavailable(RETRY).detail(
                "the clock of this server was ahead and went back, and proofs of the time between were forgotten: new ones are accepted when the clock has passed it",
            )),
            ReplayCheck::Full => Err(Denial::unavailable(RETRY).detail(
                "there is no place left to remember DPoP proofs: raise `.remembered_proofs(..)`, or look for a client that sends too much",
            )),
        }
    }

    fn check(
        &self,
        proof: &Proof<'_>,
        claims: &Claims<'_>,
        thumbprint: &[u8; 32],
        token_digest: &str,
        parts: &Parts,
        (now, until): (u64, u64),
    ) -> Result<(), BadProof> {
        if claims.method != parts.method.as_str() {
            return Err(BadProof::Method);
        }
        if !self.endpoint.matches(&claims.url, parts) {
            return Err(BadProof::Url);
        }
        if until < now || claims.issued_at > now.saturating_add(self.future) {
            return Err(BadProof::Time);
        }
        if claims.token_digest != token_digest {
            return Err(BadProof::AthMismatch);
        }
        let key = self.keys.key_of(&proof.jws).ok_or(BadProof::Key)?;
        if key.thumbprint != *thumbprint {
            return Err(BadProof::KeyMismatch);
        }
        if let Some(nonces) = &self.nonces {
            let nonce = claims.nonce.as_deref();
            nonce.filter(|nonce| nonces.accept(nonce, now)).ok_or(BadProof::Nonce)?;
        }
        if !key.has_signed(&proof.jws).map_err(|_| BadProof::Key)? {
            return Err(BadProof::Signature);
        }
        self.keys.keep(key, &proof.jws);
        Ok(())
    }
}

//! Proofs that the sender of a token holds its key ([RFC 9449](https://www.rfc-editor.org/rfc/rfc9449)).

mod endpoint;
mod nonces;
mod proof;
mod replays;

use std::borrow::Cow;
use std::time::{Duration, SystemTime};

use http::HeaderValue;
use http::request::Parts;

use crate::model::credentials::Credentials;
use crate::model::denial::{BadProof, Denial};
use crate::model::token::{VerifiedToken, seconds};
use crate::verify::jwt::{Algorithm, EmbeddedKeys};

use endpoint::Endpoint;
pub(crate) use endpoint::RequestedUri;
pub(crate) use nonces::Nonces;
pub(crate) use proof::digest;
use proof::{Claims, Proof};
use replays::{Owner, Replays, Seen};

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

/// How tokens that are bound to a key (DPoP) are dealt with. For [`McpAuthBuilder::dpop`](crate::McpAuthBuilder::dpop).
///
/// ```
/// use mcp_auth::{Dpop, McpAuth};
///
/// let auth = McpAuth::builder("https://api.example.com/mcp")
///     .authorization_server("https://auth.example.com")
///     .dpop(Dpop::required().nonces())
///     .build()?;
/// assert!(auth.metadata_json().contains(r#""dpop_bound_access_tokens_required":true"#));
/// # Ok::<(), mcp_auth::ConfigError>(())
/// ```
#[derive(Clone)]
#[must_use]
pub struct Dpop {
    pub(crate) is_required: bool,
    pub(crate) nonces: NonceKeys,
    pub(crate) remembered_proofs: usize,
}

/// The keys under which nonces are made, if they are demanded.
#[derive(Clone)]
pub(crate) enum NonceKeys {
    Given(Vec<Box<[u8]>>),
    NoNonces,
    Random,
}

impl Dpop {
    /// Offers DPoP beside Bearer: in challenges, after Bearer, and in the metadata.
    pub fn optional() -> Self {
        Self { is_required: false, nonces: NonceKeys::NoNonces, remembered_proofs: 400_000 }
    }

    /// Refuses tokens that are not bound to a key, and offers nothing but DPoP. Clients that cannot do it
    /// are locked out, and these are most.
    pub fn required() -> Self {
        Self { is_required: true, ..Self::optional() }
    }

    /// Demands a nonce of this server in each proof
    /// ([RFC 9449 §9](https://www.rfc-editor.org/rfc/rfc9449#section-9)), so that proofs cannot be made in
    /// advance. Nothing is kept for it; a random key, which ends with the process, says which nonces are ours.
    pub fn nonces(mut self) -> Self {
        self.nonces = NonceKeys::Random;
        self
    }

    /// The same, with secrets of at least 32 random bytes each instead of a random key: several processes
    /// that serve one resource must know each other's nonces. The first makes nonces, all are accepted.
    pub fn nonce_keys<K: AsRef<[u8]>>(mut self, keys: impl IntoIterator<Item = K>) -> Self {
        let keys = keys.into_iter().map(|key| key.as_ref().into());
        self.nonces = NonceKeys::Given(keys.collect());
        self
    }

    /// How many proofs are remembered, so that none is used twice. 400,000 unless set, which are 11 MB if
    /// they are reached and enough for 3,300 requests a second; beyond it, requests with proofs are answered
    /// with 503. One subject of an issuer has a quarter of it at most, with however many keys.
    pub fn remembered_proofs(mut self, number: usize) -> Self {
        self.remembered_proofs = number;
        self
    }
}

/// The names of the algorithms, as they are published. `EdDSA` is the older name of Ed25519.
pub(crate) fn algorithm_names() -> impl Iterator<Item = &'static str> {
    ALGORITHMS.iter().map(|algorithm| algorithm.name()).chain(["EdDSA"])
}

/// Judges the proofs of one resource.
pub(crate) struct Proofs {
    endpoint: Endpoint,
    past: u64,
    future: u64,
    nonces: Option<Nonces>,
    keys: EmbeddedKeys,
    replays: Replays,
}

impl Proofs {
    /// Nothing if `resource` is no URL.
    pub(crate) fn new(
        resource: &str,
        leeway: Duration,
        nonces: Option<Nonces>,
        remembered: usize,
    ) -> Option<Self> {
        Some(Self {
            endpoint: Endpoint::new(resource)?,
            past: (LIFETIME + leeway).min(LONGEST_WINDOW).as_secs(),
            future: leeway.min(LONGEST_WINDOW).as_secs(),
            nonces,
            keys: EmbeddedKeys::default(),
            replays: Replays::new(remembered),
        })
    }

    /// The nonce that the next proof must have, if nonces are demanded.
    pub(crate) fn nonce(&self, now: SystemTime) -> Option<HeaderValue> {
        self.nonces.as_ref().and_then(|nonces| nonces.current(seconds(now)))
    }

    /// Whether the proof that came with the token was made by the key with this thumbprint, for this
    /// request and now, and comes for the first time. Whatever costs least is asked first.
    pub(crate) fn confirm(
        &self,
        token: &VerifiedToken,
        credentials: &Credentials,
        thumbprint: &[u8; 32],
        parts: &Parts,
        now: SystemTime,
    ) -> Result<(), Denial> {
        let now = seconds(now);
        let text = credentials.proof().ok_or_else(|| Denial::bad_proof(BadProof::Missing))?;
        let proof = Proof::parse(text, &ALGORITHMS).map_err(Denial::bad_proof)?;
        let claims = proof.claims().map_err(Denial::bad_proof)?;
        let until = claims.issued_at.saturating_add(self.past);
        let digest = match &token.facts().digest {
            Some(known) => Cow::Borrowed(&**known),
            None => Cow::Owned(digest(credentials.token().as_bytes())),
        };
        self.judge(&proof, &claims, thumbprint, &digest, parts, (now, until))
            .map_err(Denial::bad_proof)?;
        // Only the holder of the key of a true token comes here: strangers cannot fill the memory.
        match self.replays.first_seen(Owner::of(token), thumbprint, &claims.id, until, now) {
            Seen::First => Ok(()),
            Seen::Again => Err(Denial::bad_proof(BadProof::Replayed)),
            Seen::Forgotten => Err(Denial::unavailable(RETRY).detail(
                "the clock of this server was ahead and went back, and proofs of the time between were forgotten: new ones are accepted when the clock has passed it",
            )),
            Seen::NoPlace => Err(Denial::unavailable(RETRY).detail(
                "there is no place left to remember DPoP proofs: raise `.remembered_proofs(..)`, or look for a client that sends too much",
            )),
        }
    }

    fn judge(
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
        if !self.endpoint.is_meant(&claims.url, parts) {
            return Err(BadProof::Url);
        }
        if until < now || claims.issued_at > now.saturating_add(self.future) {
            return Err(BadProof::Time);
        }
        if claims.token_digest != token_digest {
            return Err(BadProof::OtherToken);
        }
        let key = self.keys.key_of(&proof.jws).ok_or(BadProof::Key)?;
        if key.thumbprint != *thumbprint {
            return Err(BadProof::OtherKey);
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

//! How sender-constrained tokens with a key (DPoP) are treated: settings.

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

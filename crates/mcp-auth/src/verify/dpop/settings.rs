//! Settings for DPoP.

/// Settings for tokens that are bound to a key (DPoP). Passed to [`McpAuthBuilder::dpop`](crate::McpAuthBuilder::dpop).
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
    pub(crate) replay_cache_capacity: usize,
}

/// The keys that nonces are made with, if nonces are required.
#[derive(Clone)]
pub(crate) enum NonceKeys {
    Given(Vec<Box<[u8]>>),
    Disabled,
    Random,
}

impl Dpop {
    /// Offers DPoP in addition to Bearer: in challenges, after Bearer, and in the metadata.
    pub fn optional() -> Self {
        Self { is_required: false, nonces: NonceKeys::Disabled, replay_cache_capacity: 400_000 }
    }

    /// Refuses tokens that are not bound to a key, and offers only DPoP. Clients without DPoP support are locked
    /// out, and most clients have none.
    pub fn required() -> Self {
        Self { is_required: true, ..Self::optional() }
    }

    /// Requires a nonce of this server in each proof
    /// ([RFC 9449 §9](https://www.rfc-editor.org/rfc/rfc9449#section-9)), so that proofs cannot be made in
    /// advance.
    ///
    /// Nonces are not stored. They are verified with a random key, which is lost when the process ends.
    pub fn nonces(mut self) -> Self {
        self.nonces = NonceKeys::Random;
        self
    }

    /// Like [`nonces`](Self::nonces), but with the given secrets instead of a random key.
    ///
    /// Several processes that serve one resource need this, because they must accept each other's nonces. Each
    /// secret must have at least 32 random bytes. The first secret makes nonces. Nonces of all secrets are accepted.
    pub fn nonce_keys<K: AsRef<[u8]>>(mut self, keys: impl IntoIterator<Item = K>) -> Self {
        let keys = keys.into_iter().map(|key| key.as_ref().into());
        self.nonces = NonceKeys::Given(keys.collect());
        self
    }

    /// Sets how many proofs the replay cache holds, so that no proof is used twice. The default is 400,000.
    ///
    /// 400,000 proofs take 11 MB and are enough for 3,300 requests a second. When the cache is full, requests with
    /// proofs are answered with 503. One subject of an issuer, with however many keys, gets a third of what is free beside it: at most a quarter of all.
    pub fn replay_cache_capacity(mut self, number: usize) -> Self {
        self.replay_cache_capacity = number;
        self
    }
}

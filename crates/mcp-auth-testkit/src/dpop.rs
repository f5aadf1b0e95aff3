//! A client's DPoP key and its proofs, which are valid unless a test changes them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::UNIX_EPOCH;

use aws_lc_rs::digest;
use mcp_auth::Clock;
use serde_json::{Map, Value, json};

use crate::SigningAlgorithm;
use crate::key::{SigningKey, base64url};
use crate::time::seconds;

/// The key of a client that uses DPoP ([RFC 9449](https://www.rfc-editor.org/rfc/rfc9449)). Clones are
/// the same key.
///
/// ```
/// use mcp_auth_testkit::{DpopKey, TestIssuer};
///
/// let issuer = TestIssuer::new();
/// let key = DpopKey::generate(issuer.clone()); // proofs are issued at the issuer's time
/// let token = issuer.token().dpop_bound(&key).sign();
/// let proof = key.proof("POST", "https://api.example.com/mcp").token(&token).sign();
/// // Authorization: DPoP <token>
/// // DPoP: <proof>
/// ```
#[derive(Clone)]
pub struct DpopKey {
    key: Arc<SigningKey>,
    clock: Arc<dyn Clock>,
    proofs: Arc<AtomicU64>,
}

impl DpopKey {
    /// Generates an ES256 key. Its proofs are issued at the time of `clock`, for which a
    /// [`TestIssuer`](crate::TestIssuer) can be used.
    ///
    /// ```
    /// let key = mcp_auth_testkit::DpopKey::generate(mcp_auth::SystemClock);
    /// assert_eq!(key.thumbprint().len(), 43);
    /// ```
    #[must_use]
    pub fn generate(clock: impl Clock) -> Self {
        Self::generate_for(SigningAlgorithm::Es256, clock)
    }

    /// Generates a key for another algorithm than ES256.
    ///
    /// ```
    /// use mcp_auth_testkit::{DpopKey, SigningAlgorithm};
    ///
    /// let key = DpopKey::generate_for(SigningAlgorithm::Ed25519, mcp_auth::SystemClock);
    /// ```
    #[must_use]
    pub fn generate_for(algorithm: SigningAlgorithm, clock: impl Clock) -> Self {
        let key = SigningKey::generate(algorithm, "dpop".to_owned());
        Self { key: Arc::new(key), clock: Arc::new(clock), proofs: Arc::default() }
    }

    /// Returns the key's thumbprint, as in `cnf.jkt` ([RFC 7638](https://www.rfc-editor.org/rfc/rfc7638)).
    ///
    /// ```
    /// let key = mcp_auth_testkit::DpopKey::generate(mcp_auth::SystemClock);
    /// assert_eq!(key.thumbprint(), key.thumbprint());
    /// ```
    #[must_use]
    pub fn thumbprint(&self) -> String {
        // RFC 7638 requires the members sorted by name and without spaces, which is how this JWK is written.
        base64url(digest::digest(&digest::SHA256, self.jwk().to_string().as_bytes()).as_ref())
    }

    /// Returns the public key as a JWK ([RFC 7517](https://www.rfc-editor.org/rfc/rfc7517)).
    ///
    /// ```
    /// let key = mcp_auth_testkit::DpopKey::generate(mcp_auth::SystemClock);
    /// assert_eq!(key.jwk()["crv"], "P-256");
    /// ```
    #[must_use]
    pub fn jwk(&self) -> Value {
        self.key.public()
    }

    /// Starts a proof for a request with this method and URL
    /// ([RFC 9449 §4.2](https://www.rfc-editor.org/rfc/rfc9449#section-4.2)).
    ///
    /// ```
    /// let key = mcp_auth_testkit::DpopKey::generate(mcp_auth::SystemClock);
    /// let proof = key.proof("POST", "https://api.example.com/mcp").token("the access token").sign();
    /// ```
    pub fn proof(&self, method: &str, url: &str) -> ProofBuilder {
        let now = self.clock.now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let number = self.proofs.fetch_add(1, Ordering::Relaxed);
        let header =
            json!({ "alg": self.key.algorithm.name(), "typ": "dpop+jwt", "jwk": self.jwk() });
        let claims = json!({
            "jti": format!("proof-{number}"), "htm": method, "htu": url, "iat": seconds(now),
        });
        ProofBuilder {
            key: self.key.clone(),
            header: object(header),
            claims: object(claims),
            payload: None,
        }
    }
}

impl std::fmt::Debug for DpopKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DpopKey").field("thumbprint", &self.thumbprint()).finish_non_exhaustive()
    }
}

/// Builds a DPoP proof. By default it has everything that
/// [RFC 9449 §4.2](https://www.rfc-editor.org/rfc/rfc9449#section-4.2) requires.
///
/// ```
/// use mcp_auth_testkit::{DpopKey, TestIssuer};
///
/// let issuer = TestIssuer::new();
/// let key = DpopKey::generate(issuer.clone());
/// let proof = || key.proof("POST", "https://api.example.com/mcp").token("the access token");
/// let of_an_hour_ago = proof().claim("iat", 1_785_193_200).sign();
/// let with_a_nonce = proof().claim("nonce", "from the server").sign();
/// let of_no_type = proof().without_header("typ").sign();
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct ProofBuilder {
    key: Arc<SigningKey>,
    header: Map<String, Value>,
    claims: Map<String, Value>,
    payload: Option<String>,
}

impl ProofBuilder {
    /// Sets `ath` to the hash of this access token.
    ///
    /// ```
    /// # let key = mcp_auth_testkit::DpopKey::generate(mcp_auth::SystemClock);
    /// let proof = key.proof("GET", "https://api.example.com/mcp").token("the access token").sign();
    /// ```
    pub fn token(self, access_token: &str) -> Self {
        let digest = digest::digest(&digest::SHA256, access_token.as_bytes());
        self.claim("ath", base64url(digest.as_ref()))
    }

    /// Sets a claim to any JSON value.
    ///
    /// ```
    /// # let key = mcp_auth_testkit::DpopKey::generate(mcp_auth::SystemClock);
    /// let proof = key.proof("GET", "https://api.example.com/mcp").claim("jti", "again").sign();
    /// ```
    pub fn claim(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.claims.insert(name.into(), value.into());
        self
    }

    /// Removes a claim.
    ///
    /// ```
    /// # let key = mcp_auth_testkit::DpopKey::generate(mcp_auth::SystemClock);
    /// let proof = key.proof("GET", "https://api.example.com/mcp").without("jti").sign();
    /// ```
    pub fn without(mut self, name: &str) -> Self {
        self.claims.remove(name);
        self
    }

    /// Sets a header parameter to any JSON value. The proof is signed with the same key, whatever `alg` says.
    ///
    /// ```
    /// # let key = mcp_auth_testkit::DpopKey::generate(mcp_auth::SystemClock);
    /// let proof = key.proof("GET", "https://api.example.com/mcp").header("alg", "none").sign();
    /// ```
    pub fn header(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.header.insert(name.into(), value.into());
        self
    }

    /// Removes a header parameter.
    ///
    /// ```
    /// # let key = mcp_auth_testkit::DpopKey::generate(mcp_auth::SystemClock);
    /// let proof = key.proof("GET", "https://api.example.com/mcp").without_header("jwk").sign();
    /// ```
    pub fn without_header(mut self, name: &str) -> Self {
        self.header.remove(name);
        self
    }

    /// Replaces the claims by this text, which need not be JSON.
    ///
    /// ```
    /// # let key = mcp_auth_testkit::DpopKey::generate(mcp_auth::SystemClock);
    /// let proof = key.proof("GET", "https://api.example.com/mcp").payload("[]").sign();
    /// ```
    pub fn payload(mut self, text: impl Into<String>) -> Self {
        self.payload = Some(text.into());
        self
    }

    /// Signs the proof and returns the value of the `DPoP` header.
    ///
    /// ```
    /// # let key = mcp_auth_testkit::DpopKey::generate(mcp_auth::SystemClock);
    /// assert_eq!(key.proof("GET", "https://api.example.com/mcp").sign().split('.').count(), 3);
    /// ```
    #[must_use]
    pub fn sign(self) -> String {
        let claims = Value::Object(self.claims);
        let payload = self.payload.unwrap_or_else(|| claims.to_string());
        self.key.jws(self.header, &payload)
    }
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(members) => members,
        _ => Map::new(),
    }
}

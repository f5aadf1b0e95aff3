//! Access tokens, which are valid unless a test changes them.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use aws_lc_rs::{digest, hmac};
use serde_json::{Map, Value, json};

use crate::key::{SigningKey, base64url, unguessable};
use crate::time::seconds;
use crate::{DpopKey, SigningAlgorithm, TestIssuer};

/// Builds an access token. By default it has everything that
/// [RFC 9068 §2](https://www.rfc-editor.org/rfc/rfc9068#section-2) requires.
///
/// The default subject is `alice`, and the default client `test-client`. The default audience is the
/// [resource](TestIssuer::resource) that was added to the issuer last, or `https://api.example.com/mcp`
/// if there is none. The token expires in 300 seconds.
///
/// ```
/// use mcp_auth_testkit::TestIssuer;
///
/// let issuer = TestIssuer::new();
/// let token = issuer.token().subject("bob").scopes(["read", "write"]).sign();
/// let expired = issuer.token().expired().sign();
/// let of_no_type = issuer.token().without_header("typ").sign();
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct TokenBuilder {
    issuer: TestIssuer,
    key: Arc<SigningKey>,
    header: Map<String, Value>,
    claims: Map<String, Value>,
    payload: Option<String>,
}

impl TokenBuilder {
    pub(crate) fn new(issuer: TestIssuer) -> Self {
        let (key, audience) = {
            let state = issuer.state();
            (Arc::clone(state.keys.active()), state.default_audience())
        };
        let number = issuer.0.token_numbers.fetch_add(1, Ordering::Relaxed);
        let now = issuer.0.settings.time.unix();
        let claims = object([
            ("iss", json!(issuer.url())),
            ("sub", json!("alice")),
            ("aud", json!(audience)),
            ("client_id", json!("test-client")),
            ("iat", json!(now)),
            ("exp", json!(now + 300)),
            ("jti", json!(format!("token-{number}"))),
        ]);
        Self {
            header: object([
                ("alg", json!(key.algorithm.name())),
                ("typ", json!("at+jwt")),
                ("kid", json!(key.kid)),
            ]),
            issuer,
            key,
            claims,
            payload: None,
        }
    }

    /// Sets `sub`.
    ///
    /// ```
    /// # let issuer = mcp_auth_testkit::TestIssuer::new();
    /// let token = issuer.token().subject("bob").sign();
    /// ```
    pub fn subject(self, subject: impl Into<String>) -> Self {
        self.claim("sub", subject.into())
    }

    /// Sets `aud`: one string, or a list of them
    /// ([RFC 7519 §4.1.3](https://www.rfc-editor.org/rfc/rfc7519#section-4.1.3)).
    ///
    /// ```
    /// # let issuer = mcp_auth_testkit::TestIssuer::new();
    /// let one = issuer.token().audience("https://api.example.com/mcp").sign();
    /// let two = issuer.token().audience(vec!["https://a.example", "https://b.example"]).sign();
    /// ```
    pub fn audience(self, audience: impl Into<Value>) -> Self {
        self.claim("aud", audience)
    }

    /// Sets `scope` ([RFC 8693 §4.2](https://www.rfc-editor.org/rfc/rfc8693#section-4.2)).
    ///
    /// ```
    /// # let issuer = mcp_auth_testkit::TestIssuer::new();
    /// let token = issuer.token().scopes(["read", "write"]).sign();
    /// ```
    pub fn scopes<S: AsRef<str>>(self, scopes: impl IntoIterator<Item = S>) -> Self {
        let mut joined = String::new();
        for scope in scopes {
            if !joined.is_empty() {
                joined.push(' ');
            }
            joined.push_str(scope.as_ref());
        }
        self.claim("scope", joined)
    }

    /// Sets `client_id` ([RFC 8693 §4.3](https://www.rfc-editor.org/rfc/rfc8693#section-4.3)).
    ///
    /// ```
    /// # let issuer = mcp_auth_testkit::TestIssuer::new();
    /// let token = issuer.token().client_id("inspector").sign();
    /// ```
    pub fn client_id(self, id: impl Into<String>) -> Self {
        self.claim("client_id", id.into())
    }

    /// Sets `exp` to this long after the issuer's current time.
    ///
    /// ```
    /// # let issuer = mcp_auth_testkit::TestIssuer::new();
    /// let token = issuer.token().expires_in(std::time::Duration::from_secs(60)).sign();
    /// ```
    pub fn expires_in(self, lifetime: Duration) -> Self {
        let at = self.now().saturating_add(seconds(lifetime));
        self.claim("exp", at)
    }

    /// Makes the token two hours old and expired for an hour.
    ///
    /// ```
    /// # let issuer = mcp_auth_testkit::TestIssuer::new();
    /// let token = issuer.token().expired().sign();
    /// ```
    pub fn expired(self) -> Self {
        let now = self.now();
        self.claim("iat", now - 7200).claim("exp", now - 3600)
    }

    /// Sets `nbf` to this long after the issuer's current time.
    ///
    /// ```
    /// # let issuer = mcp_auth_testkit::TestIssuer::new();
    /// let token = issuer.token().not_before(std::time::Duration::from_secs(60)).sign();
    /// ```
    pub fn not_before(self, delay: Duration) -> Self {
        let at = self.now().saturating_add(seconds(delay));
        self.claim("nbf", at)
    }

    /// Sets a claim to any JSON value.
    ///
    /// ```
    /// # let issuer = mcp_auth_testkit::TestIssuer::new();
    /// let token = issuer.token().claim("tenant", "acme").sign();
    /// ```
    pub fn claim(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.claims.insert(name.into(), value.into());
        self
    }

    /// Removes a claim.
    ///
    /// ```
    /// # let issuer = mcp_auth_testkit::TestIssuer::new();
    /// let token = issuer.token().without("exp").sign();
    /// ```
    pub fn without(mut self, name: &str) -> Self {
        self.claims.remove(name);
        self
    }

    /// Sets a header parameter to any JSON value
    /// ([RFC 7515 §4.1](https://www.rfc-editor.org/rfc/rfc7515#section-4.1)). The token is signed
    /// with the same key, whatever `alg` says.
    ///
    /// ```
    /// # let issuer = mcp_auth_testkit::TestIssuer::new();
    /// let token = issuer.token().header("alg", "none").sign();
    /// ```
    pub fn header(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.header.insert(name.into(), value.into());
        self
    }

    /// Removes a header parameter.
    ///
    /// ```
    /// # let issuer = mcp_auth_testkit::TestIssuer::new();
    /// let token = issuer.token().without_header("kid").sign();
    /// ```
    pub fn without_header(mut self, name: &str) -> Self {
        self.header.remove(name);
        self
    }

    /// Sets `typ` ([RFC 9068 §2.1](https://www.rfc-editor.org/rfc/rfc9068#section-2.1)).
    ///
    /// ```
    /// # let issuer = mcp_auth_testkit::TestIssuer::new();
    /// let token = issuer.token().typ("JWT").sign();
    /// ```
    pub fn typ(self, typ: impl Into<String>) -> Self {
        self.header("typ", typ.into())
    }

    /// Signs with the issuer's key for `algorithm`. If there is none, one is generated and published.
    ///
    /// ```
    /// use mcp_auth_testkit::SigningAlgorithm;
    /// # let issuer = mcp_auth_testkit::TestIssuer::new();
    /// let token = issuer.token().signed_with(SigningAlgorithm::EdDsa).sign();
    /// ```
    pub fn signed_with(self, algorithm: SigningAlgorithm) -> Self {
        let key = self.issuer.state().keys.of(algorithm);
        self.signed_by(key)
    }

    /// Signs with the key of this `kid`, even if it was withdrawn. If there is no such key, only the header
    /// names it.
    ///
    /// ```
    /// # let issuer = mcp_auth_testkit::TestIssuer::new();
    /// let token = issuer.token().kid("no-such-key").sign();
    /// ```
    pub fn kid(self, kid: &str) -> Self {
        let key = self.issuer.state().keys.named(kid).cloned();
        match key {
            Some(key) => self.signed_by(key),
            None => self.header("kid", kid),
        }
    }

    /// Binds the token to a client's key by `cnf.jkt`
    /// ([RFC 9449 §6.1](https://www.rfc-editor.org/rfc/rfc9449#section-6.1)).
    ///
    /// ```
    /// # let issuer = mcp_auth_testkit::TestIssuer::new();
    /// let key = mcp_auth_testkit::DpopKey::generate(issuer.clone());
    /// let token = issuer.token().dpop_bound(&key).sign();
    /// ```
    pub fn dpop_bound(self, key: &DpopKey) -> Self {
        self.bound("jkt", key.thumbprint())
    }

    /// Binds the token to a client's TLS certificate, given in DER, by `cnf["x5t#S256"]`
    /// ([RFC 8705 §3.1](https://www.rfc-editor.org/rfc/rfc8705#section-3.1)).
    ///
    /// ```
    /// # let issuer = mcp_auth_testkit::TestIssuer::new();
    /// let token = issuer.token().certificate_bound(b"the certificate in DER").sign();
    /// ```
    pub fn certificate_bound(self, der: &[u8]) -> Self {
        let digest = digest::digest(&digest::SHA256, der);
        self.bound("x5t#S256", base64url(digest.as_ref()))
    }

    fn bound(mut self, name: &str, thumbprint: String) -> Self {
        self.claims.entry("cnf").or_insert_with(|| json!({}))[name] = json!(thumbprint);
        self
    }

    /// Replaces the claims by this text, which need not be JSON.
    ///
    /// ```
    /// # let issuer = mcp_auth_testkit::TestIssuer::new();
    /// let token = issuer.token().payload(r#"{"sub":"alice","sub":"bob"}"#).sign();
    /// ```
    pub fn payload(mut self, text: impl Into<String>) -> Self {
        self.payload = Some(text.into());
        self
    }

    /// Signs the token and returns it in compact form
    /// ([RFC 7515 §7.1](https://www.rfc-editor.org/rfc/rfc7515#section-7.1)).
    ///
    /// ```
    /// # let issuer = mcp_auth_testkit::TestIssuer::new();
    /// assert_eq!(issuer.token().sign().split('.').count(), 3);
    /// ```
    #[must_use]
    pub fn sign(self) -> String {
        let key = Arc::clone(&self.key);
        let input = self.signing_input();
        let signature = base64url(&key.sign(input.as_bytes()));
        format!("{input}.{signature}")
    }

    /// Signs the token with a shared secret instead of a key: HS256, without `kid`
    /// ([RFC 7518 §3.2](https://www.rfc-editor.org/rfc/rfc7518#section-3.2)).
    ///
    /// ```
    /// # let issuer = mcp_auth_testkit::TestIssuer::new();
    /// let token = issuer.token().sign_with_secret("a secret of thirty-two bytes or more");
    /// ```
    #[must_use]
    pub fn sign_with_secret(self, secret: impl AsRef<[u8]>) -> String {
        let secret = hmac::Key::new(hmac::HMAC_SHA256, secret.as_ref());
        let input = self.without_header("kid").header("alg", "HS256").signing_input();
        let signature = base64url(hmac::sign(&secret, input.as_bytes()).as_ref());
        format!("{input}.{signature}")
    }

    fn signing_input(self) -> String {
        let header = Value::Object(self.header).to_string();
        let claims = Value::Object(self.claims);
        let payload = self.payload.unwrap_or_else(|| claims.to_string());
        format!("{}.{}", base64url(header.as_bytes()), base64url(payload.as_bytes()))
    }

    /// Signs the token, and makes it known to the
    /// [introspection endpoint](TestIssuer::introspection_endpoint), which answers with its claims.
    ///
    /// ```
    /// # let issuer = mcp_auth_testkit::TestIssuer::new();
    /// let token = issuer.token().introspectable();
    /// ```
    #[must_use]
    pub fn introspectable(self) -> String {
        let (issuer, answer) = (self.issuer.clone(), self.answer());
        let token = self.sign();
        issuer.state().introspection.learn(token.clone(), answer);
        token
    }

    /// Creates an opaque token: a random text that only the
    /// [introspection endpoint](TestIssuer::introspection_endpoint) understands. The endpoint answers with
    /// the claims of the token, `active: true` and `token_type: "Bearer"`, or with the
    /// [payload](Self::payload) if one is set.
    ///
    /// ```
    /// # let issuer = mcp_auth_testkit::TestIssuer::new();
    /// let token = issuer.token().subject("alice").scopes(["read"]).opaque();
    /// assert!(!token.contains('.'));
    /// ```
    #[must_use]
    pub fn opaque(self) -> String {
        let token = format!("opaque_{}", unguessable());
        let answer = self.answer();
        self.issuer.state().introspection.learn(token.clone(), answer);
        token
    }

    /// The answer of the introspection endpoint (RFC 7662 §2.2).
    fn answer(&self) -> String {
        let mut answer = object([("active", json!(true)), ("token_type", json!("Bearer"))]);
        answer.extend(self.claims.clone());
        self.payload.clone().unwrap_or_else(|| Value::Object(answer).to_string())
    }

    fn signed_by(mut self, key: Arc<SigningKey>) -> Self {
        self.key = key;
        let (alg, kid) = (self.key.algorithm.name(), self.key.kid.clone());
        self.header("alg", alg).header("kid", kid)
    }

    fn now(&self) -> i64 {
        self.issuer.0.settings.time.unix()
    }
}

fn object<const N: usize>(members: [(&str, Value); N]) -> Map<String, Value> {
    let named = members.map(|(name, value)| (name.to_owned(), value));
    named.into_iter().collect()
}

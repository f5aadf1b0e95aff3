//! The introspection endpoint of an issuer without a socket: its clients and its answers.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{Method, Request, Response, StatusCode};
use mcp_auth::jwt::{self, JwtRules, KeySet};
use serde_json::{Value, json};
use url::form_urlencoded;

use crate::document::under;
use crate::key::SigningKey;
use crate::time::Time;
use crate::{Endpoint, SigningAlgorithm, TestIssuer};

const SIGNED: &str = "application/token-introspection+jwt";

/// The tokens and the clients that the endpoint knows.
#[derive(Clone, Default)]
pub(crate) struct Introspection {
    /// The answer for each token, which need not be JSON; `None` if the token was revoked.
    answers: HashMap<String, Option<String>>,
    bearers: Vec<String>,
    keys: Vec<(String, Arc<SigningKey>)>,
}

impl Introspection {
    pub(crate) fn learn(&mut self, token: String, answer: String) {
        self.answers.insert(token, Some(answer));
    }

    fn answer(&self, token: &str, time: &Time) -> &str {
        let known = self.answers.get(token).and_then(Option::as_deref);
        known.filter(|answer| !has_expired(answer, time)).unwrap_or(r#"{"active":false}"#)
    }
}

/// Whether an answer is about an expired token. Without a socket a test decides what the endpoint says.
fn has_expired(answer: &str, time: &Time) -> bool {
    let said: Value = serde_json::from_str(answer).unwrap_or_default();
    matches!(time, Time::System) && said["exp"].as_i64().is_some_and(|end| end <= time.unix())
}

impl TestIssuer {
    /// Returns the URL of the introspection endpoint
    /// ([RFC 7662 §2](https://www.rfc-editor.org/rfc/rfc7662#section-2)).
    ///
    /// The endpoint knows the tokens created by [`opaque`](crate::TokenBuilder::opaque) and
    /// [`introspectable`](crate::TokenBuilder::introspectable); that of a served issuer also those that it issued to
    /// clients, and it answers that expired ones are not active. It answers
    /// [clients](crate::TestIssuerBuilder::client) that authenticate by `client_secret_basic` or
    /// `client_secret_post`, and those registered by [`client_key`](Self::client_key) and
    /// [`introspection_bearer`](Self::introspection_bearer). The answer is signed if the request asks for
    /// that ([RFC 9701](https://www.rfc-editor.org/rfc/rfc9701)).
    ///
    /// ```
    /// let issuer = mcp_auth_testkit::TestIssuer::new();
    /// assert_eq!(issuer.introspection_endpoint(), "https://issuer.test/introspect");
    /// ```
    #[must_use]
    pub fn introspection_endpoint(&self) -> String {
        under(self.url(), "introspect")
    }

    /// Returns the number of introspection requests so far.
    ///
    /// ```
    /// assert_eq!(mcp_auth_testkit::TestIssuer::new().introspection_requests(), 0);
    /// ```
    #[must_use]
    pub fn introspection_requests(&self) -> usize {
        self.0.counters.introspection.load(Ordering::SeqCst)
    }

    /// Revokes a token ([RFC 7009](https://www.rfc-editor.org/rfc/rfc7009)): from now on the introspection
    /// endpoint answers that it is not active.
    ///
    /// ```
    /// let issuer = mcp_auth_testkit::TestIssuer::new();
    /// let token = issuer.token().opaque();
    /// issuer.revoke(&token);
    /// ```
    pub fn revoke(&self, token: &str) {
        self.state().introspection.answers.insert(token.to_owned(), None);
    }

    /// Registers a client that authenticates by `private_key_jwt`, and returns its private key as PEM.
    ///
    /// # Panics
    ///
    /// Panics for ML-DSA, whose private keys are not exported.
    ///
    /// ```
    /// use mcp_auth_testkit::{SigningAlgorithm, TestIssuer};
    ///
    /// let key = TestIssuer::new().client_key("robot", SigningAlgorithm::Es256);
    /// assert!(key.starts_with("-----BEGIN PRIVATE KEY-----"));
    /// ```
    #[must_use]
    pub fn client_key(&self, id: &str, algorithm: SigningAlgorithm) -> String {
        let key = Arc::new(SigningKey::generate(algorithm, "client-key".to_owned()));
        let pem = key.private_pem();
        self.state().introspection.keys.push((id.to_owned(), key));
        pem
    }

    /// Accepts this bearer token as authentication at the introspection endpoint.
    ///
    /// ```
    /// mcp_auth_testkit::TestIssuer::new().introspection_bearer("a-development-token");
    /// ```
    pub fn introspection_bearer(&self, token: impl Into<String>) {
        self.state().introspection.bearers.push(token.into());
    }

    /// Whether the token was created by a test, which may have revoked it.
    pub(crate) fn has_created(&self, token: &str) -> bool {
        self.state().introspection.answers.contains_key(token)
    }

    /// Answers an introspection request. Returns `None` if the issuer is down.
    pub(crate) async fn introspect(&self, request: &Request<Bytes>) -> Option<Response<Bytes>> {
        self.count();
        self.0.counters.introspection.fetch_add(1, Ordering::SeqCst);
        let url = request.uri().to_string();
        if let Some(broken) = self.broken(Endpoint::Introspection, &url).await {
            return broken;
        }
        let form: HashMap<_, _> = form_urlencoded::parse(request.body()).into_owned().collect();
        let is_form = request.headers().get(CONTENT_TYPE).is_some_and(|content_type| {
            content_type.as_bytes() == b"application/x-www-form-urlencoded"
        });
        let (true, true, Some(token)) =
            (request.method() == Method::POST, is_form, form.get("token"))
        else {
            return Some(answer(StatusCode::BAD_REQUEST, "application/json", "{}".to_owned()));
        };
        let Some(client) = self.client(request, &form) else {
            let error = json!({ "error": "invalid_client" }).to_string();
            return Some(answer(StatusCode::UNAUTHORIZED, "application/json", error));
        };
        let json = self.state().introspection.answer(token, &self.0.settings.time).to_owned();
        let wants_signed =
            request.headers().get(ACCEPT).is_some_and(|it| it.as_bytes() == SIGNED.as_bytes());
        if !wants_signed {
            return Some(answer(StatusCode::OK, "application/json", json));
        }
        let said: Value = serde_json::from_str(&json).unwrap_or_default();
        let signed = ["sub", "client_id", "exp", "jti"]
            .iter()
            .fold(self.token(), |it, name| it.without(name));
        let signed = signed
            .typ("token-introspection+jwt")
            .audience(client)
            .claim("token_introspection", said);
        Some(answer(StatusCode::OK, SIGNED, signed.sign()))
    }

    /// The client that sent the request. Returns `None` if it is not authenticated.
    fn client(&self, request: &Request<Bytes>, form: &HashMap<String, String>) -> Option<String> {
        let knows = |id: &str, secret: &str| {
            let known = self
                .0
                .settings
                .clients
                .iter()
                .any(|client| *client == (id.to_owned(), secret.to_owned()));
            known.then(|| id.to_owned())
        };
        if let Some(assertion) = form.get("client_assertion") {
            let keys = self.state().introspection.keys.clone();
            let mut clients = keys.iter().filter(|(id, key)| self.asserts(assertion, id, key));
            return clients.next().map(|(id, _)| id.clone());
        }
        if let Some(id) = form.get("client_id") {
            return knows(id, form.get("client_secret")?);
        }
        let header = request.headers().get(AUTHORIZATION)?.to_str().ok()?;
        if let Some(token) = header.strip_prefix("Bearer ") {
            let known = self.state().introspection.bearers.iter().any(|bearer| bearer == token);
            return known.then(|| token.to_owned());
        }
        let pair = STANDARD.decode(header.strip_prefix("Basic ")?).ok()?;
        let pair = String::from_utf8(pair).ok()?;
        let (id, secret) = pair.split_once(':')?;
        knows(&decoded(id), &decoded(secret))
    }

    /// Whether this client assertion is valid for this client, this issuer and the current time (RFC 7523 §3).
    fn asserts(&self, assertion: &str, client: &str, key: &SigningKey) -> bool {
        let jwks = json!({ "keys": [key.jwk()] }).to_string();
        let Ok(keys) = KeySet::parse(jwks.as_bytes()) else { return false };
        if jwt::verify(assertion, &keys, &JwtRules::new(client)).is_err() {
            return false;
        }
        let claims = assertion.split('.').nth(1).and_then(|claims| {
            base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(claims).ok()
        });
        let claims: Value =
            claims.and_then(|it| serde_json::from_slice(&it).ok()).unwrap_or_default();
        let now = self.0.settings.time.unix();
        let is_now = claims["exp"].as_i64().is_some_and(|end| now < end && end <= now + 300);
        claims["sub"] == client
            && claims["aud"] == self.url()
            && is_now
            && claims["jti"].is_string()
    }
}

fn decoded(text: &str) -> String {
    let pair = format!("x={text}");
    form_urlencoded::parse(pair.as_bytes())
        .next()
        .map_or(String::new(), |(_, value)| value.into_owned())
}

fn answer(status: StatusCode, media_type: &'static str, body: String) -> Response<Bytes> {
    let mut answer = Response::new(Bytes::from(body));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, http::HeaderValue::from_static(media_type));
    answer
}

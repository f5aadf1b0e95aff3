//! What the gateway answers its operator: `/livez`, `/readyz`.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body_util::Full;
use mcp_auth::McpAuth;
use serde_json::{Map, Value};
use tokio::sync::watch;

use crate::identity_token::SigningKey;

/// What the admin listener knows.
#[derive(Clone, Debug)]
pub(crate) struct Admin {
    pub(crate) auths: Arc<[McpAuth]>,
    pub(crate) signing_key: Option<Arc<SigningKey>>,
    pub(crate) is_draining: watch::Receiver<bool>,
}

impl Admin {
    pub(crate) fn answer<B>(&self, request: &Request<B>) -> Response<Full<Bytes>> {
        let (status, body) = match request.uri().path() {
            "/livez" => (StatusCode::OK, Value::from("alive")),
            "/readyz" => self.readiness(),
            "/jwks.json" if let Some(key) = &self.signing_key => (StatusCode::OK, key.jwks()),
            _ => (StatusCode::NOT_FOUND, Value::from("there are /livez and /readyz")),
        };
        let mut response = Response::new(Full::new(Bytes::from(format!("{body}\n"))));
        *response.status_mut() = status;
        let content_type = HeaderValue::from_static("application/json");
        response.headers_mut().insert(header::CONTENT_TYPE, content_type);
        response
    }

    /// Whether every resource can verify tokens, and the gateway is not about to end.
    fn readiness(&self) -> (StatusCode, Value) {
        let is_draining = *self.is_draining.borrow();
        let mut is_ready = !is_draining;
        let mut resources = Map::new();
        for auth in &*self.auths {
            let readiness = auth.readiness();
            is_ready &= readiness.is_ready();
            let issuers = readiness.issuers.iter().map(|issuer| {
                let age = issuer.age.map_or(Value::Null, |age| Value::from(age.as_secs()));
                let members = [
                    ("keys", Value::from(issuer.keys)),
                    ("age_seconds", age),
                    ("can_introspect", Value::from(issuer.can_introspect)),
                ];
                let members = members.map(|(name, value)| (name.to_owned(), value));
                (issuer.issuer.clone(), Value::Object(Map::from_iter(members)))
            });
            resources.insert(auth.resource().to_owned(), Value::Object(issuers.collect()));
        }
        let status = if is_ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        let members = [
            ("ready", Value::from(is_ready)),
            ("draining", Value::from(is_draining)),
            ("resources", Value::Object(resources)),
        ];
        let members = members.map(|(name, value)| (name.to_owned(), value));
        (status, Value::Object(Map::from_iter(members)))
    }
}

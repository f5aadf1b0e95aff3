//! What the gateway answers its operator: `/livez`, `/readyz`, `/metrics`.

use std::sync::{Arc, PoisonError};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body_util::Full;
use mcp_auth::McpAuth;
use serde_json::{Map, Value};
use tokio::sync::watch;

use crate::connections::Connections;
use crate::identity_token::SigningKey;
use crate::prometheus;
use crate::recorder::Metrics;
use crate::routes::Budgets;
use crate::telemetry;

/// What the admin listener knows.
#[derive(Clone, Debug)]
pub(crate) struct Admin {
    pub(crate) auths: Arc<[McpAuth]>,
    pub(crate) signing_key: Option<Arc<SigningKey>>,
    pub(crate) connections: Connections,
    pub(crate) budgets: Budgets,
    pub(crate) metrics: Option<&'static Metrics>,
    pub(crate) is_draining: watch::Receiver<bool>,
}

impl Admin {
    pub(crate) fn answer<B>(&self, request: &Request<B>) -> Response<Full<Bytes>> {
        let path = request.uri().path();
        if let ("/metrics", Some(metrics)) = (path, self.metrics) {
            return answer(StatusCode::OK, prometheus::MEDIA_TYPE, self.measured(metrics));
        }
        let (status, body) = match path {
            "/livez" => (StatusCode::OK, Value::from("alive")),
            "/readyz" => self.readiness(),
            "/jwks.json" if let Some(key) = &self.signing_key => (StatusCode::OK, key.jwks()),
            _ => (StatusCode::NOT_FOUND, Value::from("there are /livez, /readyz and /metrics")),
        };
        answer(status, "application/json", format!("{body}\n"))
    }

    /// The metrics, and those that are known at any time.
    fn measured(&self, metrics: &Metrics) -> String {
        let _writing = metrics.writing.lock().unwrap_or_else(PoisonError::into_inner);
        telemetry::state(&self.auths, *self.is_draining.borrow());
        telemetry::connections(self.connections.open());
        for budget in [&self.budgets.authenticated, &self.budgets.anonymous] {
            let (callers, bytes) = budget.state();
            telemetry::buffered(callers, bytes);
        }
        prometheus::text(metrics)
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

fn answer(status: StatusCode, content_type: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    let content_type = HeaderValue::from_static(content_type);
    response.headers_mut().insert(header::CONTENT_TYPE, content_type);
    response
}

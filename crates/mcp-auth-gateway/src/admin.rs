//! What the gateway answers its operator: `/livez`, `/readyz`, `/metrics`.

use std::sync::PoisonError;

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body_util::Full;
use serde_json::{Map, Value};

use crate::connections::Connections;
use crate::ending::Phases;
use crate::prometheus;
use crate::recorder::Metrics;
use crate::reload::ReloadStatus;
use crate::serving::Current;
use crate::telemetry;

/// What the admin listener knows.
#[derive(Clone)]
pub(crate) struct Admin {
    pub(crate) current: Current,
    pub(crate) configuration: ReloadStatus,
    pub(crate) connections: Connections,
    pub(crate) metrics: Option<&'static Metrics>,
    pub(crate) phases: Phases,
}

impl Admin {
    pub(crate) fn answer<B>(&self, request: &Request<B>) -> Response<Full<Bytes>> {
        let path = request.uri().path();
        if let ("/metrics", Some(metrics)) = (path, self.metrics) {
            return answer(StatusCode::OK, prometheus::MEDIA_TYPE, self.measured(metrics));
        }
        let serving = self.current.get();
        let (status, body) = match path {
            "/livez" => (StatusCode::OK, Value::from("alive")),
            "/readyz" => self.readiness(),
            "/jwks.json" if let Some(key) = serving.signing_key() => (StatusCode::OK, key.jwks()),
            _ => (StatusCode::NOT_FOUND, Value::from("there are /livez, /readyz and /metrics")),
        };
        answer(status, "application/json", format!("{body}\n"))
    }

    /// The metrics, and those that are known at any time.
    fn measured(&self, metrics: &Metrics) -> String {
        let _writing = metrics.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let serving = self.current.get();
        let auths: Vec<_> = serving.auths().cloned().collect();
        telemetry::state(&auths, self.phases.is_leaving());
        telemetry::connections(self.connections.open());
        let budgets = serving.budgets();
        for budget in [&budgets.authenticated, &budgets.anonymous] {
            let (callers, bytes) = budget.state();
            telemetry::buffered(callers, bytes);
        }
        prometheus::text(metrics)
    }

    /// Whether every resource can verify tokens, and the gateway is not about to end.
    fn readiness(&self) -> (StatusCode, Value) {
        let is_draining = self.phases.is_leaving();
        let mut is_ready = !is_draining;
        let mut resources = Map::new();
        for auth in self.current.get().auths() {
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
        // A file that is not used does not end readiness: what was read before serves as well as ever.
        let configuration = [
            ("age_seconds", Value::from(self.configuration.age().as_secs())),
            ("error", self.configuration.error().map_or(Value::Null, Value::from)),
        ];
        let configuration = configuration.map(|(name, value)| (name.to_owned(), value));
        let members = [
            ("ready", Value::from(is_ready)),
            ("draining", Value::from(is_draining)),
            ("configuration", Value::Object(Map::from_iter(configuration))),
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

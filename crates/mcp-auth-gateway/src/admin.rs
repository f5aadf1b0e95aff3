//! What the gateway answers its operator: `/`, `/livez`, `/readyz`, `/metrics`.

use std::net::IpAddr;
use std::sync::PoisonError;
use std::time::SystemTime;

use bytes::Bytes;
use http::uri::Authority;
use http::{HeaderValue, Method, Request, Response, StatusCode, Version, header};
use http_body_util::Full;
use mcp_auth::{IssuerReadiness, McpAuth, Readiness};
use serde_json::{Map, Value};

use crate::connections::Connections;
use crate::ending::Phases;
use crate::history::History;
use crate::prometheus;
use crate::recorder::Metrics;
use crate::reload::ReloadStatus;
use crate::serving::Current;
use crate::status_page::{self, Status};
use crate::telemetry;

/// What the admin listener knows.
#[derive(Clone)]
pub(crate) struct Admin {
    pub(crate) current: Current,
    pub(crate) configuration: ReloadStatus,
    pub(crate) connections: Connections,
    pub(crate) metrics: Option<&'static Metrics>,
    pub(crate) history: History,
    pub(crate) phases: Phases,
    /// Whether it listens for this machine only.
    pub(crate) is_local: bool,
}

impl Admin {
    /// Answers a request, and closes its connection: probes do not keep them.
    pub(crate) fn answer<B>(&self, request: &Request<B>) -> Response<Full<Bytes>> {
        let mut response = match self.refusal(request) {
            Some((status, why)) => answer(status, "text/plain; charset=utf-8", why.into()),
            None => self.answer_about(request),
        };
        if request.version() < Version::HTTP_2 {
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }

    /// Web pages are not answered, also not those that have given this machine a name of theirs (DNS rebinding).
    fn refusal<B>(&self, request: &Request<B>) -> Option<(StatusCode, &'static str)> {
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return Some((StatusCode::METHOD_NOT_ALLOWED, "only GET\n"));
        }
        let host = || request.headers().get(header::HOST)?.to_str().ok()?.parse().ok();
        let host = request.uri().authority().cloned().or_else(host);
        let is_local = host.is_some_and(|host: Authority| is_of_this_machine(host.host()));
        if request.headers().contains_key(header::ORIGIN) || self.is_local && !is_local {
            return Some((
                StatusCode::FORBIDDEN,
                "not for web pages: use an IP address or localhost\n",
            ));
        }
        None
    }

    fn answer_about<B>(&self, request: &Request<B>) -> Response<Full<Bytes>> {
        let path = request.uri().path();
        if let ("/metrics", Some(metrics)) = (path, self.metrics) {
            return answer(StatusCode::OK, prometheus::MEDIA_TYPE, self.measured(metrics));
        }
        if path == "/" {
            return status_page::page(&self.status());
        }
        let serving = self.current.get();
        let (status, body) = match path {
            "/livez" => (StatusCode::OK, Value::from("alive")),
            "/readyz" => self.readiness(),
            "/jwks.json" if let Some(key) = serving.signing_key() => (StatusCode::OK, key.jwks()),
            _ => (StatusCode::NOT_FOUND, Value::from("there are /, /livez, /readyz and /metrics")),
        };
        answer(status, "application/json", format!("{body}\n"))
    }

    /// What the page shows.
    fn status(&self) -> Status {
        let serving = self.current.get();
        let readiness: Vec<_> = serving.auths().map(McpAuth::readiness).collect();
        let mut issuers: Vec<IssuerReadiness> = Vec::new();
        for issuer in readiness.iter().flat_map(|it| &it.issuers) {
            if !issuers.iter().any(|known| known.issuer == issuer.issuer) {
                issuers.push(issuer.clone());
            }
        }
        Status {
            now: SystemTime::now(),
            is_ready: readiness.iter().all(Readiness::is_ready),
            is_draining: self.phases.is_leaving(),
            configuration_age: self.configuration.age(),
            configuration_error: self.configuration.error(),
            connections: self.connections.open(),
            issuers,
            resources: serving.resources(),
            minutes: self.metrics.map(|metrics| self.history.minutes(metrics)),
            refusals: serving.shared().refusals.all(),
            is_local: self.is_local,
        }
    }

    /// The metrics, and those that are known at any time.
    fn measured(&self, metrics: &Metrics) -> String {
        let _writing = metrics.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let serving = self.current.get();
        let auths: Vec<_> = serving.auths().cloned().collect();
        telemetry::state(&auths, self.phases.is_leaving());
        telemetry::configuration(self.configuration.error().is_none());
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
        let redis = self.current.get().shared().replicas.redis.as_ref().map(|redis| {
            let status = redis.status();
            let members = [
                ("connected", Value::from(status.is_connected)),
                ("has_revocations", Value::from(status.has_revocations)),
                ("error", status.error.map_or(Value::Null, Value::from)),
            ];
            Value::Object(
                members.map(|(name, value)| (name.to_owned(), value)).into_iter().collect(),
            )
        });
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
        let redis = redis.map(|redis| ("redis", redis));
        let members =
            members.into_iter().chain(redis).map(|(name, value)| (name.to_owned(), value));
        (status, Value::Object(members.collect()))
    }
}

fn is_of_this_machine(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    address.is_ok() || host.eq_ignore_ascii_case("localhost")
}

fn answer(status: StatusCode, content_type: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    let content_type = HeaderValue::from_static(content_type);
    response.headers_mut().insert(header::CONTENT_TYPE, content_type);
    response
}

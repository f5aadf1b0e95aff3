//! Which resource a request is for, by its host and its path.

use std::collections::HashMap;
use std::sync::Arc;

use http::request::Parts;
use http::uri::Authority;
use http::{Request, Response, StatusCode, Uri, header};
use http_body_util::Either;
use hyper::body::Incoming;
use mcp_auth::{McpAuth, MetadataService, SecurityEventReceiver, ServerMetadataService};
use mcp_auth_config::ResourceConfig;
use tower_service::Service as _;

use crate::because::{ASKED_ELSEWHERE, UNKNOWN_HOST, UNKNOWN_PATH, because};
use crate::forward_auth::ForwardAuth;
use crate::host::{host_of, request_host, trimmed};
use crate::log_limit::LogLimit;
use crate::protected::{Around, GatewayBody, Protected, ours};
use crate::refusals::{Asked, Refusals};
use crate::telemetry;

/// The most headers of a request, as in hyper for HTTP/1.1. Clients send some twenty.
const MAX_HEADERS: usize = 100;

/// What is at a path of a host.
#[derive(Clone)]
enum Endpoint {
    Resource(Box<Protected>),
    /// A resource whose requests another proxy passes on.
    Elsewhere,
    Metadata(MetadataService),
    IssuerMetadata(ServerMetadataService),
    SecurityEvents(SecurityEventReceiver),
}

/// The endpoints, by host and path. Each host that is not here is refused, so that a web page cannot reach the gateway
/// by a name of its own (DNS rebinding).
#[derive(Clone, Default)]
pub(crate) struct Routes {
    by_host: HashMap<Box<str>, Host>,
    /// Where proxies ask about requests that they pass on themselves, by path.
    asked: HashMap<Box<str>, ForwardAuth>,
    /// Knows the proxies that say which host was called. Every resource has the same.
    behind_proxies: Option<McpAuth>,
    unknown_host: Arc<LogLimit>,
    refusals: Refusals,
    elsewhere: Arc<LogLimit>,
}

/// What is at one host.
#[derive(Clone, Default)]
struct Host {
    endpoints: HashMap<Box<str>, Endpoint>,
    resources: Vec<McpAuth>,
}

impl Routes {
    pub(crate) fn new(refusals: &Refusals) -> Self {
        Self { refusals: refusals.clone(), ..Self::default() }
    }

    /// Takes the host of a request from the proxies in front that every resource knows.
    pub(crate) fn behind_proxies(&mut self, auth: &McpAuth) {
        self.behind_proxies = Some(auth.clone());
    }

    /// Adds a resource at its URL and its aliases, and what belongs to it.
    ///
    /// # Errors
    ///
    /// If a URL has no host, or something else is at the same place.
    pub(crate) fn add(
        &mut self,
        auth: &McpAuth,
        resource: &ResourceConfig,
        around: Around,
    ) -> Result<(), String> {
        let (told_names, refusals) = (around.backend.told_names(), around.shared.refusals.clone());
        let protected = Box::new(Protected::new(auth, around));
        let asks = resource.forward_auth().map_err(|error| error.to_string())?;
        if let Some(settings) = &asks {
            let protected = protected.clone();
            let asked =
                ForwardAuth::new(resource, settings.clone(), told_names, refusals, protected)?;
            self.ask(asked)?;
        }
        for url in [&resource.url].into_iter().chain(&resource.aliases) {
            let uri: Uri = url.parse().map_err(|_| format!("{url:?} is not a URL"))?;
            let host = uri.authority().map(|authority| host_of(uri.scheme(), authority));
            let host = host.ok_or_else(|| format!("{url:?} has no host"))?;
            let Host { endpoints, resources } = self.by_host.entry(host).or_default();
            resources.push(auth.clone());
            let mut insert = |path: &str, endpoint| match endpoints.insert(path.into(), endpoint) {
                None => Ok(()),
                Some(_) => Err(is_taken(path)),
            };
            if let Some(events) = &resource.security_events {
                let receiver = auth.security_event_receiver(events.audiences.clone());
                insert(trimmed(&events.path), Endpoint::SecurityEvents(receiver))?;
            }
            let endpoint = match asks {
                None => Endpoint::Resource(protected.clone()),
                Some(_) => Endpoint::Elsewhere,
            };
            insert(trimmed(uri.path()), endpoint)?;
            for path in auth.metadata_service().paths() {
                // The document without a path is that of the first resource of a host.
                let metadata = || Endpoint::Metadata(auth.metadata_service());
                let endpoint = endpoints.entry(trimmed(&path).into()).or_insert_with(metadata);
                if !matches!(endpoint, Endpoint::Metadata(_)) {
                    return Err(is_taken(&path));
                }
            }
            if resource.serve_issuer_metadata {
                let metadata = || Endpoint::IssuerMetadata(auth.server_metadata_service());
                endpoints.entry(ServerMetadataService::PATH.into()).or_insert_with(metadata);
            }
        }
        Ok(())
    }

    /// Adds a path at which a proxy asks.
    fn ask(&mut self, asked: ForwardAuth) -> Result<(), String> {
        if let Some(other) = self.asked.values().find(|other| other.overlaps(&asked)) {
            return Err(format!(
                "`forward_auth.path`: a proxy asks about another resource at {:?} or below it: choose another path",
                other.path()
            ));
        }
        self.asked.extend(asked.paths().into_iter().map(|path| (path, asked.clone())));
        Ok(())
    }

    /// Answers a request.
    pub(crate) async fn answer(&self, request: Request<Incoming>) -> Response<GatewayBody> {
        if request.headers().len() > MAX_HEADERS {
            telemetry::request("too_many_headers");
            return ours(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "too many headers\n");
        }
        if !self.asked.is_empty()
            && let Some(asked) = self.asked.get(trimmed(request.uri().path()))
        {
            return asked.answer(request).await;
        }
        let (parts, body) = request.into_parts();
        let host = self.host(&parts);
        let Some(Host { endpoints, resources }) =
            host.as_deref().and_then(|host| self.by_host.get(host))
        else {
            let known: Vec<_> = self.by_host.keys().collect();
            let asked = host.as_deref().unwrap_or_default();
            telemetry::request("unknown_host");
            tracing::debug!(target: "mcp_auth", decision = "host_not_allowed", asked, ?known, "a request for a host that no resource has");
            self.log_unknown_host();
            let response = ours(StatusCode::FORBIDDEN, "no resource is at this host\n");
            return self.note(&parts, because(response, UNKNOWN_HOST));
        };
        let endpoint = endpoints.get(trimmed(parts.uri.path()));
        let request = Request::from_parts(parts, body);
        match endpoint {
            Some(Endpoint::Resource(protected)) => protected.answer(request).await,
            Some(Endpoint::Elsewhere) => {
                telemetry::request(ASKED_ELSEWHERE.code);
                if self.elsewhere.is_due() {
                    tracing::warn!(target: "mcp_auth", "refused a request: {}", ASKED_ELSEWHERE.advice);
                }
                let response = ours(
                    StatusCode::NOT_FOUND,
                    "this gateway does not pass requests on to this resource\n",
                );
                self.note(&request.into_parts().0, because(response, ASKED_ELSEWHERE))
            }
            Some(Endpoint::Metadata(metadata)) => {
                let Ok(response) = metadata.clone().call(request).await;
                response.map(|body| Either::Right(Either::Right(body)))
            }
            Some(Endpoint::IssuerMetadata(metadata)) => {
                let Ok(response) = metadata.clone().call(request).await;
                response.map(|body| Either::Right(Either::Right(body)))
            }
            Some(Endpoint::SecurityEvents(receiver)) => {
                let Ok(response) = receiver.clone().call(request).await;
                response.map(|body| Either::Right(Either::Right(body)))
            }
            None => {
                telemetry::request("unknown_path");
                let (parts, _) = request.into_parts();
                McpAuth::report_unknown_path(resources, &parts);
                let response = ours(StatusCode::NOT_FOUND, "no resource is at this path\n");
                self.note(&parts, because(response, UNKNOWN_PATH))
            }
        }
    }

    fn note<B>(&self, parts: &Parts, response: Response<B>) -> Response<B> {
        self.refusals.note(None, &Asked::of(parts), &response);
        response
    }

    fn log_unknown_host(&self) {
        if self.unknown_host.is_due() {
            tracing::info!(target: "mcp_auth", decision = "host_not_allowed", "refused a request for a host that no resource has (logged at debug): if a proxy is in front, let it pass on the client's `Host` (nginx: `proxy_set_header Host $http_host`), or name it in `forwarded_host_from`; else clients must use the URLs of the resources");
        }
    }

    /// The host by which the client called.
    fn host(&self, parts: &Parts) -> Option<Box<str>> {
        match &self.behind_proxies {
            Some(auth) if parts.headers.get_all(header::HOST).iter().count() < 2 => {
                let authority: Authority = auth.requested_host(parts)?.parse().ok()?;
                Some(host_of(None, &authority))
            }
            _ => request_host(parts),
        }
    }
}

fn is_taken(path: &str) -> String {
    format!("something else is at the same host and path, {path:?}: choose another")
}

//! Which resource a request is for, by its host and its path.

use std::collections::HashMap;
use std::sync::Arc;

use http::request::Parts;
use http::uri::{Authority, Scheme};
use http::{Request, Response, StatusCode, Uri, header};
use http_body_util::Either;
use hyper::body::Incoming;
use mcp_auth::{McpAuth, MetadataService, SecurityEventReceiver, ServerMetadataService};
use mcp_auth_config::ResourceConfig;
use tower_service::Service as _;

use crate::log_limit::LogLimit;
use crate::protected::{Around, GatewayBody, Protected, because, ours};
use crate::refusals::{Asked, Because, Refusals};
use crate::telemetry;

/// The most headers of a request, as in hyper for HTTP/1.1. Clients send some twenty.
const MAX_HEADERS: usize = 100;

const UNKNOWN_HOST: Because = Because {
    code: "unknown_host",
    advice: "no resource has this host: if a proxy is in front, let it pass on the client's `Host`, or name it in `forwarded_host_from`; else clients must use the URLs of the resources",
};
const UNKNOWN_PATH: Because = Because {
    code: "unknown_path",
    advice: "no resource is at this path: compare it with the URLs of the resources; a proxy in front must not remove a part of it",
};

/// What is at a path of a host.
#[derive(Clone)]
enum Endpoint {
    Resource(Box<Protected>),
    Metadata(MetadataService),
    IssuerMetadata(ServerMetadataService),
    SecurityEvents(SecurityEventReceiver),
}

/// The endpoints, by host and path. Each host that is not here is refused, so that a web page cannot reach the gateway
/// by a name of its own (DNS rebinding).
#[derive(Clone, Default)]
pub(crate) struct Routes {
    by_host: HashMap<Box<str>, Host>,
    /// Knows the proxies that say which host was called. Every resource has the same.
    behind_proxies: Option<McpAuth>,
    unknown_host: Arc<LogLimit>,
    refusals: Refusals,
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
        let protected = Box::new(Protected::new(auth, around));
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
            insert(trimmed(uri.path()), Endpoint::Resource(protected.clone()))?;
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

    /// Answers a request.
    pub(crate) async fn answer(&self, request: Request<Incoming>) -> Response<GatewayBody> {
        if request.headers().len() > MAX_HEADERS {
            telemetry::request("too_many_headers");
            return ours(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "too many headers\n");
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

/// A path without the slash at its end.
fn trimmed(path: &str) -> &str {
    path.strip_suffix('/').unwrap_or(path)
}

/// The host of a request: of its target, if that has one
/// ([RFC 9112 §3.2.2](https://www.rfc-editor.org/rfc/rfc9112#section-3.2.2)), or of its one `Host` header.
fn request_host(request: &Parts) -> Option<Box<str>> {
    let mut hosts = request.headers.get_all(header::HOST).iter();
    let named = hosts.next();
    if hosts.next().is_some() {
        return None;
    }
    match request.uri.authority() {
        Some(authority) => Some(host_of(request.uri.scheme(), authority)),
        None => {
            let authority: Authority = named?.to_str().ok()?.parse().ok()?;
            Some(host_of(None, &authority))
        }
    }
}

/// Host and port in lower case, without the default port.
fn host_of(scheme: Option<&Scheme>, authority: &Authority) -> Box<str> {
    let default_ports: &[u16] = match scheme {
        Some(scheme) if *scheme == Scheme::HTTP => &[80],
        Some(scheme) if *scheme == Scheme::HTTPS => &[443],
        // A `Host` header does not say which scheme a proxy has received.
        _ => &[80, 443],
    };
    let host = authority.host().to_ascii_lowercase();
    match authority.port_u16().filter(|port| !default_ports.contains(port)) {
        Some(port) => format!("{host}:{port}").into(),
        None => host.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_is_that_of_the_target() {
        for (target, hosts, expected) in [
            ("/mcp", &["mcp.example.com"] as &[&str], Some("mcp.example.com")),
            ("/mcp", &["MCP.example.com:443"], Some("mcp.example.com")),
            ("/mcp", &["mcp.example.com:8443"], Some("mcp.example.com:8443")),
            ("/mcp", &["[::1]:8080"], Some("[::1]:8080")),
            ("http://evil.example/mcp", &["mcp.example.com"], Some("evil.example")),
            ("https://mcp.example.com:443/mcp", &["evil.example"], Some("mcp.example.com")),
            ("/mcp", &[], None),
            ("/mcp", &["a", "b"], None),
            ("/mcp", &["a b"], None),
            ("/mcp", &["user@mcp.example.com"], Some("mcp.example.com")),
        ] {
            let request = hosts
                .iter()
                .fold(Request::get(target), |request, host| request.header(header::HOST, *host));
            let (request, ()) = request.body(()).expect(target).into_parts();
            assert_eq!(request_host(&request).as_deref(), expected, "{target} {hosts:?}");
        }
    }
}

//! Which resource a request is for, by its host and its path.

use std::collections::HashMap;
use std::sync::Arc;

use http::uri::{Authority, Scheme};
use http::{Request, Response, StatusCode, Uri, header};
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use mcp_auth::{BearerAuth, McpAuth, MetadataService, ResponseBody};
use tower_layer::Layer as _;
use tower_service::Service as _;

use bytes::Bytes;

use crate::identity::Identity;
use crate::proxy::{Proxy, ProxyBody, text};
use crate::upstream::Upstream;

/// The body of a response to a client.
pub(crate) type GatewayBody = Either<ResponseBody<ProxyBody>, Either<ProxyBody, Full<Bytes>>>;

/// What is at a path of a host.
#[derive(Clone, Debug)]
enum Endpoint {
    Resource(BearerAuth<Proxy>),
    Metadata(MetadataService),
}

/// The endpoints, by host and path. Each host that is not here is refused, so that a web page cannot reach the gateway
/// by a name of its own (DNS rebinding).
#[derive(Clone, Debug, Default)]
pub(crate) struct Routes {
    by_host: HashMap<Box<str>, HashMap<Box<str>, Endpoint>>,
}

impl Routes {
    /// Adds a resource at its own URL, and its metadata.
    ///
    /// # Errors
    ///
    /// If its URL has no host, or leads to the same place as that of another resource.
    pub(crate) fn add(
        &mut self,
        auth: &McpAuth,
        upstream: Upstream,
        identity: Identity,
    ) -> Result<(), String> {
        let uri: Uri =
            auth.resource().parse().map_err(|_| format!("{:?} is not a URL", auth.resource()))?;
        let host = uri.authority().map(|authority| host_of(uri.scheme(), authority));
        let host = host.ok_or_else(|| format!("{:?} has no host", auth.resource()))?;
        let endpoints = self.by_host.entry(host).or_default();
        for path in auth.metadata_service().paths() {
            // The document without a path is that of the first resource of a host.
            endpoints
                .entry(path.into())
                .or_insert_with(|| Endpoint::Metadata(auth.metadata_service()));
        }
        let protected = auth
            .bearer_auth()
            .layer(Proxy { upstream: Arc::new(upstream), identity: Arc::new(identity) });
        match endpoints.insert(trimmed(uri.path()).into(), Endpoint::Resource(protected)) {
            None => Ok(()),
            Some(_) => Err("another resource is at the same host and path".into()),
        }
    }

    /// Answers a request.
    pub(crate) async fn answer(&self, request: Request<Incoming>) -> Response<GatewayBody> {
        let host = request_host(&request);
        let Some(endpoints) = host.as_deref().and_then(|host| self.by_host.get(host)) else {
            let known: Vec<_> = self.by_host.keys().collect();
            let asked = host.as_deref().unwrap_or_default();
            tracing::debug!(target: "mcp_auth", decision = "host_not_allowed", asked, ?known, "a request for a host that no resource has: if a proxy is in front, let it pass on the `Host` header of the client");
            return ours(StatusCode::FORBIDDEN, "no resource is at this host\n");
        };
        match endpoints.get(trimmed(request.uri().path())) {
            Some(Endpoint::Resource(protected)) => {
                let Ok(response) = protected.clone().call(request).await;
                response.map(Either::Left)
            }
            Some(Endpoint::Metadata(metadata)) => {
                let Ok(response) = metadata.clone().call(request).await;
                response.map(|body| Either::Right(Either::Right(body)))
            }
            None => ours(StatusCode::NOT_FOUND, "no resource is at this path\n"),
        }
    }
}

fn ours(status: StatusCode, message: &'static str) -> Response<GatewayBody> {
    text(status, message).map(|body| Either::Right(Either::Left(body)))
}

/// A path without the slash at its end.
fn trimmed(path: &str) -> &str {
    path.strip_suffix('/').unwrap_or(path)
}

/// The host of a request: of its target, if that has one
/// ([RFC 9112 §3.2.2](https://www.rfc-editor.org/rfc/rfc9112#section-3.2.2)), or of its one `Host` header.
fn request_host<B>(request: &Request<B>) -> Option<Box<str>> {
    let mut hosts = request.headers().get_all(header::HOST).iter();
    let named = hosts.next();
    if hosts.next().is_some() {
        return None;
    }
    match request.uri().authority() {
        Some(authority) => Some(host_of(request.uri().scheme(), authority)),
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
            let request = request.body(()).expect(target);
            assert_eq!(request_host(&request).as_deref(), expected, "{target} {hosts:?}");
        }
    }
}

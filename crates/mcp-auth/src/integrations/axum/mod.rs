//! The door for axum: routes, and the caller as an extractor.

#[cfg(feature = "rmcp")]
mod hosts;
#[cfg(feature = "rmcp")]
mod served;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::task::{Context, Poll};

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, FromRequestParts, OptionalFromRequestParts, OriginalUri};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, Route};
use bytes::Bytes;
use http::request::Parts;
use http::{Request, StatusCode};
use tower_layer::{Layer, layer_fn};
use tower_service::Service;

use crate::integrations::tower::{Anonymous, Raised, ServerMetadataService};
use crate::model::credentials::DPOP;
use crate::model::denial::Denial;
use crate::model::token::AuthInfo;
use crate::resource::body::GuardedBody;
use crate::resource::mcp_auth::McpAuth;
use crate::util::url;
use crate::verify::dpop::RequestedUri;
use crate::verify::mtls::PeerAddr;

impl McpAuth {
    /// A router with the service at the path of the resource, behind bearer authentication, and the
    /// resource's metadata beside it. Everything below the path is protected as well. For rmcp's service there is
    /// `protect_mcp`, with the feature `rmcp`.
    ///
    /// Routers of several resources can be merged. Each has its own metadata; the root document
    /// `/.well-known/oauth-protected-resource`, which can be but one, is that of the last.
    ///
    /// ```
    /// use mcp_auth::{AuthInfo, McpAuth};
    ///
    /// let auth = McpAuth::builder("https://api.example.com/mcp")
    ///     .authorization_server("https://auth.example.com")
    ///     .build()?;
    /// let app: axum::Router = auth.protect(axum::routing::get(|auth: AuthInfo| async move {
    ///     format!("{} via {}", auth.subject(), auth.issuer())
    /// }));
    /// # Ok::<(), mcp_auth::ConfigError>(())
    /// ```
    pub fn protect<S, R>(&self, service: S) -> Router
    where
        S: Service<Request<GuardedBody<Body>>, Response = http::Response<R>, Error = Infallible>,
        S: Clone + Send + Sync + 'static,
        S::Future: Send,
        R: http_body::Body<Data = Bytes> + Send + 'static,
        R::Error: Into<axum::BoxError>,
    {
        self.mount(Informed(self.bearer_auth().layer(service)))
    }

    /// The router of a service that is protected already.
    fn mount<S>(&self, guarded: S) -> Router
    where
        S: Service<Request<Body>, Error = Infallible> + Clone + Send + Sync + 'static,
        S::Response: IntoResponse,
        S::Future: Send,
    {
        let router = self.metadata_routes();
        match self.path() {
            "" => router.route_service("/", guarded.clone()).route_service("/{*path}", guarded),
            path => router.nest_service(path, guarded),
        }
    }

    /// The path of the resource; nothing at the root.
    fn path(&self) -> &str {
        let path = url::split(self.resource()).map_or("", |(_, _, rest)| rest);
        path.split('?').next().unwrap_or_default().trim_end_matches('/')
    }

    /// A router with nothing but the resource's metadata, which must be reachable without a token.
    pub fn metadata_routes(&self) -> Router {
        // A path of the resource is text; what was a pattern in axum 0.7 is none any more.
        let empty = Router::new().without_v07_checks();
        let issuers: Vec<_> = self.authorization_servers().iter().map(|it| it.issuer()).collect();
        tracing::info!(target: "mcp_auth", resource = self.resource(), metadata = self.metadata_url(), ?issuers, "protects a resource");
        self.metadata_service().paths().fold(empty, |router, path| {
            let service = self.metadata_service();
            // As a layer over a route's own fallback, since two of these merge and the last one serves:
            // the root path comes with every resource. Two handlers of one path would panic.
            router
                .route(&path, MethodRouter::new().layer(layer_fn(move |_: Route| service.clone())))
        })
    }

    /// A router that mirrors the first authorization server's metadata, for clients of MCP revision
    /// 2025-03-26. Merge it if you have such clients.
    pub fn server_metadata_routes(&self) -> Router {
        Router::new().route_service(ServerMetadataService::PATH, self.server_metadata_service())
    }
}

/// Tells the layer in its own words what axum knows of a request: who sent it, and to which URI.
#[derive(Clone)]
struct Informed<S>(S);

impl<S: Service<Request<B>>, B> Service<Request<B>> for Informed<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let has_proof = request.headers().keys().any(|name| *name == DPOP);
        let known = request.extensions_mut();
        if let Some(ConnectInfo(peer)) = known.get::<ConnectInfo<SocketAddr>>() {
            let peer = PeerAddr(peer.ip());
            known.insert(peer);
        }
        if has_proof && let Some(OriginalUri(uri)) = known.get().cloned() {
            known.insert(RequestedUri(uri));
        }
        self.0.call(request)
    }
}

/// The caller of the request.
///
/// Where credentials are optional and none were sent, the request is refused with the challenge to log
/// in; extract an `Option<AuthInfo>` to do without.
impl<S: Send + Sync> FromRequestParts<S> for AuthInfo {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Response> {
        let caller = parts.extensions.get::<Self>().cloned();
        caller.ok_or_else(|| match parts.extensions.get::<Anonymous>() {
            Some(Anonymous(auth)) => {
                auth.turn_away::<Body>(&Denial::no_credentials(), None).into_response()
            }
            None => {
                tracing::error!(
                    target: "mcp_auth",
                    "AuthInfo was extracted on a route that is not behind `bearer_auth()`"
                );
                StatusCode::INTERNAL_SERVER_ERROR.into_response()
            }
        })
    }
}

impl<S: Send + Sync> OptionalFromRequestParts<S> for AuthInfo {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, Infallible> {
        Ok(parts.extensions.get::<Self>().cloned())
    }
}

/// A handler may answer with a denial, as `auth.require(["notes:write"])?` does. The layer makes the
/// response of it, with its challenge.
impl IntoResponse for Denial {
    fn into_response(self) -> Response {
        let mut response = self.status().into_response();
        response.extensions_mut().insert(Raised(self));
        response
    }
}

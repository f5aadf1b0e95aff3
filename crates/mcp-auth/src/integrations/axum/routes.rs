//! axum routers for a protected resource and for its metadata.

use std::convert::Infallible;

use axum::Router;
use axum::body::Body;
use axum::response::IntoResponse;
use axum::routing::{MethodRouter, Route};
use bytes::Bytes;
use http::Request;
use tower_layer::{Layer, layer_fn};
use tower_service::Service;

use crate::integrations::axum::connection_info::WithConnectionInfo;
use crate::integrations::tower::ServerMetadataService;
use crate::resource::guarded_body::GuardedBody;
use crate::resource::mcp_auth::McpAuth;
use crate::util::url;

impl McpAuth {
    /// A router with the service at the path of the resource, behind bearer authentication, and with the
    /// resource's metadata.
    ///
    /// Everything below the path is protected as well. For rmcp's service, use `protect_mcp` (feature `rmcp`).
    ///
    /// Routers of several resources can be merged. Each resource has its own metadata. There is only one root
    /// document `/.well-known/oauth-protected-resource`; it is that of the last resource.
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
        self.mount(WithConnectionInfo(self.bearer_auth().layer(service)))
    }

    /// The router for a service that is already protected.
    pub(super) fn mount<S>(&self, guarded: S) -> Router
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

    /// The path of the resource. Empty at the root.
    pub(super) fn path(&self) -> &str {
        let path = url::split(self.resource()).map_or("", |(_, _, rest)| rest);
        path.split('?').next().unwrap_or_default().trim_end_matches('/')
    }

    /// A router with only the resource's metadata, which must be reachable without a token.
    pub fn metadata_routes(&self) -> Router {
        // The path of the resource is literal text. Segments that were patterns in axum 0.7 are no longer
        // patterns.
        let empty = Router::new().without_v07_checks();
        let issuers: Vec<_> = self.authorization_servers().iter().map(|it| it.issuer()).collect();
        tracing::info!(target: "mcp_auth", resource = self.resource(), metadata = self.metadata_url(), ?issuers, "protects a resource");
        self.metadata_service().paths().fold(empty, |router, path| {
            let service = self.metadata_service();
            // A layer over the route's own fallback, because two of these merge, and the last one serves: every
            // resource has the root path. Two handlers for one path would panic.
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

//! axum routers for a protected resource and for its metadata.

use std::convert::Infallible;

use axum::Router;
use axum::body::Body;
use axum::extract::OriginalUri;
use axum::response::IntoResponse;
use axum::routing::{MethodRouter, Route};
use bytes::Bytes;
use http::Request;
use tower_layer::{Layer, layer_fn};
use tower_service::Service;

use crate::integrations::axum::connection_info::WithConnectionInfo;
use crate::integrations::axum::unknown_paths::ReportUnknownPath;
use crate::integrations::tower::ServerMetadataService;
use crate::resource::guarded_body::GuardedBody;
use crate::resource::mcp_auth::McpAuth;
use crate::resource::names::{RouteOf, path_of};

impl McpAuth {
    /// A router with the service at the path of the resource, behind bearer authentication, and with the
    /// resource's metadata.
    ///
    /// Everything below the path is protected as well, and so is the path of each
    /// [alias](crate::McpAuthBuilder::alias). For rmcp's service, use `protect_mcp` (feature `rmcp`).
    ///
    /// Routers of several resources can be merged, if [their paths differ](Self::check_paths). Each resource has its own metadata. There is only one root
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
        self.mount(|router, path, route_of| {
            let service = self.bearer_auth().layer(service.clone());
            let guarded = WithConnectionInfo { service, route_of };
            match path {
                "" => at_root(router, guarded),
                path => router.nest_service(path, guarded),
            }
        })
    }

    /// The router with what `add` adds at the path of each name of the resource, and with the metadata.
    pub(super) fn mount(&self, add: impl Fn(Router, &str, Option<RouteOf>) -> Router) -> Router {
        let mut mounted = Vec::new();
        let mut router = self.metadata_routes();
        for (route_of, name) in self.names().routes() {
            let path = path_of(&name.url);
            // Names that differ in their hosts only share a route. Its requests say which host they are for.
            if !mounted.contains(&path) {
                mounted.push(path);
                router = add(router, path, route_of);
            }
        }
        router
    }

    /// A router with only the resource's metadata, which must be reachable without a token.
    pub fn metadata_routes(&self) -> Router {
        // The path of the resource is literal text. Segments that were patterns in axum 0.7 are no longer
        // patterns.
        let empty = Router::new().without_v07_checks();
        // Over the default fallback: a router that is merged, or a fallback that is set, replaces it.
        let auth = self.clone();
        let empty = empty.layer(layer_fn(move |fallback: Route| ReportUnknownPath {
            auth: auth.clone(),
            fallback,
        }));
        self.find_original_uri(|known| known.get().map(|OriginalUri(uri)| uri));
        let issuers: Vec<_> = self.authorization_servers().iter().map(|it| it.issuer()).collect();
        tracing::info!(target: "mcp_auth", resource = self.resource(), metadata = self.metadata_url(), ?issuers, "protects a resource");
        self.metadata_service().paths().fold(empty, |router, path| {
            let service = WithConnectionInfo { service: self.metadata_service(), route_of: None };
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

/// The router with a service for every path.
pub(super) fn at_root<S>(router: Router, guarded: S) -> Router
where
    S: Service<Request<Body>, Error = Infallible> + Clone + Send + Sync + 'static,
    S::Response: IntoResponse,
    S::Future: Send,
{
    router.route_service("/", guarded.clone()).route_service("/{*path}", guarded)
}

//! rmcp's service as a protected axum router.

use std::convert::Infallible;
use std::mem;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::Router;
use axum::body::Body;
use axum::routing::{MethodFilter, any_service};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::combinators::BoxBody;
use rmcp::ServerHandler;
use rmcp::transport::streamable_http_server::{SessionManager, StreamableHttpService};
use tower_service::Service;

use crate::integrations::axum::allowed_hosts::Hosts;
use crate::integrations::axum::connection_info::WithConnectionInfo;
use crate::integrations::axum::routes::at_root;
use crate::integrations::tower::{ResponseBody, handle};
use crate::net::box_future::{BoxFuture, boxed};
use crate::resource::mcp_auth::McpAuth;

impl McpAuth {
    /// Protects rmcp's service, like [`protect`](Self::protect), but without cloning it for each request.
    ///
    /// The service is called by reference. With `protect`, the router, the layer and the service itself would
    /// each clone it for every request. At the path of the resource, the service sees the URI as it was sent.
    /// Below that path, it sees the URI without the path, as with `protect`.
    ///
    /// Routers of several resources can be merged, if [their paths differ](Self::check_paths).
    ///
    /// A request must name an allowed host (`Host`): one of rmcp's configuration, which is loopback by default,
    /// or the host of the resource or of an [alias](crate::McpAuthBuilder::alias). The host is checked here, before the token. An entry `host:*` allows any
    /// port, and so does `host`.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use mcp_auth::McpAuth;
    /// use rmcp::transport::streamable_http_server::StreamableHttpService;
    /// use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
    ///
    /// struct Server;
    /// impl rmcp::ServerHandler for Server {}
    ///
    /// let auth = McpAuth::builder("https://api.example.com/mcp")
    ///     .authorization_server("https://auth.example.com")
    ///     .build()?;
    /// let sessions = Arc::new(LocalSessionManager::default());
    /// let mcp = StreamableHttpService::new(|| Ok(Server), sessions, Default::default());
    /// let app: axum::Router = auth.protect_mcp(mcp);
    /// # Ok::<(), mcp_auth::ConfigError>(())
    /// ```
    pub fn protect_mcp<S, M>(&self, mut service: StreamableHttpService<S, M>) -> Router
    where
        S: ServerHandler + Send + 'static,
        M: SessionManager,
    {
        // rmcp would parse its list again for each request. With an empty list, it only checks that there is a
        // well-formed host.
        let allowed = mem::take(&mut service.config.allowed_hosts);
        let hosts = Hosts::new(&allowed, self.names().iter().map(|name| &*name.url));
        let service = GuardedMcpService(Arc::new(Shared { auth: self.clone(), hosts, service }));
        // Nesting rewrites the URI of each request, so the path itself is a plain route. Below the path,
        // nesting remains: our own wildcard would be a path parameter for surrounding routers. The methods are
        // routed one by one, because axum wraps a service again with each merge of routers, but not the
        // services of methods.
        self.mount(|router, path, route_of| {
            let served = WithConnectionInfo { service: service.clone(), route_of };
            match path {
                "" => at_root(router, served),
                path => router
                    .route(
                        path,
                        any_service(served.clone()).on_service(EACH_METHOD, served.clone()),
                    )
                    .nest_service(&format!("{path}/"), served),
            }
        })
    }
}

/// The methods are listed, so that merging another route for any of them at the same path panics, instead of
/// replacing the protected one.
const EACH_METHOD: MethodFilter = MethodFilter::CONNECT
    .or(MethodFilter::DELETE)
    .or(MethodFilter::GET)
    .or(MethodFilter::HEAD)
    .or(MethodFilter::OPTIONS)
    .or(MethodFilter::PATCH)
    .or(MethodFilter::POST)
    .or(MethodFilter::PUT)
    .or(MethodFilter::TRACE);

/// rmcp's service behind bearer authentication. It is shared, because a clone of it would clone its lists of
/// names.
struct GuardedMcpService<S, M>(Arc<Shared<S, M>>);

struct Shared<S, M> {
    auth: McpAuth,
    hosts: Hosts,
    service: StreamableHttpService<S, M>,
}

impl<S, M> Clone for GuardedMcpService<S, M> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<S, M> Service<Request<Body>> for GuardedMcpService<S, M>
where
    S: ServerHandler + Send + 'static,
    M: SessionManager,
{
    type Response = Response<ResponseBody<BoxBody<Bytes, Infallible>>>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let Self(served) = self.clone();
        let auth = served.auth.clone();
        let (parts, body) = request.into_parts();
        let precheck = served.hosts.admit(&parts, &auth.names().forwarded_host(&parts));
        let pass_on = |request| async move { Ok(served.service.handle(request).await) };
        boxed(|| handle(auth, precheck, pass_on, parts, body))
    }
}

//! Logs requests at paths that are not routes of the router.

use std::task::{Context, Poll};

use axum::body::Body;
use http::Request;
use tower_service::Service;

use crate::resource::mcp_auth::McpAuth;

/// The fallback of the router of a resource.
#[derive(Clone)]
pub(super) struct ReportUnknownPath<S> {
    pub(super) auth: McpAuth,
    pub(super) fallback: S,
}

impl<S: Service<Request<Body>>> Service<Request<Body>> for ReportUnknownPath<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.fallback.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let (parts, body) = request.into_parts();
        McpAuth::report_unknown_path([&self.auth], &parts);
        self.fallback.call(Request::from_parts(parts, body))
    }
}

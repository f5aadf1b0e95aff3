//! Passes the peer address and the original URI from axum to the layer.

use std::net::SocketAddr;
use std::task::{Context, Poll};

use axum::extract::{ConnectInfo, OriginalUri};
use http::Request;
use tower_service::Service;

use crate::model::credentials::DPOP;
use crate::resource::names::RouteOf;
use crate::verify::dpop::RequestedUri;
use crate::verify::mtls::PeerAddr;

/// Copies axum's `ConnectInfo` to `PeerAddr`, and `OriginalUri` to `RequestedUri`, which the layer reads. If the resource
/// has several names, adds to which of them the route belongs.
#[derive(Clone)]
pub(super) struct WithConnectionInfo<S> {
    pub(super) service: S,
    pub(super) route_of: Option<RouteOf>,
}

impl<S: Service<Request<B>>, B> Service<Request<B>> for WithConnectionInfo<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.service.poll_ready(context)
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
        if let Some(route_of) = self.route_of {
            known.insert(route_of);
        }
        self.service.call(request)
    }
}

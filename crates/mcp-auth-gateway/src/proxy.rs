//! Passes admitted requests on to an upstream, and its responses back.

use std::convert::Infallible;
use std::error::Error;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, Version, header};
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use mcp_auth::AuthInfo;
use tower_service::Service;

use crate::budget::{RequestBody, Share};
use crate::exchange::Exchange;
use crate::headers::{strip_request, strip_response};
use crate::identity::Identity;
use crate::telemetry;
use crate::upstream::Upstream;

/// The body of an upstream's response, or a text of ours.
pub(crate) type ProxyBody = Either<Incoming, Full<Bytes>>;

/// The service behind the library's layer.
#[derive(Clone, Debug)]
pub(crate) struct Proxy {
    /// The URL of the resource, for metrics.
    pub(crate) resource: Arc<str>,
    pub(crate) upstream: Arc<Upstream>,
    pub(crate) identity: Arc<Identity>,
    pub(crate) exchange: Option<Arc<Exchange>>,
}

impl Service<Request<RequestBody>> for Proxy {
    type Response = Response<ProxyBody>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<RequestBody>) -> Self::Future {
        let proxy = self.clone();
        if let Some(share) = request.extensions().get::<Arc<Share>>() {
            share.pass_on();
        }
        Box::pin(async move { Ok(pass_on(&proxy, request).await) })
    }
}

async fn pass_on(
    Proxy { resource, upstream, identity, exchange }: &Proxy,
    mut request: Request<RequestBody>,
) -> Response<ProxyBody> {
    strip_request(request.headers_mut());
    let caller = request.extensions().get::<AuthInfo>().cloned();
    if let Err(error) = identity.add(caller.as_ref(), request.headers_mut()) {
        tracing::error!(target: "mcp_auth", error, "the upstream cannot be told who calls, so it is not asked");
        return text(StatusCode::BAD_GATEWAY, "the server behind this gateway cannot be asked\n");
    }
    if let Some(exchange) = exchange
        && let Err(denial) = exchange.add(caller.as_ref(), request.headers_mut()).await
    {
        return exchange.refuse(&denial).map(|body| Either::Right(Full::new(body)));
    }
    let began = Instant::now();
    match upstream.send(request).await {
        Ok(response) => {
            telemetry::upstream(resource, began.elapsed());
            let (mut parts, body) = response.into_parts();
            strip_response(&mut parts.headers);
            // An intermediary sends its own version (RFC 9112 §2.3).
            parts.version = Version::HTTP_11;
            if parts.status.is_redirection() && parts.status != StatusCode::NOT_MODIFIED {
                telemetry::upstream_failure(resource, "redirected");
                // A client would follow it to an address of the upstream's own.
                tracing::warn!(target: "mcp_auth", upstream = upstream.authority(), status = parts.status.as_u16(), "the upstream redirects: set `upstream` to the URL to which it leads, perhaps with or without a slash at its end");
                return text(
                    StatusCode::BAD_GATEWAY,
                    "the server behind this gateway redirected the gateway\n",
                );
            }
            if matches!(
                parts.status,
                StatusCode::UNAUTHORIZED | StatusCode::PROXY_AUTHENTICATION_REQUIRED
            ) {
                telemetry::upstream_failure(resource, "refused");
                // A client would take it for a refusal of its token, and log in again and again.
                tracing::warn!(target: "mcp_auth", upstream = upstream.authority(), status = parts.status.as_u16(), "the upstream wants credentials of its own: let it accept requests from this gateway without them");
                return text(
                    StatusCode::BAD_GATEWAY,
                    "the server behind this gateway refused the gateway\n",
                );
            }
            parts.headers.remove(header::WWW_AUTHENTICATE);
            Response::from_parts(parts, Either::Left(body))
        }
        Err(error) => {
            let cause = causes_of(&error);
            let (kind, hint) = if error.is_connect() {
                (
                    "unreachable",
                    "the upstream cannot be reached: check that it is up, and that `upstream` is its address",
                )
            } else {
                ("closed", "the upstream closed the connection before it answered")
            };
            telemetry::upstream_failure(resource, kind);
            tracing::error!(target: "mcp_auth", upstream = upstream.authority(), %error, cause, "{hint}");
            text(StatusCode::BAD_GATEWAY, "the server behind this gateway does not answer\n")
        }
    }
}

/// The causes of an error, up to the first one.
fn causes_of(error: &dyn Error) -> String {
    let mut causes = Vec::new();
    let mut next = error.source();
    while let Some(cause) = next {
        causes.push(cause.to_string());
        next = cause.source();
    }
    causes.join(": ")
}

/// A response of the gateway itself.
pub(crate) fn text(status: StatusCode, text: &'static str) -> Response<ProxyBody> {
    let mut response = Response::new(Either::Right(Full::new(Bytes::from_static(text.as_bytes()))));
    *response.status_mut() = status;
    let content_type = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, content_type);
    response
}

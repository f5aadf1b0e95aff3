//! Passes admitted requests on to an upstream, and its responses back.

use std::convert::Infallible;
use std::error::Error;
use std::future::Future;
use std::net::Ipv4Addr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::Bytes;
use http::header::HeaderName;
use http::{
    Extensions, HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version, header,
};
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use mcp_auth::{AuthInfo, CallerKind, PeerAddr};
use tower_service::Service;

use crate::api_key::IsApiKey;
use crate::audit_notes::Notes;
use crate::backend::{Backend, HttpServer};
use crate::because::{
    BUSY, Because, CLOSED, IDENTITY_UNKNOWN, NOT_AN_API_KEY, REDIRECTED, REFUSED, UNREACHABLE,
    UPGRADED, because,
};
use crate::budget::{RequestBody, Share};
use crate::connections::network_of;
use crate::headers::{remove_spellings, strip_request, strip_response};
use crate::identity::Identity;
use crate::limits::{Caller, Limits, too_many};
use crate::places::Place;
use crate::recorded::{Message, Recording};
use crate::shared::Shared;
use crate::stdio::StdioBody;
use crate::telemetry;
use crate::under_way::ResponseOf;
use crate::upstreams::Sent;

/// Tells the upstream by which identifier its request is in the audit log.
const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

const MCP_SESSION_ID: HeaderName = HeaderName::from_static("mcp-session-id");

/// The body of an upstream's response, or a text of ours.
pub(crate) type ProxyBody = Either<ResponseOf<Incoming>, Either<Full<Bytes>, StdioBody>>;

/// The service behind the library's layer.
#[derive(Clone)]
pub(crate) struct Proxy {
    pub(crate) backend: Backend,
    pub(crate) shared: Shared,
    pub(crate) limits: Option<Arc<Limits>>,
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
        Box::pin(async move {
            let share = request.extensions().get::<Arc<Share>>().cloned();
            let checked =
                proxy.check(request.method(), request.headers(), request.extensions()).await;
            Ok(match (checked, &proxy.backend) {
                (Err(refusal), _) => *refusal,
                (Ok(()), Backend::Http(server)) => match proxy.place_for(&request) {
                    Some(place) => {
                        share.iter().for_each(|share| share.pass_on());
                        pass_on(server, place, request).await
                    }
                    None => busy(&server.resource),
                },
                (Ok(()), Backend::Elsewhere(identity)) => {
                    may_pass(identity, request.extensions().get())
                }
                (Ok(()), Backend::Stdio(stdio)) => {
                    stdio.answer(request).await.map(|body| Either::Right(Either::Right(body)))
                }
            })
        })
    }
}

impl Proxy {
    /// Takes a place among the requests under way.
    fn place_for<B>(&self, request: &Request<B>) -> Option<Place<u64>> {
        let (extensions, under_way) = (request.extensions(), &self.shared.under_way);
        match extensions.get::<AuthInfo>() {
            Some(caller) => under_way.take((caller.issuer(), caller.subject())),
            None => under_way.take(extensions.get().map(|PeerAddr(it)| network_of(*it))),
        }
    }

    /// What is checked of an admitted request: that an API key is one, and the limits of its caller.
    async fn check(
        &self,
        method: &Method,
        headers: &HeaderMap,
        extensions: &Extensions,
    ) -> Result<(), Box<Response<ProxyBody>>> {
        let (caller, notes) = (extensions.get::<AuthInfo>(), extensions.get::<Notes>());
        let is_key = |caller: &AuthInfo| caller.kind() == CallerKind::ApiKey;
        if extensions.get::<IsApiKey>().is_some() && !caller.is_some_and(is_key) {
            notes.iter().for_each(|notes| notes.denied(NOT_AN_API_KEY));
            NOT_AN_API_KEY.log();
            let refused =
                refuse(StatusCode::UNAUTHORIZED, "this is not an API key\n", NOT_AN_API_KEY);
            return Err(Box::new(refused));
        }
        if let Some((audit, notes)) = self.shared.audit.as_ref().zip(notes) {
            notes.admitted(audit.claim(), caller);
        }
        let Some(limits) = &self.limits else { return Ok(()) };
        let address = extensions.get().map_or(Ipv4Addr::UNSPECIFIED.into(), |PeerAddr(it)| *it);
        let caller = caller.map_or(Caller::Anonymous(address), Caller::Known);
        let message = extensions.get().map(Recording::message);
        let checked = async {
            limits.check_caller(&caller).await?;
            match &message {
                Some(Message::Whole(message)) => {
                    limits.check_tools(&caller, method, headers, message).await
                }
                _ => Ok(()),
            }
        };
        let checked = checked.await;
        checked.map_err(|limited| {
            notes.iter().for_each(|notes| notes.limited(limited.by));
            let response = text(StatusCode::TOO_MANY_REQUESTS, "too many requests\n");
            Box::new(too_many(response, limited))
        })
    }
}

/// In the extensions of a response: the request is admitted, and another proxy may pass it on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MayPass;

/// The answer to a proxy that asks about an admitted request.
fn may_pass(identity: &Identity, caller: Option<&AuthInfo>) -> Response<ProxyBody> {
    match identity.for_proxy(caller) {
        Ok(headers) => {
            let mut response = Response::new(Either::Right(Either::Left(Full::default())));
            *response.headers_mut() = headers;
            response.extensions_mut().insert(MayPass);
            response
        }
        Err(error) => cannot_tell(&error),
    }
}

/// The caller of an admitted request cannot be told.
fn cannot_tell(error: &str) -> Response<ProxyBody> {
    tracing::error!(target: "mcp_auth", error, "{}", IDENTITY_UNKNOWN.advice);
    failed("the server behind this gateway cannot be asked\n", IDENTITY_UNKNOWN)
}

async fn pass_on(
    HttpServer { resource, upstreams, identity, exchange, not_found }: &HttpServer,
    place: Place<u64>,
    mut request: Request<RequestBody>,
) -> Response<ProxyBody> {
    strip_request(request.headers_mut());
    let notes = request.extensions_mut().remove::<Notes>();
    if let Some(notes) = &notes
        && let Ok(id) = HeaderValue::try_from(notes.request_id())
    {
        remove_spellings(request.headers_mut(), &X_REQUEST_ID);
        request.headers_mut().insert(X_REQUEST_ID, id);
    }
    let caller = request.extensions().get::<AuthInfo>().cloned();
    if let Err(error) = identity.add(caller.as_ref(), request.headers_mut()) {
        return cannot_tell(&error);
    }
    if let Some(exchange) = exchange
        && let Err(denial) = exchange.add(caller.as_ref(), request.headers_mut()).await
    {
        return exchange.refuse(&denial).map(|body| Either::Right(Either::Left(Full::new(body))));
    }
    let names_session = request.headers().contains_key(MCP_SESSION_ID);
    let began = Instant::now();
    match upstreams.send(request, notes.as_ref()).await {
        Sent::Answered { response, upstream } => {
            telemetry::upstream(resource, began.elapsed());
            let (mut parts, body) = response.into_parts();
            notes.iter().for_each(|notes| notes.answered(parts.status.as_u16()));
            strip_response(&mut parts.headers);
            // An intermediary sends its own version (RFC 9112 §2.3).
            parts.version = Version::HTTP_11;
            if parts.status.is_redirection() && parts.status != StatusCode::NOT_MODIFIED {
                telemetry::upstream_failure(resource, "redirected");
                // A client would follow it to an address of the upstream's own.
                tracing::warn!(target: "mcp_auth", %upstream, status = parts.status.as_u16(), "{}", REDIRECTED.advice);
                return failed(
                    "the server behind this gateway redirected the gateway\n",
                    REDIRECTED,
                );
            }
            if matches!(
                parts.status,
                StatusCode::UNAUTHORIZED | StatusCode::PROXY_AUTHENTICATION_REQUIRED
            ) {
                telemetry::upstream_failure(resource, "refused");
                // A client would take it for a refusal of its token, and log in again and again.
                tracing::warn!(target: "mcp_auth", %upstream, status = parts.status.as_u16(), "{}", REFUSED.advice);
                return failed("the server behind this gateway refused the gateway\n", REFUSED);
            }
            // With a session, it is how a server says that the session has ended.
            if parts.status == StatusCode::NOT_FOUND && !names_session && not_found.is_due() {
                tracing::warn!(target: "mcp_auth", %upstream, "the upstream answers 404: `upstream` may lack its path, or have another one (FastMCP: `/mcp`)");
            }
            if parts.status.is_informational() {
                telemetry::upstream_failure(resource, "upgraded");
                tracing::warn!(target: "mcp_auth", %upstream, status = parts.status.as_u16(), "{}", UPGRADED.advice);
                return failed("the server behind this gateway left HTTP\n", UPGRADED);
            }
            parts.headers.remove(header::WWW_AUTHENTICATE);
            Response::from_parts(parts, Either::Left(ResponseOf { body, place: Some(place) }))
        }
        Sent::NoSession => {
            text(StatusCode::NOT_FOUND, "this session has ended; begin another one\n")
        }
        Sent::Failed { error, .. } if is_of_client(&error) => {
            tracing::debug!(target: "mcp_auth", "a client went away before its request was complete");
            text(StatusCode::BAD_REQUEST, "the request is not complete\n")
        }
        Sent::Failed { upstream, error } => {
            let cause = causes_of(&error);
            let (kind, because) = match error.is_connect() {
                true => ("unreachable", UNREACHABLE),
                false => ("closed", CLOSED),
            };
            telemetry::upstream_failure(resource, kind);
            tracing::error!(target: "mcp_auth", %upstream, %error, cause, "{}", because.advice);
            failed("the server behind this gateway does not answer\n", because)
        }
    }
}

/// The response to a request for which there is no place.
fn busy(resource: &str) -> Response<ProxyBody> {
    telemetry::request("busy");
    tracing::debug!(target: "mcp_auth", resource, "too many requests are under way, in all or of this caller");
    let why = "too many requests are under way\n";
    let mut response = refuse(StatusCode::SERVICE_UNAVAILABLE, why, BUSY);
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    response
}

/// Whether a request failed because its own body broke off.
fn is_of_client(error: &(dyn Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(cause) = next {
        if cause.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_user) {
            return true;
        }
        next = cause.source();
    }
    false
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

/// The response to a request that the server did not answer as it should.
fn failed(what: &'static str, because: Because) -> Response<ProxyBody> {
    refuse(StatusCode::BAD_GATEWAY, what, because)
}

/// A response of the gateway itself, which says to the operator why.
fn refuse(status: StatusCode, what: &'static str, why: Because) -> Response<ProxyBody> {
    because(text(status, what), why)
}

/// A response of the gateway itself.
pub(crate) fn text(status: StatusCode, text: &'static str) -> Response<ProxyBody> {
    let body = Full::new(Bytes::from_static(text.as_bytes()));
    let mut response = Response::new(Either::Right(Either::Left(body)));
    *response.status_mut() = status;
    let content_type = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, content_type);
    response
}

//! `BearerAuthLayer` and its service `BearerAuth`: authenticate, authorize, refuse.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONNECTION, HeaderName, HeaderValue};
use http::request::Parts;
use http::{Request, Response, Version};
use http_body::Body;
use tower_layer::Layer;
use tower_service::Service;

use crate::integrations::tower::caller_scope::{CallerScope, Outcome};
use crate::integrations::tower::decision_log::RequestNames;
use crate::integrations::tower::extensions::Anonymous;
use crate::integrations::tower::response_body::ResponseBody;
use crate::integrations::tower::{cors, decision_log, stripped_headers};
use crate::model::auth_info::AuthInfo;
use crate::model::denial::Denial;
use crate::model::scheme::Scheme;
use crate::net::box_future::boxed;
use crate::resource::guarded_body::GuardedBody;
use crate::resource::mcp_auth::McpAuth;

/// The header with the nonce for the next proof
/// ([RFC 9449 §8.2](https://www.rfc-editor.org/rfc/rfc9449#section-8.2)).
const DPOP_NONCE: HeaderName = HeaderName::from_static("dpop-nonce");

/// How long a body may take, if it is read. A slow connection needs this time for 4 MiB, and users do not wait
/// longer for a tool to start.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// A layer that puts [bearer authentication](BearerAuth) in front of a service. Created by
/// [`McpAuth::bearer_auth`].
#[derive(Clone, Debug)]
pub struct BearerAuthLayer(McpAuth);

/// A service that passes only admitted requests to the inner service.
///
/// An admitted request has an [`AuthInfo`] in its extensions. Its `Authorization` and `DPoP` headers are
/// removed, and so are the headers in which a proxy reports a client certificate (`Client-Cert`,
/// `X-Forwarded-Client-Cert`). Bodies are streamed in both directions, except where rules for operations or
/// filtered lists require reading them. A refusal is a response with the [`Denial`](crate::Denial) in its
/// extensions; the request does not reach the inner service. Where there are rules for operations, a request to
/// leave HTTP (`Upgrade`, `CONNECT`) is refused, and `Upgrade: h2c` and `TLS/1.2` are removed.
///
/// Sessions belong to their users: each `Mcp-Session-Id` that the inner service issues is signed for the
/// issuer and subject of the request's token, and so is each event id of a stream. For any other caller, such a
/// session does not exist.
///
/// A response may take longer than its token is valid. A listening stream (the response to a `GET` or to
/// `subscriptions/listen`) ends when the token with which it was opened expires, or up to 32 seconds later if the
/// same caller has other streams. If the token is revoked, every event stream ends, and the client gets a JSON-RPC
/// error for each request that waits for a response. A body of another type is sent to its end.
///
/// The head of a stream that answers a `POST` is held back until its first message, 100 ms at most: a handler that
/// [refuses](AuthInfo::require) its caller within this time answers with a 403. This, and the ends of streams, use
/// tokio's timer, which must be enabled in a runtime that you build yourself.
///
/// Lists are filtered if [`list_only`](crate::McpAuthBuilder::list_only) or
/// [`filter_lists`](crate::McpAuthBuilder::filter_lists) is set.
///
/// The layer does not look at paths and has no exemptions. Mount what must be public next to it.
#[derive(Clone, Debug)]
pub struct BearerAuth<S> {
    auth: McpAuth,
    inner: S,
}

impl McpAuth {
    /// A layer that puts bearer authentication in front of a service.
    ///
    /// ```
    /// use mcp_auth::{GuardedBody, McpAuth};
    /// use tower::{Layer, service_fn};
    ///
    /// let auth = McpAuth::builder("https://api.example.com/mcp")
    ///     .authorization_server("https://auth.example.com")
    ///     .build()?;
    /// let service = auth.bearer_auth().layer(service_fn(|request: http::Request<GuardedBody<String>>| async move {
    ///     Ok::<_, std::convert::Infallible>(http::Response::new(request.into_body()))
    /// }));
    /// # Ok::<(), mcp_auth::ConfigError>(())
    /// ```
    #[must_use]
    pub fn bearer_auth(&self) -> BearerAuthLayer {
        BearerAuthLayer(self.clone())
    }
}

impl<S> Layer<S> for BearerAuthLayer {
    type Service = BearerAuth<S>;

    fn layer(&self, inner: S) -> Self::Service {
        BearerAuth { auth: self.0.clone(), inner }
    }
}

impl<S, B, R> Service<Request<B>> for BearerAuth<S>
where
    S: Service<Request<GuardedBody<B>>, Response = Response<R>> + Clone + Send + 'static,
    S::Future: Send,
    B: Body<Data = Bytes> + Send + 'static,
    R: Body<Data = Bytes> + Send + 'static,
{
    type Response = Response<ResponseBody<R>>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        // The instance that was polled ready takes the request; a clone is kept for the next one.
        let next = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, next);
        let (parts, body) = request.into_parts();
        let auth = self.auth.clone();
        boxed(|| handle(auth, Ok(()), move |request| inner.call(request), parts, body))
    }
}

/// Handles one request. `precheck` is the result of earlier checks of it; `pass_on` passes an admitted request to
/// the inner service.
///
/// The future is kept as small as possible, apart from that of the inner service: each request allocates one on
/// the heap, and glibc is fast up to 1032 bytes. Rare paths are therefore boxed.
#[expect(clippy::manual_async_fn, reason = "an `async fn` would hold its arguments twice")]
pub(crate) fn handle<B, R, F, E>(
    auth: McpAuth,
    precheck: Result<(), Denial>,
    pass_on: impl FnOnce(Request<GuardedBody<B>>) -> F,
    parts: Parts,
    body: B,
) -> impl Future<Output = Result<Response<ResponseBody<R>>, E>>
where
    B: Body<Data = Bytes>,
    R: Body<Data = Bytes>,
    F: Future<Output = Result<Response<R>, E>>,
{
    async move {
        let has_body = parts.version == Version::HTTP_11 && !body.is_end_stream();
        let origins = auth.allowed_origins();
        let origin_check =
            match precheck.and_then(|()| cors::OriginCheck::of(&parts.headers, origins)) {
                Ok(origin_check) => origin_check,
                Err(denial) => return Ok(auth.refuse_request(denial, &parts, has_body)),
            };
        if let Some(answer) = origin_check.preflight(origins, &parts.method, &parts.headers) {
            return Ok(answer.map(ResponseBody::whole));
        }
        let scheme;
        let mut response = match auth.admit_or_anonymous(&parts, body).await {
            Ok((caller, body)) => {
                scheme = caller.as_ref().map(AuthInfo::scheme).unwrap_or_default();
                pass_admitted(&auth, caller, pass_on, parts, body, has_body).await?
            }
            Err(denial) => {
                scheme = Scheme::of(&parts.headers);
                auth.refuse_request(denial.under(scheme), &parts, has_body)
            }
        };
        if scheme == Scheme::Dpop
            && let Some(nonce) = auth.dpop_nonce()
        {
            response.headers_mut().insert(DPOP_NONCE, nonce);
        }
        origin_check.expose(auth.allowed_origins(), response.headers_mut());
        Ok(response)
    }
}

/// Passes an admitted request on, without its credentials, and completes the response.
///
/// A future of its own: that of [`handle`] can keep it in the memory of the one that has admitted the request.
#[expect(clippy::manual_async_fn, reason = "an `async fn` would hold its arguments twice")]
fn pass_admitted<B, R, F, E>(
    auth: &McpAuth,
    caller: Option<AuthInfo>,
    pass_on: impl FnOnce(Request<GuardedBody<B>>) -> F,
    mut parts: Parts,
    mut body: GuardedBody<B>,
    has_body: bool,
) -> impl Future<Output = Result<Response<ResponseBody<R>>, E>>
where
    B: Body<Data = Bytes>,
    R: Body<Data = Bytes>,
    F: Future<Output = Result<Response<R>, E>>,
{
    async move {
        stripped_headers::remove(&mut parts.headers);
        if auth.reads_bodies() {
            stripped_headers::remove_upgrade(&mut parts.headers);
        }
        let message = body.capture();
        let mut scope = CallerScope::from_request(auth, caller.as_ref(), &mut parts, message);
        match caller {
            Some(caller) => parts.extensions.insert(caller).map(drop),
            None => {
                parts.extensions.remove::<AuthInfo>(); // set by another resource's layer
                parts.extensions.insert(Anonymous(auth.clone(), scope.name)).map(drop)
            }
        };
        let outcome = {
            let (scope, mut watch) = (&mut scope, None);
            let mut response = pin!(pass_on(Request::from_parts(parts, body)));
            let outcome = poll_fn(move |context| match response.as_mut().poll(context) {
                Poll::Ready(response) => {
                    Poll::Ready(response.map(|response| scope.on_response(response)))
                }
                Poll::Pending => {
                    scope.request.wait();
                    let revoked = scope.poll_revoked(&mut watch, context);
                    revoked.map(|response| Ok(Outcome::Passed(closing(response, has_body))))
                }
            });
            outcome.await?
        };
        Ok(match outcome {
            Outcome::Passed(response) => response,
            Outcome::Pending(answer) => boxed(|| scope.complete(answer)).await,
        })
    }
}

/// Closes the connection after a response if `is_body_left`: the part of a body that was not read would block the next
/// request. The client must be told, or it may send the next request while the connection is being closed (RFC 9112
/// §9.6).
fn closing<R>(mut response: Response<R>, is_body_left: bool) -> Response<R> {
    if is_body_left {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

impl McpAuth {
    /// Admits a request, perhaps as anonymous, and logs it.
    async fn admit_or_anonymous<B: Body<Data = Bytes>>(
        &self,
        parts: &Parts,
        body: B,
    ) -> Result<(Option<AuthInfo>, GuardedBody<B>), Denial> {
        let timeout = async { Box::pin(tokio::time::sleep(BODY_TIMEOUT)).await };
        if self.is_optional() && !parts.headers.contains_key(AUTHORIZATION) {
            // Boxed, so that the future stays small where every request has credentials.
            let body = boxed(|| self.admit_anonymous(timeout, parts, body)).await?;
            decision_log::anonymous(self, parts);
            return Ok((None, body));
        }
        let (caller, body) = self.decide(timeout, parts, body).await?;
        decision_log::admitted(self, &caller, parts);
        Ok((Some(caller), body))
    }

    /// Refuses a request.
    fn refuse_request<R>(
        &self,
        denial: Denial,
        parts: &Parts,
        has_body: bool,
    ) -> Response<ResponseBody<R>> {
        let denial = denial.called_by(self.names().index_for(parts));
        let response = self.log_and_refuse(&denial, RequestNames::of(self, parts));
        closing(response, has_body && !(self.reads_bodies() && denial.is_about_operation()))
    }

    /// Logs a denial, and returns its response.
    pub(crate) fn log_and_refuse<R>(
        &self,
        denial: &Denial,
        request: RequestNames<'_>,
    ) -> Response<ResponseBody<R>> {
        decision_log::refused(self, denial, request);
        self.refuse(denial).map(ResponseBody::whole)
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::future::ready;

    use http_body_util::Full;

    use super::*;

    #[test]
    fn the_future_of_a_request_is_small() {
        let auth = McpAuth::builder("https://api.example.com/mcp")
            .authorization_server("https://auth.example.com")
            .build()
            .expect("a description");
        // Like most services, this one returns a boxed future. The body is as small as most.
        let inner = |_: Request<GuardedBody<Full<Bytes>>>| {
            Box::pin(ready(Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))))
        };
        let (parts, body) = Request::new(Full::default()).into_parts();
        let size = size_of_val(&handle(auth, Ok(()), inner, parts, body));
        assert!(size <= 1032, "{size}");
    }
}

//! The layer and its service: authenticate, authorize, refuse.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONNECTION, HeaderMap, HeaderName, HeaderValue};
use http::request::Parts;
use http::{Request, Response, Version};
use http_body::Body;
use tower_layer::Layer;
use tower_service::Service;

use crate::integrations::tower::caller_scope::{CallerScope, Outcome};
use crate::integrations::tower::extensions::Anonymous;
use crate::integrations::tower::response_body::ResponseBody;
use crate::integrations::tower::{cors, decision_log, hidden_headers};
use crate::model::auth_info::AuthInfo;
use crate::model::denial::Denial;
use crate::model::scheme::Scheme;
use crate::net::box_future::boxed;
use crate::resource::body::GuardedBody;
use crate::resource::mcp_auth::McpAuth;

/// The nonce for the next proof ([RFC 9449 §8.2](https://www.rfc-editor.org/rfc/rfc9449#section-8.2)).
const DPOP_NONCE: HeaderName = HeaderName::from_static("dpop-nonce");

/// How long a body may take, where it is read: a slow line needs it for 4 MiB, and nobody waits longer
/// for a tool to begin.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// Puts [bearer authentication](BearerAuth) before a service. Made by [`McpAuth::bearer_auth`].
#[derive(Clone, Debug)]
pub struct BearerAuthLayer(McpAuth);

/// A service that only admitted requests reach.
///
/// An admitted request has an [`AuthInfo`] in its extensions, and no `Authorization` and `DPoP` header any
/// more, nor one in which a proxy tells of a client certificate (`Client-Cert`, `X-Forwarded-Client-Cert`).
/// Bodies pass as they come, in both directions. A refusal is a response with
/// the [`Denial`](crate::Denial) in its extensions; the inner service does not hear of it.
///
/// Sessions belong to their callers: each `Mcp-Session-Id` that the inner service gives away is sealed to
/// the issuer, subject and client of the request, and so is each id of an event of a stream. For anyone
/// else such a session does not exist. A stream of events ends when the token does with which it was opened.
/// The head of one that answers a `POST` is kept until its first message, 100 ms at most: a handler that
/// [refuses](AuthInfo::require) its caller by then refuses with a 403. Both go by the timer of tokio, which a
/// runtime made by hand must enable.
/// Lists leave out what [`list_only`](crate::McpAuthBuilder::list_only) says, if it is set.
///
/// It knows no paths and has no exemptions: what must be public is mounted beside it.
#[derive(Clone, Debug)]
pub struct BearerAuth<S> {
    auth: McpAuth,
    inner: S,
}

impl McpAuth {
    /// A layer that puts bearer authentication before a service.
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
        // The service that was polled ready takes the request; a clone waits for the next one.
        let next = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, next);
        let (parts, body) = request.into_parts();
        let auth = self.auth.clone();
        boxed(|| handle(auth, Ok(()), move |request| inner.call(request), parts, body))
    }
}

/// One request and its answer. `found` is what was found of it before; `pass_on` gives an admitted one to the inner service.
///
/// Its state is as small as it can be, besides that of what it passes on to: one lies in the heap for each request, and glibc is
/// quick up to 1032 bytes. So what is rare is boxed.
#[expect(clippy::manual_async_fn, reason = "an `async fn` would hold its arguments twice")]
pub(crate) fn handle<B, R, F, E>(
    auth: McpAuth,
    found: Result<(), Denial>,
    pass_on: impl FnOnce(Request<GuardedBody<B>>) -> F,
    mut parts: Parts,
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
        let origin_check = match found.and_then(|()| cors::OriginCheck::of(&parts.headers, origins))
        {
            Ok(origin_check) => origin_check,
            Err(denial) => return Ok(auth.refuse_request(&denial, &parts.headers, has_body)),
        };
        if let Some(answer) = origin_check.preflight(origins, &parts.method, &parts.headers) {
            return Ok(answer.map(ResponseBody::whole));
        }
        let scheme;
        let mut response = match auth.admit_or_anonymous(&parts, body).await {
            Ok((caller, body)) => {
                hidden_headers::remove(&mut parts.headers);
                scheme = caller.as_ref().map(AuthInfo::scheme).unwrap_or_default();
                let scope = CallerScope::from_request(&auth, caller.as_ref(), scheme, &mut parts);
                match caller {
                    Some(caller) => parts.extensions.insert(caller).map(drop),
                    None => {
                        parts.extensions.remove::<AuthInfo>(); // whom another resource admitted
                        parts.extensions.insert(Anonymous(auth.clone())).map(drop)
                    }
                };
                let response = pass_on(Request::from_parts(parts, body)).await?;
                match scope.on_response(response) {
                    Outcome::Passed(response) => response,
                    Outcome::Pending(answer) => boxed(|| scope.complete(answer)).await,
                }
            }
            Err(denial) => {
                scheme = Scheme::of(&parts.headers);
                auth.refuse_request(&denial.under(scheme), &parts.headers, has_body)
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

impl McpAuth {
    /// Admits a request, perhaps as anonymous, and reports it.
    async fn admit_or_anonymous<B: Body<Data = Bytes>>(
        &self,
        parts: &Parts,
        body: B,
    ) -> Result<(Option<AuthInfo>, GuardedBody<B>), Denial> {
        let timeout = async { Box::pin(tokio::time::sleep(BODY_TIMEOUT)).await };
        if self.is_optional() && !parts.headers.contains_key(AUTHORIZATION) {
            // Boxed, so that the state of a request is small where everybody says who they are.
            let body = boxed(|| self.admit_anonymous(timeout, parts, body)).await?;
            decision_log::anonymous(self, &parts.headers);
            return Ok((None, body));
        }
        let (caller, body) = self.decide(timeout, parts, body).await?;
        decision_log::admitted(self, &caller, &parts.headers);
        Ok((Some(caller), body))
    }

    /// Refuses a request. What is not read of a body stands in the way of the next one. Clients must know, or some send it just as
    /// the connection ends (RFC 9112 §9.6).
    fn refuse_request<R>(
        &self,
        denial: &Denial,
        headers: &HeaderMap,
        has_body: bool,
    ) -> Response<ResponseBody<R>> {
        let mut response = self.log_and_refuse(denial, decision_log::asked_for(headers));
        if has_body && !(self.reads_bodies() && denial.is_about_operation()) {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }

    /// Refuses what was asked for, and reports it.
    pub(crate) fn log_and_refuse<R>(
        &self,
        denial: &Denial,
        tool: Option<&HeaderValue>,
    ) -> Response<ResponseBody<R>> {
        decision_log::refused(self, denial, tool);
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
    fn what_lies_in_the_heap_for_a_request_is_small() {
        let auth = McpAuth::builder("https://api.example.com/mcp")
            .authorization_server("https://auth.example.com")
            .build()
            .expect("a description");
        // A service as most are: its future is boxed. A body as small as most.
        let inner = |_: Request<GuardedBody<Full<Bytes>>>| {
            Box::pin(ready(Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))))
        };
        let (parts, body) = Request::new(Full::default()).into_parts();
        let size = size_of_val(&handle(auth, Ok(()), inner, parts, body));
        assert!(size <= 1032, "{size}");
    }
}

//! The door for tower services: admit, refuse, and let web pages in as far as they may.

mod event_lines;
mod event_ids;
mod listed_answer;
mod report;
mod listed_events;
mod stream_end;
mod events;
mod body;
mod session;
mod exchange;
mod refusal;
mod cors;
mod documents;
mod metadata_service;
#[cfg(feature = "client")]
mod server_metadata_service;

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::{Request, Response};
use http_body::Body;
use tower_layer::Layer;
use tower_service::Service;

use crate::denial::Denial;
use crate::mcp_auth::McpAuth;
use crate::token::AuthInfo;

use exchange::Exchange;

pub use body::GuardedBody;
pub use metadata_service::MetadataService;
#[cfg(feature = "client")]
pub use server_metadata_service::ServerMetadataService;

/// Puts [bearer authentication](BearerAuth) before a service. Made by [`McpAuth::bearer_auth`].
#[derive(Clone, Debug)]
pub struct BearerAuthLayer(McpAuth);

/// A service that only admitted requests reach.
///
/// An admitted request has an [`AuthInfo`] in its extensions and no `Authorization` header any more.
/// Bodies pass as they come, in both directions. A refusal is a response with
/// the [`Denial`](crate::Denial) in its extensions; the inner service does not hear of it.
///
/// Sessions belong to their callers: each `Mcp-Session-Id` that the inner service gives away is sealed to
/// the issuer, subject and client of the request, and so is each id of an event of a stream. For anyone
/// else such a session does not exist. A stream of events ends when the token does with which it was opened,
/// by the timer of tokio, which a runtime made by hand must enable.
/// Lists leave out what [`list_only`](crate::McpAuthBuilder::list_only) says, if it is set.
///
/// It knows no paths and has no exemptions: what must be public is mounted beside it.
#[derive(Clone, Debug)]
pub struct BearerAuth<S> {
    auth: McpAuth,
    inner: S,
}

/// In the extensions of an anonymous request: who could tell how to log in.
#[derive(Clone)]
pub(crate) struct Anonymous(pub(crate) McpAuth);

impl McpAuth {
    /// A layer that puts bearer authentication before a service.
    ///
    /// ```
    /// use mcp_auth::McpAuth;
    /// use tower::{Layer, service_fn};
    ///
    /// let auth = McpAuth::builder("https://api.example.com/mcp")
    ///     .authorization_server("https://auth.example.com")
    ///     .build()?;
    /// let service = auth.bearer_auth().layer(service_fn(|request: http::Request<String>| async move {
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
    S: Service<Request<B>, Response = Response<R>> + Clone + Send + 'static,
    S::Future: Send,
    B: Send + 'static,
    R: Body<Data = Bytes> + Send + 'static,
{
    type Response = Response<GuardedBody<R>>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        // The service that was polled ready takes the request; a clone waits for the next one.
        let next = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, next);
        let auth = self.auth.clone();
        Box::pin(async move {
            let visitor = match cors::Visitor::of(request.headers(), auth.allowed_origins()) {
                Ok(visitor) => visitor,
                Err(denial) => return Ok(auth.turn_away(&denial, request.headers())),
            };
            if let Some(answer) = visitor.preflight(request.method(), request.headers()) {
                return Ok(answer.map(GuardedBody::whole));
            }
            let mut response = match auth.admit_visitor(request.headers()).await {
                Ok(caller) => {
                    request.headers_mut().remove(AUTHORIZATION);
                    request.extensions_mut().remove::<AuthInfo>(); // whom another resource admitted
                    let exchange = Exchange::begin(&auth, caller.as_ref(), &mut request);
                    match caller {
                        Some(caller) => request.extensions_mut().insert(caller).map(drop),
                        None => request.extensions_mut().insert(Anonymous(auth)).map(drop),
                    };
                    let response = inner.call(request).await?;
                    exchange.end(response).await
                }
                Err(denial) => auth.turn_away(&denial, request.headers()),
            };
            visitor.expose(response.headers_mut());
            Ok(response)
        })
    }
}

impl McpAuth {
    /// Admits a request, perhaps as anonymous, and reports it.
    async fn admit_visitor(&self, headers: &http::HeaderMap) -> Result<Option<AuthInfo>, Denial> {
        match self.admit(headers).await {
            Ok(caller) => {
                report::admitted(self, &caller, headers);
                Ok(Some(caller))
            }
            Err(denial)
                if self.may_be_anonymous(&denial) && !headers.contains_key(AUTHORIZATION) =>
            {
                report::anonymous(self, headers);
                Ok(None)
            }
            Err(denial) => Err(denial),
        }
    }

    /// Refuses a request, and reports it.
    pub(crate) fn turn_away<R>(
        &self,
        denial: &Denial,
        headers: &http::HeaderMap,
    ) -> Response<GuardedBody<R>> {
        report::refused(self, denial, headers);
        self.refuse(denial).map(GuardedBody::whole)
    }
}

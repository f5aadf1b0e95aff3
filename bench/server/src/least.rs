//! The lower bound of the cost of authorization over HTTP: only what the checks themselves need.
//!
//! It is not a product. It knows one kind of token and one rule, explains nothing, and accepts what strict parsers
//! refuse.

use std::collections::HashMap;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, RwLock};
use std::task::{Context, Poll};
use std::time::{SystemTime, UNIX_EPOCH};

use axum::body::{Body, Bytes, HttpBody};
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, Request, Response, StatusCode};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bench_issuer::{BareKeys, Kind};
use http_body_util::combinators::BoxBody;
use rmcp::ServerHandler;
use rmcp::transport::streamable_http_server::{SessionManager, StreamableHttpService};
use serde::Deserialize;
use tower_layer::Layer;
use tower_service::Service;

/// The caller that a token names, and what it permits.
#[derive(Clone, Deserialize)]
pub struct Caller {
    pub sub: String,
    iss: String,
    aud: String,
    scope: String,
    exp: u64,
}

#[derive(Deserialize)]
struct Header<'h> {
    alg: &'h str,
    kid: &'h str,
}

#[derive(Deserialize)]
struct Message<'m> {
    method: &'m str,
    #[serde(borrow)]
    params: Params<'m>,
}

#[derive(Deserialize)]
struct Params<'m> {
    name: &'m str,
}

/// What is trusted, and the cached tokens: found by their last bytes, and then compared as a whole.
pub struct Known {
    pub keys: Option<Arc<BareKeys>>,
    pub issuer: String,
    pub audience: String,
    pub rules: HashMap<&'static str, &'static str>,
    pub seen: RwLock<HashMap<[u8; 16], (Box<str>, Arc<Caller>)>>,
}

impl Known {
    /// Verifies a token and returns its caller. Does not use the cache.
    pub fn verified(&self, headers: &HeaderMap) -> Option<Caller> {
        let token = token(headers)?;
        let (head, rest) = token.split_once('.')?;
        let (payload, _) = rest.split_once('.')?;
        let head = URL_SAFE_NO_PAD.decode(head).ok()?;
        let head: Header<'_> = serde_json::from_slice(&head).ok()?;
        let kind = Kind::ALL.into_iter().find(|kind| kind.name() == head.kid)?;
        let caller: Caller = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).ok()?).ok()?;
        let is_meant = caller.iss == self.issuer && caller.aud == self.audience;
        let is_true = head.alg == kind.name() && self.keys.as_ref()?.verify(kind, token);
        (is_meant && is_true && caller.may(["read", "write"])).then_some(caller)
    }

    /// Returns the caller of a cached token. Verifies and caches the token at its first use.
    fn recalled(&self, headers: &HeaderMap) -> Option<Arc<Caller>> {
        let token = token(headers)?;
        let end = *token.as_bytes().last_chunk()?;
        let seen = self.seen.read().ok()?;
        if let Some((known, caller)) = seen.get(&end)
            && **known == *token
        {
            return caller.may(["read", "write"]).then(|| caller.clone());
        }
        drop(seen);
        let caller = Arc::new(self.verified(headers)?);
        self.seen.write().ok()?.insert(end, (token.into(), caller.clone()));
        Some(caller)
    }
}

impl Caller {
    fn may<const N: usize>(&self, scopes: [&str; N]) -> bool {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        now < self.exp && scopes.iter().all(|scope| self.scope.split(' ').any(|it| it == *scope))
    }
}

fn token(headers: &HeaderMap) -> Option<&str> {
    headers.get(AUTHORIZATION)?.to_str().ok()?.strip_prefix("Bearer ")
}

/// rmcp's service, called by reference as in `protect_mcp`, and not cloned for each request.
pub struct Uncopied<S, M>(pub Arc<StreamableHttpService<S, M>>);

impl<S, M> Clone for Uncopied<S, M> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<S, M> Service<Request<Body>> for Uncopied<S, M>
where
    S: ServerHandler + Send + 'static,
    M: SessionManager,
{
    type Response = Response<BoxBody<Bytes, Infallible>>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let service = self.0.clone();
        let place = Box::new_uninit(); // first, so that the future is built in place, as in `protect_mcp`
        let future = Box::write(place, async move { Ok(service.handle(request).await) });
        Box::into_pin(future)
    }
}

/// A layer for tool calls.
#[derive(Clone)]
pub struct LeastLayer(pub Arc<Known>);

#[derive(Clone)]
pub struct Least<S>(Arc<Known>, S);

impl<S> Layer<S> for LeastLayer {
    type Service = Least<S>;

    fn layer(&self, inner: S) -> Least<S> {
        Least(self.0.clone(), inner)
    }
}

impl<S, R> Service<Request<Body>> for Least<S>
where
    S: Service<Request<Body>, Response = Response<R>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
    R: HttpBody<Data = Bytes> + Send + 'static,
    R::Error: Into<axum::BoxError>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.1.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let next = self.1.clone();
        let mut inner = std::mem::replace(&mut self.1, next);
        let known = self.0.clone();
        Box::pin(async move {
            let refused = |status| {
                let mut response = Response::new(Body::empty());
                *response.status_mut() = status;
                Ok(response)
            };
            let (mut parts, body) = request.into_parts();
            let Some(caller) = known.recalled(&parts.headers) else {
                return refused(StatusCode::UNAUTHORIZED);
            };
            let Ok(body) = axum::body::to_bytes(body, 4 << 20).await else {
                return refused(StatusCode::BAD_REQUEST);
            };
            let Ok(message) = serde_json::from_slice::<Message<'_>>(&body) else {
                return refused(StatusCode::BAD_REQUEST);
            };
            let rule =
                known.rules.get(message.params.name).filter(|_| message.method == "tools/call");
            if !rule.is_some_and(|scope| caller.may([*scope])) {
                return refused(StatusCode::FORBIDDEN);
            }
            parts.headers.remove(AUTHORIZATION);
            parts.extensions.insert(caller);
            Ok(inner.call(Request::from_parts(parts, Body::from(body))).await?.map(Body::new))
        })
    }
}

//! The routes of a served issuer, and which of them allow cross-origin requests.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::Router;
use axum::body::{Body, HttpBody};
use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use bytes::Bytes;
use http::{HeaderValue, Method, StatusCode, header};
use http_body::Frame;
use serde_json::Value;
use url::form_urlencoded;

use super::authorize::{ask, decide};
use super::client_document::offer_every_scope;
use super::oauth::OAuth;

/// The OAuth endpoints. Any other path may be that of a document.
pub(super) fn routes(oauth: Arc<OAuth>) -> Router {
    Router::new()
        .route("/authorize", get(ask).post(decide))
        .route("/token", post(delegate).options(preflight))
        .route("/revoke", post(revoke).options(preflight))
        .route("/introspect", post(introspect))
        .route("/register", post(register).options(preflight))
        .fallback(document)
        .with_state(oauth)
}

async fn delegate(State(oauth): State<Arc<OAuth>>, request: Request) -> Response {
    oauth.issuer.count();
    let service = oauth.current().await.service;
    open(service.handle(request).await.map(Body::new))
}

/// Answers about the tokens that a test has created. oauth-as answers about those that it has issued.
async fn introspect(State(oauth): State<Arc<OAuth>>, request: Request) -> Response {
    let Ok(request) = whole(request).await else {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    };
    if !oauth.issuer.has_created(&token_of(request.body())) {
        return delegate(State(oauth), request.map(Body::from)).await;
    }
    open(match oauth.issuer.introspect(&request).await {
        Some(answer) => answer.map(Body::from),
        None => Response::new(Body::new(Cut)),
    })
}

/// Revokes a token for a client that oauth-as accepts.
async fn revoke(State(oauth): State<Arc<OAuth>>, request: Request) -> Response {
    let Ok(request) = whole(request).await else {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    };
    let token = token_of(request.body());
    let answer = delegate(State(oauth.clone()), request.map(Body::from)).await;
    if answer.status().is_success() && oauth.issuer.has_created(&token) {
        oauth.issuer.revoke(&token);
    }
    answer
}

/// The request with its whole body.
async fn whole(request: Request) -> Result<http::Request<Bytes>, axum::Error> {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, oauth_as::http::MAX_BODY_BYTES).await?;
    Ok(http::Request::from_parts(parts, body))
}

/// The token that a form is about. Empty if it names none.
fn token_of(form: &[u8]) -> String {
    let mut members = form_urlencoded::parse(form);
    let token = members.find(|(name, _)| name == "token");
    token.map(|(_, token)| token.into_owned()).unwrap_or_default()
}

/// Registers a client for all scopes, whatever it named: otherwise it could never request more scopes.
async fn register(State(oauth): State<Arc<OAuth>>, request: Request) -> Response {
    let Ok(request) = whole(request).await else {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    };
    let (mut parts, body) = request.into_parts();
    // The endpoint refuses a body that is not JSON.
    let body = match serde_json::from_slice::<Value>(&body) {
        Ok(mut metadata) => {
            offer_every_scope(&oauth, &mut metadata);
            Bytes::from(metadata.to_string())
        }
        Err(_) => body,
    };
    parts.headers.remove(header::CONTENT_LENGTH);
    delegate(State(oauth), Request::from_parts(parts, Body::from(body))).await
}

async fn document(State(oauth): State<Arc<OAuth>>, request: Request) -> Response {
    match *request.method() {
        Method::GET | Method::HEAD => {}
        Method::OPTIONS => return preflight().await,
        _ => return StatusCode::METHOD_NOT_ALLOWED.into_response(),
    }
    let url = format!("{}{}", oauth.issuer.url(), request.uri().path());
    open(match oauth.issuer.answer(&url).await {
        Some(answer) => answer.map(Body::from),
        None => Response::new(Body::new(Cut)),
    })
}

/// Answers a CORS preflight request.
async fn preflight() -> Response {
    let headers = [
        (header::ACCESS_CONTROL_ALLOW_METHODS, "GET, POST"),
        (header::ACCESS_CONTROL_ALLOW_HEADERS, "authorization, content-type, mcp-protocol-version"),
        (header::ACCESS_CONTROL_MAX_AGE, "600"),
    ];
    open((StatusCode::NO_CONTENT, headers).into_response())
}

fn open(mut response: Response) -> Response {
    let anyone = HeaderValue::from_static("*");
    let headers = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, anyone);
    response
}

/// A body that breaks the connection.
struct Cut;

impl HttpBody for Cut {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        Poll::Ready(Some(Err(io::ErrorKind::ConnectionReset.into())))
    }
}

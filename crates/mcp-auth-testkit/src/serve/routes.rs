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

use super::authorize::{ask, decide};
use super::client_document::offer_every_scope;
use super::oauth::OAuth;

/// The OAuth endpoints. Any other path may be that of a document.
pub(super) fn routes(oauth: Arc<OAuth>) -> Router {
    Router::new()
        .route("/authorize", get(ask).post(decide))
        .route("/token", post(delegate).options(preflight))
        .route("/revoke", post(delegate).options(preflight))
        .route("/introspect", post(delegate))
        .route("/register", post(register).options(preflight))
        .fallback(document)
        .with_state(oauth)
}

async fn delegate(State(oauth): State<Arc<OAuth>>, request: Request) -> Response {
    oauth.issuer.count();
    let service = oauth.current().await.service;
    open(service.handle(request).await.map(Body::new))
}

/// Registers a client for all scopes, whatever it named: otherwise it could never request more scopes.
async fn register(State(oauth): State<Arc<OAuth>>, request: Request) -> Response {
    let (mut parts, body) = request.into_parts();
    let Ok(body) = axum::body::to_bytes(body, oauth_as::http::MAX_BODY_BYTES).await else {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    };
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

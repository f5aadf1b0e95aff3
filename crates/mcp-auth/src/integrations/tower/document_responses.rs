//! Responses with public documents, which everyone may read, web pages included.

use bytes::Bytes;
use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_MAX_AGE, ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue,
};
use http::{Method, Response, StatusCode};
use http_body_util::Full;

const METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, OPTIONS");

/// The response to a request for a document, whatever its `Accept` and `Origin` are.
pub(super) fn answer(method: &Method, document: impl FnOnce() -> Bytes) -> Response<Full<Bytes>> {
    match *method {
        Method::GET | Method::HEAD => {
            let mut response = with_status(StatusCode::OK, document());
            let headers = response.headers_mut();
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            // Five minutes: clients fetch it often while they log in, and a changed configuration shows soon.
            headers.insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=300"));
            response
        }
        Method::OPTIONS => {
            let mut response = with_status(StatusCode::NO_CONTENT, Bytes::new());
            let headers = response.headers_mut();
            headers.insert(ACCESS_CONTROL_ALLOW_METHODS, METHODS);
            // Clients also send MCP-Protocol-Version here. `*` does not cover Authorization.
            headers
                .insert(ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static("*, Authorization"));
            headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("7200"));
            response
        }
        _ => with_status(StatusCode::METHOD_NOT_ALLOWED, Bytes::new()),
    }
}

pub(super) fn with_status(status: StatusCode, body: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    response.headers_mut().insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    response.headers_mut().insert(ALLOW, METHODS);
    response
}

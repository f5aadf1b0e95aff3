//! GET and POST requests with all limits enforced.

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use tracing::Instrument as _;

use crate::net::fetch::client::{Fetch, Limits};
use crate::net::fetch::error::FetchError;
use crate::util::{shown, url};

/// Fetches a published document.
pub(crate) async fn get_document(
    fetch: Option<&dyn Fetch>,
    url: &str,
    headers: &HeaderMap,
    limits: Limits,
) -> Result<Response<Bytes>, FetchError> {
    let mut request = Request::new(Bytes::new());
    *request.headers_mut() = headers.clone();
    request.headers_mut().entry(ACCEPT).or_insert(HeaderValue::from_static("application/json"));
    only_ok(url, exchange(fetch, url, request, limits).await?)
}

/// Posts a text of this media type to `url`, with the same limits. The response may have any status.
pub(crate) async fn post(
    fetch: Option<&dyn Fetch>,
    url: &str,
    headers: HeaderMap,
    (media_type, text): (&'static str, String),
    limits: Limits,
) -> Result<Response<Bytes>, FetchError> {
    let mut request = Request::new(Bytes::from(text));
    *request.method_mut() = Method::POST;
    *request.headers_mut() = headers;
    request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    exchange(fetch, url, request, limits).await
}

/// Returns a response with status 200. Any other status is an error, also a redirect.
pub(crate) fn only_ok(url: &str, response: Response<Bytes>) -> Result<Response<Bytes>, FetchError> {
    match response.status() {
        StatusCode::OK => Ok(response),
        status => Err(FetchError::Status { url: url.to_owned(), status: status.as_u16() }),
    }
}

/// Sends a request to `url`, which must be `https` or have a loopback host.
async fn exchange(
    fetch: Option<&dyn Fetch>,
    url: &str,
    mut request: Request<Bytes>,
    limits: Limits,
) -> Result<Response<Bytes>, FetchError> {
    let fetch = fetch.ok_or(FetchError::NoClient)?;
    if !url::is_secure(url) {
        return Err(FetchError::Insecure(url.to_owned()));
    }
    *request.uri_mut() = url.parse().map_err(|_| FetchError::Insecure(url.to_owned()))?;
    let span = tracing::debug_span!(
        target: "mcp_auth",
        "fetch",
        url = &*shown::field(url),
        status = tracing::field::Empty,
    );
    let exchange = fetch.fetch(request, limits).instrument(span.clone());
    let response = tokio::time::timeout(limits.timeout, exchange)
        .await
        .unwrap_or(Err(FetchError::Timeout(limits.timeout)))?;
    span.record("status", response.status().as_u16());
    // Responses with another status are reported by the status, whatever their size.
    if response.status() == StatusCode::OK && response.body().len() > limits.max_bytes {
        return Err(FetchError::TooLarge(limits.max_bytes));
    }
    Ok(response)
}

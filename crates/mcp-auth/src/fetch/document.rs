//! One request and its answer, with every limit around it.

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use tracing::Instrument as _;

use super::{Fetch, FetchError, Limits};
use crate::url;

/// Gets a published document.
pub(crate) async fn get_document(
    fetch: &dyn Fetch,
    url: &str,
    headers: &HeaderMap,
    limits: Limits,
) -> Result<Response<Bytes>, FetchError> {
    let mut request = Request::new(Bytes::new());
    *request.headers_mut() = headers.clone();
    request.headers_mut().entry(ACCEPT).or_insert(HeaderValue::from_static("application/json"));
    exchange(fetch, url, request, limits).await
}

/// Posts a form to `url`, under the same limits.
pub(crate) async fn post_form(
    fetch: &dyn Fetch,
    url: &str,
    headers: HeaderMap,
    form: String,
    limits: Limits,
) -> Result<Response<Bytes>, FetchError> {
    post(fetch, url, headers, "application/x-www-form-urlencoded", form, limits).await
}

/// Posts JSON to `url`, under the same limits.
pub(crate) async fn post_json(
    fetch: &dyn Fetch,
    url: &str,
    headers: HeaderMap,
    json: String,
    limits: Limits,
) -> Result<Response<Bytes>, FetchError> {
    post(fetch, url, headers, "application/json", json, limits).await
}

async fn post(
    fetch: &dyn Fetch,
    url: &str,
    headers: HeaderMap,
    content_type: &'static str,
    body: String,
    limits: Limits,
) -> Result<Response<Bytes>, FetchError> {
    let mut request = Request::new(Bytes::from(body));
    *request.method_mut() = Method::POST;
    *request.headers_mut() = headers;
    request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    exchange(fetch, url, request, limits).await
}

/// Sends a request to `url`, which must be `https` or on this machine and answer with status 200.
async fn exchange(
    fetch: &dyn Fetch,
    url: &str,
    mut request: Request<Bytes>,
    limits: Limits,
) -> Result<Response<Bytes>, FetchError> {
    if !url::is_secure(url) {
        return Err(FetchError::Insecure(url.to_owned()));
    }
    *request.uri_mut() = url.parse().map_err(|_| FetchError::Insecure(url.to_owned()))?;
    let span =
        tracing::debug_span!(target: "mcp_auth", "fetch", url, status = tracing::field::Empty);
    let exchange = fetch.fetch(request, limits).instrument(span.clone());
    let response = tokio::time::timeout(limits.timeout, exchange)
        .await
        .unwrap_or(Err(FetchError::Timeout(limits.timeout)))?;
    span.record("status", response.status().as_u16());
    if response.status() != StatusCode::OK {
        return Err(FetchError::Status { url: url.to_owned(), status: response.status().as_u16() });
    }
    if response.body().len() > limits.max_bytes {
        return Err(FetchError::TooLarge(limits.max_bytes));
    }
    Ok(response)
}

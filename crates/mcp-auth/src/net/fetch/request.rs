//! How requests are sent to one server: with which client and headers, to which URLs, and within which limits.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{
    ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderValue,
};
use http::{Method, Request, Response, StatusCode};
use tracing::Instrument as _;

use crate::net::catch_panic::catch_panic;
use crate::net::fetch::client::{Fetch, Limits};
use crate::net::fetch::error::FetchError;
use crate::net::fetch::secret::{Secret, sensitive_header};
use crate::util::json::without_bom;
use crate::util::{shown, url};

/// How requests are sent to one server.
#[derive(Clone)]
pub(crate) struct Outbound {
    /// `None` if the feature `reqwest` is off and no `Fetch` is set.
    pub(crate) fetch: Option<Arc<dyn Fetch>>,
    /// Sent with each request.
    pub(crate) headers: HeaderMap,
    /// Sent with each request that has no `Authorization` of its own.
    pub(crate) bearer: Option<Secret>,
    /// The hosts that plain `http` is allowed to, beside this machine.
    pub(crate) http_hosts: Arc<[Box<str>]>,
}

impl Outbound {
    pub(crate) fn new(fetch: Option<Arc<dyn Fetch>>) -> Self {
        Self { fetch, headers: HeaderMap::new(), bearer: None, http_hosts: Arc::default() }
    }

    /// Fetches a published document. `accept` names its media types. Any status but 200 is an error, also a redirect.
    pub(crate) async fn get(
        &self,
        url: &str,
        accept: &'static str,
        limits: Limits,
    ) -> Result<Response<Bytes>, FetchError> {
        let mut request = Request::new(Bytes::new());
        *request.headers_mut() = self.headers.clone();
        only_ok(url, self.exchange(url, request, accept, limits).await?)
    }

    /// Posts a text of this media type to `url`, with `headers` instead of those for all requests. The response may
    /// have any status.
    pub(crate) async fn post(
        &self,
        url: &str,
        headers: HeaderMap,
        (media_type, text): (&'static str, String),
        accept: &'static str,
        limits: Limits,
    ) -> Result<Response<Bytes>, FetchError> {
        let mut request = Request::new(Bytes::from(text));
        *request.method_mut() = Method::POST;
        *request.headers_mut() = headers;
        request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
        self.exchange(url, request, accept, limits).await
    }

    /// Whether requests are sent to this URL: it is `https`, or its host is this machine or one of `http_hosts`.
    pub(crate) fn allows(&self, url: &str) -> bool {
        url::problem(url, &self.http_hosts).is_none()
    }

    async fn exchange(
        &self,
        url: &str,
        mut request: Request<Bytes>,
        accept: &'static str,
        limits: Limits,
    ) -> Result<Response<Bytes>, FetchError> {
        let fetch = self.fetch.as_deref().ok_or(FetchError::NoClient)?;
        if !self.allows(url) {
            return Err(FetchError::Insecure(url.to_owned()));
        }
        *request.uri_mut() = url.parse().map_err(|_| FetchError::Insecure(url.to_owned()))?;
        let headers = request.headers_mut();
        headers.entry(ACCEPT).or_insert(HeaderValue::from_static(accept));
        // Without it, a server may choose any encoding (RFC 9110 §12.5.3), and a `Fetch` need not decode any.
        headers.entry(ACCEPT_ENCODING).or_insert(HeaderValue::from_static("identity"));
        if let Some(bearer) = self.bearer.as_ref().filter(|_| !headers.contains_key(AUTHORIZATION))
        {
            let token = bearer.current_bearer(limits.timeout).await?;
            headers.extend(sensitive_header("Bearer", &token).map(|it| (AUTHORIZATION, it)));
        }
        let span = tracing::debug_span!(
            target: "mcp_auth",
            "fetch",
            url = &*shown::field(url),
            status = tracing::field::Empty,
        );
        let exchange = catch_panic(|| fetch.fetch(request, limits)).instrument(span.clone());
        let response = tokio::time::timeout(limits.timeout, exchange)
            .await
            .map_err(|_| FetchError::Timeout(limits.timeout))?
            .map_err(|_| FetchError::Panicked)??;
        span.record("status", response.status().as_u16());
        // Responses with another status are reported by the status, whatever their body.
        if response.status() == StatusCode::OK {
            check_body(url, &response, limits)?;
        }
        Ok(response.map(|body| body.slice_ref(without_bom(&body))))
    }
}

/// Checks that the body is not too long, and not compressed. A `Fetch` that decodes may leave the header as it was.
fn check_body(url: &str, response: &Response<Bytes>, limits: Limits) -> Result<(), FetchError> {
    if response.body().len() > limits.max_bytes {
        return Err(FetchError::TooLarge(limits.max_bytes));
    }
    let encoding = response.headers().get(CONTENT_ENCODING).map(HeaderValue::as_bytes);
    let Some(encoding) = encoding.filter(|encoding| !encoding.eq_ignore_ascii_case(b"identity"))
    else {
        return Ok(());
    };
    match std::str::from_utf8(response.body()) {
        Ok(_) => Ok(()),
        Err(_) => Err(FetchError::InvalidDocument {
            url: url.to_owned(),
            why: format!(
                "it is compressed (`Content-Encoding: {}`), though `identity` was asked for",
                shown::field(&String::from_utf8_lossy(encoding)),
            ),
        }),
    }
}

/// Returns a response with status 200. Any other status is an error, also a redirect.
pub(crate) fn only_ok(url: &str, response: Response<Bytes>) -> Result<Response<Bytes>, FetchError> {
    match response.status() {
        StatusCode::OK => Ok(response),
        status => Err(FetchError::Status { url: url.to_owned(), status: status.as_u16() }),
    }
}

//! Filters lists in JSON responses: reads the response as a whole, and rewrites it for its reader.

use std::future::poll_fn;
use std::pin::pin;

use bytes::{Bytes, BytesMut};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use http::{Response, StatusCode};
use http_body::Body;

use crate::policy::list_filter::UnfilterableList;

/// The maximum size of a response that is read as a whole, in bytes: 16 MiB, which is also the maximum of the
/// rmcp client.
const MAX_RESPONSE_BYTES: usize = 16 * 1024 * 1024;

/// Why a response is not passed on: it broke off, or its lists cannot be filtered reliably.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FilterError {
    Broken,
    Encoded,
    TooLong,
    UnfilterableList,
}

impl FilterError {
    /// The label in metrics.
    pub(super) const fn code(self) -> &'static str {
        match self {
            Self::Broken => "broken",
            Self::Encoded => "encoded",
            Self::TooLong => "too_long",
            Self::UnfilterableList => "unreadable",
        }
    }

    /// For the operator: what to change.
    pub(super) const fn advice(self) -> &'static str {
        match self {
            Self::Broken => "the server broke off its answer: see its own log",
            Self::Encoded => {
                "its lists cannot be filtered, since it is compressed: compress outside of `bearer_auth()`"
            }
            Self::TooLong => {
                "its lists cannot be filtered, since it is longer than 16 MiB: let the server page its lists"
            }
            Self::UnfilterableList => {
                "its lists cannot be filtered, since it is not JSON, is longer than 16 MiB, or has a member twice: correct the server"
            }
        }
    }
}

/// The body as rewritten by `rewrite`, or unchanged if `rewrite` returns `None`.
pub(super) async fn rewritten<B: Body<Data = Bytes>>(
    body: B,
    rewrite: impl Fn(&str) -> Result<Option<String>, UnfilterableList>,
) -> Result<Bytes, FilterError> {
    let answer = read_all(body).await?;
    if answer.is_empty() {
        return Ok(answer);
    }
    let text = std::str::from_utf8(&answer).map_err(|_| FilterError::UnfilterableList)?;
    let shown = rewrite(text).map_err(|UnfilterableList| FilterError::UnfilterableList)?;
    Ok(shown.map_or_else(|| answer.clone(), Bytes::from))
}

async fn read_all<B: Body<Data = Bytes>>(body: B) -> Result<Bytes, FilterError> {
    let mut body = pin!(body);
    let mut whole = BytesMut::new();
    while let Some(frame) = poll_fn(|context| body.as_mut().poll_frame(context)).await {
        let data = frame.map_err(|_| FilterError::Broken)?.into_data().unwrap_or_default();
        if whole.len() + data.len() > MAX_RESPONSE_BYTES {
            return Err(FilterError::TooLong);
        }
        whole.extend(data);
    }
    Ok(whole.freeze())
}

/// The response to send instead of one that is not passed on.
pub(super) fn bad_gateway() -> Response<Bytes> {
    let body = r#"{"error":"bad_gateway","error_description":"The answer could not be passed on"}"#;
    let mut response = Response::new(Bytes::from_static(body.as_bytes()));
    *response.status_mut() = StatusCode::BAD_GATEWAY;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

//! The headers that describe the body of a response.

use http::header::{CONTENT_ENCODING, HeaderMap, HeaderName};

/// Whether a value of a header contains `what`, as clients look for it.
pub(super) fn says(headers: &HeaderMap, name: HeaderName, what: &str) -> bool {
    headers.get_all(name).iter().any(|value| {
        value.as_bytes().windows(what.len()).any(|part| part.eq_ignore_ascii_case(what.as_bytes()))
    })
}

/// Whether the body is compressed, so that it cannot be read here.
pub(super) fn is_encoded(headers: &HeaderMap) -> bool {
    headers
        .get_all(CONTENT_ENCODING)
        .iter()
        .any(|encoding| !encoding.as_bytes().trim_ascii().eq_ignore_ascii_case(b"identity"))
}

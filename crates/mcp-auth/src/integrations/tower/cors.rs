//! Requests from web pages: the `Origin` check that MCP requires, and CORS, both with one list of origins.

use bytes::Bytes;
use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS,
    ACCESS_CONTROL_REQUEST_METHOD, HeaderMap, HeaderValue, ORIGIN, VARY,
};
use http::{Method, Response, StatusCode};

use crate::model::denial::Denial;
use crate::util::{origin, shown};

/// The request headers of MCP clients. The `Mcp-Param-*` headers that a preflight request asks for are added.
const ALLOWED_HEADERS: &str = "Authorization, Content-Type, Accept, MCP-Protocol-Version, Mcp-Method, Mcp-Name, Mcp-Session-Id, Last-Event-ID, DPoP";

/// The response headers that MCP clients must be able to read.
const EXPOSED_HEADERS: HeaderValue = HeaderValue::from_static(
    "WWW-Authenticate, Mcp-Session-Id, MCP-Protocol-Version, Retry-After, DPoP-Nonce",
);

/// The maximum number of requested header names that are read. Honest requests have few headers.
const MAX_REQUESTED_HEADERS: usize = 64;

/// The origin of a request: a web page of an allowed origin, or no web page at all.
pub(super) struct OriginCheck(Option<Box<HeaderValue>>);

impl OriginCheck {
    /// Checks the `Origin` header. A request may have none, or one that is allowed; several are refused.
    pub(super) fn of(headers: &HeaderMap, allowed: &[String]) -> Result<Self, Denial> {
        if headers.keys().all(|name| *name != ORIGIN) {
            return Ok(Self(None));
        }
        let mut origins = headers.get_all(ORIGIN).iter();
        let Some(sent) = origins.next() else { return Ok(Self(None)) };
        let is_allowed = sent
            .to_str()
            .is_ok_and(|sent| allowed.iter().any(|entry| origin::matches(entry, sent)));
        if is_allowed && origins.next().is_none() {
            return Ok(Self(Some(sent.clone().into())));
        }
        let origin = shown::field(&String::from_utf8_lossy(sent.as_bytes())).into_owned();
        tracing::debug!(target: "mcp_auth", origin, "a web page of an origin that is not allowed");
        Err(Denial::origin_not_allowed().detail("the request comes from a web page of another origin: if that is wanted, add it with `.allowed_origins(..)`"))
    }

    /// The response to a preflight request, which carries no token. Returns `None` for any other request.
    pub(super) fn preflight(
        &self,
        allowed: &[String],
        method: &Method,
        headers: &HeaderMap,
    ) -> Option<Response<Bytes>> {
        self.0.as_ref()?;
        if method != Method::OPTIONS || !headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD) {
            return None;
        }
        let mut response = Response::new(Bytes::new());
        *response.status_mut() = StatusCode::NO_CONTENT;
        let answer = response.headers_mut();
        answer.insert(
            ACCESS_CONTROL_ALLOW_METHODS,
            HeaderValue::from_static("GET, POST, DELETE, OPTIONS"),
        );
        answer.insert(ACCESS_CONTROL_ALLOW_HEADERS, allowed_headers(headers));
        // Two hours, which is the maximum in Chromium.
        answer.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("7200"));
        self.expose(allowed, answer);
        Some(response)
    }

    /// Lets the web page read the response, refusals included. With several allowed origins, responses differ
    /// by origin (`Vary: Origin`). With the resource's own origin only, `Vary` is not needed: a cached response
    /// never names another origin, so browsers do not let other web pages read it.
    pub(super) fn expose(&self, allowed: &[String], headers: &mut HeaderMap) {
        if allowed.len() > 1 {
            headers.append(VARY, HeaderValue::from_static("Origin"));
        }
        if let Some(origin) = &self.0 {
            headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::clone(origin));
            headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED_HEADERS);
        }
    }
}

/// The allowed headers, with the `Mcp-Param-*` headers that are asked for.
fn allowed_headers(headers: &HeaderMap) -> HeaderValue {
    let requested =
        headers.get(ACCESS_CONTROL_REQUEST_HEADERS).and_then(|value| value.to_str().ok());
    let parameters =
        requested.unwrap_or_default().split(',').map(str::trim).take(MAX_REQUESTED_HEADERS);
    let parameters = parameters.filter(|name| {
        let start = name.get(..10).unwrap_or_default();
        start.eq_ignore_ascii_case("mcp-param-")
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    });
    let list = parameters.fold(ALLOWED_HEADERS.to_owned(), |list, name| list + ", " + name);
    list.try_into().unwrap_or(HeaderValue::from_static(ALLOWED_HEADERS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_mcp_param_headers_are_added_to_access_control_allow_headers() {
        let mut headers = HeaderMap::new();
        headers.insert(
            ACCESS_CONTROL_REQUEST_HEADERS,
            HeaderValue::from_static("authorization, mcp-param-region,x-evil, mcp-param-a b"),
        );
        assert_eq!(allowed_headers(&headers), format!("{ALLOWED_HEADERS}, mcp-param-region"));
    }
}

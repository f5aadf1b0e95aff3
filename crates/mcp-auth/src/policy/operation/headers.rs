//! The MCP headers of a request, and whether the body agrees with them.

use std::borrow::Cow;

use http::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};

use crate::model::error_codes::BadMessage;
use crate::policy::operation::call::Call;

/// The last revision with batches. A request without a version is treated as one of this revision.
const LAST_WITH_BATCHES: &str = "2025-03-26";

/// From this revision on, the headers `Mcp-Method` and `Mcp-Name` must agree with the body.
const FIRST_WITH_HEADERS: &str = "2026-07-28";

fn is_identity(coding: &str) -> bool {
    let coding = coding.trim();
    coding.is_empty() || coding.eq_ignore_ascii_case("identity")
}

/// Whether nothing in a media type could be read as another encoding than UTF-8.
fn is_in_utf8(media_type: &str) -> bool {
    const CHARSET: &str = "charset";
    let is_named = |text: &[u8]| text.eq_ignore_ascii_case(CHARSET.as_bytes());
    if !media_type.as_bytes().windows(CHARSET.len()).any(is_named) {
        return true;
    }
    let media_type = media_type.to_ascii_lowercase();
    media_type.split(CHARSET).skip(1).all(|rest| {
        let value = rest.trim_start().strip_prefix('=').unwrap_or_default();
        let value = value.split(';').next().unwrap_or_default().trim();
        matches!(value, "utf-8" | "utf8" | "\"utf-8\"" | "\"utf8\"")
    })
}

/// The headers with the version, the method and the name.
const MCP: [HeaderName; 3] = [
    HeaderName::from_static("mcp-protocol-version"),
    HeaderName::from_static("mcp-method"),
    HeaderName::from_static("mcp-name"),
];

/// The relevant headers, not parsed.
pub(super) struct RawHeaders<'h> {
    declares_plain_utf8: bool,
    /// The values of the headers in [`MCP`].
    mcp: [Option<&'h HeaderValue>; 3],
    headers: &'h HeaderMap,
}

impl<'h> RawHeaders<'h> {
    /// Looks at each header once.
    pub(super) fn of(headers: &'h HeaderMap) -> Self {
        let (mut declares_plain_utf8, mut mcp) = (true, [None; 3]);
        for (name, value) in headers {
            if *name == CONTENT_TYPE {
                declares_plain_utf8 &=
                    value == "application/json" || value.to_str().is_ok_and(is_in_utf8);
            } else if *name == CONTENT_ENCODING {
                declares_plain_utf8 &= value.to_str().is_ok_and(is_identity);
            } else if let Some((_, place)) = MCP.iter().zip(&mut mcp).find(|(it, _)| *it == name) {
                *place = Some(value);
            }
        }
        Self { declares_plain_utf8, mcp, headers }
    }

    /// Whether the headers declare a body that is neither compressed nor in another encoding than UTF-8. JSON
    /// is always in UTF-8 ([RFC 8259 §8.1](https://www.rfc-editor.org/rfc/rfc8259#section-8.1)), but `charset`
    /// changes the encoding for some servers: in UTF-7, plain ASCII hides other members.
    pub(super) fn declares_plain_utf8(&self) -> bool {
        self.declares_plain_utf8
    }
}

/// The parsed MCP headers.
pub(super) struct McpHeaders<'h> {
    version: Option<&'h str>,
    method: Option<&'h str>,
    name: Option<Cow<'h, str>>,
}

impl<'h> McpHeaders<'h> {
    pub(super) fn of(raw: &RawHeaders<'h>) -> Result<Self, BadMessage> {
        let headers = raw.headers;
        let is_ours = |name: &HeaderName| name.as_str().starts_with("mcp-");
        // If a header is repeated, it is not defined which one counts. Usually no header is repeated.
        if headers.keys_len() < headers.len() {
            let comes_twice = |name| headers.get_all(name).iter().nth(1).is_some();
            if headers.keys().any(|name| is_ours(name) && comes_twice(name)) {
                return Err(BadMessage::HeaderMismatch);
            }
        }
        let text = |value: &'h HeaderValue| value.to_str().map_err(|_| BadMessage::HeaderMismatch);
        let [version, method, name] = raw.mcp;
        let version = version.map(text).transpose()?;
        if version.is_none_or(|version| version < FIRST_WITH_HEADERS) {
            // In older revisions nothing validates these headers, so they are ignored.
            return Ok(Self { version, method: None, name: None });
        }
        let plain = |value| decoded(text(value)?).ok_or(BadMessage::HeaderMismatch);
        Ok(Self {
            version,
            method: method.map(text).transpose()?,
            name: name.map(plain).transpose()?,
        })
    }

    /// Whether the protocol version has batches.
    pub(super) fn allows_batches(&self) -> bool {
        self.version.is_none_or(|version| version <= LAST_WITH_BATCHES)
    }

    /// Whether the protocol version no longer has `resources/subscribe` and `resources/unsubscribe`. Then it is
    /// for the server to refuse them.
    pub(super) fn lacks_subscriptions(&self) -> bool {
        self.version.is_some_and(|version| version >= FIRST_WITH_HEADERS)
    }

    /// Checks that headers and body agree
    /// ([MCP, Server Validation](https://modelcontextprotocol.io/specification/2026-07-28/basic/transports/streamable-http#server-validation)).
    pub(super) fn check_against_body(
        &self,
        call: &Call<'_>,
        version: Option<&str>,
    ) -> Result<(), BadMessage> {
        let must = |agree: bool| if agree { Ok(()) } else { Err(BadMessage::HeaderMismatch) };
        let Some(method) = &call.method else { return Ok(()) };
        must(version.is_none() || version == self.version)?;
        if self.version.is_none_or(|version| version < FIRST_WITH_HEADERS) {
            return Ok(());
        }
        // These headers are not defined for notifications, and `initialize` is older than they are.
        let may_lack = call.id.is_none() || method == "initialize";
        must(self.method.map_or(may_lack, |header| header == method))?;
        let mut names = call.names();
        match (has_name_header(method), names.next(), &self.name) {
            (true, Some(name), Some(header)) => must(header == name),
            (true, Some(_), None) => must(may_lack),
            _ => Ok(()),
        }
    }
}

/// Whether `Mcp-Name` contains the target of this method.
fn has_name_header(method: &str) -> bool {
    matches!(
        method,
        "prompts/get"
            | "resources/read"
            | "resources/subscribe"
            | "resources/unsubscribe"
            | "tasks/cancel"
            | "tasks/get"
            | "tasks/update"
            | "tools/call"
    )
}

/// Decodes a header's value. A value that is not allowed in a header is wrapped in base64
/// ([MCP, Value Encoding](https://modelcontextprotocol.io/specification/2026-07-28/basic/transports/streamable-http#value-encoding)).
fn decoded(value: &str) -> Option<Cow<'_, str>> {
    let Some(wrapped) = value.strip_prefix("=?base64?").and_then(|rest| rest.strip_suffix("?="))
    else {
        return Some(Cow::Borrowed(value));
    };
    let bytes = base64_simd::STANDARD.decode_to_vec(wrapped).ok()?;
    String::from_utf8(bytes).ok().map(Cow::Owned)
}

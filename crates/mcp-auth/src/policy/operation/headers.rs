//! The MCP headers of a request, and whether the body agrees with them.

use std::borrow::Cow;

use http::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};

use crate::model::denial::Denial;
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

const VERSION: &str = "MCP-Protocol-Version";
const METHOD: &str = "Mcp-Method";
const NAME: &str = "Mcp-Name";

/// The headers with the version, the method and the name.
const MCP: [HeaderName; 3] = [
    HeaderName::from_static("mcp-protocol-version"),
    HeaderName::from_static("mcp-method"),
    HeaderName::from_static("mcp-name"),
];

/// A refusal that says which header is wrong.
#[cold]
fn mismatch(header: &str, is: &str) -> Denial {
    Denial::bad_message(BadMessage::HeaderMismatch)
        .message(format!("Header mismatch: {header} {is}"))
        .detail(format!("{header} {is}: the client, or a proxy on the way, is at fault"))
}

/// Checks that a header says what the body says. It may be missing where the specification does not require it.
fn check_same(
    header: &str,
    given: Option<&str>,
    in_body: &str,
    may_lack: bool,
) -> Result<(), Denial> {
    match given {
        Some(given) if given == in_body => Ok(()),
        Some(_) => Err(mismatch(header, "differs from the body")),
        None if may_lack => Ok(()),
        None => Err(mismatch(header, "is missing")),
    }
}

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
    pub(super) fn of(raw: &RawHeaders<'h>) -> Result<Self, Denial> {
        let headers = raw.headers;
        let is_ours = |name: &HeaderName| name.as_str().starts_with("mcp-");
        // If a header is repeated, it is not defined which one counts. Usually no header is repeated.
        if headers.keys_len() < headers.len() {
            let comes_twice = |name: &&HeaderName| headers.get_all(*name).iter().nth(1).is_some();
            if let Some(name) = headers.keys().filter(|name| is_ours(name)).find(comes_twice) {
                // The client chooses the names of other headers.
                let is_it = |known: &&str| known.eq_ignore_ascii_case(name.as_str());
                let known = [VERSION, METHOD, NAME].into_iter().find(is_it);
                let name = known.unwrap_or("a header that begins with Mcp-");
                return Err(mismatch(name, "comes twice"));
            }
        }
        let text = |value: &'h HeaderValue, name| {
            value.to_str().map_err(|_| mismatch(name, "has bytes beyond ASCII"))
        };
        let [version, method, name] = raw.mcp;
        let version = version.map(|value| text(value, VERSION)).transpose()?;
        if version.is_none_or(|version| version < FIRST_WITH_HEADERS) {
            // In older revisions nothing validates these headers, so they are ignored.
            return Ok(Self { version, method: None, name: None });
        }
        let plain = |value| {
            decoded(text(value, NAME)?).ok_or_else(|| mismatch(NAME, "is not valid base64"))
        };
        Ok(Self {
            version,
            method: method.map(|value| text(value, METHOD)).transpose()?,
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
    ) -> Result<(), Denial> {
        let Some(method) = &call.method else { return Ok(()) };
        version.map_or(Ok(()), |version| check_same(VERSION, self.version, version, false))?;
        if self.version.is_none_or(|version| version < FIRST_WITH_HEADERS) {
            return Ok(());
        }
        // These headers are not defined for notifications, and `initialize` is older than they are.
        let may_lack = call.id.is_none() || method == "initialize";
        check_same(METHOD, self.method, method, may_lack)?;
        match call.names().next().filter(|_| has_name_header(method)) {
            Some(name) => check_same(NAME, self.name.as_deref(), name, may_lack),
            None => Ok(()),
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

//! Headers that the inner service does not see: those of the sender, and names that could pass for MCP headers.

use http::header::{AUTHORIZATION, CONNECTION, HeaderMap, HeaderName, UPGRADE};

/// The headers that identify the sender, in addition to `Authorization`: a DPoP proof, and client certificates
/// from a proxy.
const SENDER_HEADERS: [&str; 4] =
    ["dpop", "client-cert", "client-cert-chain", "x-forwarded-client-cert"];

/// The headers that are verified, or compared with the body, before the inner service gets them.
const CHECKED_HEADERS: [&str; 5] =
    ["last-event-id", "mcp-method", "mcp-name", "mcp-protocol-version", "mcp-session-id"];

/// The lengths of these names, one bit for each. Most other headers are skipped by their length.
const LENGTHS: u32 = lengths(&SENDER_HEADERS) | lengths(&CHECKED_HEADERS);

const fn lengths(names: &[&str]) -> u32 {
    match names {
        [] => 0,
        [name, rest @ ..] => 1 << name.len() | lengths(rest),
    }
}

/// Removes the hidden headers. The inner service learns who the sender is from the layer, or not at all.
pub(super) fn remove(headers: &mut HeaderMap) {
    headers.remove(AUTHORIZATION);
    // One pass over the names, because few requests have any of the other headers.
    let others: Vec<HeaderName> = headers.keys().filter(|name| is_hidden(name)).cloned().collect();
    for name in others {
        headers.remove(name);
    }
}

/// Removes a request for an upgrade, with the other headers that belong to the connection
/// ([RFC 9110 §7.6.1](https://www.rfc-editor.org/rfc/rfc9110#section-7.6.1)), so that nothing behind the layer
/// switches protocols.
pub(super) fn remove_upgrade(headers: &mut HeaderMap) {
    // One pass over the names is faster than a lookup.
    if headers.keys().any(|name| *name == UPGRADE) {
        headers.remove(UPGRADE);
        headers.remove(CONNECTION);
        headers.remove("http2-settings");
    }
}

/// CGI and WSGI gateways do not distinguish `_` from `-`, and some treat other characters in the same way. An
/// application behind such a gateway would take the name for a header of the sender, or for one that was
/// checked.
fn is_hidden(name: &HeaderName) -> bool {
    let name = name.as_str();
    if name.len() >= 32 || LENGTHS >> name.len() & 1 == 0 {
        return false;
    }
    SENDER_HEADERS.iter().any(|hidden| is_spelling_of(name, hidden))
        || CHECKED_HEADERS.iter().any(|checked| is_spelling_of(name, checked) && name != *checked)
}

fn is_spelling_of(name: &str, other: &str) -> bool {
    let is_as = |(byte, as_byte): (u8, u8)| {
        byte == as_byte || (as_byte == b'-' && !byte.is_ascii_alphanumeric())
    };
    name.len() == other.len() && name.bytes().zip(other.bytes()).all(is_as)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sender_headers_and_odd_spellings_of_mcp_headers_are_hidden() {
        for (name, expected) in [
            ("dpop", true),
            ("client-cert", true),
            ("client_cert", true),
            ("client.cert", true),
            ("client-cert_chain", true),
            ("x_forwarded!client~cert", true),
            ("mcp-session-id", false),
            ("mcp_session-id", true),
            ("mcp-session_id", true),
            ("last.event.id", true),
            ("mcp-param-a", false),
            ("mcp_param_a", false),
            ("dpop-nonce", false),
            ("client-certs", false),
            ("clientacert", false),
            ("host", false),
            ("x_real_ip", false),
        ] {
            assert_eq!(is_hidden(&HeaderName::from_static(name)), expected, "{name}");
        }
    }
}

//! Headers that the inner service does not see: what tells who the sender is, and what could be taken for one of MCP's.

use http::header::{AUTHORIZATION, HeaderMap, HeaderName};

/// What tells who the sender is, besides `Authorization`: a proof, and what a proxy says of a certificate.
const OF_SENDER: [&str; 4] =
    ["dpop", "client-cert", "client-cert-chain", "x-forwarded-client-cert"];

/// The headers that were opened, or compared with the body, before the inner service gets them.
const JUDGED: [&str; 5] =
    ["last-event-id", "mcp-method", "mcp-name", "mcp-protocol-version", "mcp-session-id"];

/// How long these names are, a bit for each length: of most headers no more is looked at.
const LENGTHS: u32 = lengths(&OF_SENDER) | lengths(&JUDGED);

const fn lengths(names: &[&str]) -> u32 {
    match names {
        [] => 0,
        [name, rest @ ..] => 1 << name.len() | lengths(rest),
    }
}

/// Removes them. Who the sender is, the inner service has from us, or not at all.
pub(super) fn remove(headers: &mut HeaderMap) {
    headers.remove(AUTHORIZATION);
    // One look at each name, since few requests have any of the others.
    let others: Vec<HeaderName> = headers.keys().filter(|name| is_hidden(name)).cloned().collect();
    for name in others {
        headers.remove(name);
    }
}

/// Gateways to scripts (CGI, WSGI) do not tell `_` from `-`, and some take any other sign for it too: to what stands
/// behind them, such a name is that of a header of the sender, or of one that was judged.
fn is_hidden(name: &HeaderName) -> bool {
    let name = name.as_str();
    if name.len() >= 32 || LENGTHS >> name.len() & 1 == 0 {
        return false;
    }
    OF_SENDER.iter().any(|hidden| reads_as(name, hidden))
        || JUDGED.iter().any(|judged| reads_as(name, judged) && name != *judged)
}

fn reads_as(name: &str, other: &str) -> bool {
    let is_as = |(byte, as_byte): (u8, u8)| {
        byte == as_byte || (as_byte == b'-' && !byte.is_ascii_alphanumeric())
    };
    name.len() == other.len() && name.bytes().zip(other.bytes()).all(is_as)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_hidden_by_table() {
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

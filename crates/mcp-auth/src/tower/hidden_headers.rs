//! Headers that the inner service does not see: what tells who the sender is, and what could be taken for one of MCP's.

use http::header::{AUTHORIZATION, HeaderMap, HeaderName};

/// What tells who the sender is, besides `Authorization`: a proof, and what a proxy says of a certificate.
const OF_SENDER: [&str; 4] =
    ["dpop", "client-cert", "client-cert-chain", "x-forwarded-client-cert"];

/// The headers that were opened, or compared with the body, before the inner service gets them.
const JUDGED: [&str; 5] =
    ["last-event-id", "mcp-method", "mcp-name", "mcp-protocol-version", "mcp-session-id"];

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
    if name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
        return OF_SENDER.contains(&name);
    }
    let name = &*name.replace(|c: char| !c.is_ascii_alphanumeric(), "-");
    OF_SENDER.contains(&name) || JUDGED.contains(&name)
}

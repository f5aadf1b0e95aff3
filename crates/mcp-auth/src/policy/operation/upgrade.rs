//! Requests to leave HTTP. Rules see the messages of HTTP requests, not those of an upgraded connection.

use http::Method;
use http::header::{HeaderMap, UPGRADE};

use crate::model::denial::Denial;
use crate::model::error_codes::BadMessage;

/// What Java clients offer over plain HTTP: `java.net.http` offers `h2c` with its first request, and Apache
/// HttpClient 5.4 offers TLS with every request. An element of a list may be empty.
const HARMLESS: [&str; 3] = ["h2c", "TLS/1.2", ""];

/// Checks that a request stays in HTTP.
///
/// Some protocols are offered by honest clients, and a server may ignore them
/// ([RFC 9110 §7.8](https://www.rfc-editor.org/rfc/rfc9110#section-7.8)). The layer removes them.
pub(crate) fn check_no_upgrade(method: &Method, headers: &HeaderMap) -> Result<(), Denial> {
    let is_harmless = |protocols: &str| {
        protocols.split(',').all(|protocol| {
            HARMLESS.iter().any(|harmless| protocol.trim().eq_ignore_ascii_case(harmless))
        })
    };
    // One pass over the few headers is faster than a lookup.
    let mut upgrades = headers.iter().filter(|(name, _)| **name == UPGRADE);
    if method == Method::CONNECT
        || !upgrades.all(|(_, protocols)| protocols.to_str().is_ok_and(is_harmless))
    {
        return Err(Denial::bad_message(BadMessage::Upgrade));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn only_what_honest_clients_offer_is_harmless() {
        for (values, expected) in [
            (&[][..], true),
            (&[""], true),
            (&["h2c"], true),
            (&[" H2C "], true),
            (&["h2c, h2c", "h2c"], true),
            (&["websocket"], false),
            (&["h2c, websocket"], false),
            (&["h2c", "WebSocket"], false),
            (&["h2c,"], true),
            (&[", ,h2c"], true),
            (&["TLS/1.2"], true),
            (&["tls/1.2, h2c"], true),
            (&["h2c", "TLS/1.2"], true),
            (&["TLS/1.2, websocket"], false),
            (&["h2c,,websocket"], false),
            (&["TLS/1.2 websocket"], false),
            (&["TLS"], false),
            (&["h2"], false),
            (&["TLS/1.3"], false),
            (&["h2c\u{e9}"], false),
        ] {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(UPGRADE, HeaderValue::from_bytes(value.as_bytes()).expect("one"));
            }
            assert_eq!(check_no_upgrade(&Method::POST, &headers).is_ok(), expected, "{values:?}");
        }
        assert!(check_no_upgrade(&Method::CONNECT, &HeaderMap::new()).is_err());
    }
}

//! Requests to leave HTTP. Rules see the messages of HTTP requests, not those of an upgraded connection.

use http::Method;
use http::header::{HeaderMap, UPGRADE};

use crate::model::denial::Denial;
use crate::model::error_codes::BadMessage;

/// Checks that a request stays in HTTP.
///
/// `Upgrade: h2c` is harmless and frequent: Java's HTTP client sends it with its first request. A server may ignore it
/// ([RFC 9110 §7.8](https://www.rfc-editor.org/rfc/rfc9110#section-7.8)), and the layer removes it.
pub(crate) fn check_no_upgrade(method: &Method, headers: &HeaderMap) -> Result<(), Denial> {
    let is_h2c = |protocol: &str| protocol.trim().eq_ignore_ascii_case("h2c");
    let is_harmless =
        |protocols: &str| protocols.trim().is_empty() || protocols.split(',').all(is_h2c);
    let mut upgrades = headers.get_all(UPGRADE).iter();
    if method == Method::CONNECT
        || !upgrades.all(|protocols| protocols.to_str().is_ok_and(is_harmless))
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
    fn only_h2c_is_harmless() {
        for (values, expected) in [
            (&[][..], true),
            (&[""], true),
            (&["h2c"], true),
            (&[" H2C "], true),
            (&["h2c, h2c", "h2c"], true),
            (&["websocket"], false),
            (&["h2c, websocket"], false),
            (&["h2c", "WebSocket"], false),
            (&["h2c,"], false),
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

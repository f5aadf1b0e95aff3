//! Redirect URIs: which are allowed, and how they are shown.

use url::{Host, Url};

/// Whether `requested` equals `registered` except for the port of a loopback address
/// (RFC 8252 §7.3; `localhost` is included, since native clients use it).
pub(super) fn is_same_loopback(registered: &str, requested: &str) -> bool {
    let (Ok(mut registered), Ok(mut requested)) = (Url::parse(registered), Url::parse(requested))
    else {
        return false;
    };
    // Every URL with a host can have a port, so this cannot fail for a loopback URL.
    is_loopback(&registered)
        && registered.set_port(None).is_ok()
        && requested.set_port(None).is_ok()
        && registered == requested
}

pub(super) fn is_loopback(url: &Url) -> bool {
    url.scheme() == "http"
        && match url.host() {
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            Some(Host::Domain(name)) => name == "localhost",
            None => false,
        }
}

/// The origin of a redirect URI, or its scheme if it has no tuple origin. It is shown to the user and is
/// a source in `Content-Security-Policy`, and contains no character that could end either.
pub(super) fn origin(redirect_uri: &str) -> String {
    match Url::parse(redirect_uri) {
        Ok(url) if url.origin().is_tuple() => url.origin().ascii_serialization(),
        Ok(url) => format!("{}:", url.scheme()),
        Err(_) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_port_of_a_loopback_address_may_differ() {
        assert!(is_same_loopback("http://localhost/cb", "http://localhost:4711/cb"));
        assert!(is_same_loopback("http://127.0.0.1:1/cb", "http://127.0.0.1:2/cb"));
        assert!(!is_same_loopback("http://localhost/cb", "http://localhost:4711/other"));
        assert!(!is_same_loopback("http://localhost/cb", "http://evil.example:4711/cb"));
        assert!(!is_same_loopback("https://a.example/cb", "https://a.example:4711/cb"));
    }

    #[test]
    fn an_origin_is_safe_in_a_header() {
        assert_eq!(origin("https://a.example/cb;script-src *"), "https://a.example");
        assert_eq!(origin("cursor://anysphere/cb"), "cursor:");
        assert_eq!(origin("not a url"), "");
    }
}

//! The host and the path of a request, as resources are found by them.

use http::header;
use http::request::Parts;
use http::uri::{Authority, Scheme};

/// A path without the slash at its end.
pub(crate) fn trimmed(path: &str) -> &str {
    path.strip_suffix('/').unwrap_or(path)
}

/// The host of a request: of its target, if that has one
/// ([RFC 9112 §3.2.2](https://www.rfc-editor.org/rfc/rfc9112#section-3.2.2)), or of its one `Host` header.
pub(crate) fn request_host(request: &Parts) -> Option<Box<str>> {
    let mut hosts = request.headers.get_all(header::HOST).iter();
    let named = hosts.next();
    if hosts.next().is_some() {
        return None;
    }
    match request.uri.authority() {
        Some(authority) => Some(host_of(request.uri.scheme(), authority)),
        None => {
            let authority: Authority = named?.to_str().ok()?.parse().ok()?;
            Some(host_of(None, &authority))
        }
    }
}

/// Host and port in lower case, without the default port.
pub(crate) fn host_of(scheme: Option<&Scheme>, authority: &Authority) -> Box<str> {
    let default_ports: &[u16] = match scheme {
        Some(scheme) if *scheme == Scheme::HTTP => &[80],
        Some(scheme) if *scheme == Scheme::HTTPS => &[443],
        // A `Host` header does not say which scheme a proxy has received.
        _ => &[80, 443],
    };
    let host = authority.host().to_ascii_lowercase();
    match authority.port_u16().filter(|port| !default_ports.contains(port)) {
        Some(port) => format!("{host}:{port}").into(),
        None => host.into(),
    }
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    #[test]
    fn the_host_is_that_of_the_target() {
        for (target, hosts, expected) in [
            ("/mcp", &["mcp.example.com"] as &[&str], Some("mcp.example.com")),
            ("/mcp", &["MCP.example.com:443"], Some("mcp.example.com")),
            ("/mcp", &["mcp.example.com:8443"], Some("mcp.example.com:8443")),
            ("/mcp", &["[::1]:8080"], Some("[::1]:8080")),
            ("http://evil.example/mcp", &["mcp.example.com"], Some("evil.example")),
            ("https://mcp.example.com:443/mcp", &["evil.example"], Some("mcp.example.com")),
            ("/mcp", &[], None),
            ("/mcp", &["a", "b"], None),
            ("/mcp", &["a b"], None),
            ("/mcp", &["user@mcp.example.com"], Some("mcp.example.com")),
        ] {
            let request = hosts
                .iter()
                .fold(Request::get(target), |request, host| request.header(header::HOST, *host));
            let (request, ()) = request.body(()).expect(target).into_parts();
            assert_eq!(request_host(&request).as_deref(), expected, "{target} {hosts:?}");
        }
    }
}

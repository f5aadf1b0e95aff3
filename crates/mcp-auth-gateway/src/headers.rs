//! Which headers are passed on, in both directions.

use http::header::{self, HeaderMap, HeaderName};

/// Headers of one connection ([RFC 9110 §7.6.1](https://www.rfc-editor.org/rfc/rfc9110#section-7.6.1)).
const HOP_BY_HOP: [&str; 9] = [
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Headers by which servers learn who calls, through whom, or what for. A client must not write them, and this gateway does
/// not trust those who claim to be proxies.
const IDENTITY: [&str; 24] = [
    "api-key",
    "authorization",
    "cf-connecting-ip",
    "client-cert",
    "client-cert-chain",
    "cookie",
    "dpop",
    "forwarded",
    "true-client-ip",
    "via",
    "x-access-token",
    "x-api-key",
    "x-authorization",
    "x-client-dn",
    "x-client-ip",
    "x-client-verify",
    "x-cluster-client-ip",
    "x-id-token",
    "x-method-override",
    "x-real-ip",
    "x-token",
    "x-user",
    "x-userinfo",
    "x-username",
];

/// Prefixes of such headers, as proxies and servers know them.
const IDENTITY_PREFIXES: [&str; 31] = [
    "cf-access-",
    "proxy-",
    "remote-",
    "ssl-client-",
    "tailscale-",
    "x-amzn-oidc-",
    "x-apigateway-",
    "x-auth-",
    "x-authenticated-",
    "x-authentik-",
    "x-client-cert",
    "x-consumer-",
    "x-credential-",
    "x-endpoint-api-",
    "x-envoy-",
    "x-forwarded-",
    "x-goog-",
    "x-http-method",
    "x-jwt-",
    "x-mcp-auth-",
    "x-ms-client-principal",
    "x-ms-token-",
    "x-original-",
    "x-pomerium-",
    "x-remote-",
    "x-rewrite-",
    "x-spiffe-",
    "x-ssl-",
    "x-user-id",
    "x-vouch-",
    "x-webauth-",
];

/// Removes what an upstream must not get from a client.
///
/// A server that runs as a CGI or WSGI application takes `X_Forwarded_For` and `X.Forwarded.For` for `X-Forwarded-For`, so
/// each sign counts as a hyphen.
pub(crate) fn strip_request(headers: &mut HeaderMap) {
    remove_named_by_connection(headers);
    remove(headers, |name| {
        let is_of_connection = HOP_BY_HOP.contains(&name) || name == "host";
        let name = name.as_bytes();
        is_of_connection
            || IDENTITY.iter().any(|known| name.len() == known.len() && begins_with(name, known))
            || IDENTITY_PREFIXES.iter().any(|prefix| begins_with(name, prefix))
    });
}

/// Whether a name begins with a prefix in lower case, if each sign counts as a hyphen.
fn begins_with(name: &[u8], prefix: &str) -> bool {
    let is_like = |(byte, expected): (&u8, u8)| match byte.is_ascii_alphanumeric() {
        true => *byte == expected,
        false => expected == b'-',
    };
    name.len() >= prefix.len() && name.iter().zip(prefix.bytes()).all(is_like)
}

/// What concerns the whole origin, which is the gateway's, or leads elsewhere.
const OF_ORIGIN: [&str; 7] = [
    "alt-svc",
    "clear-site-data",
    "location",
    "refresh",
    "set-cookie",
    "set-cookie2",
    "strict-transport-security",
];

/// Removes what a client must not get from an upstream: headers of the connection, cookies, which a client could not send
/// back, and what concerns the whole origin.
pub(crate) fn strip_response(headers: &mut HeaderMap) {
    remove_named_by_connection(headers);
    remove(headers, |name| {
        HOP_BY_HOP.contains(&name)
            || OF_ORIGIN.contains(&name)
            || name.starts_with("access-control-")
    });
}

/// Removes a header that the gateway writes itself, in each spelling that a server could take for it.
pub(crate) fn remove_spellings(headers: &mut HeaderMap, name: &HeaderName) {
    remove(headers, |other| is_spelling_of(other, name.as_str()));
}

/// Whether a server could take one name of a header, in lower case, for the other.
pub(crate) fn is_spelling_of(name: &str, other: &str) -> bool {
    let with_hyphens = |byte: u8| if byte.is_ascii_alphanumeric() { byte } else { b'-' };
    name.len() == other.len() && name.bytes().map(with_hyphens).eq(other.bytes().map(with_hyphens))
}

/// Whether a header belongs to the message or its connection, so that a configuration must not set it.
pub(crate) fn is_reserved(name: &HeaderName) -> bool {
    HOP_BY_HOP.contains(&name.as_str())
        || matches!(*name, header::HOST | header::ACCEPT | header::ORIGIN | header::EXPECT)
        || ["content-", "mcp-", "last-event-id"]
            .iter()
            .any(|prefix| name.as_str().starts_with(prefix))
}

/// Removes the headers that `Connection` names.
fn remove_named_by_connection(headers: &mut HeaderMap) {
    let values = headers.get_all(header::CONNECTION).iter();
    let names = values.flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    let names = names.filter_map(|name| HeaderName::from_bytes(name.trim_ascii()).ok());
    // Most name what is removed anyway (`keep-alive`), or no header at all (`close`): nothing is allocated for them.
    let named: Vec<_> = names.filter(|name| headers.contains_key(name) && is_named(name)).collect();
    for name in named {
        headers.remove(name);
    }
}

/// Whether a header is one of the connection because `Connection` names it. Some are needed for the message itself, whoever
/// names them.
fn is_named(name: &HeaderName) -> bool {
    let is_needed = matches!(*name, header::CONTENT_LENGTH | header::CONTENT_TYPE | header::HOST);
    !is_needed && !HOP_BY_HOP.contains(&name.as_str())
}

/// Removes headers by their names. One pass over the few that are there is faster than a look-up of each that may be.
fn remove(headers: &mut HeaderMap, is_unwanted: impl Fn(&str) -> bool) {
    let unwanted: Vec<_> =
        headers.keys().filter(|name| is_unwanted(name.as_str())).cloned().collect();
    for name in unwanted {
        headers.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn names(headers: &HeaderMap) -> Vec<&str> {
        let mut names: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        names
    }

    fn with(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().fold(HeaderMap::new(), |mut headers, (name, value)| {
            headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
            headers
        })
    }

    #[test]
    fn an_upstream_gets_no_credentials_and_no_headers_of_the_connection() {
        let mut headers = with(&[
            ("accept", "application/json"),
            ("content-type", "application/json"),
            ("content-length", "2"),
            ("mcp-session-id", "1"),
            ("mcp-protocol-version", "2025-11-25"),
            ("mcp-param-x", "1"),
            ("last-event-id", "1"),
            ("traceparent", "00-1"),
            ("user-agent", "client"),
            ("authorization", "Bearer x"),
            ("dpop", "x"),
            ("cookie", "a=b"),
            ("proxy-authorization", "Basic x"),
            ("proxy-anything", "x"),
            ("connection", "close, X-Internal , content-type"),
            ("connection", " , @, x-other"),
            ("x-internal", "1"),
            ("x-other", "1"),
            ("keep-alive", "1"),
            ("te", "trailers"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "h2c"),
            ("host", "mcp.example.com"),
            ("forwarded", "for=1"),
            ("x-forwarded-for", "1"),
            ("x-forwarded-user", "root"),
            ("x_forwarded_user", "root"),
            ("x.forwarded.user", "root"),
            ("remote-user", "root"),
            ("x-webauth-user", "root"),
            ("ssl-client-verify", "SUCCESS"),
            ("x-original-url", "/admin"),
            ("x-http-method-override", "DELETE"),
            ("trailer", "x-forwarded-user"),
            ("x-auth-request-user", "root"),
            ("x_auth_subject", "root"),
            ("x-ms-client-principal-name", "root"),
            ("x_ms_token_aad_id_token", "x"),
            ("cf-access-jwt-assertion", "x"),
            ("x-consumer-username", "root"),
            ("x-authentik-username", "root"),
            ("x_userinfo", "x"),
            ("x-user", "root"),
            ("x-token", "x"),
            ("true-client-ip", "1"),
            ("x-mcp-auth-subject", "root"),
            ("x-remote-user", "root"),
            ("x-real-ip", "1"),
            ("client-cert", "x"),
            ("client_cert", "x"),
            ("x-client-cert-hash", "x"),
            ("x-api-key", "x"),
        ]);
        strip_request(&mut headers);
        assert_eq!(
            names(&headers),
            [
                "accept",
                "content-length",
                "content-type",
                "last-event-id",
                "mcp-param-x",
                "mcp-protocol-version",
                "mcp-session-id",
                "traceparent",
                "user-agent",
            ]
        );
    }

    #[test]
    fn a_client_gets_no_cookies_and_no_headers_of_the_connection() {
        let mut headers = with(&[
            ("content-type", "text/event-stream"),
            ("cache-control", "no-cache"),
            ("mcp-session-id", "1"),
            ("set-cookie", "a=b"),
            ("clear-site-data", "*"),
            ("alt-svc", "h3"),
            ("location", "http://10.0.0.1/"),
            ("connection", "keep-alive, x-hop"),
            ("x-hop", "1"),
            ("keep-alive", "timeout=5"),
            ("transfer-encoding", "chunked"),
            ("access-control-allow-origin", "*"),
        ]);
        strip_response(&mut headers);
        assert_eq!(names(&headers), ["cache-control", "content-type", "mcp-session-id"]);
    }
}

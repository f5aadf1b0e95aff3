//! Splits and normalizes URLs as text: a round trip through a URL type would add a slash to `https://host`.

/// Splits an `http` or `https` URL into scheme, authority, and the rest (path, query, fragment). Returns `None`
/// for any other text.
pub(crate) fn split(url: &str) -> Option<(&str, &str, &str)> {
    let (scheme, rest) = url.split_once("://")?;
    let is_http = scheme.eq_ignore_ascii_case("https") || scheme.eq_ignore_ascii_case("http");
    let (authority, rest) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let is_plain = |c: char| c.is_ascii_graphic() && !"\"<>\\^`{|}".contains(c);
    let has_host = host_and_port(authority).is_some();
    (is_http && has_host && url.chars().all(is_plain)).then_some((scheme, authority, rest))
}

/// The normal form of a URL without its query and fragment
/// ([RFC 3986 §6.2.2](https://www.rfc-editor.org/rfc/rfc3986#section-6.2.2) and §6.2.3): scheme and host in
/// lower case, no default port, no dot segments, no needless percent-encoding. Returns `None` if the URL is
/// invalid.
pub(crate) fn normal(url: &str) -> Option<String> {
    let (scheme, authority, rest) = split(url)?;
    let (scheme, authority) = (scheme.to_ascii_lowercase(), authority.to_ascii_lowercase());
    let default_port = if scheme == "https" { ":443" } else { ":80" };
    let authority = authority.strip_suffix(default_port).unwrap_or(&authority);
    let authority = authority.strip_suffix(':').unwrap_or(authority);
    let path = rest.split(['?', '#']).next().unwrap_or_default();
    Some(format!("{scheme}://{authority}{}", normal_path(path)?))
}

/// The normal form of a path: no dot segments, no needless percent-encoding, never empty. Returns `None` if a
/// `%` is not followed by two hexadecimal digits.
pub(crate) fn normal_path(path: &str) -> Option<String> {
    let decoded = decode_unreserved(path)?;
    let mut kept: Vec<&str> = Vec::new();
    let mut segments = decoded.strip_prefix('/').unwrap_or(&decoded).split('/').peekable();
    while let Some(segment) = segments.next() {
        let is_last = segments.peek().is_none();
        match segment {
            ".." => drop(kept.pop()),
            "." => {}
            segment => {
                kept.push(segment);
                continue;
            }
        }
        if is_last {
            kept.push("");
        }
    }
    Some(format!("/{}", kept.join("/")))
}

/// Decodes percent-encoded unreserved characters, and writes other percent-encodings in upper case. Returns
/// `None` if a `%` is not followed by two hexadecimal digits.
fn decode_unreserved(text: &str) -> Option<String> {
    let mut parts = text.split('%');
    let mut decoded = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (digits, rest) = part.split_at_checked(2)?;
        let is_hex = digits.bytes().all(|b| b.is_ascii_hexdigit());
        let byte = u8::from_str_radix(digits, 16).ok().filter(|_| is_hex)?;
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            decoded.push(char::from(byte));
        } else {
            decoded.push('%');
            decoded.push_str(&digits.to_ascii_uppercase());
        }
        decoded.push_str(rest);
    }
    Some(decoded)
}

/// Whether data sent to this URL stays confidential: the URL is `https`, or `http` to this machine.
pub(crate) fn is_secure(url: &str) -> bool {
    problem(url, &[]).is_none()
}

/// Why nothing is sent to this URL. Returns `None` if it is `https`, or `http` to this machine or to one of `http_hosts`.
pub(crate) fn problem(url: &str, http_hosts: &[Box<str>]) -> Option<&'static str> {
    let Some((scheme, authority, _)) = split(url) else {
        return Some(match url.split_once("://") {
            None => "it is relative, or no URL at all: https is required, and a host",
            Some(_) if !url.is_ascii() => {
                "it has characters beyond ASCII: a host name must be in its form with `xn--`, anything else percent-encoded"
            }
            Some((scheme, _))
                if !["https", "http"].iter().any(|it| scheme.eq_ignore_ascii_case(it)) =>
            {
                "https is required, and this is another scheme"
            }
            Some((_, rest)) if rest.split('/').next().unwrap_or_default().contains('@') => {
                "a user name in a URL is not sent"
            }
            Some(_) => "it is not a valid URL",
        });
    };
    let host = host_and_port(authority).map_or("", |(host, _)| host);
    let bare = |host: &str| host.trim_matches(['[', ']']).to_ascii_lowercase();
    let is_named = || http_hosts.iter().any(|named| bare(named) == bare(host));
    let is_allowed = scheme.eq_ignore_ascii_case("https") || is_loopback_host(host) || is_named();
    (!is_allowed).then_some("https is required, except for a loopback address")
}

/// Host and port of a URL in lower case, without the default port of its scheme.
pub(crate) fn authority(url: &str) -> Option<String> {
    let (scheme, authority, _) = split(url)?;
    let default_port = if scheme.eq_ignore_ascii_case("https") { ":443" } else { ":80" };
    let authority = authority.strip_suffix(default_port).unwrap_or(authority);
    Some(authority.to_ascii_lowercase())
}

pub(crate) fn is_https(url: &str) -> bool {
    split(url).is_some_and(|(scheme, _, _)| scheme.eq_ignore_ascii_case("https"))
}

/// Whether the host is `localhost`, in 127.0.0.0/8, or `[::1]`.
pub(crate) fn is_loopback_host(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost")
        || address.parse().is_ok_and(|address: std::net::IpAddr| address.is_loopback())
}

/// Splits an authority into its host and port. An IPv6 address keeps its brackets. Returns `None` if the host
/// is empty, the port is invalid, or there is user information.
pub(crate) fn host_and_port(authority: &str) -> Option<(&str, Option<u16>)> {
    let end = match authority.starts_with('[') {
        true => authority.find(']')? + 1,
        false => authority.find(':').unwrap_or(authority.len()),
    };
    let (host, port) = authority.split_at(end);
    let port = match port.strip_prefix(':') {
        Some("") => None,
        Some(port) if port.bytes().all(|byte| byte.is_ascii_digit()) => Some(port.parse().ok()?),
        None if port.is_empty() => None,
        _ => return None,
    };
    (!host.is_empty() && !host.contains('@')).then_some((host, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_normalized() {
        for (url, expected) in [
            ("https://api.example.com/mcp", Some("https://api.example.com/mcp")),
            ("HTTPS://API.Example.COM/mcp", Some("https://api.example.com/mcp")),
            ("https://api.example.com:443/mcp", Some("https://api.example.com/mcp")),
            ("http://localhost:80", Some("http://localhost/")),
            ("https://h:8443/", Some("https://h:8443/")),
            ("https://h:80/", Some("https://h:80/")),
            ("https://h:/x", Some("https://h/x")),
            ("https://h", Some("https://h/")),
            ("https://h?x=1", Some("https://h/")),
            ("https://h/a?x=1#y", Some("https://h/a")),
            ("https://h/a#y?x", Some("https://h/a")),
            ("https://h/a/", Some("https://h/a/")),
            ("https://h/a//b", Some("https://h/a//b")),
            ("https://h/A", Some("https://h/A")),
            ("https://h/%6Dcp/%7euser", Some("https://h/mcp/~user")),
            ("https://h/a%2fb%3f", Some("https://h/a%2Fb%3F")),
            ("https://h/x/../mcp", Some("https://h/mcp")),
            ("https://h/./mcp/.", Some("https://h/mcp/")),
            ("https://h/mcp/..", Some("https://h/")),
            ("https://h/../../mcp", Some("https://h/mcp")),
            ("https://h/x/%2e%2E/mcp", Some("https://h/mcp")),
            ("https://h/a%", None),
            ("https://h/a%2", None),
            ("https://h/a%zz", None),
            ("https://h/a%+1", None),
            ("https://h/a%é", None),
            ("https://user@h/", None),
            ("https://h::80/", None),
            ("https://h:70000/", None),
            ("https://h:https/", None),
            ("https://[::1/", None),
            ("ftp://h/", None),
            ("/mcp", None),
            ("", None),
        ] {
            assert_eq!(normal(url).as_deref(), expected, "{url}");
        }
    }

    #[test]
    fn authorities_are_split_into_host_and_port() {
        for (authority, expected) in [
            ("h", Some(("h", None))),
            ("h:", Some(("h", None))),
            ("h:80", Some(("h", Some(80)))),
            ("h:080", Some(("h", Some(80)))),
            ("h:65535", Some(("h", Some(65535)))),
            ("[::1]", Some(("[::1]", None))),
            ("[::1]:8080", Some(("[::1]", Some(8080)))),
            ("h:65536", None),
            ("h::80", None),
            ("h:+80", None),
            ("h:80x", None),
            ("h:*", None),
            ("::1", None),
            ("[::1", None),
            ("[::1]80", None),
            ("[::1]::80", None),
            ("u@h", None),
            ("u:80@h", None),
            ("h@", None),
            (":80", None),
            ("", None),
        ] {
            assert_eq!(host_and_port(authority), expected, "{authority}");
        }
    }

    #[test]
    fn a_url_to_which_nothing_is_sent_has_its_reason() {
        for (url, why) in [
            ("/jwks", "relative"),
            ("jwks.json", "relative"),
            ("", "relative"),
            ("https://schlüssel.example/jwks", "xn--"),
            ("https://h/schlüssel", "percent-encoded"),
            ("ftp://h/jwks", "scheme"),
            ("https://user@h/jwks", "user name"),
            ("https://h/{jwks}", "not a valid URL"),
            ("http://h/jwks", "https is required"),
        ] {
            assert!(problem(url, &[]).is_some_and(|said| said.contains(why)), "{url}");
        }
        let named: [Box<str>; 2] = ["keycloak".into(), "fd00::1".into()];
        for (url, is_allowed) in [
            ("http://keycloak", true),
            ("http://KEYCLOAK:8080/x", true),
            ("http://[FD00::1]:8080/x", true),
            ("http://[fd00::2]/x", false),
            ("http://keycloak.example", false),
            ("http://not-keycloak", false),
            ("ftp://keycloak", false),
            ("http://keycloak@evil.example", false),
        ] {
            assert_eq!(problem(url, &named).is_none(), is_allowed, "{url}");
        }
    }

    #[test]
    fn only_https_and_this_machine_are_secure() {
        for (url, secure) in [
            ("https://h", true),
            ("HTTPS://h/x", true),
            ("http://localhost:3000/x", true),
            ("http://127.0.0.1", true),
            ("http://127.8.9.1:1", true),
            ("http://[::1]:3000/", true),
            ("http://h", false),
            ("http://localhost.evil.example", false),
            ("http://127.0.0.1.evil.example", false),
            ("http://127.0.0.1@evil.example", false),
            ("https://user@h", false),
            ("http://evil.example/?localhost", false),
            ("ftp://localhost", false),
            ("https://", false),
            ("https://h/a b", false),
            ("https://h/\n", false),
            ("file:///etc/passwd", false),
            ("localhost", false),
        ] {
            assert_eq!(is_secure(url), secure, "{url}");
        }
    }
}

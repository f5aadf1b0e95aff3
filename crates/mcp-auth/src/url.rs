//! URLs as the text they are: taken apart, never put through a URL type and back (`https://host` would gain a slash).

/// A URL as scheme, authority, and the rest (path, query, fragment). Only `http` and `https`.
pub(crate) fn split(url: &str) -> Option<(&str, &str, &str)> {
    let (scheme, rest) = url.split_once("://")?;
    let is_http = scheme.eq_ignore_ascii_case("https") || scheme.eq_ignore_ascii_case("http");
    let (authority, rest) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let is_plain = |c: char| c.is_ascii_graphic() && !"\"<>\\^`{|}".contains(c);
    let has_host = !host(authority).is_empty() && !authority.contains('@');
    (is_http && has_host && url.chars().all(is_plain)).then_some((scheme, authority, rest))
}

/// Whether what is sent there stays secret: `https`, or `http` within this machine.
pub(crate) fn is_secure(url: &str) -> bool {
    is_https(url) || split(url).is_some_and(|(_, authority, _)| is_loopback_host(host(authority)))
}

pub(crate) fn is_https(url: &str) -> bool {
    split(url).is_some_and(|(scheme, _, _)| scheme.eq_ignore_ascii_case("https"))
}

/// `localhost`, 127.0.0.0/8 or [::1].
pub(crate) fn is_loopback_host(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost")
        || address.parse().is_ok_and(|address: std::net::IpAddr| address.is_loopback())
}

fn host(authority: &str) -> &str {
    match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => host,
        _ => authority,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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

//! The other ways in which servers read a canonical URI.

use std::borrow::Cow;

/// What comes before the query or the fragment of a URI, of a template or of a pattern, also where its mark is
/// percent-encoded, since some servers decode a URI before they parse it. Returns `None` if it has none.
pub(super) fn before_query(uri: &str) -> Option<&str> {
    if !uri.bytes().any(|byte| matches!(byte, b'?' | b'#' | b'%')) {
        return None;
    }
    let marks = ["?", "#", "%3F", "%23"];
    let (path, _) = uri.split_at(marks.iter().filter_map(|mark| uri.find(mark)).min()?);
    Some(path.strip_suffix('{').unwrap_or(path))
}

/// A URI without the slash at its end, or with one: many servers take both for the same.
pub(super) fn with_other_end(uri: &str) -> Cow<'_, str> {
    match uri.strip_suffix('/') {
        Some(shorter) => shorter.into(),
        None => [uri, "/"].concat().into(),
    }
}

/// A URI with its host in lower case, and with spaces for plus signs. Returns `None` if that is the same. Python's
/// `urlsplit` changes the case of a host, and Java's `URLDecoder` decodes a plus sign.
pub(super) fn folded(uri: &str) -> Option<String> {
    let (start, end) = authority(uri).unwrap_or_default();
    let host = uri.get(start..end)?;
    if !host.bytes().any(|b| b.is_ascii_uppercase()) && !uri.contains('+') {
        return None;
    }
    let rest = uri.get(end..)?.replace('+', "%20");
    Some([uri.get(..start)?, &host.to_ascii_lowercase(), &rest].concat()).filter(|it| it != uri)
}

/// A URI without its port and user information, and without the slash after an empty host. For a file, the host as
/// a part of the path. Returns `None` if it has none of these.
pub(super) fn with_plain_authority(uri: &str) -> Option<String> {
    let (start, end) = authority(uri)?;
    let (scheme, rest) = (uri.get(..start)?, uri.get(end..)?);
    let whole = uri.get(start..end)?;
    if scheme == "file://" {
        return (!whole.is_empty()).then(|| ["file:///", whole, rest].concat());
    }
    if whole.is_empty() {
        return Some([scheme, rest.strip_prefix('/')?].concat());
    }
    let host = whole.rsplit('@').next().unwrap_or(whole);
    let is_port = |(_, port): &(&str, &str)| port.bytes().all(|b| b.is_ascii_digit());
    let host = host.rsplit_once(':').filter(is_port).map_or(host, |(host, _)| host);
    (host != whole).then(|| [scheme, host, rest].concat())
}

/// A URI without the zeros before its port. Returns `None` if it has none.
pub(super) fn with_short_port(uri: &str) -> Option<String> {
    let (authority, rest) = uri.split_at_checked(authority(uri)?.1)?;
    let (host, port) = authority.rsplit_once(':')?;
    let is_long = port.len() > 1 && port.starts_with('0');
    let short = port.trim_start_matches('0');
    (is_long && port.bytes().all(|b| b.is_ascii_digit()))
        .then(|| [host, ":", if short.is_empty() { "0" } else { short }, rest].concat())
}

/// Where the authority of a URI begins and ends. Returns `None` if it has none.
fn authority(uri: &str) -> Option<(usize, usize)> {
    let (scheme, rest) = uri.split_once(':')?;
    let (start, rest) = (scheme.len() + 3, rest.strip_prefix("//")?);
    Some((start, start + rest.find(['/', '?', '#']).unwrap_or(rest.len())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_may_have_zeros() {
        for (uri, short) in [
            ("n://a:080/b", Some("n://a:80/b")),
            ("n://a:00", Some("n://a:0")),
            ("n://a:0", None),
            ("n://a:80", None),
            ("n://a/:00", None),
            ("n://00", None),
            ("n:00", None),
        ] {
            assert_eq!(with_short_port(uri).as_deref(), short, "{uri}");
        }
    }

    #[test]
    fn a_uri_has_other_readings() {
        for (uri, path) in [
            ("n://a/b", None),
            ("n://a/b?c?d", Some("n://a/b")),
            ("n://a/b%3Fc?d", Some("n://a/b")),
            ("n://a/b%23c", Some("n://a/b")),
            ("n://a/b#c?d", Some("n://a/b")),
            ("n://a/b{?c,d}", Some("n://a/b")),
        ] {
            assert_eq!(before_query(uri), path, "{uri}");
        }
        assert_eq!(with_other_end("n://a/b"), "n://a/b/");
        assert_eq!(with_other_end("n://a/b/"), "n://a/b");
        for (uri, other) in [
            ("n://Alice/B", Some("n://alice/B")),
            ("n://a/b+c", Some("n://a/b%20c")),
            ("n:a+b", Some("n:a%20b")),
            ("n://alice/B", None),
            ("n:Alice", None),
            ("n:a/B://C", None),
        ] {
            assert_eq!(folded(uri).as_deref(), other, "{uri}");
        }
        for (uri, plain) in [
            ("n://a:1/b", Some("n://a/b")),
            ("n://u@a/b", Some("n://a/b")),
            ("n://u:p@a:1", Some("n://a")),
            ("n://[::1]:1/b", Some("n://[::1]/b")),
            ("n://[::1]/b", None),
            ("n://a/b", None),
            ("n:///a/b", Some("n://a/b")),
            ("file:///a", None),
            ("file://a/b", Some("file:///a/b")),
            ("urn:a:1", None),
        ] {
            assert_eq!(with_plain_authority(uri).as_deref(), plain, "{uri}");
        }
    }
}

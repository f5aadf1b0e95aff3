//! URIs as rules compare them, in a form that every server reads in the same way.

use std::borrow::Cow;
use std::net::{Ipv4Addr, Ipv6Addr};

/// A URI as rules compare it. Characters that are not allowed in a URI are percent-encoded, with capital
/// digits. Characters that are allowed in every segment of a path are decoded, since servers decode what they
/// take from a template ([RFC 3986 §6.2.2](https://www.rfc-editor.org/rfc/rfc3986#section-6.2.2), slightly
/// extended). Braces stay, and with them the variables of a template.
pub(super) fn encoded(uri: &str) -> Cow<'_, str> {
    if uri.bytes().all(|byte| is_allowed_in_uri(byte) && byte != b'%') {
        return Cow::Borrowed(uri);
    }
    let mut encoded = String::with_capacity(uri.len() + 32);
    let (mut rest, mut is_path) = (uri.as_bytes(), true);
    while let [first, after @ ..] = rest {
        rest = after;
        let digits = after.get(..2).filter(|_| *first == b'%');
        let digits = digits.and_then(|digits| std::str::from_utf8(digits).ok());
        let byte = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match byte {
            Some(byte) => {
                rest = after.get(2..).unwrap_or_default();
                if is_path && is_plain_in_paths(byte) {
                    encoded.push(byte.into());
                } else {
                    encoded += &format!("%{byte:02X}");
                }
            }
            None if is_allowed_in_uri(*first) => {
                is_path &= !matches!(first, b'?' | b'#');
                encoded.push((*first).into());
            }
            None => encoded += &format!("%{first:02X}"),
        }
    }
    Cow::Owned(encoded)
}

/// Whether a character means the same in a path whether it is encoded or not. `*` is not included: in a rule it
/// would be a wildcard.
fn is_plain_in_paths(byte: u8) -> bool {
    matches!(
        byte,
        b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'+' | b',' | b':' | b';' | b'=' | b'@'
    )
}

/// Whether a byte is allowed in a URI, or in a URI template.
fn is_allowed_in_uri(byte: u8) -> bool {
    byte.is_ascii_graphic() && !matches!(byte, b'"' | b'<' | b'>' | b'\\' | b'^' | b'`' | b'|')
}

/// Whether a URI is in its normal form: no dot segments, no capitals in its scheme, no needless
/// percent-encoding ([RFC 3986 §6.2.2](https://www.rfc-editor.org/rfc/rfc3986#section-6.2.2)), and nothing that
/// a browser's URL parser removes or changes: spaces around it, backslashes, an empty port
/// ([URL](https://url.spec.whatwg.org/#url-parsing)). Every server reads such a URI in the same way.
pub(super) fn is_normal(uri: &str) -> bool {
    let (scheme, rest) = uri.split_once(':').unwrap_or((uri, ""));
    let is_dots = |segment: &str| matches!(segment, "." | "..");
    if uri.trim_matches(' ').len() != uri.len()
        || uri.contains('\\')
        || scheme.bytes().any(|b| b.is_ascii_uppercase())
        || !has_normal_authority(scheme, rest)
    {
        return false;
    }
    let mut decoded = String::with_capacity(uri.len());
    let mut rest = uri;
    while let Some((before, encoded)) = rest.split_once('%') {
        decoded.push_str(before);
        let byte = encoded.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match byte {
            None => return false,
            Some(b'-' | b'.' | b'_' | b'~' | b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z') => {
                return false;
            }
            Some(0..=0x1f | 0x7f) => return false,
            Some(byte) => decoded.push(if byte.is_ascii() { byte.into() } else { '\u{fffd}' }),
        }
        rest = &encoded[2..];
    }
    decoded.push_str(rest);
    !decoded.split(['/', '\\', '?', '#']).any(is_dots)
}

/// Whether the authority is written in the one way that URL parsers leave unchanged.
fn has_normal_authority(scheme: &str, rest: &str) -> bool {
    let default_port = match scheme {
        "file" => Some(""),
        "ftp" => Some("21"),
        "http" | "ws" => Some("80"),
        "https" | "wss" => Some("443"),
        _ => None,
    };
    let Some(rest) = rest.strip_prefix("//") else { return default_port.is_none() };
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let (user, host) = match authority.rsplit_once('@') {
        Some((user, host)) => (Some(user), host),
        None => (None, authority),
    };
    let (host, port) = match host.rsplit_once(':').filter(|(_, port)| !port.contains(']')) {
        Some((host, port)) => (host, Some(port)),
        None => (host, None),
    };
    let is_user = |user: &str| !user.is_empty() && !user.ends_with(':') && !user.contains('@');
    let is_port = |port: &str| !port.is_empty() && (port == "0" || !port.starts_with('0'));
    if !user.is_none_or(is_user) || !port.is_none_or(is_port) || !is_normal_address(host) {
        return false;
    }
    match default_port {
        None => true,
        // A drive letter may be followed by `|` instead of `:`.
        Some("") if host.is_empty() => authority.is_empty() && !path.contains('|'),
        Some("") if host == "localhost" => false,
        Some(_) if user.is_some() || port == default_port => false,
        Some(_) => (path.starts_with('/') || host.contains('{')) && is_normal_domain(host),
    }
}

/// Whether a host in brackets is an IPv6 address in its shortest form. Returns `true` for any other host.
fn is_normal_address(host: &str) -> bool {
    let Some(address) = host.strip_prefix('[') else { return true };
    let address = address.strip_suffix(']').unwrap_or_default();
    let parsed = address.parse::<Ipv6Addr>();
    !address.contains('.') && parsed.is_ok_and(|parsed| parsed.to_string() == address)
}

/// Whether a web host has only lower-case ASCII characters, and an IPv4 address only its usual form. It may
/// contain variables of a template.
fn is_normal_domain(host: &str) -> bool {
    if host.starts_with('[') {
        return true;
    }
    let mut is_variable = false;
    let is_letter = |c: char| {
        is_variable = c == '{' || (is_variable && c != '}');
        is_variable || matches!(c, '}' | 'a'..='z' | '0'..='9' | '-' | '.' | '_')
    };
    let last = host.strip_suffix('.').unwrap_or(host).rsplit('.').next().unwrap_or_default();
    !host.is_empty()
        && host.chars().all(is_letter)
        && (!last.starts_with(|c: char| c.is_ascii_digit()) || host.parse::<Ipv4Addr>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn normalized_uris_are_recognized() {
        let rows = [
            ("notes://alice/1", true),
            ("notes://Alice/1", true),
            ("file:///a%20b/c%2Fd", true),
            ("file:///%C3%A9", true),
            ("urn:x:y", true),
            ("notes://a/..b/b..", true),
            ("notes://a/../b", false),
            ("notes://a/./b", false),
            ("notes://a/..", false),
            ("notes://a/..?x", false),
            ("notes://a/%2e%2e/b", false),
            ("notes://a%2f..%2fb", false),
            ("notes://a\\..\\b", false),
            ("notes://a%5c..%5cb", false),
            ("notes://%61lice", false),
            ("NOTES://alice", false),
            ("notes://a%", false),
            ("notes://a%2", false),
            ("notes://a%zz", false),
            ("notes://a%+1", false),
            ("notes://a%00", false),
            (" notes://a", false),
            ("notes://a ", false),
            ("notes://a/b c", true),
            ("notes://a\\b", false),
            ("notes://a@b.example/1", true),
            ("notes://@a/1", false),
            ("notes://a:/1", false),
            ("notes://[::1]:80/1", true),
            ("notes://[0::1]/1", false),
            ("https://a.example/", true),
            ("https://a.example", false),
            ("https://A.example/", false),
            ("https://a.example:443/", false),
            ("https://a.example:8443/", true),
            ("https:/a.example/", false),
            ("https://{Host}.example/{+path}", true),
            ("http://127.0.0.1/", true),
            ("http://127.1/", false),
            ("http://[::1]/", true),
            ("file:///a", true),
            ("file://server/a", true),
            ("file://localhost/a", false),
            ("file:///C|/a", false),
        ];
        for (uri, normal) in rows {
            assert_eq!(is_normal(uri), normal, "{uri}");
        }
    }

    #[test]
    fn characters_not_allowed_in_a_uri_are_encoded() {
        for (uri, normal) in [
            ("n://a/b%2Fc?d=e#f", "n://a/b%2Fc?d=e#f"),
            ("n://a/%c3%a9", "n://a/%C3%A9"),
            ("n://a/é b", "n://a/%C3%A9%20b"),
            ("n://{owner}/<*>", "n://{owner}/%3C*%3E"),
            ("n://abc/%", "n://abc/%"),
            ("n://a%40b/%3a%2B+%2f%2a?c%40d#e%40", "n://a@b/:++%2F%2A?c%40d#e%40"),
            ("", ""),
        ] {
            assert_eq!(encoded(uri), normal, "{uri}");
        }
    }
}

//! The canonical form of URIs, which every server reads in the same way.

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::policy::tool_scopes::fold::normalized;

/// Whether a character means the same in a path whether it is encoded or not. Both spellings are canonical, since
/// clients encode these characters in the value of a variable
/// ([RFC 6570 §3.2.2](https://www.rfc-editor.org/rfc/rfc6570#section-3.2.2)). `*` is not included: in a rule it
/// would be a wildcard.
pub(super) fn is_plain_in_paths(byte: u8) -> bool {
    matches!(
        byte,
        b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'+' | b',' | b':' | b';' | b'=' | b'@'
    )
}

/// Checks that a URI is in canonical form
/// ([RFC 3986 §6.2.2](https://www.rfc-editor.org/rfc/rfc3986#section-6.2.2), and stricter).
///
/// Servers parse a URI, or match it as text, before or after they decode it; and they use it as a path. The canonical
/// form has no empty segments and no dot segments; no fragment; each character that may be written as itself is, and no
/// other, except that some may be written in both ways; nothing that a browser's URL parser removes or changes
/// ([URL](https://url.spec.whatwg.org/#url-parsing)), except what the folded form knows. A query may follow.
///
/// # Errors
///
/// What is not canonical.
pub(super) fn check(uri: &str) -> Result<(), &'static str> {
    let (scheme, rest) = uri.split_once(':').ok_or("it has no scheme")?;
    let is_letter = |b: u8| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'+' | b'-' | b'.');
    if !scheme.starts_with(|c: char| c.is_ascii_lowercase()) || !scheme.bytes().all(is_letter) {
        return Err("its scheme is not in lower case");
    }
    let (authority, path) = match rest.strip_prefix("//") {
        Some(rest) => rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len())),
        None if rest.starts_with('/') => return Err("it has one slash after its scheme"),
        None => ("", rest),
    };
    if !has_normal_authority(scheme, rest) {
        return Err("servers could read its host, its port or its user information differently");
    }
    let (path, query) = path.split_at(path.find('?').unwrap_or(path.len()));
    check_characters(authority, Place::Authority)?;
    check_characters(path, Place::Path)?;
    check_characters(query, Place::Query)?;
    check_segments(uri)?;
    if uri.contains('%') { check_segments(&normalized(uri)) } else { Ok(()) }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Authority,
    Path,
    Query,
}

/// Checks that each character is written in the one canonical way.
fn check_characters(text: &str, place: Place) -> Result<(), &'static str> {
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        rest = after;
        match first {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {}
            b'[' | b']' if place == Place::Authority => {}
            b'\'' if place == Place::Query => {
                return Err("its query has a `'`, which URL parsers encode");
            }
            b'?' if place == Place::Query => {}
            byte if *byte == b'*' || is_plain_in_paths(*byte) => {}
            b'%' => {
                let (decoded, length) = decoded(rest).ok_or(
                    "its percent-encoding is not two capital digits for each byte of UTF-8",
                )?;
                let is_plain = match u8::try_from(decoded) {
                    Ok(byte) => {
                        byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
                    }
                    Err(_) => false,
                };
                rest = rest.get(length..).unwrap_or_default();
                let is_encoded_again = decoded == '%'
                    && matches!(rest, [a, b, ..] if a.is_ascii_hexdigit() && b.is_ascii_hexdigit());
                if is_plain || is_encoded_again {
                    return Err(
                        "it has percent-encoding that is not needed, or that is encoded again",
                    );
                }
                let is_slash = decoded == '\\' || (decoded == '/' && place != Place::Query);
                if is_slash || decoded.is_control() {
                    return Err("it has an encoded slash, backslash or control character");
                }
            }
            b'#' => return Err("it has a fragment"),
            b' '..=b'~' => return Err("it has a character that must be percent-encoded"),
            _ => return Err("it has a character beyond ASCII, which must be percent-encoded"),
        }
    }
    Ok(())
}

/// The character that is percent-encoded at the start of a text, after the first percent sign, and the length of
/// the rest of its encoding.
fn decoded(text: &[u8]) -> Option<(char, usize)> {
    let byte = |at: usize| {
        let digits = text.get(at..at + 2)?;
        let is_digit = |b: &u8| matches!(b, b'0'..=b'9' | b'A'..=b'F');
        let digits = digits.iter().all(is_digit).then(|| std::str::from_utf8(digits).ok())??;
        u8::from_str_radix(digits, 16).ok()
    };
    let mut character = [byte(0)?, 0, 0, 0];
    let width = match character[0] {
        0..=0x7f => 1,
        0xc0..=0xdf => 2,
        0xe0..=0xef => 3,
        _ => 4,
    };
    for (i, place) in character.iter_mut().enumerate().take(width).skip(1) {
        *place = text.get(3 * i - 1).filter(|b| **b == b'%').and_then(|_| byte(3 * i))?;
    }
    let character = std::str::from_utf8(character.get(..width)?).ok()?;
    Some((character.chars().next()?, 3 * width - 1))
}

/// Checks that no segment of a path could be left out, or be taken for another one.
fn check_segments(uri: &str) -> Result<(), &'static str> {
    let (scheme, rest) = uri.split_once(':').unwrap_or_default();
    let whole = rest.strip_prefix("//").unwrap_or(rest);
    let path = whole.split('?').next().unwrap_or(whole);
    if path.trim_start_matches('/').contains("//") || path.starts_with("//") {
        return Err("it has an empty segment");
    }
    for segment in whole.split(['/', '?']) {
        // Java servers ignore what follows a semicolon.
        if matches!(segment.split(';').next(), Some("." | "..")) {
            return Err("it has a dot segment");
        }
    }
    let drive = path.strip_prefix('/').filter(|_| scheme == "file");
    let drive = drive.and_then(|path| path.split_once(':')).filter(|(drive, _)| drive.len() == 1);
    match drive {
        Some((_, path)) if !path.is_empty() && !path.starts_with('/') => {
            Err("it has a path from a drive's current folder")
        }
        Some((_, path)) if path.split('/').any(is_short_name) => {
            Err("it has a name that Windows takes for another one, such as `SECRET~1`")
        }
        _ => Ok(()),
    }
}

/// Whether Windows could take a name for a longer one.
fn is_short_name(name: &str) -> bool {
    let name = name.split(['.', ':', ';']).next().unwrap_or(name);
    name.rsplit_once('~').is_some_and(|(start, number)| {
        start.chars().count() + number.len() <= 8
            && !number.is_empty()
            && number.bytes().all(|b| b.is_ascii_digit())
    })
}

/// Whether every server finds the same host, port and user information in an authority, up to what the folded form
/// leaves out.
pub(super) fn has_normal_authority(scheme: &str, rest: &str) -> bool {
    let is_file = scheme == "file";
    let is_web = matches!(scheme, "ftp" | "http" | "https" | "ws" | "wss");
    let Some(rest) = rest.strip_prefix("//") else { return !is_file && !is_web };
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
    if !user.is_none_or(is_user) || port == Some("") || !is_normal_address(host) {
        return false;
    }
    if is_file {
        // A drive letter may be followed by `|` instead of `:`.
        let is_host = authority == host && (host.is_empty() || is_normal_domain(host));
        return is_host && path.starts_with('/') && !path.contains('|');
    }
    !is_web || is_normal_domain(host)
}

/// Whether a host in brackets is an IPv6 address in its shortest form. Returns `true` for any other host.
fn is_normal_address(host: &str) -> bool {
    let Some(address) = host.strip_prefix('[') else { return true };
    let address = address.strip_suffix(']').unwrap_or_default();
    let parsed = address.parse::<Ipv6Addr>();
    !address.contains('.') && parsed.is_ok_and(|parsed| parsed.to_string() == address)
}

/// Whether a host has only ASCII characters that need no encoding, and an IPv4 address only its usual form. It may
/// contain variables of a template.
fn is_normal_domain(host: &str) -> bool {
    if host.starts_with('[') {
        return true;
    }
    let mut is_variable = false;
    let is_letter = |c: char| {
        is_variable = c == '{' || (is_variable && c != '}');
        is_variable || c == '}' || c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_')
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
    fn canonical_uris_are_recognized() {
        for uri in [
            "notes://alice/1",
            "notes://Alice/1",
            "notes://alice",
            "notes://alice/",
            "greeting://World",
            "config://app",
            "memo://insights",
            "file:///a%20b/c",
            "file:///home/a/My%20File.txt",
            "file:///",
            "file:///C:/keys",
            "file:///a/C%23/x.cs",
            "file:///%C3%A9/%E4%BD%A0/%F0%9F%98%80",
            "urn:x:y",
            "vault:admin",
            "notes://a/..b/b..",
            "notes://a/it's(1)+2,3;4=5@6:7&8!$",
            "notes://a/it%27s%281%29%2B2%2C3%3B4%3D5%406%3A7%268%21%24",
            "users://alice%40example.com/profile",
            "notes://a/%2A%7Bkeys%7D%5Bx%5D%25",
            "https://a.example/",
            "https://example.com/x?y=z&a=/b?c",
            "https://example.com/?q=a%26b%20c",
            "http://127.0.0.1/",
            "http://[::1]/",
            "http://127.0.0.1:3000/a",
            "https://a.example:8443/",
            "https://a.example:443/",
            "https://A.example",
            "notes://a@b.example/1",
            "postgres://user:secret@host:5432/db",
            "notes://[::1]:80/1",
            "notes:///1",
            "file://server/a",
            "file://localhost/a",
            "notes://a:01/1",
            "notes://a/b*c",
            "file:///C:/C++/version~10.x/a~",
            "file:///a/v~1/HEAD~1",
            "file:///a/Acme%20Inc./T:2026",
            "web://fetch?url=https%3A%2F%2Fexample.com%2Fa",
            "web://fetch?url=https://example.com//a",
        ] {
            assert_eq!(check(uri), Ok(()), "{uri}");
        }
    }

    #[test]
    fn other_forms_are_recognized() {
        for uri in [
            "",
            "x",
            "1a:b",
            "NOTES://alice",
            " notes://a",
            "notes://a ",
            "notes://a/b c",
            "notes:/alice",
            "notes://a//b",
            "notes://a/b//",
            "file:////etc",
            "notes://a/../b",
            "notes://a/./b",
            "notes://a/..",
            "notes://a/..;x/b",
            "notes://a/..?x",
            "notes://a/x?y/../z",
            "notes://a/%2e%2e/b",
            "notes://a/%2E%2E/b",
            "notes://a%2f..%2fb",
            "notes://a%2Fb",
            "notes://a\\..\\b",
            "notes://a%5C..%5Cb",
            "notes://%61lice",
            "notes://a/b%3ac",
            "notes://a/b%7Ec",
            "notes://a/%c3%a9",
            "notes://a/é",
            "notes://a/%C3",
            "notes://a/%C3%28",
            "notes://a/%FF",
            "notes://a/%C0%AF",
            "notes://a/%E2%80%9",
            "notes://a/%C2%85",
            "notes://a/%252F",
            "notes://a/%252e",
            "notes://a%",
            "notes://a%2",
            "notes://a%zz",
            "notes://a%+1",
            "notes://a%00",
            "notes://a%0A",
            "notes://a\n",
            "notes://a/x#y",
            "notes://a/x#",
            "notes://a/{keys}",
            "notes://a/x|y",
            "notes://a/[x]",
            "notes://a/x?it's",
            "notes://@a/1",
            "notes://a:/1",
            "notes://a@b@c/1",
            "notes://[0::1]/1",
            "https:///a.example/",
            "https://%61.example/",
            "https://a%40b.example/",
            "https://a.example%3A443/",
            "https:/a.example/",
            "https:a.example/",
            "http://127.1/",
            "http://2130706433/",
            "file:/a",
            "file://",
            "file://a:1/b",
            "file:///C|/a",
            "notes://a/x?y/../z",
            "notes://a/x?y=%2F..%2F",
            "notes://a/x?y=%5C",
            "file:///C:/%C3%9CBERS~10/a",
            "file:///C:/SECRET~1::$INDEX_ALLOCATION/a",
            "file:///C:/SECRET~1/a",
            "file:///C:/KEYS~1.TXT",
            "file:///C:secret",
            "notes://a/%EF%BC%8E%EF%BC%8E/b",
            "notes://a/%EF%BC%8F/b",
        ] {
            assert!(check(uri).is_err(), "{uri}");
        }
    }
}

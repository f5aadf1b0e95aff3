//! The canonical form of URIs, which every server reads in the same way.

use std::net::{Ipv4Addr, Ipv6Addr};

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

/// How a URI is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// In the one form that every server reads in the same way.
    Canonical,
    /// Canonical, except that its authority has a port or user information, or is empty, or is there in the URI
    /// of a file. Some servers ignore those. The authority ends at this byte.
    Authority { end: usize },
    /// In another way, for this reason.
    Other(&'static str),
}

/// How a URI is written ([RFC 3986 §6.2.2](https://www.rfc-editor.org/rfc/rfc3986#section-6.2.2), and stricter).
///
/// Servers parse a URI, or match it as text, before or after they decode it; and they use it as a path. In the
/// canonical form all of them read the same: no empty segments and no dot segments; no fragment; each character
/// that may be written as itself is, and no other, except that some may be written in both ways; nothing that a
/// browser's URL parser removes or changes ([URL](https://url.spec.whatwg.org/#url-parsing)). A query may follow.
pub(super) fn form(uri: &str) -> Form {
    match read_form(uri) {
        Ok(form) => form,
        Err(why) => Form::Other(why),
    }
}

fn read_form(uri: &str) -> Result<Form, &'static str> {
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
        return Err("a URL parser would change its authority, or its default port");
    }
    check_characters(authority, true)?;
    check_characters(path, false)?;
    check_segments(path, scheme == "file")?;
    let has_port = authority.rsplit(']').next().is_some_and(|end| end.contains(':'));
    let is_odd =
        authority.contains('@') || has_port || (authority.is_empty() != (scheme == "file"));
    if is_odd && rest.starts_with("//") {
        return Ok(Form::Authority { end: uri.len() - path.len() });
    }
    Ok(Form::Canonical)
}

/// Checks that each character is written in the one canonical way.
fn check_characters(text: &str, is_authority: bool) -> Result<(), &'static str> {
    let (mut rest, mut is_query) = (text.as_bytes(), false);
    while let [first, after @ ..] = rest {
        rest = after;
        match first {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {}
            b'[' | b']' if is_authority => {}
            b'\'' if is_query => return Err("its query has a `'`, which URL parsers encode"),
            byte if is_plain_in_paths(*byte) => {}
            b'?' => is_query = true,
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
                if matches!(decoded, '/' | '\\') || decoded.is_control() {
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

/// Checks that no segment could be left out, or be taken for another one.
fn check_segments(path: &str, is_file: bool) -> Result<(), &'static str> {
    let is_empty_between = |(one, next): (u8, u8)| one == b'/' && next == b'/';
    if path.bytes().zip(path.bytes().skip(1)).any(is_empty_between) {
        return Err("it has an empty segment");
    }
    for segment in path.split(['/', '?']) {
        // Java servers ignore what follows a semicolon.
        if matches!(segment.split(';').next(), Some("." | "..")) {
            return Err("it has a dot segment");
        }
        // Windows ignores such an end of a name.
        if is_file && (segment.ends_with('.') || segment.ends_with("%20")) {
            return Err("the name of a file in it ends with a dot or a space");
        }
    }
    Ok(())
}

/// Whether the authority is written in the one way that URL parsers leave unchanged.
pub(super) fn has_normal_authority(scheme: &str, rest: &str) -> bool {
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
        Some("") if host.is_empty() => {
            authority.is_empty() && path.starts_with('/') && !path.contains('|')
        }
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
    fn canonical_uris_are_recognized() {
        use Form::Canonical;
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
        ] {
            assert_eq!(form(uri), Canonical, "{uri}");
        }
        for (uri, authority) in [
            ("http://127.0.0.1:3000/a", "http://127.0.0.1:3000"),
            ("https://a.example:8443/", "https://a.example:8443"),
            ("notes://a@b.example/1", "notes://a@b.example"),
            ("notes://[::1]:80/1", "notes://[::1]:80"),
            ("notes:///1", "notes://"),
            ("file://server/a", "file://server"),
            ("notes://a:1", "notes://a:1"),
        ] {
            assert_eq!(form(uri), Form::Authority { end: authority.len() }, "{uri}");
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
            "notes://a/*",
            "notes://a/x|y",
            "notes://a/[x]",
            "notes://a/x?it's",
            "notes://@a/1",
            "notes://a:/1",
            "notes://a:01/1",
            "notes://[0::1]/1",
            "https://a.example",
            "https://A.example/",
            "https://a.example:443/",
            "https:/a.example/",
            "https:a.example/",
            "http://127.1/",
            "http://2130706433/",
            "file:/a",
            "file://",
            "file://localhost/a",
            "file:///C|/a",
            "file:///secret./a",
            "file:///secret%20/a",
        ] {
            assert!(matches!(form(uri), Form::Other(_)), "{uri}: {:?}", form(uri));
        }
    }
}

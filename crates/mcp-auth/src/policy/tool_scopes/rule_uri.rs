//! URIs and patterns as they are written in rules, and templates.

use std::borrow::Cow;

use crate::policy::tool_scopes::uri::{check, has_normal_authority, is_plain_in_paths};

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

/// Whether a byte is allowed in a URI, or in a URI template.
fn is_allowed_in_uri(byte: u8) -> bool {
    byte.is_ascii_graphic() && !matches!(byte, b'"' | b'<' | b'>' | b'\\' | b'^' | b'`' | b'|')
}

/// Whether a rule can name a URI that is not canonical: no server and no SDK on the way rewrites it. Otherwise
/// the rule would not cover what the operator means.
pub(super) fn is_stable(uri: &str) -> bool {
    let (scheme, rest) = uri.split_once(':').unwrap_or_default();
    let is_dots = |segment: &str| matches!(segment, "." | "..");
    let decoded = uri.replace("%2F", "/").replace("%5C", "/");
    let is_unreserved =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
    let is_needed = |encoded: &str| {
        let byte = encoded.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        byte.is_some_and(|byte| !is_unreserved(byte) && byte >= b' ' && byte != 0x7f)
    };
    !uri.contains('\\')
        && !scheme.bytes().any(|b| b.is_ascii_uppercase())
        && has_normal_authority(scheme, rest)
        && uri.split('%').skip(1).all(is_needed)
        && !decoded.split(['/', '?', '#']).any(is_dots)
}

/// What a variable of a template, or a wildcard of a rule, could stand for.
/// The first one could begin the URI.
const FILLINGS: [(&str, &str); 8] = [
    ("x", "x"),
    ("", ""),
    ("x/x", "x/x"),
    ("/x", "/x"),
    ("//x/x", "//x/x"),
    ("///x", "///x"),
    ("x://x/x", "x"),
    ("x:", "//x/x"),
];

/// Like [`check`], for a template: it is canonical if a URI is that it can stand for.
pub(super) fn check_template(template: &str) -> Result<(), &'static str> {
    check_fillings(template, false)
}

/// Whether a pattern can match a URI that is not refused.
pub(super) fn can_match(pattern: &str) -> bool {
    check_fillings(pattern, true).is_ok()
}

fn check_fillings(text: &str, has_wildcards: bool) -> Result<(), &'static str> {
    let checked = FILLINGS.map(|fillings| check(&filled(text, fillings, has_wildcards)));
    checked.iter().find(|checked| checked.is_ok()).copied().unwrap_or(checked[0])
}

/// A text with a filling for each of its variables, and for each `*` if that is a wildcard.
fn filled(text: &str, fillings: (&str, &str), has_wildcards: bool) -> String {
    let mut filled = String::with_capacity(text.len());
    let (mut filling, mut rest) = (fillings.0, text);
    while let Some(start) = rest.find(['*', '{']) {
        let (literal, gap) = rest.split_at(start);
        filled += literal;
        rest = match (gap.strip_prefix('*'), gap.split_once('}')) {
            (Some(after), _) if has_wildcards => after,
            (None, Some((_, after))) => after,
            _ => break,
        };
        filled += filling;
        filling = fillings.1;
    }
    filled + rest
}

#[cfg(test)]
mod tests {
    use super::*;

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

    #[test]
    fn patterns_that_match_no_canonical_uri_are_recognized() {
        for (pattern, expected) in [
            ("*", true),
            ("*.md", true),
            ("*secret*", true),
            ("{+a}{b}", true),
            ("{+uri}", true),
            ("*://x/*", true),
            ("file:*", true),
            ("file://*", true),
            ("file://{+path}", true),
            ("https://*", true),
            ("https://*.example.com/*", true),
            ("https://{Host}.example/{+path}", true),
            ("https://example.com{?query}", true),
            ("https://example.com:8443/*", true),
            ("notes:///*", true),
            ("notes://{Owner}/{id}", true),
            ("notes://a@b/*", true),
            ("n://x?q=*", true),
            ("n://x#*", false),
            ("https://Example.com/*", true),
            ("https://example.com:443/*", true),
            ("http://localhost:{port}/x", true),
            ("postgres://{user}@{host}:{port}/{db}", true),
            ("HTTPS://example.com/*", false),
            ("n://a//{id}", false),
            ("n://a/../*", false),
            ("n://a/%61*", false),
            ("n://a%2F*", false),
        ] {
            assert_eq!(can_match(pattern), expected, "{pattern}");
        }
    }

    #[test]
    fn rules_may_name_uris_that_no_parser_changes() {
        for (uri, expected) in [
            ("notes://a//b", true),
            ("notes://a/x#y", true),
            ("notes://a@b:1/c%2Fd", true),
            ("README", true),
            ("https://example.com", true),
            ("HTTPS://example.com/", false),
            ("n://a/../b", false),
            ("n://a%2F..%2Fb", false),
            ("n://a/%61", false),
            ("n://a/%", false),
            ("n://a/%0A", false),
            ("n://a\\b", false),
        ] {
            assert_eq!(is_stable(uri), expected, "{uri}");
        }
    }
}

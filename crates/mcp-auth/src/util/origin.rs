//! Origins of web pages ([RFC 6454](https://www.rfc-editor.org/rfc/rfc6454)), as text.

use crate::util::url::{host_and_port, split};

/// An origin for a list of allowed ones, as a browser writes it: scheme, host, and port unless it is the default of the
/// scheme. With the suffix `:*` it covers any port. Returns `None` for anything else.
///
/// Web pages have many schemes (RFC 6454 §4), such as those of browser extensions and of applications with an embedded
/// browser. `null` is the origin of any page that has none, and so it is not an entry.
pub(crate) fn parse(text: &str) -> Option<String> {
    let (origin, any_port) = text.strip_suffix(":*").map_or((text, ""), |text| (text, ":*"));
    let (scheme, authority) = origin.split_once("://")?;
    if is_http(scheme) {
        let (.., rest) = split(origin)?;
        let is_origin = rest.is_empty() && !authority.contains('*');
        return is_origin.then(|| of_url(origin)).flatten().map(|origin| origin + any_port);
    }
    let is_scheme = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b));
    let is_host = |c: char| c.is_ascii_graphic() && !"\"#%*/<>?@\\^`{|}".contains(c);
    // Pages in files have no host.
    let is_authority = host_and_port(authority).is_some() || scheme.eq_ignore_ascii_case("file");
    let is_origin = is_scheme && is_authority && authority.chars().all(is_host);
    is_origin.then(|| format!("{}://{authority}{any_port}", scheme.to_ascii_lowercase()))
}

/// The origin of an `http` or `https` URL.
pub(crate) fn of_url(url: &str) -> Option<String> {
    let (scheme, authority, _) = split(url)?;
    let implied = if scheme.eq_ignore_ascii_case("https") { ":443" } else { ":80" };
    Some(format!("{scheme}://{}", authority.strip_suffix(implied).unwrap_or(authority)))
}

/// Whether an entry of the list covers the origin of a request. The case of `http` and `https` origins is ignored;
/// others are compared byte for byte.
pub(crate) fn matches(entry: &str, origin: &str) -> bool {
    let is_web = entry.split_once("://").is_some_and(|(scheme, _)| is_http(scheme));
    let is_same = |one: &str, other: &str| match is_web {
        true => one.eq_ignore_ascii_case(other),
        false => one == other,
    };
    let Some(host) = entry.strip_suffix(":*") else { return is_same(entry, origin) };
    let Some((start, rest)) = origin.split_at_checked(host.len()) else { return false };
    let is_port =
        |port: &str| (1..=5).contains(&port.len()) && port.bytes().all(|b| b.is_ascii_digit());
    is_same(start, host) && (rest.is_empty() || rest.strip_prefix(':').is_some_and(is_port))
}

fn is_http(scheme: &str) -> bool {
    scheme.eq_ignore_ascii_case("https") || scheme.eq_ignore_ascii_case("http")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_of_any_scheme_are_parsed() {
        for (text, expected) in [
            ("https://app.example.com", Some("https://app.example.com")),
            ("https://app.example.com:443", Some("https://app.example.com")),
            ("https://app.example.com:8443", Some("https://app.example.com:8443")),
            ("http://localhost:*", Some("http://localhost:*")),
            (
                "chrome-extension://aapbdbdomjkkjkaonfhkkikfgjllcleb",
                Some("chrome-extension://aapbdbdomjkkjkaonfhkkikfgjllcleb"),
            ),
            (
                "moz-extension://b3d2d6f7-9e39-4f9b-8e6c-3c9b7d2f1a10",
                Some("moz-extension://b3d2d6f7-9e39-4f9b-8e6c-3c9b7d2f1a10"),
            ),
            ("VSCode-Webview://1Abc", Some("vscode-webview://1Abc")),
            ("app://obsidian.md", Some("app://obsidian.md")),
            ("tauri://localhost", Some("tauri://localhost")),
            ("capacitor://localhost:*", Some("capacitor://localhost:*")),
            ("ionic://localhost:8100", Some("ionic://localhost:8100")),
            ("x+y.z-1://h", Some("x+y.z-1://h")),
            ("file://", Some("file://")),
            ("null", None),
            ("*", None),
            ("", None),
            ("app.example.com", None),
            ("https://", None),
            ("https://app.example.com/", None),
            ("https://app.example.com?x", None),
            ("https://*.example.com", None),
            ("https://user@app.example.com", None),
            ("https://app.example.com:99999", None),
            ("chrome-extension://", None),
            ("chrome-extension://*", None),
            ("chrome-extension://a/", None),
            ("chrome-extension://a/popup.html", None),
            ("chrome-extension://a#b", None),
            ("chrome-extension://a@b", None),
            ("chrome-extension://a b", None),
            ("chrome-extension://ä", None),
            ("app://h:x", None),
            ("1app://h", None),
            ("a_b://h", None),
            ("://h", None),
            ("*://h", None),
            ("data:text/html,x", None),
        ] {
            assert_eq!(parse(text).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn origins_match_their_entries() {
        for (entry, origin, is_match) in [
            ("https://app.example.com", "https://app.example.com", true),
            ("https://app.example.com", "https://APP.example.com", true),
            ("https://app.example.com", "http://app.example.com", false),
            ("https://app.example.com", "https://app.example.com:8443", false),
            ("https://app.example.com", "https://app.example.com.evil.example", false),
            ("https://app.example.com", "https://evil.example", false),
            ("https://app.example.com", "null", false),
            ("https://app.example.com", "", false),
            ("http://localhost:*", "http://localhost:6274", true),
            ("http://localhost:*", "http://localhost", true),
            ("http://localhost:*", "http://localhost.evil.example", false),
            ("http://localhost:*", "http://localhost:80.evil.example", false),
            ("http://localhost:*", "http://localhost80", false),
            ("http://localhost:*", "http://localhost:123456", false),
            ("http://localhost:*", "https://localhost:6274", false),
            ("chrome-extension://abc", "chrome-extension://abc", true),
            ("chrome-extension://abc", "chrome-extension://ABC", false),
            ("chrome-extension://abc", "chrome-extension://abcd", false),
            ("chrome-extension://abc", "moz-extension://abc", false),
            ("chrome-extension://abc", "https://abc", false),
            ("capacitor://localhost:*", "capacitor://localhost:1", true),
            ("capacitor://localhost:*", "CAPACITOR://localhost:1", false),
            ("file://", "file://", true),
            ("file://", "null", false),
        ] {
            assert_eq!(matches(entry, origin), is_match, "{entry} {origin}");
        }
    }
}

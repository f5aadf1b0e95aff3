//! The folded form of URIs: texts are equal in it if some server takes them for the same resource.

use icu_normalizer::uts46::Uts46MapperBorrowed;

use crate::policy::tool_scopes::pattern::{ANYTHING, SEGMENT};

/// A URI in its folded form: normalized, with spaces for plus signs as in Java's `URLDecoder`, and without a port that
/// says nothing.
pub(super) fn folded(uri: &str) -> String {
    let folded = normalized(uri).replace('+', " ");
    with_short_port(&folded).unwrap_or(folded)
}

/// A URI with its percent-encoding decoded, and its Unicode normalized as in host names: small letters, one form of
/// each character, no invisible ones ([UTS 46](https://www.unicode.org/reports/tr46/#Processing)).
pub(super) fn normalized(uri: &str) -> String {
    let mut decoded = decoded(uri);
    if decoded.is_ascii() {
        decoded.make_ascii_lowercase();
        return decoded;
    }
    // UTS 46 leaves these for host names: joiners, which some file systems ignore, and the other small sigma.
    let mapper = Uts46MapperBorrowed::new();
    let mapped = mapper.map_normalize(decoded.chars());
    let mapped = mapped.filter(|c| !matches!(c, '\u{200c}' | '\u{200d}'));
    mapped.map(|c| if c == 'ς' { 'σ' } else { c }).collect()
}

/// Decodes percent-encoding once. What is not UTF-8 is replaced.
fn decoded(uri: &str) -> String {
    let Some((first, encoded)) = uri.split_once('%') else { return uri.into() };
    let mut decoded = Vec::with_capacity(uri.len());
    decoded.extend(first.as_bytes());
    for piece in encoded.split('%') {
        let byte = piece.get(..2).filter(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()));
        match byte.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                decoded.push(byte);
                decoded.extend(piece.bytes().skip(2));
            }
            None => {
                decoded.push(b'%');
                decoded.extend(piece.as_bytes());
            }
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

/// Where a query or a fragment begins.
pub(super) const MARKS: &[&str] = &["?", "#"];

/// The same, for servers that decode a URI before they parse it.
pub(super) const ENCODED_MARKS: &[&str] = &["?", "#", "%3F", "%23"];

/// Splits a URI, a template or a pattern where a query or a fragment begins. The second part has the mark, and that
/// of a template the brace before it: `{?format}`.
pub(super) fn split_query<'u>(uri: &'u str, marks: &[&str]) -> (&'u str, &'u str) {
    let Some(mark) = marks.iter().filter_map(|mark| uri.find(mark)).min() else {
        return (uri, "");
    };
    let (path, query) = uri.split_at(mark);
    path.strip_suffix('{').map_or((path, query), |path| uri.split_at(path.len()))
}

/// What a server could look up when it is asked for a URI, in folded form; or what it could have in a rule's place.
pub(super) struct Key {
    pub(super) text: String,
    /// What the server leaves out, of that which the URI has.
    pub(super) left_out: Parts,
}

/// Parts of a URI that some servers leave out, as bits.
pub(super) type Parts = u8;

/// The query or fragment after an encoded mark.
pub(super) const ENCODED_QUERY: Parts = 1;
const PARAMETERS: Parts = 2;
const AUTHORITY: Parts = 4;

/// A way in which servers read a folded URI. Returns `None` if it changes nothing.
type Reading = fn(&str) -> Option<String>;

/// Each is applied to the URI, and to what those before it made of it.
const READINGS: [(Parts, Reading); 4] = [
    (ENCODED_QUERY, before_query),
    (PARAMETERS, without_parameters),
    (AUTHORITY, with_host_in_path),
    (AUTHORITY, with_plain_authority),
];

/// The keys of a path. The first is the path itself.
pub(super) fn keys(path: &str) -> Vec<Key> {
    let mut keys = vec![Key { text: folded(path), left_out: 0 }];
    for (part, reading) in READINGS {
        let others = keys.iter().filter_map(|key| {
            reading(&key.text).map(|text| Key { text, left_out: key.left_out | part })
        });
        keys.extend(others.collect::<Vec<_>>());
    }
    keys
}

/// The part before a query or a fragment whose mark was percent-encoded.
fn before_query(folded: &str) -> Option<String> {
    folded.split_once(['?', '#']).map(|(path, _)| path.to_owned())
}

/// Segments without their parameters. Servlets and Python's `urlparse` leave them out. In the URI of a file,
/// segments without the stream that NTFS reads after a colon, but with the colon of a drive.
fn without_parameters(folded: &str) -> Option<String> {
    let is_file = folded.starts_with("file:");
    let is_separator = |c: char| c == ';' || (is_file && c == ':');
    let (scheme, path) = folded.split_once(':')?;
    if !path.contains(is_separator) {
        return None;
    }
    let plain = |segment: &'_ str| match segment.split_once(is_separator) {
        Some((drive, "")) if is_file && drive.len() == 1 => segment.len(),
        Some((name, _)) => name.len(),
        None => segment.len(),
    };
    let segments = path.split('/').map(|segment| segment.get(..plain(segment)).unwrap_or(segment));
    let plain = [scheme, ":", &segments.collect::<Vec<_>>().join("/")].concat();
    (plain != folded).then_some(plain)
}

/// The URI of a file with its host as the first folder, as those servers read it that strip `file://` from a text.
fn with_host_in_path(folded: &str) -> Option<String> {
    let (scheme, host, path) = authority(folded)?;
    (scheme == "file" && !host.is_empty()).then(|| ["file:///", host, path].concat())
}

/// A URI without its port and user information, and without the slash after an empty host. The URI of a file
/// without its host.
fn with_plain_authority(folded: &str) -> Option<String> {
    let (scheme, authority, path) = authority(folded)?;
    let host = authority.rsplit('@').next().unwrap_or(authority);
    let host = split_port(host).map_or(host, |(host, _)| host);
    match (scheme, authority) {
        ("file", "") => None,
        ("file", _) => Some(["file://", path].concat()),
        (_, "") => Some([scheme, "://", path.strip_prefix('/')?].concat()),
        _ => (host != authority).then(|| [scheme, "://", host, path].concat()),
    }
}

/// A URI without the zeros before its port, and without a port that is empty or the default of its scheme. Returns
/// `None` if it has none of these.
fn with_short_port(folded: &str) -> Option<String> {
    let (scheme, authority, path) = authority(folded)?;
    let (host, port) = split_port(authority)?;
    let short = match port.trim_start_matches('0') {
        "" if !port.is_empty() => "0",
        short => short,
    };
    if short.is_empty() || default_port(scheme) == Some(short) {
        return Some([scheme, "://", host, path].concat());
    }
    (short != port).then(|| [scheme, "://", host, ":", short, path].concat())
}

/// The port that URL parsers leave out ([URL](https://url.spec.whatwg.org/#default-port)).
fn default_port(scheme: &str) -> Option<&'static str> {
    match scheme {
        "ftp" => Some("21"),
        "http" | "ws" => Some("80"),
        "https" | "wss" => Some("443"),
        _ => None,
    }
}

/// The scheme, the authority and the rest of a URI. Returns `None` if it has no authority.
fn authority(uri: &str) -> Option<(&str, &str, &str)> {
    let (scheme, rest) = uri.split_once("://")?;
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    (!scheme.contains(['/', ':'])).then_some((scheme, authority, path))
}

/// The host and the port of an authority. Returns `None` if it has no port. The port of a pattern may be a wildcard.
fn split_port(authority: &str) -> Option<(&str, &str)> {
    let is_port = |(_, port): &(&str, &str)| {
        port.chars().all(|c| c.is_ascii_digit() || matches!(c, ANYTHING | SEGMENT))
    };
    authority.rsplit_once(':').filter(is_port)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uris_that_some_server_takes_for_the_same_have_one_folded_form() {
        for (uri, same) in [
            ("n://A/B+c%20d%2B", "n://a/b c d "),
            ("N://a/%C3%89", "n://a/%C3%A9"),
            ("n://a/e%CC%81", "n://a/%C3%A9"),
            ("n://a/%E2%84%AA", "n://a/k"),
            ("n://a/.g%E2%80%8Bi%E2%80%8Ct", "n://a/.git"),
            ("n://a/%CE%A3%CF%83", "n://a/%CF%82%CF%82"),
            ("n://a/b%EF%BC%8Fc", "n://a/b/c"),
            ("n://a/%FF", "n://a/%FE"),
            ("n://a:080/b", "n://a:80/b"),
            ("n://a:00", "n://a:0"),
            ("n://a:/b", "n://a/b"),
            ("https://a:443/b", "https://a/b"),
            ("http://a:0080", "http://a"),
        ] {
            assert_eq!(folded(uri), folded(same), "{uri}");
        }
        for (uri, other) in
            [("n://a:8", "n://a:80"), ("http://a:443", "http://a"), ("n://a:80", "n://a")]
        {
            assert_ne!(folded(uri), folded(other), "{uri}");
        }
        assert_eq!(folded("n://a/%%4%"), "n://a/%%4%");
        let marked = "n://\u{1}/\u{2}/%C3%89";
        assert_eq!(folded(marked), "n://\u{1}/\u{2}/é", "the wildcards of a rule stay");
    }

    #[test]
    fn a_query_begins_at_its_mark() {
        for (uri, path) in [
            ("n://a/b", "n://a/b"),
            ("n://a/b?c#d", "n://a/b"),
            ("n://a/b#c?d", "n://a/b"),
            ("n://a/b%3Fc", "n://a/b%3Fc"),
            ("n://a/b{?c,d}", "n://a/b"),
            ("n://a/b{", "n://a/b{"),
        ] {
            assert_eq!(split_query(uri, MARKS), uri.split_at(path.len()), "{uri}");
        }
        assert_eq!(split_query("n://a%3Fb?c", ENCODED_MARKS), ("n://a", "%3Fb?c"));
    }

    #[test]
    fn a_uri_has_a_key_for_each_reading() {
        for (uri, expected) in [
            ("n://Alice/B", "n://alice/b"),
            ("n://a/b%3Fc", "n://a/b?c 1:n://a/b"),
            ("n://a:1/b", "n://a:1/b 4:n://a/b"),
            ("n://a:\u{1}/b", "n://a:\u{1}/b 4:n://a/b"),
            ("n://u:p@a:1", "n://u:p@a:1 4:n://a"),
            ("n://u%40a", "n://u@a 4:n://a"),
            ("n://[::1]:1/b", "n://[::1]:1/b 4:n://[::1]/b"),
            ("n:///a/b", "n:///a/b 4:n://a/b"),
            ("n://a/b;c/d;e", "n://a/b;c/d;e 2:n://a/b/d"),
            ("n://a:1/b;c", "n://a:1/b;c 2:n://a:1/b 4:n://a/b;c 6:n://a/b"),
            ("file:///C:/b::$DATA", "file:///c:/b::$data 2:file:///c:/b"),
            ("file:///C:/b:$I30:$X/c", "file:///c:/b:$i30:$x/c 2:file:///c:/b/c"),
            ("file://A/b", "file://a/b 4:file:///a/b 4:file:///b"),
            ("urn:a:1", "urn:a:1"),
            ("data:a/b;base64,c", "data:a/b;base64,c 2:data:a/b"),
        ] {
            let shown = |key: &Key| match key.left_out {
                0 => key.text.clone(),
                left_out => format!("{left_out}:{}", key.text),
            };
            let found: Vec<_> = keys(uri).iter().map(shown).collect();
            assert_eq!(found.join(" "), expected, "{uri}");
        }
    }
}

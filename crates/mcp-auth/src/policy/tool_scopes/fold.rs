//! The folded form of URIs: texts are equal in it if some server takes them for the same resource.

use icu_normalizer::DecomposingNormalizerBorrowed;
use icu_normalizer::uts46::Uts46MapperBorrowed;

use crate::policy::tool_scopes::pattern::{ANYTHING, SEGMENT};

/// A URI in its folded form: normalized, with spaces for plus signs as in Java's `URLDecoder`, without a dot at the end
/// of its host, and without a port that says nothing.
pub(super) fn folded(uri: &str) -> String {
    let folded = normalized(uri).replace('+', " ");
    let Some((scheme, authority, path)) = authority(&folded) else { return folded };
    let (user, host) = split_user(authority).unwrap_or(("", authority));
    let at = if user.len() < authority.len() - host.len() { "@" } else { "" };
    let (host, port) = split_port(host).unwrap_or((host, ""));
    let port = match port.trim_start_matches('0') {
        "" if !port.is_empty() => "0",
        short => short,
    };
    let is_said = !port.is_empty() && default_port(scheme) != Some(port);
    let (colon, port) = if is_said { (":", port) } else { ("", "") };
    [scheme, "://", user, at, host.trim_end_matches('.'), colon, port, path].concat()
}

/// A URI with its percent-encoding decoded, and its Unicode normalized as in host names: small letters, one form of
/// each character, no invisible ones ([UTS 46](https://www.unicode.org/reports/tr46/#Processing)). Accents are characters
/// of their own, so that a pattern still matches what begins with its text.
pub(super) fn normalized(uri: &str) -> String {
    let mut decoded = decoded(uri);
    if decoded.is_ascii() {
        decoded.make_ascii_lowercase();
        return decoded;
    }
    let mapper = Uts46MapperBorrowed::new();
    // UTS 46 does not leave out all signs that file systems ignore: joiners, and signs of direction.
    let is_seen = |c: &char| !matches!(c, '\u{200c}'..='\u{200f}' | '\u{202a}'..='\u{202e}');
    let mapped: String = mapper.map_normalize(decoded.chars().filter(is_seen)).collect();
    // It also keeps letters that are equal without regard to case.
    let mapped = mapped.replace('ς', "σ").replace('ß', "ss");
    DecomposingNormalizerBorrowed::new_nfd().normalize(&mapped).into_owned()
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

/// What a server reads of a URI, or what it could have in the place of a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reading {
    pub(super) text: String,
    /// What the server leaves out, of that which the URI has.
    pub(super) left_out: Parts,
}

/// Parts of a URI that some servers leave out, as bits.
pub(super) type Parts = u16;

/// The query or fragment after an encoded mark.
pub(super) const ENCODED_QUERY: Parts = 1;
const LAST_PARAMETER: Parts = 2;
const PARAMETERS: Parts = 4;
const STREAM: Parts = 8;
const PASSWORD: Parts = 16;
const USER: Parts = 32;
const PORT: Parts = 64;
const FILE_HOST: Parts = 128;
const EMPTY_HOST: Parts = 256;
const NO_AUTHORITY: Parts = 512;
const END_OF_NAME: Parts = 1024;

/// A way in which servers read a URI. Returns `None` if it changes nothing.
type Read = fn(&str) -> Option<String>;

/// Each is applied to the URI, and to what those before it made of it.
const READINGS: [(Parts, Read); 12] = [
    (ENCODED_QUERY, before_query),
    (NO_AUTHORITY, with_authority),
    (LAST_PARAMETER, without_last_parameter),
    (PARAMETERS, |uri| each_segment(uri, |segment| before(segment, ';'))),
    (STREAM, |uri| each_segment(uri, without_stream)),
    (PASSWORD, without_password),
    (USER, without_user),
    (PORT, without_port),
    (FILE_HOST, with_host_in_path),
    (FILE_HOST, without_file_host),
    (EMPTY_HOST, without_empty_host),
    (END_OF_NAME, |uri| each_segment(uri, |segment| segment.trim_end_matches(['.', ' ']))),
];

/// The most readings of a path: six differences at once. A URI of a real server has two or three of them, and each doubles
/// the cost.
const MAX_READINGS: usize = 64;

/// The readings of a path. The first is the path itself. Returns `None` if there are too many.
pub(super) fn readings(path: String) -> Option<Vec<Reading>> {
    let mut readings = vec![Reading { text: path, left_out: 0 }];
    for (part, read) in READINGS {
        let others = readings.iter().filter_map(|reading| {
            read(&reading.text).map(|text| Reading { text, left_out: reading.left_out | part })
        });
        readings.extend(others.collect::<Vec<_>>());
        if readings.len() > MAX_READINGS {
            return None;
        }
    }
    Some(readings)
}

/// The part before a query or a fragment whose mark was percent-encoded.
fn before_query(uri: &str) -> Option<String> {
    uri.split_once(['?', '#']).map(|(path, _)| path.to_owned())
}

/// `s:a/b` as `s://a/b`, as those servers read it that join host and path.
fn with_authority(uri: &str) -> Option<String> {
    let (scheme, rest) = uri.split_once(':').filter(|(_, rest)| !rest.starts_with('/'))?;
    (!scheme.contains([ANYTHING, SEGMENT, '/'])).then(|| [scheme, "://", rest].concat())
}

/// A URI with less in each segment of its path. A wildcard that crosses segments stays.
fn each_segment(uri: &str, shorter: fn(&str) -> &str) -> Option<String> {
    let path_start = match authority(uri) {
        Some((_, _, path)) => uri.len() - path.len(),
        None => uri.find(':')? + 1,
    };
    let (start, path) = uri.split_at_checked(path_start)?;
    let mut read = start.to_owned();
    for (i, segment) in path.split('/').enumerate() {
        let short = shorter(segment);
        read.push_str(if i > 0 { "/" } else { "" });
        read += &kept_wildcard(short, segment.get(short.len()..).unwrap_or_default());
    }
    (read != uri).then_some(read)
}

/// What is left of a text, with the wildcard that crosses segments if that was in what is left out.
fn kept_wildcard(left: &str, left_out: &str) -> String {
    left.chars().chain(left_out.contains(ANYTHING).then_some(ANYTHING)).collect()
}

fn before(segment: &str, mark: char) -> &str {
    segment.split(mark).next().unwrap_or(segment)
}

/// A segment without the stream that NTFS reads after a colon, but with the colon of a drive.
fn without_stream(segment: &str) -> &str {
    match segment.split_once(':') {
        Some((drive, "")) if drive.len() == 1 => segment,
        Some((name, _)) => name,
        None => segment,
    }
}

/// Servlets and Python's `urlparse` leave out parameters; the latter only those of the last segment.
fn without_last_parameter(uri: &str) -> Option<String> {
    let (start, parameter) = uri.rsplit_once(';').filter(|(_, rest)| !rest.contains('/'))?;
    Some(kept_wildcard(start, parameter))
}

fn without_password(uri: &str) -> Option<String> {
    let (scheme, authority, path) = authority(uri)?;
    let (user, host) = split_user(authority)?;
    let (name, _) = user.split_once(':')?;
    Some([scheme, "://", name, "@", host, path].concat())
}

fn without_user(uri: &str) -> Option<String> {
    let (scheme, authority, path) = authority(uri)?;
    let (_, host) = split_user(authority)?;
    Some([scheme, "://", host, path].concat())
}

fn without_port(uri: &str) -> Option<String> {
    let (scheme, authority, path) = authority(uri)?;
    let (host, port) = split_port(authority)?;
    Some([scheme, "://", &kept_wildcard(host, port), path].concat())
}

/// The URI of a file with its host as the first folder, as those servers read it that strip `file://` from a text.
fn with_host_in_path(uri: &str) -> Option<String> {
    let (scheme, host, path) = authority(uri)?;
    (scheme == "file" && !host.is_empty()).then(|| ["file:///", host, path].concat())
}

fn without_file_host(uri: &str) -> Option<String> {
    let (scheme, host, path) = authority(uri)?;
    (scheme == "file" && !host.is_empty() && !host.contains(ANYTHING))
        .then(|| ["file://", path].concat())
}

/// `s:///a/b` as `s://a/b`, as those servers read it that split at slashes.
fn without_empty_host(uri: &str) -> Option<String> {
    let (scheme, authority, path) = authority(uri)?;
    (scheme != "file" && authority.is_empty()).then_some(())?;
    Some([scheme, "://", path.strip_prefix('/')?].concat())
}

/// A URI as every URL parser writes it: a web host in small letters and without the default port, a path, and a drive in
/// a capital letter.
pub(super) fn as_parsed(uri: &str) -> String {
    let Some((scheme, authority, path)) = authority(uri) else { return uri.into() };
    if scheme == "file" && authority.is_empty() {
        let drive = |colon: &str| {
            let (drive, rest) = path.strip_prefix('/')?.split_once(colon)?;
            let is_drive = drive.len() == 1 && drive.starts_with(|c: char| c.is_ascii_alphabetic());
            is_drive.then(|| ["file:///", &drive.to_ascii_uppercase(), ":", rest].concat())
        };
        return drive(":").or_else(|| drive("%3A")).unwrap_or_else(|| uri.into());
    }
    let Some(default_port) = default_port(scheme) else { return uri.into() };
    let (user, host) = authority.split_at(authority.rfind('@').map_or(0, |at| at + 1));
    let host = match split_port(host) {
        Some((host, port)) if port == default_port => host,
        _ => host,
    };
    let root = if path.starts_with('/') || authority.contains(ANYTHING) { "" } else { "/" };
    [scheme, "://", user, &host.to_ascii_lowercase(), root, path].concat()
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

/// The user information and the host of an authority, with its port. Returns `None` if it has no user information.
fn split_user(authority: &str) -> Option<(&str, &str)> {
    authority.rsplit_once('@')
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
            ("n://a/%C3%9F%E1%BA%9E", "n://a/SSss"),
            ("n://a./b", "n://a/b"),
            ("https://u@a.:443/b", "https://u@a/b"),
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
        assert_eq!(folded(marked), "n://\u{1}/\u{2}/e\u{301}", "the wildcards of a rule stay");
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
    fn a_uri_has_readings() {
        for (uri, expected) in [
            ("n://a/b", ""),
            ("n://a/b?c", "1:n://a/b"),
            ("n:a/b", "512:n://a/b"),
            ("n://a:1/b", "64:n://a/b"),
            ("n://a:\u{2}/b", "64:n://a/b"),
            ("n://a:\u{1}", "64:n://a\u{1}"),
            ("n://u@a", "32:n://a"),
            ("n://u:p@a", "16:n://u@a 32:n://a 48:n://a"),
            ("n://[::1]:1/b", "64:n://[::1]/b"),
            ("n:///a/b", "256:n://a/b"),
            ("n://a/b;c/d;e;f", "2:n://a/b;c/d;e 4:n://a/b/d 6:n://a/b/d"),
            ("n://a/b;\u{1}/c", "4:n://a/b\u{1}/c"),
            ("n://a/b;\u{1}", "2:n://a/b\u{1} 4:n://a/b\u{1}"),
            ("file:///c:/b::$data", "8:file:///c:/b"),
            ("file:///c:/b:$i30:$x/c", "8:file:///c:/b/c"),
            ("file://a/b", "128:file:///a/b 128:file:///b"),
            ("n://a/b. ./c..", "1024:n://a/b/c"),
        ] {
            let mut found = readings(uri.into()).expect(uri);
            assert_eq!(found.remove(0), Reading { text: uri.into(), left_out: 0 });
            let found: Vec<_> =
                found.iter().map(|it| format!("{}:{}", it.left_out, it.text)).collect();
            assert_eq!(found.join(" "), expected, "{uri}");
        }
    }

    #[test]
    fn a_uri_with_too_many_differences_has_no_readings() {
        let few = "n://u:p@h:1/a;b;c:d";
        let many = "n://u:p@h:1/a;b;c:d./x;y?z";
        assert!(readings(few.into()).is_some_and(|few| few.len() <= MAX_READINGS));
        assert_eq!(readings(many.into()), None);
    }

    #[test]
    fn every_parser_writes_web_hosts_and_drives_in_one_way() {
        for (uri, expected) in [
            ("https://A.example", "https://a.example/"),
            ("https://A.example:443?x", "https://a.example/?x"),
            ("http://U@a.example:443/X", "http://U@a.example:443/X"),
            ("https://*.Example/", "https://*.example/"),
            ("https://\u{1}", "https://\u{1}"),
            ("file:///c%3A/a", "file:///C:/a"),
            ("file:///c:/a", "file:///C:/a"),
            ("file:///a/b:c", "file:///a/b:c"),
            ("n://A", "n://A"),
        ] {
            assert_eq!(as_parsed(uri), expected, "{uri}");
        }
    }
}

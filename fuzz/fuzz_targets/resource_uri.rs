//! Fuzzes rules for resources: no server that reads a URI in another way is led past its rule.
//!
//! The first line of the input is the URI of a resource that nobody may read, or a template of such URIs. The
//! last line is the URI that is asked for. The lines between them are other rules. If the request is admitted,
//! none of the ways in which servers look up a resource finds the forbidden one.

#![no_main]

use std::future::{Future, ready};
use std::pin::pin;
use std::sync::LazyLock;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::Request;
use libfuzzer_sys::fuzz_target;
use mcp_auth::{AuthInfo, Denial, McpAuth, Operation, Rule, ToolScopes, VerifiedToken};
use url::Url;

const RESOURCE: &str = "https://api.example.com/mcp";
const ISSUER: &str = "https://auth.example.com";

fn protected(rules: ToolScopes) -> Option<McpAuth> {
    let verifier = |_| {
        ready(Ok::<_, Denial>(VerifiedToken::assert(ISSUER, "alice").audience(RESOURCE).scopes(["read"])))
    };
    let described = McpAuth::builder(RESOURCE).authorization_server(ISSUER).verifier(verifier);
    described.tools(rules).build().ok()
}

/// A caller who may read.
static CALLER: LazyLock<AuthInfo> = LazyLock::new(|| {
    let auth = protected(ToolScopes::new()).expect("a description");
    let request = Request::post("/mcp").header("authorization", "Bearer token").body(());
    let (parts, ()) = request.expect("a request").into_parts();
    let admitted = pin!(auth.admit(&parts, http_body_util::Empty::<Bytes>::new()))
        .poll(&mut Context::from_waker(Waker::noop()));
    match admitted {
        Poll::Ready(admitted) => admitted.expect("admitted").0,
        Poll::Pending => panic!("it waits"),
    }
});

/// Decodes percent-encoding once.
fn decoded(text: &str) -> String {
    let mut decoded = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let digits = after.get(..2).filter(|_| *first == b'%');
        let digits = digits.and_then(|digits| std::str::from_utf8(digits).ok());
        let digits = digits.filter(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()));
        let byte = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        decoded.push(byte.unwrap_or(*first));
        rest = if byte.is_some() { &after[2..] } else { after };
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

fn before_query(uri: &str) -> &str {
    uri.split(['?', '#']).next().unwrap_or(uri)
}

/// What a server looks a resource up by.
type Key = fn(&str) -> Option<String>;

const KEYS: &[(&str, Key)] = &[
    ("text", |uri| Some(uri.to_owned())),
    ("text without a slash at its end", |uri| Some(uri.trim_end_matches('/').to_owned())),
    ("text before the query", |uri| Some(before_query(uri).to_owned())),
    ("decoded text", |uri| Some(decoded(uri))),
    ("decoded text with spaces for plus signs", |uri| Some(decoded(&uri.replace('+', " ")))),
    ("decoded text before the query", |uri| Some(before_query(&decoded(uri)).to_owned())),
    ("text before the query, decoded", |uri| Some(decoded(before_query(uri)))),
    ("Url", |uri| Url::parse(uri).ok().map(|url| url.to_string())),
    ("Url without its query", |uri| {
        let mut url = Url::parse(uri).ok()?;
        url.set_query(None);
        url.set_fragment(None);
        Some(url.to_string())
    }),
    ("host and path of Url", |uri| {
        let url = Url::parse(uri).ok()?;
        Some(format!("{}://{}{}", url.scheme(), url.host_str()?.to_lowercase(), decoded(url.path())))
    }),
    ("path of the file", |uri| {
        Some(Url::parse(uri).ok()?.to_file_path().ok()?.components().as_path().display().to_string())
    }),
    ("segments", |uri| {
        let segments = uri.split('/').filter(|segment| !segment.is_empty() && *segment != ".");
        Some(segments.collect::<Vec<_>>().join("/"))
    }),
    ("decoded segments", |uri| {
        let uri = decoded(uri);
        let segments = uri.split('/').filter(|segment| !segment.is_empty() && *segment != ".");
        Some(segments.collect::<Vec<_>>().join("/"))
    }),
    ("trimmed text", |uri| Some(uri.trim().to_owned())),
    ("text in small letters", |uri| Some(uri.to_lowercase())),
    ("decoded text in small letters", |uri| Some(decoded(uri).to_lowercase())),
    ("text without parameters", |uri| Some(without_parameters(uri))),
    ("path in small letters, without parameters and query", |uri| {
        Some(without_parameters(before_query(uri)).trim_end_matches('/').to_lowercase())
    }),
    ("host in small letters and path, without parameters", |uri| {
        let (scheme, rest) = uri.split_once("://")?;
        let (authority, path) = rest.split_at(rest.find(['/', '?', '#'])?);
        let host = authority.rsplit('@').next()?.split(':').next()?.to_lowercase();
        Some(format!("{}://{host}{}", scheme.to_lowercase(), without_parameters(before_query(path))))
    }),
    ("name of a stream's file", |uri| {
        let path = uri.strip_prefix("file:///C:/")?;
        let files = path.split('/').map(|name| name.split(':').next().unwrap_or(name));
        Some(files.collect::<Vec<_>>().join("/").to_lowercase())
    }),
];

/// What comes before the semicolon in each segment.
fn without_parameters(uri: &str) -> String {
    let segments = uri.split('/').map(|segment| segment.split(';').next().unwrap_or(segment));
    segments.collect::<Vec<_>>().join("/")
}

/// Whether a literal text of a template matches the start of a text, if each `.` is any character and case is ignored.
fn without_prefix<'t>(literal: &str, text: &'t str) -> Option<&'t str> {
    let mut rest = text.chars();
    let is_same = |(own, other): (char, char)| own == '.' || own.eq_ignore_ascii_case(&other);
    literal.chars().all(|own| rest.next().is_some_and(|other| is_same((own, other)))).then_some(rest.as_str())
}

/// Whether a template matches a text, as `[^/]+` for each variable.
fn matches(template: &str, text: &str) -> bool {
    let Some((literal, rest)) = template.split_once('{') else {
        return without_prefix(template, text) == Some("");
    };
    let Some(text) = without_prefix(literal, text) else { return false };
    let rest = rest.split_once('}').map_or("", |(_, rest)| rest);
    let segment = text.find('/').unwrap_or(text.len());
    let ends = (1..=segment).filter(|end| text.is_char_boundary(*end));
    ends.into_iter().any(|end| matches(rest, &text[end..]))
}

fn is_simple_template(text: &str) -> bool {
    let mut variables = text.split('{').skip(1);
    !text.contains('*')
        && (1..=3).contains(&text.matches('{').count())
        && variables.all(|rest| {
            rest.split_once('}').is_some_and(|(name, rest)| {
                !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase()) && !rest.contains('}')
            })
        })
}

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let lines: Vec<_> = text.split('\n').collect();
    let [secret, others @ .., asked] = &*lines else { return };
    let is_pattern = secret.contains(['*', '{']);
    if secret.is_empty() || others.len() > 4 || asked.len() > 200 || secret.len() > 200 {
        return;
    }
    let rules = ToolScopes::new().resource(secret, Rule::never());
    if is_pattern {
        // A more specific rule could allow what the template matches, so there are no others.
        if !is_simple_template(secret) {
            return;
        }
        let Some(auth) = protected(rules) else { return };
        if auth.check_operation(&CALLER, &Operation::of_resource(asked)).is_ok() {
            for (how, key) in KEYS.iter().filter(|(how, _)| !how.contains("segments")) {
                let key = key(asked).unwrap_or_default();
                assert!(!matches(secret, &key), "{how}: {secret:?} {asked:?}");
            }
        }
        return;
    }
    // A rule may name a URI that is not canonical. Then it covers this URI, and no other reading of it.
    let elsewhere = protected(ToolScopes::new().resource("elsewhere://x", ["read"])).expect("one");
    if elsewhere.check_operation(&CALLER, &Operation::of_resource(secret)).is_err() {
        return;
    }
    let rules = others.iter().fold(rules, |rules, other| rules.resource(other, ["read"]));
    let Some(auth) = protected(rules) else { return };
    if others.contains(asked) && asked != secret {
        return; // the operator has named it
    }
    // An operator who names a query has a server that distinguishes it from none.
    let has_query = |uri: &str| before_query(&decoded(uri)).len() < decoded(uri).len();
    if has_query(secret) && !has_query(asked) {
        return;
    }
    if auth.check_operation(&CALLER, &Operation::of_resource(asked)).is_ok() {
        for (how, key) in KEYS {
            let (asked_key, secret_key) = (key(asked), key(secret));
            let is_same = asked_key.is_some() && asked_key == secret_key;
            assert!(!is_same, "{how}: {secret:?} {others:?} {asked:?}");
        }
    }
});

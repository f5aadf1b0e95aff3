//! Attacks on the rules for resources, in front of servers that read URIs in different ways.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use http::Request;
use http::header::{ACCEPT, CONTENT_TYPE, HOST, HeaderValue};
use http_body_util::BodyExt as _;
use mcp_auth::{Rule, ToolScopes};
use mcp_auth_testkit::TestIssuer;
use rmcp::model::{
    ErrorData, ReadResourceRequestParams, ReadResourceResponse, ReadResourceResult,
    ResourceContents, ServerCapabilities, ServerConfig,
};
use rmcp::service::RequestContext;
use rmcp::transport::streamable_http_server::session::never::NeverSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use rmcp::{RoleServer, ServerHandler};
use tower::ServiceExt as _;
use url::Url;

use crate::attacks_on_operations::World;
use crate::world::bearer;

/// A way to find the file that a URI names.
type FindFile = fn(&str) -> Option<PathBuf>;

/// The ways of servers of files. Each is one line in a server.
const WAYS: [(&str, FindFile); 6] = [
    ("as text", |uri| uri.strip_prefix("file://").map(PathBuf::from)),
    ("as decoded text", |uri| decoded(uri).strip_prefix("file://").map(PathBuf::from)),
    ("by Url::to_file_path", |uri| Url::parse(uri).ok()?.to_file_path().ok()),
    ("by Url::path", |uri| Some(Url::parse(uri).ok()?.path().into())),
    ("by Url::path, decoded", |uri| Some(decoded(Url::parse(uri).ok()?.path()).into())),
    ("as text before `?` and `#`", |uri| {
        uri.split(['?', '#']).next()?.strip_prefix("file://").map(PathBuf::from)
    }),
];

/// Decodes percent-encoding once.
fn decoded(text: &str) -> String {
    let mut decoded = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let digits = after.get(..2).filter(|_| *first == b'%');
        let digits = digits.and_then(|digits| std::str::from_utf8(digits).ok());
        let byte = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        decoded.push(byte.unwrap_or(*first));
        rest = if byte.is_some() { &after[2..] } else { after };
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

/// An rmcp server of files.
#[derive(Clone)]
struct Files(FindFile);

impl ServerHandler for Files {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_resources().build())
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        let text = self.0(&request.uri).and_then(|path| fs::read_to_string(path).ok());
        let text = text.ok_or_else(|| ErrorData::resource_not_found("no such file", None))?;
        Ok(ReadResourceResult::new(vec![ResourceContents::text(text, request.uri)]).into())
    }
}

async fn read(app: &Router, token: &str, uri: &str) -> (u16, String) {
    let message = serde_json::json!({
        "jsonrpc": "2.0", "id": 1, "method": "resources/read", "params": { "uri": uri },
    });
    let mut request = Request::post("/mcp").body(Body::from(message.to_string())).expect("one");
    *request.headers_mut() = bearer(token);
    let headers = request.headers_mut();
    headers.insert(HOST, HeaderValue::from_static("localhost"));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(ACCEPT, HeaderValue::from_static("application/json, text/event-stream"));
    let answer = app.clone().oneshot(request).await.expect("an answer");
    let status = answer.status().as_u16();
    let body = answer.into_body().collect().await.expect("a body").to_bytes();
    (status, String::from_utf8_lossy(&body).into_owned())
}

/// A folder with a public and a secret file, removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("mcp-auth-{name}-{}", std::process::id()));
        for (path, text) in [("public/My Notes.txt", "a note"), ("secret/keys", "THE SECRET")] {
            let path = folder.join(path);
            fs::create_dir_all(path.parent().expect("a folder")).expect("created");
            fs::write(path, text).expect("written");
        }
        Self(folder)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        _ = fs::remove_dir_all(&self.0);
    }
}

/// Ways to write the URI of the secret file in a folder.
fn spellings(folder: &Path) -> Vec<String> {
    let d = folder.to_str().expect("text");
    let plain = format!("file://{d}/secret/keys");
    let mut all: Vec<String> = [
        "//secret/keys",
        "/secret//keys",
        "/%2Fsecret/keys",
        "/%2fsecret/keys",
        "/secret%2Fkeys",
        "%2Fsecret/keys",
        "%2Fsecret%2Fkeys",
        "/./secret/keys",
        "/public/../secret/keys",
        "/public/%2E%2E/secret/keys",
        "/public/%2e./secret/keys",
        "/public/..%2Fsecret/keys",
        "/public%2F..%2Fsecret/keys",
        "/public/..\\secret\\keys",
        "/public\\..\\secret/keys",
        "/\\secret/keys",
        "/\tsecret/keys",
        "/sec\nret/keys",
        "/%73ecret/keys",
        "/secret/%6Beys",
        "/%252Fsecret/keys",
        "/secret/keys/",
        "/secret/keys#x",
        "/secret/keys?x",
        "/secret/keys?",
        "/secret/keys#",
        "/secret/./keys",
        "/secret/keys/.",
        "/secret/x/../keys",
        "/public/My%20Notes.txt/../../secret/keys",
    ]
    .map(|end| format!("file://{d}{end}"))
    .into();
    all.extend([
        plain.replace("file://", "file:"),
        plain.replace("file://", "file:///"),
        plain.replace("file://", "file:////"),
        plain.replace("file://", "file://localhost"),
        plain.replace("file://", "file://LOCALHOST"),
        plain.replace("file:", "FILE:"),
        plain.replace("file:", "File:"),
        format!(" {plain}"),
        format!("{plain} "),
        format!("\u{0}{plain}"),
        format!("{plain}\n"),
        plain.clone(),
    ]);
    all
}

#[tokio::test]
async fn no_spelling_of_a_file_reads_it_past_its_rule() {
    let folder = Folder::new("spellings");
    let d = folder.0.to_str().expect("text");
    let issuer = TestIssuer::new();
    let rules = || {
        ToolScopes::new()
            .resource(format!("file://{d}/*"), ["read"])
            .resource(format!("file://{d}/secret/*"), ["admin"])
    };
    let exact = || {
        let rules = ToolScopes::new().resource(format!("file://{d}/secret/keys"), Rule::never());
        rules.resource("file://*", ["read"])
    };
    let mut without_rules = 0;
    for rules in [Some(rules()), Some(exact()), None] {
        let is_protected = rules.is_some();
        let described = issuer.protects("http://localhost/mcp").tools(rules.unwrap_or_default());
        let auth = described.build().expect("a description");
        let token = issuer.token().scopes(["read"]).sign();
        for (way, find_file) in WAYS {
            let config = StreamableHttpServerConfig::default()
                .with_legacy_session_mode(false)
                .with_json_response(true);
            let app = auth.protect_mcp(StreamableHttpService::new(
                move || Ok(Files(find_file)),
                Arc::new(NeverSessionManager::default()),
                config,
            ));
            for uri in spellings(&folder.0) {
                let (status, body) = read(&app, &token, &uri).await;
                let is_read = body.contains("THE SECRET");
                without_rules += usize::from(is_read && !is_protected);
                assert!(!(is_read && is_protected), "{way}: {uri:?} {status} {body}");
            }
            let (status, body) =
                read(&app, &token, &format!("file://{d}/public/My%20Notes.txt")).await;
            let is_decoded =
                !matches!(way, "as text" | "by Url::path" | "as text before `?` and `#`");
            assert!(status == 200 && body.contains("a note") == is_decoded, "{way}: {body}");
        }
    }
    assert!(without_rules > 60, "the spellings would work without rules: {without_rules}");
}

/// Ways in which servers look up a resource: whether a request for the first URI gets the second resource.
type IsSame = fn(&str, &str) -> bool;

const LOOKUPS: [(&str, IsSame); 10] = [
    ("as text", |asked, named| asked == named),
    ("as text, without a slash at its end", |asked, named| {
        asked.trim_end_matches('/') == named.trim_end_matches('/')
    }),
    ("as decoded text", |asked, named| decoded(asked) == decoded(named)),
    ("by URLDecoder", |asked, named| {
        decoded(&asked.replace('+', " ")) == decoded(&named.replace('+', " "))
    }),
    ("as text before the query", |asked, named| {
        asked.split(['?', '#']).next() == named.split(['?', '#']).next()
    }),
    ("as decoded text before the query", |asked, named| {
        decoded(asked).split(['?', '#']).next() == decoded(named).split(['?', '#']).next()
    }),
    ("by Url", |asked, named| Url::parse(asked).ok().is_some_and(|it| Url::parse(named) == Ok(it))),
    ("by scheme, host and path of Url", |asked, named| {
        let parts = |uri| {
            let url = Url::parse(uri).ok()?;
            let host = url.host_str().map(str::to_lowercase);
            Some((url.scheme().to_owned(), host, url.path().to_owned()))
        };
        parts(asked).is_some() && parts(asked) == parts(named)
    }),
    ("by non-empty segments", |asked, named| {
        let segments = |uri: &str| -> Vec<String> {
            uri.split('/').filter(|it| !it.is_empty()).map(str::to_owned).collect()
        };
        segments(asked) == segments(named)
    }),
    ("by a case-insensitive host", |asked, named| {
        let lower = |uri: &str| {
            let (scheme, rest) = uri.split_once("://")?;
            let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
            Some((scheme.to_lowercase(), host.to_lowercase(), path.to_owned()))
        };
        lower(asked).is_some() && lower(asked) == lower(named)
    }),
];

#[tokio::test]
async fn no_spelling_of_a_uri_evades_its_rule_in_any_lookup() {
    let secrets = [
        "notes://alice/private",
        "notes://alice/private/",
        "notes://alice",
        "vault://Admin/keys",
        "vault://admin/%7Bkeys%7D",
        "vault://admin/a%20b",
        "vault://admin/a+b",
        "vault:admin",
        "https://example.com/x",
        "https://example.com/",
        "https://example.com/x?y=z",
        "http://127.0.0.1/keys",
    ];
    let mut tried = 0;
    for secret in secrets {
        let (scheme, _) = secret.split_once(':').expect("a scheme");
        let path = secret.split('?').next().unwrap_or(secret);
        let tail = secret.rsplit(['/', ':']).next().unwrap_or_default();
        let with = |what: &str, other: &str| secret.replacen(what, other, 1);
        let mut asked = vec![
            format!("{secret}?x"),
            format!("{secret}#x"),
            format!("{path}?"),
            format!("{path}?x=y"),
            format!("{secret}/"),
            format!("{secret}//"),
            format!("{secret}%2F"),
            format!("{secret}%3Fx"),
            format!("{secret}%23x"),
            format!("{secret}/."),
            format!("{secret}/x/.."),
            format!("{secret} "),
            format!(" {secret}"),
            format!("{secret}\n"),
            secret.trim_end_matches('/').to_owned(),
            with("://", ":"),
            with("://", ":/"),
            with("://", ":///"),
            with("://", "://@"),
            with("://", "://user@"),
            with("://", "://user:password@"),
            with(scheme, &scheme.to_uppercase()),
            with("alice", "Alice"),
            with("admin", "ADMIN"),
            with("Admin", "admin"),
            with("example.com", "EXAMPLE.com"),
            with("alice", "alice:1"),
            with("admin", "admin:443"),
            with("example.com", "example.com:443"),
            with("example.com", "example.com:1"),
            with("127.0.0.1", "127.1"),
            with("%7Bkeys%7D", "{keys}"),
            with("%7Bkeys%7D", "%7bkeys%7d"),
            with("%20", " "),
            with("%20", "+"),
            with("+", "%20"),
        ];
        if let Some(first) = tail.chars().next() {
            let encoded = format!("%{:02X}{}", u32::from(first), &tail[first.len_utf8()..]);
            asked.push(format!("{}{encoded}", &secret[..secret.len() - tail.len()]));
        }
        let rules = ToolScopes::new().resource(secret, Rule::never());
        for rules in [rules.clone(), rules.resource("*", ["read"])] {
            let world = World::new(rules);
            for uri in asked.iter().map(String::as_str).chain([secret]) {
                let same = LOOKUPS.iter().filter(|(_, is_same)| is_same(uri, secret));
                let ways: Vec<_> = same.map(|(way, _)| way).collect();
                if ways.is_empty() {
                    continue;
                }
                tried += 1;
                let params = serde_json::json!({ "uri": uri }).to_string();
                let (_, is_reached) = world.ask("resources/read", &params).await;
                assert!(!is_reached, "{secret}: {uri:?} {ways:?}");
            }
        }
    }
    assert!(tried > 300, "{tried}");
}

#[tokio::test]
async fn a_uri_that_servers_normalize_to_a_forbidden_one_is_refused() {
    let forbidden = [
        "vault://admin/keys",
        "vault://admin/a%20b",
        "vault://admin/%C3%A9",
        "vault://admin:80/keys",
        "vault://[::1]/keys",
        "vault:admin",
        "https://example.com/keys",
        "https://example.com/",
        "http://127.0.0.1/keys",
        "http://[::1]/keys",
        "file:///etc/keys",
        "file:///C:/keys",
    ];
    let rules = forbidden.iter().fold(ToolScopes::new(), |all, uri| all.resource(uri, ["admin"]));
    let world = World::new(rules);
    // The right is `new URL(left).href`, which the TypeScript SDK looks up.
    let rows = [
        (" vault://admin/keys", "vault://admin/keys"),
        ("vault://admin/keys ", "vault://admin/keys"),
        ("vault://admin/a b", "vault://admin/a%20b"),
        ("vault://admin/é", "vault://admin/%C3%A9"),
        ("vault://admin/%c3%a9", "vault://admin/%C3%A9"), // RFC 3986 §6.2.2.1
        ("vault://@admin/keys", "vault://admin/keys"),
        ("vault://admin:/keys", "vault://admin/keys"),
        ("vault://admin:080/keys", "vault://admin:80/keys"),
        ("vault://[0::1]/keys", "vault://[::1]/keys"),
        ("vault:admin ", "vault:admin"),
        ("https://EXAMPLE.com/keys", "https://example.com/keys"),
        ("https://example.com:443/keys", "https://example.com/keys"),
        ("https://example.com:/keys", "https://example.com/keys"),
        ("https://@example.com/keys", "https://example.com/keys"),
        ("https:example.com/keys", "https://example.com/keys"),
        ("https:/example.com/keys", "https://example.com/keys"),
        ("https:///example.com/keys", "https://example.com/keys"),
        ("https:\\\\example.com\\keys", "https://example.com/keys"),
        ("https://example.com\\keys", "https://example.com/keys"),
        ("https://examp\u{ad}le.com/keys", "https://example.com/keys"),
        ("https://ｅxample.com/keys", "https://example.com/keys"),
        ("https://example.com", "https://example.com/"),
        ("http://0x7f.1/keys", "http://127.0.0.1/keys"),
        ("http://127.0.0.1./keys", "http://127.0.0.1/keys"),
        ("http://2130706433/keys", "http://127.0.0.1/keys"),
        ("http://[0:0::1]/keys", "http://[::1]/keys"),
        ("file://localhost/etc/keys", "file:///etc/keys"),
        ("file:/etc/keys", "file:///etc/keys"),
        ("file:///C|/keys", "file:///C:/keys"),
    ];
    for (written, read) in rows {
        assert!(forbidden.contains(&read), "{read}");
        for method in ["resources/read", "resources/subscribe"] {
            let params = serde_json::json!({ "uri": written }).to_string();
            let (status, is_reached) = world.ask(method, &params).await;
            assert!(!is_reached && matches!(status, 400 | 403), "{written:?} {status}");
        }
    }
    for fine in [
        "notes://alice/a%20b",
        "notes://Alice/%C3%A9",
        "notes://alice/1",
        "notes://alice/",
        "config://app",
        "greeting://World",
        "memo://insights",
        "https://other.example/a'b?x=y",
        "https://other.example/?x=%26",
        "https://xn--bcher-kva.example/a",
        "http://127.0.0.1/",
        "file:///tmp/My%20Notes.txt",
        "file:///tmp/C%23/",
        "urn:isbn:1",
    ] {
        let params = serde_json::json!({ "uri": fine }).to_string();
        assert_eq!(world.ask("resources/read", &params).await, (200, true), "{fine}");
    }
    for template in [
        "https://{host}/{+path}",
        "https://example.com/list{?query}",
        "https://{+rest}",
        "file://{+path}",
        "notes://{Owner}/{id}",
        "{+uri}",
    ] {
        let params = serde_json::json!({
            "ref": { "type": "ref/resource", "uri": template },
            "argument": { "name": "a", "value": "" },
        });
        let answer = world.ask("completion/complete", &params.to_string()).await;
        assert_eq!(answer, (200, true), "{template}");
    }
}

#[tokio::test]
async fn a_rule_applies_to_a_uri_as_it_is_written_and_in_canonical_form() {
    for rule in ["n://a/é", "n://a/%C3%A9", "n://a/%c3%a9", "n://{owner}/é", "n://*/%c3%a9"] {
        let world = World::new(ToolScopes::new().resource(rule, ["admin"]));
        for uri in ["n://a/é", "n://a/%C3%A9", "n://a/%c3%a9"] {
            let params = serde_json::json!({ "uri": uri }).to_string();
            let expected = if uri == rule || uri == "n://a/%C3%A9" { 403 } else { 400 };
            let answer = world.ask("resources/read", &params).await;
            assert_eq!(answer, (expected, false), "{rule} {uri}");
        }
    }
}

#[tokio::test]
async fn percent_encoding_does_not_hide_a_uri_from_its_rule() {
    let written = ["n://a/x:y@z", "n://a/x%3Ay%40z", "n://a/x%3ay@z"];
    for rule in written {
        let rules = ToolScopes::new().resource("n://a/{id}", ["read"]).resource(rule, ["admin"]);
        let world = World::new(rules);
        // For each of these the Python SDK 2 calls the handler of `n://a/{id}` with the `id` `x:y@z`.
        for uri in written {
            let params = serde_json::json!({ "uri": uri }).to_string();
            let expected = if uri != rule && uri.contains("%3a") { 400 } else { 403 };
            assert_eq!(world.ask("resources/read", &params).await.0, expected, "{rule} {uri}");
        }
    }
}

#[tokio::test]
async fn an_encoded_slash_does_not_lead_past_the_rule_for_a_folder() {
    let rules = ToolScopes::new().resource("n://a/{id}", ["read"]);
    let world = World::new(rules.resource("n://a/private/{id}", ["admin"]));
    // The Python SDK 2 calls the handler of `n://a/{id}` with the `id` `private/x`.
    let params = r#"{"uri":"n://a/private%2Fx"}"#;
    let (status, is_reached) = world.ask("resources/read", params).await;
    assert!(!is_reached, "{status}");
}

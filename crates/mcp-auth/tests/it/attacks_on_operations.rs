//! Attacks on the rules for operations, in front of other kinds of servers.
//!
//! A request that such a server would read differently from the rules is refused and never reaches it.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderValue, WWW_AUTHENTICATE};
use http::{HeaderName, Request, Response};
use http_body_util::{BodyExt as _, Full};
use mcp_auth::{AnyOf, AuthInfo, GuardedBody, McpAuth, ToolScopes};
use mcp_auth_testkit::TestIssuer;
use tower::{Layer as _, ServiceExt as _, service_fn};

use crate::world::{RESOURCE, bearer};

/// A server of any kind that counts the requests that reach it.
pub(crate) struct World {
    issuer: TestIssuer,
    auth: McpAuth,
    reached: Arc<AtomicUsize>,
}

impl World {
    pub(crate) fn new(rules: ToolScopes) -> Self {
        let issuer = TestIssuer::new();
        let auth = issuer.protects(RESOURCE).required_scopes(["read"]).tools(rules).build();
        Self { issuer, auth: auth.expect("a description"), reached: Arc::default() }
    }

    pub(crate) fn headers(&self) -> HeaderMap {
        let mut headers = bearer(&self.issuer.token().scopes(["read"]).sign());
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers
    }

    /// The status of the answer, and whether the server was reached.
    pub(crate) async fn send(&self, headers: HeaderMap, body: &str) -> (u16, bool) {
        let reached = self.reached.clone();
        let server = service_fn(move |_: Request<GuardedBody<Full<Bytes>>>| {
            reached.fetch_add(1, Ordering::SeqCst);
            async { Ok::<_, Infallible>(Response::new(Full::<Bytes>::default())) }
        });
        let mut request = Request::post("/mcp").body(Full::from(body.to_owned())).expect("one");
        *request.headers_mut() = headers;
        let answer = self.auth.bearer_auth().layer(server).oneshot(request).await;
        let status = answer.unwrap_or_else(|never| match never {}).status().as_u16();
        (status, self.reached.swap(0, Ordering::SeqCst) > 0)
    }

    pub(crate) async fn ask(&self, method: &str, params: &str) -> (u16, bool) {
        let body = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{params}}}"#);
        self.send(self.headers(), &body).await
    }
}

#[tokio::test]
async fn a_body_with_another_charset_or_content_encoding_is_refused() {
    let world = World::new(ToolScopes::new().tool("admin_x", ["admin"]));
    // Decoded as UTF-7, the string of `x` ends and another `name` follows. Express and the TypeScript SDK
    // decode by `charset`, with iconv-lite.
    let body = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"note","x":"+ACIALAAi-name+ACIAOgAi-admin+AF8-x"}}"#;
    let rows = [
        ("application/json", true),
        ("application/json; charset=utf-8", true),
        ("application/json;charset=UTF-8", true),
        ("application/json; charset=\"utf-8\"", true),
        ("application/json; charset=utf8; a=b", true),
        ("application/json; charset=utf-7", false),
        ("application/json;charset=\"UTF-7\"", false),
        ("application/json; Charset = utf-7", false),
        ("application/json; charset=utf-8; charset=utf-7", false),
        ("application/json; charset=utf-7; charset=utf-8", false),
        ("application/json; charset=shift_jis", false),
        ("application/json; charset=utf-16", false),
        ("application/json; charset=", false),
        ("application/json; charset=utf-80", false),
        ("application/json; charset*=us-ascii''utf-7", false),
        ("application/json; charset=utf\\-7", false),
    ];
    for (content_type, is_fine) in rows {
        let mut headers = world.headers();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        let expected = if is_fine { (200, true) } else { (400, false) };
        assert_eq!(world.send(headers, body).await, expected, "{content_type}");
    }
    let mut headers = world.headers();
    headers.append(CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-7"));
    assert_eq!(world.send(headers, body).await, (400, false), "the second of two");
    for (coding, is_fine) in
        [("identity", true), ("Identity", true), ("", true), ("br", false), ("identity, br", false)]
    {
        let mut headers = world.headers();
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static(coding));
        let expected = if is_fine { (200, true) } else { (400, false) };
        assert_eq!(world.send(headers, body).await, expected, "{coding}");
    }
}

#[tokio::test]
async fn snake_case_member_names_are_refused() {
    let world = World::new(ToolScopes::new().resource("vault://*", ["admin"]));
    // Pydantic models with `populate_by_name`, such as those of the Python SDK 2, accept a field under either
    // name, unless that is switched off where they are used, as in the SDK's own server.
    for filter in [
        r#"{"resource_subscriptions":["vault://a"]}"#,
        r#"{"resourceSubscriptions":[],"resource_subscriptions":["vault://a"]}"#,
        r#"{"Resource_Subscriptions":["vault://a"]}"#,
    ] {
        let params = format!(r#"{{"notifications":{filter}}}"#);
        let answer = world.ask("subscriptions/listen", &params).await;
        assert_eq!(answer, (400, false), "{filter}");
    }
}

#[tokio::test]
async fn proto_members_are_refused() {
    let world = World::new(ToolScopes::new().resource("vault://*", ["admin"]));
    let params = r#"{"notifications":{"__proto__":{"resourceSubscriptions":["vault://a"]}}}"#;
    assert_eq!(world.ask("subscriptions/listen", params).await, (400, false));
}

#[tokio::test]
async fn spaces_do_not_split_a_required_scope() {
    let world = World::new(ToolScopes::new());
    for folder in ["x read", "read ", " read", "x read y"] {
        let headers = bearer(&world.issuer.token().scopes(["read"]).sign());
        let (parts, body) =
            Request::post("/mcp").body(Full::<Bytes>::default()).map(with(headers)).expect("one");
        let (caller, _) = world.auth.admit(&parts, body).await.expect("admitted");
        let scope = format!("folder:{folder}");
        assert!(!caller.has(AnyOf([scope.as_str(), "admin"])), "{folder:?} of several");
        assert!(!caller.has(AnyOf(vec![scope.clone()])), "{folder:?} of one");
        let denied = caller.require(AnyOf([scope.as_str(), "admin"]));
        assert!(denied.is_err(), "{folder:?}");
        let refusal = world.auth.refuse(&denied.expect_err("refused"));
        let challenge = refusal.headers()[WWW_AUTHENTICATE].to_str().expect("text").to_owned();
        assert!(challenge.contains(r#"scope="read admin""#), "{challenge}");
    }
}

fn with(
    headers: HeaderMap,
) -> impl FnOnce(Request<Full<Bytes>>) -> (http::request::Parts, Full<Bytes>) {
    move |request| {
        let (mut parts, body) = request.into_parts();
        parts.headers = headers;
        (parts, body)
    }
}

#[tokio::test]
async fn an_invalid_scope_cannot_inject_into_the_challenge() {
    let world = World::new(ToolScopes::new());
    let headers = bearer(&world.issuer.token().scopes(["read"]).sign());
    let (parts, body) =
        Request::post("/mcp").body(Full::<Bytes>::default()).map(with(headers)).expect("one");
    let (caller, _): (AuthInfo, _) = world.auth.admit(&parts, body).await.expect("admitted");
    let denial = caller.require(["a\", error=\"x\r\nSet-Cookie: a=b"]).expect_err("refused");
    let answer = world.auth.refuse(&denial);
    assert_eq!(answer.status(), 403);
    let challenge = answer.headers()[WWW_AUTHENTICATE].to_str().expect("text");
    assert!(!challenge.contains("Cookie:") || !challenge.contains("\r"), "{challenge}");
    assert_eq!(challenge.matches("error=").count(), 1, "{challenge}");
}

#[tokio::test]
async fn many_long_names_before_many_patterns_take_no_time() {
    let rules = (0..200).fold(ToolScopes::new(), |rules, i| {
        rules.resource(format!("vault://{{owner}}/*/{i}/{{id}}"), ["admin"])
    });
    let world = World::new(rules);
    let uri = format!("vault://{}", "a/".repeat(4000));
    let uris = serde_json::to_string(&vec![uri; 256]).expect("JSON");
    let begun = Instant::now();
    let params = format!(r#"{{"notifications":{{"resourceSubscriptions":{uris}}}}}"#);
    let (status, _) = world.ask("subscriptions/listen", &params).await;
    let taken = begun.elapsed();
    assert!(taken < Duration::from_secs(2), "{status} after {taken:?}");
}

#[tokio::test]
async fn headers_that_cgi_gateways_confuse_with_mcp_headers_are_removed() {
    // CGI, WSGI and PHP expose headers under names in which `-` and `_` are the same.
    let world = World::new(ToolScopes::new());
    let server = service_fn(|request: Request<GuardedBody<Full<Bytes>>>| async move {
        let names = request.headers().keys().map(|name| name.as_str().replace('_', "-"));
        let names = names.collect::<Vec<_>>().join(" ");
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::from(names)))
    });
    let mut request = Request::post("/mcp").body(Full::<Bytes>::default()).expect("a request");
    *request.headers_mut() = bearer(&world.issuer.token().scopes(["read"]).sign());
    for name in [
        "mcp_session_id",
        "mcp-session_id",
        "mcp.session.id",
        "Last_Event_Id",
        "mcp_method",
        "mcp-param-a_b",
    ] {
        let name: HeaderName = name.parse().expect("a name");
        request.headers_mut().insert(name, HeaderValue::from_static("s1"));
    }
    let answer = world.auth.bearer_auth().layer(server).oneshot(request).await;
    let names = answer.unwrap_or_else(|never| match never {}).into_body().collect().await;
    let names = names.unwrap_or_else(|never| match never {}).to_bytes();
    assert_eq!(names, "mcp-param-a-b", "what is told the server in place of the header");
}

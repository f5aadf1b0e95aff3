//! Tasks, handles and request state that clients send back: none of it identifies the caller.

use std::collections::HashMap;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Request, Response};
use http_body_util::Full;
use mcp_auth::{ApiKey, ApiKeys, AuthInfo, McpAuth, Principal, ToolScopes};
use mcp_auth_testkit::TestIssuer;
use rmcp::model::{RequestStateCodec, SealOptions};

use crate::world::{RESOURCE, admit, answer, bearer};

fn protected(issuer: &TestIssuer) -> McpAuth {
    let rules = ToolScopes::new().tool("add_note", ["write"]).method("tasks/*", ["tasks"]);
    let auth = issuer.protects(RESOURCE).required_scopes(["read"]).tools(rules);
    auth.build().expect("a description")
}

/// Sends a request with this token, if any. Everything else in the request refers to alice.
async fn ask(auth: &McpAuth, token: Option<&str>, method: &str, params: &str) -> Response<Bytes> {
    let body = format!(r#"{{"jsonrpc":"2.0","id":7,"method":"{method}","params":{params}}}"#);
    let mut request = Request::post("/mcp").body(Full::from(body)).expect("a request");
    if let Some(token) = token {
        *request.headers_mut() = bearer(token);
    }
    let json = HeaderValue::from_static("application/json");
    request.headers_mut().insert(CONTENT_TYPE, json);
    request.headers_mut().insert("x-handle", HeaderValue::from_static("of-alice"));
    answer(auth, request).await
}

#[tokio::test]
async fn tasks_handles_and_request_state_need_a_token_with_the_scopes() {
    let issuer = TestIssuer::new();
    let auth = protected(&issuer);
    let of = |sub: &str, scopes: &str| issuer.token().subject(sub).scopes([scopes]).sign();
    let retry = r#"{"name":"add_note","arguments":{"handle":"of-alice"},"requestState":"of-alice","inputResponses":{"sure":{"action":"accept"}}}"#;
    // The method, its parameters, and the scope that it requires.
    let rows = [
        ("tasks/get", r#"{"taskId":"of-alice"}"#, "tasks"),
        ("tasks/update", r#"{"taskId":"of-alice","inputResponses":{}}"#, "tasks"),
        ("tasks/cancel", r#"{"taskId":"of-alice"}"#, "tasks"),
        ("tasks/result", r#"{"taskId":"of-alice"}"#, "tasks"),
        ("tasks/list", "{}", "tasks"),
        ("tools/call", r#"{"name":"add_note","arguments":{"handle":"of-alice"}}"#, "write"),
        ("tools/call", retry, "write"),
    ];
    for (method, params, scope) in rows {
        assert_eq!(ask(&auth, None, method, params).await.status(), 401, "{method} {params}");
        let forged = ask(&auth, Some("of-alice"), method, params).await;
        assert_eq!(forged.status(), 401, "{method} {params}");
        let expired = issuer.token().subject("alice").expired().sign();
        assert_eq!(ask(&auth, Some(&expired), method, params).await.status(), 401, "{method}");

        let lacking = ask(&auth, Some(&of("alice", "read")), method, params).await;
        assert_eq!(lacking.status(), 403, "{method} {params}: as at the first time");
        let challenge = lacking.headers()["www-authenticate"].to_str().expect("text").to_owned();
        assert!(challenge.contains(scope), "{method}: {challenge}");

        let bob = ask(&auth, Some(&of("bob", &format!("read {scope}"))), method, params).await;
        assert_eq!((bob.status().as_u16(), &bob.body()[..]), (200, &b"bob"[..]), "{method}");
    }
}

/// The associated data, as the guide recommends it in `scopes-per-tool.md`.
fn context(auth: &AuthInfo, tool: &str) -> Vec<u8> {
    format!("{} tools/call {tool:?}", auth.principal()).into_bytes()
}

#[tokio::test]
async fn state_bound_to_a_principal_is_available_to_that_principal_only() {
    let (issuer, key) = (TestIssuer::new(), "mcpk_0123456789abcdefghijkl");
    let other = TestIssuer::builder().issuer("https://other.test").build();
    let auth = issuer
        .protects(RESOURCE)
        .authorization_server(other.authorization_server())
        .api_keys(ApiKeys::new().key(ApiKey::new("alice", key)))
        .build()
        .expect("a description");
    let caller = async |token: &str| admit(&auth, &bearer(token)).await.expect("admitted");

    let alice = caller(&issuer.token().sign()).await;
    let codec = RequestStateCodec::try_new([7; 32]).expect("a key of 32 bytes");
    let bound = context(&alice, "pay");
    let lasting = SealOptions::new().ttl(Duration::from_secs(600));
    let state = codec.seal_with(b"step 2", &lasting.associated_data(&bound));
    let handles: HashMap<(Principal, &str), &str> = [((alice.principal(), "h"), "hers")].into();

    let rows = [
        ("the same token", issuer.token().sign(), true),
        ("a renewed one", issuer.token().claim("jti", "2").scopes(["more"]).sign(), true),
        ("by another client", issuer.token().client_id("other").sign(), true),
        ("bob", issuer.token().subject("bob").sign(), false),
        ("Alice", issuer.token().subject("Alice").sign(), false),
        ("a name with quotes", issuer.token().subject("alice\" of \"x").sign(), false),
        ("alice of another issuer", other.token().sign(), false),
        ("an API key of that name", key.to_owned(), false),
    ];
    for (name, token, is_theirs) in rows {
        let caller = caller(&token).await;
        assert_eq!(handles.contains_key(&(caller.principal(), "h")), is_theirs, "{name}");
        let opened = codec.open_with(&state, &context(&caller, "pay"));
        assert_eq!(opened.is_ok_and(|state| state == b"step 2"), is_theirs, "{name}");
        assert!(codec.open_with(&state, &context(&caller, "mail")).is_err(), "{name}");
    }
}

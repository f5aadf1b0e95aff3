//! A resource whose description changes while its server runs, and what an operator is told about refused callers.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{AUTHORIZATION, HeaderMap};
use http_body_util::Full;
use mcp_auth::{BadProof, DenialKind, McpAuth, McpAuthBuilder, Operation, Revocation, ToolScopes};
use mcp_auth_testkit::{DpopKey, TestIssuer};
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;

use crate::rmcp_world::{Mode, Visitor, call, serve};
use crate::streams::{EVENTS, data, next, streamed, streaming};
use crate::world::{RESOURCE, admit, bearer, request, status};

fn built(builder: McpAuthBuilder) -> McpAuth {
    builder.build().expect("a description")
}

#[tokio::test]
async fn a_successor_continues_sessions_unless_their_keys_are_or_were_configured() {
    let issuer = TestIssuer::new();
    let sessions = Arc::new(LocalSessionManager::default());
    let replica = |auth| serve(Some(&auth), Mode::Stateful, sessions.clone(), &Arc::default());
    let token = issuer.token().audience(RESOURCE).sign();
    let described = || issuer.protects(RESOURCE);
    let keyed = |key: &str| described().session_keys([key.repeat(32)]);
    let elsewhere = built(issuer.protects("https://api.example.com/other"));
    for (name, earlier, later, is_known) in [
        ("random keys", described(), described().required_scopes([""; 0]), true),
        ("keys that are configured now", described(), keyed("a"), false),
        ("keys that are configured no longer", keyed("a"), described(), false),
        ("the same keys", keyed("a"), keyed("a"), true),
        ("other keys", keyed("a"), keyed("b"), false),
    ] {
        let earlier = built(earlier);
        let later = built(later.successor_of(&earlier).successor_of(&elsewhere));
        let session = Visitor::new(&replica(earlier), &token).initialize().await;
        let visitor = Visitor::new(&replica(later), &token).in_session(&session);
        let status = visitor.post(&call("whoami")).await.status();
        assert_eq!(status, if is_known { 200 } else { 404 }, "{name}");
    }
}

#[tokio::test]
async fn a_successor_accepts_no_revoked_token_and_no_used_proof() {
    let issuer = TestIssuer::new();
    let earlier = built(issuer.protects(RESOURCE));
    let key = DpopKey::generate(issuer.clone());
    let bound = issuer.token().subject("bob").dpop_bound(&key).sign();
    let proof = key.proof("POST", RESOURCE).token(&bound).sign();
    let mut headers = HeaderMap::new();
    headers.insert(AUTHORIZATION, format!("DPoP {bound}").parse().expect("a value"));
    headers.insert("dpop", proof.parse().expect("a value"));
    admit(&earlier, &headers).await.expect("the first use");
    let token = issuer.token().subject("alice").sign();
    earlier.revoke(Revocation::subject("https://issuer.test", "alice"));

    let later = built(issuer.protects(RESOURCE).successor_of(&earlier));
    let unrelated = built(issuer.protects(RESOURCE));
    assert_eq!((status(&later, &token).await, status(&unrelated, &token).await), (401, 200));
    let denial = admit(&later, &headers).await.expect_err("a used proof");
    assert_eq!(*denial.kind(), DenialKind::InvalidProof(BadProof::Replayed));
    admit(&unrelated, &headers).await.expect("it knows nothing of the first use");
    later.revoke(Revocation::subject("https://issuer.test", "bob"));
    assert_eq!(status(&earlier, &issuer.token().subject("bob").sign()).await, 401, "shared");
}

#[tokio::test(start_paused = true)]
async fn listening_streams_end_when_their_resource_says_so_and_calls_go_on() {
    let issuer = TestIssuer::new();
    let auth = built(issuer.protects(RESOURCE).optional());
    let token = issuer.token().sign();
    let (heard, response) = streamed(&auth, Some(&token), &[EVENTS]).await;
    let mut listening = response.into_body();
    let (_silent, response) = streamed(&auth, None, &[EVENTS]).await;
    let mut anonymous = response.into_body();
    heard.send(data("data: 1\n\n")).await.expect("open");
    assert_eq!(next(&mut listening).await.as_deref(), Some("data: 1\n\n"));

    let post = |message: &str, headers: &[(&'static str, &'static str)]| {
        let mut all = bearer(&token);
        all.extend(headers.iter().map(|(name, value)| {
            (Some(name.parse().expect("a name")), value.parse().expect("a value"))
        }));
        request(all).map(|_| Full::<Bytes>::from(message.to_owned()))
    };
    let modern = [("mcp-protocol-version", "2026-07-28"), ("mcp-method", "subscriptions/listen")];
    let subscription = r#"{"jsonrpc":"2.0","id":"l","method":"subscriptions/listen","params":{}}"#;
    let (_subscribed, response) = streaming(&auth, post(subscription, &modern), &[EVENTS]);
    let mut subscribed = response.await.into_body();
    let (called, response) = streaming(&auth, post(&call("whoami"), &[]), &[EVENTS]);
    let mut calling = response.await.into_body();

    let waits = tokio::spawn(async move { next(&mut anonymous).await });
    tokio::task::yield_now().await;
    auth.end_listening_streams();
    assert_eq!(next(&mut listening).await, None);
    assert_eq!(waits.await.expect("it"), None, "a task that waited is woken");
    let last = next(&mut subscribed).await.unwrap_or_default();
    assert!(last.contains(r#""id":"l""#) && last.contains("result"), "{last}");
    assert_eq!(next(&mut subscribed).await, None);
    called.send(data("data: 2\n\n")).await.expect("open");
    assert_eq!(next(&mut calling).await.as_deref(), Some("data: 2\n\n"));
    // One that is opened afterwards ends at once, since another value is in charge.
    let (_late, response) = streamed(&auth, Some(&token), &[EVENTS]).await;
    assert_eq!(next(&mut response.into_body()).await, None);
}

#[tokio::test]
async fn a_denial_names_the_caller_whose_token_was_verified_and_no_other() {
    let issuer = TestIssuer::new();
    let rules = ToolScopes::new().tool("delete_*", ["write"]).tool("*", [""; 0]);
    let auth = built(issuer.protects(RESOURCE).required_scopes(["read"]).tools(rules));
    let revoked = issuer.token().subject("revoked").scopes(["read"]).sign();
    auth.revoke(Revocation::subject("https://issuer.test", "revoked"));
    let forged = TestIssuer::new().token().scopes(["read"]).sign();
    for (name, token, expected) in [
        ("no scope", issuer.token().subject("alice").sign(), Some("alice")),
        (
            "a token for another resource",
            issuer.token().audience("https://b.example").sign(),
            Some("alice"),
        ),
        ("a revoked token", revoked, Some("revoked")),
        ("a forged token", forged, None),
        ("no token", "x".to_owned(), None),
    ] {
        let (parts, _) = request(bearer(&token)).into_parts();
        let body = Full::<Bytes>::from(call("delete_all"));
        let denial = auth.admit(&parts, body).await.expect_err(name);
        let caller = denial.verified_token().map(|token| token.subject().to_owned());
        assert_eq!(caller.as_deref(), expected, "{name}: {denial}");
    }
}

#[test]
fn the_rules_for_an_operation_are_named_as_they_were_written() {
    let issuer = TestIssuer::new();
    let rules = ToolScopes::new()
        .tool("delete_*", ["a"])
        .tool("delete_all", ["b"])
        .tool("*", ["c"])
        .prompt("*", ["d"])
        .resource("notes://{owner}/*", ["e"])
        .method("tools/*", ["f"])
        .unknown_methods(["g"]);
    let auth = built(issuer.protects(RESOURCE).tools(rules));
    let message = |method: &str, params: &str| {
        format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{{{params}}}}}"#)
    };
    for (body, method, name, expected) in [
        (
            message("tools/call", r#""name":"delete_all""#),
            "tools/call",
            "delete_all",
            &["tools/*", "delete_all"] as &[&str],
        ),
        (
            message("tools/call", r#""name":"delete_it""#),
            "tools/call",
            "delete_it",
            &["tools/*", "delete_*"],
        ),
        (message("tools/call", r#""name":"add""#), "tools/call", "add", &["tools/*", "*"]),
        (message("prompts/get", r#""name":"add""#), "prompts/get", "add", &["*"]),
        (
            message("resources/read", r#""uri":"notes://a/b""#),
            "resources/read",
            "notes://a/b",
            &["notes://{owner}/*"],
        ),
        (message("x/y", ""), "x/y", "", &["unknown_methods"]),
        (message("ping", ""), "ping", "", &[]),
    ] {
        let operation = Operation::read(&http::Method::POST, &HeaderMap::new(), body.as_bytes());
        let operation = operation.expect(&body);
        assert_eq!(operation.method(), Some(method));
        assert_eq!(operation.name().unwrap_or_default(), name);
        assert_eq!(auth.rules_for(&operation), expected, "{body}");
    }
    assert_eq!(Operation::default().method(), None);
}

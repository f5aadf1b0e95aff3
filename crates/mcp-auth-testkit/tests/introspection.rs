//! The introspection endpoint of an issuer without a socket.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{Method, Request};
use mcp_auth::{Fetch as _, Limits};
use mcp_auth_testkit::{Endpoint, TestIssuer, Trouble};
use serde_json::{Value, json};

/// Introspects a token with these headers; returns the status and the body.
async fn ask(issuer: &TestIssuer, token: &str, headers: &[(&str, &str)]) -> (u16, String) {
    let mut request = Request::builder().method(Method::POST).uri(issuer.introspection_endpoint());
    request = request.header(CONTENT_TYPE, "application/x-www-form-urlencoded");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Bytes::from(format!("token={token}"))).expect("a request");
    let limits = Limits { timeout: Duration::from_secs(5), max_bytes: 1 << 16 };
    let answer = issuer.fetch(request, limits).await.expect("an answer");
    (answer.status().as_u16(), String::from_utf8_lossy(answer.body()).into_owned())
}

#[tokio::test]
async fn the_endpoint_answers_its_clients_until_a_token_is_revoked() {
    let issuer = TestIssuer::builder().client("robot", "a b").build();
    let robot = format!("Basic {}", STANDARD.encode("robot:a+b"));
    let robot = [(AUTHORIZATION.as_str(), &*robot)];
    let token = issuer.token().subject("bob").scopes(["read"]).opaque();
    for credentials in
        [&[][..], &[("authorization", "Basic cm9ib3Q6d3Jvbmc=")], &[("authorization", "Bearer x")]]
    {
        assert_eq!(ask(&issuer, &token, credentials).await.0, 401);
    }
    let (status, body) = ask(&issuer, &token, &robot).await;
    let answer: Value = serde_json::from_str(&body).expect("JSON");
    assert_eq!((status, &answer["active"], &answer["sub"]), (200, &json!(true), &json!("bob")));
    assert_eq!(answer["token_type"], "Bearer");

    let jwt = issuer.token().introspectable();
    assert!(ask(&issuer, &jwt, &robot).await.1.contains("\"active\":true"));
    issuer.revoke(&token);
    for token in [&*token, "unknown", &issuer.token().sign()] {
        assert_eq!(ask(&issuer, token, &robot).await, (200, r#"{"active":false}"#.to_owned()));
    }
    assert_eq!(issuer.introspection_requests(), 8);
    assert_eq!(issuer.requests(), 8);
}

#[tokio::test]
async fn the_answer_is_signed_on_request() {
    let issuer = TestIssuer::new();
    issuer.introspection_bearer("ours");
    let accept = "application/token-introspection+jwt";
    let headers = [("authorization", "Bearer ours"), (ACCEPT.as_str(), accept)];
    let (_, body) = ask(&issuer, &issuer.token().opaque(), &headers).await;
    let part = |i| {
        let part = body.split('.').nth(i).expect("a part");
        let part =
            base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(part).expect("base64url");
        serde_json::from_slice::<Value>(&part).expect("JSON")
    };
    assert_eq!(part(0)["typ"], "token-introspection+jwt");
    assert_eq!((&part(1)["iss"], &part(1)["aud"]), (&json!(issuer.url()), &json!("ours")));
    assert_eq!(part(1)["token_introspection"]["active"], true);
    assert!(part(1)["sub"].is_null() && part(1)["exp"].is_null());
}

#[tokio::test]
async fn trouble_affects_the_introspection_endpoint_alone() {
    let issuer = TestIssuer::new();
    issuer.trouble(Endpoint::Introspection, Trouble::Status(500));
    assert_eq!(ask(&issuer, "x", &[]).await.0, 500);
    issuer.trouble(Endpoint::Introspection, Trouble::Empty);
    assert_eq!(ask(&issuer, "x", &[]).await, (200, "{}".to_owned()));
    issuer.recover();
    assert_eq!(ask(&issuer, "x", &[]).await.0, 401);
}

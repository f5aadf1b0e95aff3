//! Tokens created by tests: valid by default, changed on request.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use mcp_auth_testkit::TestIssuer;
use serde_json::{Value, json};

const NOW: i64 = 1_785_196_800;

fn part(token: &str, index: usize) -> String {
    let part = token.split('.').nth(index).expect("three parts");
    String::from_utf8(URL_SAFE_NO_PAD.decode(part).expect("base64url")).expect("text")
}

fn header(token: &str) -> Value {
    serde_json::from_str(&part(token, 0)).expect("JSON")
}

fn claims(token: &str) -> Value {
    serde_json::from_str(&part(token, 1)).expect("JSON")
}

#[test]
fn a_token_is_complete_by_default() {
    let token = TestIssuer::new().token().sign();
    let expected = json!({ "alg": "ES256", "typ": "at+jwt", "kid": "es256-1" });
    assert_eq!(header(&token), expected);
    let expected = json!({
        "iss": "https://issuer.test",
        "sub": "alice",
        "aud": "https://api.example.com/mcp",
        "client_id": "test-client",
        "iat": NOW,
        "exp": NOW + 300,
        "jti": "token-1",
    });
    assert_eq!(claims(&token), expected);
}

#[test]
fn every_token_has_a_unique_jti() {
    let issuer = TestIssuer::new();
    drop(issuer.token().sign());
    assert_eq!(claims(&issuer.token().sign())["jti"], "token-2");
}

#[test]
fn the_audience_is_the_latest_resource() {
    let issuer = TestIssuer::new();
    issuer.resource("https://a.example/mcp", ["read"]);
    issuer.resource("https://b.example/mcp", ["write"]);
    assert_eq!(claims(&issuer.token().sign())["aud"], "https://b.example/mcp");
    issuer.resource("https://a.example/mcp", ["read"]);
    assert_eq!(claims(&issuer.token().sign())["aud"], "https://a.example/mcp");
}

#[test]
fn every_claim_and_header_can_be_changed() {
    let token = TestIssuer::new()
        .token()
        .subject("bob")
        .audience(vec!["https://a.example", "https://b.example"])
        .scopes(["read", "write"])
        .client_id("inspector")
        .expires_in(Duration::from_secs(60))
        .not_before(Duration::from_secs(10))
        .claim("tenant", json!({ "id": 7 }))
        .without("jti")
        .typ("JWT")
        .header("crit", json!(["exp"]))
        .without_header("kid")
        .sign();
    let expected = json!({ "alg": "ES256", "typ": "JWT", "crit": ["exp"] });
    assert_eq!(header(&token), expected);
    let expected = json!({
        "iss": "https://issuer.test",
        "sub": "bob",
        "aud": ["https://a.example", "https://b.example"],
        "scope": "read write",
        "client_id": "inspector",
        "iat": NOW,
        "exp": NOW + 60,
        "nbf": NOW + 10,
        "tenant": { "id": 7 },
    });
    assert_eq!(claims(&token), expected);
}

#[test]
fn times_follow_the_clock_of_the_issuer() {
    let issuer = TestIssuer::new();
    issuer.clock().advance(Duration::from_secs(1000));
    assert_eq!(claims(&issuer.token().sign())["exp"], NOW + 1300);
    assert_eq!(claims(&issuer.token().expired().sign())["exp"], NOW + 1000 - 3600);
}

#[test]
fn a_payload_need_not_be_json() {
    let token = TestIssuer::new().token().payload("{not json").sign();
    assert_eq!(part(&token, 1), "{not json");
}

#[test]
fn kid_selects_its_key_or_only_sets_the_header() {
    let issuer = TestIssuer::new();
    issuer.rotate();
    issuer.withdraw("es256-1");
    assert_eq!(header(&issuer.token().sign())["kid"], "es256-2");
    assert_eq!(header(&issuer.token().kid("es256-1").sign())["kid"], "es256-1");
    assert_eq!(header(&issuer.token().kid("nobody").sign())["kid"], "nobody");
}

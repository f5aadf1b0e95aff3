//! Each row of the refusal table, as the complete response that a client receives.

use std::time::Duration;

use crate::world::{RESOURCE, answer, bearer, request, shown, status};
use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, WWW_AUTHENTICATE};
use http::{Method, Request, Response};
use http_body_util::Full;
use mcp_auth::{
    AnyOf, Challenge, Clock as _, Credentials, Denial, McpAuth, Reason, Rule, ToolScopes,
};
use mcp_auth_testkit::{Endpoint, TestIssuer, Trouble};

fn protected(issuer: &TestIssuer) -> McpAuth {
    issuer.protects(RESOURCE).required_scopes(["read", "write"]).build().expect("a description")
}

#[tokio::test]
async fn each_refusal_matches_its_snapshot() {
    let issuer = TestIssuer::new();
    let auth = protected(&issuer);
    let token = || issuer.token().scopes(["read", "write"]);
    let twice = {
        let mut headers = bearer(&token().sign());
        headers.append(AUTHORIZATION, HeaderValue::from_static("Bearer other"));
        headers
    };
    let rows: Vec<(&str, HeaderMap)> = vec![
        ("admitted", bearer(&token().sign())),
        ("no credentials", HeaderMap::new()),
        (
            "another scheme",
            [(AUTHORIZATION, HeaderValue::from_static("Basic YTpi"))].into_iter().collect(),
        ),
        ("malformed authorization", bearer("two tokens")),
        ("repeated authorization", twice),
        ("oversize", bearer(&"a".repeat(16 * 1024 + 1))),
        ("malformed", bearer("opaque")),
        ("encoding", bearer("a.b.c")),
        ("encrypted", bearer("AA.AA.AA.AA.AA")),
        ("algorithm", bearer(&token().header("alg", "none").sign())),
        ("critical", bearer(&token().header("crit", vec!["exp"]).sign())),
        (
            "duplicate",
            bearer(&token().payload(r#"{"iss":"https://issuer.test","sub":"a","sub":"b"}"#).sign()),
        ),
        ("claims", bearer(&token().without("exp").sign())),
        ("issuer", bearer(&token().claim("iss", "https://issuer.test/").sign())),
        ("type", bearer(&token().typ("dpop+jwt").sign())),
        ("binding", bearer(&token().claim("cnf", serde_json::json!({"jkt": "x"})).sign())),
        ("unknown key", bearer(&token().kid("no-such-key").sign())),
        // Older than the keys that were fetched for the first row, so that it need not be of a newer key.
        ("signature", bearer(&TestIssuer::new().token().claim("iat", 1_785_196_700).sign())),
        ("not yet valid", bearer(&token().not_before(Duration::from_secs(61)).sign())),
        ("expired", bearer(&token().expired().sign())),
        ("expired and without scope", bearer(&issuer.token().expired().sign())),
        ("audience", bearer(&token().audience("https://api.example.com/mail").sign())),
        ("insufficient scope", bearer(&issuer.token().scopes(["read"]).sign())),
    ];
    let mut codes = Vec::new();
    for (name, headers) in rows {
        let response = answer(&auth, request(headers)).await;
        codes.extend(response.extensions().get::<Denial>().map(Denial::code));
        snapshot(name, &response);
    }
    for reason in Reason::ALL {
        let has_row = codes.contains(&reason.code());
        let elsewhere =
            [Reason::Certificate, Reason::Inactive, Reason::Key, Reason::NotSenderConstrained];
        let is_elsewhere = elsewhere.contains(reason);
        assert!(has_row != is_elsewhere, "{reason:?} has one row");
    }
}

#[tokio::test]
async fn each_operation_refusal_matches_its_snapshot() {
    let issuer = TestIssuer::new();
    let login = Rule::from(["pay"]).acr_values("urn:mfa").max_age(Duration::from_secs(300));
    let rules = ToolScopes::new()
        .tool("wire_money", login)
        .tool("add_note", ["notes:write"])
        .tool("hidden", Rule::never())
        .resource("notes://*", ["notes:read"]);
    let auth = issuer.protects(RESOURCE).required_scopes(["read"]).tools(rules).build();
    let auth = auth.expect("a description");
    let call = |name| {
        format!(r#"{{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{{"name":"{name}"}}}}"#)
    };
    let rows = [
        ("step up", call("add_note")),
        ("log in anew", call("wire_money")),
        ("forbidden request", call("hidden")),
        ("forbidden notification", call("hidden").replace(r#""id":7,"#, "")),
        ("ambiguous message", call(r#"a","name":"hidden"#)),
        ("batch", format!("[{}]", [r#"{"method":"ping"}"#; 65].join(","))),
        ("no target", call("")),
        ("not a message", "{}".to_owned()),
        ("not json", call("a") + "x"),
        ("too large", " ".repeat(4 * 1024 * 1024 + 1)),
        (
            "uri form",
            r#"{"id":"x","method":"resources/read","params":{"uri":"notes://a/../b"}}"#.to_owned(),
        ),
    ];
    for (name, body) in rows {
        let headers = bearer(&issuer.token().scopes(["read", "notes:read"]).sign());
        let response = answer(&auth, request(headers).map(|_| Full::from(body))).await;
        snapshot(name, &response);
    }
    let mut lying = request(bearer(&issuer.token().scopes(["read"]).sign()))
        .map(|_| Full::from(call("add_note")));
    lying.headers_mut().insert("mcp-protocol-version", HeaderValue::from_static("2026-07-28"));
    snapshot("header mismatch", &answer(&auth, lying).await);
    let mut leaving = request(bearer(&issuer.token().scopes(["read"]).sign()))
        .map(|_| Full::from(call("add_note")));
    leaving.headers_mut().insert("upgrade", HeaderValue::from_static("websocket"));
    snapshot("upgrade", &answer(&auth, leaving).await);
}

#[tokio::test]
async fn a_missing_login_is_401_insufficient_user_authentication() {
    let issuer = TestIssuer::new();
    let rule = Rule::default().acr_values(["urn:mfa", "urn:key"]).max_age(Duration::from_secs(300));
    let auth = issuer.protects(RESOURCE).required(rule).build().expect("a description");
    let now =
        issuer.clock().now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_secs();
    let rows = [
        (Some("urn:mfa"), Some(now), 200),
        (Some("urn:key"), Some(now - 300), 200),
        (Some("urn:key"), Some(now - 361), 401),
        (Some("urn:pwd"), Some(now), 401),
        (None, Some(now), 401),
        (Some("urn:mfa"), None, 401),
    ];
    for (acr, auth_time, expected) in rows {
        let token = acr.into_iter().fold(issuer.token(), |token, acr| token.claim("acr", acr));
        let token = auth_time.into_iter().fold(token, |token, time| token.claim("auth_time", time));
        let response = answer(&auth, request(bearer(&token.sign()))).await;
        assert_eq!(response.status(), expected, "{acr:?} {auth_time:?}");
        if expected == 401 {
            let header = response.headers()[WWW_AUTHENTICATE].to_str().expect("text");
            let challenge = Challenge::parse(header).expect(header);
            assert_eq!(challenge.error.as_deref(), Some("insufficient_user_authentication"));
            assert_eq!(
                (challenge.acr_values, challenge.max_age),
                (Some("urn:mfa urn:key".into()), Some(300))
            );
        }
    }
    let expired = issuer.token().expired().sign();
    assert_eq!(
        answer(&auth, request(bearer(&expired)))
            .await
            .extensions()
            .get::<Denial>()
            .and_then(Denial::reason),
        Some(Reason::Expired)
    );
}

#[tokio::test]
async fn challenges_and_metadata_use_the_issuers_names_for_scopes() {
    let issuer = TestIssuer::new();
    let auth = issuer
        .protects(RESOURCE)
        .required_scopes(["read"])
        .tools(ToolScopes::new().tool("x", ["write"]))
        .requested_as("read", "api://orders/read")
        .requested_as("write", "api://orders/write")
        .build()
        .expect("a description");
    assert!(auth.metadata_json().contains(r#""scopes_supported":["api://orders/read"]"#));
    let body = r#"{"id":1,"method":"tools/call","params":{"name":"x"}}"#;
    for (scopes, challenged) in [
        ("", "api://orders/read api://orders/write"),
        ("read", "api://orders/read api://orders/write"),
    ] {
        let headers = bearer(&issuer.token().scopes([scopes]).sign());
        let response = answer(&auth, request(headers).map(|_| Full::from(body))).await;
        let header = response.headers()[WWW_AUTHENTICATE].to_str().expect("text");
        assert_eq!(
            Challenge::parse(header).and_then(|it| it.scope),
            Some(challenged.into()),
            "{header}"
        );
    }
    let response = answer(&auth, request(HeaderMap::new())).await;
    assert!(
        response.headers()[WWW_AUTHENTICATE]
            .to_str()
            .expect("text")
            .contains(r#"scope="api://orders/read""#)
    );
}

#[tokio::test]
async fn a_challenge_does_not_depend_on_the_order_of_granted_scopes() {
    let issuer = TestIssuer::new();
    let described = || {
        issuer
            .protects(RESOURCE)
            .tools(ToolScopes::new().tool("x", ["c"]).tool("y", ["a"]).tool("z", ["b"]))
    };
    let body = r#"{"id":1,"method":"tools/call","params":{"name":"x"}}"#;
    for (auth, challenged) in
        [(described().build(), "c a b"), (described().strict_challenges().build(), "c")]
    {
        let auth = auth.expect("a description");
        for granted in ["a b unknown", "b unknown a"] {
            let headers = bearer(&issuer.token().scopes([granted]).sign());
            let response = answer(&auth, request(headers).map(|_| Full::from(body))).await;
            let header = response.headers()[WWW_AUTHENTICATE].to_str().expect("text");
            assert_eq!(Challenge::parse(header).and_then(|it| it.scope), Some(challenged.into()));
        }
    }
}

fn snapshot(name: &str, response: &Response<Bytes>) {
    insta::with_settings!({ prepend_module_to_snapshot => false, snapshot_path => "refusals" }, {
        insta::assert_snapshot!(name.replace(' ', "_"), shown(response));
    });
}

#[tokio::test]
async fn refusals_for_a_bad_key_and_by_a_custom_verifier_match_their_snapshots() {
    let issuer = TestIssuer::new();
    issuer.trouble(Endpoint::Jwks, Trouble::UnusableKeys);
    let token = issuer.token().header("alg", "RS256").kid("rsa-1024").sign();
    snapshot("key", &answer(&protected(&issuer), request(bearer(&token))).await);

    let nobody = |_: Credentials| async { Err(Denial::invalid(Reason::Inactive)) };
    let auth = issuer.protects(RESOURCE).verifier(nobody).build().expect("a description");
    snapshot("inactive", &answer(&auth, request(bearer("opaque"))).await);
}

#[tokio::test]
async fn an_unavailable_issuer_is_503_with_retry_after_and_no_challenge() {
    let issuer = TestIssuer::new();
    for endpoint in [Endpoint::Metadata, Endpoint::Jwks] {
        let auth = protected(&issuer);
        issuer.trouble(endpoint, Trouble::Down);
        let response = answer(&auth, request(bearer(&issuer.token().sign()))).await;
        snapshot("unavailable", &response);
        issuer.recover();
    }
}

#[tokio::test]
async fn an_origin_that_is_not_allowed_is_403_without_a_challenge() {
    let issuer = TestIssuer::new();
    let mut headers = bearer(&issuer.token().scopes(["read", "write"]).sign());
    headers.insert("origin", HeaderValue::from_static("https://evil.example"));
    let response = answer(&protected(&issuer), request(headers)).await;
    snapshot("origin_not_allowed", &response);
}

#[tokio::test]
async fn any_request_without_credentials_is_401() {
    let auth = protected(&TestIssuer::new());
    for method in
        [Method::GET, Method::POST, Method::DELETE, Method::PUT, Method::HEAD, Method::OPTIONS]
    {
        for version in ["2024-11-05", "2025-03-26", "2026-07-28", "nonsense"] {
            let request = Request::builder()
                .method(method.clone())
                .uri("/nowhere?access_token=secret")
                .header("mcp-protocol-version", version)
                .header(ACCEPT, "image/png")
                .header(CONTENT_TYPE, "text/plain")
                .body(Full::from("{ no JSON"))
                .expect("a request");
            let response = answer(&auth, request).await;
            assert_eq!(response.status(), 401, "{method} {version}");
            let challenge =
                response.headers().get(WWW_AUTHENTICATE).and_then(|value| value.to_str().ok());
            let challenge = challenge.and_then(Challenge::parse).expect("a challenge");
            assert_eq!((challenge.error, challenge.error_description), (None, None));
        }
    }
}

#[tokio::test]
async fn refusals_are_byte_identical_and_only_layers_see_the_reason() {
    let issuer = TestIssuer::new();
    let auth = protected(&issuer);
    let denied = |token: String| {
        let auth = auth.clone();
        async move { answer(&auth, request(bearer(&token))).await }
    };
    let first = denied(issuer.token().scopes(["read"]).sign()).await;
    let second = denied(issuer.token().subject("bob").scopes(["read"]).sign()).await;
    assert_eq!(shown(&first), shown(&second));
    assert_eq!(first.headers().get_all(WWW_AUTHENTICATE).iter().count(), 1);

    let response = denied(issuer.token().audience("api://default").sign()).await;
    assert!(!shown(&response).contains("api://default"), "no text of a token reaches the wire");
    let denial = response.extensions().get::<Denial>().expect("the denial");
    assert_eq!(denial.reason(), Some(Reason::Audience));
    assert!(denial.operator_detail().is_some_and(|detail| detail.contains("api://default")));
}

#[tokio::test]
async fn required_scopes_are_enforced() {
    let issuer = TestIssuer::new();
    let auth = issuer
        .protects(RESOURCE)
        .required_scopes(["notes:read"])
        .required_scopes(AnyOf(["team", "enterprise"]))
        .implies("notes:admin", ["notes:write"])
        .implies("notes:write", ["notes:read"])
        .build()
        .expect("a description");
    for (scopes, expected) in [
        ("notes:read team", 200),
        ("notes:read enterprise other", 200),
        ("notes:admin team", 200),
        ("notes:read", 403),
        ("team", 403),
        ("notes team", 403),
        ("", 403),
    ] {
        assert_eq!(
            status(&auth, &issuer.token().scopes([scopes]).sign()).await,
            expected,
            "{scopes:?}"
        );
    }
    let response = answer(&auth, request(bearer(&issuer.token().sign()))).await;
    let challenge =
        response.headers()[WWW_AUTHENTICATE].to_str().map(Challenge::parse).expect("text");
    let scope = challenge.and_then(|challenge| challenge.scope);
    assert_eq!(scope, Some("notes:read team".into()), "the narrow scope, the first alternative");
}

#[tokio::test]
async fn configured_audiences_are_accepted_as_well_as_the_resource() {
    let issuer = TestIssuer::new();
    let auth =
        issuer.protects(RESOURCE).audience("api://orders").audience("5b1d").build().expect("it");
    for (audience, expected) in [
        ("api://orders", 200),
        ("5b1d", 200),
        (RESOURCE, 200),
        ("HTTPS://API.example.com/mcp", 200),
        ("api://orders/", 401),
        ("API://orders", 401),
        ("api://other", 401),
    ] {
        let token = issuer.token().audience(audience).sign();
        assert_eq!(status(&auth, &token).await, expected, "{audience}");
    }
}

#[tokio::test]
async fn optional_auth_accepts_missing_but_not_invalid_credentials() {
    let issuer = TestIssuer::new();
    let auth = issuer
        .protects(RESOURCE)
        .required_scopes(["read"])
        .optional()
        .build()
        .expect("a description");
    let anonymous = answer(&auth, request(HeaderMap::new())).await;
    assert_eq!((anonymous.status().as_u16(), &**anonymous.body()), (200, &b"nobody"[..]));
    let alice = answer(&auth, request(bearer(&issuer.token().scopes(["read"]).sign()))).await;
    assert_eq!((alice.status().as_u16(), &**alice.body()), (200, &b"alice"[..]));
    assert_eq!(status(&auth, &issuer.token().sign()).await, 403);
    assert_eq!(status(&auth, &issuer.token().expired().sign()).await, 401);
    assert_eq!(status(&auth, "nonsense").await, 401);
}

/// The id of a message is JSON of the client, which a parser may change or refuse.
#[tokio::test]
async fn ids_come_back_as_their_own_bytes() {
    let issuer = TestIssuer::new();
    let rules = ToolScopes::new()
        .tool("never", Rule::never())
        .tool("admin", ["admin"])
        .resource("notes://a", ["admin"]);
    let builder = || issuer.protects(RESOURCE).tools(rules.clone());
    let required = builder().build().expect("a description");
    let optional = builder().optional().build().expect("a description");
    let token = issuer.token().sign();
    let ids = [
        "1",
        "-0",
        "1e2",
        "1E+2",
        "1.50",
        "1e999",
        "-1e-999",
        "18446744073709551616",
        "123456789012345678901234567890.5",
        r#""""#,
        r#""a\u0062\/""#,
        r#""\ud800""#,
        r#""é\n""#,
    ];
    let messages = [
        r#"{"jsonrpc":"2.0","id":ID,"method":"tools/call","params":{"name":"never"}}"#,
        r#"{"jsonrpc":"2.0","id":ID,"method":"resources/read","params":{"uri":"notes://a/../a"}}"#,
        r#"{"jsonrpc":"2.0","id":ID,"method":"tools/call","params":{}}"#,
    ];
    for id in ids {
        for message in messages {
            for (auth, headers) in [
                (&required, bearer(&token)),
                (&optional, bearer(&token)),
                (&optional, HeaderMap::new()),
            ] {
                let message = message.replace("ID", id);
                let is_anonymous = headers.is_empty() && message.contains("never");
                let request = request(headers).map(|_| Full::from(message.clone()));
                let response = answer(auth, request).await;
                if is_anonymous {
                    assert_eq!(response.status(), 401, "{message}"); // a login may help
                    continue;
                }
                let body = std::str::from_utf8(response.body()).expect("text");
                assert!(
                    body.contains(&format!(r#","id":{id},"jsonrpc":"2.0"}}"#)),
                    "{message} {body}"
                );
            }
        }
    }
    // An id that cannot be sent back, and one of another type than MCP allows.
    for id in ["{}", "[1]", "null", "true", &format!("{:?}", "x".repeat(300)), "1e", "01"] {
        let message = messages[0].replace("ID", id);
        let request = request(bearer(&token)).map(|_| Full::from(message));
        let response = answer(&required, request).await;
        assert_eq!(response.status(), 400, "{id}");
        let body = std::str::from_utf8(response.body()).expect("text");
        assert!(body.contains(r#","id":null,"jsonrpc":"2.0"}"#), "{id} {body}");
    }
}

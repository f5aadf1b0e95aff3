//! What a log line says about the request and its caller, and what only a verified token may write there.

use std::time::Duration;

use axum::body::Body;
use http::{HeaderMap, Request};
use mcp_auth::{AuthInfo, Clock as _, McpAuth, Rule, ToolScopes};
use mcp_auth_testkit::{DpopKey, TestIssuer};
use tower::ServiceExt as _;
use tracing::Level;

use crate::logs::Log;
use crate::world::{RESOURCE, answer, bearer, request};

const ALICE: [&str; 3] =
    ["subject=\"alice\"", "client_id=\"cli\"", "issuer=\"https://issuer.test\""];

/// What is logged at this level about a request with this token and these headers.
async fn logged(auth: &McpAuth, level: Level, token: &str, more: &[(&str, &str)]) -> String {
    auth.warm_up().await.expect("the issuer is up");
    let mut headers = bearer(token);
    for (name, value) in more {
        let name: http::HeaderName = name.parse().expect("a name");
        headers.append(name, value.parse().expect("a value"));
    }
    let (log, _guard) = Log::at(level);
    answer(auth, request(headers)).await;
    log.text()
}

#[tokio::test]
async fn a_refusal_names_the_caller_of_a_verified_token_and_of_no_other() {
    let issuer = TestIssuer::new();
    let protects = || issuer.protects(RESOURCE).required_scopes(["read"]);
    let auth = protects().build().expect("a description");
    let ruled = protects().tools(ToolScopes::new().tool("x", Rule::never()));
    let ruled = ruled.build().expect("a description");
    let token = || issuer.token().subject("alice").client_id("cli").scopes(["read"]);
    let key = DpopKey::generate(issuer.clone());
    let other = TestIssuer::new();
    let forged = other.token().subject("alice").client_id("cli").scopes(["read"]).sign();
    for (code, token, is_named) in [
        ("audience", token().audience("https://api.example.com/mail").sign(), true),
        ("insufficient_scope", token().scopes(["other"]).sign(), true),
        ("binding", token().dpop_bound(&key).sign(), true),
        ("not_json", token().sign(), true),
        ("expired", token().expired().sign(), false),
        ("type", token().typ("logout+jwt").sign(), false),
        ("signature", forged, false),
        ("issuer", token().claim("iss", "https://evil.example").sign(), false),
        ("malformed", "alice".to_owned(), false),
    ] {
        let auth = if code == "not_json" { &ruled } else { &auth };
        let text = logged(auth, Level::INFO, &token, &[]).await;
        assert!(text.contains(&format!("decision=\"{code}\"")), "{code}: {text}");
        assert_eq!(text.lines().count(), 1, "{code}: {text}");
        for part in ALICE {
            assert_eq!(text.contains(part), is_named, "{code}: {part}: {text}");
        }
        assert!(text.contains("method=\"POST\"") && text.contains("path=\"/mcp\""), "{text}");
    }
    auth.revoke(mcp_auth::Revocation::subject(issuer.url(), "alice"));
    let text = logged(&auth, Level::INFO, &token().sign(), &[]).await;
    assert!(text.contains("inactive") && ALICE.iter().all(|part| text.contains(part)), "{text}");
}

#[tokio::test]
async fn a_request_id_is_logged_if_it_is_short_and_plain() {
    let issuer = TestIssuer::new();
    let auth = issuer.protects(RESOURCE).required_scopes(["read"]).build().expect("a description");
    let (refused, admitted) = (issuer.token().sign(), issuer.token().scopes(["read"]).sign());
    let long = "a".repeat(65);
    for (ids, shown) in [
        (&["7f3c-1"][..], Some("7f3c-1")),
        (&["GitHub:AB12.cd_ef/gh+i@j"], Some("GitHub:AB12.cd_ef/gh+i@j")),
        (&["a b"], None),
        (&["a\" decision=\"admitted"], None),
        (&["a=b"], None),
        (&["one", "two"], None),
        (&[""], None),
        (&[&long], None),
        (&[], None),
    ] {
        let ids: Vec<_> = ids.iter().map(|id| ("x-request-id", *id)).collect();
        for (token, level) in [(&refused, Level::INFO), (&admitted, Level::DEBUG)] {
            let text = logged(&auth, level, token, &ids).await;
            match shown {
                Some(id) => assert!(text.contains(&format!("request_id=\"{id}\"")), "{text}"),
                None => assert!(!text.contains("request_id"), "{text}"),
            }
        }
    }
}

#[tokio::test]
async fn the_path_is_that_of_the_client_without_its_query() {
    let issuer = TestIssuer::new();
    let auth = issuer.protects(RESOURCE).build().expect("a description");
    let app = auth.protect(axum::routing::any(|_: AuthInfo| async { "hello" }));
    let nested = axum::Router::new().nest("/v1", app.clone());
    for (app, uri, shown) in [
        (&app, "/mcp", "/mcp"),
        (&app, "/mcp/notes?access_token=secret", "/mcp/notes"),
        (&nested, "/v1/mcp/x", "/v1/mcp/x"),
        (&app, "/mcp/decision=\"admitted\"", "/mcp/decision\\u{3d}\\u{22}admitted\\u{22}"),
        (&app, "/mcp/%0aINFO", "/mcp/%0aINFO"),
    ] {
        for (token, level) in [("not-a-jwt", Level::INFO), (&issuer.token().sign(), Level::DEBUG)] {
            let (log, guard) = Log::at(level);
            let request = Request::get(uri).header("authorization", format!("Bearer {token}"));
            let response = app.clone().oneshot(request.body(Body::empty()).expect(uri)).await;
            response.expect("an answer");
            let text = log.text();
            drop(guard);
            let shown = shown.replace('\\', "\\\\");
            assert!(text.contains(&format!("path=\"{shown}\"")), "{uri}: {text}");
            assert!(text.contains("method=\"GET\"") && !text.contains("secret"), "{uri}: {text}");
        }
    }
    let long = format!("/mcp/{}", "a".repeat(10_000));
    let (log, _guard) = Log::at(Level::INFO);
    let request = Request::get(&long).header("authorization", "Bearer x").body(Body::empty());
    app.oneshot(request.expect("a request")).await.expect("an answer");
    assert!(log.text().len() < 2_000, "{}", log.text());
}

#[tokio::test]
async fn admitted_callers_have_a_target_of_their_own_at_debug() {
    let issuer = TestIssuer::new();
    let auth = issuer.protects(RESOURCE).optional().build().expect("a description");
    let token = issuer.token().subject("alice").client_id("cli").sign();
    assert_eq!(logged(&auth, Level::INFO, &token, &[]).await, "");
    let text = logged(&auth, Level::DEBUG, &token, &[]).await;
    let line = text.lines().find(|line| line.contains("decision=\"admitted\"")).expect("a line");
    assert!(line.contains("DEBUG mcp_auth::admitted: admitted"), "{line}");
    assert!(ALICE.iter().all(|part| line.contains(part)), "{line}");
    let (log, _guard) = Log::at(Level::DEBUG);
    answer(&auth, request(HeaderMap::new())).await;
    assert!(log.text().contains("DEBUG mcp_auth::admitted: admitted without"), "{}", log.text());
}

#[tokio::test]
async fn clock_skew_is_told_in_seconds() {
    let issuer = TestIssuer::new();
    let second = Duration::from_secs;
    let now =
        issuer.clock().now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_secs();
    let protects = || issuer.protects(RESOURCE).leeway(second(60));
    let aged = protects().max_token_age(second(600)).build().expect("a description");
    let auth = protects().build().expect("a description");
    let iat = |time: u64| issuer.token().claim("iat", time).claim("nbf", time);
    for (auth, token, line) in [
        (
            &auth,
            issuer.token().claim("exp", now - 97),
            "the token expired 97 s ago, and the leeway is 60 s",
        ),
        (&auth, iat(now + 120), "in 120 s, and the leeway is 60 s"),
        (
            &aged,
            iat(now - 700),
            "the token was issued 700 s ago, `.max_token_age(..)` allows 600 s, and the leeway is 60 s",
        ),
    ] {
        let text = logged(auth, Level::INFO, &token.sign(), &[]).await;
        assert!(text.contains(line), "{line}: {text}");
    }
}

#[tokio::test]
async fn a_scope_that_differs_by_its_prefix_is_explained() {
    let issuer = TestIssuer::new();
    let long = "api://orders/notes.read";
    for (rule, granted, is_prefixed, line) in [
        (long, "notes.read", false, "`.requested_with_prefix(\"api://orders/\")`"),
        ("notes.read", long, false, "name it `api://orders/notes.read` in rules"),
        ("notes.read", "other", true, "the client may ask for it"),
    ] {
        let auth = issuer.protects(RESOURCE).required_scopes([rule]);
        let auth = match is_prefixed {
            true => auth.requested_with_prefix("api://orders/"),
            false => auth,
        };
        let auth = auth.build().expect("a description");
        let text = logged(&auth, Level::INFO, &issuer.token().scopes([granted]).sign(), &[]).await;
        assert!(text.contains(line), "{rule} {granted}: {text}");
    }
    let published = issuer.protects(RESOURCE).required_scopes(["notes.read"]);
    let auth = published.metadata(|it| it.scopes_supported([long])).build().expect("a description");
    let text = logged(&auth, Level::INFO, &issuer.token().sign(), &[]).await;
    assert!(text.contains("`.requested_with_prefix(\"api://orders/\")`"), "{text}");
}

#[tokio::test]
async fn entras_scopes_are_explained_at_entra() {
    let entra = TestIssuer::builder()
        .issuer("https://login.microsoftonline.com/8b2c1f0e-1111-2222-3333-444455556666/v2.0")
        .build();
    let auth = entra.protects(RESOURCE).required_scopes(["notes.read"]);
    let auth = auth.build().expect("a description");
    let text = logged(&auth, Level::INFO, &entra.token().scopes(["other"]).sign(), &[]).await;
    assert!(
        text.contains("Microsoft Entra ID") && text.contains("requested_with_prefix"),
        "{text}"
    );
}

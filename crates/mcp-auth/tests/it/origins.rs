//! Web pages: one list of origins decides the `Origin` check and CORS.

use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::{Method, Request};
use http_body_util::Full;
use mcp_auth::McpAuth;
use mcp_auth_testkit::TestIssuer;

use crate::world::{RESOURCE, answer, bearer, request};

const APP: &str = "https://app.example.com";

fn protected(issuer: &TestIssuer) -> McpAuth {
    let origins = [APP, "http://localhost:*"];
    issuer
        .protects(RESOURCE)
        .required_scopes(["read"])
        .allowed_origins(origins)
        .build()
        .expect("a description")
}

fn header<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name).map(|value| value.to_str().expect("text"))
}

#[tokio::test]
async fn a_preflight_is_answered_without_a_token() {
    let auth = protected(&TestIssuer::new());
    let preflight = |origin: &'static str| {
        let request = Request::builder()
            .method(Method::OPTIONS)
            .uri("/mcp")
            .header("origin", origin)
            .header("access-control-request-method", "POST")
            .header(
                "access-control-request-headers",
                "authorization,mcp-protocol-version,mcp-param-region",
            )
            .body(Full::default());
        answer(&auth, request.expect("a request"))
    };
    let response = preflight(APP).await;
    assert_eq!(response.status(), 204);
    let headers = response.headers();
    assert_eq!(header(headers, "access-control-allow-origin"), Some(APP));
    for method in ["GET", "POST", "DELETE"] {
        assert!(
            header(headers, "access-control-allow-methods")
                .is_some_and(|list| list.contains(method))
        );
    }
    for name in [
        "Authorization",
        "Content-Type",
        "MCP-Protocol-Version",
        "Mcp-Method",
        "Mcp-Name",
        "Mcp-Session-Id",
        "Last-Event-ID",
        "mcp-param-region",
    ] {
        assert!(
            header(headers, "access-control-allow-headers").is_some_and(|list| list.contains(name)),
            "{name}"
        );
    }
    assert_eq!(preflight("http://localhost:6274").await.status(), 204);
    let refused = preflight("https://evil.example").await;
    assert_eq!(refused.status(), 403);
    assert_eq!(header(refused.headers(), "access-control-allow-origin"), None);
}

#[tokio::test]
async fn pages_of_allowed_origins_can_read_every_answer() {
    let issuer = TestIssuer::new();
    let auth = protected(&issuer);
    for (token, status) in [
        (issuer.token().scopes(["read"]).sign(), 200),
        (issuer.token().sign(), 403),
        ("x".into(), 401),
    ] {
        let mut headers = bearer(&token);
        headers.insert("origin", HeaderValue::from_static(APP));
        let response = answer(&auth, request(headers)).await;
        assert_eq!(response.status(), status);
        assert_eq!(
            header(response.headers(), "access-control-allow-origin"),
            Some(APP),
            "{status}"
        );
        assert_eq!(header(response.headers(), "vary"), Some("Origin"));
        for name in ["WWW-Authenticate", "Mcp-Session-Id", "MCP-Protocol-Version"] {
            let exposed = header(response.headers(), "access-control-expose-headers");
            assert!(exposed.is_some_and(|list| list.contains(name)), "{status} {name}");
        }
    }
}

#[tokio::test]
async fn vary_origin_is_sent_only_with_allowed_origins_or_origin_refusals() {
    let issuer = TestIssuer::new();
    let token = issuer.token().scopes(["read"]).sign();
    let for_itself =
        issuer.protects(RESOURCE).required_scopes(["read"]).build().expect("a description");
    for (auth, vary) in [(protected(&issuer), Some("Origin")), (for_itself, None)] {
        let answered = answer(&auth, request(bearer(&token))).await;
        assert_eq!(header(answered.headers(), "vary"), vary);
        let refused = answer(&auth, request(HeaderMap::new())).await;
        assert_eq!(header(refused.headers(), "vary"), vary);
        // A refusal because of the origin varies by `Origin` in any case.
        let foreign = HeaderValue::from_static("https://evil.example");
        let headers = [(http::header::ORIGIN, foreign)].into_iter().collect();
        let refused = answer(&auth, request(headers)).await;
        assert_eq!(
            (refused.status().as_u16(), header(refused.headers(), "vary")),
            (403, Some("Origin"))
        );
    }
}

#[tokio::test]
async fn origins_that_are_not_allowed_are_403_before_the_token_is_read() {
    let issuer = TestIssuer::new();
    let auth = protected(&issuer);
    for origins in [
        &["https://evil.example"][..],
        &["null"],
        &[""],
        &["https://api.example.com.evil.example"],
        &["http://api.example.com"],
        &[APP, APP],
        &[APP, "https://evil.example"],
    ] {
        let mut headers = bearer(&issuer.token().scopes(["read"]).sign());
        for origin in origins {
            headers.append(HeaderName::from_static("origin"), HeaderValue::from_static(origin));
        }
        let response = answer(&auth, request(headers)).await;
        assert_eq!(response.status(), 403, "{origins:?}");
        assert_eq!(header(response.headers(), "www-authenticate"), None, "{origins:?}");
        assert_eq!(header(response.headers(), "access-control-allow-origin"), None, "{origins:?}");
    }
    assert_eq!(issuer.requests(), 0);
}

#[tokio::test]
async fn the_resources_own_origin_and_no_origin_need_no_entry() {
    let issuer = TestIssuer::new();
    let auth = issuer.protects(RESOURCE).build().expect("a description");
    let mut headers = bearer(&issuer.token().sign());
    assert_eq!(answer(&auth, request(headers.clone())).await.status(), 200);
    headers.insert("origin", HeaderValue::from_static("https://api.example.com"));
    assert_eq!(answer(&auth, request(headers)).await.status(), 200);
}

#[tokio::test]
async fn default_ports_are_ignored_in_origins() {
    let issuer = TestIssuer::new();
    let resource = "https://api.example.com:443/mcp";
    let auth = issuer.protects(resource).allowed_origins(["http://app.example.com:80"]).build();
    let auth = auth.expect("a description");
    for origin in ["https://api.example.com", "http://app.example.com"] {
        let mut headers = bearer(&issuer.token().sign());
        headers.insert("origin", HeaderValue::from_static(origin));
        assert_eq!(answer(&auth, request(headers)).await.status(), 200, "{origin}");
    }
}

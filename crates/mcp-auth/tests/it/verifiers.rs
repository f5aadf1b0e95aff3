//! Custom verifiers: they are awaited, and the same policy applies to their tokens.

use std::time::{Duration, UNIX_EPOCH};

use mcp_auth::{
    AuthorizationServer, BoxFuture, Credentials, Denial, Introspection, ManualClock, McpAuth,
    McpAuthBuilder, Reason, VerifiedToken, Verifier,
};

use crate::world::{RESOURCE, admit, bearer, status};

const ISSUER: &str = "https://keys.example.com";

fn protected() -> McpAuthBuilder {
    let clock = ManualClock::at(UNIX_EPOCH + Duration::from_secs(1_000_000));
    McpAuth::builder(RESOURCE)
        .authorization_server(AuthorizationServer::external(ISSUER))
        .required_scopes(["read"])
        .clock(clock)
}

fn alice() -> VerifiedToken {
    VerifiedToken::assert(ISSUER, "alice").audience(RESOURCE).scopes(["read"])
}

/// A verifier whose tokens are the names of cases.
async fn by_row(credentials: Credentials) -> Result<VerifiedToken, Denial> {
    tokio::task::yield_now().await; // not ready at the first poll
    let at = |second| UNIX_EPOCH + Duration::from_secs(second);
    match credentials.token().expose() {
        "good" => Ok(alice()),
        "lasting" => Ok(alice().expires_at(at(1_000_001))),
        "a-minute-late" => Ok(alice().expires_at(at(999_941))),
        "expired" => Ok(alice().expires_at(at(999_940))),
        "foreign" => Ok(VerifiedToken::assert("https://evil.example", "alice")
            .audience(RESOURCE)
            .scopes(["read"])),
        "partner" => Ok(VerifiedToken::assert("https://partner.example", "alice")
            .audience(RESOURCE)
            .scopes(["read"])),
        "no-audience" => Ok(VerifiedToken::assert(ISSUER, "alice").scopes(["read"])),
        "no-scope" => Ok(VerifiedToken::assert(ISSUER, "alice").audience(RESOURCE)),
        "outage" => Err(Denial::unavailable(Duration::from_secs(7))),
        _ => Err(Denial::invalid(Reason::Inactive)),
    }
}

#[tokio::test]
async fn issuer_audience_expiry_and_scopes_are_checked_after_a_custom_verifier() {
    let auth = protected()
        .verifier(by_row)
        .trusted_issuer("https://partner.example")
        .build()
        .expect("a description");
    for (token, expected) in [
        ("good", 200),
        ("lasting", 200),
        ("partner", 200),
        ("a-minute-late", 200),
        ("expired", 401),
        ("foreign", 401),
        ("no-audience", 401),
        ("no-scope", 403),
        ("outage", 503),
        ("unknown", 401),
    ] {
        assert_eq!(status(&auth, token).await, expected, "{token}");
    }
}

#[tokio::test]
async fn a_type_or_a_closure_can_be_a_verifier_and_provide_claims() {
    struct Directory(&'static str);

    impl Verifier for Directory {
        fn verify<'a>(
            &'a self,
            credentials: &'a Credentials,
        ) -> BoxFuture<'a, Result<VerifiedToken, Denial>> {
            Box::pin(async move {
                let is_known = credentials.token().expose() == self.0;
                if is_known { Ok(alice()) } else { Err(Denial::invalid(Reason::Inactive)) }
            })
        }
    }
    let auth = protected().verifier(Directory("secret")).build().expect("a description");
    assert_eq!((status(&auth, "secret").await, status(&auth, "guess").await), (200, 401));

    let with_claims = |_| async {
        let claims = serde_json::json!({"team": "blue"});
        alice().client_id("cli").with_claims(&claims).map_err(|_| Denial::invalid(Reason::Claims))
    };
    let auth = protected().verifier(with_claims).build().expect("a description");
    let caller = admit(&auth, &bearer("x")).await.expect("admitted");
    let claims: serde_json::Map<String, serde_json::Value> = caller.claims().expect("claims");
    assert_eq!((caller.client_id(), &claims["team"]), (Some("cli"), &"blue".into()));
}

#[test]
fn settings_that_a_custom_verifier_would_ignore_are_config_errors() {
    let mistake = |described: McpAuthBuilder| {
        let mistake = described.verifier(by_row).build().expect_err("a mistake").to_string();
        assert!(mistake.contains("introspection would never be used"), "{mistake}");
    };
    let asking =
        || Introspection::basic("notes", "a secret").endpoint("https://keys.example.com/ask");
    mistake(protected().introspect("notes", "a secret"));
    let asked = AuthorizationServer::external(ISSUER).introspection(asking());
    mistake(McpAuth::builder(RESOURCE).authorization_server(asked));
    mistake(
        McpAuth::builder(RESOURCE)
            .authorization_server(AuthorizationServer::github("app", "a secret")),
    );
}

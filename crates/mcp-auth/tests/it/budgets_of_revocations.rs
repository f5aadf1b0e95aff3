//! What the revocations of one issuer do to those of another.

use std::time::{Duration, UNIX_EPOCH};

use http::Request;
use http::header::CONTENT_TYPE;
use http_body_util::Full;
use mcp_auth::{
    ApiKey, ApiKeys, AuthorizationServer, Clock as _, McpAuth, Revocation, Revocations,
};
use mcp_auth_testkit::{TestIssuer, TokenBuilder};
use serde_json::json;
use tower::ServiceExt as _;

use crate::world::{RESOURCE, Web, status};

const CLIENT: &str = "my-client";
const KEYS: [&str; 2] = ["mcpk_0123456789abcdefghijkl", "mcpk_abcdefghijkl0123456789"];
const LISTED: &str = "https://listed.login.example.com";

fn tenant(name: &str) -> String {
    format!("https://{name}.customers.example.com")
}

/// Serves the same keys for every issuer.
fn web_of(keys: &TestIssuer, issuer: &str) -> Web {
    let metadata = json!({ "issuer": issuer, "jwks_uri": format!("{issuer}/jwks") }).to_string();
    Web::default()
        .serve(&format!("{issuer}/.well-known/oauth-authorization-server"), metadata)
        .serve(&format!("{issuer}/jwks"), keys.jwks())
}

/// A resource with an issuer of every kind: configured, from a list of tenants, from two resolvers, and API keys.
fn protected(keys: &TestIssuer, revocations: &Revocations) -> McpAuth {
    let server = |keys: &TestIssuer, issuer: &str| {
        AuthorizationServer::discover(issuer).fetch(web_of(keys, issuer)).clock(keys.clock())
    };
    let resolve = |keys: &TestIssuer| {
        let keys = keys.clone();
        move |issuer: String| std::future::ready(Ok(Some(server(&keys, &issuer))))
    };
    let place = "https://login.example.com/metadata";
    let shared = json!({ "issuer": "https://{t}.login.example.com", "jwks_uri": "https://login.example.com/jwks" });
    let listed = AuthorizationServer::template("https://{t}.login.example.com", place)
        .tenants(["listed"])
        .fetch(
            Web::default()
                .serve(place, shared.to_string())
                .serve("https://login.example.com/jwks", keys.jwks()),
        )
        .clock(keys.clock());
    let [one, two] = KEYS;
    keys.protects(RESOURCE)
        .authorization_server(listed)
        .issuer_resolver("https://{tenant}.customers.example.com", resolve(keys))
        .issuer_resolver("https://{tenant}.partners.example.com", resolve(keys))
        .api_keys(ApiKeys::new().key(ApiKey::new("one", one)).key(ApiKey::new("two", two)))
        .revocations(revocations)
        .build()
        .expect("a description")
}

fn unix_now(keys: &TestIssuer) -> u64 {
    let since = keys.clock().now().duration_since(UNIX_EPOCH);
    since.expect("a time after 1970").as_secs()
}

fn of(keys: &TestIssuer, issuer: &str, sid: &str) -> TokenBuilder {
    keys.token().claim("iss", issuer).claim("sid", sid)
}

/// Ends a session as its issuer does.
async fn end(auth: &McpAuth, keys: &TestIssuer, issuer: &str, sid: &str) {
    let token = keys.logout_token(CLIENT).claim("iss", issuer).claim("sid", sid).without("sub");
    let form = Full::from(format!("logout_token={}", token.sign()));
    let request =
        Request::post("/events").header(CONTENT_TYPE, "application/x-www-form-urlencoded");
    let receiver = auth.security_event_receiver([CLIENT]);
    let response = receiver.oneshot(request.body(form).expect("a request")).await;
    assert_eq!(response.unwrap_or_else(|never| match never {}).status(), 200, "{issuer} {sid}");
}

/// A thousand logouts of trusted tenants, after others have ended sessions. Only the space of the resolver is theirs.
#[tokio::test]
async fn the_logouts_of_one_issuer_bring_no_session_of_another_back() {
    let keys = TestIssuer::new();
    let revocations = Revocations::new().capacity(10);
    let auth = protected(&keys, &revocations);
    let (honest, partner) = (tenant("honest"), "https://honest.partners.example.com");
    let victims = [keys.url(), LISTED, partner, &honest];
    for issuer in victims {
        for i in 0..9 {
            end(&auth, &keys, issuer, &format!("ended-{i}")).await;
        }
    }
    auth.revoke(Revocation::subject(ApiKeys::ISSUER, "one"));
    // Open since before the attack.
    let open = victims.map(|issuer| of(&keys, issuer, "open").sign());
    keys.clock().advance(Duration::from_secs(10));
    for i in 0..1000 {
        end(&auth, &keys, &tenant(&format!("t{}", i % 40)), &format!("s{i}")).await;
    }
    keys.clock().advance(Duration::from_secs(10));

    for issuer in victims {
        for i in 0..9 {
            let refreshed = of(&keys, issuer, &format!("ended-{i}")).sign();
            assert_eq!(status(&auth, &refreshed).await, 401, "{issuer}: {i}");
        }
    }
    for (issuer, open) in victims.iter().zip(&open).take(3) {
        assert_eq!(status(&auth, open).await, 200, "{issuer}");
    }
    assert_eq!((status(&auth, KEYS[0]).await, status(&auth, KEYS[1]).await), (401, 200));
    assert!(auth.revocations().len() <= 3 * 9 + 1 + 100, "{}", auth.revocations().len());
}

/// The tenant that has the most makes room for the others, and nothing that it has ended is admitted again.
#[tokio::test]
async fn a_tenant_that_makes_room_for_others_is_refused_what_may_have_ended() {
    let keys = TestIssuer::new();
    let revocations = Revocations::new().capacity(100);
    let auth = protected(&keys, &revocations);
    let (honest, small) = (tenant("honest"), tenant("small"));
    for i in 0..90 {
        end(&auth, &keys, &honest, &format!("ended-{i}")).await;
    }
    end(&auth, &keys, &small, "ended").await;
    let before = of(&keys, &honest, "open").sign();
    keys.clock().advance(Duration::from_secs(100));
    for i in 0..920 {
        let sender = format!("t{}", i % 11);
        auth.revoke(Revocation::session(tenant(&sender), format!("s{i}")));
    }
    assert!(auth.revocations().len() < 1000, "{}", auth.revocations().len());

    keys.clock().advance(Duration::from_secs(100));
    let now = unix_now(&keys);
    let login = |seconds_ago: u64| Some(now - seconds_ago);
    for (issuer, sid, auth_time, expected) in [
        (&honest, Some("ended-0"), None, 401),
        (&honest, Some("ended-89"), None, 401),
        (&honest, Some("ended-0"), login(1000), 401),
        (&honest, Some("open"), login(1000), 401),
        (&honest, Some("new"), None, 401),
        (&honest, Some("new"), login(100), 401),
        (&honest, Some("new"), login(50), 200),
        (&honest, None, None, 200),
        (&small, Some("ended"), None, 401),
        (&small, Some("open"), None, 200),
    ] {
        let token = keys.token().claim("iss", issuer.as_str());
        let token = sid.into_iter().fold(token, |token, sid| token.claim("sid", sid));
        let token = auth_time.into_iter().fold(token, |token, at| token.claim("auth_time", at));
        assert_eq!(status(&auth, &token.sign()).await, expected, "{issuer} {sid:?} {auth_time:?}");
    }
    assert_eq!(status(&auth, &before).await, 401);

    keys.clock().advance(Duration::from_secs(48 * 60 * 60));
    assert_eq!(status(&auth, &of(&keys, &honest, "new").sign()).await, 200);
}

/// Whatever is shared between resources: an issuer that one of them has configured pays for no other.
#[tokio::test]
async fn an_issuer_that_any_resource_has_configured_has_a_quota_of_its_own() {
    let keys = TestIssuer::new();
    let revocations = Revocations::new().capacity(10);
    let auth = protected(&keys, &revocations);
    let honest = tenant("honest");
    for i in 0..9 {
        end(&auth, &keys, &honest, &format!("ended-{i}")).await;
    }
    let server = AuthorizationServer::discover(&honest).fetch(web_of(&keys, &honest));
    let other = McpAuth::builder("https://api.example.com/other")
        .authorization_server(server)
        .revocations(&revocations);
    other.build().expect("a description");
    let open = of(&keys, &honest, "open").sign();
    for i in 0..1000 {
        auth.revoke(Revocation::session(tenant(&format!("t{}", i % 40)), format!("s{i}")));
    }
    assert_eq!(status(&auth, &open).await, 200);
    assert_eq!(status(&auth, &of(&keys, &honest, "ended-0").sign()).await, 401);
}

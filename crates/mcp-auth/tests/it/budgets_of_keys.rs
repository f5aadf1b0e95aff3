//! What the holders of good and of dead tokens get beside an attacker who sends tokens with invented keys.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::RETRY_AFTER;
use http::{Request, Response};
use mcp_auth::{AuthorizationServer, BoxFuture, Fetch, FetchError, Limits, McpAuth};
use mcp_auth_testkit::{Endpoint, TestIssuer, TokenBuilder, Trouble};
use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::world::{RESOURCE, Web, answer, bearer, request, status};

const SECOND: Duration = Duration::from_secs(1);
const COOLDOWN: Duration = Duration::from_secs(30);

fn protected(issuer: &TestIssuer) -> McpAuth {
    issuer.protects(RESOURCE).build().expect("a description")
}

/// The status, and the seconds of `Retry-After`.
async fn outcome(auth: &McpAuth, token: &str) -> (u16, Option<u64>) {
    let response = answer(auth, request(bearer(token))).await;
    let retry_after = response.headers().get(RETRY_AFTER).and_then(|it| it.to_str().ok());
    (response.status().as_u16(), retry_after.and_then(|seconds| seconds.parse().ok()))
}

/// A way in which an issuer rotates its key: a change of its keys, and a token of the new one.
type Rotation =
    (&'static str, fn(&TestIssuer) -> Option<TestIssuer>, fn(TokenBuilder) -> TokenBuilder);

const ROTATIONS: [Rotation; 3] = [
    (
        "a new kid",
        |issuer| {
            issuer.rotate();
            None
        },
        |token| token,
    ),
    (
        "no kid",
        |issuer| {
            issuer.rotate();
            issuer.withdraw_old_keys();
            None
        },
        |token| token.without_header("kid"),
    ),
    ("the same kid", |_| Some(TestIssuer::new()), |token| token),
];

#[tokio::test]
async fn a_good_token_of_a_new_key_is_never_401_beside_invented_keys() {
    for (name, rotate, with) in ROTATIONS {
        let issuer = TestIssuer::new();
        let web = Web::default()
            .serve("https://issuer.test/.well-known/oauth-authorization-server", issuer.metadata())
            .serve(&issuer.jwks_uri(), issuer.jwks());
        let server = AuthorizationServer::discover(issuer.url());
        let server = server.fetch(web.clone()).clock(issuer.clock());
        let auth = McpAuth::builder(RESOURCE).authorization_server(server).clock(issuer.clock());
        let auth = auth.build().expect("a description");
        assert_eq!(status(&auth, &issuer.token().sign()).await, 200);
        for _ in 0..3 {
            issuer.clock().advance(COOLDOWN);
            assert_eq!(status(&auth, &issuer.token().kid("invented").sign()).await, 401, "{name}");
        }
        let successor = rotate(&issuer);
        let signer = successor.as_ref().unwrap_or(&issuer);
        web.clone().serve(&issuer.jwks_uri(), signer.jwks());
        signer.clock().set(mcp_auth::Clock::now(&issuer.clock()));
        let good = with(signer.token()).sign();
        let mut admitted = 0;
        for second in 0..60 {
            for i in 0..10 {
                let invented = issuer.token().kid(&format!("invented-{i}")).sign();
                assert_ne!(status(&auth, &invented).await, 200);
            }
            match outcome(&auth, &good).await {
                (200, _) => admitted += 1,
                (503, Some(seconds)) => assert_eq!(seconds, 30 - second, "{name}"),
                other => panic!("{name}, second {second}: {other:?}"),
            }
            issuer.clock().advance(SECOND);
        }
        assert_eq!(admitted, 30, "{name}: it waits no longer than the cooldown");
    }
}

#[tokio::test]
async fn a_dead_token_is_401_although_invented_keys_keep_the_cooldown_running() {
    let issuer = TestIssuer::new();
    let auth = protected(&issuer);
    let token = || issuer.token().expires_in(Duration::from_secs(3600));
    let withdrawn = token().sign();
    let unknown = token().kid("gone").sign();
    let without_time = token().kid("gone").without("iat").sign();
    assert_eq!(status(&auth, &withdrawn).await, 200);
    issuer.rotate();
    issuer.withdraw_old_keys();
    assert_eq!(status(&auth, &issuer.token().sign()).await, 200);
    issuer.clock().advance(2 * SECOND);
    let mut held = 0;
    for second in 0..600 {
        // The attacker is always first to use up the cooldown.
        for i in 0..3 {
            let invented = issuer.token().kid(&format!("invented-{second}-{i}")).sign();
            assert_ne!(status(&auth, &invented).await, 200);
        }
        assert_eq!(status(&auth, &withdrawn).await, 401, "second {second}: its key is known");
        held += usize::from(status(&auth, &unknown).await == 503);
        assert_eq!(status(&auth, &without_time).await, 503, "its age is unknown");
        issuer.clock().advance(SECOND);
    }
    assert_eq!(held, 60, "until a fetch is a minute younger than the token");
    issuer.clock().advance(COOLDOWN);
    assert_eq!(status(&auth, &without_time).await, 401, "when the attacker stops");
}

#[tokio::test]
async fn three_keys_within_forty_seconds_pass_at_once() {
    let issuer = TestIssuer::new();
    let auth = protected(&issuer);
    assert_eq!(status(&auth, &issuer.token().sign()).await, 200);
    for pause in [2, 15, 20, 2, 2, 40] {
        issuer.rotate();
        assert_eq!(status(&auth, &issuer.token().sign()).await, 200);
        issuer.clock().advance(pause * SECOND);
    }
    // Strangers cannot bring anything new: one fetch, and then the whole cooldown.
    let before = issuer.jwks_requests();
    for _ in 0..29 {
        assert_ne!(status(&auth, &issuer.token().kid("invented").sign()).await, 200);
        issuer.clock().advance(SECOND);
    }
    assert_eq!(issuer.jwks_requests(), before + 1);
}

#[tokio::test]
async fn keys_that_change_with_each_fetch_are_fetched_every_two_seconds_at_most() {
    let issuer = TestIssuer::new();
    let auth = protected(&issuer);
    assert_eq!(status(&auth, &issuer.token().sign()).await, 200);
    for _ in 0..60 {
        issuer.rotate();
        for i in 0..10 {
            status(&auth, &issuer.token().kid(&format!("invented-{i}")).sign()).await;
        }
        issuer.clock().advance(SECOND);
    }
    assert_eq!(issuer.jwks_requests(), 1 + 30);
}

/// Holds the keys back until it is told to pass them on, as they were when they were asked for.
#[derive(Clone)]
struct Slow(TestIssuer, Arc<Notify>);

impl Fetch for Slow {
    fn fetch(
        &self,
        request: Request<Bytes>,
        limits: Limits,
    ) -> BoxFuture<'_, Result<Response<Bytes>, FetchError>> {
        Box::pin(async move {
            let is_about_keys = request.uri().to_string() == self.0.jwks_uri();
            let answer = self.0.fetch(request, limits).await;
            if is_about_keys {
                self.1.notified().await;
            }
            answer
        })
    }
}

#[tokio::test]
async fn a_fetch_that_began_before_a_rotation_does_not_make_a_good_token_401() {
    for has_keys in [true, false] {
        let issuer = TestIssuer::new();
        issuer.resource(RESOURCE, [""; 0]);
        let slow = Slow(issuer.clone(), Arc::new(Notify::new()));
        let server = AuthorizationServer::discover(issuer.url()).fetch(slow.clone());
        let auth = McpAuth::builder(RESOURCE)
            .authorization_server(server.clock(issuer.clock()))
            .clock(issuer.clock())
            .build()
            .expect("a description");
        let ask = |token: String| {
            let auth = auth.clone();
            tokio::spawn(async move { status(&auth, &token).await })
        };
        if has_keys {
            slow.1.notify_one();
            auth.warm_up().await.expect("the issuer is up");
        }
        let before = issuer.jwks_requests();
        let attack = ask(issuer.token().kid("invented").sign());
        while issuer.jwks_requests() == before {
            tokio::task::yield_now().await;
        }
        issuer.rotate();
        let good = issuer.token().sign();
        let honest = ask(good.clone());
        tokio::task::yield_now().await;
        slow.1.notify_one();
        assert_eq!(attack.await.expect("an answer"), 401);
        if has_keys {
            assert_eq!(honest.await.expect("an answer"), 503, "the attacker used the cooldown");
            issuer.clock().advance(COOLDOWN);
            slow.1.notify_one();
            assert_eq!(status(&auth, &good).await, 200);
        } else {
            slow.1.notify_one();
            assert_eq!(honest.await.expect("an answer"), 200, "it waits for the next fetch");
        }
    }
}

/// A post-quantum key, as an issuer may publish it one day.
fn of_a_new_type() -> Value {
    json!({ "kty": "AKP", "alg": "ML-DSA-65", "kid": "pq-1", "pub": "AAAA" })
}

#[tokio::test]
async fn a_valid_set_without_a_usable_key_ends_the_withdrawn_keys() {
    let kinds = [
        ("a new type of key", json!({ "keys": [of_a_new_type()] })),
        ("several", json!({ "keys": [of_a_new_type(), { "kty": "oct", "k": "AA" }] })),
        (
            "keys for encryption",
            json!({ "keys": [{ "kty": "RSA", "use": "enc", "n": "AQ", "e": "AQAB" }] }),
        ),
        ("no keys", json!({ "keys": [] })),
    ];
    for (name, jwks) in kinds {
        let issuer = TestIssuer::new();
        let web = Web::default()
            .serve("https://issuer.test/.well-known/oauth-authorization-server", issuer.metadata())
            .serve(&issuer.jwks_uri(), issuer.jwks());
        let server = AuthorizationServer::discover(issuer.url()).fetch(web.clone());
        let server = server.clock(issuer.clock());
        let auth = McpAuth::builder(RESOURCE).authorization_server(&server).clock(issuer.clock());
        let auth = auth.build().expect("a description");
        let lasting = || issuer.token().expires_in(Duration::from_secs(86_400)).sign();
        let (cached, other) = (lasting(), lasting());
        assert_eq!(status(&auth, &cached).await, 200);
        web.clone().serve(&issuer.jwks_uri(), jwks.to_string());
        issuer.clock().advance(Duration::from_secs(60 * 60));
        for token in [&cached, &other, &issuer.token().kid("pq-1").sign()] {
            assert_eq!(outcome(&auth, token).await, (503, Some(1)), "{name}");
        }
        assert!(!auth.readiness().is_ready(), "{name}");
        assert!(server.warm_up().await.is_err(), "{name}");

        // It is looked at again every two seconds: each caller of this issuer is refused until then.
        let asked = || web.asked_for().len();
        let before = asked();
        for _ in 0..120 {
            issuer.clock().advance(SECOND);
            for _ in 0..3 {
                assert_eq!(status(&auth, &other).await, 503, "{name}");
            }
        }
        assert!((50..=61).contains(&(asked() - before)), "{name}: {}", asked() - before);
        web.clone().serve(&issuer.jwks_uri(), issuer.jwks());
        issuer.clock().advance(2 * SECOND);
        assert_eq!(status(&auth, &cached).await, 200, "{name}");
        assert!(auth.readiness().is_ready(), "{name}");
    }
}

#[tokio::test]
async fn a_document_that_is_no_key_set_replaces_nothing() {
    let key = of_a_new_type().to_string();
    for jwks in [
        "",
        "{}",
        "null",
        "<html>",
        r#"{"keys":null}"#,
        r#"{"keys":{}}"#,
        r#"{"keys":""}"#,
        r#"{"keys":[]"#,
        r#"{"keys":[],"keys":[]}"#,
        r#"{"keys":["x"]}"#,
        r#"{"keys":[1]}"#,
        r#"{"keys":[null]}"#,
        r#"{"keys":[[]]}"#,
        r#"{"keys":[{}]}"#,
        r#"{"keys":[{"kid":"1"}]}"#,
        r#"{"keys":[{"kty":1}]}"#,
        r#"{"keys":[{"kty":"OKP","kty":"EC"}]}"#,
        &format!(r#"{{"keys":[{key},{{}}]}}"#),
        &format!(r#"{{"keys":[{key}"#),
        &key,
        r#"{"error":"temporarily_unavailable"}"#,
    ] {
        let issuer = TestIssuer::new();
        let web = Web::default()
            .serve("https://issuer.test/.well-known/oauth-authorization-server", issuer.metadata())
            .serve(&issuer.jwks_uri(), issuer.jwks());
        let server = AuthorizationServer::discover(issuer.url()).fetch(web.clone());
        let server = server.clock(issuer.clock());
        let auth = McpAuth::builder(RESOURCE).authorization_server(server).clock(issuer.clock());
        let auth = auth.build().expect("a description");
        let token = issuer.token().expires_in(Duration::from_secs(86_400)).sign();
        assert_eq!(status(&auth, &token).await, 200);
        web.clone().serve(&issuer.jwks_uri(), jwks);
        issuer.clock().advance(Duration::from_secs(60 * 60));
        assert_eq!(status(&auth, &token).await, 200, "{jwks}");
        assert_eq!(status(&auth, &issuer.token().sign()).await, 200, "{jwks}");
    }
}

#[tokio::test]
async fn a_key_that_is_unknown_in_an_outage_is_401_only_if_it_is_older_than_the_keys() {
    let issuer = TestIssuer::new();
    let auth = protected(&issuer);
    let old = issuer.token().kid("gone").sign();
    issuer.clock().advance(61 * SECOND);
    auth.warm_up().await.expect("the issuer is up");
    issuer.trouble(Endpoint::Jwks, Trouble::Down);
    assert_eq!(status(&auth, &old).await, 401);
    assert_eq!(status(&auth, &issuer.token().kid("new").sign()).await, 503);
}

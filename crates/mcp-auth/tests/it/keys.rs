//! Key refresh: how often keys are fetched, and what happens when the issuer fails.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use tokio::sync::Notify;

use crate::world::{self, RESOURCE, admit, status};
use mcp_auth::metadata::ServerMetadata;
use mcp_auth::{AuthorizationServer, BoxFuture, Fetch, FetchError, Limits, McpAuth};
use mcp_auth_testkit::{Endpoint, MetadataPath, TestIssuer, Trouble};

const COOLDOWN: Duration = Duration::from_secs(30);
const MINUTE: Duration = Duration::from_secs(60);

fn protected(issuer: &TestIssuer) -> McpAuth {
    issuer.protects(RESOURCE).build().expect("a description")
}

/// Lets spawned tasks run until the issuer has been asked `number` times for its keys.
async fn asked_for_keys(issuer: &TestIssuer, number: usize) {
    for _ in 0..1000 {
        if issuer.jwks_requests() == number {
            return;
        }
        tokio::task::yield_now().await;
    }
    panic!("asked {} times for its keys, not {number}", issuer.jwks_requests());
}

/// A token that has not expired when the test ends, a day later.
fn lasting(issuer: &TestIssuer) -> String {
    issuer.token().expires_in(Duration::from_secs(100 * 60 * 60)).sign()
}

#[tokio::test]
async fn nothing_is_fetched_before_it_is_needed_and_then_once() {
    let issuer = TestIssuer::new();
    let auth = protected(&issuer);
    assert_eq!(status(&auth, "no.such.token").await, 401);
    assert_eq!(
        status(&auth, &issuer.token().claim("iss", "https://evil.example").sign()).await,
        401
    );
    assert_eq!(status(&auth, &issuer.token().expired().sign()).await, 401);
    assert_eq!(issuer.requests(), 0);
    assert!(!auth.readiness().is_ready());

    for _ in 0..10 {
        assert_eq!(status(&auth, &issuer.token().sign()).await, 200);
    }
    assert_eq!((issuer.metadata_requests(), issuer.jwks_requests()), (1, 1));
    assert!(auth.readiness().is_ready());
}

#[tokio::test]
async fn warm_up_fetches_before_the_first_request() {
    let issuer = TestIssuer::new();
    let auth = protected(&issuer);
    auth.warm_up().await.expect("the issuer is up");
    assert!(auth.readiness().is_ready());
    assert_eq!(issuer.requests(), 2);
    assert_eq!(status(&auth, &issuer.token().sign()).await, 200);
    assert_eq!(issuer.requests(), 2);

    issuer.trouble(Endpoint::Metadata, Trouble::Down);
    assert!(protected(&issuer).warm_up().await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_first_requests_share_one_fetch() {
    let issuer = TestIssuer::new();
    let auth = protected(&issuer);
    let requests: Vec<_> = (0..10_000)
        .map(|i| {
            let (auth, token) = (auth.clone(), issuer.token().subject(format!("user-{i}")).sign());
            tokio::spawn(async move { status(&auth, &token).await })
        })
        .collect();
    for request in requests {
        assert_eq!(request.await.expect("an answer"), 200);
    }
    assert_eq!((issuer.metadata_requests(), issuer.jwks_requests()), (1, 1));
}

#[tokio::test]
async fn unknown_kids_cause_one_fetch_per_cooldown() {
    let issuer = TestIssuer::new();
    let auth = protected(&issuer);
    auth.warm_up().await.expect("the issuer is up");
    let forged = issuer.token().expires_in(Duration::from_secs(86_400)).sign();
    let (header, rest) = forged.split_once('.').expect("a token");
    let header = String::from_utf8(base64(header)).expect("a header");
    for round in 0..10 {
        for i in 0..10_000 {
            let invented = header.replace(&issuer.kid(), &format!("invented-{round}-{i}"));
            let token = format!("{}.{rest}", unbase64(invented.as_bytes()));
            let headers = world::bearer(&token);
            assert!(admit(&auth, &headers).await.is_err());
        }
        assert_eq!(issuer.jwks_requests(), 2 + round, "100,000 tokens, one fetch per cooldown");
        issuer.clock().advance(COOLDOWN);
    }
}

fn base64(text: &str) -> Vec<u8> {
    use base64::Engine as _;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(text).expect("base64url")
}

fn unbase64(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes)
}

#[tokio::test]
async fn the_first_request_with_a_rotated_key_waits_and_succeeds() {
    let issuer = TestIssuer::new();
    let auth = protected(&issuer);
    let before = lasting(&issuer);
    assert_eq!(status(&auth, &before).await, 200);
    issuer.rotate();
    assert_eq!(status(&auth, &issuer.token().sign()).await, 200);
    assert_eq!(issuer.jwks_requests(), 2);
    assert_eq!(status(&auth, &before).await, 200, "the old key is still published");
    assert_eq!(issuer.jwks_requests(), 2);
}

/// An issuer whose key set arrives late, with the keys of the time of the request.
#[derive(Clone)]
struct Late {
    issuer: TestIssuer,
    is_late: Arc<AtomicBool>,
    arrived: Arc<Notify>,
}

impl Fetch for Late {
    fn fetch(
        &self,
        request: Request<Bytes>,
        limits: Limits,
    ) -> BoxFuture<'_, Result<Response<Bytes>, FetchError>> {
        Box::pin(async move {
            let is_about_keys = request.uri().to_string() == self.issuer.jwks_uri();
            let answer = self.issuer.fetch(request, limits).await;
            if is_about_keys && self.is_late.load(Ordering::Relaxed) {
                self.arrived.notified().await;
            }
            answer
        })
    }
}

#[tokio::test]
async fn a_key_rotated_during_a_fetch_is_fetched_again() {
    let issuer = TestIssuer::new();
    issuer.resource(RESOURCE, [""; 0]);
    let late =
        Late { issuer: issuer.clone(), is_late: Arc::default(), arrived: Arc::new(Notify::new()) };
    let server = AuthorizationServer::discover(issuer.url());
    let auth = McpAuth::builder(RESOURCE)
        .authorization_server(server.fetch(late.clone()).clock(issuer.clone()))
        .clock(issuer.clone())
        .build()
        .expect("a description");
    auth.warm_up().await.expect("the issuer is up");
    issuer.clock().advance(Duration::from_secs(2 * 60 * 60));

    let ask = |token: String| {
        let auth = auth.clone();
        tokio::spawn(async move { status(&auth, &token).await })
    };
    late.is_late.store(true, Ordering::Relaxed);
    let first = ask(issuer.token().sign());
    asked_for_keys(&issuer, 2).await;
    issuer.rotate();
    let second = ask(issuer.token().sign());
    tokio::task::yield_now().await;
    late.is_late.store(false, Ordering::Relaxed);
    late.arrived.notify_one();
    assert_eq!((first.await.expect("an answer"), second.await.expect("an answer")), (200, 200));
    assert_eq!(issuer.jwks_requests(), 3);
}

#[tokio::test]
async fn a_bad_signature_for_a_known_kid_causes_one_fetch_per_cooldown() {
    let issuer = TestIssuer::new();
    let auth = protected(&issuer);
    auth.warm_up().await.expect("the issuer is up");
    let successor = TestIssuer::new(); // the same issuer after the loss of its key: the same `kid`, a new key
    assert_eq!((successor.url(), successor.kid()), (issuer.url(), issuer.kid()));
    let forged = || successor.token().sign();
    assert_eq!(status(&auth, &forged()).await, 401, "another issuer's signature");
    for _ in 0..100 {
        assert_eq!(status(&auth, &forged()).await, 503, "or a key that was changed a moment ago");
    }
    assert_eq!(issuer.jwks_requests(), 2, "costs one fetch per cooldown");
    issuer.trouble(Endpoint::Jwks, Trouble::Down);
    issuer.clock().advance(COOLDOWN);
    assert_eq!(status(&auth, &forged()).await, 503, "nobody can say in an outage");
    let old = successor.token().claim("iat", 1_785_196_700).sign();
    assert_eq!(status(&auth, &old).await, 401, "but it is older than the keys");
}

/// However long it was. Tokens of the keys that are known notice nothing of it.
#[tokio::test]
async fn a_key_that_was_added_in_an_outage_is_found_within_two_seconds_of_its_end() {
    for trouble in [Trouble::Down, Trouble::Status(500)] {
        let issuer = TestIssuer::new();
        let auth = protected(&issuer);
        let before = lasting(&issuer);
        assert_eq!(status(&auth, &before).await, 200);
        issuer.trouble(Endpoint::Jwks, trouble);
        issuer.rotate();
        for _ in 0..600 {
            assert_eq!(status(&auth, &issuer.token().sign()).await, 503);
            issuer.clock().advance(Duration::from_millis(500));
        }
        let asked = issuer.jwks_requests();
        assert!((100..=153).contains(&asked), "{asked} in 5 minutes");
        assert_eq!(status(&auth, &before).await, 200);
        issuer.recover();
        issuer.clock().advance(Duration::from_secs(2));
        assert_eq!(status(&auth, &issuer.token().sign()).await, 200, "{trouble:?}");
    }
}

#[tokio::test]
async fn concurrent_requests_with_a_rotated_key_share_one_fetch() {
    let issuer = TestIssuer::new();
    let auth = protected(&issuer);
    auth.warm_up().await.expect("the issuer is up");
    issuer.rotate();
    let requests: Vec<_> = (0..1000)
        .map(|_| {
            let (auth, token) = (auth.clone(), issuer.token().sign());
            tokio::spawn(async move { status(&auth, &token).await })
        })
        .collect();
    for request in requests {
        assert_eq!(request.await.expect("an answer"), 200);
    }
    assert_eq!(issuer.jwks_requests(), 2);
}

#[tokio::test]
async fn a_withdrawn_key_invalidates_its_cached_tokens() {
    let issuer = TestIssuer::new();
    let auth = protected(&issuer);
    let stolen = lasting(&issuer);
    assert_eq!(status(&auth, &stolen).await, 200);
    issuer.rotate();
    issuer.withdraw_old_keys();
    assert_eq!(status(&auth, &issuer.token().sign()).await, 200, "which fetches the keys");
    assert_eq!(status(&auth, &stolen).await, 401);
}

#[tokio::test]
async fn keys_are_refreshed_in_the_background_before_they_expire() {
    let issuer = TestIssuer::new();
    let auth = protected(&issuer);
    let token = lasting(&issuer);
    issuer.jwks_max_age(600);
    assert_eq!(status(&auth, &token).await, 200);
    issuer.clock().advance(7 * MINUTE);
    assert_eq!(status(&auth, &issuer.token().sign()).await, 200);
    assert_eq!(issuer.jwks_requests(), 1);
    issuer.clock().advance(MINUTE + Duration::from_secs(1));
    issuer.trouble(Endpoint::Jwks, Trouble::Hang);
    assert_eq!(status(&auth, &issuer.token().sign()).await, 200, "nobody waits for the refresh");
    asked_for_keys(&issuer, 2).await;
    issuer.recover();
}

#[tokio::test]
async fn cache_control_counts_within_bounds() {
    for (max_age, early, late) in [(1, 40, 60), (86_400, 40 * 60, 60 * 60)] {
        let issuer = TestIssuer::new();
        let auth = protected(&issuer);
        issuer.jwks_max_age(max_age);
        assert_eq!(status(&auth, &issuer.token().sign()).await, 200);
        issuer.clock().advance(Duration::from_secs(early));
        assert_eq!(status(&auth, &issuer.token().sign()).await, 200);
        assert_eq!(issuer.jwks_requests(), 1, "not before a minute");
        issuer.clock().advance(Duration::from_secs(late - early));
        assert_eq!(status(&auth, &issuer.token().sign()).await, 200);
        asked_for_keys(&issuer, 2).await;
    }
}

#[tokio::test]
async fn after_an_idle_time_the_first_request_waits_for_new_keys() {
    let issuer = TestIssuer::new();
    let auth = protected(&issuer);
    let stolen = lasting(&issuer);
    assert_eq!(status(&auth, &stolen).await, 200);
    issuer.rotate();
    issuer.withdraw_old_keys();
    issuer.clock().advance(60 * MINUTE);
    assert_eq!(
        status(&auth, &stolen).await,
        401,
        "a key withdrawn meanwhile is not used once more"
    );
}

#[tokio::test]
async fn cached_keys_survive_an_outage_for_a_day() {
    for trouble in [
        Trouble::Down,
        Trouble::Status(500),
        Trouble::InvalidDocument,
        Trouble::Oversize,
        Trouble::Redirect,
    ] {
        let issuer = TestIssuer::new();
        let auth = protected(&issuer);
        let token = lasting(&issuer);
        assert_eq!(status(&auth, &token).await, 200);
        issuer.trouble(Endpoint::Jwks, trouble);
        for _ in 0..23 {
            issuer.clock().advance(60 * MINUTE);
            assert_eq!(status(&auth, &token).await, 200, "{trouble:?}");
        }
        issuer.clock().advance(60 * MINUTE);
        assert_eq!(status(&auth, &token).await, 503, "{trouble:?}: after a day they are too old");
        issuer.recover();
        issuer.clock().advance(COOLDOWN);
        assert_eq!(status(&auth, &token).await, 200, "{trouble:?}: recovery needs no restart");
    }
}

#[tokio::test]
async fn an_unknown_key_during_an_outage_is_503_since_it_may_be_new() {
    let issuer = TestIssuer::new();
    let auth = protected(&issuer);
    auth.warm_up().await.expect("the issuer is up");
    issuer.rotate();
    issuer.trouble(Endpoint::Jwks, Trouble::Down);
    let token = issuer.token().sign();
    assert_eq!(status(&auth, &token).await, 503);
    issuer.recover();
    issuer.clock().advance(Duration::from_secs(1));
    assert_eq!(status(&auth, &token).await, 200);
}

#[tokio::test]
async fn a_server_starts_while_its_issuer_is_down_and_recovers_within_seconds() {
    let issuer = TestIssuer::new();
    let auth = protected(&issuer);
    issuer.trouble(Endpoint::Metadata, Trouble::Down);
    let token = lasting(&issuer);
    let mut asked = Vec::new();
    for _ in 0..64 {
        assert_eq!(status(&auth, &token).await, 503);
        asked.push(issuer.metadata_requests());
        issuer.clock().advance(Duration::from_secs(1));
    }
    asked.dedup();
    assert_eq!(asked.len(), 33, "after 0 and 1 seconds, and then every two seconds: {asked:?}");
    issuer.recover();
    issuer.clock().advance(Duration::from_secs(2));
    assert_eq!(status(&auth, &token).await, 200);
}

#[tokio::test(start_paused = true)]
async fn a_hung_issuer_delays_only_those_who_need_it() {
    let issuer = TestIssuer::new();
    let auth = protected(&issuer);
    let known = lasting(&issuer);
    assert_eq!(status(&auth, &known).await, 200);
    issuer.trouble(Endpoint::Jwks, Trouble::Hang);
    let waiting = tokio::spawn({
        let (auth, token) = (auth.clone(), issuer.token().kid("invented").sign());
        async move { status(&auth, &token).await }
    });
    asked_for_keys(&issuer, 2).await;
    let start = tokio::time::Instant::now();
    assert_eq!(status(&auth, &known).await, 200);
    assert_eq!(status(&auth, &issuer.token().sign()).await, 200, "a new token of a known key");
    assert_eq!(start.elapsed(), Duration::ZERO, "nobody else waits");
    assert_eq!(waiting.await.expect("an answer"), 503, "the flight is given up in the end");
    assert_eq!(start.elapsed(), Duration::from_secs(5));
}

#[tokio::test]
async fn a_key_fetch_outlives_the_request_that_started_it() {
    let issuer = TestIssuer::new();
    let auth = protected(&issuer);
    issuer.trouble(Endpoint::Jwks, Trouble::Hang);
    let first = tokio::spawn({
        let (auth, token) = (auth.clone(), issuer.token().sign());
        async move { status(&auth, &token).await }
    });
    asked_for_keys(&issuer, 1).await;
    first.abort();
    issuer.recover();
    assert_eq!(status(&auth, &issuer.token().sign()).await, 200);
    assert_eq!(issuer.jwks_requests(), 1);
}

#[tokio::test]
async fn one_bad_key_does_not_spoil_the_others() {
    let issuer = TestIssuer::new();
    issuer.trouble(Endpoint::Jwks, Trouble::UnusableKeys);
    let auth = protected(&issuer);
    assert_eq!(status(&auth, &issuer.token().sign()).await, 200);
    assert_eq!(auth.readiness().issuers[0].keys, 1);
}

#[tokio::test]
async fn metadata_is_found_at_each_well_known_url_and_must_name_its_issuer() {
    for (path, requests) in
        [(MetadataPath::OAuth, 1), (MetadataPath::OidcInserted, 2), (MetadataPath::OidcAppended, 3)]
    {
        let issuer = TestIssuer::builder()
            .issuer("https://auth.example.com/tenant")
            .metadata_at([path])
            .build();
        assert_eq!(status(&protected(&issuer), &issuer.token().sign()).await, 200, "{path:?}");
        assert_eq!(issuer.metadata_requests(), requests, "in the order of MCP");
    }
    for trouble in [
        Trouble::OtherIssuer,
        Trouble::InsecureJwksUri,
        Trouble::InvalidDocument,
        Trouble::Empty,
        Trouble::Redirect,
        Trouble::Oversize,
    ] {
        let issuer = TestIssuer::new();
        issuer.trouble(Endpoint::Metadata, trouble);
        assert_eq!(status(&protected(&issuer), &issuer.token().sign()).await, 503, "{trouble:?}");
        assert_eq!(issuer.jwks_requests(), 0, "{trouble:?}");
    }
}

#[tokio::test]
async fn metadata_can_be_given_mapped_or_at_another_url() {
    let issuer = TestIssuer::new();
    let token = issuer.token().sign();
    let protected = |server: AuthorizationServer| {
        let server = server.fetch(issuer.clone()).clock(issuer.clock());
        McpAuth::builder(RESOURCE)
            .authorization_server(server)
            .clock(issuer.clock())
            .build()
            .expect("a description")
    };

    let given = ServerMetadata::new(issuer.url(), issuer.jwks_uri());
    assert_eq!(status(&protected(AuthorizationServer::from_metadata(given)), &token).await, 200);
    assert_eq!(issuer.metadata_requests(), 0);

    let url = "https://issuer.test/.well-known/openid-configuration";
    assert_eq!(
        status(&protected(AuthorizationServer::from_metadata_url(issuer.url(), url)), &token).await,
        200
    );
    assert_eq!(issuer.metadata_requests(), 1);

    issuer.trouble(Endpoint::Metadata, Trouble::OtherIssuer);
    let jwks_uri = issuer.jwks_uri();
    let (mapped, later) = (jwks_uri.clone(), jwks_uri);
    let straighten = move |mut document: mcp_auth::metadata::MetadataDocument| {
        document.insert("issuer".into(), "https://issuer.test".into());
        document.insert("jwks_uri".into(), mapped.clone().into());
        document
    };
    let server = AuthorizationServer::discover(issuer.url()).map_metadata(straighten);
    assert_eq!(status(&protected(server), &token).await, 200);
    let server =
        AuthorizationServer::discover(issuer.url()).map_metadata_async(move |mut document| {
            let jwks_uri = later.clone();
            async move {
                tokio::task::yield_now().await;
                document.insert("issuer".into(), "https://issuer.test".into());
                document.insert("jwks_uri".into(), jwks_uri.into());
                document
            }
        });
    assert_eq!(status(&protected(server), &token).await, 200);
}

#[tokio::test]
async fn a_panicking_map_metadata_is_503() {
    let issuer = TestIssuer::new();
    let server = issuer.authorization_server().map_metadata(|_| panic!("a bug of the user's"));
    let auth = McpAuth::builder(RESOURCE)
        .authorization_server(server)
        .clock(issuer.clock())
        .build()
        .expect("a description");
    assert_eq!(status(&auth, &issuer.token().sign()).await, 503);
    issuer.clock().advance(COOLDOWN);
    assert_eq!(status(&auth, &issuer.token().sign()).await, 503);
}

#[tokio::test]
async fn several_resources_share_the_keys_of_one_server() {
    let issuer = TestIssuer::new();
    let login = issuer.authorization_server();
    let protect = |url: &str| {
        McpAuth::builder(url)
            .authorization_server(&login)
            .clock(issuer.clock())
            .build()
            .expect("a description")
    };
    let (notes, mail) =
        (protect("https://api.example.com/notes"), protect("https://api.example.com/mail"));
    let token = issuer.token().audience("https://api.example.com/notes").sign();
    assert_eq!(status(&notes, &token).await, 200);
    assert_eq!(status(&mail, &token).await, 401, "a token for the other resource");
    let both = vec!["https://api.example.com/notes", "https://api.example.com/mail"];
    assert_eq!(status(&mail, &issuer.token().audience(both).sign()).await, 200);
    assert_eq!(issuer.requests(), 2);
}

#[tokio::test]
async fn the_keys_of_two_issuers_never_mix() {
    let (one, other) = (
        TestIssuer::builder().issuer("https://one.test").build(),
        TestIssuer::builder().issuer("https://other.test").build(),
    );
    let auth = McpAuth::builder(RESOURCE)
        .authorization_server(one.authorization_server())
        .authorization_server(other.authorization_server())
        .clock(one.clock())
        .build()
        .expect("a description");
    assert_eq!(status(&auth, &one.token().sign()).await, 200);
    assert_eq!(status(&auth, &other.token().sign()).await, 200);
    assert_eq!(
        status(&auth, &one.token().claim("iss", "https://other.test").sign()).await,
        401,
        "same kid, another key"
    );
    assert_eq!(one.kid(), other.kid());
}

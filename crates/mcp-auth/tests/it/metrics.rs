//! What is counted, and that untrusted input cannot create labels.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::future::pending;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::header::HeaderMap;
use http::{Request, Response};
use http_body_util::Full;
use mcp_auth::{AuthorizationServer, GuardedBody, McpAuth, Revocation};
use mcp_auth_testkit::{Endpoint, TestIssuer, Trouble};
use metrics::{
    Counter, Gauge, Histogram, Key, KeyName, LocalRecorderGuard, Metadata, Recorder, SharedString,
    Unit,
};
use tower::{Layer as _, ServiceExt as _, service_fn};

use crate::streams::{EVENTS, data, next, streamed};
use crate::world::{RESOURCE, Web, answer, bearer, request, status};

/// Records each metric under its name and labels; a gauge as the bits of its value.
#[derive(Default)]
struct Counts(Mutex<BTreeMap<String, Arc<AtomicU64>>>);

impl Counts {
    /// Collects what this thread records while the guard lives.
    fn begin(&self) -> LocalRecorderGuard<'_> {
        metrics::set_default_local_recorder(self)
    }

    fn of(&self, metric: &str) -> u64 {
        let counts = self.0.lock().expect("the counts");
        counts.get(metric).map_or(0, |count| count.load(Ordering::SeqCst))
    }

    fn decided(&self, code: &str) -> u64 {
        self.of(&format!("mcp_auth_decisions_total decision={code}"))
    }

    fn refreshed(&self, document: &str, outcome: &str) -> u64 {
        let labels = format!("document={document} issuer=https://issuer.test outcome={outcome}");
        self.of(&format!("mcp_auth_refreshes_total {labels}"))
    }

    fn keys_age(&self) -> f64 {
        f64::from_bits(self.of("mcp_auth_keys_age_seconds issuer=https://issuer.test"))
    }

    fn names(&self) -> Vec<String> {
        self.0.lock().expect("the counts").keys().cloned().collect()
    }

    fn register(&self, key: &Key) -> Arc<AtomicU64> {
        let labels = key.labels().map(|label| format!(" {}={}", label.key(), label.value()));
        let name = key.name().to_owned() + &labels.collect::<String>();
        self.0.lock().expect("the counts").entry(name).or_default().clone()
    }
}

impl Recorder for Counts {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(self.register(key))
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(self.register(key))
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        panic!("there is no histogram")
    }
}

fn protected(issuer: &TestIssuer) -> McpAuth {
    issuer.protects(RESOURCE).required_scopes(["read"]).build().expect("a description")
}

#[tokio::test]
async fn each_decision_is_counted_by_its_code() {
    let counts = Counts::default();
    let _guard = counts.begin();
    let issuer = TestIssuer::new();
    let auth = protected(&issuer);
    let token = || issuer.token().scopes(["read"]);
    for _ in 0..3 {
        assert_eq!(status(&auth, &token().sign()).await, 200);
    }
    for (token, code) in [
        (token().expired().sign(), "expired"),
        (token().audience("https://api.example.com/mail").sign(), "audience"),
        (issuer.token().sign(), "insufficient_scope"),
        ("two tokens".to_owned(), "malformed_authorization"),
    ] {
        status(&auth, &token).await;
        assert_eq!(counts.decided(code), 1, "{code}: {:?}", counts.names());
    }
    assert_eq!(answer(&auth, request(HeaderMap::new())).await.status(), 401);
    let mut foreign = bearer(&token().sign());
    foreign.insert("origin", "https://evil.example".parse().expect("an origin"));
    assert_eq!(answer(&auth, request(foreign)).await.status(), 403);
    let optional = issuer.protects(RESOURCE).optional().build().expect("a description");
    assert_eq!(answer(&optional, request(HeaderMap::new())).await.status(), 200);
    for (code, number) in
        [("admitted", 3), ("no_credentials", 1), ("origin_not_allowed", 1), ("anonymous", 1)]
    {
        assert_eq!(counts.decided(code), number, "{code}");
    }
}

#[tokio::test]
async fn hits_and_misses_of_the_token_cache_are_counted() {
    let counts = Counts::default();
    let _guard = counts.begin();
    let issuer = TestIssuer::new();
    let auth = protected(&issuer);
    let token = issuer.token().scopes(["read"]).sign();
    for _ in 0..5 {
        assert_eq!(status(&auth, &token).await, 200);
    }
    assert_eq!(counts.of("mcp_auth_token_cache_total outcome=miss"), 1);
    assert_eq!(counts.of("mcp_auth_token_cache_total outcome=hit"), 4);
}

#[tokio::test]
async fn refreshes_are_counted_by_outcome_and_the_age_of_the_keys_is_known() {
    let counts = Counts::default();
    let _guard = counts.begin();
    let issuer = TestIssuer::new();
    let auth = protected(&issuer);
    let token = || issuer.token().scopes(["read"]).sign();

    issuer.trouble(Endpoint::Metadata, Trouble::Down);
    assert_eq!(status(&auth, &token()).await, 503);
    assert_eq!(
        (counts.refreshed("metadata", "ok"), counts.refreshed("metadata", "failed")),
        (0, 1)
    );
    assert_eq!(counts.refreshed("keys", "failed"), 0, "nothing was tried");
    assert_eq!(counts.decided("unavailable"), 1);

    issuer.recover();
    issuer.clock().advance(Duration::from_secs(30));
    assert_eq!(status(&auth, &token()).await, 200);
    assert_eq!((counts.refreshed("metadata", "ok"), counts.refreshed("keys", "ok")), (1, 1));
    assert_eq!(counts.keys_age(), 0.0);

    issuer.clock().advance(Duration::from_secs(42));
    assert_eq!(status(&auth, &token()).await, 200);
    assert_eq!(counts.keys_age(), 42.0);

    issuer.trouble(Endpoint::Jwks, Trouble::Down);
    issuer.rotate();
    assert_eq!(status(&auth, &token()).await, 503);
    assert_eq!((counts.refreshed("keys", "ok"), counts.refreshed("keys", "failed")), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn ids_of_other_callers_ended_streams_and_bad_gateways_are_counted() {
    let counts = Counts::default();
    let _guard = counts.begin();
    let issuer = TestIssuer::new();
    let auth = issuer.protects(RESOURCE).list_only(|_, _, _| false).build().expect("a description");
    let token = issuer.token().expires_in(Duration::from_secs(300)).sign();
    for (header, kind) in [("mcp-session-id", "session"), ("last-event-id", "event")] {
        let mut headers = bearer(&token);
        headers.insert(header, "invented".parse().expect("a value"));
        assert_eq!(answer(&auth, request(headers)).await.status(), 200);
        assert_eq!(counts.of(&format!("mcp_auth_foreign_ids_total kind={kind}")), 1, "{kind}");
    }
    let (_frames, response) = streamed(&auth, Some(&token), &[EVENTS]).await;
    let (frames, unreadable) = streamed(&auth, Some(&token), &[EVENTS]).await;
    frames.send(data("data: {\n\n")).await.expect("open");
    assert_eq!(next(&mut unreadable.into_body()).await, None);
    issuer.clock().advance(Duration::from_secs(360));
    assert_eq!(next(&mut response.into_body()).await, None);
    assert_eq!(counts.of("mcp_auth_bad_gateway_total reason=unreadable"), 1);
    assert_eq!(counts.of("mcp_auth_streams_ended_total reason=expired"), 1);
}

/// A request that has no response yet has no stream that could end.
#[tokio::test(start_paused = true)]
async fn only_streams_are_counted_as_ended_streams() {
    let counts = Counts::default();
    let _guard = counts.begin();
    let issuer = TestIssuer::new();
    let auth = issuer.protects(RESOURCE).build().expect("a description");
    let token = issuer.token().sign();
    let silent = auth.bearer_auth().layer(service_fn(|_: Request<GuardedBody<Full<Bytes>>>| {
        pending::<Result<Response<Full<Bytes>>, Infallible>>()
    }));
    let (_frames, stream) = streamed(&auth, Some(&token), &[EVENTS]).await;
    let waiting = silent.oneshot(request(bearer(&token)));
    let revoke = async { auth.revoke(Revocation::subject(issuer.url(), "alice")) };
    let (response, ()) = tokio::join!(waiting, revoke);
    assert_eq!(response.unwrap_or_else(|never| match never {}).status(), 200);
    assert_eq!(counts.of("mcp_auth_streams_ended_total reason=revoked"), 0);
    let mut stream = stream.into_body();
    while next(&mut stream).await.is_some() {}
    assert_eq!(counts.of("mcp_auth_streams_ended_total reason=revoked"), 1);
}

#[tokio::test]
async fn untrusted_tokens_create_no_new_labels() {
    let counts = Counts::default();
    let _guard = counts.begin();
    let issuer = TestIssuer::new();
    let auth = protected(&issuer);
    let strange = |i: usize| {
        let word = format!("strange-{i}");
        let token = issuer.token().scopes(["read"]);
        [
            token.claim("iss", format!("https://{word}.example")).sign(),
            issuer.token().audience(&*word).sign(),
            issuer.token().kid(&word).sign(),
            issuer.token().header("alg", &*word).sign(),
            issuer.token().typ(&*word).sign(),
            issuer.token().subject(&*word).client_id(&*word).scopes([&*word]).sign(),
            word,
        ]
    };
    let mut before = Vec::new();
    for i in 0..150 {
        for token in strange(i) {
            let mut headers = bearer(&token);
            for name in ["mcp-name", "mcp-session-id", "last-event-id"] {
                headers.insert(name, format!("strange-{i}").parse().expect("a value"));
            }
            answer(&auth, request(headers)).await;
        }
        if i == 1 {
            before = counts.names();
            assert!(before.len() > 5, "{before:?}");
        }
    }
    assert_eq!(counts.names(), before);
    assert!(before.iter().all(|name| !name.contains("strange")), "{before:?}");
}

/// The resolver trusts every tenant, so untrusted tokens choose which issuers are fetched from.
#[tokio::test]
async fn servers_of_a_resolver_have_its_pattern_as_label() {
    let counts = Counts::default();
    let _guard = counts.begin();
    let issuer = TestIssuer::new();
    let auth = issuer
        .protects(RESOURCE)
        .issuer_resolver("https://{tenant}.example.org", |issuer| async move {
            Ok(Some(AuthorizationServer::discover(issuer).fetch(Web::default())))
        })
        .build()
        .expect("a configuration");
    for i in 0..50 {
        let token = issuer.token().claim("iss", format!("https://strange-{i}.example.org")).sign();
        assert_eq!(status(&auth, &token).await, 503);
    }
    let labels = "document=metadata issuer=https://{tenant}.example.org outcome=failed";
    assert_eq!(counts.of(&format!("mcp_auth_refreshes_total {labels}")), 50);
    assert!(counts.names().iter().all(|name| !name.contains("strange")), "{:?}", counts.names());
}

#[tokio::test]
async fn introspections_are_counted_by_outcome() {
    let counts = Counts::default();
    let _guard = counts.begin();
    let issuer = TestIssuer::builder().client("id", "secret").build();
    let auth = issuer.protects(RESOURCE).introspect("id", "secret").build().expect("a description");
    let token = issuer.token().opaque();
    for _ in 0..3 {
        assert_eq!(status(&auth, &token).await, 200);
    }
    for i in 0..150 {
        assert_eq!(status(&auth, &format!("strange-{i}")).await, 401);
    }
    issuer.trouble(Endpoint::Introspection, Trouble::Down);
    assert_eq!(status(&auth, "another").await, 503);
    let asked = |outcome: &str| {
        counts.of(&format!(
            "mcp_auth_introspections_total issuer=https://issuer.test outcome={outcome}"
        ))
    };
    assert_eq!((asked("active"), asked("refused"), asked("failed")), (1, 150, 1));
    assert_eq!(counts.of("mcp_auth_token_cache_total outcome=hit"), 2);
    assert!(counts.names().iter().all(|name| !name.contains("strange")), "{:?}", counts.names());
}

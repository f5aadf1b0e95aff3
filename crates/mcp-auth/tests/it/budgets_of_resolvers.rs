//! What tenants that are not known yet get beside an attacker who invents tenants.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use mcp_auth::{AuthorizationServer, McpAuth};
use mcp_auth_testkit::TestIssuer;
use serde_json::json;

use crate::world::{RESOURCE, Web, answer, bearer, request, status};

/// How long the resolver takes for each answer.
const ANSWER_TIME: Duration = Duration::from_secs(4);

fn honest(tenant: usize) -> String {
    format!("https://honest-{tenant}.customers.example.com")
}

/// A resource whose resolver knows the honest tenants, and how often the resolver was called.
fn protected(keys: &TestIssuer) -> (McpAuth, Arc<AtomicUsize>) {
    let calls = Arc::new(AtomicUsize::new(0));
    let (counter, clock, jwks) = (calls.clone(), keys.clock(), keys.jwks());
    let auth = McpAuth::builder(RESOURCE)
        .clock(keys.clock())
        .authorization_server(AuthorizationServer::external("https://login.example.com"))
        .issuer_resolver("https://{tenant}.customers.example.com", move |issuer| {
            counter.fetch_add(1, Ordering::SeqCst);
            let (clock, jwks) = (clock.clone(), jwks.clone());
            async move {
                tokio::time::sleep(ANSWER_TIME).await;
                let jwks_uri = format!("{issuer}/jwks");
                let metadata = json!({ "issuer": issuer, "jwks_uri": jwks_uri });
                let web = Web::default()
                    .serve(
                        &format!("{issuer}/.well-known/oauth-authorization-server"),
                        metadata.to_string(),
                    )
                    .serve(&jwks_uri, jwks);
                let server = AuthorizationServer::discover(&issuer).fetch(web).clock(clock);
                Ok(issuer.contains("//honest-").then_some(server))
            }
        });
    (auth.build().expect("a description"), calls)
}

/// Sends `rate` unsigned tokens of invented tenants every 4 s, evenly, for as long as it is polled.
async fn attack(auth: McpAuth, keys: TestIssuer, rate: u32) {
    let sample = keys.token().sign();
    let (header, _) = sample.split_once('.').expect("a token");
    for i in 0.. {
        let issuer = format!("https://x{i}.customers.example.com");
        let claims = json!({ "iss": issuer, "sub": "x", "exp": 4_102_444_800_u64 }).to_string();
        let token = format!("{header}.{}.AAAA", URL_SAFE_NO_PAD.encode(claims));
        let auth = auth.clone();
        tokio::spawn(async move { status(&auth, &token).await });
        tokio::time::sleep(ANSWER_TIME / rate).await;
    }
}

/// The clock of the resource follows that of tokio.
async fn tick(keys: TestIssuer) {
    loop {
        tokio::time::sleep(Duration::from_millis(100)).await;
        keys.clock().advance(Duration::from_millis(100));
    }
}

/// How many of `tries` tenants that are not known yet are admitted, each by one request, beside an attack.
async fn admitted(rate: u32, tries: usize) -> usize {
    let keys = TestIssuer::new();
    let (auth, _) = protected(&keys);
    let attacker = tokio::spawn(attack(auth.clone(), keys.clone(), rate));
    let clock = tokio::spawn(tick(keys.clone()));
    tokio::time::sleep(Duration::from_secs(20)).await;
    let mut requests = Vec::new();
    for tenant in 0..tries {
        let (auth, token) = (auth.clone(), keys.token().claim("iss", honest(tenant)).sign());
        requests.push(tokio::spawn(async move { status(&auth, &token).await }));
        tokio::time::sleep(Duration::from_secs(3)).await;
    }
    let mut admitted = 0;
    for request in requests {
        match request.await.expect("an answer") {
            200 => admitted += 1,
            other => assert_eq!(other, 503),
        }
    }
    attacker.abort();
    clock.abort();
    admitted
}

#[tokio::test(start_paused = true)]
async fn tenants_get_their_share_of_the_resolver_beside_invented_ones() {
    // There are 16 places of 4 s, and in 4 s one honest tenant in addition: 100 %, 87 %, 48 %, 24 %, and some luck.
    for (rate, at_least) in [(8, 100), (17, 70), (32, 33), (64, 10)] {
        let admitted = admitted(rate, 100).await;
        println!("{rate} invented tenants per 4 s: {admitted} of 100 are admitted at once");
        assert!(admitted >= at_least, "{rate}: {admitted}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_tenant_that_is_crowded_out_may_try_again_at_once() {
    let keys = TestIssuer::new();
    let (auth, _) = protected(&keys);
    let attacker = tokio::spawn(attack(auth.clone(), keys.clone(), 64));
    let clock = tokio::spawn(tick(keys.clone()));
    tokio::time::sleep(Duration::from_secs(20)).await;
    for tenant in 0..20 {
        let mut tries = 1;
        let token = keys.token().claim("iss", honest(tenant)).expires_in(Duration::from_secs(9999));
        let token = token.sign();
        loop {
            let response = answer(&auth, request(bearer(&token))).await;
            if response.status() == 200 {
                break;
            }
            let retry_after = response.headers()[http::header::RETRY_AFTER].to_str().ok();
            assert_eq!((response.status().as_u16(), retry_after), (503, Some("1")), "{tenant}");
            tries += 1;
            assert!(tries < 60, "tenant {tenant} is kept out");
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        // Once trusted, it does not need a place again.
        keys.clock().advance(Duration::from_secs(6 * 60));
        assert_eq!(status(&auth, &token).await, 200);
    }
    attacker.abort();
    clock.abort();
}

#[tokio::test(start_paused = true)]
async fn many_requests_of_one_tenant_take_one_place_and_its_answer_survives_a_flood() {
    let keys = TestIssuer::new();
    let (auth, calls) = protected(&keys);
    let ask = |issuer: String| {
        let (auth, token) = (auth.clone(), keys.token().claim("iss", issuer).sign());
        tokio::spawn(async move { status(&auth, &token).await })
    };
    let first: Vec<_> = (0..100).map(|_| ask(honest(1))).collect();
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert_eq!(calls.load(Ordering::SeqCst), 1);
    // More than are cached. None of them evicts a tenant that is being asked about.
    let _flood: Vec<_> =
        (0..3000).map(|i| ask(format!("https://x{i}.customers.example.com"))).collect();
    tokio::time::sleep(Duration::from_millis(1)).await;
    let second: Vec<_> = (0..100).map(|_| ask(honest(1))).collect();
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert_eq!(calls.load(Ordering::SeqCst), 16, "the places are taken");
    for request in first.into_iter().chain(second) {
        assert_eq!(request.await.expect("an answer"), 200);
    }
}

#[tokio::test(start_paused = true)]
async fn a_tenant_that_was_refused_is_503_if_the_resolver_cannot_be_asked_again() {
    let keys = TestIssuer::new();
    let answers = Arc::new(AtomicUsize::new(0));
    let counter = answers.clone();
    let auth = McpAuth::builder(RESOURCE)
        .clock(keys.clock())
        .authorization_server(AuthorizationServer::external("https://login.example.com"))
        .issuer_resolver("https://{tenant}.customers.example.com", move |_| {
            let is_down = counter.fetch_add(1, Ordering::SeqCst) > 0;
            async move { if is_down { Err("the database is down".into()) } else { Ok(None) } }
        })
        .build()
        .expect("a description");
    let token = keys.token().claim("iss", honest(1)).sign();
    assert_eq!(status(&auth, &token).await, 401);
    keys.clock().advance(Duration::from_secs(60));
    assert_eq!(status(&auth, &token).await, 503, "it may be a tenant by now");
}

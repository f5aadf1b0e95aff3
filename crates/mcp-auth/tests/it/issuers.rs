//! Several issuers, many tenants, and issuers that are resolved at run time.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use mcp_auth::{
    AuthorizationServer, ConfigError, Fetch, McpAuth, McpAuthBuilder, Principal, Reason,
};
use mcp_auth_testkit::{TestIssuer, TokenBuilder};
use serde_json::{Value, json};

use crate::world::{RESOURCE, Web, admit, bearer, status};

const TEMPLATE: &str = "https://login.example.com/{tenantid}/v2.0";
const TEMPLATE_METADATA: &str = "https://login.example.com/common/.well-known/openid-configuration";
const TEMPLATE_KEYS: &str = "https://login.example.com/common/keys";

fn metadata(issuer: &str, jwks_uri: &str) -> String {
    json!({ "issuer": issuer, "jwks_uri": jwks_uri }).to_string()
}

fn discovery(issuer: &str) -> String {
    let path = issuer.strip_prefix("https://").and_then(|rest| rest.find('/')).map(|at| at + 8);
    let (origin, path) = issuer.split_at(path.unwrap_or(issuer.len()));
    format!("{origin}/.well-known/oauth-authorization-server{path}")
}

async fn reason(auth: &McpAuth, token: &str) -> Option<Reason> {
    admit(auth, &bearer(token)).await.expect_err("refused").reason()
}

/// A builder that uses the issuer's clock.
fn resource(keys: &TestIssuer) -> McpAuthBuilder {
    McpAuth::builder(RESOURCE).clock(keys.clock())
}

#[tokio::test]
async fn a_key_of_one_issuer_never_verifies_a_token_of_another() {
    let (a, b) = (TestIssuer::new(), TestIssuer::new()); // the same `kid`, different keys
    let (issuer_a, issuer_b) = ("https://a.example.com", "https://b.example.com");
    let web = Web::default()
        .serve(&discovery(issuer_a), metadata(issuer_a, "https://a.example.com/jwks"))
        .serve(&discovery(issuer_b), metadata(issuer_b, "https://b.example.com/jwks"))
        .serve("https://a.example.com/jwks", a.jwks())
        .serve("https://b.example.com/jwks", b.jwks());
    let server = |issuer| AuthorizationServer::discover(issuer).fetch(web.clone()).clock(a.clock());
    let auth = resource(&a).authorization_servers([server(issuer_a), server(issuer_b)]);
    let auth = auth.build().expect("a description");
    assert_eq!(a.kid(), b.kid());
    assert_eq!(status(&auth, &a.token().claim("iss", issuer_a).sign()).await, 200);
    assert_eq!(status(&auth, &b.token().claim("iss", issuer_b).sign()).await, 200);
    let of_a_as_b = a.token().claim("iss", issuer_b).sign();
    assert_eq!(reason(&auth, &of_a_as_b).await, Some(Reason::Signature));
    let of_b_as_a = b.token().claim("iss", issuer_a).sign();
    assert_eq!(reason(&auth, &of_b_as_a).await, Some(Reason::Signature));
}

#[tokio::test]
async fn issuers_with_the_same_jwks_uri_cache_it_separately() {
    let keys = TestIssuer::new();
    let (issuer_a, issuer_b) = ("https://a.example.com", "https://b.example.com");
    let shared = "https://keys.example.com/jwks";
    let web = Web::default()
        .serve(&discovery(issuer_a), metadata(issuer_a, shared))
        .serve(&discovery(issuer_b), metadata(issuer_b, shared))
        .serve(shared, keys.jwks());
    let server =
        |issuer| AuthorizationServer::discover(issuer).fetch(web.clone()).clock(keys.clock());
    let auth = resource(&keys).authorization_servers([server(issuer_a), server(issuer_b)]);
    let auth = auth.build().expect("a description");
    for issuer in [issuer_a, issuer_b] {
        assert_eq!(status(&auth, &keys.token().claim("iss", issuer).sign()).await, 200, "{issuer}");
    }
    // Each issuer fetched the key set for itself: documents are never shared between issuers.
    assert_eq!(web.asked_for().iter().filter(|url| *url == shared).count(), 2);
    assert_eq!(
        reason(&auth, &keys.token().claim("iss", "https://c.example.com").sign()).await,
        Some(Reason::Issuer)
    );
}

#[tokio::test]
async fn a_jwk_with_an_issuer_member_verifies_only_that_issuer() {
    let keys = TestIssuer::new();
    let own = "https://login.example.com/t1/v2.0";
    for (member, expected) in [
        (json!(own), None),
        (json!(TEMPLATE), None),
        (json!("https://login.example.com/t2/v2.0"), Some(Reason::UnknownKey)),
        (json!("https://other.example.com/{tenantid}/v2.0"), Some(Reason::UnknownKey)),
        (json!(""), Some(Reason::UnknownKey)),
        (json!(7), Some(Reason::Key)),
    ] {
        let mut jwks: Value = serde_json::from_str(&keys.jwks()).expect("JSON");
        let other_key = jwks["keys"][0].clone();
        jwks["keys"][0]["issuer"] = member.clone();
        let mut other = other_key;
        other["kid"] = json!("another");
        jwks["keys"].as_array_mut().expect("keys").push(other);
        let auth = templated(&keys, jwks.to_string(), ["t1"]);
        let token = keys.token().claim("iss", own).claim("tid", "t1").sign();
        let refused = admit(&auth, &bearer(&token)).await.err().and_then(|denial| denial.reason());
        assert_eq!(refused, expected, "{member}");
    }
}

/// A resource that trusts these tenants of the template.
fn templated<const N: usize>(keys: &TestIssuer, jwks: String, tenants: [&str; N]) -> McpAuth {
    let web = Web::default()
        .serve(TEMPLATE_METADATA, metadata(TEMPLATE, TEMPLATE_KEYS))
        .serve(TEMPLATE_KEYS, jwks);
    let server = AuthorizationServer::template(TEMPLATE, TEMPLATE_METADATA)
        .tenant_claim("tid")
        .tenants(tenants)
        .fetch(web)
        .clock(keys.clock());
    resource(keys).authorization_server(server).build().expect("a description")
}

#[tokio::test]
async fn only_listed_tenants_are_admitted_with_a_matching_tid() {
    let keys = TestIssuer::new();
    let auth = templated(&keys, keys.jwks(), ["t1", "t2"]);
    let issuer = |tenant: &str| format!("https://login.example.com/{tenant}/v2.0");
    let token = |iss: &str| keys.token().claim("iss", iss);
    let admitted =
        [token(&issuer("t1")).claim("tid", "t1"), token(&issuer("t2")).claim("tid", "t2")];
    for (token, tenant) in admitted.into_iter().zip(["t1", "t2"]) {
        let caller = admit(&auth, &bearer(&token.sign())).await.expect("admitted");
        assert_eq!(caller.issuer(), issuer(tenant));
    }
    let refused: [(&str, TokenBuilder); 8] = [
        ("a tenant that is not in the list", token(&issuer("t3")).claim("tid", "t3")),
        ("`tid` of a tenant in the list", token(&issuer("t3")).claim("tid", "t1")),
        ("`tid` of another", token(&issuer("t1")).claim("tid", "t2")),
        ("no `tid`", token(&issuer("t1"))),
        ("`tid` of another type", token(&issuer("t1")).claim("tid", json!(["t1"]))),
        ("the template itself", token(TEMPLATE).claim("tid", "{tenantid}")),
        ("another case", token(&issuer("T1")).claim("tid", "T1")),
        ("more behind it", token("https://login.example.com/t1/v2.0/x").claim("tid", "t1")),
    ];
    for (name, token) in refused {
        assert_eq!(reason(&auth, &token.sign()).await, Some(Reason::Issuer), "{name}");
    }
    let published: Value = serde_json::from_str(auth.metadata_json()).expect("JSON");
    assert_eq!(published["authorization_servers"], json!([issuer("t1"), issuer("t2")]));
}

#[tokio::test]
async fn the_metadata_of_one_tenant_does_not_serve_a_template() {
    let keys = TestIssuer::new();
    let own = "https://login.example.com/t1/v2.0";
    let web = Web::default()
        .serve(TEMPLATE_METADATA, metadata(own, TEMPLATE_KEYS))
        .serve(TEMPLATE_KEYS, keys.jwks());
    let server = AuthorizationServer::template(TEMPLATE, TEMPLATE_METADATA).tenants(["t1"]);
    let auth = resource(&keys).authorization_server(server.fetch(web).clock(keys.clock()));
    let auth = auth.build().expect("a description");
    assert_eq!(status(&auth, &keys.token().claim("iss", own).sign()).await, 503);
}

#[test]
fn an_issuer_can_be_configured_only_once() {
    let template = |tenants: &[&str]| {
        AuthorizationServer::template(TEMPLATE, TEMPLATE_METADATA).tenants(tenants.iter().copied())
    };
    let exact = || AuthorizationServer::discover("https://login.example.com/t1/v2.0");
    for servers in [
        [template(&["t1"]), exact()],
        [exact(), template(&["t1"])],
        [template(&["t1"]), template(&["t2"])],
        [exact(), exact()],
    ] {
        let built = McpAuth::builder(RESOURCE).authorization_servers(servers).build();
        assert!(matches!(built, Err(ConfigError::Issuer(_))), "{built:?}");
    }
    assert!(
        McpAuth::builder(RESOURCE)
            .authorization_servers([exact(), template(&["t2"])])
            .build()
            .is_ok()
    );
    let hidden =
        template(&["t1", "t2"]).advertise_as("https://login.example.com/organizations/v2.0");
    let auth =
        McpAuth::builder(RESOURCE).authorization_server(hidden).build().expect("a description");
    assert!(!auth.metadata_json().contains("t1"), "{}", auth.metadata_json());
}

#[tokio::test]
async fn principals_of_two_issuers_never_collide() {
    let keys = TestIssuer::new();
    let auth = templated(&keys, keys.jwks(), ["t1", "t2"]);
    let mut principals: Vec<Principal> = Vec::new();
    for tenant in ["t1", "t2"] {
        let iss = format!("https://login.example.com/{tenant}/v2.0");
        let token = keys.token().claim("iss", iss).claim("tid", tenant).subject("alice").sign();
        principals.push(admit(&auth, &bearer(&token)).await.expect("admitted").principal());
    }
    assert_ne!(principals[0], principals[1]);
    assert_ne!(principals[0].to_string(), principals[1].to_string());
    assert_eq!(principals[0].subject(), principals[1].subject());
}

/// A resolver that knows a list of tenants and records which issuers it was asked for.
#[derive(Clone, Default)]
struct Customers {
    known: Arc<Mutex<Vec<String>>>,
    asked: Arc<Mutex<Vec<String>>>,
    is_down: Arc<AtomicUsize>,
}

impl Customers {
    fn of(tenants: &[&str]) -> Self {
        let known = tenants.iter().map(|tenant| customer(tenant)).collect();
        Self { known: Arc::new(Mutex::new(known)), ..Self::default() }
    }

    fn asked(&self) -> usize {
        self.asked.lock().expect("a list").len()
    }

    fn auth(&self, keys: &TestIssuer, fetch: impl Fetch + Clone) -> McpAuth {
        let (customers, clock) = (self.clone(), keys.clock());
        resource(keys)
            .authorization_server(AuthorizationServer::external("https://login.example.com"))
            .issuer_resolver("https://{tenant}.customers.example.com", move |issuer| {
                let (customers, fetch, clock) = (customers.clone(), fetch.clone(), clock.clone());
                async move {
                    customers.asked.lock().expect("a list").push(issuer.clone());
                    tokio::task::yield_now().await;
                    if customers.is_down.load(Ordering::SeqCst) > 0 {
                        return Err("the database is down".into());
                    }
                    let is_known = customers.known.lock().expect("a list").contains(&issuer);
                    let server =
                        || AuthorizationServer::discover(&issuer).fetch(fetch).clock(clock);
                    Ok(is_known.then(server))
                }
            })
            .build()
            .expect("a description")
    }
}

fn customer(tenant: &str) -> String {
    format!("https://{tenant}.customers.example.com")
}

fn web_of(keys: &TestIssuer, tenants: &[&str]) -> Web {
    tenants.iter().fold(Web::default(), |web, tenant| {
        let issuer = customer(tenant);
        let jwks = format!("{issuer}/jwks");
        web.serve(&discovery(&issuer), metadata(&issuer, &jwks)).serve(&jwks, keys.jwks())
    })
}

#[tokio::test]
async fn the_resolver_is_called_once_per_issuer_and_keys_are_separate() {
    let keys = TestIssuer::new();
    let (customers, web) = (Customers::of(&["acme", "globex"]), web_of(&keys, &["acme", "globex"]));
    let auth = customers.auth(&keys, web.clone());
    let tokens: Vec<_> = (0..20)
        .map(|i| keys.token().claim("iss", customer("acme")).subject(format!("user-{i}")).sign())
        .collect();
    let headers: Vec<_> = tokens.iter().map(|token| bearer(token)).collect();
    let callers = futures_util::future::join_all(headers.iter().map(|it| admit(&auth, it))).await;
    assert!(callers.iter().all(Result::is_ok));
    assert_eq!(customers.asked(), 1, "one question for twenty requests");
    assert_eq!(web.asked_for().len(), 2, "its metadata and its keys");
    assert_eq!(status(&auth, &keys.token().claim("iss", customer("globex")).sign()).await, 200);
    let thief = TestIssuer::new().token().claim("iss", customer("globex")).sign();
    assert_eq!(reason(&auth, &thief).await, Some(Reason::Signature));
}

#[tokio::test]
async fn unknown_issuers_cause_no_fetch_and_evict_no_trusted_issuer() {
    let keys = TestIssuer::new();
    let (customers, web) = (Customers::of(&["acme"]), web_of(&keys, &["acme"]));
    let auth = customers.auth(&keys, web.clone());
    assert_eq!(status(&auth, &keys.token().claim("iss", customer("acme")).sign()).await, 200);
    assert!(auth.readiness().is_ready(), "where clients log in, no keys are wanted");
    let fetched = web.asked_for().len();
    for issuer in [
        "https://evil.example.com",
        "https://customers.example.com",
        "https://a/b.customers.example.com",
        "https://evil.example#.customers.example.com",
        "http://acme.customers.example.com",
        "https://acme.customers.example.com/",
        "https://login.example.com",
    ] {
        let token = keys.token().claim("iss", issuer).sign();
        assert_eq!(reason(&auth, &token).await, Some(Reason::Issuer), "{issuer}");
    }
    let expired = keys.token().claim("iss", customer("expired")).expired().sign();
    assert_eq!(reason(&auth, &expired).await, Some(Reason::Expired));
    assert_eq!(customers.asked(), 1, "what is not of the form, or has expired, is not asked for");

    for i in 0..1500 {
        let token = keys.token().claim("iss", customer(&format!("x{i}"))).sign();
        for _ in 0..2 {
            assert_eq!(reason(&auth, &token).await, Some(Reason::Issuer));
        }
    }
    assert_eq!(customers.asked(), 1501, "each unknown issuer once");
    let token = keys.token().claim("iss", customer("acme")).subject("bob").sign();
    assert_eq!(status(&auth, &token).await, 200);
    assert_eq!(customers.asked(), 1501, "who is trusted is still known");
    assert_eq!(web.asked_for().len(), fetched, "and nothing was fetched for anybody else");
}

#[tokio::test]
async fn logout_tokens_of_unknown_issuers_cost_no_more_than_access_tokens() {
    let keys = TestIssuer::new();
    let (customers, web) = (Customers::of(&["acme"]), web_of(&keys, &["acme"]));
    let auth = customers.auth(&keys, web.clone());
    let logout = |issuer: &str| keys.logout_token("us").claim("iss", issuer);
    let receive = async |token: String| {
        let received = auth.receive_logout_token(&token, &["us"]).await;
        received.map_err(|denial| denial.reason())
    };
    let acme = customer("acme");
    let late = logout(&acme).expired().sign();
    assert_eq!(receive(late).await, Err(Some(Reason::Expired)));
    let for_another = keys.logout_token("them").claim("iss", &*acme).sign();
    assert_eq!(receive(for_another).await, Err(Some(Reason::Audience)));
    for issuer in ["https://evil.example.com", "https://a/b.customers.example.com"] {
        assert_eq!(receive(logout(issuer).sign()).await, Err(Some(Reason::Issuer)), "{issuer}");
    }
    assert_eq!(customers.asked(), 0, "what is not of the form, or not for us, is not asked for");

    for _ in 0..3 {
        let unknown = logout(&customer("unknown")).sign();
        assert_eq!(receive(unknown).await, Err(Some(Reason::Issuer)));
    }
    assert_eq!((customers.asked(), web.asked_for().len()), (1, 0));
    for _ in 0..3 {
        let forged = TestIssuer::new().logout_token("us").claim("iat", 1_785_196_700);
        let forged = forged.claim("iss", &*acme).sign();
        assert_eq!(receive(forged).await, Err(Some(Reason::Signature)));
        assert_eq!(receive(logout(&acme).sign()).await, Ok(()));
    }
    assert_eq!(customers.asked(), 2, "tokens and security events ask the same resolver");
    let token = keys.token().claim("iss", &*acme).sign();
    assert_eq!(reason(&auth, &token).await, Some(Reason::Inactive));
    assert_eq!(
        (customers.asked(), web.asked_for().len()),
        (2, 3),
        "metadata, keys, and keys again"
    );

    let customers = Customers::of(&["acme"]);
    let auth = customers.auth(&keys, web);
    customers.is_down.store(1, Ordering::SeqCst);
    let received = auth.receive_logout_token(&logout(&acme).sign(), &["us"]).await;
    assert_eq!(received.expect_err("an outage").status(), 503, "it comes again");
}

#[tokio::test(start_paused = true)]
async fn concurrent_resolver_calls_are_limited() {
    let keys = TestIssuer::new();
    let (asked, counter) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let count = counter.clone();
    let hanging = resource(&keys)
        .authorization_server(AuthorizationServer::external("https://login.example.com"))
        .issuer_resolver("https://{tenant}.customers.example.com", move |_| {
            count.fetch_add(1, Ordering::SeqCst);
            std::future::pending()
        })
        .build()
        .expect("a description");
    let waiting: Vec<_> = (0..40)
        .map(|i| {
            let token = keys.token().claim("iss", customer(&format!("x{i}"))).sign();
            let (auth, asked) = (hanging.clone(), asked.clone());
            tokio::spawn(async move {
                let status = status(&auth, &token).await;
                asked.fetch_add(1, Ordering::SeqCst);
                status
            })
        })
        .collect();
    for (seconds, calls, answers) in [(1, 16, 0), (5, 32, 16), (5, 40, 40)] {
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        let counted = (counter.load(Ordering::SeqCst), asked.load(Ordering::SeqCst));
        assert!(counted.0 <= calls && counted.1 <= answers, "{counted:?}");
        assert!(counted.0 >= 16 && counted.1 >= answers.min(16), "{counted:?}");
    }
    for one in waiting {
        assert_eq!(one.await.expect("an answer"), 503);
    }
    assert!(counter.load(Ordering::SeqCst) <= 40, "each is asked for once");
}

#[tokio::test]
async fn a_failing_resolver_is_503_and_a_withdrawn_tenant_is_refused() {
    let keys = TestIssuer::new();
    let (customers, web) = (Customers::of(&["acme"]), web_of(&keys, &["acme"]));
    let auth = customers.auth(&keys, web);
    let token =
        |tenant, user: &str| keys.token().claim("iss", customer(tenant)).subject(user).sign();
    customers.is_down.store(1, Ordering::SeqCst);
    assert_eq!(status(&auth, &token("acme", "a")).await, 503);
    customers.is_down.store(0, Ordering::SeqCst);
    keys.clock().advance(Duration::from_secs(2));
    assert_eq!(status(&auth, &token("acme", "a")).await, 200);

    customers.is_down.store(1, Ordering::SeqCst);
    keys.clock().advance(Duration::from_secs(6 * 60));
    assert_eq!(
        status(&auth, &token("acme", "b")).await,
        200,
        "who is trusted stays so for a while"
    );

    customers.is_down.store(0, Ordering::SeqCst);
    customers.known.lock().expect("a list").clear();
    keys.clock().advance(Duration::from_secs(10 * 60));
    // After an outage the first request does not wait for the resolver's answer.
    let _ = admit(&auth, &bearer(&token("acme", "first"))).await;
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
    assert_eq!(reason(&auth, &token("acme", "c")).await, Some(Reason::Issuer));

    customers.known.lock().expect("a list").push(customer("acme"));
    keys.clock().advance(Duration::from_secs(61));
    assert_eq!(status(&auth, &token("acme", "d")).await, 200, "and it may come back");
}

/// However long it was, and without calling the resolver more often than every two seconds.
#[tokio::test]
async fn a_tenant_that_was_added_in_an_outage_of_the_resolver_is_admitted_within_two_seconds() {
    let keys = TestIssuer::new();
    let (customers, web) = (Customers::of(&[]), web_of(&keys, &["acme"]));
    let auth = customers.auth(&keys, web);
    let token =
        |i: u32| keys.token().claim("iss", customer("acme")).claim("jti", i.to_string()).sign();
    assert_eq!(reason(&auth, &token(0)).await, Some(Reason::Issuer));
    customers.is_down.store(1, Ordering::SeqCst);
    customers.known.lock().expect("a list").push(customer("acme"));
    keys.clock().advance(Duration::from_secs(61));
    for i in 1..600 {
        assert_eq!(status(&auth, &token(i)).await, 503, "never a 401 that nobody has checked");
        keys.clock().advance(Duration::from_millis(500));
    }
    customers.is_down.store(0, Ordering::SeqCst);
    keys.clock().advance(Duration::from_secs(2));
    assert_eq!(status(&auth, &token(1000)).await, 200);
}

#[tokio::test]
async fn a_resolver_answer_for_another_issuer_is_ignored() {
    let keys = TestIssuer::new();
    let web = web_of(&keys, &["acme"]);
    let clock = keys.clock();
    let auth = resource(&keys)
        .authorization_server(AuthorizationServer::external("https://login.example.com"))
        .issuer_resolver("https://{tenant}.customers.example.com", move |_| {
            let acme = AuthorizationServer::discover(customer("acme"));
            let acme = acme.fetch(web.clone()).clock(clock.clone());
            async { Ok(Some(acme)) }
        })
        .build()
        .expect("a description");
    assert_eq!(
        reason(&auth, &keys.token().claim("iss", customer("globex")).sign()).await,
        Some(Reason::Issuer)
    );
    assert_eq!(status(&auth, &keys.token().claim("iss", customer("acme")).sign()).await, 200);
}

#[test]
fn a_resolver_needs_a_template_with_one_placeholder() {
    for form in ["https://auth.example.com", "", "https://{a}/{b}", "http://{t}.example.com", "{t"]
    {
        let built = McpAuth::builder(RESOURCE)
            .authorization_server("https://auth.example.com")
            .issuer_resolver(form, |_| async { Ok(None) })
            .build();
        assert_eq!(built.err(), Some(ConfigError::Issuer(form.into())));
    }
}

#[test]
fn requested_with_prefix_prefixes_the_requested_scopes() {
    let auth = McpAuth::builder(RESOURCE)
        .authorization_server("https://auth.example.com")
        .required_scopes(["notes.read", "openid", "notes.write"])
        .requested_as("notes.write", "api://others/write")
        .requested_with_prefix("api://orders/")
        .build()
        .expect("a description");
    let published: Value = serde_json::from_str(auth.metadata_json()).expect("JSON");
    let scopes = json!(["api://orders/notes.read", "openid", "api://others/write"]);
    assert_eq!(published["scopes_supported"], scopes);
    for prefix in ["", "api orders/", "a\"b"] {
        let built = McpAuth::builder(RESOURCE)
            .authorization_server("https://auth.example.com")
            .requested_with_prefix(prefix)
            .build();
        assert_eq!(built.err(), Some(ConfigError::Scope(prefix.into())));
    }
}

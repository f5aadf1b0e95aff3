//! How issuers are asked: with secrets that change, over plain http to named hosts, and after an outage. And issuers that
//! are never asked.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::{Request, Response};
use mcp_auth::jwt::KeySet;
use mcp_auth::{AuthorizationServer, ConfigError, EventPoll, Introspection, McpAuth, Secret};
use mcp_auth_testkit::{Endpoint, TestIssuer, Trouble};
use serde_json::{Value, json};
use tracing::Level;

use crate::logs::Log;
use crate::world::{Answering, RESOURCE, admit, bearer, response, status};

const ISSUER: &str = "https://issuer.test";

fn protected(issuer: &TestIssuer, server: impl Into<AuthorizationServer>) -> McpAuth {
    let auth = McpAuth::builder(RESOURCE).authorization_server(server).clock(issuer.clock());
    auth.build().expect("a description")
}

fn token(issuer: &TestIssuer) -> String {
    issuer.token().audience(RESOURCE).expires_in(Duration::from_secs(400_000)).sign()
}

/// Answers with the documents of the issuer.
fn documents(issuer: &TestIssuer, url: &str, request: &Request<Bytes>) -> Response<Bytes> {
    let metadata = json!({
        "issuer": url, "jwks_uri": format!("{url}/jwks"), "introspection_endpoint": format!("{url}/introspect"),
    });
    match request.uri().path().rsplit('/').next() {
        Some("oauth-authorization-server") => response(200, metadata.to_string()),
        Some("jwks") => response(200, issuer.jwks()),
        Some("introspect") => {
            response(200, json!({ "active": true, "sub": "alice", "aud": RESOURCE }).to_string())
        }
        Some("poll") => response(200, r#"{"sets":{}}"#),
        _ => response(404, ""),
    }
}

/// A token that is valid for one request.
fn one_time() -> (Secret, Arc<AtomicUsize>) {
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = calls.clone();
    let secret = Secret::from_fn(move || {
        let number = counted.fetch_add(1, Ordering::Relaxed);
        async move {
            tokio::task::yield_now().await;
            Ok::<_, std::io::Error>(format!("token-{number}"))
        }
    });
    (secret, calls)
}

#[tokio::test]
async fn a_secret_that_changes_is_asked_for_again_with_every_request() {
    let issuer = TestIssuer::new();
    let of_issuer = issuer.clone();
    let spent = AtomicUsize::new(0);
    // Accepts each token once.
    let web = Answering::new(move |request| {
        let expected = format!("Bearer token-{}", spent.load(Ordering::Relaxed));
        match request.headers().get(AUTHORIZATION) {
            Some(sent) if sent == &expected && sent.is_sensitive() => {
                spent.fetch_add(1, Ordering::Relaxed);
                Ok(documents(&of_issuer, ISSUER, request))
            }
            _ => Ok(response(401, "")),
        }
    });
    let (secret, calls) = one_time();
    let server = AuthorizationServer::discover(ISSUER)
        .bearer(secret.clone())
        .introspection(Introspection::bearer(secret.clone()).cache_for(Duration::ZERO))
        .fetch(web.clone())
        .clock(issuer.clock());
    let auth = protected(&issuer, server);
    assert_eq!(status(&auth, &token(&issuer)).await, 200);
    assert_eq!(calls.load(Ordering::Relaxed), 2, "for the metadata and for the keys");
    for _ in 0..5 {
        assert_eq!(status(&auth, "an-opaque-token").await, 200);
        issuer.clock().advance(Duration::from_secs(300));
    }
    assert_eq!(calls.load(Ordering::Relaxed), 7);
    let events =
        EventPoll::at("https://issuer.test/poll", ["me"]).bearer(secret).fetch(web.clone());
    let polling = auth.poll_security_events(events).expect("a description");
    let _ = tokio::time::timeout(Duration::from_millis(20), polling).await;
    assert_eq!(calls.load(Ordering::Relaxed), 8);
    assert_eq!(web.asked().len(), 8);
}

#[tokio::test(start_paused = true)]
async fn a_secret_that_cannot_be_had_is_503_and_is_logged_without_it() {
    type Asked = fn() -> Result<String, &'static str>;
    let rows: [(Asked, &str); 3] = [
        (|| Err("the vault is sealed"), "the vault is sealed"),
        (|| Ok(String::new()), "it is empty"),
        (|| Ok("hush-hush\n".to_owned()), "a line break at its end"),
    ];
    for (asked, said) in rows {
        let (log, _guard) = Log::at(Level::TRACE);
        let issuer = TestIssuer::new();
        let of_issuer = issuer.clone();
        let web = Answering::new(move |request| Ok(documents(&of_issuer, ISSUER, request)));
        let secret = Secret::from_fn(move || async move { asked() });
        let server = AuthorizationServer::discover(ISSUER).fetch(web.clone()).clock(issuer.clock());
        let by_documents = protected(&issuer, server.clone().bearer(secret.clone()));
        assert_eq!(status(&by_documents, &token(&issuer)).await, 503);
        let text = log.text();
        assert!(text.contains(said), "{text}");
        assert_eq!(web.asked().len(), 0, "nothing is sent without it");
        let asking = Introspection::bearer(secret);
        let by_introspection = protected(&issuer, server.introspection(asking));
        assert_eq!(status(&by_introspection, "an-opaque-token").await, 503);
        assert!(log.text().replace(&text, "").contains(said), "{}", log.text());
        assert!(!log.text().contains("hush-hush"), "{}", log.text());
    }
    let issuer = TestIssuer::new();
    let never = Secret::from_fn(std::future::pending::<Result<String, std::io::Error>>);
    let server = issuer.authorization_server().bearer(never);
    let start = tokio::time::Instant::now();
    assert_eq!(status(&protected(&issuer, server), &token(&issuer)).await, 503);
    assert!(start.elapsed() <= Duration::from_secs(10), "{:?}", start.elapsed());
}

#[tokio::test]
async fn plain_http_is_sent_to_named_private_hosts_only() {
    let url = "http://keycloak:8080/realms/mcp";
    let issuer = TestIssuer::builder().issuer(url).build();
    let (log, _guard) = Log::at(Level::WARN);
    let of_issuer = issuer.clone();
    let web = Answering::new(move |request| {
        let metadata = json!({ "issuer": url, "jwks_uri": "http://keycloak:8080/jwks" });
        match request.uri().path() {
            "/.well-known/oauth-authorization-server/realms/mcp" => {
                Ok(response(200, metadata.to_string()))
            }
            _ => Ok(documents(&of_issuer, url, request)),
        }
    });
    let server = AuthorizationServer::discover(url).fetch(web.clone()).clock(issuer.clock());
    let build = |server: AuthorizationServer| {
        McpAuth::builder(RESOURCE).authorization_server(server).clock(issuer.clock()).build()
    };
    assert_eq!(build(server.clone()).err(), Some(ConfigError::Issuer(url.to_owned())));
    for other in ["keycloak.", "keycloak:8080", "key", "10.0.0.1"] {
        assert!(build(server.clone().insecure_http_hosts([other])).is_err(), "{other}");
    }
    for public in ["auth.example.com", "8.8.8.8", "*", ""] {
        let error = build(server.clone().insecure_http_hosts(["keycloak", public])).err();
        assert!(matches!(error, Some(ConfigError::Provider(_))), "{public}: {error:?}");
    }
    assert_eq!(log.text(), "");
    let auth = build(server.insecure_http_hosts(["Keycloak"])).expect("a description");
    assert!(log.text().contains("plain http is allowed"), "{}", log.text());
    let published: Value = serde_json::from_str(auth.metadata_json()).expect("JSON");
    assert_eq!(published["authorization_servers"], json!([url]));
    assert_eq!(status(&auth, &token(&issuer)).await, 200);
    assert_eq!(web.asked().len(), 2);
}

#[tokio::test]
async fn metadata_cannot_name_other_plain_hosts() {
    for (url, jwks_uri) in [
        ("http://keycloak:8080", "http://other:8080/jwks"),
        ("http://keycloak:8080", "http://keycloak.example/jwks"),
        ("https://issuer.test", "http://keycloak/jwks"),
        ("https://issuer.test", "http://localhost/jwks"),
    ] {
        let issuer = TestIssuer::builder().issuer(url).build();
        let web = Answering::new(move |_| {
            Ok(response(200, json!({ "issuer": url, "jwks_uri": jwks_uri }).to_string()))
        });
        let server = AuthorizationServer::discover(url).insecure_http_hosts(["keycloak"]);
        let auth = protected(&issuer, server.fetch(web.clone()).clock(issuer.clock()));
        assert_eq!(status(&auth, &token(&issuer)).await, 503, "{jwks_uri}");
        assert!(web.asked().iter().all(|request| request.uri() != jwks_uri), "{jwks_uri}");
    }
}

#[tokio::test]
async fn an_issuer_that_is_never_asked_may_have_any_name() {
    let keys = TestIssuer::new();
    let given = || KeySet::parse(keys.jwks().as_bytes()).expect("keys");
    for name in
        ["my-iss", "urn:example:issuer", "http://keycloak:8080/realms/mcp", "Häuser AG", "a b"]
    {
        let server = AuthorizationServer::with_keys(name, given());
        let auth = protected(&keys, server.clone());
        let token = keys.token().audience(RESOURCE).claim("iss", name).sign();
        let caller = admit(&auth, &bearer(&token)).await.expect(name);
        assert_eq!(caller.issuer(), name);
        assert_eq!(status(&auth, &keys.token().audience(RESOURCE).sign()).await, 401, "{name}");
        let published: Value = serde_json::from_str(auth.metadata_json()).expect("JSON");
        assert_eq!(published.get("authorization_servers"), None, "clients cannot go there");
        let with_login = protected(&keys, server.advertise_as("https://login.example.com"));
        let published: Value = serde_json::from_str(with_login.metadata_json()).expect("JSON");
        assert_eq!(published["authorization_servers"], json!(["https://login.example.com"]));

        let secret = AuthorizationServer::with_secret(name, [7; 32]);
        assert!(McpAuth::builder(RESOURCE).authorization_server(secret).build().is_ok());
        // Whatever needs a URL refuses the name.
        let asked = AuthorizationServer::with_keys(name, given())
            .introspection(Introspection::basic("notes", "a secret"));
        for server in
            [AuthorizationServer::discover(name), AuthorizationServer::external(name), asked]
        {
            let error = McpAuth::builder(RESOURCE).authorization_server(server).build().err();
            assert_eq!(error, Some(ConfigError::Issuer(name.to_owned())));
        }
    }
    // The last one is that of API keys.
    for name in ["", "a\nb", "urn:mcp-auth:api-key"] {
        let server = AuthorizationServer::with_keys(name, given());
        let error = McpAuth::builder(RESOURCE).authorization_server(server).build().err();
        assert_eq!(error, Some(ConfigError::Issuer(name.to_owned())));
    }
}

#[tokio::test]
async fn the_scopes_of_an_answer_count_where_jwts_are_introspected() {
    let issuer = TestIssuer::new();
    for (in_token, in_answer, granted) in [
        (None, json!("read write"), "read write"),
        (None, json!(["read"]), "read"),
        (None, Value::Null, ""),
        (Some("read"), Value::Null, "read"),
        (Some("read"), json!("write"), "write"),
        (Some("read write"), json!("read"), "read"),
        (Some("read"), json!(""), ""),
        (Some("read"), json!("read"), "read"),
    ] {
        let of_issuer = issuer.clone();
        let said = json!({ "active": true, "sub": "alice", "scope": in_answer }).to_string();
        let web = Answering::new(move |request| match request.uri().path() {
            "/introspect" => Ok(response(200, said.clone())),
            _ => Ok(documents(&of_issuer, ISSUER, request)),
        });
        let asking = Introspection::basic("notes", "a secret").introspect_jwts();
        let server = AuthorizationServer::discover(ISSUER).introspection(asking);
        let auth = protected(&issuer, server.fetch(web.clone()).clock(issuer.clock()));
        let token = issuer.token().audience(RESOURCE).without("scope");
        let token = in_token.map_or(token.clone(), |scope| token.claim("scope", scope)).sign();
        for _ in 0..2 {
            let caller = admit(&auth, &bearer(&token)).await.expect("admitted");
            assert_eq!(caller.scopes().to_string(), granted, "{in_token:?} {in_answer}");
        }
        assert_eq!(web.asked().len(), 3, "the second request is answered from the caches");
    }
}

/// How many seconds pass after the return of the issuer until a request succeeds, and how often it was asked in vain.
async fn seconds_until_over(endpoint: Endpoint, outage: u64) -> (u64, usize) {
    let issuer = TestIssuer::new();
    let auth = issuer.protects(RESOURCE).build().expect("a description");
    issuer.trouble(endpoint, Trouble::Status(503));
    let token = token(&issuer);
    for _ in 0..outage {
        assert_eq!(status(&auth, &token).await, 503);
        issuer.clock().advance(Duration::from_secs(1));
    }
    let asked = match endpoint {
        Endpoint::Jwks => issuer.jwks_requests(),
        _ => issuer.metadata_requests() / 2, // at two places
    };
    issuer.recover();
    let mut seconds = 0;
    while status(&auth, &token).await != 200 {
        issuer.clock().advance(Duration::from_secs(1));
        seconds += 1;
    }
    (seconds, asked)
}

#[tokio::test]
async fn a_cold_outage_of_any_length_is_over_within_two_seconds() {
    for endpoint in [Endpoint::Metadata, Endpoint::Jwks] {
        for outage in [1, 2, 3, 4, 5, 30, 31, 59, 60, 61, 3600, 3601] {
            let (seconds, asked) = seconds_until_over(endpoint, outage).await;
            assert!(seconds <= 2, "{endpoint:?} {outage}: {seconds} s");
            let most = outage as usize / 2 + 2;
            assert!(asked <= most, "{endpoint:?} {outage}: asked {asked} times");
        }
    }
}

#[tokio::test]
async fn the_end_of_a_cold_outage_is_noticed_whoever_asks_for_the_metadata_too() {
    let issuer = TestIssuer::builder().client("notes", "a secret").build();
    let asking = Introspection::basic("notes", "a secret");
    let auth = protected(&issuer, issuer.authorization_server().introspection(asking));
    issuer.trouble(Endpoint::Metadata, Trouble::Status(503));
    let token = token(&issuer);
    for second in 0..100 {
        // Requests that need the metadata only, at other times than those that need keys.
        assert_eq!(status(&auth, &format!("opaque-{second}")).await, 503);
        issuer.clock().advance(Duration::from_millis(700));
        assert_eq!(status(&auth, &token).await, 503);
        issuer.clock().advance(Duration::from_millis(300));
    }
    issuer.recover();
    issuer.clock().advance(Duration::from_secs(2));
    assert_eq!(status(&auth, &token).await, 200);
    assert_eq!(status(&auth, "an-unknown-token").await, 401, "it is asked for the opaque one too");
}

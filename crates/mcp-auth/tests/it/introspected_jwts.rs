//! JWTs that are introspected as well: for every kind of issuer, and bound as the answer says.

use std::time::Duration;

use http::header::{AUTHORIZATION, HeaderMap};
use mcp_auth::{AuthorizationServer, ConfigError, Introspection, McpAuth, Reason};
use mcp_auth_testkit::{DpopKey, TestIssuer};
use serde_json::{Value, json};

use crate::world::{RESOURCE, Web, admit, bearer, status};

const TEMPLATE: &str = "https://login.example.com/{tenant}";
const TENANT: &str = "https://login.example.com/t1";
const CUSTOMER: &str = "https://acme.customers.example.com";
const QUESTIONS: &str = "https://login.example.com/introspect";

fn asking() -> Introspection {
    Introspection::basic("notes", "a secret of this server").endpoint(QUESTIONS).introspect_jwts()
}

/// Serves this answer to every introspection request.
fn answers(web: &Web, answer: &Value) {
    let _ = web.clone().serve(QUESTIONS, answer.to_string());
}

fn questions(web: &Web) -> usize {
    web.asked_for().iter().filter(|url| *url == QUESTIONS).count()
}

fn good() -> Value {
    json!({ "active": true, "sub": "alice", "aud": RESOURCE })
}

/// The keys and the metadata of two issuers.
fn web_of(keys: &TestIssuer) -> Web {
    let metadata =
        |issuer| json!({ "issuer": issuer, "jwks_uri": "https://keys.example.com/jwks" });
    let place = format!("{CUSTOMER}/.well-known/oauth-authorization-server");
    Web::default()
        .serve("https://login.example.com/metadata", metadata(TEMPLATE).to_string())
        .serve(&place, metadata(CUSTOMER).to_string())
        .serve("https://keys.example.com/jwks", keys.jwks())
}

fn tenants(keys: &TestIssuer, web: &Web) -> McpAuth {
    let server = AuthorizationServer::template(TEMPLATE, "https://login.example.com/metadata")
        .tenants(["t1"])
        .introspection(asking())
        .fetch(web.clone())
        .clock(keys.clock());
    let auth = McpAuth::builder(RESOURCE).authorization_server(server).clock(keys.clock());
    auth.build().expect("a description")
}

fn customers(keys: &TestIssuer, web: &Web, asking: Introspection) -> McpAuth {
    let server = AuthorizationServer::discover(CUSTOMER).introspection(asking);
    let server = server.fetch(web.clone()).clock(keys.clock());
    McpAuth::builder(RESOURCE)
        .authorization_server(AuthorizationServer::external("https://login.example.com"))
        .issuer_resolver("https://{tenant}.customers.example.com", move |_| {
            let server = server.clone();
            async { Ok(Some(server)) }
        })
        .clock(keys.clock())
        .build()
        .expect("a description")
}

/// A server whose keys are given.
fn of_keys(keys: &TestIssuer, web: &Web) -> AuthorizationServer {
    let given = mcp_auth::jwt::KeySet::parse(keys.jwks().as_bytes()).expect("keys");
    let server = AuthorizationServer::with_keys(keys.url(), given).introspection(asking());
    server.fetch(web.clone()).clock(keys.clock())
}

fn behind(server: impl Into<AuthorizationServer>, keys: &TestIssuer) -> McpAuth {
    let auth = McpAuth::builder(RESOURCE).authorization_server(server).clock(keys.clock());
    auth.build().expect("a description")
}

#[tokio::test]
async fn jwts_of_tenants_and_resolved_issuers_are_introspected_and_cached() {
    let keys = TestIssuer::new();
    let (of_tenants, of_customers) = (web_of(&keys), web_of(&keys));
    for (auth, web, issuer) in [
        (tenants(&keys, &of_tenants), of_tenants, TENANT),
        (customers(&keys, &of_customers, asking()), of_customers, CUSTOMER),
    ] {
        let token = || keys.token().audience(RESOURCE).claim("iss", issuer);
        let (named, unnamed) = (token().claim("jti", "1").sign(), token().claim("jti", "2").sign());
        answers(&web, &good());
        assert_eq!(status(&auth, &unnamed).await, 200, "{issuer}");
        let mut answer = good();
        answer["iss"] = json!(issuer);
        answers(&web, &answer);
        for _ in 0..3 {
            let caller = admit(&auth, &bearer(&named)).await.expect(issuer);
            assert_eq!((caller.issuer(), questions(&web)), (issuer, 2));
        }
        answer["iss"] = json!("https://evil.example");
        answers(&web, &answer);
        let denial = admit(&auth, &bearer(&token().sign())).await.expect_err("of another");
        assert_eq!(denial.reason(), Some(Reason::Issuer), "{issuer}");

        answers(&web, &json!({ "active": false }));
        assert_eq!((status(&auth, &named).await, questions(&web)), (200, 3), "remembered");
        keys.clock().advance(Duration::from_secs(60));
        assert_eq!((status(&auth, &named).await, questions(&web)), (401, 4), "{issuer}");
        // A forged token is not introspected.
        let forged = TestIssuer::new().token().audience(RESOURCE).claim("iss", issuer).sign();
        assert_eq!((status(&auth, &forged).await, questions(&web)), (401, 4), "{issuer}");
    }
}

#[tokio::test]
async fn an_opaque_token_of_a_template_needs_iss_of_a_listed_tenant() {
    let keys = TestIssuer::new();
    for (issuer, expected) in [
        (json!(TENANT), Ok(())),
        (json!("https://login.example.com/t2"), Err(Some(Reason::Issuer))),
        (json!(TEMPLATE), Err(Some(Reason::Issuer))),
        (json!(null), Err(Some(Reason::Issuer))),
    ] {
        let web = web_of(&keys);
        let auth = tenants(&keys, &web);
        let mut answer = good();
        answer["iss"] = issuer.clone();
        answers(&web, &answer);
        let admitted = admit(&auth, &bearer("opaque")).await;
        let judged = admitted.map(drop).map_err(|denial| denial.reason());
        assert_eq!(judged, expected, "{issuer}");
    }
}

#[tokio::test]
async fn a_resolved_server_with_useless_or_unencrypted_introspection_is_refused() {
    let keys = TestIssuer::new();
    let token = keys.token().audience(RESOURCE).claim("iss", CUSTOMER).sign();
    let plain = Introspection::basic("notes", "a secret of this server").endpoint(QUESTIONS);
    for asking in [plain, asking().endpoint("http://login.example.com/introspect")] {
        let web = web_of(&keys);
        answers(&web, &good());
        let auth = customers(&keys, &web, asking);
        let denial = admit(&auth, &bearer(&token)).await.expect_err("refused");
        assert_eq!(denial.reason(), Some(Reason::Issuer));
        assert_eq!(web.asked_for(), [""; 0]);
    }
}

#[test]
fn build_rejects_introspect_jwts_with_a_shared_secret() {
    let server = || AuthorizationServer::with_secret("https://auth.example.com", [7; 32]);
    let plain = Introspection::basic("notes", "a secret of this server");
    let built = |asking| {
        let server = server().introspection(asking);
        McpAuth::builder(RESOURCE).authorization_server(server).build().err()
    };
    assert_eq!(built(plain.clone()), None, "its opaque tokens are");
    let error = built(plain.introspect_jwts());
    assert!(matches!(error, Some(ConfigError::Introspection { .. })), "{error:?}");
}

/// One resource has no keys and introspects every token. The other one has keys as well.
#[tokio::test]
async fn an_introspection_answer_does_not_replace_a_jwt_signature() {
    let keys = TestIssuer::new();
    let web = web_of(&keys);
    answers(&web, &good());
    let plain = Introspection::basic("notes", "a secret of this server").endpoint(QUESTIONS);
    let asked = AuthorizationServer::external("https://opaque.example.com").introspection(plain);
    let asked = asked.fetch(web.clone()).clock(keys.clock());
    let alone = behind(&asked, &keys);
    let beside = McpAuth::builder(RESOURCE)
        .authorization_server(&asked)
        .authorization_server(of_keys(&keys, &web))
        .clock(keys.clock())
        .build()
        .expect("a description");
    let forged = TestIssuer::new().token().audience(RESOURCE).sign();
    for (token, expected) in [(&*forged, 401), ("opaque", 200)] {
        assert_eq!(status(&alone, token).await, 200);
        let before = questions(&web);
        assert_eq!((status(&beside, token).await, questions(&web)), (expected, before));
        assert_eq!(status(&alone, token).await, 200);
    }
}

#[tokio::test]
async fn an_introspection_answer_can_add_cnf_to_a_jwt_but_never_remove_it() {
    let keys = TestIssuer::new();
    let (key, other) = (DpopKey::generate(keys.clone()), DpopKey::generate(keys.clone()));
    let bound_to = |key: Option<&DpopKey>| {
        let mut answer = good();
        answer["cnf"] = key.map_or(json!(null), |key| json!({ "jkt": key.thumbprint() }));
        answer
    };
    let token = || keys.token().audience(RESOURCE);
    let with_proof = |token: &str| {
        let proof = key.proof("POST", RESOURCE).token(token).sign();
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, format!("DPoP {token}").parse().expect("a value"));
        headers.insert("dpop", proof.parse().expect("a value"));
        headers
    };
    // The answer, the token, and whether it is accepted as a bearer token and with a proof by `key`.
    for (name, answer, token, as_bearer, by_proof) in [
        ("nobody binds it", bound_to(None), token().sign(), true, false),
        ("the answer", bound_to(Some(&key)), token().sign(), false, true),
        ("the token", bound_to(None), token().dpop_bound(&key).sign(), false, true),
        ("both", bound_to(Some(&key)), token().dpop_bound(&key).sign(), false, true),
        ("to another", bound_to(Some(&other)), token().sign(), false, false),
        ("to two", bound_to(Some(&other)), token().dpop_bound(&key).sign(), false, false),
    ] {
        let web = web_of(&keys);
        let auth = behind(of_keys(&keys, &web), &keys);
        answers(&web, &answer);
        for _ in 0..2 {
            assert_eq!(admit(&auth, &bearer(&token)).await.is_ok(), as_bearer, "{name}");
            let admitted = admit(&auth, &with_proof(&token)).await;
            assert_eq!(admitted.is_ok(), by_proof, "{name}: {admitted:?}");
            if let Ok(caller) = admitted {
                assert_eq!(caller.confirmation().is_some(), !as_bearer, "{name}");
            }
        }
        assert_eq!(questions(&web), 1, "{name}");
    }
}

/// Two resources share a server. One introspects again, and the other gets the same answer.
#[tokio::test]
async fn cnf_in_a_later_answer_binds_the_token_in_every_resource() {
    let keys = TestIssuer::new();
    let web = web_of(&keys);
    let server = of_keys(&keys, &web);
    let (one, other) = (behind(&server, &keys), behind(&server, &keys));
    let token = keys.token().audience(RESOURCE).sign();
    answers(&web, &good());
    for auth in [&one, &other] {
        assert_eq!((status(auth, &token).await, questions(&web)), (200, 1));
    }
    let mut answer = good();
    answer["cnf"] = json!({ "jkt": DpopKey::generate(keys.clone()).thumbprint() });
    answers(&web, &answer);
    keys.clock().advance(Duration::from_secs(60));
    for auth in [&one, &other] {
        assert_eq!((status(auth, &token).await, questions(&web)), (401, 2));
    }
}

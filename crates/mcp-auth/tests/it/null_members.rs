//! A member that is null is absent: each member that is read, in each kind of text that others write.

use http::HeaderMap;
use http::header::AUTHORIZATION;
use mcp_auth::jwt::KeySet;
use mcp_auth::{AuthInfo, AuthorizationServer, Denial, Introspection, McpAuth, Revocations};
use mcp_auth_testkit::{DpopKey, TestIssuer};
use serde_json::{Value, json};

use crate::world::{Answering, RESOURCE, admit, bearer, response};

const HEADER: &[&str] =
    &["alg", "b64", "crit", "enc", "jku", "jwk", "kid", "nonce", "typ", "x5c", "x5t", "x5u", "zip"];

const CLAIMS: &[&str] = &[
    "acr",
    "act",
    "appid",
    "at_hash",
    "aud",
    "auth_time",
    "authorization_details",
    "azp",
    "c_hash",
    "cid",
    "client_id",
    "cnf",
    "events",
    "exp",
    "groups",
    "htm",
    "htu",
    "iat",
    "iss",
    "jti",
    "may_act",
    "nbf",
    "nonce",
    "roles",
    "s_hash",
    "scope",
    "scopes",
    "scp",
    "sid",
    "sub",
    "tid",
    "token_introspection",
    "token_use",
    "typ",
];

const JWK: &[&str] = &[
    "alg", "crv", "d", "issuer", "key_ops", "kid", "kty", "n", "e", "priv", "pub", "use", "x",
    "x5c", "x5t", "x5t#S256", "y",
];

const METADATA: &[&str] = &[
    "authorization_endpoint",
    "authorization_response_iss_parameter_supported",
    "client_id_metadata_document_supported",
    "code_challenge_methods_supported",
    "grant_types_supported",
    "introspection_endpoint",
    "issuer",
    "jwks_uri",
    "registration_endpoint",
    "response_types_supported",
    "scopes_supported",
    "token_endpoint",
];

const ANSWER: &[&str] = &[
    "active",
    "aud",
    "azp",
    "client_id",
    "cnf",
    "events",
    "exp",
    "iat",
    "iss",
    "jti",
    "nbf",
    "nonce",
    "scope",
    "sub",
    "token_type",
    "typ",
    "username",
];

const PROOF_CLAIMS: &[&str] = &["ath", "htm", "htu", "iat", "jti", "nonce"];

const EVENT: &[&str] =
    &["aud", "events", "exp", "iat", "iss", "jti", "nonce", "sid", "sub", "sub_id", "toe", "txn"];

/// What came of a request.
fn shown(outcome: Result<AuthInfo, Denial>) -> String {
    match outcome {
        Ok(caller) => format!(
            "{} {} {:?} {:?} {} {:?}",
            caller.issuer(),
            caller.subject(),
            caller.client_id(),
            caller.audience().collect::<Vec<_>>(),
            caller.scopes(),
            caller.expires_at(),
        ),
        Err(denial) => format!("{:?} {:?}", denial.kind(), denial.operator_detail()),
    }
}

fn without(object: &Value, name: &str) -> Value {
    let mut object = object.clone();
    object.as_object_mut().map(|members| members.remove(name));
    object
}

fn with_null(object: &Value, name: &str) -> Value {
    let mut object = object.clone();
    object[name] = Value::Null;
    object
}

#[tokio::test]
async fn a_null_in_the_header_of_a_token_is_absent() {
    for name in HEADER {
        let issuer = TestIssuer::new();
        let auth = issuer.protects(RESOURCE).build().expect("a description");
        let token = || issuer.token().typ("at+jwt");
        let null = admit(&auth, &bearer(&token().header(*name, Value::Null).sign())).await;
        let absent = admit(&auth, &bearer(&token().without_header(name).sign())).await;
        assert_eq!(shown(null), shown(absent), "{name}");
    }
}

#[tokio::test]
async fn a_null_in_the_claims_of_a_token_is_absent() {
    for name in CLAIMS {
        for typ in ["at+jwt", "JWT"] {
            let issuer = TestIssuer::new();
            let auth = issuer.protects(RESOURCE).build().expect("a description");
            let token = || issuer.token().typ(typ).claim("scp", "read");
            let null = admit(&auth, &bearer(&token().claim(*name, Value::Null).sign())).await;
            let absent = admit(&auth, &bearer(&token().without(name).sign())).await;
            assert_eq!(shown(null), shown(absent), "{name}");
        }
    }
}

#[tokio::test]
async fn a_null_in_cnf_is_absent() {
    let issuer = TestIssuer::new();
    let auth = issuer.protects(RESOURCE).build().expect("a description");
    for name in ["jkt", "x5t#S256", "jwk", "jwe", "jku", "kid", "osc"] {
        let token = |cnf: Value| bearer(&issuer.token().claim("cnf", cnf).sign());
        let null = admit(&auth, &token(json!({ name: null, "note": 1 }))).await;
        let absent = admit(&auth, &token(json!({ "note": 1 }))).await;
        assert_eq!(shown(null), shown(absent), "{name}");
    }
}

#[test]
fn a_null_in_a_key_is_absent() {
    let issuer = TestIssuer::new();
    let set: Value = serde_json::from_str(&issuer.jwks()).expect("JSON");
    let key = &set["keys"][0];
    let read = |key: Value| {
        let set = KeySet::parse(json!({ "keys": [key] }).to_string().as_bytes());
        set.map(|set| format!("{set:?}"))
    };
    for name in JWK {
        assert_eq!(read(with_null(key, name)), read(without(key, name)), "{name}");
    }
    assert_eq!(KeySet::parse(br#"{"keys":null}"#).err(), KeySet::parse(b"{}").err());
}

/// What comes of a JWT and of an opaque token, if the issuer answers so.
async fn asked(metadata: &Value, answer: &Value) -> [String; 2] {
    let issuer = TestIssuer::new();
    let (jwks, metadata, answer) = (issuer.jwks(), metadata.to_string(), answer.to_string());
    let web = Answering::new(move |request| {
        Ok(match request.uri().path() {
            "/jwks" => response(200, jwks.clone()),
            "/introspect" => response(200, answer.clone()),
            _ => response(200, metadata.clone()),
        })
    });
    let server = AuthorizationServer::discover(issuer.url())
        .introspection(Introspection::basic("notes", "a secret"))
        .fetch(web)
        .clock(issuer.clock());
    let auth = McpAuth::builder(RESOURCE).authorization_server(server).clock(issuer.clock());
    let auth = auth.build().expect("a description");
    let jwt = issuer.token().audience(RESOURCE).sign();
    let (jwt, opaque) = (admit(&auth, &bearer(&jwt)).await, admit(&auth, &bearer("opaque")).await);
    [shown(jwt), shown(opaque)]
}

#[tokio::test]
async fn a_null_in_metadata_and_in_an_introspection_answer_is_absent() {
    let metadata = json!({
        "issuer": "https://issuer.test",
        "jwks_uri": "https://issuer.test/jwks",
        "introspection_endpoint": "https://issuer.test/introspect",
    });
    let answer = json!({
        "active": true, "iss": "https://issuer.test", "sub": "alice", "aud": RESOURCE,
        "client_id": "app", "scope": "read", "token_type": "Bearer",
    });
    for name in METADATA {
        let null = asked(&with_null(&metadata, name), &answer).await;
        assert_eq!(null, asked(&without(&metadata, name), &answer).await, "{name}");
    }
    for name in ANSWER {
        let null = asked(&metadata, &with_null(&answer, name)).await;
        assert_eq!(null, asked(&metadata, &without(&answer, name)).await, "{name}");
    }
}

#[tokio::test]
async fn a_null_in_a_dpop_proof_is_absent() {
    let issuer = TestIssuer::new();
    let auth = issuer.protects(RESOURCE).build().expect("a description");
    let key = DpopKey::generate(issuer.clock());
    let token = issuer.token().dpop_bound(&key).sign();
    let sent = |proof: String| -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, format!("DPoP {token}").parse().expect("a value"));
        headers.insert("dpop", proof.parse().expect("a value"));
        headers
    };
    let proof = || key.proof("POST", RESOURCE).token(&token);
    for name in HEADER {
        let null = admit(&auth, &sent(proof().header(*name, Value::Null).sign())).await;
        let absent = admit(&auth, &sent(proof().without_header(name).sign())).await;
        assert_eq!(shown(null), shown(absent), "{name}");
    }
    for name in PROOF_CLAIMS {
        let null = admit(&auth, &sent(proof().claim(*name, Value::Null).sign())).await;
        let absent = admit(&auth, &sent(proof().without(name).sign())).await;
        assert_eq!(shown(null), shown(absent), "{name}");
    }
    for name in ["alg", "d", "k", "key_ops", "kid", "oth", "p", "priv", "q", "use"] {
        let jwk = with_null(&key.jwk(), name);
        let null = admit(&auth, &sent(proof().header("jwk", jwk).sign())).await;
        let jwk = without(&key.jwk(), name);
        let absent = admit(&auth, &sent(proof().header("jwk", jwk).sign())).await;
        assert_eq!(shown(null), shown(absent), "{name}");
    }
}

#[tokio::test]
async fn a_null_in_a_security_event_is_absent() {
    let issuer = TestIssuer::new();
    let revocations = Revocations::new();
    let auth = issuer.protects(RESOURCE).revocations(&revocations).build().expect("a description");
    let uri = "https://schemas.openid.net/secevent/caep/event-type/session-revoked";
    let subject = json!({ "format": "iss_sub", "iss": issuer.url(), "sub": "bob" });
    let code = |outcome: Result<_, Denial>| match outcome {
        Ok(()) => "accepted".to_owned(),
        Err(denial) => format!("{:?} {:?}", denial.kind(), denial.operator_detail()),
    };
    for name in EVENT {
        let logout = || issuer.logout_token("me").subject("bob");
        let null =
            auth.receive_logout_token(&logout().claim(*name, Value::Null).sign(), &["me"]).await;
        let absent = auth.receive_logout_token(&logout().without(name).sign(), &["me"]).await;
        assert_eq!(code(null.map(drop)), code(absent.map(drop)), "logout: {name}");
        let event = || issuer.security_event("me", uri, subject.clone());
        let null =
            auth.receive_security_event(&event().claim(*name, Value::Null).sign(), &["me"]).await;
        let absent = auth.receive_security_event(&event().without(name).sign(), &["me"]).await;
        assert_eq!(code(null.map(drop)), code(absent.map(drop)), "event: {name}");
    }
}

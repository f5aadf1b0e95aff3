//! Revocation before expiry: by the server, by logout tokens and by other security events.

use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{Method, Request, Response};
use http_body_util::{BodyExt as _, Full};
use mcp_auth::{
    ApiKey, ApiKeys, AuthorizationServer, Clock, Credentials, Denial, McpAuth, Reason, Revocation,
    Revocations, VerifiedToken,
};
use mcp_auth_testkit::{Endpoint, TestIssuer, TokenBuilder, Trouble};
use serde_json::{Value, json};
use tower::ServiceExt as _;

use crate::world::{RESOURCE, admit, bearer, status};

const CLIENT: &str = "my-client";
const FORM: &str = "application/x-www-form-urlencoded";
const EVENT: &str = "application/secevent+jwt";
const SESSION_REVOKED: &str = "https://schemas.openid.net/secevent/caep/event-type/session-revoked";

fn protected(issuer: &TestIssuer) -> McpAuth {
    issuer.protects(RESOURCE).build().expect("a description")
}

/// The receiver's answer to a POST of this content type.
async fn post(auth: &McpAuth, content_type: &str, body: impl Into<Bytes>) -> Response<Bytes> {
    let request = Request::post("/security-events").header(CONTENT_TYPE, content_type);
    send(auth, request.body(Full::new(body.into())).expect("a request")).await
}

async fn send(auth: &McpAuth, request: Request<Full<Bytes>>) -> Response<Bytes> {
    let response = auth.security_event_receiver([CLIENT]).oneshot(request).await;
    let (parts, body) = response.unwrap_or_else(|never| match never {}).into_parts();
    let body = body.collect().await.unwrap_or_else(|never| match never {}).to_bytes();
    Response::from_parts(parts, body)
}

async fn log_out(auth: &McpAuth, token: TokenBuilder) -> u16 {
    post(auth, FORM, format!("logout_token={}", token.sign())).await.status().as_u16()
}

async fn tell(auth: &McpAuth, token: TokenBuilder) -> u16 {
    post(auth, EVENT, token.sign()).await.status().as_u16()
}

fn subject(issuer: &TestIssuer, sub: &str) -> Value {
    json!({ "format": "iss_sub", "iss": issuer.url(), "sub": sub })
}

#[tokio::test]
async fn a_revoked_cached_token_is_refused_from_the_next_request_on() {
    let issuer = TestIssuer::new();
    let auth = protected(&issuer);
    let url = issuer.url();
    let token = || issuer.token().claim("sid", "s1").claim("jti", "t1");
    let now = Clock::now(&issuer);
    for revocation in [
        Revocation::token(url, "t1"),
        Revocation::session(url, "s1"),
        Revocation::subject(url, "alice"),
        Revocation::issued_before(url, now + Duration::from_secs(1)),
    ] {
        let auth = protected(&issuer);
        let (token, bob) = (token().sign(), issuer.token().subject("bob").sign());
        assert_eq!((status(&auth, &token).await, status(&auth, &token).await), (200, 200));
        auth.revoke(revocation.clone());
        let denial = admit(&auth, &bearer(&token)).await.expect_err("revoked");
        assert_eq!(denial.reason(), Some(Reason::Inactive), "{revocation:?}");
        let everybody = revocation == Revocation::issued_before(url, now + Duration::from_secs(1));
        assert_eq!(status(&auth, &bob).await == 401, everybody, "{revocation:?}");
    }
    auth.revoke(Revocation::subject(url, "alice"));
    issuer.clock().advance(Duration::from_secs(10));
    assert_eq!(
        status(&auth, &issuer.token().sign()).await,
        200,
        "whoever logs in again is admitted"
    );
}

/// A token of a verifier of one's own, with any number of claims and with claims of any type.
#[tokio::test]
async fn a_claim_that_cannot_be_found_is_not_taken_for_absent() {
    let issuer = TestIssuer::new();
    let many = |number: usize| {
        let others = (0..number).map(|i| (format!("c{i}"), json!(i)));
        let ours = json!({ "jti": "t1", "sid": "s1", "sub": "4711", "iat": 1_785_196_800 });
        let ours = ours.as_object().expect("an object").clone();
        Value::Object(others.chain(ours).collect())
    };
    for claims in [many(0), many(124), many(125), many(129), many(5000)] {
        let number = claims.as_object().expect("an object").len();
        let own = move |_: Credentials| {
            let token = VerifiedToken::assert("https://issuer.test", "alice").audience(RESOURCE);
            let token = token.with_claims(&claims);
            async move { token.map_err(|_| Denial::invalid(Reason::Claims)) }
        };
        for revocation in [
            Revocation::token(issuer.url(), "t1"),
            Revocation::session(issuer.url(), "s1"),
            Revocation::subject(issuer.url(), "alice"),
            Revocation::subject(issuer.url(), "4711"),
        ] {
            let auth = issuer.protects(RESOURCE).verifier(own.clone()).build();
            let auth = auth.expect("a description");
            let caller = admit(&auth, &bearer("opaque")).await.expect("admitted");
            auth.revoke(revocation.clone());
            assert_eq!(status(&auth, "opaque").await, 401, "{number} {revocation:?}");
            assert!(auth.is_revoked(&caller), "{number} {revocation:?}");
        }
    }
}

#[test]
fn claims_of_a_custom_verifier_do_not_occur_twice() {
    let raw = |text: &str| serde_json::value::RawValue::from_string(text.to_owned());
    for (claims, is_accepted) in [
        (r#"{"jti":"a","x":1}"#, true),
        (r#"{"jti":"a","jti":"b"}"#, false),
        (r#"{"cnf":{"jkt":"x"},"cnf":null}"#, false),
        (r#"{"cnf":{"jkt":"x"},"\u0063nf":null}"#, false),
        (r#"{"iat":1,"iat":2}"#, false),
        (r#"{"sid":"a","sid":"b"}"#, false),
        (r#"{"sub":"a","sub":"b"}"#, false),
        (r#"{"idtyp":"app","idtyp":"user"}"#, false),
        (r#"["jti"]"#, false),
        (r#""jti""#, false),
        ("null", false),
    ] {
        let claims = raw(claims).expect("JSON");
        let token = VerifiedToken::assert("https://issuer.test", "alice").with_claims(&claims);
        assert_eq!(token.is_ok(), is_accepted, "{claims}: {token:?}");
    }
}

/// The clocks differ by less than the leeway, so that the tokens are admitted.
#[tokio::test]
async fn a_revocation_reaches_tokens_of_an_issuer_whose_clock_is_ahead() {
    for ahead in [0_u64, 5, 10, 30, 55, 60] {
        let issuer = TestIssuer::new();
        let auth = protected(&issuer);
        let now = || Clock::now(&issuer).duration_since(std::time::UNIX_EPOCH);
        let now = || now().expect("later").as_secs();
        let login = |user: &str| {
            issuer.token().subject(user).claim("iat", now() + ahead).claim("jti", now()).sign()
        };
        // Alice's token is known here, and Bob's is not.
        let (alice, bob) = (login("alice"), login("bob"));
        assert_eq!(status(&auth, &alice).await, 200, "{ahead}");
        issuer.clock().advance(Duration::from_secs(2));
        for user in ["alice", "bob"] {
            auth.revoke(Revocation::subject(issuer.url(), user));
        }
        for wait in [0, 1, 10, 50, 100] {
            issuer.clock().advance(Duration::from_secs(wait));
            for token in [&alice, &bob] {
                assert_eq!(status(&auth, token).await, 401, "{ahead} {wait}");
            }
        }
        assert_eq!(status(&auth, &login("alice")).await, 200, "{ahead}");

        // Seconds after the revocation.
        auth.revoke(Revocation::subject(issuer.url(), "alice"));
        issuer.clock().advance(Duration::from_secs(7));
        assert_eq!(status(&auth, &login("alice")).await, 200, "{ahead}: logged in again");
    }
}

#[tokio::test]
async fn the_logouts_of_one_issuer_revoke_nobody_elses_tokens() {
    let (one, two) = (TestIssuer::new(), TestIssuer::builder().issuer("https://two.test").build());
    let auth = one.protects(RESOURCE).authorization_server(two.authorization_server());
    let auth = auth.revocations(&Revocations::new().capacity(100)).build().expect("a description");
    let carol = one.token().subject("carol").sign();
    assert_eq!(status(&auth, &carol).await, 200);
    for i in 0..60 {
        assert_eq!(
            log_out(&auth, one.logout_token(CLIENT).subject(format!("user {i}"))).await,
            200
        );
    }
    for i in 0..200 {
        assert_eq!(
            log_out(&auth, two.logout_token(CLIENT).subject(format!("user {i}"))).await,
            200
        );
        assert_eq!(status(&auth, &carol).await, 200, "{i}");
    }
    assert_eq!(status(&auth, &one.token().subject("user 7").sign()).await, 401);
    let dave = two.token().subject("dave").sign();
    assert_eq!(status(&auth, &dave).await, 401, "its own quota is full");
}

#[tokio::test]
async fn the_same_subject_of_another_issuer_is_not_revoked() {
    let (one, two) = (TestIssuer::new(), TestIssuer::builder().issuer("https://two.test").build());
    let auth = one.protects(RESOURCE).authorization_server(two.authorization_server());
    let auth = auth.build().expect("a description");
    auth.revoke(Revocation::subject(one.url(), "alice"));
    assert_eq!(status(&auth, &one.token().sign()).await, 401);
    assert_eq!(status(&auth, &two.token().sign()).await, 200);

    // An issuer cannot revoke the subjects of another issuer.
    let event = two.security_event(CLIENT, SESSION_REVOKED, subject(&one, "bob"));
    assert_eq!(tell(&auth, event).await, 202);
    assert_eq!(status(&auth, &one.token().subject("bob").sign()).await, 200);
    let forged = two.logout_token(CLIENT).claim("iss", one.url()).subject("bob");
    assert_eq!(log_out(&auth, forged).await, 400, "signed by the other one's key");
    assert_eq!(status(&auth, &one.token().subject("bob").sign()).await, 200);
}

#[tokio::test]
async fn revocations_are_shared_only_if_configured() {
    let issuer = TestIssuer::new();
    let book = Revocations::new();
    let shared = || issuer.protects(RESOURCE).revocations(&book).build().expect("a description");
    let (one, two, other) = (shared(), shared(), protected(&issuer));
    one.revoke(Revocation::subject(issuer.url(), "alice"));
    let token = issuer.token().sign();
    for (auth, expected) in [(&one, 401), (&two, 401), (&other, 200)] {
        assert_eq!(status(auth, &token).await, expected);
    }
    assert_eq!((book.len(), other.revocations().len()), (1, 0));
}

#[tokio::test]
async fn revocation_applies_to_tokens_of_every_verifier() {
    let key = "mcpk_0123456789abcdefghijkl";
    let secret = [7; 32];
    let issuer = TestIssuer::new();
    let inside = TestIssuer::builder().issuer("https://inside.test").build();
    let keys = ApiKeys::new().key(ApiKey::new("ci", key));
    let auth = issuer
        .protects(RESOURCE)
        .authorization_server(AuthorizationServer::with_secret(inside.url(), secret))
        .api_keys(keys)
        .build()
        .expect("a description");
    let token = inside.token().sign_with_secret(secret);
    assert_eq!((status(&auth, key).await, status(&auth, &token).await), (200, 200));
    auth.revoke(Revocation::subject(ApiKeys::ISSUER, "ci"));
    auth.revoke(Revocation::subject(inside.url(), "alice"));
    assert_eq!((status(&auth, key).await, status(&auth, &token).await), (401, 401));

    let own = |_: Credentials| async {
        Ok::<_, Denial>(VerifiedToken::assert("https://issuer.test", "alice").audience(RESOURCE))
    };
    let auth = issuer.protects(RESOURCE).verifier(own).build().expect("a description");
    assert_eq!(status(&auth, "opaque").await, 200);
    auth.revoke(Revocation::subject(issuer.url(), "alice"));
    assert_eq!(status(&auth, "opaque").await, 401);
}

#[tokio::test]
async fn revoked_completes_only_for_its_own_caller() {
    let issuer = TestIssuer::new();
    let auth = protected(&issuer);
    let caller = admit(&auth, &bearer(&issuer.token().sign())).await.expect("admitted");
    let waiting = tokio::spawn(auth.revoked(&caller));
    auth.revoke(Revocation::subject(issuer.url(), "bob"));
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert!(!waiting.is_finished() && !auth.is_revoked(&caller));
    auth.revoke(Revocation::subject(issuer.url(), "alice"));
    waiting.await.expect("it ends");
    auth.revoked(&caller).await; // a later call returns at once
}

#[tokio::test]
async fn logout_tokens_are_validated() {
    let issuer = TestIssuer::new();
    let now = Clock::now(&issuer).duration_since(std::time::UNIX_EPOCH).expect("later").as_secs();
    let token = || issuer.logout_token(CLIENT);
    let rows = [
        ("good", token(), 200),
        ("with a session", token().claim("sid", "s1"), 200),
        ("of a session alone", token().without("sub").claim("sid", "s1"), 200),
        ("of several audiences", token().audience(vec!["x", CLIENT]), 200),
        ("no typ", token().without_header("typ"), 200),
        ("typ JWT", token().typ("JWT"), 200),
        ("typ application/logout+jwt", token().typ("application/LOGOUT+jwt"), 200),
        ("an ID token", token().typ("id_token+jwt"), 400),
        ("an access token by type", token().typ("at+jwt"), 400),
        ("a security event by type", token().typ("secevent+jwt"), 400),
        ("no iss", token().without("iss"), 400),
        ("another issuer", token().claim("iss", "https://evil.example"), 400),
        ("no aud", token().without("aud"), 400),
        ("another client", token().audience("other-client"), 400),
        ("the resource as audience", token().audience(RESOURCE), 400),
        ("no iat", token().without("iat"), 400),
        ("iat in the future", token().claim("iat", now + 61), 400),
        ("no exp", token().without("exp"), 400),
        ("expired", token().expired(), 400),
        ("no jti", token().without("jti"), 400),
        ("an empty jti", token().claim("jti", ""), 400),
        ("no events", token().without("events"), 400),
        ("another event", token().claim("events", json!({ SESSION_REVOKED: {} })), 400),
        (
            "an event that is no object",
            token().claim(
                "events",
                json!({ "http://schemas.openid.net/event/backchannel-logout": true }),
            ),
            400,
        ),
        (
            "events in an array",
            token().claim("events", json!(["http://schemas.openid.net/event/backchannel-logout"])),
            400,
        ),
        ("a nonce", token().claim("nonce", "n"), 400),
        ("a nonce of null, which is none", token().claim("nonce", Value::Null), 200),
        ("nobody", token().without("sub"), 400),
        ("a subject that is not a string", token().claim("sub", 7).claim("sid", "s1"), 400),
        ("an empty session", token().claim("sid", ""), 400),
        ("unsigned", token().header("alg", "none"), 400),
        ("an unknown key", token().kid("invented"), 400),
        ("a member twice", token().payload(r#"{"iss":"https://issuer.test","iss":"x"}"#), 400),
    ];
    for (name, token, expected) in rows {
        let auth = protected(&issuer);
        let caller = issuer.token().claim("sid", "s1").sign();
        assert_eq!(status(&auth, &caller).await, 200);
        assert_eq!(log_out(&auth, token).await, expected, "{name}");
        let after = if expected == 200 { 401 } else { 200 };
        assert_eq!(status(&auth, &caller).await, after, "{name}");
    }
}

#[tokio::test]
async fn a_logout_with_sid_revokes_the_session_and_tokens_without_sid() {
    let issuer = TestIssuer::new();
    let auth = protected(&issuer);
    let of = |sid: &str| issuer.token().claim("sid", sid).sign();
    let tokens = [of("s1"), of("s2"), issuer.token().sign(), issuer.token().subject("bob").sign()];
    assert_eq!(log_out(&auth, issuer.logout_token(CLIENT).claim("sid", "s1")).await, 200);
    for (token, expected) in tokens.iter().zip([401, 200, 401, 200]) {
        assert_eq!(status(&auth, token).await, expected);
    }
    assert_eq!(log_out(&auth, issuer.logout_token(CLIENT)).await, 200);
    assert_eq!(status(&auth, &tokens[1]).await, 401);
    issuer.clock().advance(Duration::from_secs(1));
    assert_eq!(status(&auth, &of("s3")).await, 200, "logged in again, a second later");
    assert_eq!(status(&auth, &of("s1")).await, 401, "but the session stays ended");
}

#[tokio::test]
async fn security_events_are_validated() {
    let issuer = TestIssuer::new();
    let now = Clock::now(&issuer).duration_since(std::time::UNIX_EPOCH).expect("later").as_secs();
    let about = |sub_id: Value| issuer.security_event(CLIENT, SESSION_REVOKED, sub_id);
    let event = |name: &str, event: Value| {
        let events = json!({ format!("https://schemas.openid.net/secevent/{name}"): event });
        about(subject(&issuer, "alice")).claim("events", events)
    };
    let alice = || about(subject(&issuer, "alice"));
    let opaque = |id: &str| json!({ "format": "opaque", "id": id });
    let complex = |user: Value, session: Value| json!({ "format": "complex", "user": user, "session": session });
    // The status, and whether the caller, alice in session s1, is revoked.
    let rows = [
        ("session revoked", alice(), 202, true),
        ("typ application/secevent+jwt", alice().typ("application/secevent+JWT"), 202, true),
        ("claims changed", event("caep/event-type/token-claims-change", json!({})), 202, true),
        (
            "a credential changed",
            event("caep/event-type/credential-change", json!({"change_type": "revoke"})),
            202,
            true,
        ),
        (
            "a credential added",
            event("caep/event-type/credential-change", json!({"change_type": "create"})),
            202,
            false,
        ),
        ("an account disabled", event("risc/event-type/account-disabled", json!({})), 202, true),
        ("another event", event("caep/event-type/device-compliance-change", json!({})), 202, false),
        (
            "the verification event",
            event("ssf/event-type/verification", json!({"state": "x"})),
            202,
            false,
        ),
        ("an opaque user", about(opaque("alice")), 202, true),
        ("an opaque session", about(opaque("s1")), 202, true),
        ("another session", about(opaque("s2")), 202, false),
        ("a complex subject", about(complex(subject(&issuer, "alice"), opaque("s1"))), 202, true),
        (
            "another session of the user",
            about(complex(subject(&issuer, "alice"), opaque("s2"))),
            202,
            false,
        ),
        (
            "a user in a complex subject",
            about(json!({"format": "complex", "user": opaque("alice")})),
            202,
            true,
        ),
        (
            "a subject in the event",
            event("caep/event-type/session-revoked", json!({"subject": subject(&issuer, "alice")}))
                .without("sub_id"),
            202,
            true,
        ),
        ("somebody else", about(subject(&issuer, "bob")), 202, false),
        (
            "somebody by mail",
            about(json!({"format": "email", "email": "alice@example.com"})),
            202,
            false,
        ),
        ("nobody", alice().without("sub_id"), 202, false),
        ("nonsense as a subject", about(json!(["alice"])), 202, false),
        (
            "before the token was issued",
            event("caep/event-type/session-revoked", json!({"event_timestamp": now - 1})),
            202,
            false,
        ),
        (
            "in milliseconds",
            event("caep/event-type/session-revoked", json!({"event_timestamp": now * 1000})),
            202,
            true,
        ),
        ("no typ", alice().without_header("typ"), 400, false),
        ("a logout token by type", alice().typ("logout+jwt"), 400, false),
        ("an access token by type", alice().typ("at+jwt"), 400, false),
        ("another receiver", alice().audience("other"), 400, false),
        ("no aud", alice().without("aud"), 400, false),
        ("no iat", alice().without("iat"), 400, false),
        ("iat in the future", alice().claim("iat", now + 61), 400, false),
        ("no jti", alice().without("jti"), 400, false),
        ("no events", alice().without("events"), 400, false),
        (
            "an event that is no object",
            event("caep/event-type/session-revoked", json!(1)),
            400,
            false,
        ),
        ("expired, if it says so", alice().expired(), 400, false),
        ("another issuer", alice().claim("iss", "https://evil.example"), 400, false),
        (
            "forged",
            TestIssuer::new().security_event(CLIENT, SESSION_REVOKED, subject(&issuer, "alice")),
            400,
            false,
        ),
    ];
    for (name, token, expected, is_revoked) in rows {
        let auth = protected(&issuer);
        let caller = issuer.token().claim("sid", "s1").sign();
        assert_eq!(status(&auth, &caller).await, 200);
        assert_eq!(tell(&auth, token).await, expected, "{name}");
        assert_eq!(status(&auth, &caller).await, if is_revoked { 401 } else { 200 }, "{name}");
    }
}

#[tokio::test]
async fn a_replay_revokes_nothing_more() {
    let issuer = TestIssuer::new();
    let auth = protected(&issuer);
    let event = issuer.security_event(CLIENT, SESSION_REVOKED, subject(&issuer, "alice")).sign();
    assert_eq!(post(&auth, EVENT, event.clone()).await.status(), 202);
    issuer.clock().advance(Duration::from_secs(60));
    let later_token = issuer.token().sign();
    for _ in 0..100 {
        assert_eq!(post(&auth, EVENT, event.clone()).await.status(), 202);
    }
    assert_eq!((status(&auth, &later_token).await, auth.revocations().len()), (200, 1));
}

#[tokio::test]
async fn no_kind_of_token_is_taken_for_another() {
    let issuer = TestIssuer::new();
    let auth = protected(&issuer);
    let alice = subject(&issuer, "alice");
    // The audience fits the resource and the receiver, so that only the kind of token differs.
    let both = || vec![RESOURCE, CLIENT];
    let access = issuer.token().audience(both());
    let id_token = access.clone().typ("JWT").claim("nonce", "n");
    let logout = issuer.logout_token(CLIENT).audience(both()).claim("client_id", "x");
    let event =
        issuer.security_event(CLIENT, SESSION_REVOKED, alice).audience(both()).subject("alice");
    let event = event.expires_in(Duration::from_secs(300)).claim("client_id", "x");
    for (name, token, as_access, as_logout, as_event) in [
        ("access", access, 200, 400, 400),
        ("ID", id_token, 401, 400, 400),
        ("logout", logout.clone(), 401, 200, 400),
        ("untyped logout", logout.without_header("typ"), 401, 200, 400),
        ("event", event, 401, 400, 202),
    ] {
        assert_eq!(status(&auth, &token.clone().sign()).await, as_access, "{name}");
        assert_eq!(log_out(&protected(&issuer), token.clone()).await, as_logout, "{name}");
        assert_eq!(tell(&protected(&issuer), token).await, as_event, "{name}");
    }
}

#[tokio::test]
async fn invalid_requests_to_the_receiver_have_bounded_cost() {
    let issuer = TestIssuer::new();
    let auth = protected(&issuer);
    auth.warm_up().await.expect("the issuer is up");
    let requests = issuer.requests();
    let token = issuer.logout_token(CLIENT).sign();
    let rows = [
        (FORM, String::new(), 400),
        (FORM, "logout_token=".to_owned(), 400),
        (FORM, token.clone(), 400),
        (FORM, format!("logout_token={token}&logout_token={token}"), 400),
        (FORM, format!("token={token}"), 400),
        (FORM, format!("logout_token={}", "a.".repeat(8_000)), 400),
        (FORM, format!("logout_token={}", "a".repeat(20_000)), 413),
        (EVENT, "a".repeat(20_000), 413),
        (EVENT, String::new(), 400),
        (EVENT, "\u{0}é".to_owned(), 400),
        ("application/json", "{}".to_owned(), 415),
        ("", String::new(), 415),
    ];
    for (content_type, body, expected) in rows {
        let answer = post(&auth, content_type, body.clone()).await;
        assert_eq!(answer.status(), expected, "{content_type} {body:.30}");
    }
    for method in [Method::GET, Method::PUT, Method::OPTIONS] {
        let request = Request::builder().method(&method).body(Full::default()).expect("a request");
        assert_eq!(send(&auth, request).await.status(), 405, "{method}");
    }
    let foreign = issuer.logout_token(CLIENT).claim("iss", "https://evil.example");
    assert_eq!(log_out(&auth, foreign).await, 400);
    assert_eq!((issuer.requests(), auth.revocations().len()), (requests, 0));
    for i in 0..1000 {
        let invented = issuer.logout_token(CLIENT).kid(&format!("{i}"));
        let expected = if i == 0 { 400 } else { 503 };
        assert_eq!(log_out(&auth, invented).await, expected, "it may be of a newer key");
        let old = issuer.logout_token(CLIENT).kid(&format!("{i}")).claim("iat", 1_785_196_700);
        assert_eq!(log_out(&auth, old).await, 400);
    }
    assert_eq!(issuer.requests(), requests + 1, "one fetch per cooldown");
}

#[tokio::test]
async fn receiver_responses_follow_rfc_8935_and_back_channel_logout() {
    let issuer = TestIssuer::new();
    let auth = protected(&issuer);
    let good =
        post(&auth, FORM, format!("logout_token={}", issuer.logout_token(CLIENT).sign())).await;
    assert_eq!(
        (good.status().as_u16(), good.headers()["cache-control"].as_bytes()),
        (200, &b"no-store"[..])
    );
    let about = |sub: &str| issuer.security_event(CLIENT, SESSION_REVOKED, subject(&issuer, sub));
    let accepted = post(&auth, EVENT, about("bob").sign()).await;
    assert_eq!((accepted.status().as_u16(), accepted.body().len()), (202, 0));
    let rows = [
        (about("bob").audience("x"), "invalid_audience"),
        (about("bob").claim("iss", "https://evil.example"), "invalid_issuer"),
        (about("bob").kid("invented"), "invalid_key"),
        (about("bob").header("alg", "HS256"), "invalid_key"),
        (about("bob").without("jti"), "invalid_request"),
    ];
    for (token, code) in rows {
        let answer = post(&auth, EVENT, token.sign()).await;
        assert_eq!(
            (answer.status().as_u16(), answer.headers()["content-language"].as_bytes()),
            (400, &b"en"[..])
        );
        let body: Value = serde_json::from_slice(answer.body()).expect("JSON");
        assert_eq!(body["err"], code, "RFC 8935 §2.4");
    }
    let refused = post(&auth, FORM, "logout_token=x").await;
    let body: Value = serde_json::from_slice(refused.body()).expect("JSON");
    assert_eq!(body["error"], "invalid_request");

    issuer.trouble(Endpoint::Jwks, Trouble::Down);
    let down = post(&protected(&issuer), EVENT, about("bob").sign()).await;
    assert_eq!(down.status(), 503, "the sender tries again");
    assert!(down.headers().contains_key(RETRY_AFTER));
}

#[tokio::test]
async fn security_events_can_be_received_without_tower() {
    let issuer = TestIssuer::new();
    let auth = protected(&issuer);
    let token = issuer.token().sign();
    let logout = issuer.logout_token(CLIENT).sign();
    assert!(auth.receive_logout_token(&logout, &["other"]).await.is_err());
    assert_eq!(status(&auth, &token).await, 200);
    auth.receive_logout_token(&logout, &[CLIENT]).await.expect("a good one");
    assert_eq!(status(&auth, &token).await, 401);
    let event = issuer.security_event(CLIENT, SESSION_REVOKED, subject(&issuer, "bob")).sign();
    auth.receive_security_event(&event, &[CLIENT]).await.expect("a good one");
    assert_eq!(status(&auth, &issuer.token().subject("bob").sign()).await, 401);
}

//! Opaque tokens: introspection requests, how many, how answers are validated, and outages.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use futures_util::future::join_all;
use http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{Request, Response};
use mcp_auth::jwt::Algorithm;
use mcp_auth::metadata::ServerMetadata;
use mcp_auth::{
    AuthorizationServer, BoxFuture, ConfigError, DenialKind, Fetch, FetchError, Introspection,
    Limits, McpAuth, Reason,
};
use mcp_auth_testkit::{Endpoint, SigningAlgorithm, TestIssuer, TokenBuilder, Trouble};
use serde_json::json;

use crate::world::{RESOURCE, admit, answer, bearer, request, status};

const SECRET: &str = "a secret: with %, & and £";
const SECOND: Duration = Duration::from_secs(1);

type Change = fn(TokenBuilder) -> TokenBuilder;

/// An issuer that knows this server as an introspection client.
fn issuer() -> TestIssuer {
    TestIssuer::builder().client("notes server", SECRET).build()
}

fn basic() -> Introspection {
    Introspection::basic("notes server", SECRET)
}

fn protected(issuer: &TestIssuer, introspection: Introspection) -> McpAuth {
    issuer.resource(RESOURCE, [""; 0]);
    behind(issuer.authorization_server().introspection(introspection), issuer)
}

fn behind(server: AuthorizationServer, issuer: &TestIssuer) -> McpAuth {
    let builder = McpAuth::builder(RESOURCE).authorization_server(server).clock(issuer.clone());
    builder.build().expect("a description")
}

#[tokio::test]
async fn introspect_configures_introspection_in_one_line() {
    let issuer = issuer();
    let auth = issuer.protects(RESOURCE).required_scopes("read").introspect("notes server", SECRET);
    let auth = auth.build().expect("a description");
    let token = issuer.token().subject("bob").scopes(["read"]).claim("team", "red").opaque();
    let caller = admit(&auth, &bearer(&token)).await.expect("admitted");
    assert_eq!(
        (caller.subject(), caller.issuer(), caller.client_id()),
        ("bob", issuer.url(), Some("test-client"))
    );
    assert!(caller.expires_at().is_some() && caller.claims_json().contains(r#""team":"red""#));
    assert_eq!(status(&auth, &issuer.token().opaque()).await, 403, "scopes are judged as ever");
    assert_eq!(issuer.jwks_requests(), 0, "no key is needed");
}

#[tokio::test]
async fn the_four_client_authentication_methods_work() {
    let issuer = issuer();
    issuer.introspection_bearer("a-token-of-our-own");
    let es256 = issuer.client_key("signer", SigningAlgorithm::Es256);
    let eddsa = issuer.client_key("edward", SigningAlgorithm::EdDsa);
    let rs256 = issuer.client_key("ronald", SigningAlgorithm::Rs256);
    let rows = [
        (basic(), 200),
        (Introspection::post("notes server", SECRET), 200),
        (Introspection::bearer("a-token-of-our-own"), 200),
        (Introspection::private_key_jwt("signer", &es256, Algorithm::Es256).kid("client-key"), 200),
        (Introspection::private_key_jwt("edward", &eddsa, Algorithm::Ed25519), 200),
        (Introspection::private_key_jwt("ronald", &rs256, Algorithm::Rs256), 200),
        (Introspection::private_key_jwt("somebody", &es256, Algorithm::Es256), 503),
        (Introspection::basic("notes server", "wrong"), 503),
        (Introspection::basic("notes", SECRET), 503),
        (Introspection::post("notes server", "wrong"), 503),
        (Introspection::bearer("another"), 503),
    ];
    for (introspection, expected) in rows {
        let shown = format!("{introspection:?}");
        let auth = protected(&issuer, introspection);
        assert_eq!(status(&auth, &issuer.token().opaque()).await, expected, "{shown}");
    }
}

#[test]
fn build_rejects_invalid_settings() {
    let server = || AuthorizationServer::discover("https://auth.example.com");
    let built = |introspection: Introspection| {
        McpAuth::builder(RESOURCE)
            .authorization_server(server().introspection(introspection))
            .build()
            .err()
    };
    assert_eq!(built(basic()), None);
    let ec = issuer().client_key("signer", SigningAlgorithm::Es256);
    for (introspection, word) in [
        (Introspection::basic("", "x"), "client id is empty"),
        (Introspection::basic("x", ""), "secret is empty"),
        (Introspection::post("x", ""), "secret is empty"),
        (Introspection::bearer("x\n"), "line break"),
        (Introspection::private_key_jwt("x", "a file name", Algorithm::Es256), "not PEM"),
        (Introspection::private_key_jwt("x", &ec, Algorithm::Rs256), "not one for this algorithm"),
        (Introspection::private_key_jwt("x", &ec, Algorithm::Es512), "are signed with"),
        (basic().endpoint("http://auth.example.com/introspect"), "https"),
        (basic().max_in_flight(0), "in flight"),
        (basic().dangerous_audience_if_absent(""), "audience is empty"),
        (Introspection::bearer("x").signed_responses(), "with a client id"),
    ] {
        let error = built(introspection).expect(word);
        assert!(error.to_string().contains(word), "{error}");
    }
    let two = McpAuth::builder(RESOURCE)
        .authorization_server(server())
        .authorization_server("https://other.example.com")
        .introspect("id", "a secret for one of them");
    assert!(matches!(two.build().err(), Some(ConfigError::Introspection { .. })));
    let named = AuthorizationServer::external("https://auth.example.com").introspection(basic());
    let nowhere = McpAuth::builder(RESOURCE).authorization_server(named).build().err();
    assert_eq!(nowhere, Some(ConfigError::NoKeys("https://auth.example.com".into())));
}

#[tokio::test]
async fn introspection_answers_are_validated() {
    const UNAVAILABLE: Option<Reason> = None;
    let issuer = issuer();
    issuer.resource(RESOURCE, [""; 0]);
    let refused: &[(&str, Change, Option<Reason>)] = &[
        ("active is a string", |it| it.claim("active", "true"), UNAVAILABLE),
        ("active is a number", |it| it.claim("active", 1), UNAVAILABLE),
        ("active is null", |it| it.claim("active", json!(null)), UNAVAILABLE),
        ("active is missing", |it| it.payload(r#"{"sub":"alice"}"#), UNAVAILABLE),
        ("active twice", |it| it.payload(r#"{"active":false,"active":true}"#), UNAVAILABLE),
        (
            "active twice, once escaped",
            |it| it.payload(r#"{"active":true,"\u0061ctive":false}"#),
            UNAVAILABLE,
        ),
        ("sub twice", |it| it.payload(r#"{"active":true,"sub":"a","sub":"b"}"#), UNAVAILABLE),
        ("an array", |it| it.payload(r#"[{"active":true}]"#), UNAVAILABLE),
        ("a text", |it| it.payload("true"), UNAVAILABLE),
        ("nothing", |it| it.payload(""), UNAVAILABLE),
        ("active is false", |it| it.claim("active", false), Some(Reason::Inactive)),
        (
            "aud of another resource",
            |it| it.audience("https://api.example.com/mail"),
            Some(Reason::Audience),
        ),
        ("aud absent", |it| it.without("aud"), Some(Reason::Audience)),
        ("aud is a number", |it| it.claim("aud", 1), Some(Reason::Claims)),
        ("aud is the client id", |it| it.audience("test-client"), Some(Reason::Audience)),
        ("iss of another", |it| it.claim("iss", "https://evil.example"), Some(Reason::Issuer)),
        ("iss empty", |it| it.claim("iss", ""), Some(Reason::Issuer)),
        ("iss with a slash", |it| it.claim("iss", "https://issuer.test/"), Some(Reason::Issuer)),
        (
            "iss is an array",
            |it| it.claim("iss", json!(["https://issuer.test"])),
            Some(Reason::Claims),
        ),
        ("expired", |it| it.expired(), Some(Reason::Expired)),
        ("exp is a string", |it| it.claim("exp", "4102444800"), Some(Reason::Claims)),
        ("exp is zero", |it| it.claim("exp", 0), Some(Reason::Claims)),
        (
            "nbf in the future",
            |it| it.not_before(Duration::from_secs(120)),
            Some(Reason::NotYetValid),
        ),
        ("iat in the future", |it| it.claim("iat", 4_102_444_800_u64), Some(Reason::NotYetValid)),
        ("cnf", |it| it.claim("cnf", json!({ "jkt": "x" })), Some(Reason::Binding)),
        ("token_type DPoP", |it| it.claim("token_type", "DPoP"), Some(Reason::Binding)),
        ("token_type N_A", |it| it.claim("token_type", "N_A"), Some(Reason::Type)),
        ("token_type is a number", |it| it.claim("token_type", 1), Some(Reason::Type)),
        ("a refresh token of Keycloak", |it| it.claim("typ", "Refresh"), Some(Reason::Type)),
        (
            "a refresh token of Hydra",
            |it| it.claim("token_use", "refresh_token"),
            Some(Reason::Type),
        ),
        ("an ID token", |it| it.claim("nonce", "x"), Some(Reason::Type)),
        (
            "sub absent, with a user",
            |it| it.without("sub").claim("username", "alice"),
            Some(Reason::Claims),
        ),
        ("sub empty", |it| it.subject(""), Some(Reason::Claims)),
        (
            "sub and client_id absent",
            |it| it.without("sub").without("client_id"),
            Some(Reason::Claims),
        ),
        ("scope is an object", |it| it.claim("scope", json!({})), Some(Reason::Claims)),
    ];
    for (name, change, reason) in refused {
        let auth = protected(&issuer, basic());
        let token = change(issuer.token()).opaque();
        let denial = admit(&auth, &bearer(&token)).await.expect_err(name);
        assert_eq!(denial.reason(), *reason, "{name}: {denial}");
        let is_unavailable = matches!(denial.kind(), DenialKind::Unavailable { .. });
        assert_eq!(is_unavailable, reason.is_none(), "{name}: {denial}");
    }

    let admitted: &[(&str, Change, &str)] = &[
        ("aud in an array", |it| it.audience(vec![RESOURCE, "https://other.example"]), "alice"),
        ("iss absent: it is the server that was asked", |it| it.without("iss"), "alice"),
        ("exp absent", |it| it.without("exp"), "alice"),
        (
            "exp with a fraction, as canaille writes it",
            |it| it.claim("exp", 4_102_444_800.17),
            "alice",
        ),
        ("token_type bearer", |it| it.claim("token_type", "bearer"), "alice"),
        ("token_type absent", |it| it.claim("token_type", json!(null)), "alice"),
        ("username beside sub", |it| it.claim("username", "bob"), "alice"),
        ("sub absent, without a user: the client itself", |it| it.without("sub"), "test-client"),
        ("scopes in an array, as some have them", |it| it.claim("scope", json!(["read"])), "alice"),
    ];
    for (name, change, subject) in admitted {
        let auth = protected(&issuer, basic());
        let caller = admit(&auth, &bearer(&change(issuer.token()).opaque())).await;
        let caller = caller.unwrap_or_else(|denial| panic!("{name}: {denial}"));
        assert_eq!((caller.subject(), caller.issuer()), (*subject, issuer.url()), "{name}");
    }
}

#[tokio::test]
async fn dangerous_audience_if_absent_does_not_accept_a_wrong_audience() {
    let issuer = issuer();
    let auth = protected(&issuer, basic().dangerous_audience_if_absent(RESOURCE));
    assert_eq!(status(&auth, &issuer.token().without("aud").opaque()).await, 200);
    assert_eq!(status(&auth, &issuer.token().claim("aud", json!([])).opaque()).await, 200);
    assert_eq!(status(&auth, &issuer.token().audience("https://other").opaque()).await, 401);
}

#[tokio::test]
async fn dangerous_subject_is_username_uses_only_the_username() {
    let issuer = issuer();
    let auth = protected(&issuer, basic().dangerous_subject_is_username());
    let admitted: &[(&str, Change)] = &[
        ("as django-oauth-toolkit answers", |it| it.without("sub").without("iss")),
        ("beside sub: there is one set of names, not two", |it| it.subject("bob")),
    ];
    for (name, change) in admitted {
        let token = change(issuer.token()).claim("username", "alice").opaque();
        let caller = admit(&auth, &bearer(&token)).await;
        let caller = caller.unwrap_or_else(|denial| panic!("{name}: {denial}"));
        assert_eq!(
            (caller.subject(), caller.client_id()),
            ("alice", Some("test-client")),
            "{name}"
        );
    }

    let refused: &[(&str, Change)] = &[
        ("a client without a user: a user could have its name", |it| it.without("sub")),
        ("sub alone: a user could have it for a name", |it| it.subject("alice")),
        ("the name of the client, which would be taken for it", |it| {
            it.claim("username", "test-client")
        }),
        ("another name by which a client is known", |it| {
            it.claim("username", "test-client@clients")
        }),
        ("empty", |it| it.claim("username", "")),
        ("null", |it| it.claim("username", json!(null))),
        ("a number", |it| it.claim("username", 1)),
    ];
    for (name, change) in refused {
        let token = change(issuer.token()).opaque();
        let denial = admit(&auth, &bearer(&token)).await.expect_err(name);
        assert_eq!(denial.reason(), Some(Reason::Claims), "{name}: {denial}");
    }
}

#[tokio::test]
async fn with_username_as_subject_no_jwt_is_accepted_by_its_sub() {
    let (issuer, other) = (issuer(), TestIssuer::builder().issuer("https://other.test").build());
    other.resource(RESOURCE, [""; 0]);
    let by_name = || basic().dangerous_subject_is_username();
    let token = || issuer.token().subject("bob").claim("username", "alice");
    let alone = protected(&issuer, by_name());
    let caller = admit(&alone, &bearer(&token().introspectable())).await.expect("asked about");
    assert_eq!((caller.subject(), issuer.introspection_requests()), ("alice", 1));
    assert_eq!(status(&alone, &token().sign()).await, 401, "unknown to the server");

    let server = issuer.authorization_server().introspection(by_name());
    let beside = McpAuth::builder(RESOURCE)
        .authorization_server(&server)
        .authorization_server(other.authorization_server())
        .clock(issuer.clone())
        .build()
        .expect("a description");
    let denial = admit(&beside, &bearer(&token().introspectable())).await.expect_err("a JWT");
    assert_eq!(denial.reason(), Some(Reason::Issuer));
    assert_eq!(status(&beside, &token().opaque()).await, 200);
    assert_eq!(status(&beside, &other.token().sign()).await, 200);

    let with_secret = AuthorizationServer::with_secret("https://auth.example.com", [7; 32]);
    for server in
        [server.introspection(by_name().introspect_jwts()), with_secret.introspection(by_name())]
    {
        let error = McpAuth::builder(RESOURCE).authorization_server(server).build().err();
        let text = error.expect("two names").to_string();
        assert!(text.contains("`sub`"), "{text}");
    }
}

#[tokio::test]
async fn a_thousand_requests_with_one_token_cause_one_introspection() {
    let issuer = issuer();
    let auth = protected(&issuer, basic());
    let token = issuer.token().opaque();
    issuer.trouble(Endpoint::Introspection, Trouble::Hang);
    let all = join_all((0..1000).map(|_| status(&auth, &token)));
    let recovery = async {
        while issuer.introspection_requests() == 0 {
            tokio::task::yield_now().await;
        }
        issuer.recover();
    };
    let (answers, ()) = tokio::join!(all, recovery);
    assert!(answers.iter().all(|status| *status == 200));
    assert_eq!(issuer.introspection_requests(), 1);
    assert_eq!(status(&auth, &token).await, 200);
    assert_eq!(issuer.introspection_requests(), 1);
}

#[tokio::test]
async fn introspection_outlives_the_request_that_started_it() {
    let issuer = issuer();
    let auth = protected(&issuer, basic());
    let token = issuer.token().opaque();
    issuer.trouble(Endpoint::Introspection, Trouble::Hang);
    let first = {
        let (auth, token) = (auth.clone(), token.clone());
        tokio::spawn(async move { status(&auth, &token).await })
    };
    while issuer.introspection_requests() == 0 {
        tokio::task::yield_now().await;
    }
    first.abort();
    assert!(first.await.is_err_and(|error| error.is_cancelled()));
    issuer.recover();
    assert_eq!(status(&auth, &token).await, 200);
    assert_eq!(issuer.introspection_requests(), 1);
}

#[tokio::test]
async fn a_revoked_token_is_refused_after_cache_for() {
    let issuer = issuer();
    for (introspection, seconds) in
        [(basic(), 60), (basic().cache_for(5 * SECOND), 5), (basic().cache_for(Duration::ZERO), 0)]
    {
        let auth = protected(&issuer, introspection);
        let token = issuer.token().opaque();
        assert_eq!(status(&auth, &token).await, 200);
        issuer.revoke(&token);
        for _ in 0..seconds {
            assert_eq!(status(&auth, &token).await, 200, "remembered");
            issuer.clock().advance(SECOND);
        }
        assert_eq!(status(&auth, &token).await, 401, "after {seconds} s");
    }
}

#[tokio::test]
async fn no_answer_is_cached_past_exp() {
    let issuer = issuer();
    let auth = protected(&issuer, basic());
    let token = issuer.token().expires_in(10 * SECOND).opaque();
    assert_eq!(status(&auth, &token).await, 200);
    issuer.clock().advance(9 * SECOND);
    assert_eq!((status(&auth, &token).await, issuer.introspection_requests()), (200, 1));
    issuer.clock().advance(SECOND);
    assert_eq!((status(&auth, &token).await, issuer.introspection_requests()), (200, 2), "leeway");
    issuer.clock().advance(60 * SECOND);
    assert_eq!(status(&auth, &token).await, 401);
}

#[tokio::test]
async fn a_clock_set_back_keeps_no_answer_for_long() {
    let issuer = issuer();
    let auth = protected(&issuer, basic());
    let right = mcp_auth::Clock::now(&issuer);
    issuer.clock().advance(Duration::from_secs(86_400));
    let token = issuer.token().without("iat").opaque();
    assert_eq!(status(&auth, &token).await, 200);
    issuer.clock().set(right);
    issuer.revoke(&token);
    assert_eq!(status(&auth, &token).await, 401);
}

#[tokio::test]
async fn an_inactive_answer_is_cached_for_ten_seconds() {
    let issuer = issuer();
    let auth = protected(&issuer, basic());
    let invented = "invented-token";
    for _ in 0..10 {
        assert_eq!(status(&auth, invented).await, 401);
        issuer.clock().advance(SECOND);
    }
    assert_eq!(issuer.introspection_requests(), 1);
    assert_eq!(status(&auth, invented).await, 401);
    assert_eq!(issuer.introspection_requests(), 2);
}

/// Every way in which the endpoint can fail although the token is valid.
const TROUBLES: [Trouble; 13] = [
    Trouble::Down,
    Trouble::Hang,
    Trouble::Status(500),
    Trouble::Status(503),
    Trouble::Status(429),
    Trouble::Status(400),
    Trouble::Status(401),
    Trouble::Status(403),
    Trouble::Status(404),
    Trouble::Redirect,
    Trouble::InvalidDocument,
    Trouble::Empty,
    Trouble::Oversize,
];

#[tokio::test(start_paused = true)]
async fn an_outage_is_503_not_401_and_recovers() {
    for trouble in TROUBLES {
        let issuer = issuer();
        let auth = protected(&issuer, basic());
        let (known, new) = (issuer.token().opaque(), issuer.token().opaque());
        assert_eq!(status(&auth, &known).await, 200);
        issuer.trouble(Endpoint::Introspection, trouble);
        assert_eq!(status(&auth, &known).await, 200, "{trouble:?}: what is remembered passes");
        for _ in 0..50 {
            let response = answer(&auth, request(bearer(&new))).await;
            assert_eq!(response.status(), 503, "{trouble:?}");
            assert!(response.headers().contains_key(RETRY_AFTER), "{trouble:?}");
            assert!(!response.headers().contains_key(WWW_AUTHENTICATE), "{trouble:?}");
        }
        assert_eq!(issuer.introspection_requests(), 2, "{trouble:?}: not asked again at once");
        issuer.recover();
        issuer.clock().advance(SECOND);
        assert_eq!(status(&auth, &new).await, 200, "{trouble:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn in_an_outage_only_the_first_request_waits() {
    let issuer = issuer();
    let auth = protected(&issuer, basic().timeout(5 * SECOND));
    issuer.trouble(Endpoint::Introspection, Trouble::Hang);
    let begin = tokio::time::Instant::now();
    for _ in 0..100 {
        assert_eq!(status(&auth, &issuer.token().opaque()).await, 503);
    }
    assert_eq!((begin.elapsed(), issuer.introspection_requests()), (5 * SECOND, 1));
    for delay in [1, 2, 2, 2, 2] {
        issuer.clock().advance(Duration::from_secs(delay));
        let before = issuer.introspection_requests();
        for _ in 0..10 {
            status(&auth, &issuer.token().opaque()).await;
        }
        assert_eq!(issuer.introspection_requests(), before + 1, "after {delay} s");
    }
}

/// However long it was, and without asking it more often than every two seconds.
#[tokio::test(start_paused = true)]
async fn the_end_of_an_outage_is_noticed_within_two_seconds() {
    for (trouble, is_known) in [
        (Trouble::Down, false),
        (Trouble::Down, true),
        (Trouble::Status(503), false),
        (Trouble::Status(503), true),
        (Trouble::Status(429), false),
        (Trouble::Status(401), false),
        (Trouble::Hang, false),
        (Trouble::Hang, true),
    ] {
        let issuer = issuer();
        let auth = protected(&issuer, basic().cache_for(Duration::ZERO));
        let new = || issuer.token().expires_in(Duration::from_secs(3600)).opaque();
        let known = [new(), new(), new()];
        for token in &known {
            assert_eq!(status(&auth, token).await, 200);
        }
        issuer.trouble(Endpoint::Introspection, trouble);
        let before = issuer.introspection_requests();
        for i in 0..400 {
            let token = if is_known { known[i % 3].clone() } else { new() };
            assert_eq!(status(&auth, &token).await, 503, "{trouble:?} {is_known}");
            issuer.clock().advance(SECOND / 2);
        }
        let asked = issuer.introspection_requests() - before;
        assert!((80..=102).contains(&asked), "{trouble:?} {is_known}: {asked} in 200 s");
        issuer.recover();
        issuer.clock().advance(2 * SECOND);
        for token in known.iter().cloned().chain((0..50).map(|_| new())) {
            assert_eq!(status(&auth, &token).await, 200, "{trouble:?} {is_known}");
        }
    }
}

/// While all wait for one request that is sent on behalf of all, a token that makes the server fail must not be the one
/// that keeps them waiting.
#[tokio::test(start_paused = true)]
async fn after_an_outage_a_token_that_makes_the_endpoint_fail_keeps_nobody_waiting() {
    for trouble in [Trouble::Status(400), Trouble::Status(500), Trouble::Oversize] {
        let issuer = issuer();
        let auth = protected(&issuer, basic());
        issuer.trouble(Endpoint::Introspection, Trouble::Down);
        for _ in 0..5 {
            assert_eq!(status(&auth, &issuer.token().opaque()).await, 503);
            issuer.clock().advance(2 * SECOND);
        }
        issuer.trouble(Endpoint::Introspection, trouble);
        assert_eq!(status(&auth, "../../etc/passwd").await, 503);
        issuer.recover();
        assert_eq!(status(&auth, &issuer.token().opaque()).await, 200, "{trouble:?}");
    }
}

#[tokio::test]
async fn a_token_that_makes_the_endpoint_fail_does_not_pause_introspection() {
    for trouble in
        [Trouble::Status(400), Trouble::Status(403), Trouble::Status(500), Trouble::Oversize]
    {
        let issuer = issuer();
        let auth = protected(&issuer, basic());
        issuer.trouble(Endpoint::Introspection, trouble);
        assert_eq!(status(&auth, "../../etc/passwd").await, 503, "{trouble:?}");
        issuer.recover();
        assert_eq!(status(&auth, &issuer.token().opaque()).await, 200, "{trouble:?}");
    }
}

/// Answers as the issuer does, but fails for tokens that begin with `..`, or for every request.
#[derive(Clone)]
struct Failing {
    issuer: TestIssuer,
    failure: fn() -> FetchError,
    has_failed_wholly: Arc<AtomicBool>,
}

impl Fetch for Failing {
    fn fetch(
        &self,
        request: Request<Bytes>,
        limits: Limits,
    ) -> BoxFuture<'_, Result<Response<Bytes>, FetchError>> {
        let is_path = request.body().starts_with(b"token=..");
        let fails = is_path || self.has_failed_wholly.load(Ordering::SeqCst);
        let answer = self.issuer.fetch(request, limits);
        let failure = self.failure;
        Box::pin(async move {
            let answer = answer.await;
            if fails { Err(failure()) } else { answer }
        })
    }
}

const TIMEOUT: fn() -> FetchError = || FetchError::Timeout(SECOND);
const CLOSED: fn() -> FetchError = || FetchError::Transport("closed".into());

fn failing(failure: fn() -> FetchError) -> (TestIssuer, Failing, McpAuth) {
    let issuer = issuer();
    issuer.resource(RESOURCE, [""; 0]);
    let web = Failing { issuer: issuer.clone(), failure, has_failed_wholly: Arc::default() };
    let server = issuer.authorization_server().fetch(web.clone()).introspection(basic());
    let auth = behind(server, &issuer);
    (issuer, web, auth)
}

#[tokio::test]
async fn a_token_that_times_out_does_not_pause_tokens_that_were_active() {
    let (issuer, _, auth) = failing(TIMEOUT);
    let known = issuer.token().without("exp").opaque();
    assert_eq!(status(&auth, &known).await, 200);
    for i in 0..10 {
        issuer.clock().advance(60 * SECOND);
        assert_eq!(status(&auth, &format!("../{i}")).await, 503);
        let new = issuer.token().opaque();
        let before = issuer.introspection_requests();
        assert_eq!((status(&auth, &new).await, issuer.introspection_requests()), (503, before));
        assert_eq!(status(&auth, &known).await, 200);
        assert_eq!(status(&auth, &new).await, 503, "which does not concern the others");
        issuer.clock().advance(SECOND);
        assert_eq!(status(&auth, &new).await, 200);
    }
}

#[tokio::test]
async fn a_failure_for_a_token_that_was_active_starts_the_global_backoff() {
    for failure in [TIMEOUT, CLOSED] {
        let (issuer, web, auth) = failing(failure);
        let (known, other) = (issuer.token().opaque(), issuer.token().opaque());
        for token in [&known, &other] {
            assert_eq!(status(&auth, token).await, 200);
        }
        issuer.clock().advance(60 * SECOND);
        web.has_failed_wholly.store(true, Ordering::SeqCst);
        for delay in [1, 2, 4, 8, 16, 30, 30] {
            assert_eq!(status(&auth, &known).await, 503);
            for _ in 0..10 {
                assert_eq!(status(&auth, &other).await, 503);
                assert_eq!(status(&auth, &issuer.token().opaque()).await, 503);
            }
            issuer.clock().advance(Duration::from_secs(delay));
        }
        assert_eq!(issuer.introspection_requests(), 2 + 7);
        web.has_failed_wholly.store(false, Ordering::SeqCst);
        assert_eq!(status(&auth, &other).await, 200);
        assert_eq!(status(&auth, &issuer.token().opaque()).await, 200);
    }
}

#[tokio::test]
async fn an_unreachable_endpoint_pauses_all_introspection() {
    let issuer = issuer();
    let auth = protected(&issuer, basic());
    issuer.trouble(Endpoint::Introspection, Trouble::Down);
    for _ in 0..100 {
        assert_eq!(status(&auth, &issuer.token().opaque()).await, 503);
    }
    assert_eq!(issuer.introspection_requests(), 1);
}

#[tokio::test]
async fn missing_server_metadata_is_503_and_recovers() {
    let issuer = issuer();
    let auth = protected(&issuer, basic());
    let token = issuer.token().opaque();
    issuer.trouble(Endpoint::Metadata, Trouble::Down);
    assert_eq!(status(&auth, &token).await, 503);
    issuer.recover();
    issuer.clock().advance(30 * SECOND);
    assert_eq!(status(&auth, &token).await, 200);
}

#[tokio::test]
async fn invented_tokens_are_bounded_by_max_in_flight() {
    let issuer = issuer();
    let auth = protected(&issuer, basic().max_in_flight(8));
    let known = issuer.token().opaque();
    assert_eq!(status(&auth, &known).await, 200);
    issuer.trouble(Endpoint::Introspection, Trouble::Hang);
    let waiting: Vec<_> = (0..6)
        .map(|i| {
            let auth = auth.clone();
            tokio::spawn(async move { status(&auth, &format!("invented-{i}")).await })
        })
        .collect();
    while issuer.introspection_requests() < 7 {
        tokio::task::yield_now().await;
    }
    for i in 6..100_000 {
        let denial = admit(&auth, &bearer(&format!("invented-{i}"))).await.expect_err("crowded");
        assert!(matches!(denial.kind(), DenialKind::Unavailable { .. }), "{denial}");
    }
    assert_eq!(issuer.introspection_requests(), 7);
    assert_eq!(status(&auth, &known).await, 200, "what is remembered needs no question");

    // A token that was active before gets a slot when it must be introspected again.
    issuer.clock().advance(61 * SECOND);
    let again = {
        let (auth, known) = (auth.clone(), known.clone());
        tokio::spawn(async move { status(&auth, &known).await })
    };
    while issuer.introspection_requests() < 8 {
        tokio::task::yield_now().await;
    }
    issuer.recover();
    assert_eq!(again.await.expect("an answer"), 200);
    for one in waiting {
        assert_eq!(one.await.expect("an answer"), 401);
    }
}

#[tokio::test]
async fn cached_refusals_do_not_evict_active_tokens() {
    let issuer = issuer();
    let auth = protected(&issuer, basic().cached_tokens(100));
    let known = issuer.token().opaque();
    assert_eq!(status(&auth, &known).await, 200);
    for i in 0..5_000 {
        assert_eq!(status(&auth, &format!("invented-{i}")).await, 401);
    }
    let before = issuer.introspection_requests();
    assert_eq!((status(&auth, &known).await, issuer.introspection_requests()), (200, before));
}

#[tokio::test]
async fn a_malformed_token_is_never_introspected() {
    let issuer = issuer();
    let auth = protected(&issuer, basic());
    auth.warm_up().await.expect("the issuer is up");
    let before = issuer.requests();
    for token in ["two words", "quo\"ted", "ümlaut", "=", &"a".repeat(17 * 1024)] {
        assert!([400, 401].contains(&status(&auth, token).await));
    }
    assert_eq!(issuer.requests(), before);
}

#[tokio::test]
async fn jwts_are_verified_and_other_tokens_are_introspected() {
    let issuer = issuer();
    let auth = protected(&issuer, basic());
    let rows = [
        ("a JWT", issuer.token().sign(), 200, 0),
        (
            "a JWT of an unknown issuer",
            issuer.token().claim("iss", "https://evil.example").sign(),
            401,
            0,
        ),
        ("an expired JWT", issuer.token().expired().sign(), 401, 0),
        ("a JWT with a wrong signature", issuer.token().kid("es256-1").sign() + "A", 401, 0),
        ("three parts of nothing", "a.b.c".to_owned(), 401, 0),
        ("an opaque token", issuer.token().opaque(), 200, 1),
        ("one with a dot, as Ory's and Authelia's", "ory_at_abc.def".to_owned(), 401, 1),
        ("one with two dots and a slash", "a/b.c.d".to_owned(), 401, 1),
        ("an encrypted JWT", "e30.a.b.c.d".to_owned(), 401, 1),
    ];
    for (name, token, expected, questions) in rows {
        let before = issuer.introspection_requests();
        assert_eq!(status(&auth, &token).await, expected, "{name}");
        assert_eq!(issuer.introspection_requests() - before, questions, "{name}");
    }
}

#[tokio::test]
async fn introspect_jwts_introspects_a_jwt_after_verification() {
    let issuer = issuer();
    let auth = protected(&issuer, basic().introspect_jwts());
    let token = issuer.token().subject("bob").introspectable();
    let caller = admit(&auth, &bearer(&token)).await.expect("admitted");
    assert_eq!((caller.subject(), issuer.introspection_requests()), ("bob", 1));
    assert_eq!((status(&auth, &token).await, issuer.introspection_requests()), (200, 1));

    let forged = TestIssuer::new().token().introspectable();
    assert_eq!((status(&auth, &forged).await, issuer.introspection_requests()), (401, 1));

    issuer.revoke(&token);
    issuer.clock().advance(60 * SECOND);
    assert_eq!(status(&auth, &token).await, 401);
    assert_eq!(status(&auth, &issuer.token().sign()).await, 401, "unknown to the server");
}

#[tokio::test]
async fn several_servers_are_asked_in_order_until_one_knows_the_token() {
    let build =
        |url: &str| TestIssuer::builder().issuer(url).client("notes server", SECRET).build();
    let (first, second) = (build("https://first.test"), build("https://second.test"));
    let third = build("https://third.test");
    for issuer in [&first, &second] {
        issuer.resource(RESOURCE, [""; 0]);
    }
    let auth = McpAuth::builder(RESOURCE)
        .authorization_server(first.authorization_server().introspection(basic()))
        .authorization_server(second.authorization_server().introspection(basic()))
        .authorization_server(third.authorization_server())
        .clock(first.clone())
        .build()
        .expect("a description");
    let of_second = second.token().opaque();
    for _ in 0..3 {
        let caller = admit(&auth, &bearer(&of_second)).await.expect("admitted");
        assert_eq!(caller.issuer(), second.url());
    }
    assert_eq!((first.introspection_requests(), second.introspection_requests()), (1, 1));
    assert_eq!(status(&auth, &first.token().opaque()).await, 200);
    assert_eq!((first.introspection_requests(), second.introspection_requests()), (2, 1));
    assert_eq!(status(&auth, "invented").await, 401);
    assert_eq!((first.introspection_requests(), second.introspection_requests()), (3, 2));

    // The server that is down may be the one that knows the token.
    first.trouble(Endpoint::Introspection, Trouble::Down);
    assert_eq!(status(&auth, "invented-too").await, 503);
    assert_eq!(status(&auth, &second.token().opaque()).await, 200);
    assert_eq!(third.requests(), 0, "nobody said that it may be asked");
}

#[tokio::test]
async fn resources_share_cached_answers_but_not_the_audience_check() {
    let issuer = issuer();
    issuer.resource(RESOURCE, [""; 0]);
    let server = issuer.authorization_server().introspection(basic());
    let notes = behind(server.clone(), &issuer);
    let mail = McpAuth::builder("https://api.example.com/mail").authorization_server(&server);
    let mail = mail.clock(issuer.clone()).build().expect("a description");
    let token = issuer.token().opaque();
    assert_eq!(status(&notes, &token).await, 200);
    assert_eq!(status(&mail, &token).await, 401);
    assert_eq!(issuer.introspection_requests(), 1);
}

#[tokio::test]
async fn an_external_server_needs_only_an_introspection_endpoint() {
    let issuer = issuer();
    issuer.resource(RESOURCE, [""; 0]);
    let server = AuthorizationServer::external(issuer.url())
        .fetch(issuer.clone())
        .clock(issuer.clone())
        .introspection(basic().endpoint(issuer.introspection_endpoint()));
    let auth = behind(server, &issuer);
    assert!(auth.readiness().is_ready());
    auth.warm_up().await.expect("there is nothing to fetch");
    assert_eq!(status(&auth, &issuer.token().opaque()).await, 200);
    assert_eq!(status(&auth, &issuer.token().introspectable()).await, 200, "there are no keys");
    assert_eq!(issuer.requests(), 2);
}

#[tokio::test]
async fn a_server_without_keys_becomes_ready() {
    let issuer = issuer();
    let server =
        issuer.authorization_server().introspection(basic()).map_metadata(|mut document| {
            document.remove("jwks_uri");
            document
        });
    let auth = behind(server, &issuer);
    assert!(!auth.readiness().is_ready());
    auth.warm_up().await.expect("the metadata is there");
    assert!(auth.readiness().is_ready());
    assert_eq!((issuer.metadata_requests(), issuer.jwks_requests()), (1, 0));
}

#[tokio::test]
async fn the_client_secret_is_never_sent_to_an_unencrypted_endpoint() {
    let issuer = issuer();
    for endpoint in ["http://issuer.test/introspect", "http://127.0.0.1/introspect", "ftp://x", ""]
    {
        let server =
            issuer.authorization_server().introspection(basic()).map_metadata(move |mut it| {
                it.insert("introspection_endpoint".into(), endpoint.into());
                it
            });
        let auth = behind(server, &issuer);
        assert_eq!(status(&auth, &issuer.token().opaque()).await, 503, "{endpoint}");
    }
    assert_eq!(issuer.introspection_requests(), 0);
    let bare = ServerMetadata::new(issuer.url(), issuer.jwks_uri());
    let bare =
        AuthorizationServer::from_metadata(bare).fetch(issuer.clone()).introspection(basic());
    let denial = admit(&behind(bare, &issuer), &bearer("x")).await.expect_err("nowhere to ask");
    let detail = denial.operator_detail().unwrap_or_default();
    assert!(detail.contains("no `introspection_endpoint`: set `.endpoint(..)`"), "{detail}");
}

#[tokio::test]
async fn the_operator_detail_says_what_to_change() {
    let issuer = issuer();
    for (trouble, words) in [
        (Trouble::Status(401), "refuses this server's credentials: check the client id"),
        (Trouble::Status(403), "refuses this server's credentials"),
        (Trouble::Status(400), "refuses the question"),
        (Trouble::Redirect, "set `.endpoint(..)`"),
        (Trouble::InvalidDocument, "is it the right URL?"),
        (Trouble::Down, "check that it is up"),
    ] {
        let auth = protected(&issuer, basic());
        issuer.trouble(Endpoint::Introspection, trouble);
        let denial = admit(&auth, &bearer("x")).await.expect_err("no answer");
        let detail = denial.operator_detail().unwrap_or_default();
        assert!(detail.contains(words), "{trouble:?}: {detail}");
    }
}

/// Answers each introspection request with a fixed text and media type, and everything else as the issuer does.
#[derive(Clone)]
struct Answers {
    issuer: TestIssuer,
    media_type: &'static str,
    text: Arc<Mutex<String>>,
    asked: Arc<AtomicUsize>,
}

impl Fetch for Answers {
    fn fetch(
        &self,
        request: Request<Bytes>,
        limits: Limits,
    ) -> BoxFuture<'_, Result<Response<Bytes>, FetchError>> {
        if request.uri().path() != "/introspect" {
            return self.issuer.fetch(request, limits);
        }
        self.asked.fetch_add(1, Ordering::SeqCst);
        let mut response = Response::new(self.text.lock().expect("a text").clone().into());
        let media_type = self.media_type.parse().expect("a media type");
        response.headers_mut().insert(CONTENT_TYPE, media_type);
        Box::pin(std::future::ready(Ok(response)))
    }
}

#[tokio::test]
async fn signed_introspection_responses_are_validated() {
    let issuer = issuer();
    let auth = protected(&issuer, basic().signed_responses());
    assert_eq!(status(&auth, &issuer.token().opaque()).await, 200);
    assert_eq!(status(&auth, "invented").await, 401);

    let other_issuer = TestIssuer::new();
    let said = || json!({ "active": true, "sub": "mallory", "aud": RESOURCE });
    let signed = |issuer: &TestIssuer| {
        let token = issuer.token().typ("token-introspection+jwt").audience("notes server");
        token.without("sub").claim("token_introspection", said())
    };
    let unsigned = |alg: &str| {
        let header = json!({ "alg": alg, "typ": "token-introspection+jwt" });
        let claims = json!({ "iss": issuer.url(), "aud": "notes server", "iat": 1_785_196_800, "token_introspection": said() });
        let text = |json: serde_json::Value| URL_SAFE_NO_PAD.encode(json.to_string());
        format!("{}.{}.", text(header), text(claims))
    };
    const JWT: &str = "application/token-introspection+jwt";
    let rows = [
        ("as it should be", JWT, signed(&issuer).sign(), 200),
        (
            "a parameter of the type",
            "Application/Token-Introspection+JWT; charset=utf-8",
            signed(&issuer).sign(),
            200,
        ),
        (
            "the whole type",
            JWT,
            signed(&issuer).typ("application/token-introspection+jwt").sign(),
            200,
        ),
        ("an array as aud", JWT, signed(&issuer).audience(vec!["notes server"]).sign(), 200),
        ("for another", JWT, signed(&issuer).audience("mail server").sign(), 503),
        ("for the resource", JWT, signed(&issuer).audience(RESOURCE).sign(), 503),
        ("for nobody", JWT, signed(&issuer).without("aud").sign(), 503),
        ("an access token", JWT, issuer.token().sign(), 503),
        ("of another type", JWT, signed(&issuer).typ("JWT").sign(), 503),
        ("without a type", JWT, signed(&issuer).without_header("typ").sign(), 503),
        ("another key", JWT, signed(&other_issuer).sign(), 503),
        (
            "of another issuer",
            JWT,
            signed(&issuer).claim("iss", "https://evil.example").sign(),
            503,
        ),
        ("without an issuer", JWT, signed(&issuer).without("iss").sign(), 503),
        ("old", JWT, signed(&issuer).claim("iat", 1_785_196_000).sign(), 503),
        ("without a date", JWT, signed(&issuer).without("iat").sign(), 503),
        ("without an answer", JWT, signed(&issuer).without("token_introspection").sign(), 503),
        (
            "an answer in a string",
            JWT,
            signed(&issuer).claim("token_introspection", said().to_string()).sign(),
            503,
        ),
        ("alg none", JWT, unsigned("none"), 503),
        ("alg HS256", JWT, unsigned("HS256"), 503),
        ("plain", JWT, said().to_string(), 503),
        ("plain, and it says so", "application/json", said().to_string(), 503),
        ("signed, but it does not say so", "application/json", signed(&issuer).sign(), 503),
    ];
    for (name, media_type, text, expected) in rows {
        let answers = Answers {
            issuer: issuer.clone(),
            media_type,
            text: Arc::new(Mutex::new(text)),
            asked: Arc::default(),
        };
        let server = issuer.authorization_server().fetch(answers.clone());
        let auth = behind(server.introspection(basic().signed_responses()), &issuer);
        assert_eq!(status(&auth, "opaque").await, expected, "{name}");
        assert_eq!(answers.asked.load(Ordering::SeqCst), 1, "{name}");
    }
}

#[tokio::test]
async fn signed_responses_without_keys_are_503() {
    let issuer = issuer();
    let auth = protected(&issuer, basic().signed_responses());
    let token = issuer.token().opaque();
    issuer.trouble(Endpoint::Jwks, Trouble::Down);
    assert_eq!(status(&auth, &token).await, 503);
    issuer.recover();
    issuer.clock().advance(30 * SECOND);
    assert_eq!(status(&auth, &token).await, 200);
}

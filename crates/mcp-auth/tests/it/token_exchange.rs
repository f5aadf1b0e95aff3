//! Token exchange (RFC 8693): what is sent, what is accepted, what is cached, and who notices what.

use std::collections::HashMap;
use std::error::Error as _;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, LOCATION, RETRY_AFTER};
use http::{HeaderMap, Request, Response};
use mcp_auth::jwt::{Algorithm, KeySet};
use mcp_auth::{
    ApiKey, ApiKeys, AuthInfo, AuthorizationServer, BoxFuture, ConfigError, Denial, DenialKind,
    Downstream, Fetch, FetchError, Limits, McpAuth, Reason, Secret, TokenExchange,
};
use mcp_auth_testkit::{Endpoint, SigningAlgorithm, TestIssuer, Trouble};
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use crate::world::{RESOURCE, admit, bearer};

const CALENDAR: &str = "https://calendar.example.com";
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
const SECRET: &str = "correct horse";

/// The form and the headers of a request.
type Received = (HashMap<String, String>, HeaderMap);

/// What the token endpoint answers.
#[derive(Clone)]
enum Answer {
    /// A token that names the subject token and what was asked for, with these changes.
    Token(Value),
    Error(u16, &'static str),
    Raw(u16, String),
    Redirect(String),
    Busy(u16, &'static str),
    Fail(fn() -> FetchError),
}

/// The test issuer with a token endpoint. Clones share their state.
#[derive(Clone)]
struct World {
    issuer: TestIssuer,
    answer: Arc<Mutex<Answer>>,
    /// What the token endpoint got.
    requests: Arc<Mutex<Vec<Received>>>,
    asked: Arc<AtomicUsize>,
    /// Answers wait for a permit, if there is a semaphore.
    gate: Arc<Mutex<Option<Arc<Semaphore>>>>,
}

impl World {
    fn new() -> Self {
        Self {
            issuer: TestIssuer::new(),
            answer: Arc::new(Mutex::new(Answer::Token(json!({})))),
            requests: Arc::default(),
            asked: Arc::default(),
            gate: Arc::default(),
        }
    }

    fn server(&self) -> AuthorizationServer {
        AuthorizationServer::discover(self.issuer.url())
            .fetch(self.clone())
            .clock(self.issuer.clone())
    }

    fn auth(&self) -> McpAuth {
        self.issuer.protects(RESOURCE).build().expect("a configuration")
    }

    fn exchange(&self) -> TokenExchange {
        TokenExchange::basic(&self.server(), "notes-server", SECRET)
    }

    fn calendar(&self) -> Downstream {
        self.exchange().to_audience(CALENDAR, ["events:read"]).expect("a target")
    }

    async fn caller(&self, subject: &str) -> AuthInfo {
        let token = self.issuer.token().subject(subject).sign();
        admit(&self.auth(), &bearer(&token)).await.expect("admitted")
    }

    fn answers(&self, answer: Answer) {
        *self.answer.lock().expect("a lock") = answer;
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    fn last(&self) -> Received {
        self.requests.lock().expect("a lock").last().cloned().expect("a request")
    }

    fn hold(&self) -> Arc<Semaphore> {
        let gate = Arc::new(Semaphore::new(0));
        *self.gate.lock().expect("a lock") = Some(gate.clone());
        gate
    }
}

fn response(status: u16, body: impl Into<Bytes>) -> Response<Bytes> {
    let mut response = Response::new(body.into());
    *response.status_mut() = http::StatusCode::from_u16(status).expect("a status");
    response
}

impl Fetch for World {
    fn fetch(
        &self,
        request: Request<Bytes>,
        limits: Limits,
    ) -> BoxFuture<'_, Result<Response<Bytes>, FetchError>> {
        if !request.uri().path().ends_with("/token") {
            return self.issuer.fetch(request, limits);
        }
        Box::pin(async move {
            self.asked.fetch_add(1, Ordering::SeqCst);
            let form: HashMap<_, _> =
                url::form_urlencoded::parse(request.body()).into_owned().collect();
            self.requests.lock().expect("a lock").push((form.clone(), request.headers().clone()));
            let gate = self.gate.lock().expect("a lock").clone();
            if let Some(gate) = gate {
                gate.acquire().await.expect("it is open").forget();
            }
            let answer = self.answer.lock().expect("a lock").clone();
            match answer {
                Answer::Token(changes) => {
                    let about = ["subject_token", "audience", "resource", "scope"];
                    let text: Vec<_> =
                        about.iter().filter_map(|name| form.get(*name)).cloned().collect();
                    let token: String =
                        text.join("~").bytes().map(|b| format!("{b:02x}")).collect();
                    // Short enough for a token, and different for different requests.
                    let digest = token
                        .bytes()
                        .fold(7_u128, |all, b| all.wrapping_mul(31).wrapping_add(b.into()));
                    let mut document = json!({
                        "access_token": format!("x-{digest:x}"), "issued_token_type": ACCESS_TOKEN,
                        "token_type": "Bearer", "expires_in": 600,
                    });
                    for (name, value) in changes.as_object().expect("an object") {
                        document[name] = value.clone();
                    }
                    Ok(response(200, document.to_string()))
                }
                Answer::Error(status, code) => Ok(response(
                    status,
                    json!({"error": code, "error_description": "x"}).to_string(),
                )),
                Answer::Raw(status, text) => Ok(response(status, text)),
                Answer::Redirect(to) => {
                    let mut answer = response(307, "");
                    answer.headers_mut().insert(LOCATION, to.parse().expect("a value"));
                    Ok(answer)
                }
                Answer::Busy(status, after) => {
                    let mut answer = response(status, "");
                    answer.headers_mut().insert(RETRY_AFTER, after.parse().expect("a value"));
                    Ok(answer)
                }
                Answer::Fail(error) => Err(error()),
            }
        })
    }
}

/// Lets spawned tasks run until they wait.
async fn settle() {
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn the_request_has_the_form_of_rfc_8693() {
    let world = World::new();
    let caller = world.caller("alice").await;
    let token = caller.exchange(&world.calendar()).await.expect("a token");
    let (form, headers) = world.last();
    let expected = [
        ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
        ("subject_token", caller.token().expose()),
        ("subject_token_type", ACCESS_TOKEN),
        ("requested_token_type", ACCESS_TOKEN),
        ("audience", CALENDAR),
        ("scope", "events:read"),
    ];
    assert_eq!(form, expected.map(|(name, value)| (name.to_owned(), value.to_owned())).into());
    assert_eq!(headers[AUTHORIZATION], "Basic bm90ZXMtc2VydmVyOmNvcnJlY3QraG9yc2U=");
    assert!(headers[AUTHORIZATION].is_sensitive());
    assert_eq!(headers[CONTENT_TYPE], "application/x-www-form-urlencoded");
    assert_eq!(token.authorization(), format!("Bearer {}", token.expose()));
    assert!(
        token.authorization().is_sensitive() && format!("{token:?}") == "ExchangedToken(redacted)"
    );
    assert!(token.scopes().is_none() && token.expires_at().is_some());

    let post = TokenExchange::post(&world.server(), "notes-server", SECRET);
    let resource = post.to_resource(CALENDAR, "").expect("a target");
    caller.exchange(&resource).await.expect("a token");
    let (form, headers) = world.last();
    assert_eq!(form.get("resource").map(String::as_str), Some(CALENDAR));
    assert_eq!(form.get("client_secret").map(String::as_str), Some(SECRET));
    assert!(!form.contains_key("audience") && !form.contains_key("scope"));
    assert!(!headers.contains_key(AUTHORIZATION));

    let pem = world.issuer.client_key("notes-server", SigningAlgorithm::Es256);
    let signed =
        TokenExchange::private_key_jwt(&world.server(), "notes-server", pem, Algorithm::Es256);
    let signed = signed.kid("2026").to_audience(CALENDAR, "events:read").expect("a target");
    caller.exchange(&signed).await.expect("a token");
    let (form, _) = world.last();
    let assertion = form.get("client_assertion").expect("an assertion");
    assert_eq!(assertion.split('.').count(), 3);
    assert!(
        form["client_assertion_type"].ends_with(":jwt-bearer")
            && !form.contains_key("client_secret")
    );
}

#[tokio::test]
async fn on_behalf_of_sends_the_callers_token_as_an_assertion() {
    let world = World::new();
    // As Entra answers: without `issued_token_type`.
    world.answers(Answer::Token(json!({"issued_token_type": null, "ext_expires_in": 600})));
    let caller = world.caller("alice").await;
    let calendar = world.exchange().on_behalf_of(["api://calendar/.default"]).expect("a target");
    let token = caller.exchange(&calendar).await.expect("a token");
    let (form, _) = world.last();
    let expected = [
        ("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"),
        ("assertion", caller.token().expose()),
        ("requested_token_use", "on_behalf_of"),
        ("scope", "api://calendar/.default"),
    ];
    assert_eq!(form, expected.map(|(name, value)| (name.to_owned(), value.to_owned())).into());
    let again = caller.exchange(&calendar).await.expect("a token");
    assert_eq!((again.expose(), world.asked()), (token.expose(), 1));
    world.caller("bob").await.exchange(&calendar).await.expect("a token");
    assert_eq!(world.asked(), 2, "another caller's token is another's");

    // The issuer wants another login of the caller: nobody else is refused.
    world.answers(Answer::Error(400, "interaction_required"));
    let denial = world.caller("carol").await.exchange(&calendar).await.expect_err("refused");
    assert_eq!(denial.status(), 403);
    let detail = denial.operator_detail().unwrap_or_default();
    assert!(detail.contains("for the scopes \"api://calendar/.default\""), "{detail}");
    // A server that sends the assertion back.
    world.answers(Answer::Token(json!({"access_token": caller.token().expose()})));
    let dave = world.caller("dave").await;
    world.answers(Answer::Token(json!({"access_token": dave.token().expose()})));
    assert_eq!(dave.exchange(&calendar).await.expect_err("its own token").status(), 503);
    let error = world.exchange().on_behalf_of("").expect_err("no scopes");
    assert!(error.to_string().contains("names the scopes of the other server"), "{error}");
}

#[tokio::test]
async fn a_service_token_is_requested_once_and_again_before_it_expires() {
    let world = World::new();
    world.answers(Answer::Token(json!({"issued_token_type": null, "expires_in": 100})));
    let own = world.exchange().client_credentials(Some(("audience", CALENDAR)), ["a"]);
    let own = own.expect("a target");
    assert_eq!(world.asked(), 0, "nobody has needed it");
    let gate = world.hold();
    let calls: Vec<_> = (0..20)
        .map(|_| {
            let own = own.clone();
            tokio::spawn(async move { own.current().await })
        })
        .collect();
    settle().await;
    gate.add_permits(100);
    for call in calls {
        call.await.expect("it ends").expect("a token");
    }
    assert_eq!(world.asked(), 1, "one request for all");
    let (form, headers) = world.last();
    let expected = [("grant_type", "client_credentials"), ("audience", CALENDAR), ("scope", "a")];
    assert_eq!(form, expected.map(|(name, value)| (name.to_owned(), value.to_owned())).into());
    assert_eq!(headers[AUTHORIZATION], "Basic bm90ZXMtc2VydmVyOmNvcnJlY3QraG9yc2U=");

    // (seconds that have passed, requests in all): it is used for 90 seconds, and renewed in the background after 72.
    for (passed, asked) in [(71, 1), (2, 2), (71, 2), (2, 3)] {
        world.issuer.clock().advance(Duration::from_secs(passed));
        own.current().await.expect("a token");
        settle().await;
        assert_eq!(world.asked(), asked, "{passed}");
    }
    // While the issuer is out of reach, the token is used as long as it is valid, and no longer.
    world.answers(Answer::Raw(500, String::new()));
    world.issuer.clock().advance(Duration::from_secs(80));
    own.current().await.expect("it is still valid");
    settle().await;
    world.issuer.clock().advance(Duration::from_secs(11));
    let denial = own.current().await.expect_err("it is not valid anymore");
    assert_eq!(*denial.kind(), DenialKind::Unavailable { retry_after: denial_retry(&denial) });
    assert_eq!(denial.status(), 503);
}

fn denial_retry(denial: &Denial) -> Duration {
    match denial.kind() {
        DenialKind::Unavailable { retry_after } => *retry_after,
        _ => Duration::ZERO,
    }
}

#[tokio::test]
async fn a_service_token_that_is_refused_is_an_outage_of_this_server_and_not_asked_for_by_each_call()
 {
    for (answer, why) in [
        (Answer::Error(401, "invalid_client"), "`invalid_client`"),
        (Answer::Error(400, "invalid_scope"), "`invalid_scope`"),
        (Answer::Raw(500, String::new()), "the token endpoint does not answer"),
        (Answer::Raw(200, "{}".into()), "the token endpoint does not answer as RFC 8693 says"),
    ] {
        let world = World::new();
        world.answers(answer);
        let own = world.exchange().client_credentials(None, ["a"]).expect("a target");
        for _ in 0..50 {
            let denial = own.current().await.expect_err("refused");
            assert_eq!(denial.status(), 503);
            let cause = denial.source().map(ToString::to_string).unwrap_or_default();
            assert!(cause.contains(why), "{cause}");
        }
        assert_eq!(world.asked(), 1, "{why}");
        assert!(!world.last().0.contains_key("audience"));
        world.answers(Answer::Token(json!({"issued_token_type": null})));
        world.issuer.clock().advance(Duration::from_secs(2));
        own.current().await.expect("it is asked again");
    }
    let error = World::new().exchange().client_credentials(Some(("audience", "")), ["a"]);
    assert!(error.is_err(), "an environment variable that is not set");
}

#[tokio::test]
async fn a_token_is_cached_for_its_caller_target_and_scopes_and_for_nobody_else() {
    let world = World::new();
    let exchange = world.exchange();
    let to =
        |audience: &str, scopes: &str| exchange.to_audience(audience, scopes).expect("a target");
    let (alice, bob) = (world.caller("alice").await, world.caller("bob").await);
    let again = admit(&world.auth(), &bearer(alice.token().expose())).await.expect("admitted");
    let first = alice.exchange(&to(CALENDAR, "a b")).await.expect("a token");
    for caller in [&alice, &again] {
        let same = caller.exchange(&to(CALENDAR, "a b")).await.expect("a token");
        assert_eq!(same.expose(), first.expose());
    }
    assert_eq!(world.asked(), 1);
    let resource = exchange.to_resource(CALENDAR, "a b").expect("a target");
    let mut all = vec![first.expose().to_owned()];
    for (caller, target) in [
        (&bob, to(CALENDAR, "a b")),
        (&alice, to(CALENDAR, "a")),
        (&alice, to(CALENDAR, "")),
        (&alice, to("https://calendar.example.com/", "a b")),
        (&alice, to("https://mail.example.com", "a b")),
        (&bob, to("https://mail.example.com", "a b")),
        (&alice, resource),
    ] {
        let before = world.asked();
        let token = caller.exchange(&target).await.expect("a token");
        assert_eq!(world.asked(), before + 1, "{target:?}");
        let (form, _) = world.last();
        assert_eq!(form["subject_token"], caller.token().expose());
        all.push(token.expose().to_owned());
    }
    // Two of them, `audience` and `resource`, are the same for the fake issuer. All others differ.
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), 7);
    // The cache belongs to the exchange: another client of the same issuer has its own.
    world.exchange().to_audience(CALENDAR, "a b").expect("a target");
    let before = world.asked();
    alice.exchange(&world.calendar()).await.expect("a token");
    assert_eq!(world.asked(), before + 1);
}

#[tokio::test]
async fn no_token_is_used_past_its_expiry_or_that_of_the_callers_token() {
    let clocked = |caller_lifetime: u64, expires_in: Value| async move {
        let world = World::new();
        world.answers(Answer::Token(json!({"expires_in": expires_in})));
        let lifetime = Duration::from_secs(caller_lifetime);
        let token = world.issuer.token().expires_in(lifetime).sign();
        let caller = admit(&world.auth(), &bearer(&token)).await.expect("admitted");
        (world, caller)
    };
    // (caller's lifetime, `expires_in`, seconds that pass, requests in all, outcome)
    for (lifetime, expires_in, passed, asked, is_fine) in [
        (3600, json!(100), 89, 1, true),
        (3600, json!(100), 90, 2, true), // 10 seconds are left, which is too short to use
        (3600, json!(100), 200, 2, true),
        (60, json!(600), 59, 1, true),
        (60, json!(600), 60, 1, false), // the caller's token has expired: nothing is asked
        (60, json!(600), 100, 1, false),
        // No `expires_in`: a short time.
        (3600, json!(null), 29, 1, true),
        (3600, json!(null), 31, 2, true),
        (20, json!(null), 19, 1, true),
        (20, json!(null), 21, 1, false),
        (3600, json!(10), 1, 2, true),
        (3600, json!(3600), 299, 1, true),
        (3600, json!(3600), 301, 2, true), // `cache_for`
    ] {
        let (world, caller) = clocked(lifetime, expires_in.clone()).await;
        let calendar = world.calendar();
        caller.exchange(&calendar).await.expect("a token");
        world.issuer.clock().advance(Duration::from_secs(passed));
        let outcome = caller.exchange(&calendar).await;
        assert_eq!(
            (world.asked(), outcome.is_ok()),
            (asked, is_fine),
            "{lifetime} {expires_in} {passed}"
        );
        if let Err(denial) = outcome {
            assert_eq!(denial.reason(), Some(Reason::Expired));
        }
    }
}

#[tokio::test]
async fn a_token_that_expires_on_its_way_is_not_returned() {
    let world = World::new();
    let gate = world.hold();
    world.answers(Answer::Token(json!({"expires_in": 3})));
    let (caller, calendar) = (world.caller("alice").await, world.calendar());
    let waiting = tokio::spawn(async move { caller.exchange(&calendar).await });
    settle().await;
    world.issuer.clock().advance(Duration::from_secs(4));
    gate.add_permits(1);
    let denial = waiting.await.expect("it ends").expect_err("too late");
    assert_eq!(denial.status(), 503);
}

#[tokio::test]
async fn concurrent_calls_share_one_request_and_survive_that_one_is_cancelled() {
    let world = World::new();
    let gate = world.hold();
    let (caller, calendar) = (world.caller("alice").await, world.calendar());
    let call = || {
        let (caller, calendar) = (caller.clone(), calendar.clone());
        tokio::spawn(
            async move { caller.exchange(&calendar).await.map(|it| it.expose().to_owned()) },
        )
    };
    let first = call();
    settle().await;
    let others: Vec<_> = (0..20).map(|_| call()).collect();
    settle().await;
    first.abort();
    settle().await;
    gate.add_permits(1);
    let mut tokens = Vec::new();
    for other in others {
        tokens.push(other.await.expect("it ends").expect("a token"));
    }
    tokens.dedup();
    assert_eq!((tokens.len(), world.asked()), (1, 1));
}

#[tokio::test]
async fn a_refusal_is_403_and_an_outage_503_and_neither_is_a_call_without_a_token() {
    for (answer, expected, named) in [
        (Answer::Error(400, "invalid_grant"), 403, "does not accept the caller's token"),
        (Answer::Error(400, "invalid_request"), 403, "does not accept the caller's token"),
        (Answer::Error(400, "invalid_target"), 403, "does not know the target"),
        (Answer::Error(400, "invalid_scope"), 403, "one of the scopes"),
        (Answer::Error(403, "access_denied"), 403, "does not allow this caller"),
        (Answer::Error(400, "interaction_required"), 403, "log in"),
        (Answer::Error(400, "something_else"), 403, "an error of its own"),
        (Answer::Error(401, "invalid_client"), 503, "credentials"),
        (Answer::Error(400, "invalid_client"), 503, "credentials"),
        (Answer::Error(400, "unauthorized_client"), 503, "does not let this client"),
        (Answer::Error(400, "unsupported_grant_type"), 503, "does not support token exchange"),
        (Answer::Error(500, "invalid_grant"), 503, "does not answer"),
        (Answer::Error(200, "invalid_grant"), 503, "RFC 8693"),
        (Answer::Raw(400, "<html>".into()), 503, "RFC 8693"),
        (Answer::Raw(403, r#"{"error":["access_denied"]}"#.into()), 503, "RFC 8693"),
        (Answer::Raw(404, String::new()), 503, "RFC 8693"),
        (Answer::Raw(200, "{}".into()), 503, "RFC 8693"),
        (Answer::Raw(200, String::new()), 503, "RFC 8693"),
        (Answer::Raw(200, format!("[{}]", " ".repeat(70_000))), 503, "does not answer"),
        (Answer::Token(json!({"token_type": "N_A"})), 503, "RFC 8693"),
        (Answer::Token(json!({"access_token": ""})), 503, "RFC 8693"),
        (Answer::Redirect("https://evil.example/token".into()), 503, "redirect"),
        (Answer::Busy(429, "7"), 503, "too many requests"),
        (Answer::Busy(503, "7"), 503, "does not answer"),
        (Answer::Fail(|| FetchError::Timeout(Duration::from_secs(5))), 503, "does not answer"),
        (Answer::Fail(|| FetchError::Unreachable("refused".into())), 503, "does not answer"),
        (Answer::Fail(|| FetchError::Transport("reset".into())), 503, "does not answer"),
    ] {
        let world = World::new();
        world.answers(answer);
        let caller = world.caller("alice").await;
        let denial = caller.exchange(&world.calendar()).await.expect_err("no token");
        let detail = denial.operator_detail().unwrap_or_default();
        assert_eq!(denial.status(), expected, "{detail}");
        assert!(detail.contains(named) && detail.contains(CALENDAR), "{named}: {detail}");
        let shown = format!("{denial} {denial:?} {:?}", denial.source());
        assert!(!shown.contains(caller.token().expose()) && !shown.contains(SECRET), "{shown}");
        assert_eq!(world.asked(), 1, "a redirect is not followed, and nothing is asked twice");
    }
}

#[tokio::test]
async fn the_callers_own_token_is_never_returned() {
    let world = World::new();
    let caller = world.caller("alice").await;
    world.answers(Answer::Token(json!({"access_token": caller.token().expose()})));
    let denial = caller.exchange(&world.calendar()).await.expect_err("no token");
    assert_eq!(denial.status(), 503);
    assert!(denial.source().is_some_and(|error| error.to_string().contains("caller's own token")));
}

#[tokio::test]
async fn only_tokens_of_the_issuer_are_sent_to_it() {
    let world = World::new();
    let other = TestIssuer::builder().issuer("https://other.test").build();
    other.resource(RESOURCE, [""; 0]);
    let key = "a-key-of-a-robot-0123456789";
    let auth = world
        .issuer
        .protects(RESOURCE)
        .authorization_server(other.authorization_server())
        .api_keys(ApiKeys::new().key(ApiKey::new("robot", key)))
        .build()
        .expect("a configuration");
    let foreign = other.token().subject("alice").sign();
    for token in [foreign.as_str(), key] {
        let caller = admit(&auth, &bearer(token)).await.expect("admitted");
        let denial = caller.exchange(&world.calendar()).await.expect_err("no token");
        assert_eq!((denial.status().as_u16(), denial.kind()), (403, &DenialKind::Forbidden));
    }
    assert_eq!(world.asked(), 0);
}

#[tokio::test]
async fn what_one_caller_causes_does_not_stop_the_others() {
    for answer in [
        Answer::Error(400, "invalid_grant"),
        Answer::Error(400, "unauthorized_client"),
        // So Keycloak 26 answers about an audience that it does not know.
        Answer::Error(400, "invalid_client"),
        Answer::Raw(500, String::new()),
        Answer::Busy(503, "3600"),
        Answer::Busy(429, "3600"),
        Answer::Raw(200, "{}".into()),
        Answer::Fail(|| FetchError::Timeout(Duration::from_secs(5))),
        Answer::Fail(|| FetchError::Transport("reset".into())),
    ] {
        let world = World::new();
        let calendar = world.calendar();
        let (mallory, alice) = (world.caller("mallory").await, world.caller("alice").await);
        world.answers(answer);
        mallory.exchange(&calendar).await.expect_err("no token");
        // It is not asked again at once for the same token.
        mallory.exchange(&calendar).await.expect_err("no token");
        assert_eq!(world.asked(), 1);
        world.answers(Answer::Token(json!({})));
        alice.exchange(&calendar).await.expect("a token");
    }
}

#[tokio::test]
async fn an_issuer_that_is_out_of_reach_is_asked_again_after_a_delay() {
    for (answer, delay) in [
        (Answer::Fail(|| FetchError::Unreachable("refused".into())), 1),
        (Answer::Error(401, "invalid_client"), 1),
        // So Keycloak 26 answers to a wrong secret.
        (Answer::Error(401, "unauthorized_client"), 1),
        (Answer::Error(400, "unsupported_grant_type"), 1),
    ] {
        let world = World::new();
        let calendar = world.calendar();
        let (alice, bob) = (world.caller("alice").await, world.caller("bob").await);
        world.answers(answer);
        alice.exchange(&calendar).await.expect_err("no token");
        world.answers(Answer::Token(json!({})));
        let denial = bob.exchange(&calendar).await.expect_err("no token");
        let retry_after = DenialKind::Unavailable { retry_after: Duration::from_secs(delay) };
        assert_eq!((denial.kind(), world.asked()), (&retry_after, 1));
        world.issuer.clock().advance(Duration::from_secs(delay));
        bob.exchange(&calendar).await.expect("a token");
        alice.exchange(&calendar).await.expect("a token");
    }
}

/// However long it has failed, and without asking it more often than every two seconds.
#[tokio::test]
async fn the_end_of_an_outage_is_noticed_within_two_seconds() {
    for failure in [
        Answer::Fail(|| FetchError::Unreachable("refused".into())),
        Answer::Error(401, "invalid_client"),
        Answer::Error(400, "unsupported_grant_type"),
    ] {
        let world = World::new();
        let calendar = world.calendar();
        let callers = [world.caller("alice").await, world.caller("bob").await];
        world.answers(failure);
        for _ in 0..400 {
            for caller in &callers {
                caller.exchange(&calendar).await.expect_err("no token");
            }
            world.issuer.clock().advance(Duration::from_millis(500));
        }
        assert!((80..=102).contains(&world.asked()), "{} in 200 s", world.asked());
        world.answers(Answer::Token(json!({})));
        world.issuer.clock().advance(Duration::from_secs(2));
        for caller in &callers {
            caller.exchange(&calendar).await.expect("a token");
        }
    }
}

#[tokio::test]
async fn a_429_for_one_caller_pauses_this_caller_for_as_long_as_the_issuer_says() {
    for (retry_after, pause) in [("7", 7), ("0", 1), ("3600", 30), ("soon", 1)] {
        let world = World::new();
        // The targets of one exchange share its limits.
        let exchange = world.exchange();
        let [calendar, mail] = [CALENDAR, "https://mail.example.com"]
            .map(|audience| exchange.to_audience(audience, "").expect("a target"));
        let (mallory, alice) = (world.caller("mallory").await, world.caller("alice").await);
        world.answers(Answer::Busy(429, retry_after));
        mallory.exchange(&calendar).await.expect_err("no token");
        world.answers(Answer::Token(json!({})));
        for _ in 0..pause {
            let asked = world.asked();
            let denial = mallory.exchange(&mail).await.expect_err("no token");
            assert!(matches!(denial.kind(), DenialKind::Unavailable { .. }), "{retry_after}");
            assert_eq!(world.asked(), asked, "{retry_after}: it is not asked");
            alice.exchange(&mail).await.expect("a token");
            world.issuer.clock().advance(Duration::from_secs(1));
        }
        mallory.exchange(&mail).await.expect("a token");
    }
}

/// A server that answers 20 exchanges a second, one caller who sends 200, and others who send one each.
#[tokio::test]
async fn one_caller_at_a_server_with_a_limit_leaves_room_for_others() {
    let world = World::new();
    let exchange = world.exchange();
    let mallory = world.caller("mallory").await;
    let mut others = Vec::new();
    for i in 0..10 {
        others.push(world.caller(&format!("user-{i}")).await);
    }
    let (mut issued, mut wanted) = (0, 0);
    for second in 0..60 {
        let began = world.asked();
        let target =
            |i: usize| exchange.to_audience(format!("urn:{second}:{i}"), "").expect("a target");
        for i in 0..200 {
            world.answers(match world.asked() - began < 20 {
                true => Answer::Token(json!({})),
                false => Answer::Busy(429, "0"),
            });
            let _ = mallory.exchange(&target(i)).await;
            if i % 20 == 19 {
                wanted += 1;
                issued += usize::from(others[i / 20].exchange(&target(i)).await.is_ok());
            }
        }
        world.issuer.clock().advance(Duration::from_secs(1));
    }
    assert!(issued * 100 >= wanted * 95, "{issued} of {wanted}");
}

#[tokio::test]
async fn a_429_of_one_caller_limits_nobody_else() {
    let world = World::new();
    let exchange = world.exchange();
    let (mallory, bob) = (world.caller("mallory").await, world.caller("bob").await);
    let target = |name: &str| exchange.to_audience(name, "").expect("a target");
    world.answers(Answer::Token(json!({})));
    mallory.exchange(&target("urn:answered")).await.expect("a token");
    world.answers(Answer::Busy(429, "0"));
    mallory.exchange(&target("urn:refused")).await.expect_err("no token");
    world.answers(Answer::Token(json!({})));
    for second in 0..3 {
        world.issuer.clock().advance(Duration::from_secs(1));
        for i in 0..5 {
            bob.exchange(&target(&format!("urn:{second}:{i}"))).await.expect("a token");
        }
    }
}

#[tokio::test]
async fn an_issuer_that_refuses_everybody_is_asked_for_nobody_until_it_answers_one() {
    let world = World::new();
    let calendar = world.calendar();
    let mut callers = Vec::new();
    for i in 0..50 {
        callers.push(world.caller(&format!("user-{i}")).await);
    }
    world.answers(Answer::Busy(429, "0"));
    for caller in &callers {
        caller.exchange(&calendar).await.expect_err("no token");
    }
    assert_eq!(world.asked(), 8, "the others are refused without asking");
    for _ in 0..60 {
        world.issuer.clock().advance(Duration::from_secs(1));
        for caller in &callers {
            caller.exchange(&calendar).await.expect_err("no token");
        }
    }
    assert!(world.asked() <= 8 + 60, "{}", world.asked());
    world.answers(Answer::Token(json!({})));
    world.issuer.clock().advance(Duration::from_secs(2));
    for caller in &callers {
        caller.exchange(&calendar).await.expect("a token");
    }
}

/// Nobody has verified what the token says. It may shorten the time, and not lengthen it.
#[tokio::test]
async fn a_jwt_without_expires_in_is_cached_for_half_a_minute_and_not_past_its_exp() {
    for (lifetime, passed, asked) in
        [(3600, 29, 1), (3600, 31, 2), (25, 14, 1), (25, 16, 2), (5, 0, 2), (0, 0, 2)]
    {
        let world = World::new();
        let (caller, calendar) = (world.caller("alice").await, world.calendar());
        let token = world.issuer.token().subject("other").expires_in(Duration::from_secs(lifetime));
        world.answers(Answer::Token(json!({"access_token": token.sign(), "expires_in": null})));
        caller.exchange(&calendar).await.expect("a token");
        world.issuer.clock().advance(Duration::from_secs(passed));
        caller.exchange(&calendar).await.expect("a token");
        assert_eq!(world.asked(), asked, "{lifetime} {passed}");
    }
}

#[tokio::test]
async fn one_caller_takes_a_quarter_of_the_requests_at_most() {
    let world = World::new();
    let gate = world.hold();
    let exchange = world.exchange().max_in_flight(8);
    let (alice, bob) = (world.caller("alice").await, world.caller("bob").await);
    let call = |caller: &AuthInfo, audience: String| {
        let target = exchange.to_audience(audience, "").expect("a target");
        let caller = caller.clone();
        tokio::spawn(async move { caller.exchange(&target).await })
    };
    let mut calls: Vec<_> = (0..5).map(|i| call(&alice, format!("urn:{i}"))).collect();
    settle().await;
    assert_eq!(world.asked(), 2);
    calls.push(call(&bob, "urn:0".into()));
    settle().await;
    assert_eq!(world.asked(), 3);
    gate.add_permits(3);
    let mut outcomes = Vec::new();
    for call in calls {
        outcomes
            .push(call.await.expect("it ends").map_err(|denial: Denial| denial.status().as_u16()));
    }
    let refused = outcomes.iter().filter(|outcome| matches!(outcome, Err(503))).count();
    assert_eq!((refused, outcomes.len()), (3, 6));
    assert!(outcomes.last().is_some_and(Result::is_ok));
}

#[tokio::test]
async fn the_cache_is_bounded() {
    let world = World::new();
    let exchange = world.exchange().cached_tokens(10);
    let caller = world.caller("alice").await;
    let to = |i: usize| exchange.to_audience(format!("urn:{i}"), "").expect("a target");
    for i in 0..100 {
        caller.exchange(&to(i)).await.expect("a token");
    }
    let before = world.asked();
    for i in 0..100 {
        caller.exchange(&to(i)).await.expect("a token");
    }
    assert!(world.asked() - before >= 90, "{}", world.asked());
}

#[tokio::test]
async fn the_endpoint_comes_from_the_metadata_or_is_given() {
    let world = World::new();
    let caller = world.caller("alice").await;
    world.issuer.trouble(Endpoint::Metadata, Trouble::Down);
    let denial = caller.exchange(&world.calendar()).await.expect_err("no token");
    assert_eq!(denial.status(), 503);
    assert!(denial.operator_detail().is_some_and(|detail| detail.contains("metadata")));
    let given = world.exchange().endpoint("https://tokens.example.com/token");
    caller.exchange(&given.to_audience(CALENDAR, "").expect("a target")).await.expect("a token");
    // Metadata cannot send the caller's token to plain http, nor to this machine.
    for endpoint in ["http://evil.example/token", "http://127.0.0.1:9/token", "ftp://x/token", "x"]
    {
        let world = World::new();
        let server = world.server().map_metadata(move |mut document| {
            document.insert("token_endpoint".into(), endpoint.into());
            document
        });
        let exchange = TokenExchange::basic(&server, "notes-server", SECRET);
        let calendar = exchange.to_audience(CALENDAR, "").expect("a target");
        let denial = world.caller("alice").await.exchange(&calendar).await.expect_err("no token");
        assert_eq!((denial.status().as_u16(), world.asked()), (503, 0), "{endpoint}");
    }
}

#[test]
fn an_exchange_needs_a_target_and_credentials() {
    let server = AuthorizationServer::discover("https://auth.example.com");
    let basic = |id: &str, secret: &str| TokenExchange::basic(&server, id, Secret::from(secret));
    let fine = || basic("id", "hush");
    let external = AuthorizationServer::external("https://auth.example.com");
    for (built, named) in [
        (fine().to_audience("", "a"), "the audience is empty"),
        (fine().to_resource("", "a"), "the audience is empty"),
        (fine().to_resource("calendar", "a"), "absolute URI"),
        (fine().to_resource("https://h/#x", "a"), "absolute URI"),
        (fine().to_audience("calendar", "\""), "scopes are"),
        (basic("", "hush").to_audience("calendar", ""), "client id is empty"),
        (basic("id", "").to_audience("calendar", ""), "secret is empty"),
        (fine().endpoint("http://auth.example.com/token").to_audience("calendar", ""), "https"),
        (fine().max_in_flight(0).to_audience("calendar", ""), "in flight"),
        (
            TokenExchange::private_key_jwt(&server, "id", "hush", Algorithm::Es256)
                .to_audience("calendar", ""),
            "PEM",
        ),
        (
            TokenExchange::basic(&external, "id", "hush").to_audience("calendar", ""),
            "`.endpoint(..)`",
        ),
    ] {
        match built {
            Err(ConfigError::TokenExchange { issuer, why }) => {
                assert_eq!(issuer, "https://auth.example.com");
                assert!(why.contains(named) && !why.contains("hush"), "{named}: {why}");
            }
            other => panic!("{named}: {other:?}"),
        }
    }
    // Keys may be given for an issuer of any name, whose metadata nobody can fetch.
    let keys = || KeySet::parse(TestIssuer::new().jwks().as_bytes()).expect("keys");
    for name in ["my-iss", "urn:example:iss", "http://auth.example.com"] {
        let named = AuthorizationServer::with_keys(name, keys());
        let exchange = TokenExchange::basic(&named, "id", "hush");
        assert!(exchange.to_audience("calendar", "").is_err(), "{name}");
        let given = exchange.endpoint("https://auth.example.com/t");
        assert!(given.to_audience("calendar", "").is_ok(), "{name}");
    }
    assert!(!format!("{:?}", fine()).contains("hush"));
    assert!(fine().to_audience("calendar", "").is_ok());
    let given =
        TokenExchange::basic(&external, "id", "hush").endpoint("https://auth.example.com/t");
    assert!(given.to_audience("calendar", "").is_ok());
}

//! Polling for security events, with correct and with faulty transmitters.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header};
use mcp_auth::{
    BoxFuture, ConfigError, EventPoll, Fetch, FetchError, Limits, McpAuth, Revocations,
};
use mcp_auth_testkit::{Endpoint, TestIssuer, TokenBuilder, Trouble};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, timeout};

use crate::world::{RESOURCE, status};

const CLIENT: &str = "my-client";
const URL: &str = "https://issuer.test/events/poll";
const SESSION_REVOKED: &str = "https://schemas.openid.net/secevent/caep/event-type/session-revoked";

/// How a transmitter answers a poll.
#[derive(Clone, Debug)]
pub(crate) enum Play {
    Send(Value),
    Text(&'static str),
    Status(u16),
    Down,
    /// Answers without an event, after this many seconds.
    Wait(u64),
    /// Never answers.
    Hang,
    /// Sends an invalid event, under another `jti` each time.
    Junk,
    /// Sends this many bytes.
    Long(usize),
}

/// When a request was sent, the request, and its limits.
type Asked = (Instant, Request<Bytes>, Limits);

/// Plays a script, and repeats its last entry forever. Clones are the same transmitter.
#[derive(Clone)]
pub(crate) struct Transmitter {
    script: Arc<Mutex<VecDeque<Play>>>,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Transmitter {
    pub(crate) fn new(script: impl IntoIterator<Item = Play>) -> Self {
        let script = Arc::new(Mutex::new(script.into_iter().collect()));
        Self { script, asked: Arc::default() }
    }

    pub(crate) fn events(&self) -> EventPoll {
        EventPoll::at(URL, [CLIENT]).bearer("very-secret-token").fetch(self.clone())
    }

    /// The number of requests so far.
    pub(crate) fn asked(&self) -> usize {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// The bodies of all requests.
    fn told(&self) -> Vec<Value> {
        let asked = self.asked.lock().expect("a list");
        asked.iter().map(|(_, it, _)| serde_json::from_slice(it.body()).expect("JSON")).collect()
    }

    /// When the requests were sent, in seconds since the first.
    fn seconds(&self) -> Vec<u64> {
        let asked = self.asked.lock().expect("a list");
        asked.iter().map(|(at, ..)| (*at - asked[0].0).as_secs()).collect()
    }
}

impl Fetch for Transmitter {
    fn fetch(
        &self,
        request: Request<Bytes>,
        limits: Limits,
    ) -> BoxFuture<'_, Result<Response<Bytes>, FetchError>> {
        self.asked.lock().expect("a list").push((Instant::now(), request, limits));
        let mut script = self.script.lock().expect("a script");
        let play = if script.len() > 1 { script.pop_front() } else { script.front().cloned() };
        drop(script);
        let asked = self.asked();
        Box::pin(async move {
            let ok = |text: String| Ok(Response::new(Bytes::from(text)));
            match play.expect("a script") {
                Play::Send(answer) => ok(answer.to_string()),
                Play::Text(text) => ok(text.to_owned()),
                Play::Status(status) => {
                    let mut answer = Response::new(Bytes::from(r#"{"sets":{}}"#));
                    *answer.status_mut() = StatusCode::from_u16(status).expect("a status");
                    answer.headers_mut().insert(
                        header::LOCATION,
                        HeaderValue::from_static("https://evil.example/poll"),
                    );
                    Ok(answer)
                }
                Play::Down => Err(FetchError::Unreachable("connection refused".into())),
                Play::Wait(seconds) => {
                    sleep(Duration::from_secs(seconds)).await;
                    ok(r#"{"sets":{}}"#.to_owned())
                }
                Play::Hang => std::future::pending().await,
                Play::Junk => ok(json!({ "sets": { format!("j{asked}"): "a.b.c" } }).to_string()),
                Play::Long(bytes) => ok(" ".repeat(bytes)),
            }
        })
    }
}

pub(crate) fn sets(sets: Vec<(&str, String)>) -> Play {
    let sets: serde_json::Map<_, _> =
        sets.into_iter().map(|(jti, set)| (jti.to_owned(), set.into())).collect();
    Play::Send(json!({ "sets": sets }))
}

fn nothing() -> Play {
    sets(vec![])
}

pub(crate) fn revoking(issuer: &TestIssuer, sub: &str) -> TokenBuilder {
    let subject = json!({ "format": "iss_sub", "iss": issuer.url(), "sub": sub });
    issuer.security_event(CLIENT, SESSION_REVOKED, subject)
}

fn protected(issuer: &TestIssuer) -> McpAuth {
    issuer.protects(RESOURCE).build().expect("a description")
}

/// Polls for this many seconds. Polling must not end by itself.
pub(crate) async fn poll(auth: &McpAuth, events: EventPoll, seconds: u64) {
    let polling = auth.poll_security_events(events).expect("a description");
    let never = timeout(Duration::from_secs(seconds), polling).await;
    assert!(never.is_err(), "it does not end");
}

#[tokio::test(start_paused = true)]
async fn polled_events_are_validated_like_pushed_ones_and_acknowledged_or_reported() {
    let issuer = TestIssuer::new();
    let alice = || revoking(&issuer, "alice");
    let unknown = alice().claim("events", json!({ "https://example.com/event": {} }));
    let nobody = alice().without("sub_id");
    // The error that the next request reports (`None`: it acknowledges the event), and whether alice is revoked.
    let rows = [
        ("good", alice().sign(), None, true),
        ("with spaces around it", format!(" {} ", alice().sign()), Some("invalid_request"), false),
        ("an unknown event", unknown.sign(), None, false),
        ("about nobody", nobody.sign(), None, false),
        ("another receiver", alice().audience("x").sign(), Some("invalid_audience"), false),
        (
            "another issuer",
            alice().claim("iss", "https://evil.example").sign(),
            Some("invalid_issuer"),
            false,
        ),
        ("an unknown key", alice().kid("invented").sign(), Some("invalid_key"), false),
        ("forged", revoking(&TestIssuer::new(), "alice").sign(), Some("invalid_key"), false),
        ("unsigned", alice().header("alg", "none").sign(), Some("invalid_key"), false),
        ("no jti", alice().without("jti").sign(), Some("invalid_request"), false),
        ("an access token", issuer.token().audience(CLIENT).sign(), Some("invalid_request"), false),
        ("a logout token", issuer.logout_token(CLIENT).sign(), Some("invalid_request"), false),
        ("no token", "x".to_owned(), Some("invalid_request"), false),
        ("nothing", String::new(), Some("invalid_request"), false),
        ("too long", "a".repeat(20_000), Some("invalid_request"), false),
    ];
    for (name, set, fault, is_revoked) in rows {
        let auth = protected(&issuer);
        let token = issuer.token().sign();
        assert_eq!(status(&auth, &token).await, 200);
        let transmitter = Transmitter::new([sets(vec![("e1", set.clone())]), nothing()]);
        poll(&auth, transmitter.events(), 2).await;
        let told = transmitter.told();
        assert_eq!(told.len(), 2, "{name}");
        let (acknowledged, reported) = (&told[1]["ack"], &told[1]["setErrs"]["e1"]);
        match fault {
            None => {
                assert!(*acknowledged == json!(["e1"]) && reported.is_null(), "{name}: {told:?}")
            }
            Some(fault) => {
                assert!(acknowledged.is_null() && reported["err"] == fault, "{name}: {told:?}");
                assert!(reported["description"].as_str().is_some_and(|it| it.len() > 10), "{name}");
            }
        }
        assert_eq!(status(&auth, &token).await, if is_revoked { 401 } else { 200 }, "{name}");
        // A push of the same event has the same outcome.
        let pushed = protected(&issuer).receive_security_event(&set, &[CLIENT]).await;
        assert_eq!(pushed.is_ok(), fault.is_none(), "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn poll_requests_follow_rfc_8936() {
    let issuer = TestIssuer::new();
    let script = [
        sets(vec![("good", revoking(&issuer, "alice").sign()), ("bad", "x".into())]),
        sets(vec![("next", revoking(&issuer, "bob").sign())]),
        nothing(),
    ];
    let transmitter = Transmitter::new(script);
    let gateway = (header::HeaderName::from_static("x-api-key"), HeaderValue::from_static("k"));
    let events = transmitter.events().max_events(7).header(gateway.0, gateway.1);
    poll(&protected(&issuer), events, 3).await;
    let faults = json!({ "bad": {
        "err": "invalid_request", "description": "It is not valid, or not at this time",
    }});
    let told = [
        json!({ "maxEvents": 7, "returnImmediately": false }),
        json!({ "maxEvents": 7, "returnImmediately": false, "ack": ["good"], "setErrs": faults }),
        json!({ "maxEvents": 7, "returnImmediately": false, "ack": ["next"] }),
    ];
    assert_eq!(transmitter.told(), told);
    for (i, (_, request, limits)) in transmitter.asked.lock().expect("a list").iter().enumerate() {
        assert_eq!((request.method().as_str(), request.uri().to_string().as_str()), ("POST", URL));
        let header = |name: &str| request.headers().get(name).map(|it| it.to_str().expect("text"));
        assert_eq!(header("authorization"), Some("Bearer very-secret-token"));
        assert_eq!(header("x-api-key"), Some("k"));
        assert_eq!(header("content-type"), Some("application/json"));
        assert_eq!(header("accept"), Some("application/json"));
        assert_eq!(header("content-language"), (i == 1).then_some("en"), "RFC 8936 §2.6");
        assert!(!format!("{:?}", request.headers()).contains("very-secret"));
        assert_eq!((limits.timeout, limits.max_bytes), (Duration::from_secs(90), 4 << 20));
    }
}

#[tokio::test(start_paused = true)]
async fn events_that_cannot_be_verified_yet_are_neither_acknowledged_nor_reported() {
    let issuer = TestIssuer::new();
    issuer.trouble(Endpoint::Jwks, Trouble::Down);
    let auth = protected(&issuer);
    let book = auth.revocations().clone();
    let event = revoking(&issuer, "alice").sign();
    // A transmitter repeats what was not acknowledged.
    let transmitter = Transmitter::new([sets(vec![("e1", event), ("e2", "x".into())])]);
    let polling = tokio::spawn(auth.poll_security_events(transmitter.events()).expect("fine"));
    sleep(Duration::from_secs(60)).await;
    for told in &transmitter.told()[1..] {
        assert!(told["ack"].is_null() && told["setErrs"]["e1"].is_null(), "{told}");
        assert_eq!(told["setErrs"]["e2"]["err"], "invalid_request");
    }
    let asked = transmitter.asked();
    assert!((5..10).contains(&asked) && book.is_empty(), "{asked} requests in a minute");

    issuer.recover();
    issuer.clock().advance(Duration::from_secs(60)); // the backoff of the key set
    sleep(Duration::from_secs(60)).await;
    assert_eq!(book.len(), 1);
    assert_eq!(transmitter.told().last().expect("a request")["ack"], json!(["e1"]));
    polling.abort();
    assert!(polling.await.expect_err("it never ends").is_cancelled());
    let asked = transmitter.asked();
    sleep(Duration::from_secs(600)).await;
    assert_eq!(transmitter.asked(), asked, "it ends when it is dropped");
}

#[tokio::test(start_paused = true)]
async fn pending_acknowledgements_survive_an_outage() {
    let issuer = TestIssuer::new();
    for (trouble, is_told_again) in [
        (Play::Down, true),
        (Play::Hang, true),
        (Play::Status(500), true),
        (Play::Status(503), true),
        (Play::Status(401), true),
        (Play::Status(302), true),
        (Play::Text("<html>"), true),
        // The report itself may be the cause, so it is dropped. The transmitter sends the events again.
        (Play::Status(400), false),
        (Play::Status(413), false),
    ] {
        let event = revoking(&issuer, "alice").sign();
        let script = [sets(vec![("e1", event)]), trouble.clone(), nothing()];
        let transmitter = Transmitter::new(script);
        poll(&protected(&issuer), transmitter.events(), 100).await;
        let told = transmitter.told();
        assert_eq!(told[1]["ack"], json!(["e1"]), "{trouble:?}");
        assert_eq!(told[2]["ack"] == json!(["e1"]), is_told_again, "{trouble:?}");
        assert!(told[3..].iter().all(|told| told["ack"].is_null()), "{trouble:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn polling_is_rate_limited_whatever_the_transmitter_does() {
    let issuer = TestIssuer::new();
    let event = || revoking(&issuer, "alice").sign();
    let more = |sets: Value| Play::Send(json!({ "sets": sets, "moreAvailable": true }));
    let many: serde_json::Map<_, _> =
        (0..10_000).map(|i| (format!("{i:05}"), Value::from("x"))).collect();
    // The number of requests allowed in an hour.
    let rows = [
        ("has nothing, and says so at once", nothing(), 360..=361),
        ("has nothing, and waits", Play::Wait(30), 120..=121),
        ("has nothing, and waits for a second", Play::Wait(1), 360..=361),
        ("never answers", Play::Hang, 40..=41),
        ("sends one event for ever", sets(vec![("e1", event())]), 120..=126),
        ("sends one that is none for ever", sets(vec![("e1", "x".into())]), 120..=126),
        ("has more, and sends nothing", more(json!({})), 360..=361),
        ("has more, and sends the same", more(json!({ "e1": event() })), 120..=126),
        ("sends 10,000 events", more(Value::Object(many)), 120..=126),
        ("invents events", Play::Junk, 3600..=3601),
        ("is down", Play::Down, 120..=126),
        ("fails", Play::Status(500), 120..=126),
        ("refuses the token", Play::Status(401), 120..=126),
        ("redirects", Play::Status(302), 120..=126),
        ("has another page", Play::Text("<html>"), 120..=126),
        ("has another document", Play::Text("{}"), 120..=126),
        ("has an empty answer", Play::Text(""), 120..=126),
        ("sends an event twice", Play::Text(r#"{"sets":{"a":"x","a":"x"}}"#), 120..=126),
        ("sends too much", Play::Long((4 << 20) + 1), 120..=126),
    ];
    for (name, play, times) in rows {
        let transmitter = Transmitter::new([play]);
        let auth = protected(&issuer);
        poll(&auth, transmitter.events(), 3600).await;
        let asked = transmitter.asked();
        assert!(times.contains(&asked), "{name}: {asked} times");
        let seconds = transmitter.seconds();
        assert!(seconds.windows(2).all(|pair| pair[0] < pair[1]), "{name}: never twice a second");
        for told in transmitter.told() {
            let reported = told["setErrs"].as_object().map_or(0, serde_json::Map::len);
            let acknowledged = told["ack"].as_array().map_or(0, Vec::len);
            assert!(reported + acknowledged <= 50, "{name}: it does not grow");
        }
        let asked = transmitter.asked.lock().expect("a list");
        assert!(asked.iter().all(|(_, request, _)| *request.uri() == URL), "{name}");
        assert!(auth.revocations().len() <= 1, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_backlog_is_caught_up_quickly_and_a_long_poll_repeats_at_once() {
    let issuer = TestIssuer::new();
    let set = |i: u32| json!({ format!("e{i}"): revoking(&issuer, &format!("user-{i}")).sign() });
    let backlog = (0..5).map(|i| Play::Send(json!({ "sets": set(i), "moreAvailable": i < 4 })));
    let script = backlog.chain([Play::Wait(30), Play::Wait(30), sets(vec![]), Play::Hang]);
    let transmitter = Transmitter::new(script);
    let book = Revocations::new();
    let auth = issuer.protects(RESOURCE).revocations(&book).build().expect("a description");
    poll(&auth, transmitter.events(), 120).await;
    assert_eq!(transmitter.seconds(), [0, 1, 2, 3, 4, 5, 35, 65, 75]);
    assert_eq!(book.len(), 5);
}

#[test]
fn invalid_poll_settings_are_errors_before_any_fetch() {
    let issuer = TestIssuer::new();
    let auth = protected(&issuer);
    let at = |url: &str| EventPoll::at(url, [CLIENT]);
    let rows = [
        (at(URL), None),
        (at(URL).bearer("token"), None),
        (at("http://localhost:3000/poll"), None),
        (at(URL).max_events(200), None),
        (at("http://issuer.test/events/poll"), Some("https is required")),
        (at(""), Some("https is required")),
        (EventPoll::at(URL, [""; 0]), Some("an audience is empty")),
        (EventPoll::at(URL, [CLIENT, ""]), Some("an audience is empty")),
        (at(URL).max_events(0), Some("one event at once")),
        (at(URL).max_events(201), Some("one event at once")),
        (at(URL).bearer(""), Some("token is empty")),
        (at(URL).bearer("very-secret\n"), Some("a line break")),
    ];
    for (events, expected) in rows {
        let shown = format!("{events:?}");
        match (auth.poll_security_events(events).err(), expected) {
            (None, None) => {}
            (Some(error @ ConfigError::EventPoll { .. }), Some(part)) => {
                assert!(error.to_string().contains(part), "{shown}: {error}");
                assert!(!error.to_string().contains("very-secret"));
            }
            (error, _) => panic!("{shown}: {error:?}"),
        }
        assert!(!shown.contains("very-secret"), "{shown}");
    }
    assert_eq!(issuer.requests(), 0);
}

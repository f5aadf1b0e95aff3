//! What the holders of good tokens get beside an attacker who invents tokens, at a server that limits questions.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::header::RETRY_AFTER;
use http::{Request, Response};
use mcp_auth::{AuthorizationServer, BoxFuture, Clock, Fetch, FetchError, Introspection, Limits};
use mcp_auth::{ManualClock, McpAuth};

use crate::world::{RESOURCE, status};

const SECOND: Duration = Duration::from_secs(1);

/// An introspection endpoint that answers a number of questions in each second, and refuses the others.
#[derive(Clone)]
struct Limited {
    clock: ManualClock,
    per_second: f64,
    refusal: Refusal,
    state: Arc<Mutex<State>>,
}

struct State {
    active: HashSet<String>,
    /// How many questions may be asked at this time, as in a token bucket.
    left: f64,
    at: SystemTime,
    asked: usize,
}

/// What is answered beyond the limit: a status, and `Retry-After`.
type Refusal = (u16, Option<&'static str>);

impl Limited {
    fn new(clock: &ManualClock, per_second: f64, refusal: Refusal) -> Self {
        let (active, at) = (HashSet::new(), clock.now());
        let state = State { active, left: per_second, at, asked: 0 };
        Self { clock: clock.clone(), per_second, refusal, state: Arc::new(Mutex::new(state)) }
    }

    fn protects(&self) -> McpAuth {
        let introspection =
            Introspection::basic("notes", "secret").endpoint("https://issuer.test/introspect");
        let server = AuthorizationServer::external("https://issuer.test")
            .introspection(introspection)
            .fetch(self.clone())
            .clock(self.clock.clone());
        let auth = McpAuth::builder(RESOURCE).authorization_server(server);
        auth.clock(self.clock.clone()).build().expect("a description")
    }

    /// Makes a token active.
    fn issue(&self, token: &str) -> String {
        self.state.lock().expect("a state").active.insert(token.to_owned());
        token.to_owned()
    }

    fn asked(&self) -> usize {
        self.state.lock().expect("a state").asked
    }

    fn answer(&self, request: &Request<Bytes>) -> Response<Bytes> {
        let mut state = self.state.lock().expect("a state");
        state.asked += 1;
        let now = self.clock.now();
        let passed = now.duration_since(state.at).expect("time passes").as_secs_f64();
        state.left = (state.left + passed * self.per_second).min(self.per_second);
        state.at = now;
        if state.left < 1.0 {
            let mut response = Response::new(Bytes::new());
            *response.status_mut() = self.refusal.0.try_into().expect("a status");
            if let Some(seconds) = self.refusal.1 {
                response.headers_mut().insert(RETRY_AFTER, seconds.parse().expect("a value"));
            }
            return response;
        }
        state.left -= 1.0;
        let form = std::str::from_utf8(request.body()).expect("a form");
        let token = form.strip_prefix("token=").and_then(|it| it.split('&').next());
        let is_active = token.is_some_and(|token| state.active.contains(token));
        let answer = match is_active {
            true => format!(r#"{{"active":true,"sub":"alice","aud":"{RESOURCE}"}}"#),
            false => r#"{"active":false}"#.to_owned(),
        };
        Response::new(answer.into())
    }
}

impl Fetch for Limited {
    fn fetch(
        &self,
        request: Request<Bytes>,
        _: Limits,
    ) -> BoxFuture<'_, Result<Response<Bytes>, FetchError>> {
        Box::pin(std::future::ready(Ok(self.answer(&request))))
    }
}

/// The share of requests that were admitted.
#[derive(Debug, Default)]
struct Share {
    admitted: usize,
    of: usize,
}

impl Share {
    fn count(&mut self, status: u16) {
        assert!([200, 503].contains(&status), "{status}");
        self.admitted += usize::from(status == 200);
        self.of += 1;
    }

    fn percent(&self) -> usize {
        self.admitted * 100 / self.of
    }
}

/// An attack with `invented` tokens a second, and 50 clients that send a request each second. Returns their share, that of
/// their requests for which the server was asked, and that of a new token a second.
async fn beside(
    limited: &Limited,
    (invented, seconds): (u32, u32),
    all_at_once: bool,
) -> (Share, Share, Share) {
    let auth = limited.protects();
    let known: Vec<_> = (0..50).map(|i| limited.issue(&format!("known-{i}"))).collect();
    for (i, token) in known.iter().enumerate() {
        assert_eq!(status(&auth, token).await, 200);
        // 50 tokens need 2.5 s at 20 questions a second.
        if !all_at_once || i % 10 == 9 {
            limited.clock.advance(if all_at_once { SECOND } else { 1200 * SECOND / 1000 });
        }
    }
    let (mut all, mut asked, mut new) = (Share::default(), Share::default(), Share::default());
    let steps = invented.max(50);
    let mut number = 0;
    for second in 0..seconds {
        for step in 0..steps {
            if step * invented / steps != (step + 1) * invented / steps {
                number += 1;
                assert_ne!(status(&auth, &format!("invented-{number}")).await, 200);
            }
            if step % (steps / 50) == 0
                && let Some(token) = known.get((step / (steps / 50)) as usize)
            {
                let before = limited.asked();
                let status = status(&auth, token).await;
                all.count(status);
                if limited.asked() > before || status != 200 {
                    asked.count(status);
                }
            }
            if step == 7 * second % steps {
                let token = limited.issue(&format!("new-{second}"));
                new.count(status(&auth, &token).await);
            }
            limited.clock.advance(SECOND / steps);
        }
    }
    (all, asked, new)
}

#[tokio::test]
async fn good_tokens_are_admitted_beside_invented_ones_at_a_server_with_a_limit() {
    let rows: [(Refusal, (u32, u32), usize); 6] = [
        ((429, None), (25, 240), 30),
        ((429, None), (250, 70), 2),
        ((429, Some("1")), (25, 90), 30),
        ((429, Some("30")), (25, 90), 30),
        ((503, None), (25, 90), 30),
        ((503, Some("60")), (25, 90), 30),
    ];
    for (refusal, (invented, seconds), least_new) in rows {
        let limited = Limited::new(&ManualClock::new(), 20.0, refusal);
        let (all, asked, new) = beside(&limited, (invented, seconds), false).await;
        println!(
            "{refusal:?}, {invented}/s: {}% of {all:?}, {}% of the introspected {asked:?}, {}% of new ones",
            all.percent(),
            asked.percent(),
            new.percent(),
        );
        assert!(all.percent() >= 99 && asked.percent() >= 95, "{refusal:?} {all:?} {asked:?}");
        assert!(new.percent() >= least_new, "{refusal:?} {new:?}");
    }
}

#[tokio::test]
async fn good_tokens_whose_answers_end_at_once_are_admitted_beside_invented_ones() {
    let limited = Limited::new(&ManualClock::new(), 20.0, (429, None));
    let (all, ..) = beside(&limited, (25, 240), true).await;
    println!("{}% of {}", all.percent(), all.of);
    assert!(all.percent() >= 95, "{all:?}");
}

type Failure = fn() -> Result<Response<Bytes>, FetchError>;

/// A server that fails for tokens that it does not know.
#[derive(Clone)]
struct Failing {
    failure: Arc<Mutex<Option<Failure>>>,
    limited: Limited,
}

impl Fetch for Failing {
    fn fetch(
        &self,
        request: Request<Bytes>,
        limits: Limits,
    ) -> BoxFuture<'_, Result<Response<Bytes>, FetchError>> {
        let failure = *self.failure.lock().expect("a failure");
        let is_known = std::str::from_utf8(request.body()).is_ok_and(|it| it.contains("known"));
        match failure {
            Some(failure) if !is_known => Box::pin(std::future::ready(failure())),
            _ => self.limited.fetch(request, limits),
        }
    }
}

fn answered(status: u16) -> Result<Response<Bytes>, FetchError> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = status.try_into().expect("a status");
    response.headers_mut().insert(RETRY_AFTER, "3600".parse().expect("a value"));
    Ok(response)
}

#[tokio::test]
async fn no_failure_about_an_unknown_token_pauses_a_known_one() {
    let failures: [Failure; 12] = [
        || answered(429),
        || answered(503),
        || answered(401),
        || answered(403),
        || answered(400),
        || answered(500),
        || answered(302),
        || Err(FetchError::Unreachable("refused".into())),
        || Err(FetchError::Timeout(SECOND)),
        || Err(FetchError::Transport("closed".into())),
        || Err(FetchError::Insecure("http://issuer.test".into())),
        || Ok(Response::new(Bytes::from_static(b"<html>"))),
    ];
    for (row, failure) in failures.into_iter().enumerate() {
        let clock = ManualClock::new();
        let limited = Limited::new(&clock, 1000.0, (429, None));
        let web = Failing { failure: Arc::default(), limited: limited.clone() };
        let introspection =
            Introspection::basic("notes", "secret").endpoint("https://issuer.test/introspect");
        let server = AuthorizationServer::external("https://issuer.test")
            .introspection(introspection)
            .fetch(web.clone())
            .clock(clock.clone());
        let auth = McpAuth::builder(RESOURCE).authorization_server(server).clock(clock.clone());
        let auth = auth.build().expect("a description");
        let known = limited.issue("known");
        assert_eq!(status(&auth, &known).await, 200);
        *web.failure.lock().expect("a failure") = Some(failure);
        for i in 0..120 {
            clock.advance(60 * SECOND);
            for j in 0..5 {
                assert_eq!(status(&auth, &format!("invented-{i}-{j}")).await, 503, "row {row}");
            }
            assert_eq!(status(&auth, &known).await, 200, "row {row}");
        }
        // An unknown token is asked about again: soon, or when the server says, within half a minute.
        *web.failure.lock().expect("a failure") = None;
        clock.advance(30 * SECOND);
        assert_eq!(status(&auth, "invented").await, 401, "row {row}");
    }
}

//! A session that began anonymously, and what its anonymous client keeps of it once a caller goes on with it: nothing.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response};
use http_body_util::{BodyExt as _, Full};
use mcp_auth::{GuardedBody, McpAuth};
use mcp_auth_testkit::TestIssuer;
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use tokio::time::timeout;
use tower::{Layer as _, ServiceExt as _, service_fn};

use crate::rmcp_world::{self, Events, Mode, Visitor, ids, serve};
use crate::streams::{EVENTS, data, next, streaming};
use crate::world::{RESOURCE, answer, bearer, request};

const LIST: &str = r#"{"jsonrpc":"2.0","id":5,"method":"tools/list"}"#;

fn visitor(app: &axum::Router, issuer: &TestIssuer, subject: Option<&str>) -> Visitor {
    match subject {
        Some(subject) => Visitor::new(app, &issuer.token().subject(subject).sign()),
        None => {
            let mut visitor = Visitor::new(app, "");
            visitor.headers.remove("authorization");
            visitor
        }
    }
}

/// What a stream sends until it ends, or is silent for a second; and whether it has ended.
async fn heard(body: &mut Body) -> (String, bool) {
    let mut heard = String::new();
    loop {
        match timeout(Duration::from_secs(1), body.frame()).await {
            Ok(Some(frame)) => {
                let data = frame.expect("no error").into_data().expect("data");
                heard += &String::from_utf8_lossy(&data);
            }
            Ok(None) => return (heard, true),
            Err(_) => return (heard, false),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_listening_stream_of_an_anonymous_client_ends_when_its_session_is_claimed() {
    let issuer = TestIssuer::new();
    let auth = issuer.protects(rmcp_world::RESOURCE).optional().build().expect("a description");
    let sessions = Arc::new(LocalSessionManager::default());
    let app = serve(Some(&auth), Mode::Stateful, sessions, &Arc::default());
    let visit = |subject| visitor(&app, &issuer, subject);
    let (claimed, other) = (visit(None).initialize().await, visit(None).initialize().await);
    let listen = async |visitor: Visitor, session: &str| {
        let response = visitor.in_session(session).send(Method::GET, "").await;
        assert_eq!(response.status(), 200);
        response.into_body()
    };
    let mut listening = listen(visit(None), &claimed).await;
    let mut elsewhere = listen(visit(None), &other).await;
    assert!(!heard(&mut listening).await.1 && !heard(&mut elsewhere).await.1, "both are open");

    let bob = visit(Some("bob")).in_session("unknown").post(LIST).await;
    assert_eq!(bob.status(), 404);
    assert!(!heard(&mut listening).await.1, "nobody has claimed it");
    let alice = visit(Some("alice")).in_session(&claimed).post(LIST).await;
    assert_eq!(alice.status(), 200);
    assert!(heard(&mut listening).await.1, "it has ended");
    assert!(!heard(&mut elsewhere).await.1, "another session");

    // The client goes on: it listens again, with its token.
    let mut listening = listen(visit(Some("alice")), &claimed).await;
    assert!(!heard(&mut listening).await.1);
    let anonymous = visit(None).in_session(&claimed).send(Method::GET, "").await;
    assert_eq!(anonymous.status(), 404);
}

/// A session that the service behind `auth` issues to an anonymous caller: its signed id.
async fn began(auth: &McpAuth) -> HeaderValue {
    let issuing = service_fn(|_: Request<GuardedBody<Full<Bytes>>>| async {
        let response = Response::builder().header("mcp-session-id", "s1");
        Ok::<_, Infallible>(response.body(Full::<Bytes>::default()).expect("a response"))
    });
    let response = auth.bearer_auth().layer(issuing).oneshot(request(HeaderMap::new())).await;
    response.expect("an answer").headers()["mcp-session-id"].clone()
}

#[tokio::test(start_paused = true)]
async fn what_an_anonymous_client_has_open_in_a_claimed_session_ends_if_it_listens() {
    let issuer = TestIssuer::new();
    for (method, is_in_session, is_read_before, ends) in [
        (Method::GET, true, true, true),
        (Method::GET, true, false, true),
        (Method::GET, false, true, false),
        // It was authorized when it arrived, and its response belongs to it.
        (Method::POST, true, true, false),
    ] {
        let row = format!("{method} {is_in_session} {is_read_before}");
        let auth = issuer.protects(RESOURCE).optional().build().expect("a description");
        let session = began(&auth).await;
        let mut open = request(HeaderMap::new());
        *open.method_mut() = method;
        if is_in_session {
            open.headers_mut().insert("mcp-session-id", session.clone());
        }
        let (frames, response) = streaming(&auth, open, &[EVENTS]);
        let mut body = response.await.into_body();
        if is_read_before {
            frames.send(data("data: 1\n\n")).await.expect("open");
            assert_eq!(next(&mut body).await.as_deref(), Some("data: 1\n\n"), "{row}");
        }
        let mut claim = request(bearer(&issuer.token().sign()));
        claim.headers_mut().insert("mcp-session-id", session);
        assert_eq!(answer(&auth, claim).await.status(), 200);
        frames.send(data("data: 2\n\n")).await.expect("open");
        let expected = (!ends).then_some("data: 2\n\n");
        assert_eq!(next(&mut body).await.as_deref(), expected, "{row}");
        assert_eq!(frames.is_closed(), ends, "{row}");
    }
}

/// The service answers with an event stream of one event, in the session that it has issued, and says which ids it
/// received.
#[tokio::test]
async fn an_anonymous_event_id_is_of_its_session_and_goes_to_whoever_claims_it() {
    let issuer = TestIssuer::new();
    let auth = issuer.protects(RESOURCE).optional().build().expect("a description");
    let stream = |request: Request<GuardedBody<Full<Bytes>>>| async move {
        let received =
            |name| request.headers().get(name).map_or("-", |id| id.to_str().expect("text"));
        let (session, last) = (received("mcp-session-id"), received("last-event-id"));
        let session = if session.len() > 30 { "another" } else { session };
        let body = Full::<Bytes>::from(format!("id: e1\ndata: {session} {last}\n\n"));
        let response = Response::builder().header("content-type", "text/event-stream");
        let issues = request.headers().get("issue").cloned();
        let response = match issues {
            Some(id) => response.header("mcp-session-id", id),
            None => response,
        };
        Ok::<_, Infallible>(response.body(body).expect("a response"))
    };
    let service = auth.bearer_auth().layer(service_fn(stream));
    let ask = async |subject: Option<&str>, given: &[(&'static str, &str)]| {
        let token = subject.map(|subject| issuer.token().subject(subject).sign());
        let mut request = request(token.map(|token| bearer(&token)).unwrap_or_default());
        *request.method_mut() = Method::GET;
        for (name, value) in given {
            request.headers_mut().append(*name, value.parse().expect("a value"));
        }
        let response = service.clone().oneshot(request).await.expect("an answer");
        let session = response.headers().get("mcp-session-id").cloned();
        let session = session.map(|id| id.to_str().expect("text").to_owned());
        let body = response.into_body().collect().await.expect("a body").to_bytes();
        let body = String::from_utf8_lossy(&body).into_owned();
        let data = body.lines().find_map(|line| line.strip_prefix("data: ")).expect("data");
        (data.to_owned(), ids(&body)[0].to_owned(), session.unwrap_or_default())
    };
    const SESSION: &str = "mcp-session-id";
    const LAST: &str = "last-event-id";
    let (_, first, s1) = ask(None, &[("issue", "s1")]).await;
    let (_, _, s2) = ask(None, &[("issue", "s2")]).await;
    let (_, second, _) = ask(None, &[(SESSION, &s1)]).await;
    let (_, of_none, _) = ask(None, &[]).await;
    let (_, of_alice, _) = ask(Some("alice"), &[]).await;
    assert_eq!(first, second, "by the response that issues a session, and by a request in it");

    let rows = |before: bool| {
        [
            // The session's own client.
            (None, &*s1, &*first, if before { "s1 e1" } else { "another -" }),
            (None, "", &first, "- -"),
            (None, &s2, &first, "s2 -"),
            (None, "x", &first, "another -"),
            // What was sent in no session is of none.
            (None, "", &of_none, "- e1"),
            (None, &s1, &of_none, if before { "s1 -" } else { "another e1" }),
            (None, "", &of_alice, "- -"),
            // With a token, but not the one who claims.
            (Some("bob"), "", &first, "- -"),
            (Some("bob"), "", &of_none, "- -"),
        ]
    };
    for before in [true, false] {
        for (subject, session, last, expected) in rows(before) {
            let given = [(SESSION, session), (LAST, last)];
            let given = if session.is_empty() { &given[1..] } else { &given };
            let (told, ..) = ask(subject, given).await;
            assert_eq!(told, expected, "{before} {subject:?} {session} {last}");
        }
        // Alice goes on with the first session, and resumes its stream and her own.
        for (session, last, expected) in [
            (&*s1, &*first, "s1 e1"),
            (&s1, &of_alice, "s1 e1"),
            (&s1, &of_none, "s1 -"),
            ("", &first, "- -"),
        ] {
            let given = [(SESSION, session), (LAST, last)];
            let given = if session.is_empty() { &given[1..] } else { &given };
            assert_eq!(ask(Some("alice"), given).await.0, expected, "{session} {last}");
        }
    }
    let (told, ..) = ask(Some("bob"), &[(SESSION, &s1), (LAST, &first)]).await;
    assert_eq!(told, "another -");
}

/// A real server with an event store, and a client that logs in and resumes the stream that it had.
#[tokio::test(start_paused = true)]
async fn a_client_resumes_after_its_login_the_stream_that_it_opened_before() {
    let issuer = TestIssuer::new();
    let auth = issuer.protects(rmcp_world::RESOURCE).optional().build().expect("a description");
    let sessions = LocalSessionManager::default().with_event_store(Arc::<Events>::default());
    let app = serve(Some(&auth), Mode::Stateful, Arc::new(sessions), &Arc::default());
    let visit = |subject| visitor(&app, &issuer, subject);
    let session = visit(None).initialize().await;
    let mut list = visit(None).in_session(&session).post(LIST).await.into_body();
    let (events, _) = heard(&mut list).await;
    let first = ids(&events)[0];
    for (subject, expected) in
        [(None, true), (Some("alice"), true), (Some("bob"), false), (None, false)]
    {
        let visitor = visit(subject).in_session(&session).with("last-event-id", first);
        let mut resumed = visitor.send(Method::GET, "").await.into_body();
        assert_eq!(heard(&mut resumed).await.0.contains("whoami"), expected, "{subject:?}");
    }
}

//! A session belongs to its principal: to everyone else its id is unknown.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response};
use http_body_util::{BodyExt as _, Full};
use mcp_auth::{GuardedBody, McpAuth};
use mcp_auth_testkit::TestIssuer;
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use tokio::sync::Notify;
use tokio::time::timeout;
use tower::{Layer as _, ServiceExt as _, service_fn};

use crate::rmcp_world::{
    Events, Mode, RESOURCE, Visitor, app, call, ids, read_until, serve, whole,
};
use crate::world::{bearer, request};

const UNKNOWN: &str = "2f1ee1a4-0f3a-4d42-9d5c-0123456789ab";

fn protected(issuer: &TestIssuer) -> McpAuth {
    issuer.protects(RESOURCE).build().expect("a description")
}

/// Everything that can be sent in a session: a name, the method, the `Last-Event-ID`, the body.
fn attacks(asked: &str) -> Vec<(&'static str, Method, Option<&'static str>, String)> {
    vec![
        ("a call", Method::POST, None, call("whoami")),
        ("a list", Method::POST, None, r#"{"jsonrpc":"2.0","id":5,"method":"tools/list"}"#.into()),
        ("listening", Method::GET, None, String::new()),
        ("resuming", Method::GET, Some("0/0"), String::new()),
        ("resuming the common stream", Method::GET, Some("0"), String::new()),
        (
            "cancelling",
            Method::POST,
            None,
            r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":2}}"#
                .into(),
        ),
        (
            "answering for the user",
            Method::POST,
            None,
            format!(
                r#"{{"jsonrpc":"2.0","id":{asked},"result":{{"action":"accept","content":{{"name":"mallory"}}}}}}"#
            ),
        ),
        ("ending it", Method::DELETE, None, String::new()),
    ]
}

async fn send(
    visitor: &Visitor,
    (_, method, last_event, body): &(&str, Method, Option<&'static str>, String),
) -> axum::response::Response {
    let visitor = match last_event {
        Some(id) => visitor.clone().with("last-event-id", id),
        None => visitor.clone(),
    };
    visitor.send(method.clone(), body).await
}

/// The JSON-RPC id of the server's elicitation request in a stream.
fn question(events: &str) -> String {
    let data = events.lines().filter_map(|line| line.strip_prefix("data: {"));
    let asked =
        data.map(|rest| format!("{{{rest}")).find(|data| data.contains("elicitation/create"));
    let asked: serde_json::Value = serde_json::from_str(&asked.expect("a question")).expect("JSON");
    asked["id"].to_string()
}

#[tokio::test]
async fn the_session_of_another_principal_is_unknown_and_stays_unaffected() {
    let issuer = TestIssuer::new();
    let auth = protected(&issuer);
    let (router, gate) = app(Some(&auth), Mode::Stateful);
    let (bare, _) = app(None, Mode::Stateful);
    let alice = Visitor::new(&router, &issuer.token().sign());
    let session = alice.initialize().await;
    let alice = alice.in_session(&session);

    let mut slow = alice.post(&call("slow")).await.into_body();
    read_until(&mut slow, "id: ").await;
    let mut asking = alice.post(&call("ask").replace("\"id\":2", "\"id\":3")).await.into_body();
    let asked = question(&read_until(&mut asking, "elicitation/create").await);

    let (inner, tag) = session.rsplit_once('.').expect("a tag");
    let altered = format!("{inner}.{}", tag.chars().rev().collect::<String>());
    let truncated = &session[..session.len() - 1];
    let bob = Visitor::new(&router, &issuer.token().subject("bob").sign());
    let own = Visitor::new(&router, &issuer.token().sign());
    for attack in attacks(&asked) {
        let to_unknown = |visitor: &Visitor| visitor.clone().in_session(UNKNOWN);
        let expected = whole(send(&to_unknown(&bob), &attack).await).await;
        let (status, _, body) =
            whole(send(&to_unknown(&Visitor::new(&bare, "")), &attack).await).await;
        assert_eq!((expected.0, &expected.2), (status, &body), "{}: as without us", attack.0);
        if attack.1 != Method::DELETE {
            assert_eq!((status, &*body), (404, "Not Found: Session not found"), "{}", attack.0);
        }
        for (who, visitor, id) in [
            ("bob", &bob, &*session),
            ("alice without the tag", &own, inner),
            ("alice with another tag", &own, &altered),
            ("alice with half a tag", &own, truncated),
            ("alice with nothing", &own, ""),
            ("alice with two", &own, &format!("{session}, {session}")),
        ] {
            let answer = whole(send(&visitor.clone().in_session(id), &attack).await).await;
            assert_eq!(answer, expected, "{who}: {}", attack.0);
        }
        let mut twice = own.clone();
        twice.headers.append("mcp-session-id", session.parse().expect("a value"));
        twice.headers.append("mcp-session-id", session.parse().expect("a value"));
        assert_eq!(whole(send(&twice, &attack).await).await, expected, "repeated: {}", attack.0);
    }

    let answer = attacks(&asked).remove(6).3.replace("mallory", "alice");
    assert_eq!(alice.post(&answer).await.status(), 202);
    let told = read_until(&mut asking, "the user says").await;
    assert!(told.contains("alice") && !told.contains("mallory"), "{told}");
    gate.notify_one();
    assert!(read_until(&mut slow, "the secret of").await.contains("the secret of alice"));
    let (status, _, body) = whole(alice.post(&call("whoami")).await).await;
    assert!(status == 200 && body.contains("you are alice"), "{status} {body}");
    assert_eq!(alice.send(Method::DELETE, "").await.status(), 202);
    assert_eq!(alice.post(&call("whoami")).await.status(), 404, "it is over");
}

/// Some clients register again at each login, also at the one for more scopes.
#[tokio::test]
async fn a_renewed_token_keeps_the_session_also_if_its_client_has_registered_again() {
    let issuer = TestIssuer::new();
    let (router, _) = app(Some(&protected(&issuer)), Mode::Stateful);
    let token = || issuer.token().client_id("first");
    let session = Visitor::new(&router, &token().sign()).initialize().await;
    let renewed = || token().scopes(["more"]).claim("jti", "2");
    for (token, expected) in [
        (renewed(), 200),
        (renewed().client_id("second"), 200),
        (renewed().subject("bob"), 404),
        (renewed().subject("second"), 404),
    ] {
        let visitor = Visitor::new(&router, &token.sign()).in_session(&session);
        let (status, _, body) = whole(visitor.post(&call("whoami")).await).await;
        assert_eq!(status, expected, "{body}");
        assert_eq!(body.contains("you are alice"), expected == 200, "{body}");
    }
}

#[tokio::test]
async fn the_same_subject_of_another_issuer_cannot_use_the_session() {
    let issuer = TestIssuer::new();
    let other = TestIssuer::builder().issuer("https://other.test").build();
    let auth = issuer
        .protects(RESOURCE)
        .authorization_server(other.authorization_server())
        .build()
        .expect("a description");
    let (router, _) = app(Some(&auth), Mode::Stateful);
    let session = Visitor::new(&router, &issuer.token().sign()).initialize().await;
    for (token, status) in
        [(issuer.token().sign(), 200), (other.token().audience(RESOURCE).sign(), 404)]
    {
        let visitor = Visitor::new(&router, &token).in_session(&session);
        assert_eq!(visitor.post(&call("whoami")).await.status(), status);
    }
}

#[tokio::test]
async fn session_keys_can_be_rotated_and_shared_by_replicas() {
    let issuer = TestIssuer::new();
    let built = |keys: &[&str]| {
        let keys = keys.iter().map(|key| key.repeat(32));
        issuer.protects(RESOURCE).session_keys(keys).build().expect("a description")
    };
    // Replicas that share their sessions.
    let sessions = Arc::new(LocalSessionManager::default());
    let replica = |auth| serve(Some(&auth), Mode::Stateful, sessions.clone(), &Arc::default());
    let token = issuer.token().audience(RESOURCE).sign();
    let session = Visitor::new(&replica(built(&["a"])), &token).initialize().await;
    for (name, auth, status) in [
        ("another replica", built(&["a"]), 200),
        ("rotated", built(&["b", "a"]), 200),
        ("after the rotation", built(&["b"]), 404),
        ("a random key", protected(&issuer), 404),
    ] {
        let visitor = Visitor::new(&replica(auth), &token).in_session(&session);
        assert_eq!(visitor.post(&call("whoami")).await.status(), status, "{name}");
    }
}

#[tokio::test]
async fn servers_without_sessions_ignore_mcp_session_id() {
    let issuer = TestIssuer::new();
    let auth = protected(&issuer);
    let token = issuer.token().sign();
    let modern = call("whoami").replace(
        r#""arguments":{}"#,
        r#""arguments":{},"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}"#,
    );
    for mode in [Mode::Stateful, Mode::Json, Mode::Stored] {
        let (router, _) = app(Some(&auth), mode);
        let session = match mode {
            Mode::Stateful => Visitor::new(&router, &token).initialize().await,
            _ => "s.tag".to_owned(),
        };
        let bob = Visitor::new(&router, &issuer.token().subject("bob").sign());
        let era = bob
            .clone()
            .with("mcp-protocol-version", "2026-07-28")
            .with("mcp-method", "tools/call")
            .with("mcp-name", "whoami");
        let old = call("whoami");
        for (visitor, body) in [(&bob, &old), (&era, &modern)] {
            if mode == Mode::Stateful && body == &old {
                continue; // this combination has sessions: see the tests above
            }
            let with = whole(visitor.clone().in_session(&session).post(body).await).await;
            assert!(with.0 == 200 && with.2.contains("you are bob"), "{mode:?}: {with:?}");
            assert!(!with.1.contains_key("mcp-session-id"), "{with:?}");
        }
    }
}

#[tokio::test]
async fn the_events_of_a_store_are_replayed_to_their_owner_only() {
    let issuer = TestIssuer::new();
    let (router, gate) = app(Some(&protected(&issuer)), Mode::Stored);
    let alice = Visitor::new(&router, &issuer.token().sign());
    let bob = Visitor::new(&router, &issuer.token().subject("bob").sign());
    gate.notify_one();
    let (_, _, events) = whole(alice.post(&call("slow")).await).await;
    let first = ids(&events)[0].to_owned();
    let (inner, _) = first.rsplit_once('.').expect("a tag");
    let get = |visitor: &Visitor, id: &str| {
        let visitor = visitor.clone().with("last-event-id", id);
        async move { whole(visitor.send(Method::GET, "").await).await }
    };
    let (status, _, replayed) = get(&alice, &first).await;
    assert!(status == 200 && replayed.contains("the secret of alice"), "{status} {replayed}");
    assert_eq!(ids(&replayed), &ids(&events)[1..], "the ids are the same again");
    let nothing = whole(bob.send(Method::GET, "").await).await;
    assert_eq!(nothing.0, 405, "there is no stream to begin");
    for (visitor, id) in [(&bob, &*first), (&bob, inner), (&alice, inner), (&alice, "event-0.x")] {
        assert_eq!(get(visitor, id).await, nothing, "{id}");
    }
    let mut twice = alice.clone();
    for _ in 0..2 {
        twice.headers.append("last-event-id", first.parse().expect("a value"));
    }
    assert_eq!(whole(twice.send(Method::GET, "").await).await, nothing);
}

/// What a stream sends until it ends or is silent for a second.
async fn overheard(response: Response<Body>) -> String {
    let mut body = response.into_body();
    let mut heard = String::new();
    while let Ok(Some(frame)) = timeout(Duration::from_secs(1), body.frame()).await {
        let data = frame.expect("no error").into_data().expect("data");
        heard += &String::from_utf8_lossy(&data);
    }
    heard
}

#[tokio::test(start_paused = true)]
async fn a_session_cannot_replay_the_events_of_another_principal() {
    let issuer = TestIssuer::new();
    let auth = protected(&issuer);
    for is_ours in [false, true] {
        let sessions = LocalSessionManager::default().with_event_store(Arc::<Events>::default());
        let gate = Arc::<Notify>::default();
        let router = serve(is_ours.then_some(&auth), Mode::Stateful, Arc::new(sessions), &gate);
        let visitor = async |name: &str| {
            let visitor = Visitor::new(&router, &issuer.token().subject(name).sign());
            let session = visitor.initialize().await;
            visitor.in_session(&session)
        };
        let (alice, bob) = (visitor("alice").await, visitor("bob").await);
        let list = r#"{"jsonrpc":"2.0","id":5,"method":"tools/list"}"#;
        let events = overheard(alice.post(list).await).await;
        let first = ids(&events)[0];
        for (visitor, may_hear) in [(alice, true), (bob, !is_ours)] {
            let resumed = visitor.with("last-event-id", first).send(Method::GET, "").await;
            assert_eq!(resumed.status(), 200);
            assert_eq!(overheard(resumed).await.contains("whoami"), may_hear, "{is_ours}");
        }
    }
}

#[tokio::test]
async fn a_server_receives_only_its_own_session_ids_or_a_decoy() {
    let issuer = TestIssuer::new();
    let auth = protected(&issuer);
    // Answers with the session ids that it received, and issues two ids, one of them with dots.
    let tell = service_fn(|request: Request<GuardedBody<Full<Bytes>>>| async move {
        let sent = request.headers().get_all("mcp-session-id").iter();
        let sent: Vec<_> = sent.map(|id| id.to_str().expect("text").to_owned()).collect();
        let mut response = Response::new(Full::<Bytes>::from(sent.join(" and ")));
        for id in ["a.b.c", "second"] {
            response.headers_mut().append("mcp-session-id", HeaderValue::from_static(id));
        }
        Ok::<_, Infallible>(response)
    });
    let service = auth.bearer_auth().layer(tell);
    let ask = async |ids: &[&str]| {
        let mut request = request(bearer(&issuer.token().sign()));
        for id in ids {
            request.headers_mut().append("mcp-session-id", id.parse().expect("a value"));
        }
        let response = service.clone().oneshot(request).await.expect("an answer");
        let given = response.headers().get_all("mcp-session-id").iter();
        let given: Vec<_> = given.map(|id| id.to_str().expect("text").to_owned()).collect();
        let body = response.into_body().collect().await.expect("a body").to_bytes();
        (String::from_utf8_lossy(&body).into_owned(), given)
    };
    let (nothing, given) = ask(&[]).await;
    assert_eq!(nothing, "");
    for (sealed, inner) in given.iter().zip(["a.b.c", "second"]) {
        assert!(sealed.starts_with(&format!("{inner}.")) && sealed.len() == inner.len() + 23);
        let (sent, given_again) = ask(&[sealed]).await;
        assert_eq!((&*sent, &given_again), (inner, &given), "the same each time");
    }
    let forged = [&["a.b.c"][..], &["chosen"], &[&given[0], &given[0]], &["x, y"], &["\t"]];
    for ids in forged {
        let (sent, _) = ask(ids).await;
        assert!(sent.len() == 36 && sent.split('-').count() == 5, "{ids:?}: {sent}");
        assert_eq!(ask(ids).await.0, sent, "the same each time");
    }
}

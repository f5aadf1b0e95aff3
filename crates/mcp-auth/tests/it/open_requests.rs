//! Requests that wait for their response while their token expires or is revoked.

use std::convert::Infallible;
use std::future::pending;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use mcp_auth::{
    Clock as _, GuardedBody, Introspection, McpAuth, McpAuthBuilder, Revocation, ToolScopes,
};
use mcp_auth_testkit::{Endpoint, TestIssuer, Trouble};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tower::{Layer as _, ServiceExt as _, service_fn};

use crate::streams::{EVENTS, Frames, data, next, streamed, streaming};
use crate::world::{RESOURCE, bearer, request};

const ISSUER: &str = "https://issuer.test";
const MINUTE: Duration = Duration::from_secs(60);
const CALL: &str = r#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"wait"}}"#;
const LISTEN: &str =
    r#"{"jsonrpc":"2.0","id":"l-1","method":"subscriptions/listen","params":{"notifications":{}}}"#;
const BATCH: &str = r#"[{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"wait"}},{"jsonrpc":"2.0","method":"notifications/initialized"},{"jsonrpc":"2.0","id":"b","method":"ping"}]"#;
const NOTIFICATION: &str = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;

/// With rules for operations, the layer reads the body. Without, the body passes through.
const BUILDERS: [fn(McpAuthBuilder) -> McpAuthBuilder; 2] =
    [|it| it, |it| it.tools(ToolScopes::new().tool("other", ["other"]))];

fn post(token: &str, message: &str, headers: &[(&'static str, &str)]) -> Request<Full<Bytes>> {
    let mut all = bearer(token);
    all.insert("content-type", HeaderValue::from_static("application/json"));
    for (name, value) in headers {
        all.insert(*name, value.parse().expect("a value"));
    }
    request(all).map(|_| Full::from(message.to_owned()))
}

fn event(message: &str) -> String {
    format!("data: {message}\n\n")
}

fn revoked(id: &str) -> String {
    format!(
        r#"{{"error":{{"code":401,"message":"The access token was revoked"}},"id":{id},"jsonrpc":"2.0"}}"#
    )
}

fn expired(id: &str) -> String {
    revoked(id).replace("was revoked", "has expired")
}

fn listened(id: &str) -> String {
    format!(
        r#"{{"id":{id},"jsonrpc":"2.0","result":{{"_meta":{{"io.modelcontextprotocol/subscriptionId":{id}}},"resultType":"complete"}}}}"#
    )
}

const MODERN: [(&str, &str); 2] =
    [("mcp-protocol-version", "2026-07-28"), ("mcp-method", "subscriptions/listen")];

#[tokio::test(start_paused = true)]
async fn a_call_gets_its_result_however_long_it_takes() {
    let notices: [&[&str]; 2] = [&[], &["data: {\"method\":\"notifications/progress\"}\n\n"]];
    for change in BUILDERS {
        for message in [CALL, BATCH] {
            for before in notices {
                let issuer = TestIssuer::new();
                let auth = change(issuer.protects(RESOURCE)).build().expect("a description");
                let token = issuer.token().expires_in(5 * MINUTE).sign();
                let (frames, response) = streaming(&auth, post(&token, message, &[]), &[EVENTS]);
                let response = tokio::spawn(response);
                sleep(MINUTE).await;
                let mut body = response.await.expect("a response").into_body();
                for round in 0..3 {
                    for text in before {
                        frames.send(data(text)).await.expect("open");
                        assert_eq!(next(&mut body).await.as_deref(), Some(*text), "{round}");
                    }
                    issuer.clock().advance(24 * 60 * MINUTE);
                    assert!(timeout(MINUTE, body.frame()).await.is_err(), "{round}");
                }
                frames.send(data("data: {\"id\":7,\"result\":{}}\n\n")).await.expect("open");
                drop(frames);
                let result = next(&mut body).await;
                assert_eq!(result.as_deref(), Some("data: {\"id\":7,\"result\":{}}\n\n"));
                assert_eq!(next(&mut body).await, None);
            }
        }
    }
}

/// A response that comes as a whole, after the token has expired.
#[tokio::test(start_paused = true)]
async fn a_json_response_may_come_after_the_token_has_expired() {
    for change in BUILDERS {
        let issuer = TestIssuer::new();
        let auth = change(issuer.protects(RESOURCE)).build().expect("a description");
        let service = auth.bearer_auth().layer(service_fn(
            async |request: Request<GuardedBody<Full<Bytes>>>| {
                let message = request.into_body().collect().await.expect("it").to_bytes();
                sleep(90 * MINUTE).await;
                Ok::<_, Infallible>(Response::new(Full::from(message)))
            },
        ));
        let token = issuer.token().expires_in(5 * MINUTE).sign();
        let response = tokio::spawn(service.oneshot(post(&token, CALL, &[])));
        sleep(MINUTE).await;
        issuer.clock().advance(90 * MINUTE);
        let response = response.await.expect("a response").expect("a response");
        assert_eq!(response.status(), 200);
        assert_eq!(response.into_body().collect().await.expect("it").to_bytes(), CALL);
    }
}

/// The message and the headers of a request, what its stream ends with when its token expires (`None` if it continues),
/// and what it ends with when the token is revoked.
type Row<'t> = (&'t str, &'t [(&'static str, &'t str)], Option<String>, String);

#[tokio::test(start_paused = true)]
async fn a_stream_ends_as_its_revision_says() {
    let long = CALL.replace("wait", &"w".repeat(70_000));
    let long_id = CALL.replace('7', &format!("{:?}", "7".repeat(300)));
    let both = format!("[{CALL},{LISTEN}]");
    let rows: [Row<'_>; 11] = [
        (CALL, &[], None, event(&revoked("7"))),
        (BATCH, &[], None, event(&revoked("1")) + &event(&revoked(r#""b""#))),
        (NOTIFICATION, &[], None, String::new()),
        (LISTEN, &MODERN, Some(event(&listened(r#""l-1""#))), event(&revoked(r#""l-1""#))),
        // The headers of a client may say something else: the body decides.
        (LISTEN, &[], Some(event(&listened(r#""l-1""#))), event(&revoked(r#""l-1""#))),
        // What cannot be read counts as a subscription.
        ("", &[], Some(String::new()), event(&revoked("null"))),
        (r#"{"id":7,"id":8,"method":"ping"}"#, &[], Some(String::new()), event(&revoked("null"))),
        (&long_id, &[], None, event(&revoked("null"))),
        (
            &both,
            &[],
            Some(event(&expired("7")) + &event(&listened(r#""l-1""#))),
            event(&revoked("7")) + &event(&revoked(r#""l-1""#)),
        ),
        (&long, &[], None, event(&revoked("null"))),
        (
            r#"{"method":"ping","id":18446744073709551616}"#,
            &[],
            None,
            event(&revoked("18446744073709551616")),
        ),
    ];
    for (message, headers, at_expiry, at_revocation) in &rows {
        for is_revoked in [false, true] {
            let issuer = TestIssuer::new();
            let auth = issuer.protects(RESOURCE).build().expect("a description");
            let token = issuer.token().expires_in(5 * MINUTE).sign();
            let (frames, response) = streaming(&auth, post(&token, message, headers), &[EVENTS]);
            let response = tokio::spawn(response);
            sleep(MINUTE).await;
            let body = response.await.expect("a response").into_body();
            let read = tokio::spawn(body.collect());
            match is_revoked {
                false => issuer.clock().advance(6 * MINUTE),
                true => auth.revoke(Revocation::subject(ISSUER, "alice")),
            }
            sleep(Duration::from_secs(11)).await;
            let expected = if is_revoked { &Some(at_revocation.clone()) } else { at_expiry };
            assert_eq!(frames.is_closed(), expected.is_some(), "{message:.80} {is_revoked}");
            drop(frames);
            let read = read.await.expect("it").expect("no error").to_bytes();
            assert_eq!(read, expected.clone().unwrap_or_default(), "{message:.80} {is_revoked}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_long_message_that_was_read_keeps_its_id() {
    let issuer = TestIssuer::new();
    let auth = BUILDERS[1](issuer.protects(RESOURCE)).build().expect("a description");
    let long = CALL.replace("}}", &format!(r#","x":"{}"}}}}"#, "w".repeat(70_000)));
    let (_frames, response) = streaming(&auth, post(&issuer.token().sign(), &long, &[]), &[EVENTS]);
    let mut body = response.await.into_body();
    auth.revoke(Revocation::subject(ISSUER, "alice"));
    assert_eq!(next(&mut body).await, Some(event(&revoked("7"))));
    assert_eq!(next(&mut body).await, None);
}

#[tokio::test(start_paused = true)]
async fn an_error_is_not_joined_with_an_event_that_was_cut_off() {
    for (sent, begin) in [
        ("data: {}\n\n", ""),
        ("data: {}\r\n\r\n", ""),
        (": alive\n\n", ""),
        ("data: {\"id\":", "\nevent: cancelled\n\n"),
        ("event: message\n", "\nevent: cancelled\n\n"),
        ("data: {}\n", "\nevent: cancelled\n\n"),
    ] {
        let issuer = TestIssuer::new();
        let auth = issuer.protects(RESOURCE).build().expect("a description");
        let request = post(&issuer.token().sign(), CALL, &[]);
        let (frames, response) = streaming(&auth, request, &[EVENTS]);
        frames.send(data(sent)).await.expect("open");
        let mut body = response.await.into_body();
        assert_eq!(next(&mut body).await.as_deref(), Some(sent));
        auth.revoke(Revocation::subject(ISSUER, "alice"));
        let last = format!("{begin}{}", event(&revoked("7")));
        assert_eq!(next(&mut body).await, Some(last), "{sent:?}");
        assert_eq!(next(&mut body).await, None);
    }
}

/// The message, and the whole response when the token is revoked while the service works on it.
#[tokio::test(start_paused = true)]
async fn a_revocation_ends_a_request_without_a_response() {
    let batch = format!("[{},{}]", revoked("1"), revoked(r#""b""#));
    let batch_of_one = format!("[{CALL}]");
    let rows = [
        (Method::POST, &*batch_of_one, StatusCode::OK, format!("[{}]", revoked("7"))),
        (Method::POST, CALL, StatusCode::OK, revoked("7")),
        (Method::POST, BATCH, StatusCode::OK, batch),
        (Method::POST, NOTIFICATION, StatusCode::UNAUTHORIZED, String::new()),
        (Method::GET, "", StatusCode::UNAUTHORIZED, String::new()),
    ];
    for (method, message, status, text) in rows {
        for change in BUILDERS {
            let issuer = TestIssuer::new();
            let auth = change(issuer.protects(RESOURCE)).build().expect("a description");
            let service = auth.bearer_auth().layer(service_fn(
                async |request: Request<GuardedBody<Full<Bytes>>>| {
                    request.into_body().collect().await.expect("it");
                    pending::<()>().await;
                    Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
                },
            ));
            let mut request = post(&issuer.token().sign(), message, &[]);
            *request.method_mut() = method.clone();
            let response = tokio::spawn(service.oneshot(request));
            sleep(MINUTE).await;
            issuer.clock().advance(90 * MINUTE);
            sleep(MINUTE).await;
            assert!(!response.is_finished(), "expiry does not end it");
            auth.revoke(Revocation::subject(ISSUER, "alice"));
            let response = timeout(Duration::from_secs(1), response).await.expect("at once");
            let response = response.expect("a response").expect("a response");
            assert_eq!(response.status(), status, "{message}");
            let challenge = response.headers().contains_key("www-authenticate");
            assert_eq!(challenge, status == StatusCode::UNAUTHORIZED);
            let read = response.into_body().collect().await.expect("it").to_bytes();
            assert!(text.is_empty() || read == text, "{read:?}");
        }
    }
}

const SECRET: &str = "a secret of thirty-two bytes or more";

fn introspected() -> (TestIssuer, McpAuth) {
    let issuer = TestIssuer::builder().client("notes", SECRET).build();
    issuer.resource(RESOURCE, [""; 0]);
    let server = issuer.authorization_server();
    let server = server.introspection(Introspection::basic("notes", SECRET));
    let auth = McpAuth::builder(RESOURCE).authorization_server(server).clock(issuer.clone());
    (issuer, auth.build().expect("a description"))
}

/// A call whose stream is open and silent for a minute, and what comes next.
async fn silent_call(auth: &McpAuth, token: &str) -> (Frames, JoinHandle<Option<String>>) {
    let (frames, response) = streaming(auth, post(token, CALL, &[]), &[EVENTS]);
    let response = tokio::spawn(response);
    sleep(MINUTE).await;
    let mut body = response.await.expect("a response").into_body();
    (frames, tokio::spawn(async move { next(&mut body).await }))
}

/// An issuer calls a token inactive whether it was revoked or has expired.
#[tokio::test(start_paused = true)]
async fn an_introspected_token_that_expires_does_not_end_its_calls() {
    for is_revoked in [false, true] {
        let (issuer, auth) = introspected();
        let token = issuer.token().expires_in(5 * MINUTE).opaque();
        let (frames, read) = silent_call(&auth, &token).await;
        if is_revoked {
            issuer.revoke(&token);
        }
        for _ in 0..20 {
            issuer.clock().advance(MINUTE);
            sleep(Duration::from_secs(11)).await;
        }
        assert_eq!(read.is_finished(), is_revoked);
        let _ = frames.send(data("data: 1\n\n")).await;
        let expected = if is_revoked { event(&revoked("7")) } else { event("1") };
        assert_eq!(read.await.expect("it"), Some(expected));
    }
}

/// A token may be revoked although its expiry is near.
#[tokio::test(start_paused = true)]
async fn an_introspected_token_that_is_revoked_near_its_end_ends_its_calls() {
    let (issuer, auth) = introspected();
    let token = issuer.token().expires_in(2 * MINUTE).opaque();
    let (frames, read) = silent_call(&auth, &token).await;
    issuer.revoke(&token);
    issuer.clock().advance(Duration::from_secs(61)); // what was cached is no longer used
    sleep(Duration::from_secs(11)).await;
    assert!(frames.is_closed());
    assert_eq!(read.await.expect("it"), Some(event(&revoked("7"))));
}

/// Whether a token counts as revoked depends on the clock. The task must not look again and again.
#[tokio::test(start_paused = true)]
async fn a_clock_that_is_set_back_stops_no_thread() {
    let issuer = TestIssuer::new();
    let auth = issuer.protects(RESOURCE).build().expect("a description");
    auth.revoke(Revocation::subject(ISSUER, "alice"));
    issuer.clock().advance(Duration::from_secs(10));
    let token = issuer.token().expires_in(60 * MINUTE).sign();
    let (frames, response) = streamed(&auth, Some(&token), &[EVENTS]).await;
    let mut body = response.into_body();
    frames.send(data("data: 1\n\n")).await.expect("open");
    assert_eq!(next(&mut body).await.as_deref(), Some("data: 1\n\n"));
    let now = issuer.clock().now();
    issuer.clock().set(now - 2 * MINUTE);
    let ended = timeout(Duration::from_secs(1), body.frame()).await;
    assert!(ended.is_ok_and(|frame| frame.is_none()), "as by the clock of now, it is revoked");
}

#[tokio::test(start_paused = true)]
async fn an_outage_of_introspection_ends_no_call() {
    let (issuer, auth) = introspected();
    let token = issuer.token().expires_in(5 * MINUTE).opaque();
    let (frames, read) = silent_call(&auth, &token).await;
    issuer.trouble(Endpoint::Introspection, Trouble::Down);
    for _ in 0..20 {
        issuer.clock().advance(MINUTE);
        sleep(Duration::from_secs(11)).await;
    }
    frames.send(data("data: 1\n\n")).await.expect("it is open");
    assert_eq!(read.await.expect("it").as_deref(), Some("data: 1\n\n"));
}

/// Clients refresh when a stream ends. Two refreshes at once look like a stolen refresh token.
#[tokio::test(start_paused = true)]
async fn no_two_listening_streams_of_a_principal_end_at_once() {
    let issuer = TestIssuer::new();
    let auth = issuer.protects(RESOURCE).build().expect("a description");
    let token = issuer.token().expires_in(5 * MINUTE).sign();
    one_stream_ends_after_the_other(&issuer, &auth, &token).await;
    let (issuer, auth) = introspected();
    let token = issuer.token().expires_in(5 * MINUTE).opaque();
    one_stream_ends_after_the_other(&issuer, &auth, &token).await;
}

async fn one_stream_ends_after_the_other(issuer: &TestIssuer, auth: &McpAuth, token: &str) {
    let mut open = Vec::new();
    for i in 0..8 {
        let (frames, response) = match i % 2 {
            0 => streamed(auth, Some(token), &[EVENTS]).await,
            _ => {
                let (frames, response) = streaming(auth, post(token, LISTEN, &MODERN), &[EVENTS]);
                (frames, response.await)
            }
        };
        open.push((frames, tokio::spawn(response.into_body().collect())));
    }
    let is_over =
        |open: &[(Frames, _)]| open.iter().filter(|(frames, _)| frames.is_closed()).count();
    issuer.clock().advance(6 * MINUTE - Duration::from_secs(1));
    sleep(Duration::from_secs(11)).await;
    assert_eq!(is_over(&open), 0);
    for over in 1..=8 {
        issuer.clock().advance(Duration::from_secs(if over == 1 { 1 } else { 4 }));
        sleep(Duration::from_secs(11)).await;
        assert_eq!(is_over(&open), over, "one at a time, 4 s apart");
    }
    // The token is refused for every new stream at the same time as before.
    let refused = streamed(auth, Some(token), &[EVENTS]).await.1;
    assert_eq!(refused.status(), 401);
}

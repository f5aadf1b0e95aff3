//! Event streams: they end with their token and with their client, and a real client can resume them.

use std::collections::HashMap;
use std::convert::Infallible;
use std::future::{pending, ready};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use futures_util::stream::BoxStream;
use futures_util::{FutureExt as _, StreamExt as _};
use http::header::{CONTENT_LENGTH, HeaderName, HeaderValue};
use http::{Method, Request, Response};
use http_body::{Body as _, Frame};
use http_body_util::{BodyExt as _, Full, StreamBody};
use mcp_auth::{
    ApiKey, ApiKeys, AuthInfo, BoxFuture, Credentials, Denial, GuardedBody, Introspection, McpAuth,
    McpAuthBuilder, ResponseBody, Revocation, VerifiedToken,
};
use mcp_auth_testkit::{Endpoint, TestIssuer, Trouble};
use rmcp::ServiceExt as _;
use rmcp::model::{CallToolRequestParams, ClientJsonRpcMessage};
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::streamable_http_client::{
    StreamableHttpClient, StreamableHttpClientTransportConfig, StreamableHttpError,
    StreamableHttpPostResponse,
};
use sse_stream::{Error as SseError, Sse, SseStream};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tower::{Layer as _, ServiceExt as _, service_fn};

use crate::rmcp_world::{Mode, RESOURCE, Visitor, app, read_until};
use crate::world::{bearer, request};

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(86_400);

pub(crate) type Frames = mpsc::Sender<Result<Frame<Bytes>, &'static str>>;
pub(crate) type Stream = StreamBody<BoxStream<'static, Result<Frame<Bytes>, &'static str>>>;

/// A body of the frames that are sent to its channel.
fn stream() -> (Frames, Stream) {
    let (sender, mut receiver) = mpsc::channel(8);
    let frames = futures_util::stream::poll_fn(move |context| receiver.poll_recv(context));
    (sender, StreamBody::new(frames.boxed()))
}

/// The listening stream (GET) of a streaming service behind `auth`, with these response headers.
pub(crate) async fn streamed(
    auth: &McpAuth,
    token: Option<&str>,
    headers: &[(&'static str, &str)],
) -> (Frames, Response<ResponseBody<Stream>>) {
    let mut request = request(token.map(bearer).unwrap_or_default());
    *request.method_mut() = Method::GET;
    let (frames, response) = streaming(auth, request, headers);
    (frames, response.await)
}

/// The answer of such a service to a POST, as a future.
pub(crate) fn streamed_later(
    auth: &McpAuth,
    token: Option<&str>,
    headers: &[(&'static str, &str)],
) -> (Frames, BoxFuture<'static, Response<ResponseBody<Stream>>>) {
    streaming(auth, request(token.map(bearer).unwrap_or_default()), headers)
}

/// The answer of a streaming service behind `auth` to a request.
pub(crate) fn streaming(
    auth: &McpAuth,
    request: Request<Full<Bytes>>,
    headers: &[(&'static str, &str)],
) -> (Frames, BoxFuture<'static, Response<ResponseBody<Stream>>>) {
    let (frames, body) = stream();
    let mut response = Response::new(body);
    for (name, value) in headers {
        response.headers_mut().append(*name, value.parse().expect("a value"));
    }
    let response = Arc::new(Mutex::new(Some(response)));
    let service = service_fn(move |request: Request<GuardedBody<Full<Bytes>>>| {
        let response = response.clone();
        let answer = async move {
            request.into_body().collect().await.unwrap_or_else(|never| match never {});
            let response = response.lock().expect("it").take();
            Ok::<_, Infallible>(response.expect("one request"))
        };
        Box::pin(answer) as BoxFuture<'static, _>
    });
    let answer = auth.bearer_auth().layer(service).oneshot(request);
    (frames, answer.map(|answer| answer.unwrap_or_else(|never| match never {})).boxed())
}

pub(crate) const EVENTS: (&str, &str) = ("content-type", "text/event-stream");

pub(crate) fn data(text: &str) -> Result<Frame<Bytes>, &'static str> {
    Ok(Frame::data(Bytes::copy_from_slice(text.as_bytes())))
}

/// The next frame, which must come within a day.
pub(crate) async fn next<B: http_body::Body<Data = Bytes, Error = &'static str> + Unpin>(
    body: &mut B,
) -> Option<String> {
    let frame = timeout(DAY, body.frame()).await.expect("it does not hang")?.expect("no error");
    Some(String::from_utf8_lossy(&frame.into_data().expect("data")).into_owned())
}

#[tokio::test(start_paused = true)]
async fn a_stream_ends_when_its_token_does_and_not_before() {
    let issuer = TestIssuer::new();
    let auth = issuer.protects(RESOURCE).build().expect("a description");
    let token = issuer.token().expires_in(5 * MINUTE).sign();
    let (frames, response) = streamed(&auth, Some(&token), &[EVENTS]).await;
    let mut body = response.into_body();
    issuer.clock().advance(6 * MINUTE - Duration::from_millis(1));
    frames.send(data(": alive\n\n")).await.expect("open");
    assert_eq!(next(&mut body).await.as_deref(), Some(": alive\n\n"), "leeway is a minute");
    issuer.clock().advance(Duration::from_millis(1));
    frames.send(data("data: too late\n\n")).await.expect("open");
    assert_eq!(next(&mut body).await, None, "it has ended, without an error");
    assert!(frames.is_closed(), "the inner stream ended with it");
    assert!(body.is_end_stream());
    assert_eq!(next(&mut body).await, None);
}

#[tokio::test(start_paused = true)]
async fn a_silent_stream_ends_as_well() {
    let issuer = TestIssuer::new();
    let auth = issuer.protects(RESOURCE).build().expect("a description");
    let token = issuer.token().expires_in(5 * MINUTE).sign();
    let (_frames, response) = streamed(&auth, Some(&token), &[EVENTS]).await;
    let mut body = response.into_body();
    let wait = tokio::spawn(async move { next(&mut body).await });
    tokio::time::sleep(MINUTE).await;
    issuer.clock().advance(6 * MINUTE);
    assert!(!wait.is_finished());
    assert_eq!(timeout(Duration::from_secs(11), wait).await.expect("in time").expect("it"), None);
}

/// Whether lists are filtered, what the server sends before the token expires, and what it sends afterwards.
type Late<'t> = (bool, &'t [&'t str], &'t [&'t str]);

#[tokio::test(start_paused = true)]
async fn nothing_is_sent_after_the_token_has_expired() {
    let issuer = TestIssuer::new();
    let event = format!("data: {}\n\n", "x".repeat(9000));
    let unreadable = "data: {\"id\":1,\"result\":{\"tools\":[}\n\n";
    let (two, several) = (format!("data: {{}}\n\n{unreadable}"), event.repeat(3) + unreadable);
    let rows: &[Late<'_>] = &[
        (false, &[], &["data: late\n\n"]),
        (false, &["data: x\n\nid: 1"], &[]),
        (true, &[], &[&two]),
        (true, &["data: {}\n\ndata: {}"], &[]),
        (true, &[&several], &[]),
        (false, &[], &["error"]),
    ];
    for (is_filtered, before, after) in rows {
        let builder = issuer.protects(RESOURCE);
        let builder = if *is_filtered { builder.list_only(|_, _, _| true) } else { builder };
        let auth = builder.build().expect("a description");
        let token = issuer.token().expires_in(5 * MINUTE).sign();
        let (frames, response) = streamed(&auth, Some(&token), &[EVENTS]).await;
        let mut body = response.into_body();
        for text in *before {
            frames.send(data(text)).await.expect("open");
            assert!(next(&mut body).await.is_some(), "{text:.30}");
        }
        issuer.clock().advance(6 * MINUTE);
        for text in *after {
            let frame = if *text == "error" { Err("broken") } else { data(text) };
            frames.send(frame).await.expect("open");
        }
        drop(frames);
        assert_eq!(next(&mut body).await, None, "{is_filtered} {before:.30?} {after:?}");
        assert!(body.is_end_stream());
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_ends_when_its_token_is_revoked_and_others_go_on() {
    let issuer = TestIssuer::new();
    let auth = issuer.protects(RESOURCE).streams_outlive_tokens().build().expect("a description");
    let open = async |subject: &str| {
        let token = issuer.token().subject(subject).sign();
        let (frames, response) = streamed(&auth, Some(&token), &[EVENTS]).await;
        (frames, response.into_body())
    };
    let ((_alices, mut alice), (bobs, mut bob)) = (open("alice").await, open("bob").await);
    let wait = tokio::spawn(async move { next(&mut alice).await });
    tokio::time::sleep(MINUTE).await;
    assert!(!wait.is_finished());
    auth.revoke(Revocation::subject("https://issuer.test", "alice"));
    assert_eq!(timeout(Duration::from_secs(1), wait).await.expect("at once").expect("it"), None);
    bobs.send(data("data: 1\n\n")).await.expect("it is open");
    assert_eq!(next(&mut bob).await.as_deref(), Some("data: 1\n\n"));
}

/// An issuer with an introspection endpoint, and a resource that uses it.
fn asked(change: fn(McpAuthBuilder) -> McpAuthBuilder) -> (TestIssuer, McpAuth) {
    let issuer = TestIssuer::builder().client("notes", SECRET).build();
    issuer.resource(RESOURCE, [""; 0]);
    let asking = Introspection::basic("notes", SECRET).introspect_jwts();
    let server = issuer.authorization_server().introspection(asking);
    let auth = McpAuth::builder(RESOURCE).authorization_server(server).clock(issuer.clone());
    let auth = change(auth).build().expect("a description");
    (issuer, auth)
}

const SECRET: &str = "a secret of thirty-two bytes or more";
const KEY: &str = "mcpk_2aVvwqjTq0dVz4yHcJkLmNoPqRsTuVwXyZ012345678";

/// Advances the issuer's clock by a minute, and waits until streams have noticed.
async fn a_minute_later(issuer: &TestIssuer) {
    issuer.clock().advance(MINUTE);
    tokio::time::sleep(Duration::from_secs(11)).await;
}

#[tokio::test(start_paused = true)]
async fn a_stream_ends_when_introspection_says_inactive_and_others_continue() {
    type Token = fn(&TestIssuer, &str) -> String;
    let opaque: Token = |issuer, sub| issuer.token().subject(sub).without("exp").opaque();
    let signed: Token = |issuer, sub| {
        issuer.token().subject(sub).expires_in(DAY).introspectable() // by `introspect_jwts`
    };
    let behind_keys: fn(McpAuthBuilder) -> McpAuthBuilder =
        |it| it.api_keys(ApiKeys::new().key(ApiKey::new("ci", KEY)));
    for (token, change) in
        [(opaque, (|it| it) as fn(_) -> _), (signed, |it| it), (opaque, behind_keys)]
    {
        let (issuer, auth) = asked(change);
        let open = async |subject: &str| {
            let token = token(&issuer, subject);
            let (frames, response) = streamed(&auth, Some(&token), &[EVENTS]).await;
            let mut body = response.into_body();
            (token, frames, tokio::spawn(async move { next(&mut body).await }))
        };
        let (alices, _frames, alice) = open("alice").await;
        let (_, bobs, bob) = open("bob").await;
        for _ in 0..3 {
            a_minute_later(&issuer).await;
            assert!(!alice.is_finished() && !bob.is_finished());
        }
        issuer.revoke(&alices);
        a_minute_later(&issuer).await;
        assert!(alice.is_finished() && !bob.is_finished());
        assert_eq!(alice.await.expect("it"), None, "without an error");
        bobs.send(data("data: 1\n\n")).await.expect("it is open");
        assert_eq!(bob.await.expect("it").as_deref(), Some("data: 1\n\n"));
    }
}

#[tokio::test(start_paused = true)]
async fn streams_of_one_token_share_its_introspection() {
    let (issuer, auth) = asked(|it| it);
    let token = issuer.token().without("exp").opaque();
    let mut open = Vec::new();
    for _ in 0..100 {
        let (frames, response) = streamed(&auth, Some(&token), &[EVENTS]).await;
        let mut body = response.into_body();
        open.push((frames, tokio::spawn(async move { next(&mut body).await })));
    }
    for minutes in 1..=10 {
        a_minute_later(&issuer).await;
        assert_eq!(issuer.introspection_requests(), 1 + minutes);
    }
    // A stream that is never silent is no exception.
    let (frames, response) = streamed(&auth, Some(&token), &[EVENTS]).await;
    let mut body = response.into_body();
    issuer.revoke(&token);
    issuer.clock().advance(MINUTE);
    let mut said = 0;
    while frames.send(data(": still here\n\n")).await.is_ok() && next(&mut body).await.is_some() {
        said += 1;
        tokio::task::yield_now().await;
    }
    assert!(said < 10, "{said}");
    assert_eq!(issuer.introspection_requests(), 12);
}

#[tokio::test(start_paused = true)]
async fn an_introspection_outage_ends_no_stream() {
    for trouble in [Trouble::Down, Trouble::Hang, Trouble::Status(500), Trouble::InvalidDocument] {
        let (issuer, auth) = asked(|it| it);
        let token = issuer.token().without("exp").opaque();
        let (_frames, response) = streamed(&auth, Some(&token), &[EVENTS]).await;
        let mut body = response.into_body();
        let open = tokio::spawn(async move { next(&mut body).await });
        issuer.trouble(Endpoint::Introspection, trouble);
        for _ in 0..5 {
            a_minute_later(&issuer).await;
            assert!(!open.is_finished(), "{trouble:?}");
        }
        assert!(issuer.introspection_requests() > 3, "{trouble:?}");
        issuer.recover();
        a_minute_later(&issuer).await;
        assert!(!open.is_finished(), "{trouble:?}");
        issuer.revoke(&token);
        a_minute_later(&issuer).await;
        assert!(open.is_finished(), "{trouble:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn streams_outlive_tokens_disables_introspection_of_streams() {
    let (issuer, auth) = asked(McpAuthBuilder::streams_outlive_tokens);
    let token = issuer.token().without("exp").opaque();
    let (_frames, response) = streamed(&auth, Some(&token), &[EVENTS]).await;
    let mut body = response.into_body();
    let open = tokio::spawn(async move { next(&mut body).await });
    issuer.revoke(&token);
    a_minute_later(&issuer).await;
    assert_eq!((open.is_finished(), issuer.introspection_requests()), (false, 1));
}

#[tokio::test(start_paused = true)]
async fn streams_without_a_deadline_stay_open() {
    let issuer = TestIssuer::new();
    let endless = |_: Credentials| async {
        Ok::<_, Denial>(VerifiedToken::assert("https://issuer.test", "alice").audience(RESOURCE))
    };
    let outlive: fn(McpAuthBuilder) -> McpAuthBuilder = McpAuthBuilder::streams_outlive_tokens;
    let builder = || issuer.protects(RESOURCE);
    let json = ("content-type", "application/json");
    let token = issuer.token().audience(RESOURCE).expires_in(5 * MINUTE).sign();
    let token = Some(&*token);
    let opened = [
        ("as set", streamed(&outlive(builder()).build().expect("it"), token, &[EVENTS]).await),
        (
            "no expiry",
            streamed(&builder().verifier(endless).build().expect("it"), token, &[EVENTS]).await,
        ),
        ("anonymous", streamed(&builder().optional().build().expect("it"), None, &[EVENTS]).await),
        ("no stream", streamed(&builder().build().expect("it"), token, &[json]).await),
    ];
    issuer.clock().advance(365 * DAY);
    for (name, (frames, response)) in opened {
        let mut body = response.into_body();
        assert!(timeout(DAY, body.frame()).await.is_err(), "{name}");
        frames.send(data("{}\n")).await.expect("open");
        assert_eq!(next(&mut body).await.as_deref(), Some("{}\n"), "{name}");
        drop(frames);
        assert_eq!(next(&mut body).await, None, "{name}");
    }
}

#[tokio::test]
async fn a_stream_passes_frame_by_frame_with_its_trailers_and_errors() {
    let issuer = TestIssuer::new();
    let auth = issuer.protects(RESOURCE).build().expect("a description");
    let token = issuer.token().sign();
    let length = ("content-length", "1000");
    let (frames, response) = streamed(&auth, Some(&token), &[EVENTS, length]).await;
    assert!(!response.headers().contains_key(CONTENT_LENGTH), "ids become longer");
    let mut body = response.into_body();
    assert_eq!(body.size_hint().exact(), None);
    for (given, expected) in [(":\n\n", ":\n\n"), ("data: a", "data: a"), ("\n\nid", "\n\n")] {
        frames.send(data(given)).await.expect("open");
        assert_eq!(next(&mut body).await.as_deref(), Some(expected));
    }
    frames.send(data(": 7\n\n")).await.expect("open");
    let id = next(&mut body).await.expect("a frame");
    assert!(id.starts_with("id: 7.") && id.len() == "id: 7.\n\n".len() + 22, "{id}");
    frames.send(data("id: 8")).await.expect("open");
    let trailer = [("x-sum".parse().expect("a name"), HeaderValue::from_static("1"))];
    frames.send(Ok(Frame::trailers(trailer.into_iter().collect()))).await.expect("open");
    assert!(next(&mut body).await.expect("what was held back").starts_with("id: 8."));
    assert!(body.frame().await.expect("a frame").expect("no error").is_trailers());
    frames.send(Err("reset")).await.expect("open");
    assert_eq!(body.frame().await.expect("a frame").err(), Some("reset"));
    drop(frames);
    assert!(body.frame().await.is_none() && body.is_end_stream());
}

#[tokio::test]
async fn a_last_line_without_an_end_is_not_lost() {
    let issuer = TestIssuer::new();
    let auth = issuer.protects(RESOURCE).build().expect("a description");
    let service = auth.bearer_auth().layer(service_fn(|_: Request<_>| {
        let mut response = Response::new(Full::new(Bytes::from_static(b"data: x\n\nid: 1")));
        response.headers_mut().insert("content-type", HeaderValue::from_static(EVENTS.1));
        ready(Ok::<_, Infallible>(response))
    }));
    let response = service.oneshot(request(bearer(&issuer.token().sign()))).await;
    let mut body = response.expect("an answer").into_body();
    let mut read = Vec::new();
    while !body.is_end_stream() {
        let Some(frame) = body.frame().await else { break };
        read.extend(frame.expect("no error").into_data().expect("data"));
    }
    assert!(read.starts_with(b"data: x\n\nid: 1."), "{read:?}");
}

#[tokio::test(start_paused = true)]
async fn a_compressed_stream_is_passed_unchanged_and_ends_with_its_token() {
    let issuer = TestIssuer::new();
    let auth = issuer.protects(RESOURCE).build().expect("a description");
    let token = issuer.token().expires_in(5 * MINUTE).sign();
    let zipped = ("content-encoding", "gzip");
    let (frames, response) = streamed(&auth, Some(&token), &[EVENTS, zipped]).await;
    let mut body = response.into_body();
    frames.send(data("id: 1\n")).await.expect("open");
    assert_eq!(next(&mut body).await.as_deref(), Some("id: 1\n"));
    issuer.clock().advance(6 * MINUTE);
    assert_eq!(next(&mut body).await, None);
}

#[tokio::test]
async fn a_client_disconnect_cancels_the_inner_request() {
    let issuer = TestIssuer::new();
    let auth = issuer.protects(RESOURCE).build().expect("a description");
    let token = issuer.token().sign();
    let (alive, mut is_dropped) = mpsc::channel::<()>(1);
    let service = auth.bearer_auth().layer(service_fn(move |_: Request<_>| {
        let alive = alive.clone();
        async move {
            alive.send(()).await.expect("somebody waits");
            pending::<()>().await;
            Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
        }
    }));
    let answer = tokio::spawn(service.oneshot(request(bearer(&token))));
    is_dropped.recv().await.expect("the request is there");
    answer.abort();
    assert_eq!(is_dropped.recv().await, None, "the inner future is gone");

    let (frames, response) = streamed(&auth, Some(&token), &[EVENTS]).await;
    assert!(!frames.is_closed());
    drop(response);
    assert!(frames.is_closed(), "the inner body is gone");

    let (frames, answer) = streamed_later(&auth, Some(&token), &[EVENTS]);
    let mut answer = Box::pin(answer);
    assert!(timeout(Duration::from_millis(20), &mut answer).await.is_err());
    assert!(!frames.is_closed(), "it waits for the first message");
    drop(answer);
    assert!(frames.is_closed(), "the inner body is gone");
}

/// The event with which rmcp begins a stream, so that a client can resume it.
const PREAMBLE: &str = "id: 0\nretry: 3000\ndata: \n\n";

/// What the server sends, each item after a delay in milliseconds (`"end"` and `"error"` end the body); after how many
/// milliseconds the response head arrives; its status; how the first frame begins.
type Begun<'t> = (&'t [(u64, &'t str)], u64, u16, &'t str);

#[tokio::test(start_paused = true)]
async fn the_response_head_waits_up_to_100_ms_for_the_first_message() {
    let issuer = TestIssuer::new();
    let auth = issuer.protects(RESOURCE).build().expect("a description");
    let token = issuer.token().sign();
    let little = [(1, ":\n\n"); 16];
    let rows: &[Begun<'_>] = &[
        (&[(0, "data: 1\n\n")], 0, 200, "data: 1\n\n"),
        (&[(0, PREAMBLE), (0, "data: 1\n\n")], 0, 200, "id: 0."),
        (&[(0, PREAMBLE), (40, "data: 1\n\n")], 40, 200, "id: 0."),
        (&[(30, PREAMBLE), (30, "id: 1\ndata: 1\n\n")], 60, 200, "id: 0."),
        (&[(0, PREAMBLE)], 100, 200, "id: 0."),
        (
            &[(0, PREAMBLE), (40, ": still here\n\n"), (40, ":\n"), (40, "data: 1\n\n")],
            100,
            200,
            "id: 0.",
        ),
        (&[(120, "data: 1\n\n")], 100, 200, "data: 1\n\n"),
        (&[(10, "dat")], 10, 200, "dat"),
        (&[(0, "event: ping\ndata\n\n")], 0, 200, "event"),
        (&little, 16, 200, ":"),
        (&[(0, PREAMBLE), (20, "end")], 20, 200, "id: 0."),
        (&[(20, "end")], 20, 200, ""),
        (&[(0, PREAMBLE), (20, "error")], 20, 502, r#"{"error":"bad_gateway""#),
    ];
    for (sent, at, status, first) in rows {
        let (frames, answer) = streamed_later(&auth, Some(&token), &[EVENTS]);
        let sent: Vec<(u64, String)> =
            sent.iter().map(|(at, it)| (*at, (*it).to_owned())).collect();
        let server = tokio::spawn(async move {
            for (after, what) in sent {
                tokio::time::sleep(Duration::from_millis(after)).await;
                match &*what {
                    "end" => return,
                    "error" => frames.send(Err("broken")).await.expect("open"),
                    text => frames.send(data(text)).await.expect("open"),
                }
            }
            pending::<()>().await;
        });
        let begun = tokio::time::Instant::now();
        let response = answer.await;
        let took = begun.elapsed().as_millis();
        assert!((u128::from(*at)..=u128::from(*at) + 2).contains(&took), "{took} {first}");
        assert_eq!(response.status(), *status, "{first}");
        let mut body = response.into_body();
        let frame = timeout(DAY, body.frame()).await.expect("it does not hang");
        let frame = frame.map(|it| it.expect("no error").into_data().expect("data"));
        let text = frame.unwrap_or_default();
        assert!(text.starts_with(first.as_bytes()), "{text:?} {first}");
        server.abort();
    }
}

/// The answer of a service behind `auth` whose body is always ready and consists of these frames.
async fn at_once(
    auth: &McpAuth,
    method: Method,
    headers: http::HeaderMap,
    frames: impl Iterator<Item = Result<Frame<Bytes>, &'static str>> + Send + 'static,
) -> Response<ResponseBody<Stream>> {
    let frames = Arc::new(Mutex::new(Some(frames)));
    let service = auth.bearer_auth().layer(service_fn(move |_: Request<_>| {
        let frames = frames.lock().expect("it").take().expect("one request");
        let mut response =
            Response::new(StreamBody::new(futures_util::stream::iter(frames).boxed()));
        response.headers_mut().insert("content-type", HeaderValue::from_static(EVENTS.1));
        ready(Ok::<_, Infallible>(response))
    }));
    let mut request = request(headers);
    *request.method_mut() = method;
    service.oneshot(request).await.unwrap_or_else(|never| match never {})
}

#[tokio::test]
async fn waiting_for_the_first_message_does_not_change_the_body() {
    let issuer = TestIssuer::new();
    let auth = issuer.protects(RESOURCE).build().expect("a description");
    let text = |text: &'static str| Ok(Frame::data(Bytes::from_static(text.as_bytes())));
    let trailers = |name: &'static str| {
        let name = HeaderName::from_static(name);
        Ok(Frame::trailers([(name, HeaderValue::from_static("1"))].into_iter().collect()))
    };
    let (data, more) = ("data: 1\n\n", ": more\n\n");
    type Make<'t> = &'t dyn Fn() -> Vec<Result<Frame<Bytes>, &'static str>>;
    let rows: [Make<'_>; 9] = [
        &|| vec![],
        &|| vec![text(PREAMBLE)],
        &|| vec![text(PREAMBLE), text(data)],
        &|| vec![text(PREAMBLE), text(data), Err("broken")],
        &|| vec![text(data), text(more), Err("broken")],
        &|| vec![text(PREAMBLE), text(data), trailers("x-a"), trailers("x-b")],
        &|| vec![text(PREAMBLE), trailers("x-a"), text(data)],
        &|| vec![text(PREAMBLE), trailers("x-a"), Err("broken")],
        &|| {
            vec![
                text(": a\n"),
                text(""),
                text("i"),
                text("d: 7\n"),
                text("dat"),
                text("a: 1\n\nid: 8"),
            ]
        },
    ];
    let token = issuer.token().sign();
    for (row, frames) in rows.iter().enumerate() {
        let mut seen = Vec::new();
        for method in [Method::GET, Method::POST] {
            let response = at_once(&auth, method, bearer(&token), frames().into_iter()).await;
            let (mut body, mut said) = (response.into_body(), Vec::new());
            while let Some(frame) = body.frame().await {
                match frame.map(Frame::into_data) {
                    Ok(Ok(data)) => said.extend(data),
                    other => said.extend(format!("{other:?}").bytes()),
                }
            }
            seen.push(String::from_utf8(said).expect("text"));
        }
        assert_eq!(seen[0], seen[1], "{row}");
    }
}

#[tokio::test]
async fn an_always_ready_body_without_messages_ends_with_its_token() {
    for empty in ["", "id: \0\n", ":\n"] {
        for method in [Method::GET, Method::POST] {
            let is_listening = method == Method::GET;
            let issuer = TestIssuer::new();
            let auth = issuer.protects(RESOURCE).build().expect("a description");
            let headers = bearer(&issuer.token().expires_in(5 * MINUTE).sign());
            let (clock, revoking, mut polls) = (issuer.clock(), auth.clone(), 0);
            let frames = std::iter::repeat_with(move || {
                polls += 1;
                if polls == 1000 && is_listening {
                    clock.advance(DAY);
                } else if polls == 1000 {
                    revoking.revoke(Revocation::subject("https://issuer.test", "alice"));
                }
                data(empty)
            });
            let response = at_once(&auth, method, headers, frames).await;
            assert_eq!(response.status(), 200);
            let said = response.into_body().collect().await.expect("no error").to_bytes();
            assert!(said.len() < 4000, "{}", said.len());
        }
    }
}

#[tokio::test]
async fn a_handlers_denial_is_403_even_if_the_body_breaks_off() {
    let issuer = TestIssuer::new();
    let auth = issuer.protects(RESOURCE).build().expect("a description");
    for (is_refused, status) in [(true, 403), (false, 502)] {
        let service = auth.bearer_auth().layer(service_fn(move |request: Request<_>| {
            let caller = request.extensions().get::<AuthInfo>().expect("a caller");
            let missing = if is_refused { "admin" } else { "read" };
            assert_eq!(caller.require([missing]).is_err(), is_refused);
            let frames = [data(PREAMBLE), Err("broken")];
            let mut response = Response::new(StreamBody::new(futures_util::stream::iter(frames)));
            response.headers_mut().insert("content-type", HeaderValue::from_static(EVENTS.1));
            ready(Ok::<_, Infallible>(response))
        }));
        let request = request(bearer(&issuer.token().scopes(["read"]).sign()));
        assert_eq!(service.oneshot(request).await.expect("an answer").status(), status);
    }
}

#[test]
fn without_tokio_the_head_does_not_wait_for_a_first_message() {
    let verifier = |_: Credentials| async {
        Ok::<_, Denial>(VerifiedToken::assert("https://issuer.test", "alice").audience(RESOURCE))
    };
    let auth = McpAuth::builder(RESOURCE).authorization_server("https://issuer.test");
    let auth = auth.verifier(verifier).build().expect("a description");
    let (_frames, answer) = streamed_later(&auth, Some("a-token"), &[EVENTS]);
    let answer = futures_util::FutureExt::now_or_never(answer).expect("an answer at once");
    assert_eq!(answer.status(), 200);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_over_at_once_can_be_sent_as_a_whole() {
    let issuer = TestIssuer::new();
    let auth = issuer.protects(RESOURCE).build().expect("a description");
    let token = issuer.token().sign();
    for (lasts, is_whole) in [(0, true), (1, false)] {
        let (frames, answer) = streamed_later(&auth, Some(&token), &[EVENTS]);
        tokio::spawn(async move {
            for text in [PREAMBLE, "data: 1\n\n"] {
                frames.send(data(text)).await.expect("open");
            }
            match lasts {
                0 => tokio::task::yield_now().await,
                lasts => tokio::time::sleep(Duration::from_millis(lasts)).await,
            }
            drop(frames);
        });
        let begun = tokio::time::Instant::now();
        let mut body = answer.await.into_body();
        assert_eq!(begun.elapsed(), Duration::ZERO, "nobody waits for the end");
        let all = async {
            let mut said = String::new();
            while let Some(text) = next(&mut body).await {
                said += &text;
            }
            assert!(said.starts_with("id: 0.") && said.ends_with("data: 1\n\n"), "{said}");
        };
        let mut all = Box::pin(all);
        assert_eq!(futures_util::FutureExt::now_or_never(&mut all).is_some(), is_whole);
        if !is_whole {
            all.await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn only_authenticated_posts_wait_for_the_first_message() {
    let issuer = TestIssuer::new();
    let auth = issuer.protects(RESOURCE).optional().build().expect("a description");
    let service = auth.bearer_auth().layer(service_fn(|_: Request<_>| {
        let mut response = Response::new(StreamBody::new(futures_util::stream::pending()));
        response.headers_mut().insert("content-type", HeaderValue::from_static(EVENTS.1));
        ready(Ok::<_, Infallible>(response.map(|body: StreamBody<Never>| body)))
    }));
    let token = issuer.token().sign();
    for (method, headers, at) in [
        (Method::GET, bearer(&token), 0),
        (Method::POST, bearer(&token), 100),
        (Method::POST, http::HeaderMap::new(), 0), // anonymous: there is no caller to refuse
    ] {
        let mut request = request(headers);
        *request.method_mut() = method;
        let begun = tokio::time::Instant::now();
        let response = service.clone().oneshot(request).await.expect("an answer");
        assert_eq!((response.status().as_u16(), begun.elapsed().as_millis() / 10 * 10), (200, at));
    }
}

type Never = futures_util::stream::Pending<Result<Frame<Bytes>, Infallible>>;

/// The answer of a handler that refuses its caller after some milliseconds, in a session. It may send a message before.
/// The receiver closes with the inner stream.
pub(crate) async fn refused_by_handler(
    auth: &McpAuth,
    token: &str,
    refuses_at: u64,
    says_something: bool,
) -> (Response<ResponseBody<Stream>>, mpsc::Receiver<()>) {
    let (alive, is_dropped) = mpsc::channel::<()>(1);
    let service = auth.bearer_auth().layer(service_fn(move |request: Request<_>| {
        let caller = request.extensions().get::<AuthInfo>().expect("a caller").clone();
        let (frames, body) = stream();
        let alive = alive.clone();
        tokio::spawn(async move {
            let _alive = alive;
            frames.send(data(PREAMBLE)).await.expect("open");
            if says_something {
                frames.send(data("data: {\"method\":\"progress\"}\n\n")).await.expect("open");
            }
            tokio::time::sleep(Duration::from_millis(refuses_at)).await;
            caller.require(["admin"]).expect_err("it was not granted");
            drop(frames.send(data("data: {\"error\":{}}\n\n")).await);
        });
        let mut response = Response::new(body);
        response.headers_mut().insert("content-type", HeaderValue::from_static(EVENTS.1));
        response.headers_mut().insert("mcp-session-id", HeaderValue::from_static("s"));
        ready(Ok::<_, Infallible>(response))
    }));
    let response = service.oneshot(request(bearer(token))).await;
    (response.expect("an answer"), is_dropped)
}

#[tokio::test(start_paused = true)]
async fn a_handlers_denial_before_the_first_message_is_403() {
    let issuer = TestIssuer::new();
    let auth = issuer.protects(RESOURCE).build().expect("a description");
    let token = issuer.token().scopes(["read"]).sign();
    for (refuses_at, says_something, status) in
        [(0, false, 403), (60, false, 403), (60, true, 200), (130, false, 200)]
    {
        let row = (refuses_at, says_something);
        let (response, mut is_dropped) =
            refused_by_handler(&auth, &token, refuses_at, says_something).await;
        assert_eq!(response.status(), status, "{row:?}");
        let (head, mut body) = response.into_parts();
        let challenge = head.headers.get("www-authenticate").map(|it| it.to_str().expect("it"));
        let names_it = challenge.is_some_and(|it| it.contains("scope=\"admin\""));
        assert_eq!(names_it, status == 403, "{row:?} {challenge:?}");
        assert_eq!(head.headers.contains_key("mcp-session-id"), status == 200, "{row:?}");
        let mut said = Vec::new();
        while let Some(frame) = body.frame().await {
            said.extend(frame.expect("no error").into_data().expect("data"));
        }
        let said = String::from_utf8(said).expect("text");
        let is_in_band = said.ends_with("data: {\"error\":{}}\n\n");
        assert_eq!(is_in_band, status == 200, "{row:?} {said}");
        assert_eq!(is_dropped.recv().await, None, "{row:?}: the inner stream is over");
    }
}

#[tokio::test(start_paused = true)]
async fn a_listening_rmcp_client_reconnects_with_its_next_token() {
    let issuer = TestIssuer::new();
    let auth = issuer.protects(RESOURCE).build().expect("a description");
    let (router, _) = app(Some(&auth), Mode::Stateful);
    let alice = Visitor::new(&router, &issuer.token().expires_in(5 * MINUTE).sign());
    let session = alice.initialize().await;
    let mut stream = alice.clone().in_session(&session).send(Method::GET, "").await.into_body();
    read_until(&mut stream, "id: ").await;
    issuer.clock().advance(6 * MINUTE);
    let rest = timeout(MINUTE, stream.collect()).await.expect("it ends").expect("cleanly");
    assert!(!rest.to_bytes().contains(&b'{'));
    assert_eq!(alice.clone().in_session(&session).send(Method::GET, "").await.status(), 401);
    let alice = Visitor::new(&router, &issuer.token().sign()).in_session(&session);
    let mut stream = alice.send(Method::GET, "").await.into_body();
    read_until(&mut stream, "id: ").await;
}

/// The transport of a real rmcp client, without a socket. It loses the answer to a tool call after one event.
#[derive(Clone)]
struct Client {
    visitor: Visitor,
    resumed_after: Arc<Mutex<Vec<String>>>,
}

type Outcome<T> = Result<T, StreamableHttpError<Infallible>>;
type Custom = HashMap<HeaderName, HeaderValue>;

impl Client {
    async fn send(
        &self,
        method: Method,
        headers: [(&'static str, Option<&str>); 2],
        custom: Custom,
        body: &str,
    ) -> Response<Body> {
        let mut visitor = self.visitor.clone();
        for (name, value) in headers {
            visitor = value.into_iter().fold(visitor, |visitor, value| visitor.with(name, value));
        }
        visitor.headers.extend(custom);
        visitor.send(method, body).await
    }
}

impl StreamableHttpClient for Client {
    type Error = Infallible;

    async fn post_message(
        &self,
        _: Arc<str>,
        message: ClientJsonRpcMessage,
        session: Option<Arc<str>>,
        _: Option<String>,
        custom: Custom,
    ) -> Outcome<StreamableHttpPostResponse> {
        let body = serde_json::to_string(&message).expect("JSON");
        let headers = [
            ("mcp-session-id", session.as_deref()),
            ("accept", Some("application/json, text/event-stream")),
        ];
        let response = self.send(Method::POST, headers, custom, &body).await;
        let id = response.headers().get("mcp-session-id");
        let id = id.map(|id| id.to_str().expect("text").to_owned());
        if response.status() == 202 {
            return Ok(StreamableHttpPostResponse::Accepted);
        }
        assert_eq!(response.status(), 200, "{body}");
        let events = SseStream::new(response.into_body());
        let events =
            if body.contains("tools/call") { events.take(1).boxed() } else { events.boxed() };
        Ok(StreamableHttpPostResponse::Sse(events, id))
    }

    async fn delete_session(
        &self,
        _: Arc<str>,
        session: Arc<str>,
        _: Option<String>,
        custom: Custom,
    ) -> Outcome<()> {
        let headers = [("mcp-session-id", Some(&*session)), ("accept", None)];
        self.send(Method::DELETE, headers, custom, "").await;
        Ok(())
    }

    async fn get_stream(
        &self,
        _: Arc<str>,
        session: Option<Arc<str>>,
        last_event: Option<String>,
        _: Option<String>,
        custom: Custom,
    ) -> Outcome<BoxStream<'static, Result<Sse, SseError>>> {
        self.resumed_after.lock().expect("a list").extend(last_event.clone());
        let headers =
            [("mcp-session-id", session.as_deref()), ("last-event-id", last_event.as_deref())];
        let response = self.send(Method::GET, headers, custom, "").await;
        assert_eq!(response.status(), 200);
        Ok(SseStream::new(response.into_body()).boxed())
    }
}

#[tokio::test(start_paused = true)]
async fn a_real_client_resumes_a_stream_that_it_lost() {
    let issuer = TestIssuer::new();
    let auth = issuer.protects(RESOURCE).build().expect("a description");
    let (router, gate) = app(Some(&auth), Mode::Stateful);
    let visitor = Visitor::new(&router, &issuer.token().sign());
    let client = Client { visitor, resumed_after: Arc::default() };
    let config = StreamableHttpClientTransportConfig::with_uri("http://localhost/mcp");
    let transport = StreamableHttpClientTransport::with_client(client.clone(), config);
    let session = ().serve(transport).await.expect("a session");
    let result = session.call_tool(CallToolRequestParams::new("slow"));
    let opened = async {
        while !client.resumed_after.lock().expect("a list").iter().any(|id| id.starts_with("0/0."))
        {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        gate.notify_one();
    };
    let (result, ()) = tokio::join!(result, opened);
    let result = serde_json::to_string(&result.expect("a result")).expect("JSON");
    assert!(result.contains("the secret of alice"), "{result}");
    session.cancel().await.expect("closed");
}

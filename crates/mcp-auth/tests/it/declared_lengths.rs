//! A body whose length is declared is complete when its bytes are there, whether its end is there or not.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use mcp_auth::{GuardedBody, McpAuth, ToolScopes};
use mcp_auth_testkit::TestIssuer;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, timeout};
use tower::{Layer as _, ServiceExt as _, service_fn};

use crate::world::{RESOURCE, bearer};

const CALL: &str = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"whoami"}}"#;

fn protected(issuer: &TestIssuer) -> McpAuth {
    let rules = ToolScopes::new().tool("pay", ["pay"]);
    issuer.protects(RESOURCE).tools(rules).build().expect("a description")
}

/// A body of these frames, which is silent after them, unless it ends.
struct Declared {
    length: Option<usize>,
    frames: VecDeque<Frame<Bytes>>,
    ends: bool,
}

impl Body for Declared {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.frames.pop_front() {
            Some(frame) => {
                let read = frame.data_ref().map_or(0, Bytes::len);
                self.length = self.length.map(|length| length.saturating_sub(read));
                Poll::Ready(Some(Ok(frame)))
            }
            None if self.ends => Poll::Ready(None),
            None => Poll::Pending,
        }
    }

    fn size_hint(&self) -> SizeHint {
        let exact = self.length.map(|length| SizeHint::with_exact(length as u64));
        exact.unwrap_or_default()
    }
}

/// The service answers with what it received: the body, and a `t` trailer.
async fn told(
    request: Request<GuardedBody<Declared>>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let body = request.into_body().collect().await?;
    let trailer = body.trailers().and_then(|trailers| trailers.get("t")).cloned();
    let mut response = Response::new(Full::from(body.to_bytes()));
    response.headers_mut().extend(trailer.map(|value| (http::HeaderName::from_static("t"), value)));
    Ok(response)
}

#[tokio::test(start_paused = true)]
async fn a_declared_body_is_complete_with_its_last_byte_and_never_longer() {
    let issuer = TestIssuer::new();
    let auth = protected(&issuer);
    let all = CALL.len();
    let (start, end) = CALL.split_at(10);
    for (length, frames, ends, expected) in [
        (Some(all), &[CALL][..], false, 200),
        (Some(all), &[CALL], true, 200),
        (Some(all), &[start, "", end], false, 200),
        (Some(all), &[start, end, "", "TRAILERS"], false, 200),
        (Some(all), &[start], false, 408),
        (None, &[CALL], false, 408),
        (None, &[CALL], true, 200),
        (Some(all), &[CALL, " "], false, 400),
        (Some(all), &[CALL, " "], true, 400),
        (Some(all - 1), &[CALL], false, 400),
        (Some(10), &[start, end], true, 400),
        (Some(0), &[CALL], true, 400),
    ] {
        let frame = |text: &&str| match *text {
            "TRAILERS" => {
                let trailers =
                    [(http::HeaderName::from_static("t"), "x".parse().expect("a value"))];
                Frame::trailers(trailers.into_iter().collect::<HeaderMap>())
            }
            text => Frame::data(Bytes::copy_from_slice(text.as_bytes())),
        };
        let body = Declared { length, frames: frames.iter().map(frame).collect(), ends };
        let mut request = Request::post("/mcp").body(body).expect("a request");
        *request.headers_mut() = bearer(&issuer.token().sign());
        let begin = Instant::now();
        let response = auth.bearer_auth().layer(service_fn(told)).oneshot(request).await;
        let response = response.expect("a response");
        assert_eq!(response.status(), expected, "{length:?} {frames:?} {ends}");
        let waited = if expected == 408 { Duration::from_secs(30) } else { Duration::ZERO };
        assert_eq!(begin.elapsed().as_secs(), waited.as_secs(), "{length:?} {frames:?}");
        if expected == 200 {
            let has_trailers = response.headers().contains_key("t");
            assert_eq!(has_trailers, frames.contains(&"TRAILERS"));
            let body = response.into_body().collect().await.expect("a body").to_bytes();
            assert_eq!(body, CALL, "what was sent");
        }
    }
}

/// In HTTP/2 the end of a body is a flag, which may come in a frame of its own, or never.
#[tokio::test]
async fn in_http_2_a_body_without_its_end_flag_does_not_keep_its_client_waiting() {
    let issuer = TestIssuer::new();
    let auth = protected(&issuer);
    let whoami = service_fn(|request: Request<GuardedBody<hyper::body::Incoming>>| async move {
        let body = request.into_body().collect().await.map(|body| body.to_bytes());
        Ok::<_, Infallible>(Response::new(Full::from(body.unwrap_or_default())))
    });
    let service = auth.bearer_auth().layer(whoami);
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((connection, _)) = listener.accept().await {
            let service = TowerToHyperService::new(service.clone());
            tokio::spawn(async move {
                let server = auto::Builder::new(TokioExecutor::new());
                let _ = server.serve_connection(TokioIo::new(connection), service).await;
            });
        }
    });
    let connection = TcpStream::connect(address).await.expect("a connection");
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(connection))
            .await
            .expect("HTTP/2");
    tokio::spawn(connection);
    for (declared, is_answered) in
        [(Some(CALL.len()), true), (Some(CALL.len() + 1), false), (None, false)]
    {
        let frames = [Frame::data(Bytes::from_static(CALL.as_bytes()))].into();
        // The client sends what is declared as a header, and no end.
        let body = Declared { length: None, frames, ends: false };
        let mut request =
            Request::post("http://api.example.com/mcp").body(body).expect("a request");
        *request.headers_mut() = bearer(&issuer.token().sign());
        if let Some(declared) = declared {
            request.headers_mut().insert("content-length", declared.into());
        }
        let wait = Duration::from_secs(if is_answered { 20 } else { 1 });
        let response = timeout(wait, sender.send_request(request)).await;
        let status = response.ok().map(|response| response.expect("an answer").status().as_u16());
        assert_eq!(status, is_answered.then_some(200), "{declared:?}");
    }
}

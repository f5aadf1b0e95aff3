//! Callers that try to keep out of the audit log what they do, or to keep others out of it.

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use http_body_util::StreamBody;
use hyper::body::Frame;
use hyper_util::rt::{TokioExecutor, TokioIo};
use mcp_auth_gateway::{AuditedDecision, AuditedMessage};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::audit::file;
use crate::world::{OK, PATIENCE, Upstream, World, call, hang_up, status};

const LOG: &str = "file = \"{folder}/audit.jsonl\"";

/// HTTP/2 can send as many bytes as it has declared, and leave its stream open.
#[tokio::test(flavor = "multi_thread")]
async fn a_message_whose_stream_stays_open_is_not_passed_on_before_it_is_known() {
    let upstream = Upstream::answering(OK).await;
    let rest = "optional = true\n";
    let world = World::new("open", &file(&upstream.address.to_string(), LOG, rest)).await;
    let stream = TcpStream::connect(world.gateway).await.expect("a connection");
    let connecting =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream));
    let (mut sender, connection) = connecting.await.expect("HTTP/2");
    tokio::spawn(connection);
    let (end, ended) = oneshot::channel::<()>();
    let message = Bytes::from(call("hidden"));
    let length = message.len();
    let first = stream::iter([Ok::<_, std::convert::Infallible>(Frame::data(message))]);
    let last = stream::once(async move {
        _ = ended.await;
        Ok(Frame::data(Bytes::new()))
    });
    let request = http::Request::post(world.url("/files"))
        .header("content-type", "application/json")
        .header("content-length", length)
        .body(StreamBody::new(Box::pin(first.chain(last))))
        .expect("a request");
    let response = tokio::spawn(async move { sender.send_request(request).await });
    let seen = world.send(&world.post("/files", "", &call("seen"))).await;
    assert_eq!(status(&seen), 200);
    let line = world.decisions(1).await.remove(0);
    assert_eq!(line.request.tool.as_deref(), Some("seen"));
    assert!(!upstream.requests().iter().any(|request| request.contains("hidden")));
    end.send(()).expect("it waits");
    let response = timeout(PATIENCE, response).await.expect("in time").expect("a task");
    assert_eq!(response.expect("a response").status(), 200);
    let line = world.decisions(2).await.remove(1);
    assert_eq!(line.decision, AuditedDecision::Anonymous);
    assert_eq!(line.request.message, AuditedMessage::Read);
    assert_eq!(line.request.method.as_deref(), Some("tools/call"));
    assert_eq!(line.request.tool.as_deref(), Some("hidden"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_log_could_not_say_is_not_passed_on() {
    let upstream = Upstream::answering(OK).await;
    let of = |audit: &str, rest: &str| {
        let text = file(&upstream.address.to_string(), audit, rest);
        if audit.is_empty() { text.replace("audit = {  }\n", "") } else { text }
    };
    let world = World::new("unreadable", &of(LOG, "")).await;
    let token = world.token("/files", "alice", &["read"]);
    let lines = format!("Authorization: Bearer {token}\r\n");
    let twice = r#"{"jsonrpc":"2.0","id":1,"method":"ping","method":"tools/call"}"#;
    let nameless = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{}}"#;
    let upgrade = format!("{lines}Connection: upgrade\r\nUpgrade: websocket\r\n");
    let other = format!("{lines}Content-Encoding: gzip\r\n");
    let rows = [
        (&lines, "hello"),
        (&lines, twice),
        (&lines, nameless),
        (&lines, ""),
        (&lines, "\u{feff}{}"),
        (&upgrade, &*call("list")),
        (&other, &*call("list")),
    ]
    .map(|(lines, body)| world.post("/files", lines, body));
    let refused = async || {
        for request in &rows {
            let response = world.send(request).await;
            assert_eq!(status(&response) / 100, 4, "{request}: {response}");
        }
    };
    refused().await;
    let all = world.decisions(rows.len()).await;
    assert!(all.iter().all(|line| line.decision == AuditedDecision::Denied));
    // The log that is open stays so until a restart, whatever the file says by then.
    world.write(&of("", "name = \"Changed\"\n"));
    hang_up();
    let metadata = format!(
        "GET /.well-known/oauth-protected-resource/files HTTP/1.1\r\nHost: {}\r\n\r\n",
        world.gateway
    );
    crate::world::until(async || world.send(&metadata).await.contains("Changed").then_some(()))
        .await;
    refused().await;
    assert_eq!(upstream.requests(), [""; 0]);
}

//! Callers that try to keep out of the audit log what they do, or to keep others out of it.

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use http_body_util::StreamBody;
use hyper::body::Frame;
use hyper_util::rt::{TokioExecutor, TokioIo};
use mcp_auth_gateway::{AuditLine, AuditedDecision, AuditedMessage};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::audit::file;
use crate::world::{OK, PATIENCE, Upstream, World, call, hang_up, status};

const LOG: &str = "file = \"{folder}/audit.jsonl\"";

/// HTTP/2 can send as many bytes as it has declared, and leave its stream open: then the message is complete. It can also
/// leave out the last byte for a while: then it is not known yet.
#[tokio::test(flavor = "multi_thread")]
async fn a_message_whose_stream_stays_open_is_not_passed_on_before_it_is_known() {
    for left_out in [0, 1] {
        let upstream = Upstream::answering(OK).await;
        let rest = "optional = true\n";
        let name = format!("open-{left_out}");
        let world = World::new(&name, &file(&upstream.address.to_string(), LOG, rest)).await;
        let stream = TcpStream::connect(world.gateway).await.expect("a connection");
        let connecting =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream));
        let (mut sender, connection) = connecting.await.expect("HTTP/2");
        tokio::spawn(connection);
        let (end, ended) = oneshot::channel::<()>();
        let mut message = Bytes::from(call("hidden"));
        let length = message.len();
        let late = message.split_off(length - left_out);
        let first = stream::iter([Ok::<_, std::convert::Infallible>(Frame::data(message))]);
        let last = stream::once(async move {
            _ = ended.await;
            Ok(Frame::data(late))
        });
        let request = http::Request::post(world.url("/files"))
            .header("content-type", "application/json")
            .header("content-length", length)
            .body(StreamBody::new(Box::pin(first.chain(last))))
            .expect("a request");
        let response = tokio::spawn(async move { sender.send_request(request).await });
        if left_out > 0 {
            let seen = world.send(&world.post("/files", "", &call("seen"))).await;
            assert_eq!(status(&seen), 200);
            let line = world.decisions(1).await.remove(0);
            assert_eq!(line.request.tool.as_deref(), Some("seen"));
            assert!(!upstream.requests().iter().any(|request| request.contains("hidden")));
            end.send(()).expect("it waits");
        }
        let response = timeout(PATIENCE, response).await.expect("in time").expect("a task");
        assert_eq!(response.expect("a response").status(), 200);
        let line = world.decisions(1 + left_out).await.remove(left_out);
        assert_eq!(line.decision, AuditedDecision::Anonymous);
        assert_eq!(line.request.message, AuditedMessage::Read);
        assert_eq!(line.request.method.as_deref(), Some("tools/call"));
        assert_eq!(line.request.tool.as_deref(), Some("hidden"));
    }
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

/// A frame of HTTP/2 ([RFC 9113 §4.1](https://www.rfc-editor.org/rfc/rfc9113#section-4.1)).
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("short").to_be_bytes();
    let head = [&length[1..], &[kind, flags], &stream.to_be_bytes()].concat();
    [&head, payload].concat()
}

/// A connection with as many requests as it may have, none of which ends.
async fn unfinished(world: &World) -> TcpStream {
    let fields = [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", "/files"),
        (":authority", &world.gateway.to_string()),
        ("content-type", "application/json"),
    ];
    // Literal fields without indexing (RFC 7541 §6.2.2).
    let text = |text: &str| [&[u8::try_from(text.len()).expect("short")], text.as_bytes()].concat();
    let block: Vec<u8> = fields
        .iter()
        .flat_map(|(name, value)| [vec![0], text(name), text(value)].concat())
        .collect();
    let mut sent = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    sent.extend(frame(4, 0, 0, &[]));
    (0..250).for_each(|number| sent.extend(frame(1, 4, 2 * number + 1, &block)));
    sent.extend(frame(6, 0, 0, b"all sent"));
    let mut stream = TcpStream::connect(world.gateway).await.expect("a connection");
    stream.write_all(&sent).await.expect("sent");
    loop {
        let mut head = [0; 9];
        timeout(PATIENCE, stream.read_exact(&mut head)).await.expect("in time").expect("a head");
        let mut payload = vec![0; usize::from(head[1]) << 8 | usize::from(head[2])];
        timeout(PATIENCE, stream.read_exact(&mut payload))
            .await
            .expect("in time")
            .expect("a frame");
        // SETTINGS, PING and WINDOW_UPDATE: no request was answered or refused.
        assert!(matches!(head[3], 4 | 6 | 8), "{head:?}");
        if payload == b"all sent" {
            break;
        }
    }
    stream
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_do_not_end_keep_no_other_out_of_the_log() {
    let upstream = Upstream::answering(OK).await;
    let audit = format!("{LOG}, required = true");
    let rest = "optional = true\n";
    let world = World::new("waiting", &file(&upstream.address.to_string(), &audit, rest)).await;
    let mut open = Vec::new();
    for _ in 0..42 {
        open.push(unfinished(&world).await);
    }
    for number in 1..=3 {
        let response = world.send(&world.post("/files", "", &call("list"))).await;
        assert_eq!(status(&response), 200, "{response}");
        assert_eq!(world.decisions(number).await.len(), number);
    }
    drop(open);
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_over_the_limit_of_an_address_share_a_line() {
    let upstream = Upstream::answering(OK).await;
    let rest = "limits = { address = \"2/h\" }\n";
    let text = file(&upstream.address.to_string(), LOG, rest);
    let text = format!("drain = {{ pause = \"0s\" }}\n{text}");
    let mut world = World::new("flood", &text).await;
    let token = world.token("/files", "alice", &["read"]);
    let mut statuses = Vec::new();
    for _ in 0..42 {
        statuses.push(status(&world.call("/files", &token, "list").await));
    }
    assert_eq!(statuses.iter().filter(|status| **status == 429).count(), 40);
    world.decisions(2).await;
    world.stop();
    timeout(PATIENCE, &mut world.ended).await.expect("in time").expect("ended");
    let lines = world.log();
    assert_eq!(lines.len(), 3, "{lines:?}");
    match serde_json::from_str(&lines[2]).expect("a line") {
        AuditLine::Limited(line) => {
            assert_eq!((line.limited, line.address.as_deref()), (40, Some("127.0.0.1")));
            assert_eq!((line.v, line.resource), (1, world.url("/files")));
        }
        other => panic!("{other:?}"),
    }
}

/// What is kept for a line counts until the line is known.
#[tokio::test(flavor = "multi_thread")]
async fn messages_that_are_kept_for_the_log_are_in_the_budget() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = silent.local_addr().expect("an address").to_string();
    let text = format!(
        "max_anonymous_buffered_bytes = 1000\n{}",
        file(&address, LOG, "optional = true\n")
    );
    let world = World::new("kept", &text).await;
    let long = world.post("/files", "", &call(&"x".repeat(600)));
    let mut first = TcpStream::connect(world.gateway).await.expect("a connection");
    first.write_all(long.as_bytes()).await.expect("sent");
    let (mut asked, _) = timeout(PATIENCE, silent.accept()).await.expect("in time").expect("asked");
    crate::world::read_message(&mut asked).await.expect("a request");
    assert_eq!(status(&world.send(&long).await), 503);
    asked.write_all(OK.as_bytes()).await.expect("answered");
    let answer = crate::world::read_message(&mut first).await.expect("an answer");
    assert_eq!(status(&answer), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_hides_behind_the_first_name_or_the_first_message() {
    let upstream = Upstream::answering(OK).await;
    let audit = format!("{LOG}, arguments = [\"path\"]");
    let world = World::new("behind", &file(&upstream.address.to_string(), &audit, "")).await;
    let token = world.token("/files", "alice", &["read"]);
    let lines = format!("Authorization: Bearer {token}\r\n");
    let batch = r#"[{"jsonrpc":"2.0","id":1,"method":"ping"},{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"delete","arguments":{"path":"/etc"}}},{"jsonrpc":"2.0","id":3,"result":{}}]"#;
    let listen = r#"{"jsonrpc":"2.0","id":1,"method":"subscriptions/listen","params":{"notifications":{"resourceSubscriptions":["file:///a","file:///secret"]}}}"#;
    for body in [batch, listen] {
        let response = world.send(&world.post("/files", &lines, body)).await;
        assert_eq!(status(&response), 200, "{response}");
    }
    let decided = world.decisions(2).await;
    let shown: Vec<_> = decided[0]
        .request
        .batch
        .iter()
        .map(|it| (it.method.as_deref(), it.tool.as_deref(), it.arguments.len()))
        .collect();
    let expected =
        [(Some("ping"), None, 0), (Some("tools/call"), Some("delete"), 1), (None, None, 0)];
    assert_eq!(shown, expected);
    assert_eq!(decided[1].request.names, ["file:///a", "file:///secret"]);
    assert_eq!(decided[1].request.name.as_deref(), Some("file:///a"));
    assert!(decided[1].request.batch.is_empty());
}

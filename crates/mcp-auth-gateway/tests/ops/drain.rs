//! The gateway ends.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::world::{PATIENCE, Upstream, World, read_message, status};

#[tokio::test(flavor = "multi_thread")]
async fn listening_streams_end_with_their_last_chunk_and_do_not_delay_the_end() {
    let upstream = Upstream::answering("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n9\r\ndata: 1\n\n\r\n").await;
    let mut world = World::new(
        "streams",
        &format!("{{issuer}}\n[[resources]]\nurl = \"http://127.0.0.1:{{port}}/files\"\nupstream = \"http://{}/mcp\"\n", upstream.address),
    )
    .await;
    let token = world.token("/files", "alice", &[]);
    let listen = r#"{"jsonrpc":"2.0","id":"l","method":"subscriptions/listen","params":{}}"#;
    let authorization = format!("Authorization: Bearer {token}\r\n");
    let modern = format!(
        "{authorization}Mcp-Protocol-Version: 2026-07-28\r\nMcp-Method: subscriptions/listen\r\n"
    );
    let get = format!("GET /files HTTP/1.1\r\nHost: {}\r\n{authorization}\r\n", world.gateway);
    let mut streams = Vec::new();
    for request in [get, world.post("/files", &modern, listen)] {
        let mut stream = TcpStream::connect(world.gateway).await.expect("a connection");
        stream.write_all(request.as_bytes()).await.expect("sent");
        let head = read_message(&mut stream).await.expect("a head");
        assert_eq!(status(&head), 200, "{head}");
        streams.push((stream, head));
    }
    world.stop();
    timeout(PATIENCE, &mut world.ended).await.expect("in time").expect("an end");
    let mut ends = Vec::new();
    for (mut stream, mut text) in streams {
        stream.read_to_string(&mut text).await.expect("no error");
        assert!(text.ends_with("0\r\n\r\n"), "{text}");
        ends.push(text);
    }
    assert!(ends[1].contains(r#""id":"l""#) && ends[1].contains("result"), "{ends:?}");
}

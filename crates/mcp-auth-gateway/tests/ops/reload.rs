//! The file changes while the gateway serves.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::world::{
    Load, OK, PATIENCE, Upstream, World, call, hang_up, header, read_message, status,
};

const RESOURCE: &str = "{issuer}\n[[resources]]\nurl = \"http://127.0.0.1:{port}/files\"\nupstream = \"http://UPSTREAM/mcp\"\nscopes = [\"read\"]\n";

fn files(upstream: &Upstream, rest: &str) -> String {
    format!("{}{rest}", RESOURCE.replace("UPSTREAM", &upstream.address.to_string()))
}

#[tokio::test(flavor = "multi_thread")]
async fn no_request_is_lost_while_the_file_changes_under_load() {
    let upstream = Upstream::answering(OK).await;
    let rules = |tool: &str| {
        files(&upstream, &format!("[resources.tools]\n{tool} = [\"x\"]\n\"*\" = []\n"))
    };
    let world = World::new("load", &rules("first")).await;
    let lines = format!("Authorization: Bearer {}\r\n", world.token("/files", "alice", &["read"]));
    let load = Load::start(world.gateway, &world.post("/files", &lines, &call("list")));
    load.go_on(50).await;
    for i in 0..10 {
        world.write(&rules(&format!("tool_{i}")));
        hang_up();
        load.go_on(50).await;
    }
    world.write(&rules("list"));
    hang_up();
    // The last file is in use when it forbids what the clients call: what was answered until then was not lost.
    let token = world.token("/files", "bob", &["read"]);
    crate::world::until(async || {
        (status(&world.call("/files", &token, "list").await) == 403).then_some(())
    })
    .await;
    let (sent, lost) = load.end().await;
    let lost: Vec<_> = lost.iter().filter(|lost| !lost.contains("403 Forbidden")).collect();
    assert!(sent > 500 && lost.is_empty(), "{sent} {lost:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_file_leaves_the_last_good_one_in_use_and_says_why() {
    let upstream = Upstream::answering(OK).await;
    let good = files(&upstream, "");
    let world = World::new("wrong", &good).await;
    let token = world.token("/files", "alice", &["read"]);
    assert_eq!(status(&world.call("/files", &token, "list").await), 200);
    for (rest, expected) in [
        (files(&upstream, "scope = [\"all\"]\n"), "unknown key `scope`"),
        (files(&upstream, "issuers = [\"other\"]\n"), "the issuer \\\"other\\\" is not described"),
        (files(&upstream, "session_keys = [\"file:{folder}/none\"]\n"), "cannot be read"),
        (String::new(), "there is no resource"),
    ] {
        world.write(&rest);
        hang_up();
        let ready = world.until_ready_says(expected).await;
        assert!(ready.starts_with("HTTP/1.1 200") && ready.contains("\"ready\":true"), "{ready}");
        assert_eq!(status(&world.call("/files", &token, "list").await), 200, "{rest}");
    }
    // It is noticed without a signal that the file is right again.
    world.write(&good);
    world.until_ready_says("\"error\":null").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_file_is_noticed_without_a_signal_and_changes_what_it_says() {
    let (first, second) = (Upstream::answering(OK).await, Upstream::answering(OK).await);
    let world = World::new("change", &files(&first, "")).await;
    let token = world.token("/files", "alice", &["read"]);
    assert_eq!(status(&world.call("/files", &token, "list").await), 200);
    let other = files(&second, "").replace("/files\"", "/notes\"");
    world.write(&format!(
        "{}{}",
        files(&second, "name = \"Files\"\n"),
        other.replace("{issuer}", "")
    ));
    world.until_ready_says("/notes").await;
    assert_eq!(status(&world.call("/files", &token, "list").await), 200);
    assert_eq!((first.requests().len(), second.requests().len()), (1, 1));
    let notes = world.token("/notes", "alice", &["read"]);
    assert_eq!(status(&world.call("/notes", &notes, "list").await), 200);
    // A resource that is gone is no longer there.
    world.write(&other);
    hang_up();
    crate::world::until(async || {
        (status(&world.call("/files", &token, "list").await) == 404).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_and_keys_survive_and_streams_of_what_changed_end() {
    let answer = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nMcp-Session-Id: inner\r\nContent-Length: 2\r\n\r\n{}";
    let upstream = Upstream::answering(answer).await;
    let listening = Upstream::answering("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n9\r\ndata: 1\n\n\r\n").await;
    let notes = files(&listening, "").replace("{issuer}", "").replace("/files\"", "/notes\"");
    let kept = notes.replace("/notes\"", "/kept\"");
    let world = World::new("kept", &format!("{}{notes}{kept}", files(&upstream, ""))).await;
    let token = world.token("/files", "alice", &["read"]);
    let began = world.call("/files", &token, "list").await;
    let session = header(&began, "mcp-session-id").expect("a session").to_owned();
    assert_ne!(session, "inner");
    let mut streams = Vec::new();
    for path in ["/notes", "/kept"] {
        let mut stream = TcpStream::connect(world.gateway).await.expect("a connection");
        let token = world.token(path, "alice", &["read"]);
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {token}\r\nAccept: text/event-stream\r\n\r\n",
            world.gateway
        );
        stream.write_all(request.as_bytes()).await.expect("sent");
        assert_eq!(status(&read_message(&mut stream).await.expect("a head")), 200);
        streams.push(stream);
    }
    // The issuer is gone: whatever would fetch its keys again would fail.
    let changed =
        |text: &str| text.replace("scopes = [\"read\"]", "scopes = [\"read\"]\nname = \"New\"");
    let path = world.file();
    let text = std::fs::read_to_string(&path).expect("the file");
    let (first, rest) = text.split_once("/notes\"").expect("the notes");
    let (of_notes, of_kept) = rest.split_once("[[resources]]").expect("the last one");
    let text = format!("{}/notes\"{}[[resources]]{of_kept}", changed(first), changed(of_notes));
    std::fs::write(&path, text).expect("written");
    hang_up();
    let [notes, kept] = &mut streams[..] else { unreachable!() };
    let mut rest = String::new();
    timeout(PATIENCE, async {
        while !rest.ends_with("0\r\n\r\n") {
            let mut part = [0; 256];
            let read = notes.read(&mut part).await.expect("no error");
            assert!(read > 0, "it ended without its last chunk: {rest}");
            rest += &String::from_utf8_lossy(&part[..read]);
        }
    })
    .await
    .expect("the stream of what changed ends");
    let lines = format!("Authorization: Bearer {token}\r\nMcp-Session-Id: {session}\r\n");
    let again = world.send(&world.post("/files", &lines, "{}")).await;
    assert_eq!(status(&again), 200);
    let last = upstream.requests().pop().expect("a request");
    assert_eq!(header(&last, "mcp-session-id"), Some("inner"));
    let mut part = [0; 256];
    let silent = timeout(std::time::Duration::from_millis(200), async {
        while kept.read(&mut part).await.expect("no error") > 0 {}
    });
    assert!(silent.await.is_err(), "the stream of what did not change goes on");
}

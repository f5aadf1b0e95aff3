//! Several upstreams of one resource.

use crate::world::{Load, Upstream, World, call, header, status, until};

fn answer(session: &str) -> String {
    format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nMcp-Session-Id: {session}\r\nContent-Length: 2\r\n\r\n{{}}"
    )
}

fn file(upstreams: &[&Upstream]) -> String {
    let urls: Vec<_> =
        upstreams.iter().map(|it| format!("\"http://{}/mcp\"", it.address)).collect();
    format!(
        "{{issuer}}\n[[resources]]\nurl = \"http://127.0.0.1:{{port}}/files\"\nupstream = [{}]\nsession_keys = [\"file:{{folder}}/key\"]\n",
        urls.join(", ")
    )
}

async fn world(name: &str, upstreams: &[&Upstream]) -> World {
    let folder = std::env::temp_dir().join(format!("mcp-auth-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    std::fs::write(folder.join("key"), "k".repeat(32)).expect("written");
    World::new(name, &file(upstreams)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn new_work_takes_turns_and_a_session_stays_where_it_began() {
    let (a, b) = (Upstream::answering(answer("sa")).await, Upstream::answering(answer("sb")).await);
    let world = world("turns", &[&a, &b]).await;
    let token = world.token("/files", "alice", &[]);
    let mut sessions = Vec::new();
    for _ in 0..4 {
        let response = world.call("/files", &token, "list").await;
        sessions.push(header(&response, "mcp-session-id").expect("a session").to_owned());
    }
    assert_eq!((a.requests().len(), b.requests().len()), (2, 2));
    let send = async |token: &str, session: &str| {
        let lines = format!("Authorization: Bearer {token}\r\nMcp-Session-Id: {session}\r\n");
        status(&world.send(&world.post("/files", &lines, &call("list"))).await)
    };
    for _ in 0..3 {
        assert_eq!(send(&token, &sessions[0]).await, 200);
    }
    assert_eq!((a.requests().len(), b.requests().len()), (5, 2));
    let seen = a.requests().pop().expect("a request");
    assert_eq!(header(&seen, "mcp-session-id"), Some("sa"), "its own id");
    // A session of another caller, an id without our signature, and one that names an upstream are unknown.
    let other = world.token("/files", "bob", &[]);
    let bare = sessions[0].rsplit_once('.').expect("a signature").0.to_owned();
    for (token, session) in [(&other, &*sessions[0]), (&token, "sa"), (&token, &bare), (&token, "")]
    {
        assert_eq!(send(token, session).await, 404, "{session}");
    }
    assert_eq!((a.requests().len(), b.requests().len()), (5, 2));
    // An upstream that is no longer described.
    let folder = world.folder.clone();
    world.write(&file(&[&b, &b]).replacen(&format!("\"http://{}/mcp\", ", b.address), "", 1));
    crate::world::hang_up();
    until(async || (send(&token, &sessions[0]).await == 404).then_some(())).await;
    std::fs::remove_dir_all(folder).expect("removed");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_that_ends_under_load_loses_no_new_request_and_comes_back() {
    let (a, b) = (Upstream::answering(answer("sa")).await, Upstream::answering(answer("sb")).await);
    let world = world("ejected", &[&a, &b]).await;
    let token = world.token("/files", "alice", &[]);
    let first = world.call("/files", &token, "list").await;
    let session = header(&first, "mcp-session-id").expect("a session").to_owned();
    assert_eq!(a.requests().len(), 1);
    let lines = format!("Authorization: Bearer {token}\r\n");
    let request = world.post("/files", &lines, &call("list"));
    let load = Load::start(world.gateway, &request);
    load.go_on(100).await;
    let address = a.end().await;
    load.go_on(200).await;
    let (sent, lost) = load.end().await;
    // Only what the upstream had begun to read when it ended cannot be sent to another one.
    assert!(sent >= 300 && lost.len() <= 8, "{sent} {lost:?}");
    assert!(lost.iter().all(|lost| lost.contains("502")), "{lost:?}");
    let lines = format!("{lines}Mcp-Session-Id: {session}\r\n");
    assert_eq!(status(&world.send(&world.post("/files", &lines, "{}")).await), 404, "ejected");
    let mut failed = 0;
    for _ in 0..10 {
        failed += usize::from(status(&world.call("/files", &token, "list").await) != 200);
    }
    assert_eq!(failed, 0);
    let again = Upstream::at(&address.to_string(), answer("sa")).await;
    until(async || {
        world.call("/files", &token, "list").await;
        (!again.requests().is_empty()).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn when_no_upstream_can_be_reached_the_client_gets_a_502() {
    let (a, b) = (Upstream::answering(answer("sa")).await, Upstream::answering(answer("sb")).await);
    let world = world("none-left", &[&a, &b]).await;
    let token = world.token("/files", "alice", &[]);
    a.end().await;
    b.end().await;
    for _ in 0..3 {
        assert_eq!(status(&world.call("/files", &token, "list").await), 502);
    }
}

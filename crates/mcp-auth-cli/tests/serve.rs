//! The program itself: it is told to end, by signals.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use mcp_auth_testkit::{ServedIssuer, TestIssuer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep, timeout};

const PATIENCE: Duration = Duration::from_secs(60);

/// How long the upstream takes for an answer.
const WORK: Duration = Duration::from_millis(20);

struct World {
    issuer: ServedIssuer,
    gateway: SocketAddr,
    admin: SocketAddr,
    child: Child,
    file: PathBuf,
}

async fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.and_then(|it| it.local_addr()).expect("a port")
}

/// An upstream that answers each request after a while.
async fn upstream(work: Duration) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                while read_message(&mut stream).await.is_some() {
                    sleep(work).await;
                    let answer = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}";
                    if stream.write_all(answer.as_bytes()).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    address
}

async fn read_message(stream: &mut TcpStream) -> Option<String> {
    let mut text = String::new();
    loop {
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().filter_map(|line| line.split_once(": "));
            let mut length = length.filter(|(name, _)| name.eq_ignore_ascii_case("content-length"));
            let length = length.next().and_then(|(_, value)| value.parse().ok()).unwrap_or(0);
            if body.len() >= length {
                return Some(text);
            }
        }
        let mut part = [0; 4096];
        match timeout(PATIENCE, stream.read(&mut part)).await {
            Ok(Ok(read)) if read > 0 => text += &String::from_utf8_lossy(&part[..read]),
            _ => return None,
        }
    }
}

impl World {
    async fn new(name: &str, upstream: SocketAddr, drain: &str) -> Self {
        let issuer = TestIssuer::new().serve("127.0.0.1:0").await.expect("an issuer");
        let (gateway, admin) = (free_address().await, free_address().await);
        let file =
            std::env::temp_dir().join(format!("mcp-auth-{name}-{}.toml", std::process::id()));
        let text = format!(
            "listen = \"{gateway}\"\nadmin = \"{admin}\"\ndrain = {{ {drain} }}\n[issuers.login]\nurl = \"{}\"\n[[resources]]\nurl = \"http://{gateway}/mcp\"\nupstream = \"http://{upstream}/mcp\"\n",
            issuer.url()
        );
        std::fs::write(&file, text).expect("written");
        let child = Command::new(env!("CARGO_BIN_EXE_mcp-auth"))
            .arg("serve")
            .arg(&file)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the program");
        let world = Self { issuer, gateway, admin, child, file };
        let deadline = Instant::now() + PATIENCE;
        while world.readyz().await.is_none() {
            assert!(Instant::now() < deadline, "it does not start");
            sleep(Duration::from_millis(20)).await;
        }
        world
    }

    async fn readyz(&self) -> Option<String> {
        let mut stream = TcpStream::connect(self.admin).await.ok()?;
        let request = format!("GET /readyz HTTP/1.1\r\nHost: {}\r\n\r\n", self.admin);
        stream.write_all(request.as_bytes()).await.ok()?;
        read_message(&mut stream).await
    }

    fn request(&self) -> String {
        let token = self.issuer.token().audience(format!("http://{}/mcp", self.gateway)).sign();
        format!(
            "POST /mcp HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{{}}",
            self.gateway
        )
    }

    fn tell(&self, signal: &str) {
        let told = Command::new("kill").args([signal, &self.child.id().to_string()]).status();
        assert!(told.is_ok_and(|status| status.success()), "{signal}");
    }

    async fn end(&mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().expect("a child") {
                return status;
            }
            assert!(Instant::now() < deadline, "it does not end");
            sleep(Duration::from_millis(10)).await;
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
        _ = std::fs::remove_file(&self.file);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_request_is_lost_when_it_is_told_to_end_under_load() {
    let mut world = World::new("drain", upstream(WORK).await, "pause = \"1s\"").await;
    let (is_leaving, sent, answered) =
        <(Arc<AtomicBool>, Arc<AtomicUsize>, Arc<AtomicUsize>)>::default();
    let clients: Vec<_> = (0..16)
        .map(|_| {
            let (address, request) = (world.gateway, world.request());
            let (is_leaving, sent, answered) = (is_leaving.clone(), sent.clone(), answered.clone());
            tokio::spawn(async move {
                let mut stream = None;
                loop {
                    let mut open = match stream.take() {
                        Some(open) => open,
                        // As a load balancer does, it sends new connections elsewhere.
                        None if is_leaving.load(Ordering::Relaxed) => return,
                        None => TcpStream::connect(address).await.expect("a connection"),
                    };
                    sent.fetch_add(1, Ordering::Relaxed);
                    _ = open.write_all(request.as_bytes()).await;
                    let Some(response) = read_message(&mut open).await else { continue };
                    assert!(response.starts_with("HTTP/1.1 200"), "{response}");
                    answered.fetch_add(1, Ordering::Relaxed);
                    if !response.contains("connection: close") {
                        stream = Some(open);
                    }
                }
            })
        })
        .collect();
    let deadline = Instant::now() + PATIENCE;
    while answered.load(Ordering::Relaxed) < 200 {
        assert!(Instant::now() < deadline, "no answers");
        sleep(Duration::from_millis(10)).await;
    }
    world.tell("-TERM");
    while world.readyz().await.is_some_and(|ready| !ready.starts_with("HTTP/1.1 503")) {
        assert!(Instant::now() < deadline, "it does not say that it ends");
    }
    is_leaving.store(true, Ordering::Relaxed);
    assert!(world.end().await.success());
    for client in clients {
        client.await.expect("a client");
    }
    assert_eq!(answered.load(Ordering::Relaxed), sent.load(Ordering::Relaxed));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_ends_it_at_once_and_a_person_does_not_wait() {
    // With a call that takes longer than the test.
    for (name, signals) in [("second", &["-TERM", "-TERM"] as &[&str]), ("keys", &["-INT", "-INT"])]
    {
        let slow = upstream(Duration::from_secs(600)).await;
        let mut world = World::new(name, slow, "pause = \"10m\", timeout = \"10m\"").await;
        let mut stream = TcpStream::connect(world.gateway).await.expect("a connection");
        stream.write_all(world.request().as_bytes()).await.expect("sent");
        for signal in signals {
            world.tell(signal);
            while world.readyz().await.is_some_and(|ready| !ready.contains("\"draining\":true")) {}
        }
        assert!(world.end().await.success());
    }
    // Without calls, Ctrl-C ends it without the pause.
    let mut world = World::new("idle", upstream(WORK).await, "pause = \"10m\"").await;
    world.tell("-INT");
    assert!(world.end().await.success());
}

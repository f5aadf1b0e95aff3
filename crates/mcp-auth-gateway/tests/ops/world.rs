//! A gateway that was started with a file, its issuer, and clients that count what they lose.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use mcp_auth_config::ConfigFile;
use mcp_auth_gateway::Gateway;
use mcp_auth_testkit::{ServedIssuer, TestIssuer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

/// How long a test waits for what must come.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) const OK: &str =
    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}";

/// An upstream that keeps the head and the body of each request, and answers all of them alike.
pub(crate) struct Upstream {
    pub(crate) address: SocketAddr,
    requests: Arc<Mutex<Vec<String>>>,
    task: JoinHandle<()>,
}

impl Upstream {
    pub(crate) async fn answering(answer: impl Into<String>) -> Self {
        Self::at("127.0.0.1:0", answer).await
    }

    pub(crate) async fn at(address: &str, answer: impl Into<String>) -> Self {
        let listener = TcpListener::bind(address).await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (requests, answer) = (Arc::<Mutex<Vec<_>>>::default(), answer.into());
        let kept = Arc::clone(&requests);
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((mut stream, _)) = listener.accept().await {
                let (kept, answer) = (Arc::clone(&kept), answer.clone());
                connections.spawn(async move {
                    while let Some(request) = read_message(&mut stream).await {
                        kept.lock().unwrap_or_else(PoisonError::into_inner).push(request);
                        if stream.write_all(answer.as_bytes()).await.is_err() {
                            return;
                        }
                    }
                });
            }
        });
        Self { address, requests, task }
    }

    pub(crate) fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Ends it: its port is closed, and its connections break off.
    pub(crate) async fn end(self) -> SocketAddr {
        self.task.abort();
        _ = self.task.await;
        self.address
    }
}

/// Reads a head, and a body of its `Content-Length`. Returns `None` at the end of the connection.
pub(crate) async fn read_message(stream: &mut TcpStream) -> Option<String> {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length: usize =
                header(head, "content-length").and_then(|it| it.parse().ok()).unwrap_or(0);
            if body.len() >= length {
                return Some(text);
            }
        }
        let mut part = [0; 4096];
        let read = timeout(PATIENCE, stream.read(&mut part)).await.ok()?.ok()?;
        if read == 0 {
            return None;
        }
        bytes.extend_from_slice(&part[..read]);
    }
}

/// The value of a header in a message.
pub(crate) fn header<'m>(message: &'m str, name: &str) -> Option<&'m str> {
    let head = message.split("\r\n\r\n").next()?;
    let mut lines = head.lines().filter_map(|line| line.split_once(": "));
    lines.find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value)
}

pub(crate) fn status(message: &str) -> u16 {
    message.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_default()
}

pub(crate) fn call(tool: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"{tool}"}}}}"#)
}

/// A gateway with resources, and an issuer.
pub(crate) struct World {
    pub(crate) issuer: ServedIssuer,
    pub(crate) gateway: SocketAddr,
    pub(crate) admin: SocketAddr,
    pub(crate) folder: PathBuf,
    stop: Option<oneshot::Sender<()>>,
    pub(crate) ended: JoinHandle<()>,
}

impl World {
    /// `rest` is what the file has after its issuer: `{port}` is the port of the gateway.
    pub(crate) async fn new(name: &str, rest: &str) -> Self {
        let issuer = TestIssuer::new().serve("127.0.0.1:0").await.expect("an issuer");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let gateway = listener.local_addr().expect("an address");
        drop(listener);
        let folder = std::env::temp_dir().join(format!("mcp-auth-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        let world = |admin, ended, stop| Self { issuer, gateway, admin, folder, stop, ended };
        let mut world = world(gateway, tokio::spawn(async {}), None);
        world.write(rest);
        let (file, config) = ConfigFile::read(world.file()).expect("a configuration");
        let started = Gateway::start_with_file(file, &config).await.expect("a gateway");
        world.admin = started.admin_addr().expect("an address");
        let (stop, stopped) = oneshot::channel();
        world.stop = Some(stop);
        world.ended = tokio::spawn(started.run_until(async { _ = stopped.await }));
        world
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.folder.join("gateway.toml")
    }

    /// Replaces the file as Kubernetes and editors do.
    pub(crate) fn write(&self, rest: &str) {
        let (port, folder) = (self.gateway.port().to_string(), self.folder.display().to_string());
        let rest = rest.replace("{port}", &port).replace("{folder}", &folder);
        let text = format!(
            "listen = \"127.0.0.1:{port}\"\nadmin = \"127.0.0.1:0\"\n{}\n",
            rest.replace(
                "{issuer}",
                &format!("[issuers.login]\nurl = \"{}\"\n", self.issuer.url())
            )
        );
        let next = self.folder.join("next.toml");
        std::fs::write(&next, text).expect("written");
        std::fs::rename(next, self.file()).expect("renamed");
    }

    pub(crate) fn stop(&mut self) {
        drop(self.stop.take());
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.gateway.port())
    }

    pub(crate) fn token(&self, path: &str, subject: &str, scopes: &[&str]) -> String {
        self.issuer.token().subject(subject).audience(self.url(path)).scopes(scopes).sign()
    }

    /// A `POST` of a body, with these further lines in its head.
    pub(crate) fn post(&self, path: &str, lines: &str, body: &str) -> String {
        let (host, length) = (self.gateway, body.len());
        format!(
            "POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n{lines}\r\n{body}"
        )
    }

    /// Sends a request on a connection of its own, and reads the response.
    pub(crate) async fn send(&self, request: &str) -> String {
        exchange(self.gateway, request).await.unwrap_or_default()
    }

    /// Calls a tool with a token.
    pub(crate) async fn call(&self, path: &str, token: &str, tool: &str) -> String {
        let lines = format!("Authorization: Bearer {token}\r\n");
        self.send(&self.post(path, &lines, &call(tool))).await
    }

    pub(crate) async fn readyz(&self) -> String {
        let request = format!("GET /readyz HTTP/1.1\r\nHost: {}\r\n\r\n", self.admin);
        exchange(self.admin, &request).await.unwrap_or_default()
    }

    /// Waits until the operator is told something.
    pub(crate) async fn until_ready_says(&self, expected: &str) -> String {
        until(async || Some(self.readyz().await).filter(|text| text.contains(expected))).await
    }
}

pub(crate) async fn exchange(address: SocketAddr, request: &str) -> Option<String> {
    let mut stream = TcpStream::connect(address).await.ok()?;
    stream.write_all(request.as_bytes()).await.ok()?;
    read_message(&mut stream).await
}

/// Waits for something.
pub(crate) async fn until<T>(mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(Instant::now() < deadline, "it did not come");
        sleep(Duration::from_millis(20)).await;
    }
}

/// Tells this process something, as an operator does.
pub(crate) fn hang_up() {
    let pid = std::process::id().to_string();
    let told = std::process::Command::new("kill").args(["-HUP", &pid]).status();
    assert!(told.is_ok_and(|status| status.success()));
}

/// Clients that send requests one after another, and count them.
pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    sent: Arc<AtomicUsize>,
    answered: Arc<AtomicUsize>,
    clients: Vec<JoinHandle<Vec<String>>>,
}

impl Load {
    pub(crate) fn start(address: SocketAddr, request: &str) -> Self {
        let (stop, sent, answered) =
            <(Arc<AtomicBool>, Arc<AtomicUsize>, Arc<AtomicUsize>)>::default();
        let client = |_| {
            let (stop, request) = (Arc::clone(&stop), request.to_owned());
            let (sent, answered) = (Arc::clone(&sent), Arc::clone(&answered));
            tokio::spawn(async move {
                let mut lost = Vec::new();
                let mut stream: Option<TcpStream> = None;
                while !stop.load(Ordering::Relaxed) {
                    let mut open = match stream.take() {
                        Some(open) => open,
                        None => TcpStream::connect(address).await.expect("a connection"),
                    };
                    sent.fetch_add(1, Ordering::Relaxed);
                    let written = open.write_all(request.as_bytes()).await;
                    let response = read_message(&mut open).await;
                    match response.as_deref() {
                        Some(response) if status(response) == 200 => {
                            answered.fetch_add(1, Ordering::Relaxed);
                            if header(response, "connection") != Some("close") {
                                stream = Some(open);
                            }
                        }
                        other => lost.push(format!("{written:?} {other:?}")),
                    }
                }
                lost
            })
        };
        let clients = (0..8).map(client).collect();
        Self { stop, sent, answered, clients }
    }

    /// Waits for this many more answers.
    pub(crate) async fn go_on(&self, number: usize) {
        let answered = || self.answered.load(Ordering::Relaxed);
        let enough = answered() + number;
        until(async || (answered() >= enough).then_some(())).await;
    }

    /// Ends it. Returns how many requests were sent, and what became of those that were lost.
    pub(crate) async fn end(self) -> (usize, Vec<String>) {
        self.stop.store(true, Ordering::Relaxed);
        let mut lost = Vec::new();
        for client in self.clients {
            lost.extend(client.await.expect("a client"));
        }
        (self.sent.load(Ordering::Relaxed), lost)
    }
}

//! A gateway between a raw client and a raw upstream.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use mcp_auth_config::Config;
use mcp_auth_gateway::Gateway;
use mcp_auth_testkit::{ServedIssuer, TestIssuer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// How long a test waits for bytes that must come.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// An upstream that keeps each request as it came, and answers with the same bytes.
pub(crate) struct Upstream {
    pub(crate) address: SocketAddr,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Upstream {
    pub(crate) async fn answering(answer: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let requests = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&requests);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let kept = Arc::clone(&kept);
                tokio::spawn(async move {
                    while let Some(request) = read_message(&mut stream).await {
                        kept.lock().unwrap_or_else(PoisonError::into_inner).push(request);
                        if stream.write_all(answer.as_bytes()).await.is_err() {
                            return;
                        }
                    }
                });
            }
        });
        Self { address, requests }
    }

    pub(crate) fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Reads a head, and a body of its `Content-Length`. Returns `None` at the end of the connection.
pub(crate) async fn read_message(stream: &mut TcpStream) -> Option<String> {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().filter_map(|line| line.split_once(": "));
            let length = length.filter(|(name, _)| name.eq_ignore_ascii_case("content-length"));
            let length: usize =
                length.filter_map(|(_, value)| value.parse().ok()).next().unwrap_or(0);
            if body.len() >= length {
                return Some(text);
            }
        }
        let mut part = [0; 4096];
        let read = tokio::time::timeout(PATIENCE, stream.read(&mut part)).await.ok()?.ok()?;
        if read == 0 {
            return None;
        }
        bytes.extend_from_slice(&part[..read]);
    }
}

/// A gateway with one resource, and an issuer.
pub(crate) struct World {
    pub(crate) issuer: ServedIssuer,
    pub(crate) gateway: SocketAddr,
    pub(crate) admin: SocketAddr,
    pub(crate) resource: String,
    pub(crate) stop: Option<oneshot::Sender<()>>,
    pub(crate) ended: JoinHandle<()>,
}

impl World {
    pub(crate) async fn new(upstream: SocketAddr, rules: &str) -> Self {
        Self::with(upstream, "", rules).await
    }

    /// A gateway with these keys at the top of its file, and these keys of its resource.
    pub(crate) async fn with(upstream: SocketAddr, top: &str, rules: &str) -> Self {
        let issuer = TestIssuer::new().serve("127.0.0.1:0").await.expect("an issuer");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        drop(listener);
        let resource = format!("http://127.0.0.1:{port}/files");
        let upstream = format!("upstream = \"http://{upstream}/mcp\"");
        Self::at(issuer, port, resource, top, &format!("{upstream}\n{rules}")).await
    }

    /// A gateway at this port, with these keys at the top of its file, and these keys of its resource.
    pub(crate) async fn at(
        issuer: ServedIssuer,
        port: u16,
        resource: String,
        top: &str,
        keys: &str,
    ) -> Self {
        let config = format!(
            "listen = \"127.0.0.1:{port}\"\nadmin = \"127.0.0.1:0\"\n{top}\n[issuers.login]\nurl = \"{}\"\n[[resources]]\nurl = \"{resource}\"\nscopes = [\"read\"]\n{keys}",
            issuer.url(),
        );
        let config = Config::from_toml(&config).expect("a configuration");
        let gateway = Gateway::start(&config).await.expect("a gateway");
        let (address, admin) = (gateway.local_addr(), gateway.admin_addr().expect("an address"));
        let (stop, stopped) = oneshot::channel();
        let ended = tokio::spawn(gateway.run_until(async { _ = stopped.await }));
        Self { issuer, gateway: address, admin, resource, stop: Some(stop), ended }
    }

    pub(crate) fn token(&self, scopes: &[&str]) -> String {
        self.issuer.token().audience(self.resource.as_str()).scopes(scopes).sign()
    }

    /// Sends a request as it is, and reads the whole response.
    pub(crate) async fn send(&self, request: &str) -> String {
        let mut stream = TcpStream::connect(self.gateway).await.expect("a connection");
        stream.write_all(request.as_bytes()).await.expect("sent");
        read_message(&mut stream).await.unwrap_or_default()
    }

    /// A `POST` of a body, with these further lines in its head.
    pub(crate) async fn post(&self, token: &str, lines: &str, body: &str) -> String {
        let host = self.gateway;
        let length = body.len();
        self.send(&format!("POST /files HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n{lines}\r\n{body}")).await
    }
}

pub(crate) const OK: &str = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\nSet-Cookie: a=b\r\nX-Own: 1\r\n\r\n{}";

impl World {
    /// What the operator's listener answers.
    pub(crate) async fn ask_admin(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(self.admin).await.expect("a connection");
        let request = format!("GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n", self.admin);
        stream.write_all(request.as_bytes()).await.expect("sent");
        read_message(&mut stream).await.expect("a response")
    }
}

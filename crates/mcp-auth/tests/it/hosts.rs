//! The host that a request names, on the wire: in HTTP/1.1 as bytes, and in HTTP/2.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::Request;
use http::header::HOST;
use http_body_util::Full;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use mcp_auth_testkit::TestIssuer;
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

const GOOD: &str = "api.example.com";

/// Serves a protected rmcp server, in HTTP/1.1 and HTTP/2 without TLS.
async fn serve() -> SocketAddr {
    struct Server;
    impl rmcp::ServerHandler for Server {}
    let auth = TestIssuer::new().protects("https://api.example.com/mcp").build();
    let config = StreamableHttpServerConfig::default().with_allowed_hosts(["localhost"]);
    let sessions = Arc::<LocalSessionManager>::default();
    let mcp = StreamableHttpService::new(|| Ok(Server), sessions, config);
    let app = auth.expect("a configuration").protect_mcp(mcp);
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        loop {
            let (connection, _) = listener.accept().await.expect("a connection");
            let service = TowerToHyperService::new(app.clone());
            tokio::spawn(async move {
                let server = auto::Builder::new(TokioExecutor::new());
                let _ = server.serve_connection(TokioIo::new(connection), service).await;
            });
        }
    });
    address
}

/// The status of the answer to these bytes.
async fn status_of(address: SocketAddr, request: &str) -> String {
    let mut connection = TcpStream::connect(address).await.expect("a connection");
    connection.write_all(request.as_bytes()).await.expect("written");
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n") {
        let mut byte = [0];
        match connection.read(&mut byte).await {
            Ok(1) => answer.push(byte[0]),
            _ => break,
        }
    }
    let line = String::from_utf8_lossy(&answer).into_owned();
    line.split(' ').nth(1).unwrap_or_default().to_owned()
}

/// RFC 9112 §3.2.2: the host of an absolute target counts. 401 is the answer to a request without a token.
#[tokio::test]
async fn in_http_1_the_target_decides_about_the_host() {
    let address = serve().await;
    for (target, hosts, expected) in [
        ("/mcp", &[GOOD][..], "401"),
        ("/mcp", &["localhost:3000"], "401"),
        ("/mcp", &["evil"], "403"),
        ("/mcp", &[GOOD, GOOD], "403"),
        ("http://evil/mcp", &[GOOD], "403"),
        ("http://evil/mcp", &["localhost"], "403"),
        ("http://evil/mcp", &["evil"], "403"),
        ("http://evil/mcp", &[], "403"),
        ("http://evil/mcp/", &[GOOD], "403"),
        ("http://evil/mcp/below", &[GOOD], "403"),
        ("http://evil:80/mcp", &[GOOD], "403"),
        ("http://api.example.com@evil/mcp", &[GOOD], "403"),
        ("http://api.example.com/mcp", &["evil"], "403"),
        ("http://api.example.com/mcp", &[GOOD, "evil"], "403"),
        ("http://localhost/mcp", &[GOOD], "403"),
        ("http://api.example.com/mcp", &[GOOD], "401"),
        ("http://API.example.com/mcp", &["api.EXAMPLE.com:80"], "401"),
        ("http://api.example.com/mcp/below", &[GOOD], "401"),
        ("http://api.example.com/mcp", &[], "401"),
    ] {
        let hosts: String = hosts.iter().map(|host| format!("Host: {host}\r\n")).collect();
        let request = format!("POST {target} HTTP/1.1\r\n{hosts}Content-Length: 0\r\n\r\n");
        assert_eq!(status_of(address, &request).await, expected, "{request}");
    }
}

/// RFC 9113 §8.3.1: `:authority` counts, and a `Host` must not differ from it.
#[tokio::test]
async fn in_http_2_authority_decides_about_the_host() {
    let address = serve().await;
    let connection = TcpStream::connect(address).await.expect("a connection");
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(connection))
            .await
            .expect("HTTP/2");
    tokio::spawn(connection);
    for (authority, host, expected) in [
        (GOOD, None, 401),
        ("localhost:3000", None, 401),
        ("evil", None, 403),
        ("evil", Some(GOOD), 403),
        ("evil", Some("localhost"), 403),
        ("evil", Some("evil"), 403),
        (GOOD, Some("evil"), 403),
        (GOOD, Some("localhost"), 403),
        (GOOD, Some(GOOD), 401),
        (GOOD, Some("API.example.com:80"), 401),
    ] {
        let mut request = Request::post(format!("http://{authority}/mcp"));
        if let Some(host) = host {
            request = request.header(HOST, host);
        }
        let request = request.body(Full::<Bytes>::default()).expect("a request");
        let response = sender.send_request(request).await.expect("an answer");
        assert_eq!(response.version(), http::Version::HTTP_2);
        assert_eq!(response.status(), expected, "{authority} {host:?}");
    }
}

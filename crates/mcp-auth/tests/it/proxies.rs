//! Proxies of the environment: used for issuers elsewhere, and never for plain http and this machine's own addresses.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use mcp_auth::{Fetch as _, FetchError, HttpClient, Limits};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

/// Names the port to the process that this test starts: the environment belongs to a whole process.
const PORT: &str = "MCP_AUTH_TEST_PORT";

/// Answers each connection with this response, and counts them.
async fn listen(response: &'static str) -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    tokio::spawn(async move {
        loop {
            let (mut connection, _) = listener.accept().await.expect("a connection");
            counted.fetch_add(1, Ordering::SeqCst);
            let _ = connection.read(&mut [0; 4096]).await;
            let _ = connection.write_all(response.as_bytes()).await;
        }
    });
    (port, count)
}

#[tokio::test]
async fn loopback_hosts_are_never_asked_through_a_proxy() {
    const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}";
    const BAD: &str = "HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    if let Ok(port) = std::env::var(PORT) {
        return fetch_from(&port).await;
    }
    let (port, direct) = listen(OK).await;
    let (proxy, proxied) = listen(BAD).await;
    let mut child = Command::new(std::env::current_exe().expect("this test"));
    child.args(["--exact", "proxies::loopback_hosts_are_never_asked_through_a_proxy"]);
    for name in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"] {
        let url = format!("http://127.0.0.1:{proxy}");
        child.env(name, &url).env(name.to_lowercase(), url);
    }
    child.env_remove("NO_PROXY").env_remove("no_proxy").env_remove("REQUEST_METHOD");
    child.env(PORT, port.to_string());
    let run = tokio::task::spawn_blocking(move || child.output().expect("it runs")).await;
    let output = run.expect("it ended");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    assert_eq!(direct.load(Ordering::SeqCst), 3, "one for each address of this machine");
    assert_eq!(proxied.load(Ordering::SeqCst), 1, "the one that is elsewhere");
}

/// Runs in a process of its own, with proxies in its environment.
async fn fetch_from(port: &str) {
    let client = HttpClient::new();
    let limits = Limits { timeout: Duration::from_secs(20), max_bytes: 1024 };
    let fetch = |url: String| {
        let request = Request::post(url).header("authorization", "Basic c2VjcmV0");
        client.fetch(request.body(Bytes::from_static(b"token=secret")).expect("a request"), limits)
    };
    for host in ["127.0.0.1", "LOCALHOST", "localhost"] {
        let response = fetch(format!("http://{host}:{port}/introspect")).await;
        assert_eq!(response.expect(host).body(), "{}", "{host}");
    }
    let plain = fetch("http://keycloak.invalid/introspect".to_owned()).await;
    assert!(
        matches!(plain, Err(FetchError::Unreachable(_))),
        "no proxy reads plain http: {plain:?}"
    );
    let elsewhere = fetch("https://issuer.invalid/introspect".to_owned()).await;
    assert!(elsewhere.is_err(), "the proxy answers 502: {elsewhere:?}");
}

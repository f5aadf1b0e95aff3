//! TLS of the gateway's own, with certificates that change and with those of clients.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty};
use hyper_util::rt::{TokioExecutor, TokioIo};
use mcp_auth_config::Config;
use mcp_auth_gateway::Gateway;
use mcp_auth_testkit::{ServedIssuer, TestIssuer};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::world::{OK, PATIENCE, Upstream};

/// Two certificates of one authority for `localhost` and `127.0.0.1`, with their keys and their `x5t#S256`.
const ONE: Pair = Pair {
    certificate: include_str!("../../../mcp-auth/tests/it/tls/server.pem"),
    key: include_str!("../../../mcp-auth/tests/it/tls/server.key"),
    digest: "Gmp1Rh3EIxQ6RW_k2CZVQQAZYzjV_KrggDodtrWkoy4",
};
const TWO: Pair = Pair {
    certificate: include_str!("../../../mcp-auth/tests/it/tls/client.pem"),
    key: include_str!("../../../mcp-auth/tests/it/tls/client.key"),
    digest: "TBS5S7O1HdxCytnT54I2fqmQly65cHPdGs066xtWitg",
};
const CA: &str = include_str!("../../../mcp-auth/tests/it/tls/ca.pem");

struct Pair {
    certificate: &'static str,
    key: &'static str,
    digest: &'static str,
}

impl Pair {
    fn chain(&self) -> Vec<CertificateDer<'static>> {
        vec![CertificateDer::from_pem_slice(self.certificate.as_bytes()).expect("a certificate")]
    }
}

/// A gateway with TLS, and the folder of its certificate.
struct Served {
    issuer: ServedIssuer,
    gateway: SocketAddr,
    folder: PathBuf,
    resource: String,
    _stop: oneshot::Sender<()>,
    _ended: JoinHandle<()>,
}

impl Served {
    async fn new(name: &str, keys: &str) -> Self {
        let upstream = Upstream::answering(OK).await;
        let issuer = TestIssuer::new().serve("127.0.0.1:0").await.expect("an issuer");
        let process = std::process::id();
        let folder = std::env::temp_dir().join(format!("mcp-auth-tls-{name}-{process}"));
        fs::create_dir_all(&folder).expect("a folder");
        write(&folder, &ONE);
        fs::write(folder.join("ca.pem"), CA).expect("written");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        drop(listener);
        let resource = format!("https://localhost:{port}/mcp");
        let path = folder.display();
        let file = format!(
            "listen = \"127.0.0.1:{port}\"\n[tls]\ncertificate = \"{path}/tls.crt\"\nkey = \"{path}/tls.key\"\nclient_ca = \"{path}/ca.pem\"\n[issuers.login]\nurl = \"{}\"\n[[resources]]\nurl = \"{resource}\"\nupstream = \"http://{}/mcp\"\n{keys}",
            issuer.url(),
            upstream.address
        );
        let config = Config::from_toml(&file).expect("a configuration");
        let gateway = Gateway::start(&config).await.expect("a gateway");
        let address = gateway.local_addr();
        let (stop, stopped) = oneshot::channel();
        let ended = tokio::spawn(gateway.run_until(async { _ = stopped.await }));
        Self { issuer, gateway: address, folder, resource, _stop: stop, _ended: ended }
    }

    /// A connection. Without a name, the client does not say which host it wants (SNI).
    async fn connect(
        &self,
        client: ClientConfig,
        name: Option<&'static str>,
    ) -> std::io::Result<TlsStream<TcpStream>> {
        let stream = TcpStream::connect(self.gateway).await?;
        let name = match name {
            Some(name) => ServerName::try_from(name).expect("a name"),
            None => ServerName::from(self.gateway.ip()),
        };
        let connecting = TlsConnector::from(Arc::new(client)).connect(name, stream);
        timeout(PATIENCE, connecting).await.expect("in time")
    }

    /// The status of a request with this token.
    async fn status(&self, stream: &mut TlsStream<TcpStream>, token: &str) -> String {
        let host = self.resource.trim_start_matches("https://").trim_end_matches("/mcp");
        let request =
            format!("GET /mcp HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\n\r\n");
        stream.write_all(request.as_bytes()).await.expect("sent");
        let mut response = Vec::new();
        while !response.ends_with(b"\r\n\r\n{}") && !response.ends_with(b"}") {
            let mut part = [0; 4096];
            let read = timeout(PATIENCE, stream.read(&mut part)).await.expect("in time");
            let read = read.expect("bytes");
            response.extend_from_slice(&part[..read]);
            if read == 0 {
                break;
            }
        }
        let response = String::from_utf8_lossy(&response).into_owned();
        response.split(' ').nth(1).unwrap_or_default().to_owned()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        _ = fs::remove_dir_all(&self.folder);
    }
}

fn write(folder: &Path, pair: &Pair) {
    fs::write(folder.join("tls.crt"), pair.certificate).expect("written");
    fs::write(folder.join("tls.key"), pair.key).expect("written");
}

fn client(own: Option<&Pair>, versions: &[&'static SupportedProtocolVersion]) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_slice(CA.as_bytes()).expect("an authority"))
        .expect("a root");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let client = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .expect("versions")
        .with_root_certificates(roots);
    match own {
        None => client.with_no_client_auth(),
        Some(pair) => {
            let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).expect("a key");
            client.with_client_auth_cert(pair.chain(), key).expect("a certificate")
        }
    }
}

fn shown(stream: &TlsStream<TcpStream>) -> Vec<CertificateDer<'static>> {
    let (_, session) = stream.get_ref();
    session
        .peer_certificates()
        .unwrap_or_default()
        .iter()
        .map(|one| one.clone().into_owned())
        .collect()
}

#[tokio::test]
async fn tls_1_2_and_1_3_are_spoken_with_and_without_a_name() {
    let served = Served::new("versions", "").await;
    let token = served.issuer.token().audience(&*served.resource).sign();
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        for name in [Some("localhost"), None] {
            let mut stream = served.connect(client(None, &[version]), name).await.expect("TLS");
            let (_, session) = stream.get_ref();
            assert_eq!(session.protocol_version(), Some(version.version));
            assert_eq!(served.status(&mut stream, &token).await, "200", "{name:?}");
        }
    }
    // TLS 1.1: a hello with that version, and one cipher suite.
    let mut hello = vec![22, 3, 1, 0, 45, 1, 0, 0, 41, 3, 2];
    hello.extend([7; 32]);
    hello.extend([0, 0, 2, 0xc0, 0x13, 1, 0]);
    let mut stream = TcpStream::connect(served.gateway).await.expect("a connection");
    stream.write_all(&hello).await.expect("sent");
    let mut answer = Vec::new();
    timeout(PATIENCE, stream.read_to_end(&mut answer)).await.expect("in time").expect("an end");
    assert_eq!(answer.first(), Some(&21), "an alert, and no hello: {answer:?}");
    // No TLS at all.
    let mut stream = TcpStream::connect(served.gateway).await.expect("a connection");
    stream.write_all(b"GET /mcp HTTP/1.1\r\nHost: localhost\r\n\r\n").await.expect("sent");
    let mut answer = Vec::new();
    _ = timeout(PATIENCE, stream.read_to_end(&mut answer)).await.expect("in time");
    assert!(!answer.starts_with(b"HTTP"), "{answer:?}");
}

#[tokio::test]
async fn http_2_is_spoken_if_a_client_offers_it() {
    let served = Served::new("alpn", "").await;
    for (offered, chosen) in [
        (&[&b"h2"[..], b"http/1.1"][..], Some(&b"h2"[..])),
        (&[b"http/1.1"], Some(b"http/1.1")),
        (&[], None),
    ] {
        let mut client = client(None, rustls::ALL_VERSIONS);
        client.alpn_protocols = offered.iter().map(|one| one.to_vec()).collect();
        let stream = served.connect(client, Some("localhost")).await.expect("TLS");
        assert_eq!(stream.get_ref().1.alpn_protocol(), chosen);
    }
    let mut client = client(None, rustls::ALL_VERSIONS);
    client.alpn_protocols = vec![b"h2".to_vec()];
    let stream = served.connect(client, Some("localhost")).await.expect("TLS");
    let connecting =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream));
    let (mut sender, connection) = connecting.await.expect("HTTP/2");
    tokio::spawn(connection);
    let token = served.issuer.token().audience(&*served.resource).sign();
    for (token, status) in [(&*token, 200), ("x", 401)] {
        let request = http::Request::get(&*served.resource);
        let request = request.header("authorization", format!("Bearer {token}"));
        let request = request.body(Empty::<Bytes>::new()).expect("a request");
        let response = timeout(PATIENCE, sender.send_request(request)).await.expect("in time");
        let response = response.expect("a response");
        assert_eq!(response.status().as_u16(), status);
        response.into_body().collect().await.expect("a body");
    }
}

/// RFC 8705: a token that was issued to the holder of a certificate is of no use to others.
#[tokio::test]
async fn a_token_that_is_bound_to_a_certificate_needs_that_certificate() {
    let served = Served::new("bound", "certificate_bound_tokens_required = true").await;
    let token = |digest: Option<&str>| {
        let token = served.issuer.token().audience(&*served.resource);
        match digest {
            None => token.sign(),
            Some(digest) => token.claim("cnf", serde_json::json!({ "x5t#S256": digest })).sign(),
        }
    };
    for (shown, bound_to, status) in [
        (Some(&TWO), Some(TWO.digest), "200"),
        (Some(&ONE), Some(TWO.digest), "401"),
        (None, Some(TWO.digest), "401"),
        (Some(&TWO), None, "401"),
    ] {
        let client = client(shown, rustls::ALL_VERSIONS);
        let mut stream = served.connect(client, Some("localhost")).await.expect("TLS");
        let answered = served.status(&mut stream, &token(bound_to)).await;
        assert_eq!(answered, status, "{bound_to:?}");
    }
    // A header that says what the certificate is says nothing: no proxy is named.
    let mut stream =
        served.connect(client(None, rustls::ALL_VERSIONS), Some("localhost")).await.expect("TLS");
    let smuggled = format!("{}\r\nClient-Cert: :MIIB:", token(Some(TWO.digest)));
    assert_eq!(served.status(&mut stream, &smuggled).await, "401");
}

#[tokio::test]
async fn a_new_certificate_is_used_and_no_connection_is_lost() {
    let served = Served::new("reload", "").await;
    let token = served.issuer.token().audience(&*served.resource).sign();
    let client = || client(None, rustls::ALL_VERSIONS);
    let mut old = served.connect(client(), Some("localhost")).await.expect("TLS");
    assert_eq!(shown(&old), ONE.chain());
    assert_eq!(served.status(&mut old, &token).await, "200");
    write(&served.folder, &TWO);
    // Every connection until then, and after, is answered.
    timeout(PATIENCE, async {
        loop {
            let mut stream = served.connect(client(), Some("localhost")).await.expect("TLS");
            assert_eq!(served.status(&mut stream, &token).await, "200");
            if shown(&stream) == TWO.chain() {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    })
    .await
    .expect("in time");
    assert_eq!(served.status(&mut old, &token).await, "200");
}

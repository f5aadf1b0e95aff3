//! Certificates and proxies of `HttpClient`, with a real TLS server.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use mcp_auth::{
    AuthorizationServer, ConfigError, Fetch as _, FetchError, HttpClient, Limits, McpAuth,
};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};

use crate::world::RESOURCE;

const CA: &str = include_str!("tls/ca.pem");
const OTHER_CA: &str = include_str!("tls/other_ca.pem");
const CLIENT: &str = include_str!("tls/client.pem");
const CLIENT_KEY: &str = include_str!("tls/client.key");
const SERVER: &str = include_str!("tls/server.pem");
const SERVER_KEY: &str = include_str!("tls/server.key");
const ISSUER: &str = "https://auth.example.com";

/// TLS as `localhost` and `issuer.example.com`. Asks clients for a certificate, and does not insist.
fn acceptor() -> TlsAcceptor {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(CA.as_bytes()).expect("a CA")).expect("a root");
    let provider = Arc::new(tokio_rustls::rustls::crypto::aws_lc_rs::default_provider());
    let clients = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone());
    let clients = clients.allow_unauthenticated().build().expect("a verifier");
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_client_cert_verifier(clients)
        .with_single_cert(
            vec![CertificateDer::from_pem_slice(SERVER.as_bytes()).expect("a certificate")],
            PrivateKeyDer::from_pem_slice(SERVER_KEY.as_bytes()).expect("a key"),
        );
    TlsAcceptor::from(Arc::new(config.expect("a configuration")))
}

/// Answers with whether the client showed a certificate.
async fn serve_tls(connection: TcpStream) {
    let Ok(mut tls) = acceptor().accept(connection).await else { return };
    let is_known = tls.get_ref().1.peer_certificates().is_some();
    let body = if is_known { "client" } else { "nobody" };
    let _ = head(&mut tls).await;
    let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\n{body}");
    let _ = tls.write_all(answer.as_bytes()).await;
    let _ = tls.shutdown().await;
}

async fn head(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> String {
    let (mut text, mut buffer) = (Vec::new(), [0; 4096]);
    while !text.windows(4).any(|window| window == b"\r\n\r\n") {
        match stream.read(&mut buffer).await {
            Ok(length @ 1..) => text.extend_from_slice(&buffer[..length]),
            _ => break,
        }
    }
    String::from_utf8_lossy(&text).into_owned()
}

async fn fetch(client: &HttpClient, url: &str) -> Result<Bytes, FetchError> {
    let limits = Limits { timeout: Duration::from_secs(20), max_bytes: 1024 };
    let request = Request::get(url).header("authorization", "Basic c2VjcmV0");
    let response = client.fetch(request.body(Bytes::new()).expect("a request"), limits).await;
    response.map(http::Response::into_body)
}

#[tokio::test]
async fn a_private_ca_is_trusted_if_it_is_given_and_a_client_certificate_is_shown() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("https://localhost:{}/", listener.local_addr().expect("an address").port());
    tokio::spawn(async move {
        while let Ok((connection, _)) = listener.accept().await {
            tokio::spawn(serve_tls(connection));
        }
    });
    let both = format!("{OTHER_CA}{CA}");
    for (client, expected) in [
        (HttpClient::new().root_certificates(CA), Some("nobody")),
        (HttpClient::new().root_certificates(OTHER_CA).root_certificates(CA), Some("nobody")),
        (HttpClient::new().root_certificates(both), Some("nobody")),
        (
            HttpClient::new().root_certificates(CA).client_certificate(CLIENT, CLIENT_KEY),
            Some("client"),
        ),
        (HttpClient::new().root_certificates(OTHER_CA), None),
        (HttpClient::new(), None),
        // A setting that cannot be used is not left out.
        (HttpClient::new().root_certificates(CA).client_certificate(CLIENT, "x"), None),
        (HttpClient::new().root_certificates(CA).client_certificate(CLIENT, SERVER_KEY), None),
        (HttpClient::new().root_certificates(CA).root_certificates("x"), None),
        (HttpClient::new().root_certificates(CA).proxy("socks5://127.0.0.1:1"), None),
    ] {
        let answer = fetch(&client, &url).await;
        match expected {
            Some(body) => assert_eq!(answer.expect("an answer"), body),
            None => assert!(answer.is_err(), "{answer:?}"),
        }
    }
}

#[tokio::test]
async fn a_proxy_sees_its_own_password_and_nothing_of_the_request() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let proxy = tokio::spawn(async move {
        let (mut connection, _) = listener.accept().await.expect("a connection");
        let connect = head(&mut connection).await;
        connection.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.expect("it is open");
        serve_tls(connection).await;
        connect
    });
    let proxy_url = format!("http://user:pass@127.0.0.1:{port}");
    let client = HttpClient::new().root_certificates(CA).proxy(&proxy_url);
    assert!(!format!("{client:?}").contains("pass"));
    let answer = fetch(&client, "https://issuer.example.com/keys").await;
    assert_eq!(answer.expect("an answer"), "nobody");
    let connect = proxy.await.expect("it ends");
    assert!(connect.starts_with("CONNECT issuer.example.com:443 "), "{connect}");
    let lower = connect.to_ascii_lowercase();
    assert!(lower.contains("proxy-authorization: basic dxnlcjpwyxnz"), "{connect}");
    assert!(!lower.contains("\r\nauthorization") && !lower.contains("keys"), "{connect}");
}

#[tokio::test]
async fn loopback_hosts_are_asked_directly_also_if_a_proxy_is_set() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    tokio::spawn(async move {
        while let Ok((connection, _)) = listener.accept().await {
            tokio::spawn(serve_tls(connection));
        }
    });
    // Nothing listens at the discard port.
    let client = HttpClient::new().root_certificates(CA).proxy("http://127.0.0.1:9");
    for host in ["localhost", "LOCALHOST", "127.0.0.1"] {
        let answer = fetch(&client, &format!("https://{host}:{port}/")).await;
        assert_eq!(answer.expect(host), "nobody", "{host}");
    }
    assert!(fetch(&client, "https://issuer.example.com/").await.is_err());
}

#[test]
fn settings_that_cannot_be_used_are_config_errors_and_show_no_secret() {
    let (new, text) = (HttpClient::new, |part: &'static str| part.as_bytes());
    let not_a_certificate = "-----BEGIN CERTIFICATE-----\nMAMCAf8=\n-----END CERTIFICATE-----\n";
    for (client, named) in [
        (new().root_certificates(""), "root certificates"),
        (new().root_certificates("/etc/mcp/ca.pem"), "root certificates"),
        (new().root_certificates([0x30, 0x03, 0x02, 0x01, 0xff]), "root certificates"),
        (new().root_certificates(CLIENT_KEY), "root certificates"),
        (
            new().root_certificates("-----BEGIN CERTIFICATE-----\n*\n-----END CERTIFICATE-----"),
            "root certificates",
        ),
        (new().root_certificates(not_a_certificate), "damaged"),
        (new().client_certificate("", ""), "client certificate"),
        (new().client_certificate(CLIENT, ""), "client certificate"),
        (new().client_certificate("", CLIENT_KEY), "client certificate"),
        (
            new().client_certificate(
                CLIENT,
                "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----",
            ),
            "client certificate",
        ),
        (new().client_certificate(CLIENT, SERVER_KEY), "another certificate's"),
        (new().client_certificate(text(not_a_certificate), text(CLIENT_KEY)), "damaged"),
        (new().proxy(""), "proxy"),
        (new().proxy("proxy.example.com:3128"), "proxy"),
        (new().proxy("socks5://user:hush@proxy.example.com"), "proxy"),
        (new().proxy("http://user:hush@proxy.example.com/path"), "proxy"),
        (new().proxy("http://proxy.example.com?x"), "proxy"),
        (new().proxy("http://"), "proxy"),
        // The first one is reported, and a later one does not hide it.
        (new().proxy("nonsense").root_certificates(CA), "proxy"),
    ] {
        let server = AuthorizationServer::discover(ISSUER).fetch(client);
        let built = McpAuth::builder(RESOURCE).authorization_server(server).build();
        match built {
            Err(ConfigError::HttpClient { issuer, why }) => {
                assert!(issuer == ISSUER && why.contains(named), "{named}: {why}");
                assert!(!why.contains("hush"));
            }
            other => panic!("{named}: {other:?}"),
        }
    }
    let fine = new()
        .root_certificates(format!("# a comment\n{CA}\n{OTHER_CA}"))
        .client_certificate(CLIENT, CLIENT_KEY)
        .proxy("https://user:hush@proxy.example.com:3128/");
    let server = AuthorizationServer::discover(ISSUER).fetch(fine);
    assert!(McpAuth::builder(RESOURCE).authorization_server(server).build().is_ok());
}

#[tokio::test]
async fn the_error_of_a_fetch_says_which_setting_is_wrong() {
    let client = HttpClient::new().root_certificates("nonsense");
    let error = fetch(&client, "https://issuer.example.com/").await.expect_err("an error");
    let cause = error.source().map(ToString::to_string).unwrap_or_default();
    assert!(cause.contains("root certificates are not PEM"), "{error:?}");
}

//! The client certificate and the peer address of a connection, as a server puts them into the extensions of requests.

use std::net::IpAddr;

use crate::verify::jwt::sha256;

/// The certificate with which a client opened its TLS connection. Whoever terminates TLS in front of the
/// layer puts it into the extensions of each request of the connection.
///
/// It must be the certificate for which the handshake has proven that the client holds the key. Whether
/// anybody vouches for it does not matter: what binds a token is the certificate itself
/// ([RFC 8705 §3](https://www.rfc-editor.org/rfc/rfc8705#section-3)).
///
/// ```
/// use mcp_auth::ClientCertificate;
///
/// # let (mut request, first_of_the_chain) = (http::Request::new(()), [0x30, 0x00]);
/// // With rustls: `connection.peer_certificates()`, of which the first is the client's.
/// request.extensions_mut().insert(ClientCertificate::from_der(&first_of_the_chain));
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ClientCertificate(pub(super) [u8; 32]);

impl ClientCertificate {
    /// Of a certificate in DER. Only its SHA-256 is kept.
    #[must_use]
    pub fn from_der(der: &[u8]) -> Self {
        Self(sha256(der))
    }

    /// Of the SHA-256 of a certificate in DER.
    #[must_use]
    pub fn from_sha256(digest: [u8; 32]) -> Self {
        Self(digest)
    }
}

impl std::fmt::Debug for ClientCertificate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ClientCertificate(..)")
    }
}

/// Who is at the other end of the connection: the client, or a proxy. In the extensions of a request.
///
/// `McpAuth::protect` takes it from axum's `ConnectInfo<SocketAddr>`. It must be the address of the
/// connection itself, never one that a header tells of.
///
/// ```
/// # let (mut request, stream) = (http::Request::new(()), std::net::TcpListener::bind("127.0.0.1:0")?);
/// request.extensions_mut().insert(mcp_auth::PeerAddr(stream.local_addr()?.ip()));
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerAddr(pub IpAddr);

//! The client certificate and the peer address of a connection, for the extensions of requests.

use std::net::IpAddr;

use crate::verify::jwt::sha256;

/// The client certificate of a TLS connection.
///
/// The component that terminates TLS in front of the layer puts it into the extensions of each request of the
/// connection.
///
/// It must be the certificate for which the TLS handshake has proven that the client holds the private key. It need
/// not be issued by a trusted CA, because a token is bound to the certificate itself
/// ([RFC 8705 §3](https://www.rfc-editor.org/rfc/rfc8705#section-3)).
///
/// ```
/// use mcp_auth::ClientCertificate;
///
/// # let (mut request, first_of_the_chain) = (http::Request::new(()), [0x30, 0x00]);
/// // With rustls: the first of `connection.peer_certificates()`.
/// request.extensions_mut().insert(ClientCertificate::from_der(&first_of_the_chain));
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ClientCertificate(pub(super) [u8; 32]);

impl ClientCertificate {
    /// From a certificate in DER. Only its SHA-256 digest is kept.
    #[must_use]
    pub fn from_der(der: &[u8]) -> Self {
        Self(sha256(der))
    }

    /// From the SHA-256 digest of a certificate in DER.
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

/// The address of the peer of a connection, which is the client or a proxy. Stored in the extensions of requests.
///
/// `McpAuth::protect` takes it from axum's `ConnectInfo<SocketAddr>`. It must be the address of the
/// connection itself, never an address from a header.
///
/// ```
/// # let (mut request, stream) = (http::Request::new(()), std::net::TcpListener::bind("127.0.0.1:0")?);
/// request.extensions_mut().insert(mcp_auth::PeerAddr(stream.local_addr()?.ip()));
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerAddr(pub IpAddr);

//! The client certificate of a connection, for tokens bound to it ([RFC 8705](https://www.rfc-editor.org/rfc/rfc8705)).

mod header;
mod network;

use std::net::IpAddr;

use http::header::HeaderMap;
use http::request::Parts;

use crate::model::denial::{Denial, Reason};
use crate::verify::jwt::{is_same_secret, sha256};

pub use header::ClientCertHeader;
pub(crate) use network::Network;

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
pub struct ClientCertificate([u8; 32]);

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

/// How certificates are known.
#[derive(Clone, Debug, Default)]
pub(crate) struct Certificates {
    pub(crate) is_required: bool,
    pub(crate) forwarded: Option<Forwarded>,
}

/// A header that tells of certificates, and who is believed it.
#[derive(Clone, Debug)]
pub(crate) struct Forwarded {
    pub(crate) header: ClientCertHeader,
    pub(crate) peers: Vec<Network>,
}

impl Certificates {
    /// Whether the client has shown the certificate with this thumbprint.
    pub(crate) fn confirm(&self, thumbprint: &[u8; 32], parts: &Parts) -> Result<(), Denial> {
        match self.of(parts) {
            Ok(ClientCertificate(shown)) if is_same_secret(&shown, thumbprint) => Ok(()),
            Ok(_) => Err(Denial::invalid(Reason::Certificate).detail(
                "the token is bound to another client certificate than the one shown: it was stolen, or the client has renewed its certificate and needs a new token",
            )),
            Err(why) => Err(Denial::invalid(Reason::Certificate).detail(why)),
        }
    }

    /// The certificate of the client. A proxy that is believed knows its client, and no other is asked then.
    fn of(&self, parts: &Parts) -> Result<ClientCertificate, &'static str> {
        let peer = parts.extensions.get().map(|PeerAddr(address)| *address);
        match &self.forwarded {
            Some(forwarded) if peer.is_some_and(|peer| forwarded.is_believed(peer)) => {
                forwarded.read(&parts.headers)
            }
            _ => parts.extensions.get().copied().ok_or(match (&self.forwarded, peer) {
                (None, _) => "the token is bound to a client certificate, and the request has no `ClientCertificate` in its extensions: put it there where TLS ends, or name your proxy with `.client_certificates_from(..)`",
                (Some(_), None) => "the token is bound to a client certificate, and the request has no `PeerAddr` in its extensions, so that no proxy can be believed: with axum, serve by `into_make_service_with_connect_info::<SocketAddr>()`",
                (Some(_), Some(_)) => "the token is bound to a client certificate, and the request does not come from a proxy that `.client_certificates_from(..)` names",
            }),
        }
    }
}

impl Forwarded {
    fn is_believed(&self, peer: IpAddr) -> bool {
        self.peers.iter().any(|network| network.contains(peer))
    }

    fn read(&self, headers: &HeaderMap) -> Result<ClientCertificate, &'static str> {
        let mut fields = headers.get_all(self.header.name()).iter();
        let field = fields.next().ok_or("the proxy tells of no client certificate: the client showed none, or the proxy is not set up to pass it on")?;
        if fields.next().is_some() {
            return Err(
                "the header with the client certificate comes twice: the proxy must replace what clients send under its name",
            );
        }
        let field = field.to_str().ok().and_then(|field| self.header.read(field));
        field.ok_or("the header with the client certificate cannot be read, or tells of two: is the proxy set up for the form that `.client_certificates_from(..)` names, and to replace what it gets under that name (Envoy: `SANITIZE_SET`)?")
    }
}

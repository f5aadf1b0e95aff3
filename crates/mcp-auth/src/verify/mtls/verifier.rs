//! Checks that the client presented the certificate that the token is bound to.

use std::net::IpAddr;

use http::header::HeaderMap;
use http::request::Parts;

use crate::model::denial::Denial;
use crate::model::error_codes::Reason;
use crate::verify::jwt::is_same_secret;
use crate::verify::mtls::certificate::{ClientCertificate, PeerAddr};
use crate::verify::mtls::cidr::Cidr;
use crate::verify::mtls::header::ClientCertHeader;

/// Verifies certificate-bound tokens.
#[derive(Clone, Debug, Default)]
pub(crate) struct CertificateVerifier {
    pub(crate) is_required: bool,
    pub(crate) trusted_proxies: Option<TrustedProxies>,
}

/// The header with the client certificate, and the proxies that are trusted to set it.
#[derive(Clone, Debug)]
pub(crate) struct TrustedProxies {
    pub(crate) header: ClientCertHeader,
    pub(crate) peers: Vec<Cidr>,
}

impl CertificateVerifier {
    /// Checks that the client presented the certificate with this thumbprint.
    pub(crate) fn verify(&self, thumbprint: &[u8; 32], parts: &Parts) -> Result<(), Denial> {
        match self.client_certificate(parts) {
            Ok(ClientCertificate(shown)) if is_same_secret(&shown, thumbprint) => Ok(()),
            Ok(_) => Err(Denial::invalid(Reason::Certificate).detail(
                "the token is bound to another client certificate than the one shown: it was stolen, or the client has renewed its certificate and needs a new token",
            )),
            Err(why) => Err(Denial::invalid(Reason::Certificate).detail(why)),
        }
    }

    /// The certificate of the client. If the peer is a trusted proxy, only its header is read, and the certificate of
    /// the connection is ignored.
    fn client_certificate(&self, parts: &Parts) -> Result<ClientCertificate, &'static str> {
        let peer = parts.extensions.get().map(|PeerAddr(address)| *address);
        match &self.trusted_proxies {
            Some(trusted_proxies) if peer.is_some_and(|peer| trusted_proxies.is_trusted(peer)) => {
                trusted_proxies.read(&parts.headers)
            }
            _ => parts.extensions.get().copied().ok_or(match (&self.trusted_proxies, peer) {
                (None, _) => "the token is bound to a client certificate, and the request has no `ClientCertificate` in its extensions: put it there where TLS ends, or name your proxy with `.client_certificates_from(..)`",
                (Some(_), None) => "the token is bound to a client certificate, and the request has no `PeerAddr` in its extensions, so that no proxy can be believed: with axum, serve by `into_make_service_with_connect_info::<SocketAddr>()`",
                (Some(_), Some(_)) => "the token is bound to a client certificate, and the request does not come from a proxy that `.client_certificates_from(..)` names",
            }),
        }
    }
}

impl TrustedProxies {
    fn is_trusted(&self, peer: IpAddr) -> bool {
        self.peers.iter().any(|network| network.contains(peer))
    }

    fn read(&self, headers: &HeaderMap) -> Result<ClientCertificate, &'static str> {
        let mut fields = headers.get_all(self.header.name()).iter();
        let field = fields.next().ok_or("the proxy sent no client certificate: the client showed none, or the proxy is not set up to pass it on")?;
        if fields.next().is_some() {
            return Err(
                "the header with the client certificate comes twice: the proxy must replace what clients send under its name",
            );
        }
        let field = field.to_str().ok().and_then(|field| self.header.read(field));
        field.ok_or("the header with the client certificate cannot be read, or has two certificates: is the proxy set up for the form that `.client_certificates_from(..)` names, and to replace what it gets under that name (Envoy: `SANITIZE_SET`)?")
    }
}

//! TLS to Redis.

use std::sync::Arc;

use rustls::ClientConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls_platform_verifier::Verifier;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// How connections are encrypted. The crypto library is chosen here, and not by what a program has installed.
pub(crate) struct Tls {
    connector: TlsConnector,
    name: ServerName<'static>,
}

impl Tls {
    /// For a host, whose certificate must be of an authority of the system or of these (PEM).
    ///
    /// # Errors
    ///
    /// What is wrong with them.
    pub(crate) fn new(host: &str, ca: Option<&[u8]>) -> Result<Self, String> {
        let name = ServerName::try_from(host.to_owned()).map_err(|error| error.to_string())?;
        let extra: Vec<_> = CertificateDer::pem_slice_iter(ca.unwrap_or_default())
            .collect::<Result<_, _>>()
            .map_err(|error| error.to_string())?;
        if ca.is_some() && extra.is_empty() {
            return Err("there is no certificate in PEM".to_owned());
        }
        let provider = Arc::new(aws_lc_rs::default_provider());
        let verifier = Verifier::new_with_extra_roots(extra, Arc::clone(&provider));
        let verifier = verifier.map_err(|error| error.to_string())?;
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .dangerous() // what the platform verifies by
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_no_client_auth();
        Ok(Self { connector: TlsConnector::from(Arc::new(config)), name })
    }

    pub(crate) async fn connect(&self, stream: TcpStream) -> std::io::Result<TlsStream<TcpStream>> {
        self.connector.connect(self.name.clone(), stream).await
    }
}

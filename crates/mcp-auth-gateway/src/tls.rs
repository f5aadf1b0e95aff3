//! TLS of the gateway's own, with certificates that are read again when their files change.

use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use mcp_auth_config::Tls;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio_rustls::TlsAcceptor;

/// How often the files are looked at. A certificate is replaced days before it expires.
const RELOAD_INTERVAL: Duration = Duration::from_secs(10);

/// The current certificate.
#[derive(Clone, Debug)]
pub(crate) struct Certificates {
    files: Tls,
    current: Arc<RwLock<Arc<ServerConfig>>>,
}

impl Certificates {
    /// Reads the files.
    ///
    /// # Errors
    ///
    /// Which file is missing or wrong.
    pub(crate) fn read(files: &Tls) -> Result<Self, String> {
        let current = Arc::new(RwLock::new(Arc::new(server_config(files)?)));
        Ok(Self { files: files.clone(), current })
    }

    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        TlsAcceptor::from(Arc::clone(&current))
    }

    /// Reads the files again whenever one changes. If they are wrong then, the last good ones stay.
    pub(crate) async fn keep_fresh(self) {
        let mut last = self.modified();
        loop {
            tokio::time::sleep(RELOAD_INTERVAL).await;
            let now = self.modified();
            if now == last {
                continue;
            }
            last = now;
            match server_config(&self.files) {
                Ok(config) => {
                    *self.current.write().unwrap_or_else(PoisonError::into_inner) =
                        Arc::new(config);
                    tracing::info!(target: "mcp_auth", "reads the new TLS certificate");
                }
                Err(error) => {
                    tracing::error!(target: "mcp_auth", error, "the new TLS certificate is not used; the old one stays");
                }
            }
        }
    }

    fn modified(&self) -> [Option<SystemTime>; 3] {
        let modified = |path: &Path| path.metadata().ok()?.modified().ok();
        [
            modified(&self.files.certificate),
            modified(&self.files.key),
            self.files.client_ca.as_deref().and_then(modified),
        ]
    }
}

fn server_config(files: &Tls) -> Result<ServerConfig, String> {
    let chain = certificates(&files.certificate)?;
    let key = PrivateKeyDer::from_pem_file(&files.key)
        .map_err(|error| format!("{} has no private key in PEM: {error}", files.key.display()))?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    let config = match &files.client_ca {
        None => config.with_no_client_auth(),
        Some(file) => {
            let mut roots = RootCertStore::empty();
            roots.add_parsable_certificates(certificates(file)?);
            // A client without a certificate is admitted or refused by its token.
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                .allow_unauthenticated()
                .build()
                .map_err(|error| format!("{}: {error}", file.display()))?;
            config.with_client_cert_verifier(verifier)
        }
    };
    let mut config = config.with_single_cert(chain, key).map_err(|error| {
        format!(
            "{} and {} do not belong together: {error}",
            files.certificate.display(),
            files.key.display()
        )
    })?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let wrong = |error: String| format!("{} has no certificate in PEM: {error}", file.display());
    let found = CertificateDer::pem_file_iter(file).map_err(|error| wrong(error.to_string()))?;
    let found: Vec<_> =
        found.collect::<Result<_, _>>().map_err(|error| wrong(error.to_string()))?;
    if found.is_empty() { Err(wrong("it is empty".into())) } else { Ok(found) }
}

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

/// How often the files are looked at. It costs three system calls, and who replaces a certificate waits to see it used.
const RELOAD_INTERVAL: Duration = Duration::from_secs(2);

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

    /// Reads the files again whenever one changes. Connections that are open keep the certificate that they began with.
    pub(crate) async fn keep_fresh(self) {
        let mut seen = self.seen();
        loop {
            tokio::time::sleep(RELOAD_INTERVAL).await;
            self.refresh(&mut seen);
        }
    }

    /// Reads the files if they are not those that were seen. If they are wrong, the last good ones stay, and these are read
    /// again the next time, since they may be half written.
    fn refresh(&self, seen: &mut Seen) {
        let now = self.seen();
        let is_new = now.stamps != seen.stamps;
        if !is_new && seen.is_used {
            return;
        }
        *seen = now;
        match server_config(&self.files) {
            Ok(config) => {
                *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(config);
                tracing::info!(target: "mcp_auth", "uses the new TLS certificate");
            }
            Err(error) => {
                seen.is_used = false;
                if is_new {
                    tracing::error!(target: "mcp_auth", error, "the new TLS certificate cannot be used; the old one stays");
                }
            }
        }
    }

    fn seen(&self) -> Seen {
        let stamp = |path: &Path| {
            let about = path.metadata().ok()?;
            Some((about.modified().ok()?, about.len()))
        };
        let Tls { certificate, key, client_ca } = &self.files;
        let stamps = [stamp(certificate), stamp(key), client_ca.as_deref().and_then(stamp)];
        Seen { stamps, is_used: true }
    }
}

/// What was seen of the files: when they were changed, and their sizes.
struct Seen {
    stamps: [Option<(SystemTime, u64)>; 3],
    /// Whether they could be used.
    is_used: bool,
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

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// Two certificates of one authority, with their keys.
    const ONE: [&str; 2] = [
        include_str!("../../mcp-auth/tests/it/tls/server.pem"),
        include_str!("../../mcp-auth/tests/it/tls/server.key"),
    ];
    const TWO: [&str; 2] = [
        include_str!("../../mcp-auth/tests/it/tls/client.pem"),
        include_str!("../../mcp-auth/tests/it/tls/client.key"),
    ];

    #[test]
    fn a_pair_that_is_half_written_is_not_used_and_a_whole_one_is() {
        let folder = std::env::temp_dir().join(format!("mcp-auth-tls-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("a folder");
        let files = Tls {
            certificate: folder.join("tls.crt"),
            key: folder.join("tls.key"),
            client_ca: None,
        };
        let write = |certificate: &str, key: &str| {
            fs::write(&files.certificate, certificate).expect("written");
            fs::write(&files.key, key).expect("written");
        };
        write(ONE[0], ONE[1]);
        let certificates = Certificates::read(&files).expect("a pair");
        let mut seen = certificates.seen();
        let current = || Arc::clone(&certificates.current.read().expect("a lock"));
        let first = current();

        for (certificate, key) in [
            (TWO[0], ONE[1]),
            (&TWO[0][..100], TWO[1]),
            ("", TWO[1]),
            (TWO[0], ""),
            (TWO[0], "-----BEGIN PRIVATE KEY-----\n"),
        ] {
            write(certificate, key);
            certificates.refresh(&mut seen);
            assert!(Arc::ptr_eq(&first, &current()), "{certificate}{key}");
            assert!(!seen.is_used);
        }
        fs::remove_file(&files.key).expect("removed");
        certificates.refresh(&mut seen);
        assert!(Arc::ptr_eq(&first, &current()));

        write(TWO[0], TWO[1]);
        certificates.refresh(&mut seen);
        let second = current();
        assert!(!Arc::ptr_eq(&first, &second));
        certificates.refresh(&mut seen);
        assert!(Arc::ptr_eq(&second, &current()), "it is read once");
        fs::remove_dir_all(&folder).expect("removed");
    }
}

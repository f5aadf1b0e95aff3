//! The settings for sender-constrained tokens: DPoP and mTLS.

use std::sync::Arc;
use std::time::Duration;

use crate::net::replay_store::ReplayStore;
use crate::policy::metadata::ResourceMetadata;
use crate::resource::config_error::ConfigError;
use crate::resource::networks::networks;
use crate::resource::sender_constraint::SenderConstraint;
use crate::verify::dpop::{self, Dpop, DpopVerifier, NonceKeys, Nonces, ReplayCache};
use crate::verify::mtls::{CertificateVerifier, ClientCertHeader, TrustedProxies};

/// The output length of HMAC-SHA256. Shorter keys reduce its security (RFC 2104 §3).
const MIN_NONCE_KEY_BYTES: usize = 32;

/// The settings. By default, bound tokens are accepted with their proofs, and neither DPoP nor mTLS is
/// advertised.
#[derive(Default)]
pub(super) struct Settings {
    pub(super) dpop: Option<Dpop>,
    pub(super) requires_certificates: bool,
    pub(super) trusted_proxies: Option<(ClientCertHeader, Vec<String>)>,
    pub(super) replay_store: Option<Arc<dyn ReplayStore>>,
}

impl Settings {
    /// Adds the sender constraints to the metadata
    /// ([RFC 9728 §2](https://www.rfc-editor.org/rfc/rfc9728#section-2)).
    pub(super) fn describe(&self, mut metadata: ResourceMetadata) -> ResourceMetadata {
        if let Some(dpop) = &self.dpop {
            let algorithms: Vec<_> = dpop::algorithm_names().collect();
            metadata = metadata.member("dpop_signing_alg_values_supported", algorithms);
            if dpop.is_required {
                metadata = metadata.member("dpop_bound_access_tokens_required", true);
            }
        }
        if self.requires_certificates || self.trusted_proxies.is_some() {
            metadata = metadata.member("tls_client_certificate_bound_access_tokens", true);
        }
        metadata
    }

    /// Checks the settings and builds the [`SenderConstraint`].
    pub(super) fn ready(
        self,
        names: &[String],
        leeway: Duration,
        replays: Option<Arc<ReplayCache>>,
    ) -> Result<SenderConstraint, ConfigError> {
        let resource = names.first().map_or("", String::as_str);
        let dpop = self.dpop.as_ref();
        let nonces = match dpop.map(|dpop| &dpop.nonces) {
            None | Some(NonceKeys::Disabled) => None,
            Some(NonceKeys::Random) => Some(Nonces::random().ok_or(ConfigError::NoNonceKey)?),
            Some(NonceKeys::Given(keys)) => {
                let shortest = keys.iter().map(|key| key.len()).min().unwrap_or(0);
                let nonces = Nonces::new(keys, resource);
                let is_long = shortest >= MIN_NONCE_KEY_BYTES;
                Some(nonces.filter(|_| is_long).ok_or(ConfigError::ShortNonceKey(shortest))?)
            }
        };
        let capacity =
            dpop.map_or(Dpop::optional().replay_cache_capacity, |it| it.replay_cache_capacity);
        let replays = replays.unwrap_or_else(|| ReplayCache::new(capacity).into());
        let proofs = DpopVerifier::new(names, leeway, nonces, replays)
            .ok_or_else(|| ConfigError::Resource(resource.to_owned()))?;
        let trusted_proxies = match self.trusted_proxies {
            None => None,
            Some((header, peers)) => Some(TrustedProxies { header, peers: networks(peers)? }),
        };
        Ok(SenderConstraint {
            is_offered: dpop.is_some(),
            is_required: dpop.is_some_and(|dpop| dpop.is_required),
            algorithms: dpop::algorithm_names().collect::<Vec<_>>().join(" "),
            proofs,
            replay_store: self.replay_store,
            certificates: CertificateVerifier {
                is_required: self.requires_certificates,
                trusted_proxies,
            },
        })
    }
}

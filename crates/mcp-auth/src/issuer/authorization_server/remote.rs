//! What is fetched from an authorization server: its metadata, and then its keys.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;

use crate::issuer::authorization_server::keys_file;
use crate::issuer::authorization_server::settings::{KeySource, Settings};
use crate::issuer::cache_control;
use crate::issuer::introspection::{IntrospectionEndpoint, Introspector};
use crate::issuer::issuer_keys::IssuerKeys;
use crate::net::backoff::{FIRST_DELAY, MAX_WAIT};
use crate::net::fetch::FetchError;
use crate::net::metrics;
use crate::net::refresh::{Fetched, LoadError, Loaded};
use crate::net::refreshing_cache::{RefreshingCache, Timing};
use crate::policy::metadata::ServerMetadata;
use crate::util::shown;
use crate::verify::jwt::{Key, KeySet, KeySetError};

/// How long metadata is used before it is fetched again: it names the URL of the keys, which rarely changes.
const METADATA_LIFETIME: Duration = Duration::from_secs(60 * 60);

/// The media types of a key set: the registered one ([RFC 7517 §8.5.1](https://www.rfc-editor.org/rfc/rfc7517#section-8.5.1)),
/// and what most issuers write.
const KEY_SET: &str = "application/jwk-set+json, application/json";

/// Longer key sets, of about a hundred RSA keys or more, are read on a blocking thread.
const LONG_KEY_SET_BYTES: usize = 32 * 1024;

/// What is fetched from one server, shared by all clones.
pub(super) struct Remote {
    pub(super) metadata: Arc<RefreshingCache<ServerMetadata>>,
    pub(super) issuer_keys: Arc<IssuerKeys>,
    pub(super) introspector: Option<Introspector>,
    /// One entry for each key that has verified a token.
    verified_by: Mutex<Vec<Arc<VerifiedBy>>>,
}

/// What the validity of a cached JWT depends on. All tokens of a key share it, so that it takes no memory per
/// token.
pub(crate) struct VerifiedBy {
    /// Retired when its issuer withdraws it: the cached tokens that it verified are then not used anymore.
    pub(crate) key: Arc<Key>,
    /// Introspects these JWTs too, if that is configured.
    pub(crate) introspector: Option<Introspector>,
}

impl Remote {
    pub(super) fn verified_by(&self, key: Arc<Key>) -> Arc<VerifiedBy> {
        let mut all = self.verified_by.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = all.iter().find(|known| Arc::ptr_eq(&known.key, &key)) {
            return known.clone();
        }
        all.retain(|known| !known.key.is_retired());
        let introspector = self.introspector.clone().filter(Introspector::introspects_jwts);
        let verified_by = Arc::new(VerifiedBy { key, introspector });
        all.push(verified_by.clone());
        verified_by
    }
}

impl Settings {
    pub(super) fn remote(self: Arc<Self>) -> Remote {
        let timing =
            Timing { cooldown: self.cooldown, max_delay: self.cooldown, max_stale: self.max_stale };
        let settings = self.clone();
        let metadata = Arc::new(RefreshingCache::new(
            self.clock.clone(),
            timing,
            Box::new(move |_| {
                let settings = settings.clone();
                Box::pin(async move {
                    let metadata = settings.load_metadata().await;
                    settings.report("metadata", metadata.as_ref().err());
                    Ok(Loaded::new(metadata?, METADATA_LIFETIME))
                })
            }),
        ));
        let issuer = self.rules.issuer.clone();
        let label = self.metrics_label.clone();
        let issuer_keys = match &self.keys {
            KeySource::Static(keys) => IssuerKeys::fixed(issuer, keys.clone()),
            KeySource::None => IssuerKeys::fixed(issuer, Arc::default()),
            KeySource::Hmac(_) => IssuerKeys::shared_secret(issuer),
            KeySource::File(path) => IssuerKeys::remote(
                issuer,
                label,
                keys_file::keys(self.clone(), path.clone(), timing),
            ),
            KeySource::JwksUri => IssuerKeys::remote(
                issuer,
                label,
                self.clone().published_keys(metadata.clone(), timing),
            ),
        };
        let issuer_keys = Arc::new(issuer_keys);
        let introspector = self.introspection.clone().map(|introspection| {
            let endpoint = IntrospectionEndpoint {
                rules: self.rules.clone(),
                metrics_label: self.metrics_label.clone(),
                metadata: metadata.clone(),
                issuer_keys: issuer_keys.clone(),
                internal_url: self.internal_url.clone(),
                outbound: self.outbound.clone(),
                clock: self.clock.clone(),
            };
            Introspector::new(introspection, endpoint)
        });
        Remote { metadata, issuer_keys, introspector, verified_by: Mutex::default() }
    }

    /// The keys at the `jwks_uri` of the metadata.
    fn published_keys(
        self: Arc<Self>,
        metadata: Arc<RefreshingCache<ServerMetadata>>,
        timing: Timing,
    ) -> RefreshingCache<KeySet> {
        RefreshingCache::new(
            self.clock.clone(),
            timing,
            Box::new(move |cached: Option<Arc<Fetched<KeySet>>>| {
                let (settings, metadata_cache) = (self.clone(), metadata.clone());
                Box::pin(async move {
                    // Without metadata there is no URL to try, and its failure is already reported.
                    let metadata = metadata_cache.current().await;
                    let metadata = metadata.map_err(|error| LoadError::NotAsked(error.cause()))?;
                    let keys = settings.load_keys(&metadata).await;
                    settings.report("keys", keys.as_ref().err());
                    let (keys, lifetime) = keys?;
                    Ok(settings.replace_keys(keys, lifetime, cached.as_deref()))
                })
            }),
        )
    }

    /// The keys that replace the former ones. A set without a usable key replaces them too: a key that is gone is
    /// gone. It is looked at again soon, at growing intervals, in case the issuer corrects it.
    pub(super) fn replace_keys(
        &self,
        keys: KeySet,
        lifetime: Duration,
        former: Option<&Fetched<KeySet>>,
    ) -> Loaded<KeySet> {
        let has_news = former.is_some_and(|former| keys.has_news(former));
        let is_changed = !former.is_some_and(|former| keys.is_same(former));
        if is_changed && keys.has_untried_keys() {
            self.report_keys(
                "more than eight keys in it have the same `kid` (or none) and the same algorithm, and eight are tried for a token; let the issuer give them different names",
            );
        }
        if !keys.is_empty() {
            let value = keys.replacing(former.map(|former| &**former));
            return Loaded { value, lifetime, has_news };
        }
        if is_changed {
            self.report_keys(&format!(
                "it has no key that this version can use: {}; its tokens cannot be verified (503): let it sign with a supported algorithm, or update this library",
                keys.why_unusable(),
            ));
        }
        let again = former.filter(|former| former.is_empty());
        let again = again.map_or(FIRST_DELAY, |former| former.lifetime().saturating_mul(2));
        Loaded {
            value: keys.replacing(former.map(|former| &**former)),
            lifetime: again.min(MAX_WAIT).min(lifetime),
            has_news,
        }
    }

    async fn load_keys(&self, metadata: &ServerMetadata) -> Result<(KeySet, Duration), FetchError> {
        let missing = || FetchError::InvalidDocument {
            url: self.rules.issuer.to_string(),
            why: "its metadata has no `jwks_uri`".into(),
        };
        let url = metadata.jwks_uri().ok_or_else(missing)?;
        let response = self.get(url, KEY_SET).await?;
        let lifetime = cache_control::lifetime(response.headers(), self.max_age);
        let keys = read_keys(response.into_body()).await?;
        let keys = keys.map_err(|why| FetchError::InvalidDocument {
            url: url.to_owned(),
            why: why.to_string(),
        })?;
        Ok((keys, lifetime))
    }

    pub(super) fn report(&self, document: &'static str, failure: Option<&FetchError>) {
        let issuer = &*shown::field(&self.rules.issuer);
        metrics::refresh(document, &self.metrics_label, failure.is_none());
        let Some(error) = failure.map(|error| shown::error(error)) else {
            return tracing::debug!(target: "mcp_auth", issuer, "fetched the {document}");
        };
        match self.metrics_label.pattern() {
            None => {
                tracing::warn!(target: "mcp_auth", issuer, error, "could not fetch the {document} of the issuer");
            }
            // A token named this issuer, and is not verified. So are the URLs in the error.
            Some(pattern) => {
                tracing::debug!(target: "mcp_auth", issuer, error, "could not fetch the {document} of the issuer");
                tracing::warn!(target: "mcp_auth", pattern, "could not fetch the {document} of an issuer that an issuer resolver trusts (it and the error are logged at debug)");
            }
        }
    }

    /// Warns about the key set.
    fn report_keys(&self, why: &str) {
        let issuer = &*shown::field(&self.rules.issuer);
        match self.metrics_label.pattern() {
            None => {
                tracing::warn!(target: "mcp_auth", issuer, "the issuer's key set: {why}");
            }
            Some(pattern) => {
                tracing::debug!(target: "mcp_auth", issuer, "a warning is about the key set of this issuer");
                tracing::warn!(target: "mcp_auth", pattern, "the key set of an issuer that an issuer resolver trusts (logged at debug): {why}");
            }
        }
    }
}

/// Reads a key set. Its keys are prepared, which takes time for each: a long set is read where it delays nobody else.
async fn read_keys(jwks: Bytes) -> Result<Result<KeySet, KeySetError>, FetchError> {
    if jwks.len() <= LONG_KEY_SET_BYTES {
        return Ok(KeySet::read(&jwks));
    }
    let reading = tokio::task::spawn_blocking(move || KeySet::read(&jwks));
    reading.await.map_err(|_| FetchError::Transport("the runtime shuts down".into()))
}

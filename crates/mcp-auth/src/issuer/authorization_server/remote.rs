//! What is fetched from an authorization server: its metadata, and then its keys.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;

use crate::issuer::authorization_server::keys_file;
use crate::issuer::authorization_server::settings::{
    KeySource, MAX_DOCUMENT_BYTES, MetadataSource, Settings,
};
use crate::issuer::cache_control;
use crate::issuer::introspection::{IntrospectionEndpoint, Introspector};
use crate::issuer::issuer_keys::IssuerKeys;
use crate::net::backoff::{FIRST_DELAY, MAX_DELAY};
use crate::net::fetch::{FetchError, Limits, get_document};
use crate::net::metrics;
use crate::net::refresh::{Fetched, LoadError, Loaded, RefreshError};
use crate::net::refreshing_cache::{RefreshingCache, Timing};
use crate::policy::metadata::{ServerMetadata, Severity, server_metadata_urls, validate};
use crate::util::shown;
use crate::util::url;
use crate::verify::jwt::{Key, KeySet};

/// How long metadata is used before it is fetched again: it names the URL of the keys, which rarely changes.
const METADATA_LIFETIME: Duration = Duration::from_secs(60 * 60);

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
                headers: self.headers.clone(),
                fetch: self.fetch.clone(),
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
                    let metadata =
                        metadata.map_err(metadata_unavailable).map_err(LoadError::from)?;
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
        if !keys.is_empty() {
            let value = keys.replacing(former.map(|former| &**former));
            return Loaded { value, lifetime, has_news };
        }
        if !former.is_some_and(|former| keys.is_same(former)) {
            self.report_no_usable_key(keys.why_unusable());
        }
        let again = former.filter(|former| former.is_empty());
        let again = again.map_or(FIRST_DELAY, |former| former.lifetime().saturating_mul(2));
        Loaded {
            value: keys.replacing(former.map(|former| &**former)),
            lifetime: again.min(MAX_DELAY).min(lifetime),
            has_news,
        }
    }

    async fn load_metadata(&self) -> Result<ServerMetadata, FetchError> {
        let urls = match &self.source {
            MetadataSource::Discovery => server_metadata_urls(&self.rules.issuer),
            MetadataSource::Static(metadata) => {
                return self.accept(&self.rules.issuer, ServerMetadata::clone(metadata)).await;
            }
            MetadataSource::External => Vec::new(),
            MetadataSource::Url(url) => vec![url.to_string()],
        };
        let mut error_to_report = None;
        for url in urls {
            match self.load_metadata_at(&url).await {
                Ok(metadata) => return Ok(metadata),
                // Not found, or not a metadata document: the next URL may have it.
                Err(error @ FetchError::InvalidDocument { .. }) => error_to_report = Some(error),
                Err(error @ FetchError::Status { status: 300..=499, .. }) => {
                    error_to_report = error_to_report.or(Some(error))
                }
                Err(error) => return Err(error),
            }
        }
        Err(error_to_report
            .unwrap_or_else(|| FetchError::Transport("there is no place to fetch it from".into())))
    }

    async fn load_metadata_at(&self, url: &str) -> Result<ServerMetadata, FetchError> {
        let response = self.get(url).await?;
        let invalid =
            |why: &str| FetchError::InvalidDocument { url: url.to_owned(), why: why.into() };
        let metadata = ServerMetadata::parse(response.body()).map_err(invalid)?;
        // Plain http is for loopback addresses, and metadata of a remote server must not send requests there.
        if url::is_https(url) && !metadata.jwks_uri().is_none_or(url::is_https) {
            return Err(invalid("its `jwks_uri` is not https, as it is itself"));
        }
        self.accept(url, metadata).await
    }

    /// Applies `map_metadata` to a document, and accepts the document if its `issuer` is this one
    /// ([RFC 8414 §3.3](https://www.rfc-editor.org/rfc/rfc8414#section-3.3)).
    async fn accept(
        &self,
        url: &str,
        metadata: ServerMetadata,
    ) -> Result<ServerMetadata, FetchError> {
        let metadata = match &self.map_metadata {
            Some(map) => tokio::time::timeout(self.timeout, map(metadata.document().clone()))
                .await
                .map_err(|_| FetchError::Timeout(self.timeout))?
                .into(),
            None => metadata,
        };
        let issuer = &*self.rules.issuer;
        if metadata.issuer() != issuer {
            let why = format!(
                "its issuer is {:?}, not {issuer:?}: use the issuer as the document writes it",
                metadata.issuer()
            );
            return Err(FetchError::InvalidDocument { url: url.to_owned(), why });
        }
        for finding in
            validate(&metadata).iter().filter(|finding| finding.severity > Severity::Pass)
        {
            let issuer = &*shown::field(issuer);
            tracing::debug!(target: "mcp_auth", issuer, code = finding.code, "{}", finding.message);
        }
        Ok(metadata)
    }

    async fn load_keys(&self, metadata: &ServerMetadata) -> Result<(KeySet, Duration), FetchError> {
        let missing = || FetchError::InvalidDocument {
            url: self.rules.issuer.to_string(),
            why: "its metadata has no `jwks_uri`".into(),
        };
        let url = metadata.jwks_uri().ok_or_else(missing)?;
        let response = self.get(url).await?;
        let keys = KeySet::read(response.body()).map_err(|why| FetchError::InvalidDocument {
            url: url.to_owned(),
            why: why.to_string(),
        })?;
        Ok((keys, cache_control::lifetime(response.headers(), self.max_age)))
    }

    async fn get(&self, url: &str) -> Result<http::Response<Bytes>, FetchError> {
        let limits = Limits { timeout: self.timeout, max_bytes: MAX_DOCUMENT_BYTES };
        get_document(self.fetch.as_deref(), url, &self.headers, limits).await
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

    fn report_no_usable_key(&self, why: &str) {
        let issuer = &*shown::field(&self.rules.issuer);
        let advice = "its tokens cannot be verified (503): let it sign with a supported algorithm, or update this library";
        match self.metrics_label.pattern() {
            None => {
                tracing::warn!(target: "mcp_auth", issuer, "the issuer's key set has no key that this version can use: {why}; {advice}");
            }
            Some(pattern) => {
                tracing::debug!(target: "mcp_auth", issuer, "the key set of this issuer has no usable key");
                tracing::warn!(target: "mcp_auth", pattern, "the key set of an issuer that an issuer resolver trusts (logged at debug) has no key that this version can use: {why}; {advice}");
            }
        }
    }
}

fn metadata_unavailable(error: RefreshError) -> FetchError {
    match error {
        RefreshError::Failed { why: Some(why), .. } => {
            FetchError::Transport(Box::new(MetadataUnavailable(why)))
        }
        _ => FetchError::Transport("the metadata is out of reach".into()),
    }
}

/// The keys cannot be fetched because the metadata could not be fetched.
#[derive(Debug, thiserror::Error)]
#[error("the metadata is out of reach")]
struct MetadataUnavailable(#[source] Arc<FetchError>);

//! An issuer's keys in a file, which is read again while tokens need them.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::issuer::authorization_server::settings::{MAX_DOCUMENT_BYTES, Settings};
use crate::net::fetch::{FetchError, Limits, read_file};
use crate::net::refresh::Fetched;
use crate::net::refreshing_cache::{RefreshingCache, Timing};
use crate::verify::jwt::KeySet;

/// How long keys are used before the file is read again. Reading a local file costs little, and whoever changes it,
/// by hand or with a mounted secret, expects the change to take effect at once.
const LIFETIME: Duration = Duration::from_secs(10);

/// The keys in the file at `path`.
pub(super) fn keys(
    settings: Arc<Settings>,
    path: Arc<Path>,
    timing: Timing,
) -> RefreshingCache<KeySet> {
    RefreshingCache::new(
        settings.clock.clone(),
        timing,
        Box::new(move |cached: Option<Arc<Fetched<KeySet>>>| {
            let (settings, path) = (settings.clone(), path.clone());
            Box::pin(async move {
                let limits = Limits { timeout: settings.timeout, max_bytes: MAX_DOCUMENT_BYTES };
                let keys = load(path, limits).await;
                settings.report("keys", keys.as_ref().err());
                Ok(settings.replace_keys(keys?, LIFETIME, cached.as_deref()))
            })
        }),
    )
}

async fn load(path: Arc<Path>, limits: Limits) -> Result<KeySet, FetchError> {
    let text = read_file(path.clone(), limits).await?;
    let keys = match text.trim_ascii_start().first() {
        Some(b'{') => KeySet::read(&text),
        _ => KeySet::from_pem(&String::from_utf8_lossy(&text)),
    };
    let invalid =
        |why: String| FetchError::InvalidDocument { url: path.display().to_string(), why };
    keys.map_err(|why| invalid(why.to_string()))
}

//! API keys in a file, which is read again while requests need them.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::issuer::api_keys::file_format;
use crate::issuer::api_keys::prepared_key::{PreparedKey, find};
use crate::model::denial::Denial;
use crate::model::verified_token::{API_KEY_ISSUER, VerifiedToken};
use crate::net::backoff::MAX_DELAY;
use crate::net::clock::Clock;
use crate::net::fetch::{FetchError, Limits, read_file};
use crate::net::metrics::{self, IssuerLabel};
use crate::net::refresh::{Loaded, RefreshError};
use crate::net::refreshing_cache::{RefreshingCache, Timing};
use crate::util::shown;

/// How long the keys are used before the file is read again, as for a file of an issuer's keys.
const LIFETIME: Duration = Duration::from_secs(10);

/// How often unknown keys can cause the file to be read, and how long the cached keys are used if it cannot be
/// read. Reading a local file costs little, and whoever sends unknown keys delays a new key by the cooldown.
const TIMING: Timing = Timing {
    cooldown: Duration::from_secs(1),
    max_delay: MAX_DELAY,
    max_stale: Duration::from_secs(24 * 60 * 60),
};

/// A read that takes longer than a fetch may take is an outage. The size is enough for some thousand keys: each
/// request is compared with all of them.
const LIMITS: Limits = Limits { timeout: Duration::from_secs(5), max_bytes: 512 * 1024 };

/// The keys of a file, prepared for one resource. Clones share them.
#[derive(Clone)]
pub(crate) struct KeysFile(Arc<RefreshingCache<Vec<PreparedKey>>>);

impl KeysFile {
    /// The file at `path`, whose keys must not be among the digests in `configured`. Returns `None` if there is no
    /// `path`.
    pub(super) fn of(
        path: Option<Arc<Path>>,
        configured: Vec<[u8; 32]>,
        resource: &str,
        clock: &Arc<dyn Clock>,
    ) -> Option<Self> {
        let (path, configured, resource) =
            (path?, Arc::<[_]>::from(configured), Arc::<str>::from(resource));
        let load = move |_| {
            let (path, configured, resource) = (path.clone(), configured.clone(), resource.clone());
            let load = async move {
                let read = load(&path, &configured, &resource).await;
                report(read.as_ref().err());
                Ok(Loaded::new(read?, LIFETIME))
            };
            Box::pin(load) as _
        };
        Some(Self(Arc::new(RefreshingCache::new(clock.clone(), TIMING, Box::new(load)))))
    }

    /// Returns the token of the key with this digest. If an `expected` key is not found, the file is read again.
    pub(super) async fn find(
        &self,
        digest: &[u8; 32],
        expected: bool,
    ) -> Result<Option<VerifiedToken>, Denial> {
        let keys = self.0.current().await.map_err(unavailable)?;
        let found = find(&keys, digest);
        if found.is_some() || !expected {
            return Ok(found);
        }
        match self.0.refresh_after_miss(&keys).await {
            Ok(newer) => Ok(find(&newer, digest)),
            // The key may be in the file, which cannot be read, or was read a moment ago and may not be read yet.
            Err(error) => Err(unavailable(error)),
        }
    }

    /// Reads the file unless it has been read already.
    pub(crate) async fn warm_up(&self) -> Result<(), RefreshError> {
        self.0.current().await.map(|_| ())
    }
}

async fn load(
    path: &Arc<Path>,
    configured: &[[u8; 32]],
    resource: &str,
) -> Result<Vec<PreparedKey>, FetchError> {
    let text = read_file(path.clone(), LIMITS).await?;
    let invalid = |why| FetchError::InvalidDocument { url: path.display().to_string(), why };
    let keys = file_format::read(&text, configured).map_err(invalid)?;
    let known = |key| PreparedKey::new(key, resource).map_err(|why| invalid(why.to_owned()));
    keys.into_iter().map(known).collect()
}

fn report(failure: Option<&FetchError>) {
    metrics::refresh("api_keys", &IssuerLabel::new(API_KEY_ISSUER.into()), failure.is_none());
    match failure {
        None => tracing::debug!(target: "mcp_auth", "read the file of API keys"),
        Some(error) => {
            let error = shown::error(error);
            tracing::warn!(target: "mcp_auth", error, "could not read the file of API keys: cached keys stay in use, for a day at most");
        }
    }
}

fn unavailable(error: RefreshError) -> Denial {
    let why = match error {
        RefreshError::Failed { .. } => "cannot be read",
        RefreshError::CoolingDown { .. } => "was read a moment ago",
    };
    error.into_denial(format!("it may be an API key, and the file of API keys {why}"))
}

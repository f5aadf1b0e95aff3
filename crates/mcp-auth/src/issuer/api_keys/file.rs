//! API keys in a file, read again while requests need them.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::issuer::api_keys::file_format;
use crate::issuer::api_keys::known_key::{Known, find};
use crate::model::denial::Denial;
use crate::model::verified_token::{API_KEY_ISSUER, VerifiedToken};
use crate::net::clock::Clock;
use crate::net::fetch::{FetchError, Limits, read_file};
use crate::net::metrics;
use crate::net::refreshing_cache::{RefreshError, RefreshingCache, Timing};

/// How long the list is used before the file is read again, as with a file of an issuer's keys.
const LIFETIME: Duration = Duration::from_secs(10);

/// And how often strangers can have it read, and how long what was read is used if it cannot be read again.
const TIMING: Timing =
    Timing { cooldown: Duration::from_secs(30), max_stale: Duration::from_secs(24 * 60 * 60) };

/// What takes longer than a fetch is an outage. Some thousand keys: each request is compared with all of them.
const LIMITS: Limits = Limits { timeout: Duration::from_secs(5), max_bytes: 512 * 1024 };

/// The keys of a file, made for one resource. Clones are the same.
#[derive(Clone)]
pub(crate) struct KeysFile(Arc<RefreshingCache<Vec<Known>>>);

impl KeysFile {
    /// The file at `path`, which has no key that is `given` elsewhere.
    pub(super) fn of(
        path: Option<Arc<Path>>,
        given: Vec<[u8; 32]>,
        resource: &str,
        clock: &Arc<dyn Clock>,
    ) -> Option<Self> {
        let (path, given, resource) = (path?, Arc::<[_]>::from(given), Arc::<str>::from(resource));
        let load = move |_| {
            let (path, given, resource) = (path.clone(), given.clone(), resource.clone());
            let load = async move {
                let read = load(&path, &given, &resource).await;
                report(read.as_ref().err());
                Ok((read?, LIFETIME))
            };
            Box::pin(load) as _
        };
        Some(Self(Arc::new(RefreshingCache::new(clock.clone(), TIMING, Box::new(load)))))
    }

    /// Whom the key of this digest admits. Looks into the file anew for one that is `expected` there.
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
            Err(RefreshError::CoolingDown) => Ok(None),
            // It may stand where nobody can look.
            Err(error) => Err(unavailable(error)),
        }
    }

    /// Reads the file, if that was not done yet.
    pub(crate) async fn warm_up(&self) -> Result<(), RefreshError> {
        self.0.current().await.map(|_| ())
    }
}

async fn load(
    path: &Arc<Path>,
    given: &[[u8; 32]],
    resource: &str,
) -> Result<Vec<Known>, FetchError> {
    let text = read_file(path.clone(), LIMITS).await?;
    let nonsense = |why| FetchError::InvalidDocument { url: path.display().to_string(), why };
    let keys = file_format::read(&text, given).map_err(nonsense)?;
    let known = |key| Known::new(key, resource).map_err(|why| nonsense(why.to_owned()));
    keys.into_iter().map(known).collect()
}

fn report(failure: Option<&FetchError>) {
    metrics::refresh("api_keys", API_KEY_ISSUER, failure.is_none());
    match failure {
        None => tracing::debug!(target: "mcp_auth", "read the file of API keys"),
        Some(error) => {
            let error = error as &dyn std::error::Error;
            tracing::warn!(target: "mcp_auth", error, "could not read the file of API keys: those in hand stay in use, for a day at most");
        }
    }
}

fn unavailable(error: RefreshError) -> Denial {
    error.into_denial("it may be an API key, and the file of API keys cannot be read")
}

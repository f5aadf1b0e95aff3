//! `ReplayStore`: where the DPoP proofs that were used are shared by several processes.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::timeout;

use crate::model::denial::Denial;
use crate::model::error_codes::BadProof;
use crate::net::backoff::FIRST_DELAY;
use crate::net::box_future::BoxFuture;
use crate::net::catch_panic::catch_panic;
use crate::verify::dpop::{NewProof, ProofId};

/// How long a store may take. It is asked for each request with a proof, and has a shorter limit of its own.
const TIMEOUT: Duration = Duration::from_secs(1);

/// How much longer a proof is kept than it is valid here: the clock of another process may be that much behind.
const MAX_CLOCK_DIFFERENCE: u64 = 60;

/// Keeps the DPoP proofs that were used, for several processes that serve one resource. Passed to
/// [`McpAuthBuilder::replay_store`](crate::McpAuthBuilder::replay_store).
///
/// ```
/// use std::collections::HashSet;
/// use std::error::Error;
/// use std::sync::Mutex;
/// use std::time::Duration;
/// use mcp_auth::{BoxFuture, McpAuth, ProofId, ReplayStore};
///
/// #[derive(Default)]
/// struct InMemory(Mutex<HashSet<ProofId>>); // a real one is in another process, and removes what has expired
///
/// impl ReplayStore for InMemory {
///     fn insert(&self, proof: ProofId, _: Duration) -> BoxFuture<'_, Result<bool, Box<dyn Error + Send + Sync>>> {
///         Box::pin(async move { Ok(self.0.lock().map_err(|_| "poisoned")?.insert(proof)) })
///     }
/// }
///
/// let auth = McpAuth::builder("https://api.example.com/mcp")
///     .authorization_server("https://auth.example.com")
///     .replay_store(InMemory::default())
///     .build()?;
/// # Ok::<(), mcp_auth::ConfigError>(())
/// ```
pub trait ReplayStore: Send + Sync + 'static {
    /// Stores a proof, in one step, unless it is stored already. Returns whether it was not.
    ///
    /// It must be kept for at least `keep_for`, which is some minutes. The store is asked after all other checks of the token
    /// and of the proof have passed, also that this process has not seen the proof.
    ///
    /// # Errors
    ///
    /// If it is not known whether the proof was stored before. The client gets a 503, and the log shows the error.
    fn insert(
        &self,
        proof: ProofId,
        keep_for: Duration,
    ) -> BoxFuture<'_, Result<bool, Box<dyn Error + Send + Sync>>>;
}

impl<S: ReplayStore + ?Sized> ReplayStore for Arc<S> {
    fn insert(
        &self,
        proof: ProofId,
        keep_for: Duration,
    ) -> BoxFuture<'_, Result<bool, Box<dyn Error + Send + Sync>>> {
        (**self).insert(proof, keep_for)
    }
}

/// Refuses a proof that another process has accepted.
pub(crate) async fn check_not_replayed(
    store: Arc<dyn ReplayStore>,
    proof: NewProof,
    now: u64,
) -> Result<(), Denial> {
    let left = proof.until.saturating_sub(now).saturating_add(MAX_CLOCK_DIFFERENCE);
    let inserted = catch_panic(|| store.insert(proof.id, Duration::from_secs(left)));
    let inserted = match Handle::try_current() {
        Ok(_) => timeout(TIMEOUT, inserted).await,
        Err(_) => Ok(inserted.await),
    };
    let unavailable = |what: &str| {
        Denial::unavailable(FIRST_DELAY).detail(format!(
            "whether the DPoP proof was used at another process is not known: the store given to `.replay_store(..)` {what}"
        ))
    };
    match inserted {
        Ok(Ok(Ok(true))) => Ok(()),
        Ok(Ok(Ok(false))) => Err(Denial::bad_proof(BadProof::Replayed)),
        Ok(Ok(Err(error))) => Err(unavailable("is unavailable").caused_by(error)),
        Ok(Err(panicked)) => Err(unavailable("has a bug").caused_by(panicked)),
        Err(_) => Err(unavailable("did not answer within a second")),
    }
}

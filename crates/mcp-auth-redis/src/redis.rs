//! `Redis`: the connection that everything is shared through.

use std::fmt;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use mcp_auth::Revocations;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use crate::link::{COMMAND_TIMEOUT, Link};
use crate::revocations::Sharing;
use crate::settings::{RedisSettings, RedisSettingsError};

/// The delay after the first failure, doubled with each further one. The library's own begins at 1 s and grows to 30 s: it is for
/// issuers far away, which requests can do without for hours.
const FIRST_DELAY: Duration = Duration::from_millis(100);

/// The longest delay, so that a Redis that is back is used within two seconds. A connection a second is no load.
const MAX_DELAY: Duration = Duration::from_secs(1);

/// How often Redis is asked whether it answers, if no revocations are shared. Those are asked for more often.
const PING_INTERVAL: Duration = Duration::from_secs(1);

/// State that is shared through Redis or Valkey. Made by [`RedisSettings::connect`]. Clones use one connection.
///
/// It is a [`ReplayStore`](mcp_auth::ReplayStore) for [`McpAuthBuilder::replay_store`](mcp_auth::McpAuthBuilder::replay_store).
#[derive(Clone)]
pub struct Redis(Arc<Inner>);

struct Inner {
    link: Arc<Link>,
    prefix: String,
    accepts_unchecked_proofs: bool,
    revocations: Option<Revocations>,
    keeping: JoinHandle<()>,
}

/// Whether Redis answers at the moment.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RedisStatus {
    /// Whether there is a connection, over which the last command was answered in time.
    pub is_connected: bool,
    /// Whether the revocations of other processes are known: they have been read at least once. `true` if none are shared.
    pub has_revocations: bool,
    /// What is wrong, and what to change.
    pub error: Option<String>,
}

impl RedisSettings {
    /// Begins to connect, and returns at once: whether Redis answers is seen in [`Redis::status`]. The connection is kept by a task
    /// of tokio, which ends with the last clone of what is returned.
    ///
    /// # Errors
    ///
    /// If the settings are wrong, or if there is no tokio runtime.
    pub fn connect(self) -> Result<Redis, RedisSettingsError> {
        let target = self.target()?;
        let runtime = Handle::try_current().map_err(|_| RedisSettingsError::NoRuntime)?;
        let link = Arc::new(Link::new(target));
        let sharing = self.revocations.as_ref().map(|revocations| {
            revocations.set_complete(false);
            Sharing::new(Arc::clone(&link), revocations, &self.prefix)
        });
        Ok(Redis(Arc::new(Inner {
            keeping: runtime.spawn(keep(Arc::clone(&link), sharing)),
            link,
            prefix: self.prefix,
            accepts_unchecked_proofs: self.accepts_unchecked_proofs,
            revocations: self.revocations,
        })))
    }
}

impl Redis {
    /// Whether Redis answers at the moment.
    #[must_use]
    pub fn status(&self) -> RedisStatus {
        let failure = self.0.link.why_down();
        RedisStatus {
            is_connected: failure.is_none(),
            has_revocations: self.0.revocations.as_ref().is_none_or(Revocations::is_complete),
            error: failure
                .or_else(|| self.0.link.sharing_failure())
                .map(|failure| failure.to_string()),
        }
    }

    /// `name` is made of digits of a hash.
    pub(crate) fn key(&self, kind: &str, name: &str) -> String {
        format!("{}:{kind}:{name}", self.0.prefix)
    }

    pub(crate) fn link(&self) -> &Link {
        &self.0.link
    }

    pub(crate) fn accepts_unchecked_proofs(&self) -> bool {
        self.0.accepts_unchecked_proofs
    }
}

/// Keeps a connection, and shares revocations over it.
async fn keep(link: Arc<Link>, mut sharing: Option<Sharing>) {
    let mut delay = FIRST_DELAY;
    loop {
        if link.connect().await.is_ok() {
            delay = FIRST_DELAY;
            // What is known about an earlier connection says nothing about this one.
            tokio::select! {
                biased;
                () = link.lost.notified() => {}
                () = std::future::ready(()) => {}
            }
            tokio::select! {
                () = link.lost.notified() => {}
                () = use_connection(&link, sharing.as_mut()) => {}
            }
        }
        sleep(delay).await;
        delay = MAX_DELAY.min(delay * 2);
    }
}

/// Returns when the connection was lost.
async fn use_connection(link: &Link, sharing: Option<&mut Sharing>) {
    match sharing {
        Some(sharing) => sharing.run().await,
        None => loop {
            sleep(PING_INTERVAL).await;
            let ping = link.ask::<()>("ping", &redis::cmd("PING"), COMMAND_TIMEOUT).await;
            if ping.is_err_and(|failure| failure.ends_connection) {
                return;
            }
        },
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.keeping.abort();
    }
}

impl fmt::Debug for Redis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redis").field("status", &self.status()).finish_non_exhaustive()
    }
}

/// Lower-case digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut all, byte| {
        _ = write!(all, "{byte:02x}");
        all
    })
}

//! Reads the configuration file again when it changes, and when the process is told to (SIGHUP).

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use mcp_auth_config::{Config, ConfigFile};
use tokio::task::JoinSet;

use crate::hangups::Hangups;
use crate::serving::{Current, Serving};
use crate::telemetry;

/// How often the file and the secrets that it names are compared with what was read. Reading them costs microseconds, and
/// notices every way in which a file is replaced, which notifications of the system do not: Kubernetes swaps a symbolic link
/// of a folder above, and network file systems notify nobody.
const INTERVAL: Duration = Duration::from_secs(5);

/// How long a file must say the same before it is used without a signal. Editors and copies write a file within it.
const SETTLED_AFTER: Duration = Duration::from_secs(2);

/// How long the keys of new issuers are waited for before their resources serve. An issuer that is down must not keep
/// the rest of the file from being used.
const WARM_UP_TIMEOUT: Duration = Duration::from_secs(10);

/// The keys that are read only when the gateway starts.
const ONLY_AT_START: [&str; 12] = [
    "admin",
    "audit",
    "drain",
    "listen",
    "max_anonymous_buffered_bytes",
    "max_buffered_bytes",
    "max_connections",
    "max_connections_per_address",
    "redis",
    "revocations",
    "tls",
    "traces",
];

/// What the operator is told about the configuration.
#[derive(Clone, Debug)]
pub(crate) struct ReloadStatus(Arc<Mutex<Status>>);

#[derive(Debug)]
struct Status {
    loaded: Instant,
    error: Option<String>,
}

impl ReloadStatus {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Mutex::new(Status { loaded: Instant::now(), error: None })))
    }

    /// How long the configuration has been in use.
    pub(crate) fn age(&self) -> Duration {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).loaded.elapsed()
    }

    /// Why the file, as it is now, is not used.
    pub(crate) fn error(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).error.clone()
    }

    fn set(&self, loaded: bool, error: Option<String>) {
        let mut status = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        status.error = error;
        if loaded {
            status.loaded = Instant::now();
        }
    }
}

/// What a look at the file found: itself and what it says, or what is wrong with it.
type Seen = Result<(ConfigFile, Config), String>;

/// Reloads one file.
pub(crate) struct Reload {
    /// The file that the gateway was started with.
    first: ConfigFile,
    /// The file that is in use.
    used: ConfigFile,
    /// The file that could not be used, or why it could not be read: it is not reported twice.
    refused: Option<Result<ConfigFile, String>>,
    current: Current,
    status: ReloadStatus,
    hangups: Hangups,
}

impl Reload {
    /// `hangups` has been listened for since before anybody could know that the gateway is there.
    pub(crate) fn new(
        file: ConfigFile,
        current: Current,
        status: ReloadStatus,
        hangups: Hangups,
    ) -> Self {
        Self { first: file.clone(), used: file, refused: None, current, status, hangups }
    }

    /// Looks at the file until it is dropped.
    pub(crate) async fn run(mut self) {
        loop {
            let is_told = self.wait().await;
            let is_final = |seen: &Seen| is_told || self.is_known(seen);
            let pause = || tokio::time::sleep(SETTLED_AFTER);
            let path = self.used.path();
            let seen = settled(|| look(path.to_owned()), pause, is_final, is_same).await;
            let Some(seen) = seen else { continue };
            self.consider(seen, is_told).await;
        }
    }

    /// Whether it is what is in use, or what was refused.
    fn is_known(&self, seen: &Seen) -> bool {
        let file = seen.as_ref().map(|(file, _)| file);
        file == Ok(&self.used) || self.refused.as_ref().is_some_and(|known| known.as_ref() == file)
    }

    /// Waits for the next look. Returns whether the process was told to.
    async fn wait(&mut self) -> bool {
        tokio::select! {
            () = self.hangups.next() => true,
            () = tokio::time::sleep(INTERVAL) => false,
        }
    }

    async fn consider(&mut self, seen: Seen, is_told: bool) {
        let file = seen.as_ref().map(|(file, _)| file.clone()).map_err(Clone::clone);
        if !is_told {
            if self.refused.as_ref() == Some(&file) {
                return;
            }
            if file.as_ref() == Ok(&self.used) {
                if self.refused.take().is_some() {
                    self.status.set(false, None);
                    tracing::info!(target: "mcp_auth", "the configuration file is again as it was read");
                }
                return;
            }
        }
        let (file, config) = match seen {
            Ok(seen) => seen,
            Err(error) => return self.refuse(Err(error.clone()), &error),
        };
        let earlier = self.current.get();
        match Serving::of(&config, Some(&file), Some(&earlier), earlier.shared()) {
            Ok(serving) => self.replace(file, serving).await,
            Err(error) => self.refuse(Ok(file), &error),
        }
    }

    fn refuse(&mut self, seen: Result<ConfigFile, String>, error: &dyn fmt::Display) {
        let error = error.to_string();
        tracing::error!(target: "mcp_auth", error, "the configuration file is not used: what was read before stays in use");
        telemetry::reload("refused");
        self.refused = Some(seen);
        self.status.set(false, Some(error));
    }

    async fn replace(&mut self, file: ConfigFile, serving: Serving) {
        let serving = Arc::new(serving);
        warm_up(&serving).await;
        let number = serving.new_auths().count();
        let earlier = self.current.replace(Arc::clone(&serving));
        earlier.warn_of_less(&serving);
        earlier.end_all_but_of(&serving);
        serving.start_polls();
        tracing::info!(target: "mcp_auth", changed_resources = number, resources = serving.auths().count(), "the configuration was read again");
        let changed = file.changed_keys(&self.first, &ONLY_AT_START);
        if !changed.is_empty() {
            tracing::warn!(target: "mcp_auth", ?changed, "these keys are used after a restart");
        }
        telemetry::reload("used");
        (self.used, self.refused) = (file, None);
        self.status.set(true, None);
    }
}

async fn look(path: PathBuf) -> Option<Seen> {
    let read = || ConfigFile::read(path).map_err(|error| error.to_string());
    tokio::task::spawn_blocking(read).await.ok()
}

/// What is seen twice in a row, with a pause between, or is final. A file that is being written says something else soon: a
/// part of it may be valid, and have fewer rules.
async fn settled<T, L: Future<Output = Option<T>>, P: Future>(
    look: impl Fn() -> L,
    pause: impl Fn() -> P,
    is_final: impl Fn(&T) -> bool,
    is_same: impl Fn(&T, &T) -> bool,
) -> Option<T> {
    let mut seen = look().await?;
    while !is_final(&seen) {
        pause().await;
        let again = look().await?;
        if is_same(&again, &seen) {
            break;
        }
        seen = again;
    }
    Some(seen)
}

fn is_same(one: &Seen, other: &Seen) -> bool {
    one.as_ref().map(|(file, _)| file) == other.as_ref().map(|(file, _)| file)
}

/// Fetches the keys of new resources, all at the same time. The log says which cannot be fetched.
pub(crate) async fn warm_up(serving: &Serving) {
    let mut fetches = JoinSet::new();
    for auth in serving.new_auths() {
        let auth = auth.clone();
        fetches.spawn(async move {
            let fetched = auth.warm_up().await;
            if let Err(error) = fetched {
                tracing::warn!(target: "mcp_auth", resource = auth.resource(), %error, "not all keys of a resource could be fetched: its requests get a 503 until they are");
            }
        });
    }
    let all = async { while fetches.join_next().await.is_some() {} };
    if tokio::time::timeout(WARM_UP_TIMEOUT, all).await.is_err() {
        tracing::warn!(target: "mcp_auth", "an issuer takes long to answer: its keys are fetched later");
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::future::ready;

    use super::*;

    #[tokio::test]
    async fn a_file_that_is_being_written_is_not_used() {
        for (looks, expected) in [
            (&["old"][..], Some("old")),
            (&["new", "new"], Some("new")),
            (&["ha", "half", "whole", "whole"], Some("whole")),
            (&["half", "old"], Some("old")),
            (&["half"], None),
        ] {
            let looks = RefCell::new(looks.iter().copied());
            let look = || ready(looks.borrow_mut().next());
            let seen = settled(look, || ready(()), |seen| *seen == "old", |a, b| a == b).await;
            assert_eq!(seen, expected);
        }
    }
}

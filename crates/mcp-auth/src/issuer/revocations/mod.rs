//! `Revocations`: a bounded list of revocations, which is checked on every request.

mod record;
mod entries;
mod issuers;
mod changes;

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use crate::issuer::revocations::changes::Changes;
pub use crate::issuer::revocations::changes::RevocationChanges;
use crate::issuer::revocations::entries::SKEW;
use crate::issuer::revocations::issuers::{Issuers, Limits};
pub use crate::issuer::revocations::record::RevocationRecord;
use crate::issuer::revocations::record::{Entry, NameHash};
use crate::model::denial::Denial;
use crate::model::error_codes::Reason;
use crate::model::issuer_pattern::IssuerSet;
use crate::model::revocation::{Before, Revocation, RevokedKind};
use crate::model::verified_token::{API_KEY_ISSUER, TokenData};
use crate::net::backoff::FIRST_DELAY;
use crate::net::notify::Notify;
use crate::util::shown;
use crate::util::unix_time::unix_secs;

/// How long a revocation is kept. Tokens live for up to a day at Auth0 and Okta, and for 28 hours at Entra with
/// continuous access evaluation.
const RETENTION: Duration = Duration::from_secs(48 * 60 * 60);

/// Maximum number of revocations of one issuer, about 15 MB. An issuer with as many logouts in two days has millions
/// of users.
const CAPACITY: usize = 100_000;

/// A list of revocations. Clones share one list, so that several resources can use it.
///
/// A revocation is kept for 48 hours; by then the tokens it names have expired. Revocations of API keys, which need
/// not expire, are kept as long as the list exists.
///
/// Each issuer has a quota. If an issuer exceeds it, all tokens that this issuer has issued until then are revoked
/// instead: its clients have to refresh their tokens once. Sessions that it has ended stay ended, but only the newest
/// are kept, in up to half of its entries. Tokens of other issuers are not affected.
///
/// Issuers that only an [`issuer_resolver`](crate::McpAuthBuilder::issuer_resolver) knows have a quota together as
/// well: see [`capacity`](Self::capacity). What one of them sends never brings back a session that another has ended.
///
/// The list is kept in memory: it is empty after a restart. [`changes`](Self::changes), [`records`](Self::records) and
/// [`merge`](Self::merge) connect it with the lists of other processes, through a store: the crate `mcp-auth-redis` does that.
///
/// ```
/// use mcp_auth::{McpAuth, Revocation, Revocations};
///
/// let revocations = Revocations::new();
/// let notes = McpAuth::builder("https://api.example.com/notes")
///     .authorization_server("https://auth.example.com")
///     .revocations(&revocations)
///     .build()?;
/// let mail = McpAuth::builder("https://api.example.com/mail")
///     .authorization_server("https://auth.example.com")
///     .revocations(&revocations)
///     .build()?;
/// notes.revoke(Revocation::subject("https://auth.example.com", "alice")); // at both
/// # Ok::<(), mcp_auth::ConfigError>(())
/// ```
#[derive(Clone)]
pub struct Revocations {
    shared: Arc<Shared>,
    retention: Duration,
    capacity: usize,
}

struct Shared {
    /// The number of entries. If it is 0, requests skip the lookup.
    number: AtomicUsize,
    /// How many revocations have revoked something new.
    version: AtomicUsize,
    /// Whether revocations of other processes have to be known first, and are not yet.
    is_incomplete: AtomicBool,
    issuers: RwLock<Issuers>,
    changed: Notify,
    changes: Changes,
}

impl Revocations {
    /// An empty list.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets how long revocations are kept: 48 hours unless set. It must be longer than any token lives.
    ///
    /// The result is a new, empty list, which shares nothing with earlier clones.
    #[must_use]
    pub fn retention(self, retention: Duration) -> Self {
        Self { retention, shared: Arc::default(), ..self }
    }

    /// Sets how many revocations of one issuer are kept: 100,000 unless set, which takes about 15 MB.
    ///
    /// All issuers of one [`issuer_resolver`](crate::McpAuthBuilder::issuer_resolver) together may have ten times as
    /// many. Beyond that, the one with the most makes room. All tokens that it has issued until then are revoked, and
    /// until its revocations would have been removed, a token with a `sid` is refused unless its `auth_time` shows a
    /// later login. Issuers that are configured, and API keys, never make room for others.
    ///
    /// The result is a new, empty list, which shares nothing with earlier clones.
    #[must_use]
    pub fn capacity(self, number: usize) -> Self {
        Self { capacity: number.max(1), shared: Arc::default(), ..self }
    }

    /// The number of revocations.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shared.number.load(Ordering::Acquire)
    }

    /// Whether nothing is revoked.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Gives issuers that are configured a quota that they share with nobody.
    pub(crate) fn trust(&self, configured: &[Arc<str>], issuer_sets: &[IssuerSet]) {
        self.change(|issuers| issuers.trust(configured, issuer_sets));
    }

    pub(crate) fn insert(&self, revocation: &Revocation, now: SystemTime) {
        let now = unix_secs(now);
        let Revocation { issuer, kind, name, before } = revocation;
        let until = match **issuer == *API_KEY_ISSUER {
            true => u64::MAX,
            false => now.saturating_add(self.retention.as_secs()),
        };
        let (before, before_ours) = match (kind, before) {
            (RevokedKind::Session | RevokedKind::Token, _) => (u64::MAX, 0),
            (_, Before::Issuers(second)) => (*second, 0),
            (_, Before::Ours(second)) => (0, *second),
            (_, Before::Now) => (0, now.saturating_add(1 + SKEW)),
        };
        let record = RevocationRecord {
            issuer: (**issuer).into(),
            kind: *kind,
            name: NameHash::of(issuer, name),
            entry: Entry { before, before_ours, until },
        };
        // Issuers may repeat a revocation many times.
        if self.add(&record, now) {
            self.shared.changes.tell(&self.to_share(record, now));
            tracing::info!(target: "mcp_auth", issuer = &*shown::field(issuer), ?kind, "revoked");
        }
    }

    /// Adds what another process has revoked, or what a store has kept. It is not among the [`changes`](Self::changes).
    ///
    /// A record that has expired adds nothing, and none is kept for longer than the [`retention`](Self::retention).
    ///
    /// ```
    /// use std::time::SystemTime;
    /// use mcp_auth::{McpAuth, Revocation, RevocationRecord, Revocations};
    ///
    /// let (here, there) = (Revocations::new(), Revocations::new());
    /// let auth = McpAuth::builder("https://api.example.com/mcp")
    ///     .authorization_server("https://auth.example.com")
    ///     .revocations(&here)
    ///     .build()?;
    /// auth.revoke(Revocation::subject("https://auth.example.com", "alice"));
    /// let now = SystemTime::now();
    /// for record in here.records(now) {
    ///     let stored = record.to_text(); // and in another process:
    ///     there.merge(&RevocationRecord::from_text(&stored).ok_or("not a record")?, now);
    /// }
    /// assert_eq!(there.len(), 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn merge(&self, record: &RevocationRecord, now: SystemTime) {
        let now = unix_secs(now);
        if record.entry.until > now {
            let until = record.entry.until.min(now.saturating_add(self.retention.as_secs()));
            let is_of_api_key = *record.issuer == *API_KEY_ISSUER;
            let until = if is_of_api_key { u64::MAX } else { until };
            let entry = Entry { until, ..record.entry };
            self.add(&RevocationRecord { entry, ..record.clone() }, now);
        }
    }

    /// All that is revoked and has not expired, also by other processes. Those of API keys, which need not expire, expire after the
    /// [`retention`](Self::retention) in this form.
    #[must_use]
    pub fn records(&self, now: SystemTime) -> Vec<RevocationRecord> {
        let now = unix_secs(now);
        let issuers = self.shared.issuers.read().unwrap_or_else(PoisonError::into_inner);
        let known = issuers.records().into_iter().filter(|record| record.entry.until > now);
        known.map(|record| self.to_share(record, now)).collect()
    }

    /// What is revoked from now on by this process: by [`revoke`](crate::McpAuth::revoke), and by security events.
    #[must_use]
    pub fn changes(&self) -> RevocationChanges {
        self.shared.changes.subscribe()
    }

    /// Says whether the revocations of other processes are known. Until they are, each token is answered with a 503, since it
    /// may be one that is revoked.
    ///
    /// They are unless this is called with `false`.
    pub fn set_complete(&self, is_complete: bool) {
        self.shared.is_incomplete.store(!is_complete, Ordering::Release);
    }

    /// Whether the revocations of other processes are known, as [`set_complete`](Self::set_complete) has said.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        !self.shared.is_incomplete.load(Ordering::Acquire)
    }

    fn to_share(&self, record: RevocationRecord, now: u64) -> RevocationRecord {
        let until = record.entry.until.min(now.saturating_add(self.retention.as_secs()));
        RevocationRecord { entry: Entry { until, ..record.entry }, ..record }
    }

    /// Returns whether more is revoked than before.
    fn add(&self, record: &RevocationRecord, now: u64) -> bool {
        let is_new = self.change(|issuers| issuers.insert(record, self.limits(now), now));
        self.shared.version.fetch_add(usize::from(is_new), Ordering::Release);
        if is_new {
            self.shared.changed.notify();
        }
        is_new
    }

    /// Whether a token is revoked. Costs almost nothing while the list is empty.
    pub(crate) fn is_revoked(&self, data: &TokenData, now: SystemTime, leeway: Duration) -> bool {
        if self.is_empty() {
            return false;
        }
        let issuers = self.shared.issuers.read().unwrap_or_else(PoisonError::into_inner);
        issuers
            .get(&data.issuer)
            .is_some_and(|entries| entries.revokes(data, unix_secs(now), leeway.as_secs()))
    }

    /// Refuses a revoked token.
    pub(crate) fn check(
        &self,
        data: &TokenData,
        now: SystemTime,
        leeway: Duration,
    ) -> Result<(), Denial> {
        if !self.is_complete() {
            return Err(Denial::unavailable(FIRST_DELAY).detail(
                "the revocations of other processes have not been read yet, so the token may be revoked: see why the store of revocations cannot be read",
            ));
        }
        if self.is_revoked(data, now, leeway) {
            return Err(Denial::invalid(Reason::Inactive).detail(
                "the token was revoked: by `.revoke(..)`, or by a security event of its issuer",
            ));
        }
        Ok(())
    }

    /// Learns that the clock of an issuer is ahead, from a token that was issued in the future, and is valid otherwise.
    /// So a token that was seen before a revocation counts as issued before it, whatever the clock of its issuer.
    pub(crate) fn learn_clock(&self, data: &TokenData, now: SystemTime, leeway: Duration) {
        let (now, leeway) = (unix_secs(now), leeway.as_secs());
        let Some(ahead) = data.issued_at.and_then(|iat| iat.get().checked_sub(now)) else { return };
        // More than the leeway is not a clock, but a claim that a verifier of one's own lets pass.
        if ahead == 0 || ahead > leeway {
            return;
        }
        let known = |issuers: &Issuers| {
            issuers.get(&data.issuer).is_some_and(|entries| entries.knows_clock_ahead(ahead))
        };
        if known(&self.shared.issuers.read().unwrap_or_else(PoisonError::into_inner)) {
            return;
        }
        let revokes_more = self.change(|issuers| {
            let entries = issuers.entries(&data.issuer, self.limits(now), now);
            entries.learn_clock_ahead(now, ahead);
            entries.len() > 0
        });
        if revokes_more {
            self.shared.version.fetch_add(1, Ordering::Release);
            self.shared.changed.notify();
        }
    }

    fn limits(&self, now: u64) -> Limits {
        Limits {
            capacity: self.capacity,
            clocks_since: now.saturating_sub(self.retention.as_secs()),
        }
    }

    fn change<T>(&self, change: impl FnOnce(&mut Issuers) -> T) -> T {
        let mut issuers = self.shared.issuers.write().unwrap_or_else(PoisonError::into_inner);
        let changed = change(&mut issuers);
        self.shared.number.store(issuers.len(), Ordering::Release);
        changed
    }

    /// A number that changes with each revocation that revokes something new. It is 0 before the first.
    pub(crate) fn version(&self) -> usize {
        self.shared.version.load(Ordering::Acquire)
    }

    pub(crate) fn changed(&self) -> &Notify {
        &self.shared.changed
    }
}

impl Default for Revocations {
    fn default() -> Self {
        Self { shared: Arc::default(), retention: RETENTION, capacity: CAPACITY }
    }
}

impl Default for Shared {
    fn default() -> Self {
        let (number, version) = (AtomicUsize::new(0), AtomicUsize::new(0));
        Self {
            number,
            version,
            is_incomplete: AtomicBool::new(false),
            issuers: RwLock::default(),
            changed: Notify::new(),
            changes: Changes::default(),
        }
    }
}

impl fmt::Debug for Revocations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Revocations").field("len", &self.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;

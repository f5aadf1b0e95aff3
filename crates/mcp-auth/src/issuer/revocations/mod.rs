//! `Revocations`: a bounded list of revocations, which is checked on every request.

mod entries;

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use crate::issuer::revocations::entries::{Entry, IssuerEntries, SKEW};
use crate::model::denial::Denial;
use crate::model::error_codes::Reason;
use crate::model::revocation::{Before, Revocation, RevokedKind};
use crate::model::verified_token::{API_KEY_ISSUER, TokenData};
use crate::net::notify::Notify;
use crate::util::shown;
use crate::util::unix_time::unix_secs;

/// How long a revocation is kept. Tokens live for up to a day at Auth0 and Okta, and for 28 hours at Entra with
/// continuous access evaluation.
const RETENTION: Duration = Duration::from_secs(48 * 60 * 60);

/// Maximum number of revocations of one issuer, about 15 MB. An issuer with as many logouts in two days has millions
/// of users.
const CAPACITY: usize = 100_000;

/// How many times the capacity of one issuer all issuers may use together: 150 MB. Few resources trust more than ten
/// issuers that revoke much; a resolver may trust thousands, and this bounds their memory.
const TOTAL: usize = 10;

/// A list of revocations. Clones share one list, so that several resources can use it.
///
/// A revocation is kept for 48 hours; by then the tokens it names have expired. Revocations of API keys, which need
/// not expire, are kept as long as the list exists.
///
/// Each issuer has a quota. If an issuer exceeds it, all tokens that this issuer has issued until then are revoked
/// instead: its clients have to refresh their tokens once. Sessions that it has ended stay ended, but only the newest
/// are kept, in up to half of its entries. Tokens of other issuers are not affected, unless all issuers together exceed
/// ten times the quota of one ([`capacity`](Self::capacity)).
///
/// The list is kept in memory: it is empty after a restart.
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
    issuers: RwLock<HashMap<Box<str>, IssuerEntries>>,
    changed: Notify,
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
    /// All issuers together may have ten times as many. Beyond that, which needs more than ten issuers, the issuer
    /// with the most revocations is treated as if it exceeded its own quota.
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
        let mut issuers = self.shared.issuers.write().unwrap_or_else(PoisonError::into_inner);
        let entries = issuers.entry(issuer.clone()).or_default();
        if !entries.table(*kind).contains_key(name) {
            if entries.len() >= self.capacity {
                entries.make_room(issuer, self.capacity, now);
            }
            let total = self.capacity.saturating_mul(TOTAL);
            if entry_count(&issuers) >= total {
                make_room(&mut issuers, total, now);
            }
        }
        let entries = issuers.entry(issuer.clone()).or_default();
        let is_new = entries.insert(*kind, name, Entry { before, before_ours, until });
        self.shared.number.store(entry_count(&issuers), Ordering::Release);
        self.shared.version.fetch_add(usize::from(is_new), Ordering::Release);
        drop(issuers);
        // Issuers may repeat a revocation many times.
        if is_new {
            self.shared.changed.notify();
            tracing::info!(target: "mcp_auth", issuer = &*shown::field(issuer), ?kind, "revoked");
        }
    }

    /// Whether a token is revoked. Costs almost nothing while the list is empty.
    pub(crate) fn is_revoked(&self, data: &TokenData, now: SystemTime, leeway: Duration) -> bool {
        if self.is_empty() {
            return false;
        }
        let issuers = self.shared.issuers.read().unwrap_or_else(PoisonError::into_inner);
        issuers
            .get(&*data.issuer)
            .is_some_and(|entries| entries.revokes(data, unix_secs(now), leeway.as_secs()))
    }

    /// Refuses a revoked token. The token must be valid otherwise: from its `iat` this learns how far the clock of
    /// its issuer is ahead.
    pub(crate) fn check(
        &self,
        data: &TokenData,
        now: SystemTime,
        leeway: Duration,
    ) -> Result<(), Denial> {
        self.learn_clock(data, unix_secs(now), leeway.as_secs());
        if self.is_revoked(data, now, leeway) {
            return Err(Denial::invalid(Reason::Inactive).detail(
                "the token was revoked: by `.revoke(..)`, or by a security event of its issuer",
            ));
        }
        Ok(())
    }

    /// Learns that the clock of an issuer is ahead, from a token that was issued in the future. So a token that was
    /// seen before a revocation counts as issued before it, whatever the clock of its issuer.
    fn learn_clock(&self, data: &TokenData, now: u64, leeway: u64) {
        let Some(ahead) = data.issued_at.and_then(|iat| iat.get().checked_sub(now)) else { return };
        // More than the leeway is not a clock, but a claim that a verifier of one's own lets pass.
        if ahead == 0 || ahead > leeway {
            return;
        }
        let known = |issuers: &HashMap<Box<str>, IssuerEntries>| {
            issuers.get(&*data.issuer).is_some_and(|entries| entries.knows_clock_ahead(ahead))
        };
        if known(&self.shared.issuers.read().unwrap_or_else(PoisonError::into_inner)) {
            return;
        }
        let mut issuers = self.shared.issuers.write().unwrap_or_else(PoisonError::into_inner);
        let entries = issuers.entry((&*data.issuer).into()).or_default();
        entries.learn_clock_ahead(now, ahead);
        let revokes_more = entries.len() > 0;
        drop(issuers);
        if revokes_more {
            self.shared.version.fetch_add(1, Ordering::Release);
            self.shared.changed.notify();
        }
    }

    /// A number that changes with each revocation that revokes something new. It is 0 before the first.
    pub(crate) fn version(&self) -> usize {
        self.shared.version.load(Ordering::Acquire)
    }

    pub(crate) fn changed(&self) -> &Notify {
        &self.shared.changed
    }
}

fn entry_count(issuers: &HashMap<Box<str>, IssuerEntries>) -> usize {
    issuers.values().map(IssuerEntries::len).sum()
}

/// Removes expired entries of all issuers. If that is not enough, the issuer that has the most pays for it. An issuer
/// with fewer never does.
fn make_room(issuers: &mut HashMap<Box<str>, IssuerEntries>, total: usize, now: u64) {
    issuers.values_mut().for_each(|entries| entries.remove_expired(now));
    issuers.retain(|_, entries| entries.len() > 0 || entries.knows_clock_ahead(1));
    if entry_count(issuers) < total {
        return;
    }
    match issuers.iter_mut().max_by_key(|(_, entries)| entries.len()) {
        // Two entries may become two. Then the number of issuers is what takes the memory, and that is bounded by
        // whom the operator trusts.
        Some((issuer, most)) if most.len() > 2 => most.compact(issuer, now),
        _ => {}
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
        Self { number, version, issuers: RwLock::default(), changed: Notify::new() }
    }
}

impl fmt::Debug for Revocations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Revocations").field("len", &self.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;

//! `Revocations`: a bounded list of revocations, which is checked on every request.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use crate::model::denial::Denial;
use crate::model::error_codes::Reason;
use crate::model::revocation::{Revocation, RevokedKind};
use crate::model::verified_token::{API_KEY_ISSUER, TokenData};
use crate::net::notify::Notify;
use crate::util::json::{Object, Raw};
use crate::util::unix_time::unix_secs;

/// How long a revocation is kept. Tokens live for up to a day at Auth0 and Okta, and for 28 hours at Entra with
/// continuous access evaluation.
const RETENTION: Duration = Duration::from_secs(48 * 60 * 60);

/// Maximum number of revocations, about 15 MB. An issuer with as many logouts in two days has millions of users.
const CAPACITY: usize = 100_000;

/// How many seconds the clock of an issuer may be ahead of ours where a revocation means "until now": the accuracy
/// of NTP, and a margin.
const SKEW: u64 = 5;

/// A list of revocations. Clones share one list, so that several resources can use it.
///
/// A revocation is kept for 48 hours; by then the tokens it names have expired. Revocations of API keys, which need
/// not expire, are kept as long as the list exists. If the list is full, all tokens that the issuer with the most
/// revocations has issued until then are revoked instead: its clients have to refresh their tokens once. Sessions
/// that it has ended stay ended, but only the newest are kept, in up to half of its entries.
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

/// The revocations of one issuer: one table for each [`RevokedKind`], by name.
#[derive(Default)]
struct IssuerEntries([HashMap<Box<str>, Entry>; 5]);

/// Both are seconds since 1970.
#[derive(Clone, Copy, Default)]
struct Entry {
    /// Tokens issued before this are revoked, and those that do not say when they were issued.
    before: u64,
    /// When the entry may be removed.
    until: u64,
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

    /// Sets how many revocations are kept: 100,000 unless set, which takes about 15 MB.
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
        let before = match kind {
            RevokedKind::Session | RevokedKind::Token => u64::MAX,
            _ => before.unwrap_or(now.saturating_add(1 + SKEW)),
        };
        let mut issuers = self.shared.issuers.write().unwrap_or_else(PoisonError::into_inner);
        let entry = issuers.get(issuer).and_then(|of| of.table(*kind).get(name));
        if entry.is_none() && entry_count(&issuers) >= self.capacity {
            evict(&mut issuers, self.capacity, now);
        }
        let entries = issuers.entry(issuer.clone()).or_default();
        let is_new = entries.insert(*kind, name, Entry { before, until });
        self.shared.number.store(entry_count(&issuers), Ordering::Release);
        self.shared.version.fetch_add(usize::from(is_new), Ordering::Release);
        drop(issuers);
        // Issuers may repeat a revocation many times.
        if is_new {
            self.shared.changed.notify();
            tracing::info!(target: "mcp_auth", %issuer, ?kind, "revoked");
        }
    }

    /// Whether a token is revoked. Costs almost nothing while the list is empty.
    pub(crate) fn is_revoked(&self, data: &TokenData) -> bool {
        if self.is_empty() {
            return false;
        }
        let issuers = self.shared.issuers.read().unwrap_or_else(PoisonError::into_inner);
        issuers.get(&*data.issuer).is_some_and(|entries| entries.revokes(data))
    }

    pub(crate) fn check(&self, data: &TokenData) -> Result<(), Denial> {
        if self.is_revoked(data) {
            return Err(Denial::invalid(Reason::Inactive).detail(
                "the token was revoked: by `.revoke(..)`, or by a security event of its issuer",
            ));
        }
        Ok(())
    }

    /// A number that changes with each revocation that revokes something new. It is 0 before the first.
    pub(crate) fn version(&self) -> usize {
        self.shared.version.load(Ordering::Acquire)
    }

    pub(crate) fn changed(&self) -> &Notify {
        &self.shared.changed
    }
}

impl IssuerEntries {
    fn table(&self, kind: RevokedKind) -> &HashMap<Box<str>, Entry> {
        &self.0[kind as usize]
    }

    /// Returns whether more is revoked than before.
    fn insert(&mut self, kind: RevokedKind, name: &str, new: Entry) -> bool {
        let known = self.table(kind).get(name).copied();
        let Entry { before, until } = known.unwrap_or_default();
        let entry = Entry { before: before.max(new.before), until: until.max(new.until) };
        self.0[kind as usize].insert(name.into(), entry);
        known.is_none() || before < new.before
    }

    fn len(&self) -> usize {
        self.0.iter().map(HashMap::len).sum()
    }

    fn revokes(&self, data: &TokenData) -> bool {
        let members = Object::of(&data.claims).ok();
        let claim = |name| members.as_ref().and_then(|members| members.get(name));
        let text = |name| claim(name).and_then(Raw::string).filter(|text| !text.is_empty());
        let (jti, sid) = (text("jti"), text("sid"));
        let issued_at = claim("iat").and_then(Raw::numeric_date).map(|time| time as u64);
        let subject = data.subject.of(&data.claims);
        // The issuer names the subject by `sub`, whatever its name is here.
        let sub = text("sub").filter(|sub| *sub != *subject);
        let names = [
            (RevokedKind::Everything, Some("")),
            (RevokedKind::Session, sid.as_deref()),
            (RevokedKind::Subject, Some(subject)),
            (RevokedKind::Subject, sub.as_deref()),
            (RevokedKind::SubjectWithoutSession, Some(subject).filter(|_| sid.is_none())),
            (RevokedKind::SubjectWithoutSession, sub.as_deref().filter(|_| sid.is_none())),
            (RevokedKind::Token, jti.as_deref()),
        ];
        names.into_iter().any(|(kind, name)| {
            let entry = name.and_then(|name| self.table(kind).get(name));
            entry.is_some_and(|entry| issued_at.is_none_or(|time| time < entry.before))
        })
    }
}

fn entry_count(issuers: &HashMap<Box<str>, IssuerEntries>) -> usize {
    issuers.values().map(IssuerEntries::len).sum()
}

/// Removes expired entries. If that is not enough, the entries of the issuer that has the most are replaced by one
/// that revokes everything it has issued until now. Its ended sessions are kept, since tokens may still be issued
/// for them: the newest, in up to half of its entries.
fn evict(issuers: &mut HashMap<Box<str>, IssuerEntries>, capacity: usize, now: u64) {
    for entries in issuers.values_mut() {
        entries.0.iter_mut().for_each(|table| table.retain(|_, entry| entry.until > now));
    }
    issuers.retain(|_, entries| entries.len() > 0);
    if entry_count(issuers) < capacity {
        return;
    }
    let Some((issuer, most)) = issuers.iter_mut().max_by_key(|(_, entries)| entries.len()) else {
        return;
    };
    tracing::error!(
        target: "mcp_auth", %issuer, capacity,
        "the list of revocations is full: everything that this issuer issued until now is revoked instead; raise `Revocations::capacity(..)`",
    );
    let entries = || most.0.iter().flat_map(HashMap::values);
    let until = entries().map(|entry| entry.until).max().unwrap_or(now);
    // The entries may show that the issuer's clock is ahead of ours by more than `SKEW`.
    let before = entries().map(|entry| entry.before).filter(|before| *before < u64::MAX).max();
    let before = before.unwrap_or(0).max(now.saturating_add(1 + SKEW));
    let max_sessions = most.len() / 2;
    let sessions = &mut most.0[RevokedKind::Session as usize];
    let mut sessions: Vec<_> = std::mem::take(sessions).into_iter().collect();
    sessions.sort_unstable_by_key(|(_, entry)| Reverse(entry.until));
    sessions.truncate(max_sessions);
    *most = IssuerEntries::default();
    most.0[RevokedKind::Session as usize].extend(sessions);
    most.insert(RevokedKind::Everything, "", Entry { before, until });
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

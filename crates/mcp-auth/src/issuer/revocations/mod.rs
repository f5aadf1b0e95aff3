//! All that is revoked at present: a book that every request looks into, and that never grows without end.

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

/// Tokens live for up to a day at Auth0 and Okta, and for 28 hours at Entra with continuous evaluation.
const RETENTION: Duration = Duration::from_secs(48 * 60 * 60);

/// About 15 MB. An issuer with as many logouts in two days has users in the millions.
const CAPACITY: usize = 100_000;

/// How far the clocks of issuers may be ahead of ours when "until now" is meant: what NTP keeps, and some more.
const SKEW: u64 = 5;

/// Everything that is revoked. Clones are the same book, so that several resources can share one.
///
/// A revocation is kept for 48 hours, by when the tokens it speaks of have expired; those of API keys, which
/// need not expire, are kept as long as the book is. If it is full, everything that the issuer with most
/// revocations issued until then is revoked instead: its clients have to refresh their tokens once. Its ended
/// sessions stay ended, the newest, as far as half of its places go.
///
/// It is in memory: a server that starts anew has an empty one.
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
    /// How many entries there are: 0 spares each request the look.
    number: AtomicUsize,
    /// How many revocations there ever were that said something new.
    version: AtomicUsize,
    issuers: RwLock<HashMap<Box<str>, IssuerEntries>>,
    changed: Notify,
}

/// What is revoked of one issuer: a table for each kind of thing, by name.
#[derive(Default)]
struct IssuerEntries([HashMap<Box<str>, Entry>; 5]);

/// In seconds since 1970.
#[derive(Clone, Copy, Default)]
struct Entry {
    /// Tokens issued before this are revoked, and those that do not say when they were issued.
    before: u64,
    /// When the entry may go.
    until: u64,
}

impl Revocations {
    /// An empty book.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// How long revocations are kept: longer than any token lives. 48 hours unless set.
    ///
    /// A book that was shared is another one after this.
    #[must_use]
    pub fn retention(self, retention: Duration) -> Self {
        Self { retention, shared: Arc::default(), ..self }
    }

    /// How many revocations are kept. 100,000 unless set, about 15 MB.
    ///
    /// A book that was shared is another one after this.
    #[must_use]
    pub fn capacity(self, number: usize) -> Self {
        Self { capacity: number.max(1), shared: Arc::default(), ..self }
    }

    /// How many revocations there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shared.number.load(Ordering::Acquire)
    }

    /// Whether nothing is revoked.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(crate) fn enter(&self, revocation: &Revocation, now: SystemTime) {
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
        let entries = issuers.get(issuer).and_then(|of| of.table(*kind).get(name));
        if entries.is_none() && number(&issuers) >= self.capacity {
            evict(&mut issuers, self.capacity, now);
        }
        let entries = issuers.entry(issuer.clone()).or_default();
        let is_news = entries.enter(*kind, name, Entry { before, until });
        self.shared.number.store(number(&issuers), Ordering::Release);
        self.shared.version.fetch_add(usize::from(is_news), Ordering::Release);
        drop(issuers);
        // Issuers may say a thing many times.
        if is_news {
            self.shared.changed.notify();
            tracing::info!(target: "mcp_auth", %issuer, ?kind, "revoked");
        }
    }

    /// Whether a token is revoked. Costs nothing to speak of as long as nothing is.
    pub(crate) fn is_revoked(&self, data: &TokenData) -> bool {
        if self.is_empty() {
            return false;
        }
        let issuers = self.shared.issuers.read().unwrap_or_else(PoisonError::into_inner);
        issuers.get(&*data.issuer).is_some_and(|entries| entries.names(data))
    }

    pub(crate) fn check(&self, data: &TokenData) -> Result<(), Denial> {
        if self.is_revoked(data) {
            return Err(Denial::invalid(Reason::Inactive)
                .detail("the token was revoked: by `.revoke(..)`, or by a notice of its issuer"));
        }
        Ok(())
    }

    /// Another number after each revocation that says something new, and 0 before the first.
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
    fn enter(&mut self, kind: RevokedKind, name: &str, new: Entry) -> bool {
        let known = self.table(kind).get(name).copied();
        let Entry { before, until } = known.unwrap_or_default();
        let entry = Entry { before: before.max(new.before), until: until.max(new.until) };
        self.0[kind as usize].insert(name.into(), entry);
        known.is_none() || before < new.before
    }

    fn len(&self) -> usize {
        self.0.iter().map(HashMap::len).sum()
    }

    fn names(&self, data: &TokenData) -> bool {
        let members = Object::of(&data.claims).ok();
        let claim = |name| members.as_ref().and_then(|members| members.get(name));
        let text = |name| claim(name).and_then(Raw::string).filter(|text| !text.is_empty());
        let (jti, sid) = (text("jti"), text("sid"));
        let issued_at = claim("iat").and_then(Raw::numeric_date).map(|time| time as u64);
        let subject = data.subject.of(&data.claims);
        // By `sub` its issuer knows the subject, whatever it is called here.
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

fn number(issuers: &HashMap<Box<str>, IssuerEntries>) -> usize {
    issuers.values().map(IssuerEntries::len).sum()
}

/// Lets old entries go. If that is not enough, one entry stands for all of the issuer that has most, but for
/// its ended sessions: tokens may still be issued for them. They keep half of its places, the newest.
fn evict(issuers: &mut HashMap<Box<str>, IssuerEntries>, capacity: usize, now: u64) {
    for entries in issuers.values_mut() {
        entries.0.iter_mut().for_each(|table| table.retain(|_, entry| entry.until > now));
    }
    issuers.retain(|_, entries| entries.len() > 0);
    if number(issuers) < capacity {
        return;
    }
    let Some((issuer, most)) = issuers.iter_mut().max_by_key(|(_, entries)| entries.len()) else {
        return;
    };
    tracing::error!(
        target: "mcp_auth", %issuer, capacity,
        "the book of revocations is full: everything that this issuer issued until now is revoked instead; give it more room with `Revocations::capacity(..)`",
    );
    let entries = || most.0.iter().flat_map(HashMap::values);
    let until = entries().map(|entry| entry.until).max().unwrap_or(now);
    // The issuer's clock may be ahead of ours by more.
    let before = entries().map(|entry| entry.before).filter(|before| *before < u64::MAX).max();
    let before = before.unwrap_or(0).max(now.saturating_add(1 + SKEW));
    let places = most.len() / 2;
    let sessions = &mut most.0[RevokedKind::Session as usize];
    let mut sessions: Vec<_> = std::mem::take(sessions).into_iter().collect();
    sessions.sort_unstable_by_key(|(_, entry)| Reverse(entry.until));
    sessions.truncate(places);
    *most = IssuerEntries::default();
    most.0[RevokedKind::Session as usize].extend(sessions);
    most.enter(RevokedKind::Everything, "", Entry { before, until });
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

//! Whose revocations are kept, and who makes room when there are too many.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::issuer::revocations::entries::IssuerEntries;
use crate::issuer::revocations::record::RevocationRecord;
use crate::model::issuer_pattern::{IssuerPattern, IssuerSet};
use crate::model::verified_token::API_KEY_ISSUER;

/// How many times the capacity of one issuer all issuers of a resolver may use together: 150 MB. A resolver may trust
/// thousands, and this bounds their memory.
const POOL: usize = 10;

/// How many issuers are known when those are first looked for of which nothing needs to be known. Few resources trust
/// as many.
const FIRST_SWEEP: usize = 100;

/// What is revoked, by issuer.
#[derive(Default)]
pub(super) struct Issuers {
    known: HashMap<Box<str>, Known>,
    configured: HashSet<Arc<str>>,
    tenants: Vec<IssuerSet>,
    resolved: Vec<IssuerPattern>,
    sweep_at: usize,
}

struct Known {
    pool: Pool,
    entries: IssuerEntries,
}

/// The issuers that make room for each other.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Pool {
    /// None: the issuer is configured, or it is that of the API keys. Its quota is its own.
    Own,
    /// Those of one resolver.
    Resolved(usize),
    /// Those that no resource trusts. Only the application names them.
    Unknown,
}

/// How many entries of one issuer are kept, and from when on a clock that was learned is needed.
#[derive(Clone, Copy)]
pub(super) struct Limits {
    pub(super) capacity: usize,
    pub(super) clocks_since: u64,
}

impl Issuers {
    /// Tells issuers that a resource has configured from those that only a resolver knows.
    pub(super) fn trust(&mut self, configured: &[Arc<str>], issuer_sets: &[IssuerSet]) {
        self.configured.extend(configured.iter().cloned());
        for issuer_set in issuer_sets {
            match &issuer_set.tenants {
                Some(_) if !self.tenants.contains(issuer_set) => {
                    self.tenants.push(issuer_set.clone());
                }
                None if !self.resolved.contains(&issuer_set.template) => {
                    self.resolved.push(issuer_set.template.clone());
                }
                _ => {}
            }
        }
        let mut known = std::mem::take(&mut self.known);
        known.iter_mut().for_each(|(issuer, known)| known.pool = self.pool_of(issuer));
        self.known = known;
    }

    pub(super) fn get(&self, issuer: &str) -> Option<&IssuerEntries> {
        self.known.get(issuer).map(|known| &known.entries)
    }

    pub(super) fn len(&self) -> usize {
        self.known.values().map(|known| known.entries.len()).sum()
    }

    /// Everything that is revoked.
    pub(super) fn records(&self) -> Vec<RevocationRecord> {
        let mut records = Vec::with_capacity(self.len());
        for (issuer, known) in &self.known {
            let issuer: Arc<str> = (&**issuer).into();
            records.extend(known.entries.iter().map(|(kind, name, entry)| RevocationRecord {
                issuer: Arc::clone(&issuer),
                kind,
                name,
                entry,
            }));
        }
        records
    }

    /// Returns whether more is revoked than before.
    pub(super) fn insert(&mut self, record: &RevocationRecord, limits: Limits, now: u64) -> bool {
        let RevocationRecord { issuer, kind, name, entry } = record;
        let entries = self.entries(issuer, limits, now);
        if !entries.table(*kind).contains_key(name) {
            if entries.len() >= limits.capacity {
                entries.make_room(issuer, limits.capacity, now);
            }
            self.make_room_in_pool(issuer, limits.capacity.saturating_mul(POOL), now);
        }
        self.entries(issuer, limits, now).insert(*kind, *name, *entry)
    }

    /// The entries of an issuer, which may be new.
    pub(super) fn entries(&mut self, issuer: &str, limits: Limits, now: u64) -> &mut IssuerEntries {
        if !self.known.contains_key(issuer) && self.known.len() >= self.sweep_at {
            self.sweep(limits, now);
        }
        let pool = self.pool_of(issuer);
        let known = self.known.entry(issuer.into());
        &mut known.or_insert_with(|| Known { pool, entries: IssuerEntries::default() }).entries
    }

    /// Removes expired entries, and issuers of which nothing needs to be known.
    fn sweep(&mut self, limits: Limits, now: u64) {
        self.known.retain(|_, known| {
            known.entries.remove_expired(now);
            known.entries.is_needed(limits.clocks_since)
        });
        self.sweep_at = self.known.len().saturating_mul(2).max(FIRST_SWEEP);
    }

    fn pool_of(&self, issuer: &str) -> Pool {
        let is_configured = issuer == API_KEY_ISSUER
            || self.configured.contains(issuer)
            || self.tenants.iter().any(|tenants| tenants.contains(issuer));
        match self.resolved.iter().position(|pattern| pattern.matches(issuer)) {
            _ if is_configured => Pool::Own,
            Some(resolver) => Pool::Resolved(resolver),
            None => Pool::Unknown,
        }
    }

    /// Removes expired entries of the pool in which an issuer is about to have one more. If that is not enough, the
    /// issuer that then has the most makes room: the one that sends, if another has no more.
    fn make_room_in_pool(&mut self, sender: &str, total: usize, now: u64) {
        let pool = self.pool_of(sender);
        if pool == Pool::Own || self.len_of(pool) < total {
            return;
        }
        for known in self.known.values_mut().filter(|known| known.pool == pool) {
            known.entries.remove_expired(now);
        }
        if self.len_of(pool) < total {
            return;
        }
        // Two entries may become two. If nobody has more, the number of issuers is what takes the memory, and that is
        // bounded by whom the resolver trusts.
        let can_pay = |known: &Known| known.pool == pool && known.entries.len() > 2;
        let in_pool = self.known.iter_mut().filter(|(_, known)| can_pay(known));
        let most = in_pool.max_by_key(|(issuer, known)| {
            let sends = ***issuer == *sender;
            (known.entries.len() + usize::from(sends), sends)
        });
        if let Some((issuer, known)) = most {
            known.entries.close(issuer, now);
        }
    }

    fn len_of(&self, pool: Pool) -> usize {
        let in_pool = self.known.values().filter(|known| known.pool == pool);
        in_pool.map(|known| known.entries.len()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_that_are_no_longer_needed_are_forgotten() {
        let mut issuers = Issuers::default();
        for now in 1000..11_000 {
            let limits = Limits { capacity: 10, clocks_since: now - 100 };
            let entries = issuers.entries(&format!("https://{now}.example.com"), limits, now);
            entries.learn_clock_ahead(now, 30);
            assert!(issuers.known.len() <= 2 * 101, "{now}: {}", issuers.known.len());
        }
        assert!(issuers.get("https://10900.example.com").is_some(), "it may still be needed");
    }
}

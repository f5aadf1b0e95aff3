//! What was found out about tokens, remembered by their fingerprints for a time: never more than fits.

use std::hash::RandomState;
use std::time::{Duration, SystemTime};

use quick_cache::Weighter;
use quick_cache::sync::{Cache, DefaultLifecycle};

use crate::model::verified_token::VerifiedToken;
use crate::util::unix_time::seconds;
use crate::verify::jwt::Fingerprint;

/// Values by the fingerprint of the whole token: no token is kept, and a changed one is another.
pub(crate) struct Memory<V> {
    /// Where a fingerprint lies is said by a keyed hash, so that it tells nothing of it.
    entries: Cache<Fingerprint, Entry<V>, BySize, RandomState>,
    longest: Duration,
}

/// What may be remembered.
pub(crate) trait Weigh {
    /// How many places it takes.
    fn weight(&self) -> u64;
}

#[derive(Clone)]
struct Entry<V> {
    value: V,
    /// In seconds since 1970.
    until: u64,
}

#[derive(Clone)]
struct BySize;

impl<V: Weigh + Clone> Memory<V> {
    /// A memory with so many places, in which nothing stays longer than `longest`.
    pub(crate) fn new(capacity: usize, longest: Duration) -> Self {
        let (keyed, lifecycle) = (RandomState::new(), DefaultLifecycle::default());
        let entries = Cache::with(capacity, capacity as u64, BySize, keyed, lifecycle);
        Self { entries, longest }
    }

    pub(crate) fn recall(&self, fingerprint: &Fingerprint, now: SystemTime) -> Option<V> {
        let known = self.entries.get(fingerprint)?;
        let left = known.until.saturating_sub(seconds(now));
        // More is left than ever was if the clock was set back.
        (1..=self.longest.as_secs()).contains(&left).then_some(known.value)
    }

    /// Remembers a value for the longest time, but not past `end`, in seconds since 1970.
    pub(crate) fn keep(
        &self,
        fingerprint: Fingerprint,
        value: V,
        now: SystemTime,
        end: Option<u64>,
    ) {
        let until = seconds(now).saturating_add(self.longest.as_secs());
        let until = until.min(end.unwrap_or(u64::MAX));
        if until > seconds(now) {
            self.entries.insert(fingerprint, Entry { value, until });
        }
    }

    pub(crate) fn forget(&self, fingerprint: &Fingerprint) {
        self.entries.remove(fingerprint);
    }

    /// Whether there is a value, though its time may have passed.
    pub(crate) fn has_known(&self, fingerprint: &Fingerprint) -> bool {
        self.entries.peek(fingerprint).is_some()
    }
}

impl Weigh for VerifiedToken {
    /// A token with many claims takes the place of several.
    fn weight(&self) -> u64 {
        1 + self.facts().claims.len() as u64 / 1024
    }
}

impl<V: Weigh> Weighter<Fingerprint, Entry<V>> for BySize {
    fn weight(&self, _: &Fingerprint, entry: &Entry<V>) -> u64 {
        entry.value.weight()
    }
}

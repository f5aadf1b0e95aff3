//! What was found out about tokens, remembered by their fingerprints for a time: never more than fits.

use std::hash::RandomState;
use std::time::{Duration, SystemTime};

use quick_cache::Weighter;
use quick_cache::sync::{Cache, DefaultLifecycle};

use crate::model::verified_token::VerifiedToken;
use crate::util::unix_time::unix_secs;
use crate::verify::jwt::TokenHash;

/// Values by the fingerprint of the whole token: no token is kept, and a changed one is another.
pub(crate) struct TokenCache<V> {
    /// Where a fingerprint lies is said by a keyed hash, so that it tells nothing of it.
    entries: Cache<TokenHash, Entry<V>, BySize, RandomState>,
    max_ttl: Duration,
}

/// What may be remembered.
pub(crate) trait CacheWeight {
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

impl<V: CacheWeight + Clone> TokenCache<V> {
    /// A memory with so many places, in which nothing stays longer than `max_ttl`.
    pub(crate) fn new(capacity: usize, max_ttl: Duration) -> Self {
        let (keyed, lifecycle) = (RandomState::new(), DefaultLifecycle::default());
        let entries = Cache::with(capacity, capacity as u64, BySize, keyed, lifecycle);
        Self { entries, max_ttl }
    }

    pub(crate) fn get(&self, token_hash: &TokenHash, now: SystemTime) -> Option<V> {
        let known = self.entries.get(token_hash)?;
        let left = known.until.saturating_sub(unix_secs(now));
        // More is left than ever was if the clock was set back.
        (1..=self.max_ttl.as_secs()).contains(&left).then_some(known.value)
    }

    /// Remembers a value for the longest time, but not past `end`, in seconds since 1970.
    pub(crate) fn insert(
        &self,
        token_hash: TokenHash,
        value: V,
        now: SystemTime,
        end: Option<u64>,
    ) {
        let until = unix_secs(now).saturating_add(self.max_ttl.as_secs());
        let until = until.min(end.unwrap_or(u64::MAX));
        if until > unix_secs(now) {
            self.entries.insert(token_hash, Entry { value, until });
        }
    }

    pub(crate) fn remove(&self, token_hash: &TokenHash) {
        self.entries.remove(token_hash);
    }

    /// Whether there is a value, though its time may have passed.
    pub(crate) fn contains(&self, token_hash: &TokenHash) -> bool {
        self.entries.peek(token_hash).is_some()
    }
}

impl CacheWeight for VerifiedToken {
    /// A token with many claims takes the place of several.
    fn weight(&self) -> u64 {
        1 + self.data().claims.len() as u64 / 1024
    }
}

impl<V: CacheWeight> Weighter<TokenHash, Entry<V>> for BySize {
    fn weight(&self, _: &TokenHash, entry: &Entry<V>) -> u64 {
        entry.value.weight()
    }
}

//! A bounded cache of what was verified about tokens, by token hash.

use std::hash::RandomState;
use std::time::{Duration, SystemTime};

use quick_cache::Weighter;
use quick_cache::sync::{Cache, DefaultLifecycle};

use crate::model::verified_token::VerifiedToken;
use crate::util::unix_time::unix_secs;
use crate::verify::jwt::TokenHash;

/// Values by the keyed hash of the whole token. Tokens themselves are not stored, and a modified token has another
/// hash.
pub(crate) struct TokenCache<V> {
    /// `RandomState` is keyed, so that the position of an entry reveals nothing about its `TokenHash`.
    entries: Cache<TokenHash, Entry<V>, BySize, RandomState>,
    max_ttl: Duration,
}

/// A value that can be cached.
pub(crate) trait CacheWeight {
    /// How much of the capacity it takes.
    fn weight(&self) -> u64;
}

#[derive(Clone)]
struct Entry<V> {
    value: V,
    /// Seconds since 1970.
    until: u64,
}

#[derive(Clone)]
struct BySize;

impl<V: CacheWeight + Clone> TokenCache<V> {
    /// A cache with this capacity, in which no entry stays longer than `max_ttl`.
    pub(crate) fn new(capacity: usize, max_ttl: Duration) -> Self {
        let (keyed, lifecycle) = (RandomState::new(), DefaultLifecycle::default());
        let entries = Cache::with(capacity, capacity as u64, BySize, keyed, lifecycle);
        Self { entries, max_ttl }
    }

    pub(crate) fn get(&self, token_hash: &TokenHash, now: SystemTime) -> Option<V> {
        let known = self.entries.get(token_hash)?;
        let left = known.until.saturating_sub(unix_secs(now));
        // If more is left than `max_ttl`, the clock was set back.
        (1..=self.max_ttl.as_secs()).contains(&left).then_some(known.value)
    }

    /// Caches a value for `max_ttl`, but not past `end`, in seconds since 1970.
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

    /// Whether there is an entry, even if it has expired.
    pub(crate) fn contains(&self, token_hash: &TokenHash) -> bool {
        self.entries.peek(token_hash).is_some()
    }
}

impl CacheWeight for VerifiedToken {
    /// 1, and 1 more for each full KiB of claims.
    fn weight(&self) -> u64 {
        1 + self.data().claims.len() as u64 / 1024
    }
}

impl<V: CacheWeight> Weighter<TokenHash, Entry<V>> for BySize {
    fn weight(&self, _: &TokenHash, entry: &Entry<V>) -> u64 {
        entry.value.weight()
    }
}

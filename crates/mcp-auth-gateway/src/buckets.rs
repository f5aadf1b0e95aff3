//! Token buckets, in bounded memory.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher as _, Hash};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use mcp_auth_config::Rate;

/// The most buckets of one limit that are not full, about 3 MB. A bucket that is full says no more than none.
const MAX_BUCKETS: usize = 100_000;

/// How often full buckets are looked for at most while there is no place. It takes about a millisecond.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

/// A bucket for each key: it holds the requests of the rate, and is filled evenly.
///
/// Buckets are kept as the moment at which they are full again (the generic cell rate algorithm). If there are
/// [`MAX_BUCKETS`] that are not full, all further keys share one: none of them is unlimited, and nobody takes the bucket of
/// another.
pub(crate) struct Buckets {
    /// The time that one request takes to be filled in again.
    interval: Duration,
    /// The time to fill an empty bucket.
    whole: Duration,
    start: Instant,
    /// Keyed, so that nobody can choose keys that meet.
    hasher: RandomState,
    full_at: Mutex<FullAt>,
}

#[derive(Default)]
struct FullAt {
    by_key: HashMap<u64, Duration>,
    of_others: Duration,
    swept: Option<Duration>,
}

/// How long to wait for the next request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wait(pub(crate) Duration);

impl Buckets {
    pub(crate) fn new(rate: Rate) -> Self {
        let interval = rate.per / rate.requests.get();
        Self {
            interval,
            whole: interval * rate.requests.get(),
            start: Instant::now(),
            hasher: RandomState::new(),
            full_at: Mutex::default(),
        }
    }

    /// Takes a request out of the bucket of a key.
    ///
    /// # Errors
    ///
    /// If it is empty.
    pub(crate) fn take(&self, key: impl Hash) -> Result<(), Wait> {
        self.take_at(self.start.elapsed(), key, MAX_BUCKETS)
    }

    fn take_at(&self, now: Duration, key: impl Hash, max: usize) -> Result<(), Wait> {
        let key = self.hasher.hash_one(key);
        let mut all = self.lock();
        if all.by_key.len() >= max && !all.by_key.contains_key(&key) {
            let is_due = all.swept.is_none_or(|swept| now.saturating_sub(swept) >= SWEEP_INTERVAL);
            if is_due {
                all.swept = Some(now);
                all.by_key.retain(|_, full_at| *full_at > now);
                if all.by_key.len() >= max {
                    tracing::warn!(target: "mcp_auth", callers = max, "so many callers are near a limit that all others share one bucket");
                }
            }
        }
        let has_place = all.by_key.len() < max || all.by_key.contains_key(&key);
        let bucket = match has_place {
            true => all.by_key.entry(key).or_default(),
            false => &mut all.of_others,
        };
        let full_at = (*bucket).max(now) + self.interval;
        match full_at.saturating_sub(now).checked_sub(self.whole).filter(|over| !over.is_zero()) {
            Some(over) => Err(Wait(over)),
            None => {
                *bucket = full_at;
                Ok(())
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, FullAt> {
        self.full_at.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn buckets(rate: &str) -> Buckets {
        Buckets::new(Rate::parse(rate).expect(rate))
    }

    #[test]
    fn a_bucket_holds_its_requests_and_is_filled_evenly() {
        let buckets = buckets("60/m");
        let at = |seconds: f64, key: &str| {
            buckets.take_at(Duration::from_secs_f64(seconds), key, MAX_BUCKETS)
        };
        assert!((0..60).all(|_| at(0.0, "alice") == Ok(())));
        assert_eq!(at(0.0, "alice"), Err(Wait(Duration::from_secs(1))));
        assert_eq!(
            at(0.5, "alice"),
            Err(Wait(Duration::from_millis(500))),
            "a refusal costs nothing"
        );
        assert_eq!(at(0.5, "bob"), Ok(()));
        assert_eq!((at(1.0, "alice"), at(1.0, "alice").is_err()), (Ok(()), true));
        assert!((0..60).all(|_| at(1000.0, "alice") == Ok(())), "it is full again, and not more");
        assert!(at(1000.0, "alice").is_err());
    }

    #[test]
    fn when_there_is_no_place_newcomers_share_a_bucket_and_the_others_keep_theirs() {
        let buckets = buckets("2/m");
        let at = |seconds: u64, key: &str| buckets.take_at(Duration::from_secs(seconds), key, 2);
        assert_eq!((at(0, "alice"), at(0, "bob")), (Ok(()), Ok(())));
        let strangers = ["1", "2", "3", "4"].map(|key| at(0, key).is_ok());
        assert_eq!(strangers, [true, true, false, false]);
        assert_eq!((at(0, "alice"), at(0, "alice").is_err()), (Ok(()), true));
        assert!(buckets.lock().by_key.len() == 2);
        // Buckets that are full again make room.
        assert_eq!((at(70, "5"), at(70, "5"), at(70, "6")), (Ok(()), Ok(()), Ok(())));
        assert!(buckets.lock().by_key.len() == 2);
    }
}

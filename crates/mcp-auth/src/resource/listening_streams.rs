//! When listening streams end: the streams of one client of a user at different moments.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::model::auth_info::AuthInfo;
use crate::model::session_owner::SessionOwner;

/// The longest time for which a listening stream outlives its token. A client whose stream ends refreshes its token.
/// If two streams of a client end in the same moment, both refresh, and an issuer that rotates refresh tokens takes the
/// second refresh for a theft and ends the login.
const MAX_DELAY: Duration = Duration::from_secs(32);

/// The shortest time between the ends of two streams of a login, as long as its streams are at most 32. A client
/// refreshes its token faster.
const MIN_GAP: Duration = Duration::from_secs(1);

/// The ends of all open listening streams, in milliseconds since 1970. Clones share them.
#[derive(Clone, Default)]
pub(super) struct ListeningStreams(Arc<Mutex<Ends>>);

type Ends = HashMap<Login, OwnerEnds>;

/// A user and the client, which have a refresh token.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct Login {
    user: SessionOwner,
    client: Option<Box<str>>,
}

impl Login {
    pub(super) fn of(caller: &AuthInfo) -> Self {
        let client = caller.client_id().map(Into::into);
        Self { user: SessionOwner::of(Some(caller)), client }
    }
}

/// The ends of the streams of one login.
#[derive(Default)]
struct OwnerEnds {
    moments: BTreeSet<u64>,
    /// How many streams it has opened while at least one was open.
    opened: u32,
}

/// The end of one stream, which is reserved while this exists.
pub(crate) struct StreamEnd {
    streams: ListeningStreams,
    owner: Login,
    at: u64,
}

impl ListeningStreams {
    /// The end of a stream whose token ends at `end`: the same moment, or shortly after if other streams of the owner end
    /// then.
    pub(super) fn reserve(&self, owner: Login, end: SystemTime) -> StreamEnd {
        let end = end.duration_since(UNIX_EPOCH).unwrap_or_default();
        let mut all = self.lock();
        let ends = all.entry(owner.clone()).or_default();
        let at = ends.free_moment(millis(end));
        ends.moments.insert(at);
        ends.opened = ends.opened.wrapping_add(1);
        drop(all);
        StreamEnd { streams: self.clone(), owner, at }
    }

    fn lock(&self) -> MutexGuard<'_, Ends> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl OwnerEnds {
    /// A moment that is not near any other: `end`, or at most [`MAX_DELAY`] later. If there is none, the login has
    /// more streams than a client has, and they are spread. The work does not grow with their number, since all
    /// logins share the lock.
    fn free_moment(&self, end: u64) -> u64 {
        let gap = millis(MIN_GAP);
        let delayed = |i| end.saturating_add(millis(MAX_DELAY.mul_f64(spread(i))));
        let is_free = |at: &u64| {
            let near = at.saturating_add(1).saturating_sub(gap)..at.saturating_add(gap);
            self.moments.range(near).next().is_none()
        };
        let max_streams = (MAX_DELAY.as_secs() / MIN_GAP.as_secs()) as u32;
        let free = (0..max_streams).map(delayed).find(is_free);
        free.unwrap_or_else(|| delayed(self.opened))
    }
}

/// Numbers from 0 to 1 that are far from all numbers before: 0, 1/2, 1/4, 3/4, 1/8, ... (van der Corput's sequence).
fn spread(i: u32) -> f64 {
    f64::from(i.reverse_bits()) / 2_f64.powi(32)
}

fn millis(duration: Duration) -> u64 {
    duration.as_millis().try_into().unwrap_or(u64::MAX)
}

impl StreamEnd {
    pub(crate) fn at(&self) -> Option<SystemTime> {
        UNIX_EPOCH.checked_add(Duration::from_millis(self.at))
    }
}

impl Drop for StreamEnd {
    fn drop(&mut self) {
        let mut all = self.streams.lock();
        if let Some(ends) = all.get_mut(&self.owner) {
            ends.moments.remove(&self.at);
            if ends.moments.is_empty() {
                all.remove(&self.owner);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_of_a_login_end_a_second_apart_and_soon() {
        let streams = ListeningStreams::default();
        let owner = || Login { user: SessionOwner::of(None), client: None };
        let end = UNIX_EPOCH + Duration::from_secs(1000);
        let first = streams.reserve(owner(), end);
        assert_eq!(first.at(), Some(end), "the first one ends with its token");
        let others: Vec<_> = (1..32).map(|_| streams.reserve(owner(), end)).collect();
        let mut ends: Vec<_> = others.iter().chain([&first]).map(|it| it.at).collect();
        ends.sort_unstable();
        assert!(ends.windows(2).all(|two| two[1] - two[0] >= 1000), "{ends:?}");
        assert!(*ends.last().expect("32 streams") < 1_000_000 + 32_000);
        assert!(others[0].at - first.at >= 8000, "the first few are further apart");

        let renewed = streams.reserve(owner(), end + Duration::from_millis(16_300));
        assert!(ends.iter().all(|at| at.abs_diff(renewed.at) > 0));

        let mut many: Vec<_> = (0..10_000).map(|_| streams.reserve(owner(), end)).collect();
        let distinct: BTreeSet<_> = many.iter().map(|it| it.at).collect();
        assert_eq!(distinct.len(), many.len());
        assert!(*distinct.last().expect("many") <= 1_000_000 + 32_000);

        many.clear();
        drop((first, others, renewed));
        assert!(streams.lock().is_empty(), "nothing is left");
    }
}

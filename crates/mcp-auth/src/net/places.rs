//! A limited number of places, for which callers wait. Who waits is given a place at random.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

use crate::verify::jwt::random;

/// Places for work that only so many may do at once.
///
/// The order of arrival does not count, as whoever sends the most requests would be first in any queue. Instead each
/// free place is given to a random one of those who wait, and if too many wait, a random one of them has to leave. So
/// each has the same chance: the share of the callers for whom there are places.
#[derive(Clone)]
pub(crate) struct Places(Arc<Shared>);

struct Shared {
    max_waiting: usize,
    state: Mutex<State>,
}

struct State {
    free: usize,
    waiting: Vec<oneshot::Sender<Place>>,
}

/// A place. It becomes free when this is dropped.
pub(crate) struct Place(Places);

impl Places {
    pub(crate) fn new(number: usize, max_waiting: usize) -> Self {
        let state = Mutex::new(State { free: number, waiting: Vec::new() });
        Self(Arc::new(Shared { max_waiting, state }))
    }

    /// Waits for a place. Returns `None` if there is none within `timeout`, or if the caller has to leave.
    pub(crate) async fn get(&self, timeout: Duration) -> Option<Place> {
        let (sender, mine) = oneshot::channel();
        {
            let mut state = self.state();
            if state.free > 0 {
                state.free -= 1;
                return Some(Place(self.clone()));
            }
            if state.waiting.len() >= self.0.max_waiting {
                state.waiting.retain(|other| !other.is_closed());
            }
            state.waiting.push(sender);
            if state.waiting.len() > self.0.max_waiting {
                drop(state.any_waiting());
            }
        }
        tokio::time::timeout(timeout, mine).await.ok()?.ok()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Removes a random one of those who wait.
    fn any_waiting(&mut self) -> Option<oneshot::Sender<Place>> {
        // Without randomness it is the first.
        let random = random().map_or(0, u64::from_le_bytes);
        let index = random.checked_rem(self.waiting.len() as u64)?;
        Some(self.waiting.swap_remove(index as usize))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let next = {
            let mut state = self.0.state();
            let next = state.any_waiting();
            state.free += usize::from(next.is_none());
            next
        };
        if let Some(next) = next {
            // If it does not wait anymore, this place is dropped, and is given to another.
            let _ = next.send(Place(self.0.clone()));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Waker};

    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    fn poll<F: Future>(future: std::pin::Pin<&mut F>) -> Option<F::Output> {
        match future.poll(&mut Context::from_waker(Waker::noop())) {
            std::task::Poll::Ready(output) => Some(output),
            std::task::Poll::Pending => None,
        }
    }

    /// How many places are free, and how many callers wait.
    fn counts(places: &Places) -> (usize, usize) {
        let state = places.state();
        (state.free, state.waiting.len())
    }

    #[tokio::test(start_paused = true)]
    async fn a_place_passes_to_one_who_waits_and_is_free_again_afterwards() {
        let places = Places::new(1, 10);
        let first = places.get(LONG).await.expect("a place");
        assert!(places.get(Duration::from_secs(1)).await.is_none(), "nobody leaves");
        let mut second = pin!(places.get(LONG));
        assert!(poll(second.as_mut()).is_none());
        drop(first);
        let second = poll(second.as_mut()).flatten().expect("the place of the first");
        assert_eq!(counts(&places).0, 0);
        drop(second);
        assert_eq!(counts(&places), (1, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn a_place_is_not_lost_if_its_next_owner_has_left() {
        let places = Places::new(1, 10);
        let first = places.get(LONG).await.expect("a place");
        {
            let mut left = pin!(places.get(LONG));
            assert!(poll(left.as_mut()).is_none());
            let mut leaving = pin!(places.get(LONG));
            assert!(poll(leaving.as_mut()).is_none());
            drop(first);
            // One of them has the place, and does not take it.
        }
        assert_eq!(counts(&places), (1, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn one_who_waits_is_chosen_at_random_and_the_number_is_bounded() {
        let places = Places::new(1, 8);
        let place = places.get(LONG).await.expect("a place");
        let mut waiting: Vec<_> = (0..100).map(|_| Box::pin(places.get(LONG))).collect();
        let before = waiting.len();
        for _ in 0..2 {
            waiting.retain_mut(|one| poll(one.as_mut()).is_none());
        }
        let refused = before - waiting.len();
        assert_eq!((refused, waiting.len(), counts(&places)), (92, 8, (0, 8)));
        drop(place);
        while !waiting.is_empty() {
            let before = waiting.len();
            waiting.retain_mut(|one| poll(one.as_mut()).is_none());
            assert!(waiting.len() < before, "one after another");
        }
        assert_eq!(counts(&places), (1, 0));
    }
}

//! A value fetched from elsewhere and kept fresh: one flight at a time, shared by all who wait for it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwapOption;
use tokio::sync::watch;

use crate::net::box_future::BoxFuture;
use crate::net::clock::Clock;
use crate::net::fetch::FetchError;

/// The first pause after a failed flight; it doubles with each further failure, up to the cooldown.
const FIRST_BACKOFF: Duration = Duration::from_secs(1);

/// A refresh starts in the background when this part of a value's lifetime has passed.
const REFRESH_AHEAD: f64 = 0.8;

/// How long values are used, and how often they may be fetched.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timing {
    /// The least time between two flights that a value found wanting can cause.
    pub(crate) cooldown: Duration,
    /// How long a value is used when it cannot be refreshed.
    pub(crate) max_stale: Duration,
}

/// Why there is no value, or none newer.
#[derive(Clone, Debug)]
pub(crate) enum Lacking {
    /// The last flight failed.
    OutOfReach { why: Option<Arc<FetchError>>, retry_after: Duration },
    /// The last flight succeeded a moment ago; it is too soon for another.
    TooSoon,
}

/// Fetches a value, given the one in hand. Returns it with its lifetime.
pub(crate) type Load<T> = Box<
    dyn Fn(Option<Arc<T>>) -> BoxFuture<'static, Result<(T, Duration), FetchError>> + Send + Sync,
>;

pub(crate) struct Fresh<T>(Arc<Shared<T>>);

struct Shared<T> {
    clock: Arc<dyn Clock>,
    timing: Timing,
    load: Load<T>,
    kept: ArcSwapOption<Kept<T>>,
    flights: Mutex<Flights>,
}

struct Kept<T> {
    value: Arc<T>,
    since: SystemTime,
    lifetime: Duration,
}

/// Why a flight is wished for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wish {
    /// There is no value, or it is time for a new one.
    Scheduled,
    /// Somebody, perhaps a stranger, has found the value wanting.
    Demanded,
}

#[derive(Default)]
struct Flights {
    /// Ends when the flight does, whether it succeeds, fails or panics.
    under_way: Option<watch::Receiver<()>>,
    last_landing: Option<SystemTime>,
    last_demanded: Option<SystemTime>,
    /// How many flights in a row have failed.
    failures: u32,
    last_failure: Option<Arc<FetchError>>,
}

impl<T: Send + Sync + 'static> Fresh<T> {
    pub(crate) fn new(clock: Arc<dyn Clock>, timing: Timing, load: Load<T>) -> Self {
        let (kept, flights) = (ArcSwapOption::empty(), Mutex::default());
        Self(Arc::new(Shared { clock, timing, load, kept, flights }))
    }

    /// The value: at once if there is one that may be used, else when the flight for it has landed.
    ///
    /// A value past its lifetime is waited for only if no flight has failed since it came, so that an
    /// issuer in trouble delays nobody whose keys are in hand.
    pub(crate) async fn current(&self) -> Result<Arc<T>, Lacking> {
        let now = self.0.clock.now();
        let kept = self.0.usable(now);
        match &kept {
            Some(kept) if kept.is_fresh(now) => return Ok(kept.value.clone()),
            Some(kept) => {
                let flight = self.0.take_off(now, Wish::Scheduled, Some(&kept.value));
                if kept.age(now) >= kept.lifetime && self.0.flights().failures == 0 {
                    land(flight).await;
                }
            }
            None => land(self.0.take_off(now, Wish::Scheduled, self.peek().as_ref())).await,
        }
        let newest = self.0.usable(now).or(kept).map(|kept| kept.value.clone());
        newest.ok_or_else(|| self.0.out_of_reach())
    }

    /// A value newer than `known`, for someone who has found `known` wanting.
    pub(crate) async fn newer_than(&self, known: &Arc<T>) -> Result<Arc<T>, Lacking> {
        let flight = self.0.take_off(self.0.clock.now(), Wish::Demanded, Some(known));
        let has_flown = flight.is_some();
        land(flight).await;
        match self.peek().filter(|value| !Arc::ptr_eq(value, known)) {
            Some(value) => Ok(value),
            None if has_flown || self.0.flights().failures > 0 => Err(self.0.out_of_reach()),
            None => Err(Lacking::TooSoon),
        }
    }

    /// Has a value fetched in the background, if there is none or it is time for a new one.
    pub(crate) fn refresh_if_due(&self) {
        let now = self.0.clock.now();
        if !self.0.usable(now).is_some_and(|kept| kept.is_fresh(now)) {
            let _ = self.0.take_off(now, Wish::Scheduled, self.peek().as_ref());
        }
    }

    /// The value in hand, however old.
    pub(crate) fn peek(&self) -> Option<Arc<T>> {
        self.0.kept.load().as_ref().map(|kept| kept.value.clone())
    }

    /// How long ago the value in hand was fetched.
    pub(crate) fn age(&self) -> Option<Duration> {
        self.0.kept.load().as_ref().map(|kept| kept.age(self.0.clock.now()))
    }

    /// Whether there is a value that may be used.
    pub(crate) fn is_in_hand(&self) -> bool {
        self.0.usable(self.0.clock.now()).is_some()
    }
}

impl<T: Send + Sync + 'static> Shared<T> {
    fn usable(&self, now: SystemTime) -> Option<Arc<Kept<T>>> {
        self.kept
            .load_full()
            .filter(|kept| kept.age(now) < kept.lifetime.max(self.timing.max_stale))
    }

    /// Joins the flight under way, or starts one if the value is still the one that was `seen` and it
    /// is not too soon. The flight does not depend on the request that started it.
    fn take_off(
        self: &Arc<Self>,
        now: SystemTime,
        wish: Wish,
        seen: Option<&Arc<T>>,
    ) -> Option<watch::Receiver<()>> {
        let mut flights = self.flights();
        if let Some(flight) = &flights.under_way {
            return Some(flight.clone());
        }
        // Another flight may have landed since the caller looked; values are entered under this lock.
        let in_hand = self.kept.load();
        let in_hand = in_hand.as_ref().map(|kept| &kept.value);
        if in_hand.map(Arc::as_ptr) != seen.map(Arc::as_ptr) {
            return None;
        }
        if flights.pause_left(now, wish, self.timing.cooldown) > Duration::ZERO {
            return None;
        }
        let runtime = tokio::runtime::Handle::try_current().ok()?;
        let (landing, landed) = watch::channel(());
        flights.under_way = Some(landed.clone());
        if wish == Wish::Demanded {
            flights.last_demanded = Some(now);
        }
        let flight = Flight { shared: self.clone(), _landing: landing, outcome: None };
        drop(flights); // a runtime that shuts down drops the flight at once, which enters its end
        runtime.spawn(flight.fly());
        Some(landed)
    }

    fn out_of_reach(&self) -> Lacking {
        let flights = self.flights();
        let pause = flights.pause_left(self.clock.now(), Wish::Scheduled, self.timing.cooldown);
        Lacking::OutOfReach {
            why: flights.last_failure.clone(),
            retry_after: pause.max(FIRST_BACKOFF),
        }
    }

    fn flights(&self) -> MutexGuard<'_, Flights> {
        self.flights.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Kept<T> {
    /// A value from the future is not: the clock was set back, and nobody knows how old it is.
    fn is_fresh(&self, now: SystemTime) -> bool {
        let ahead = self.since.duration_since(now).unwrap_or_default();
        ahead <= FIRST_BACKOFF && self.age(now) < self.lifetime.mul_f64(REFRESH_AHEAD)
    }

    /// Zero if the clock was set back.
    fn age(&self, now: SystemTime) -> Duration {
        now.duration_since(self.since).unwrap_or_default()
    }
}

impl Flights {
    /// How long no flight may start: after a failure for a growing pause, and after a demanded flight
    /// for the cooldown, if it is demanded again.
    fn pause_left(&self, now: SystemTime, wish: Wish, cooldown: Duration) -> Duration {
        let (since, pause) = match (self.failures, wish) {
            (0, Wish::Scheduled) => return Duration::ZERO,
            (0, Wish::Demanded) => (self.last_demanded, cooldown),
            (n, _) => (
                self.last_landing,
                cooldown.min(FIRST_BACKOFF.saturating_mul(1 << (n - 1).min(16))),
            ),
        };
        // A clock that was set back must not ground us.
        let passed = since.map(|since| now.duration_since(since).unwrap_or(pause));
        passed.map_or(Duration::ZERO, |passed| pause.saturating_sub(passed))
    }
}

/// One flight. What it brings is entered when it is dropped, so that even a panic lands it.
struct Flight<T: Send + Sync + 'static> {
    shared: Arc<Shared<T>>,
    outcome: Option<Result<(T, Duration), FetchError>>,
    _landing: watch::Sender<()>,
}

impl<T: Send + Sync + 'static> Flight<T> {
    async fn fly(mut self) {
        let in_hand = self.shared.kept.load().as_ref().map(|kept| kept.value.clone());
        let load = (self.shared.load)(in_hand);
        self.outcome = Some(load.await);
    }
}

impl<T: Send + Sync + 'static> Drop for Flight<T> {
    fn drop(&mut self) {
        let now = self.shared.clock.now();
        let mut flights = self.shared.flights();
        flights.under_way = None;
        flights.last_landing = Some(now);
        match self.outcome.take() {
            Some(Ok((value, lifetime))) => {
                let kept = Kept { value: Arc::new(value), since: now, lifetime };
                self.shared.kept.store(Some(Arc::new(kept)));
                flights.failures = 0;
                flights.last_failure = None;
            }
            failure => {
                flights.failures = flights.failures.saturating_add(1);
                flights.last_failure = failure.and_then(Result::err).map(Arc::new);
            }
        }
    }
}

/// Waits until the flight has landed.
async fn land(flight: Option<watch::Receiver<()>>) {
    if let Some(mut flight) = flight {
        let _ = flight.changed().await; // an error says that the flight has dropped its end: it has landed
    }
}

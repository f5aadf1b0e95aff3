//! A value fetched from elsewhere and kept fresh: one flight at a time, shared by all who wait for it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwapOption;
use tokio::sync::watch;

use crate::model::denial::Denial;
use crate::net::backoff::{self, FIRST_DELAY};
use crate::net::box_future::BoxFuture;
use crate::net::clock::Clock;
use crate::net::fetch::{FetchError, SharedFetchError};

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
pub(crate) enum RefreshError {
    /// The last flight failed.
    Failed { why: Option<Arc<FetchError>>, retry_after: Duration },
    /// The last flight succeeded a moment ago; it is too soon for another.
    CoolingDown,
}

impl RefreshError {
    /// The denial of a request that needs the value, with a sentence for the operator.
    pub(crate) fn into_denial(self, detail: impl Into<String>) -> Denial {
        let (why, retry_after) = match self {
            Self::Failed { why, retry_after } => (why, retry_after),
            Self::CoolingDown => (None, FIRST_DELAY),
        };
        let denial = Denial::unavailable(retry_after).detail(detail);
        match why {
            Some(why) => denial.caused_by(SharedFetchError(why)),
            None => denial,
        }
    }

    /// Why the last refresh failed.
    pub(crate) fn cause(self) -> Option<Arc<FetchError>> {
        match self {
            Self::Failed { why, .. } => why,
            Self::CoolingDown => None,
        }
    }
}

/// Fetches a value, given the one in hand. Returns it with its lifetime.
pub(crate) type Load<T> = Box<
    dyn Fn(Option<Arc<T>>) -> BoxFuture<'static, Result<(T, Duration), FetchError>> + Send + Sync,
>;

pub(crate) struct RefreshingCache<T>(Arc<Shared<T>>);

struct Shared<T> {
    clock: Arc<dyn Clock>,
    timing: Timing,
    load: Load<T>,
    entry: ArcSwapOption<Entry<T>>,
    state: Mutex<RefreshState>,
}

struct Entry<T> {
    value: Arc<T>,
    fetched_at: SystemTime,
    lifetime: Duration,
}

/// Why a flight is wished for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Trigger {
    /// There is no value, or it is time for a new one.
    Scheduled,
    /// Somebody, perhaps a stranger, has found the value wanting.
    Miss,
}

#[derive(Default)]
struct RefreshState {
    /// Ends when the flight does, whether it succeeds, fails or panics.
    in_progress: Option<watch::Receiver<()>>,
    last_end: Option<SystemTime>,
    last_miss: Option<SystemTime>,
    /// How many flights in a row have failed.
    failures: u32,
    last_failure: Option<Arc<FetchError>>,
}

impl<T: Send + Sync + 'static> RefreshingCache<T> {
    pub(crate) fn new(clock: Arc<dyn Clock>, timing: Timing, load: Load<T>) -> Self {
        let (entry, state) = (ArcSwapOption::empty(), Mutex::default());
        Self(Arc::new(Shared { clock, timing, load, entry, state }))
    }

    /// The value: at once if there is one that may be used, else when the flight for it has landed.
    ///
    /// A value past its lifetime is waited for only if no flight has failed since it came, so that an
    /// issuer in trouble delays nobody whose keys are in hand.
    pub(crate) async fn current(&self) -> Result<Arc<T>, RefreshError> {
        let now = self.0.clock.now();
        let entry = self.0.usable(now);
        match &entry {
            Some(entry) if entry.is_fresh(now) => return Ok(entry.value.clone()),
            Some(entry) => {
                let refresh = self.0.start_or_join(now, Trigger::Scheduled, Some(&entry.value));
                if entry.age(now) >= entry.lifetime && self.0.state().failures == 0 {
                    wait_done(refresh).await;
                }
            }
            None => {
                wait_done(self.0.start_or_join(now, Trigger::Scheduled, self.peek().as_ref())).await
            }
        }
        let newest = self.0.usable(now).or(entry).map(|entry| entry.value.clone());
        newest.ok_or_else(|| self.0.failed())
    }

    /// A value newer than `known`, for someone who has found `known` wanting.
    pub(crate) async fn refresh_after_miss(&self, known: &Arc<T>) -> Result<Arc<T>, RefreshError> {
        let refresh = self.0.start_or_join(self.0.clock.now(), Trigger::Miss, Some(known));
        let has_refreshed = refresh.is_some();
        wait_done(refresh).await;
        match self.peek().filter(|value| !Arc::ptr_eq(value, known)) {
            Some(value) => Ok(value),
            None if has_refreshed || self.0.state().failures > 0 => Err(self.0.failed()),
            None => Err(RefreshError::CoolingDown),
        }
    }

    /// Has a value fetched in the background, if there is none or it is time for a new one.
    pub(crate) fn refresh_if_due(&self) {
        let now = self.0.clock.now();
        if !self.0.usable(now).is_some_and(|entry| entry.is_fresh(now)) {
            let _ = self.0.start_or_join(now, Trigger::Scheduled, self.peek().as_ref());
        }
    }

    /// The value in hand, however old.
    pub(crate) fn peek(&self) -> Option<Arc<T>> {
        self.0.entry.load().as_ref().map(|entry| entry.value.clone())
    }

    /// How long ago the value in hand was fetched.
    pub(crate) fn age(&self) -> Option<Duration> {
        self.0.entry.load().as_ref().map(|entry| entry.age(self.0.clock.now()))
    }

    /// Whether there is a value that may be used.
    pub(crate) fn is_usable(&self) -> bool {
        self.0.usable(self.0.clock.now()).is_some()
    }
}

impl<T: Send + Sync + 'static> Shared<T> {
    fn usable(&self, now: SystemTime) -> Option<Arc<Entry<T>>> {
        self.entry
            .load_full()
            .filter(|entry| entry.age(now) < entry.lifetime.max(self.timing.max_stale))
    }

    /// Joins the flight under way, or starts one if the value is still the one that was `seen` and it
    /// is not too soon. The flight does not depend on the request that started it.
    fn start_or_join(
        self: &Arc<Self>,
        now: SystemTime,
        trigger: Trigger,
        seen: Option<&Arc<T>>,
    ) -> Option<watch::Receiver<()>> {
        let mut state = self.state();
        if let Some(refresh) = &state.in_progress {
            return Some(refresh.clone());
        }
        // Another flight may have landed since the caller looked; values are entered under this lock.
        let cached = self.entry.load();
        let cached = cached.as_ref().map(|entry| &entry.value);
        if cached.map(Arc::as_ptr) != seen.map(Arc::as_ptr) {
            return None;
        }
        if state.delay_left(now, trigger, self.timing.cooldown) > Duration::ZERO {
            return None;
        }
        let runtime = tokio::runtime::Handle::try_current().ok()?;
        let (done, is_done) = watch::channel(());
        state.in_progress = Some(is_done.clone());
        if trigger == Trigger::Miss {
            state.last_miss = Some(now);
        }
        let refresh = Refresh { shared: self.clone(), _done: done, outcome: None };
        drop(state); // a runtime that shuts down drops the refresh at once, which enters its end
        runtime.spawn(refresh.run());
        Some(is_done)
    }

    fn failed(&self) -> RefreshError {
        let state = self.state();
        let pause = state.delay_left(self.clock.now(), Trigger::Scheduled, self.timing.cooldown);
        RefreshError::Failed {
            why: state.last_failure.clone(),
            retry_after: pause.max(FIRST_DELAY),
        }
    }

    fn state(&self) -> MutexGuard<'_, RefreshState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Entry<T> {
    /// A value from the future is not: the clock was set back, and nobody knows how old it is.
    fn is_fresh(&self, now: SystemTime) -> bool {
        let ahead = self.fetched_at.duration_since(now).unwrap_or_default();
        ahead <= FIRST_DELAY && self.age(now) < self.lifetime.mul_f64(REFRESH_AHEAD)
    }

    /// Zero if the clock was set back.
    fn age(&self, now: SystemTime) -> Duration {
        now.duration_since(self.fetched_at).unwrap_or_default()
    }
}

impl RefreshState {
    /// How long no flight may start: after a failure for a growing pause, and after a demanded flight
    /// for the cooldown, if it is demanded again.
    fn delay_left(&self, now: SystemTime, trigger: Trigger, cooldown: Duration) -> Duration {
        let (fetched_at, pause) = match (self.failures, trigger) {
            (0, Trigger::Scheduled) => return Duration::ZERO,
            (0, Trigger::Miss) => (self.last_miss, cooldown),
            (n, _) => (self.last_end, backoff::delay(n, cooldown)),
        };
        // A clock that was set back must not ground us.
        let passed = fetched_at.map(|fetched_at| now.duration_since(fetched_at).unwrap_or(pause));
        passed.map_or(Duration::ZERO, |passed| pause.saturating_sub(passed))
    }
}

/// One flight. What it brings is entered when it is dropped, so that even a panic lands it.
struct Refresh<T: Send + Sync + 'static> {
    shared: Arc<Shared<T>>,
    outcome: Option<Result<(T, Duration), FetchError>>,
    _done: watch::Sender<()>,
}

impl<T: Send + Sync + 'static> Refresh<T> {
    async fn run(mut self) {
        let cached = self.shared.entry.load().as_ref().map(|entry| entry.value.clone());
        let load = (self.shared.load)(cached);
        self.outcome = Some(load.await);
    }
}

impl<T: Send + Sync + 'static> Drop for Refresh<T> {
    fn drop(&mut self) {
        let now = self.shared.clock.now();
        let mut state = self.shared.state();
        state.in_progress = None;
        state.last_end = Some(now);
        match self.outcome.take() {
            Some(Ok((value, lifetime))) => {
                let entry = Entry { value: Arc::new(value), fetched_at: now, lifetime };
                self.shared.entry.store(Some(Arc::new(entry)));
                state.failures = 0;
                state.last_failure = None;
            }
            failure => {
                state.failures = state.failures.saturating_add(1);
                state.last_failure = failure.and_then(Result::err).map(Arc::new);
            }
        }
    }
}

/// Waits until the flight has landed.
async fn wait_done(refresh: Option<watch::Receiver<()>>) {
    if let Some(mut refresh) = refresh {
        let _ = refresh.changed().await; // an error says that the refresh has dropped its end: it has is_done
    }
}

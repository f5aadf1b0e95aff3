//! A cached remote value; concurrent refreshes are coalesced (single-flight).

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwapOption;
use tokio::sync::watch;

use crate::model::denial::Denial;
use crate::net::backoff::{self, FIRST_DELAY};
use crate::net::box_future::BoxFuture;
use crate::net::clock::Clock;
use crate::net::fetch::{FetchError, SharedFetchError};

/// A refresh starts in the background when this fraction of a value's lifetime has passed.
const REFRESH_AHEAD: f64 = 0.8;

/// How long values are used, and how often they may be fetched.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timing {
    /// Minimum interval between refreshes triggered by a miss, such as an unknown `kid`. It is also the longest delay
    /// after failures.
    pub(crate) cooldown: Duration,
    /// How long a value is used if it cannot be refreshed.
    pub(crate) max_stale: Duration,
}

/// Why there is no value, or no newer one.
#[derive(Clone, Debug)]
pub(crate) enum RefreshError {
    /// The last refresh failed.
    Failed { why: Option<Arc<FetchError>>, retry_after: Duration },
    /// The last refresh succeeded, and the cooldown has not passed yet.
    CoolingDown,
}

impl RefreshError {
    /// The denial of a request that needs the value. `detail` is for the operator.
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

    /// The same error without what it says about its cause.
    pub(crate) fn without_cause(self) -> Self {
        match self {
            Self::Failed { retry_after, .. } => Self::Failed { why: None, retry_after },
            Self::CoolingDown => Self::CoolingDown,
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

/// Fetches a value and returns it with its lifetime. The argument is the cached value, if there is one.
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

/// What triggered a refresh.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Trigger {
    /// There is no value, or a refresh is due.
    Scheduled,
    /// A caller did not find what it needs in the value. An unauthenticated client can cause this.
    Miss,
}

#[derive(Default)]
struct RefreshState {
    /// Closes when the refresh ends, whether it succeeds, fails or panics.
    in_progress: Option<watch::Receiver<()>>,
    last_finished_at: Option<SystemTime>,
    last_miss_at: Option<SystemTime>,
    /// How many refreshes in a row have failed.
    failures: u32,
    last_failure: Option<Arc<FetchError>>,
}

impl<T: Send + Sync + 'static> RefreshingCache<T> {
    pub(crate) fn new(clock: Arc<dyn Clock>, timing: Timing, load: Load<T>) -> Self {
        let (entry, state) = (ArcSwapOption::empty(), Mutex::default());
        Self(Arc::new(Shared { clock, timing, load, entry, state }))
    }

    /// Returns the value: at once if a usable one is cached, otherwise when the refresh has ended.
    ///
    /// If the lifetime of the cached value has passed, the caller waits for the refresh. It does not wait if a refresh
    /// has failed since the value was fetched: an issuer in trouble must not delay callers whose keys are cached.
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

    /// Returns a value newer than `known`, for a caller that did not find what it needs in `known`.
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

    /// Starts a refresh in the background, if there is no value or a refresh is due.
    pub(crate) fn refresh_if_due(&self) {
        let now = self.0.clock.now();
        if !self.0.usable(now).is_some_and(|entry| entry.is_fresh(now)) {
            let _ = self.0.start_or_join(now, Trigger::Scheduled, self.peek().as_ref());
        }
    }

    /// The cached value, however old.
    pub(crate) fn peek(&self) -> Option<Arc<T>> {
        self.0.entry.load().as_ref().map(|entry| entry.value.clone())
    }

    /// How long ago the cached value was fetched.
    pub(crate) fn age(&self) -> Option<Duration> {
        self.0.entry.load().as_ref().map(|entry| entry.age(self.0.clock.now()))
    }

    /// Whether a usable value is cached.
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

    /// Joins the refresh in progress, or starts one. It starts one only if the cached value is still `seen` and no
    /// delay is left. The refresh does not depend on the request that started it.
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
        // Another refresh may have ended since the caller looked. Values are stored under this lock.
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
            state.last_miss_at = Some(now);
        }
        let refresh = Refresh { shared: self.clone(), _done: done, outcome: None };
        drop(state); // a runtime that shuts down drops the refresh at once, and its `Drop` takes the lock
        runtime.spawn(refresh.run());
        Some(is_done)
    }

    fn failed(&self) -> RefreshError {
        let state = self.state();
        let delay = state.delay_left(self.clock.now(), Trigger::Scheduled, self.timing.cooldown);
        RefreshError::Failed {
            why: state.last_failure.clone(),
            retry_after: delay.max(FIRST_DELAY),
        }
    }

    fn state(&self) -> MutexGuard<'_, RefreshState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Entry<T> {
    /// A value from the future is not fresh: the clock was set back, and the age of the value is unknown.
    fn is_fresh(&self, now: SystemTime) -> bool {
        let ahead = self.fetched_at.duration_since(now).unwrap_or_default();
        ahead <= FIRST_DELAY && self.age(now) < self.lifetime.mul_f64(REFRESH_AHEAD)
    }

    /// The age of the value. Zero if the clock was set back.
    fn age(&self, now: SystemTime) -> Duration {
        now.duration_since(self.fetched_at).unwrap_or_default()
    }
}

impl RefreshState {
    /// How long no refresh may start. After failures this is a growing delay. After a refresh that a miss triggered,
    /// it is the cooldown, if a miss triggers this one too.
    fn delay_left(&self, now: SystemTime, trigger: Trigger, cooldown: Duration) -> Duration {
        let (since, delay) = match (self.failures, trigger) {
            (0, Trigger::Scheduled) => return Duration::ZERO,
            (0, Trigger::Miss) => (self.last_miss_at, cooldown),
            (n, _) => (self.last_finished_at, backoff::delay(n, cooldown)),
        };
        // A clock that was set back must not block refreshes.
        let passed = since.map(|since| now.duration_since(since).unwrap_or(delay));
        passed.map_or(Duration::ZERO, |passed| delay.saturating_sub(passed))
    }
}

/// A refresh in progress. Its outcome is stored when it is dropped, so that even a panic ends it.
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
        state.last_finished_at = Some(now);
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

/// Waits until the refresh has ended.
async fn wait_done(refresh: Option<watch::Receiver<()>>) {
    if let Some(mut refresh) = refresh {
        let _ = refresh.changed().await; // an error means that the sender was dropped: the refresh has ended
    }
}

//! A cached remote value; concurrent refreshes are coalesced (single-flight).

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwapOption;
use tokio::sync::watch;

use crate::net::backoff::{self, FIRST_DELAY, MAX_WAIT};
use crate::net::clock::Clock;
use crate::net::fetch::FetchError;
use crate::net::refresh::{Fetched, Load, LoadError, Loaded, RefreshError};

/// The cooldown after a refresh that brought something new: whatever changes often may change again soon. It limits
/// attackers as the whole cooldown does, because only the source can make a refresh bring something new.
const COOLDOWN_AFTER_NEWS: Duration = Duration::from_secs(2);

/// How long values are used, and how often they may be fetched.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timing {
    /// Minimum interval between refreshes triggered by a miss, such as an unknown `kid`.
    pub(crate) cooldown: Duration,
    /// The longest delay after failures while there is a value that callers can use.
    pub(crate) max_delay: Duration,
    /// How long a value is used if it cannot be refreshed.
    pub(crate) max_stale: Duration,
}

pub(crate) struct RefreshingCache<T>(Arc<Shared<T>>);

struct Shared<T> {
    clock: Arc<dyn Clock>,
    timing: Timing,
    load: Load<T>,
    entry: ArcSwapOption<Fetched<T>>,
    state: Mutex<RefreshState>,
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
    /// How many refreshes have started.
    started: u64,
    last_finished_at: Option<SystemTime>,
    last_miss_at: Option<SystemTime>,
    /// Whether a refresh has brought something new since the last one that a miss triggered in vain.
    had_news: bool,
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
    pub(crate) async fn current(&self) -> Result<Arc<Fetched<T>>, RefreshError> {
        let now = self.0.clock.now();
        let entry = self.0.usable(now);
        match &entry {
            Some(entry) if entry.is_fresh(now) => return Ok(entry.clone()),
            Some(entry) => {
                let refresh = self.0.start_or_join(now, Trigger::Scheduled, Some(entry));
                let is_well = {
                    let state = self.0.state();
                    state.failures == 0 && state.last_failure.is_none()
                };
                if entry.age(now) >= entry.lifetime && is_well {
                    wait_done(refresh).await;
                }
            }
            None => {
                wait_done(self.0.start_or_join(now, Trigger::Scheduled, self.peek().as_ref())).await
            }
        }
        self.0.usable(now).or(entry).ok_or_else(|| self.0.failed(Trigger::Scheduled))
    }

    /// Returns a value newer than `known`, for a caller that did not find what it needs in `known`. The refresh may
    /// have begun before the call.
    pub(crate) async fn refresh_after_miss(
        &self,
        known: &Arc<Fetched<T>>,
    ) -> Result<Arc<Fetched<T>>, RefreshError> {
        let refresh = self.0.start_or_join(self.0.clock.now(), Trigger::Miss, Some(known));
        let has_refreshed = refresh.is_some();
        wait_done(refresh).await;
        match self.peek().filter(|value| !Arc::ptr_eq(value, known)) {
            Some(value) => Ok(value),
            None if has_refreshed || self.0.state().failures > 0 => {
                Err(self.0.failed(Trigger::Miss))
            }
            None => {
                Err(RefreshError::CoolingDown { retry_after: self.0.delay_left(Trigger::Miss) })
            }
        }
    }

    /// How many refreshes have started. A value of a later one [began after](Fetched::began_after) this call.
    pub(crate) fn refreshes(&self) -> u64 {
        self.0.state().started
    }

    /// Starts a refresh in the background, if there is no value or a refresh is due.
    pub(crate) fn refresh_if_due(&self) {
        let now = self.0.clock.now();
        if !self.0.usable(now).is_some_and(|entry| entry.is_fresh(now)) {
            let _ = self.0.start_or_join(now, Trigger::Scheduled, self.peek().as_ref());
        }
    }

    /// The cached value, however old.
    pub(crate) fn peek(&self) -> Option<Arc<Fetched<T>>> {
        self.0.entry.load_full()
    }

    /// How long ago the cached value was fetched.
    pub(crate) fn age(&self) -> Option<Duration> {
        self.0.entry.load().as_ref().map(|entry| entry.age(self.0.clock.now()))
    }

    /// What is left of the lifetime of the cached value.
    pub(crate) fn lifetime_left(&self) -> Duration {
        let now = self.0.clock.now();
        self.peek().map_or(Duration::ZERO, |entry| entry.lifetime_left(now))
    }

    /// Whether a refresh is in progress.
    pub(crate) fn is_refreshing(&self) -> bool {
        self.0.state().in_progress.is_some()
    }

    /// Whether a usable value is cached.
    pub(crate) fn is_usable(&self) -> bool {
        self.0.usable(self.0.clock.now()).is_some()
    }
}

impl<T: Send + Sync + 'static> Shared<T> {
    fn usable(&self, now: SystemTime) -> Option<Arc<Fetched<T>>> {
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
        seen: Option<&Arc<Fetched<T>>>,
    ) -> Option<watch::Receiver<()>> {
        let mut state = self.state();
        if let Some(refresh) = &state.in_progress {
            return Some(refresh.clone());
        }
        // Another refresh may have ended since the caller looked. Values are stored under this lock.
        if self.entry.load().as_ref().map(Arc::as_ptr) != seen.map(Arc::as_ptr) {
            return None;
        }
        if state.delay_left(now, trigger, self.timing(now)) > Duration::ZERO {
            return None;
        }
        let runtime = tokio::runtime::Handle::try_current().ok()?;
        let (done, is_done) = watch::channel(());
        state.in_progress = Some(is_done.clone());
        state.started += 1;
        if trigger == Trigger::Miss {
            state.last_miss_at = Some(now);
        }
        let (shared, number) = (self.clone(), state.started);
        let refresh =
            Refresh { shared, trigger, number, began_at: now, _done: done, outcome: None };
        drop(state); // a runtime that shuts down drops the refresh at once, and its `Drop` takes the lock
        runtime.spawn(refresh.run());
        Some(is_done)
    }

    fn failed(&self, trigger: Trigger) -> RefreshError {
        let retry_after = self.delay_left(trigger);
        RefreshError::Failed { why: self.state().last_failure.clone(), retry_after }
    }

    /// After how long a caller may try again.
    fn delay_left(&self, trigger: Trigger) -> Duration {
        let now = self.clock.now();
        self.state().delay_left(now, trigger, self.timing(now)).max(FIRST_DELAY)
    }

    /// The timing for now: with shorter delays while there is no value.
    fn timing(&self, now: SystemTime) -> Timing {
        match self.usable(now) {
            Some(_) => self.timing,
            None => Timing { max_delay: self.timing.max_delay.min(MAX_WAIT), ..self.timing },
        }
    }

    fn state(&self) -> MutexGuard<'_, RefreshState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl RefreshState {
    /// How long no refresh may start. After failures this is a growing delay. After a refresh that a miss triggered,
    /// it is the cooldown, if a miss triggers this one too.
    fn delay_left(&self, now: SystemTime, trigger: Trigger, timing: Timing) -> Duration {
        let (since, delay) = match (self.failures, trigger) {
            (0, Trigger::Scheduled) => return Duration::ZERO,
            (0, Trigger::Miss) if self.had_news => {
                (self.last_miss_at, timing.cooldown.min(COOLDOWN_AFTER_NEWS))
            }
            (0, Trigger::Miss) => (self.last_miss_at, timing.cooldown),
            // Whoever misses something in the value waits for the next one.
            (n, Trigger::Miss) => {
                (self.last_finished_at, backoff::delay(n, timing.max_delay.min(MAX_WAIT)))
            }
            (n, Trigger::Scheduled) => (self.last_finished_at, backoff::delay(n, timing.max_delay)),
        };
        // A clock that was set back must not block refreshes.
        let passed = since.map(|since| now.duration_since(since).unwrap_or(delay));
        passed.map_or(Duration::ZERO, |passed| delay.saturating_sub(passed))
    }
}

/// A refresh in progress. Its outcome is stored when it is dropped, so that even a panic ends it.
struct Refresh<T: Send + Sync + 'static> {
    shared: Arc<Shared<T>>,
    trigger: Trigger,
    number: u64,
    began_at: SystemTime,
    outcome: Option<Result<Loaded<T>, LoadError>>,
    _done: watch::Sender<()>,
}

impl<T: Send + Sync + 'static> Refresh<T> {
    async fn run(mut self) {
        let load = (self.shared.load)(self.shared.entry.load_full());
        self.outcome = Some(load.await);
    }
}

impl<T: Send + Sync + 'static> Drop for Refresh<T> {
    fn drop(&mut self) {
        let now = self.shared.clock.now();
        let mut state = self.shared.state();
        state.in_progress = None;
        let failure = match self.outcome.take() {
            Some(Ok(Loaded { value, lifetime, has_news })) => {
                let (number, began_at) = (self.number, self.began_at);
                let value = Arc::new(value);
                let entry = Fetched { value, number, began_at, ended_at: now, lifetime };
                self.shared.entry.store(Some(Arc::new(entry)));
                state.had_news = has_news || (state.had_news && self.trigger != Trigger::Miss);
                state.failures = 0;
                state.last_failure = None;
                state.last_finished_at = Some(now);
                return;
            }
            Some(Err(LoadError::NotAsked(why))) => {
                state.last_failure = why.or_else(|| state.last_failure.take());
                return;
            }
            Some(Err(LoadError::Failed(error))) => Some(Arc::new(error)),
            None => None, // it panicked
        };
        state.failures = state.failures.saturating_add(1);
        state.last_failure = failure;
        state.last_finished_at = Some(now);
    }
}

/// Waits until the refresh has ended.
async fn wait_done(refresh: Option<watch::Receiver<()>>) {
    if let Some(mut refresh) = refresh {
        let _ = refresh.changed().await; // an error means that the sender was dropped: the refresh has ended
    }
}

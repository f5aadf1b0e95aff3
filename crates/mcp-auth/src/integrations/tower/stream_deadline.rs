//! The deadline of a stream: the moment at which its caller's token expires, is revoked, or is refused.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, SystemTime};

use tokio::runtime::Handle;
use tokio::time::{Sleep, sleep};

use crate::net::box_future::BoxFuture;
use crate::net::clock::Clock;

/// The maximum interval between two reads of the clock, because it may be set while a stream is open. An
/// introspected token is rechecked at the same interval. Streams with the same token share one introspection
/// request, as requests do.
const MAX_POLL_INTERVAL: Duration = Duration::from_secs(10);

/// The deadline of one stream.
pub(super) struct StreamDeadline {
    /// `None` if the token does not expire, or if its streams may outlive it.
    at: Option<SystemTime>,
    clock: Arc<dyn Clock>,
    timer: Option<Pin<Box<Sleep>>>,
    /// Created at the first wait. Most streams end before.
    revoked: Option<BoxFuture<'static, ()>>,
    /// It has completed. What it looked up may change again, if the clock is set.
    is_revoked: bool,
    recheck: Option<Recheck>,
}

/// The rechecks of an introspected token.
struct Recheck {
    /// When the token was last checked.
    since: SystemTime,
    /// The recheck in flight.
    in_flight: Option<BoxFuture<'static, bool>>,
}

impl StreamDeadline {
    pub(super) fn new(at: Option<SystemTime>, clock: Arc<dyn Clock>) -> Self {
        Self { at, clock, timer: None, revoked: None, is_revoked: false, recheck: None }
    }

    /// The same deadline, for a token that is introspected and must be rechecked.
    pub(super) fn with_recheck(mut self) -> Self {
        self.recheck = Some(Recheck { since: self.clock.now(), in_flight: None });
        self
    }

    /// From now on, only a revocation ends the token.
    pub(super) fn ignore_expiry(&mut self) {
        (self.at, self.timer, self.recheck) = (None, None, None);
    }

    /// From now on, the token is not rechecked.
    pub(super) fn stop_rechecks(&mut self) {
        (self.timer, self.recheck) = (None, None);
    }

    /// Whether the token was found to be revoked while the task waited.
    pub(super) fn is_revoked(&self) -> bool {
        self.is_revoked
    }

    /// Whether the token has expired.
    pub(super) fn has_expired(&self) -> bool {
        self.at.is_some_and(|at| at <= self.clock.now())
    }

    /// Whether a recheck has refused the token. If a recheck is due, it is started with `is_refused`. The
    /// stream continues while it is in flight.
    pub(super) fn is_refused(
        &mut self,
        context: &mut Context<'_>,
        is_refused: impl FnOnce() -> BoxFuture<'static, bool>,
    ) -> bool {
        let Some(recheck) = &mut self.recheck else { return false };
        let now = self.clock.now();
        if recheck.left(now).is_some_and(|left| !left.is_zero()) {
            return false;
        }
        match recheck.in_flight.get_or_insert_with(is_refused).as_mut().poll(context) {
            Poll::Pending => false,
            Poll::Ready(is_refused) => {
                *recheck = Recheck { since: now, in_flight: None };
                is_refused
            }
        }
    }

    /// Ready when the token has expired or is `revoked`, or when a recheck is due. The task is woken for each
    /// of these. If the clock is set, this is noticed after at most [`MAX_POLL_INTERVAL`]. Outside of tokio,
    /// the task is not woken when the token expires.
    pub(super) fn poll(
        &mut self,
        context: &mut Context<'_>,
        revoked: impl FnOnce() -> BoxFuture<'static, ()>,
    ) -> Poll<()> {
        if self.is_revoked {
            return Poll::Ready(());
        }
        if self.revoked.get_or_insert_with(revoked).as_mut().poll(context).is_ready() {
            (self.revoked, self.is_revoked) = (None, true);
            return Poll::Ready(());
        }
        loop {
            let timer = match &mut self.timer {
                Some(timer) => timer,
                None => {
                    let Some(left) = self.left() else { return Poll::Pending };
                    if left.is_zero() {
                        return Poll::Ready(());
                    }
                    if Handle::try_current().is_err() {
                        return Poll::Pending;
                    }
                    self.timer.insert(Box::pin(sleep(left.min(MAX_POLL_INTERVAL))))
                }
            };
            ready!(timer.as_mut().poll(context));
            self.timer = None;
        }
    }

    fn left(&self) -> Option<Duration> {
        let now = self.clock.now();
        let end = self.at.map(|at| at.duration_since(now).unwrap_or_default());
        let recheck = self.recheck.as_ref().and_then(|recheck| recheck.left(now));
        end.into_iter().chain(recheck).min()
    }
}

impl Recheck {
    /// The time until the next recheck. Returns `None` while one is in flight.
    fn left(&self, now: SystemTime) -> Option<Duration> {
        // If the clock was set back, a recheck is due at once.
        let passed = now.duration_since(self.since).unwrap_or(MAX_POLL_INTERVAL);
        self.in_flight.is_none().then(|| MAX_POLL_INTERVAL.saturating_sub(passed))
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, poll_fn};

    use tokio::time::Instant;

    use super::*;
    use crate::net::clock::ManualClock;

    fn never() -> BoxFuture<'static, ()> {
        Box::pin(pending())
    }

    /// A clock that follows tokio's paused clock, which advances only when all tasks wait.
    struct Paused(Instant, SystemTime);

    impl Clock for Paused {
        fn now(&self) -> SystemTime {
            self.1 + self.0.elapsed()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_deadline_fires_exactly_on_time() {
        let start = Instant::now();
        let clock = Paused(start, ManualClock::new().now());
        let at = clock.now() + Duration::from_millis(61_234);
        let mut end = StreamDeadline::new(Some(at), Arc::new(clock));
        poll_fn(|context| end.poll(context, never)).await;
        assert_eq!(start.elapsed(), Duration::from_millis(61_234));
    }

    #[tokio::test(start_paused = true)]
    async fn a_clock_that_jumps_is_noticed_within_ten_seconds() {
        let start = Instant::now();
        let clock = ManualClock::new();
        let mut end = StreamDeadline::new(
            Some(clock.now() + Duration::from_secs(3600)),
            Arc::new(clock.clone()),
        );
        let jump = async {
            sleep(Duration::from_secs(25)).await;
            clock.advance(Duration::from_secs(3600));
        };
        tokio::join!(poll_fn(|context| end.poll(context, never)), jump);
        let noticed = start.elapsed() - Duration::from_secs(25);
        assert!(noticed <= MAX_POLL_INTERVAL, "{noticed:?}");
    }

    #[tokio::test]
    async fn a_past_deadline_fires_at_once() {
        let clock = ManualClock::new();
        let mut end = StreamDeadline::new(Some(clock.now()), Arc::new(clock));
        assert_eq!(poll_fn(|context| Poll::Ready(end.poll(context, never))).await, Poll::Ready(()));
    }

    #[test]
    fn a_token_is_rechecked_every_ten_seconds_and_after_the_clock_is_set_back() {
        let clock = ManualClock::new();
        let mut end = StreamDeadline::new(None, Arc::new(clock.clone())).with_recheck();
        let mut context = Context::from_waker(std::task::Waker::noop());
        let mut asked = |answer: bool| {
            let mut was_started = false;
            let is_refused = end.is_refused(&mut context, || {
                was_started = true;
                Box::pin(std::future::ready(answer))
            });
            (was_started, is_refused)
        };
        clock.advance(MAX_POLL_INTERVAL - Duration::from_millis(1));
        assert_eq!(asked(true), (false, false));
        clock.advance(Duration::from_millis(1));
        assert_eq!(asked(false), (true, false));
        assert_eq!(asked(true), (false, false), "it was a moment ago");
        clock.set(clock.now() - Duration::from_secs(86_400));
        assert_eq!(asked(true), (true, true));
    }

    #[test]
    fn without_a_tokio_runtime_the_deadline_is_checked_when_polled() {
        let clock = ManualClock::new();
        let mut end = StreamDeadline::new(
            Some(clock.now() + Duration::from_secs(1)),
            Arc::new(clock.clone()),
        );
        let mut context = Context::from_waker(std::task::Waker::noop());
        assert!(end.poll(&mut context, never).is_pending());
        clock.advance(Duration::from_secs(1));
        assert!(end.poll(&mut context, never).is_ready());
    }
}

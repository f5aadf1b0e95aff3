//! Exponential backoff: nothing is sent for a while after a failure, so that an outage does not delay every request.

use std::time::{Duration, SystemTime};

/// The delay after the first failure.
pub(crate) const FIRST_DELAY: Duration = Duration::from_secs(1);

/// The longest delay: a server that comes back is noticed within half a minute.
pub(crate) const MAX_DELAY: Duration = Duration::from_secs(30);

/// Minimum interval between two log lines about the same outage.
const LOG_INTERVAL: Duration = Duration::from_secs(30);

/// The delay after `failures` in a row: [`FIRST_DELAY`], doubled with each further failure, up to `max`.
pub(crate) fn delay(failures: u32, max: Duration) -> Duration {
    match failures.checked_sub(1) {
        None => Duration::ZERO,
        Some(doublings) => max.min(FIRST_DELAY.saturating_mul(1 << doublings.min(16))),
    }
}

/// The backoff towards one server, shared by all requests to it.
#[derive(Default)]
pub(crate) struct Backoff {
    failures: u32,
    /// When the current delay began, and how long it is.
    current: Option<(SystemTime, Duration)>,
    logged_at: Option<SystemTime>,
}

impl Backoff {
    /// The remaining delay. Returns `None` if there is none.
    pub(crate) fn left(&self, now: SystemTime) -> Option<Duration> {
        let (since, delay) = self.current?;
        // A clock that was set back must not extend the delay.
        let passed = now.duration_since(since).unwrap_or(delay);
        delay.checked_sub(passed).filter(|left| !left.is_zero())
    }

    /// Records the failure of a request that was sent at `sent`, after which none is to be sent for `at_least`, within
    /// [`MAX_DELAY`]. Failures of requests that were sent before the current delay began do not extend it.
    pub(crate) fn failed(&mut self, sent: SystemTime, now: SystemTime, at_least: Duration) {
        if self.current.is_some_and(|(since, _)| sent < since || self.left(now).is_some()) {
            return;
        }
        self.failures = self.failures.saturating_add(1);
        let delay = delay(self.failures, MAX_DELAY).max(at_least).min(MAX_DELAY);
        self.current = Some((now, delay));
    }

    /// Records that the server answered.
    pub(crate) fn reset(&mut self) {
        self.failures = 0;
        self.current = None;
    }

    /// Whether the outage is due for another log line.
    pub(crate) fn should_log(&mut self, now: SystemTime) -> bool {
        let should_log = self
            .logged_at
            .is_none_or(|at| now.duration_since(at).map_or(true, |passed| passed >= LOG_INTERVAL));
        if should_log {
            self.logged_at = Some(now);
        }
        should_log
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_grow_to_thirty_seconds_and_reset_after_an_answer() {
        let at = |second| SystemTime::UNIX_EPOCH + Duration::from_secs(second);
        let (mut backoff, mut now) = (Backoff::default(), 1000);
        for expected in [1, 2, 4, 8, 16, 30, 30] {
            assert_eq!(backoff.left(at(now)), None);
            backoff.failed(at(now), at(now), FIRST_DELAY);
            backoff.failed(at(now), at(now), FIRST_DELAY); // another one at the same time
            assert_eq!(backoff.left(at(now)), Some(Duration::from_secs(expected)));
            assert_eq!(backoff.left(at(now - 500)), None, "the clock was set back");
            now += expected;
        }
        backoff.reset();
        for (at_least, expected) in [(0, 1), (1, 1), (7, 7), (30, 30), (3600, 30)] {
            backoff.failed(at(now), at(now), Duration::from_secs(at_least));
            assert_eq!(backoff.left(at(now)), Some(Duration::from_secs(expected)));
            backoff.reset();
        }
        assert_eq!(backoff.left(at(now)), None);
    }
}

//! Exponential backoff: nothing is sent for a while after a failure, so that an outage does not delay every request.

use std::time::{Duration, SystemTime};

/// The delay after the first failure.
pub(crate) const FIRST_DELAY: Duration = Duration::from_secs(1);

/// The longest delay if nobody waits for it: a server that comes back is noticed within half a minute.
pub(crate) const MAX_DELAY: Duration = Duration::from_secs(30);

/// The longest delay if callers with good tokens are refused meanwhile: the end of an outage must be noticed soon, however
/// long it was. One caller asks on behalf of all, so this is one attempt in two seconds.
pub(crate) const MAX_WAIT: Duration = Duration::from_secs(2);

/// Minimum interval between two log lines about the same outage.
const LOG_INTERVAL: Duration = Duration::from_secs(30);

/// The delay after `failures` in a row: [`FIRST_DELAY`], doubled with each further failure, up to `max`.
pub(crate) fn delay(failures: u32, max: Duration) -> Duration {
    match failures.checked_sub(1) {
        None => Duration::ZERO,
        Some(doublings) => max.min(FIRST_DELAY.saturating_mul(1 << doublings.min(16))),
    }
}

/// The backoff towards one server, shared by all requests to it: none is sent for a while after a failure. Then one is sent
/// on behalf of all, at most every [`MAX_WAIT`], until one is answered.
#[derive(Default)]
pub(crate) struct Backoff {
    failures: u32,
    /// When the current delay began, and how long it is.
    current: Option<(SystemTime, Duration)>,
    /// The current delay began with a request that was sent on behalf of all.
    is_probing: bool,
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

    /// Records that a request is sent. After a failure, others wait for its answer, but not for longer than the delay: a
    /// server that comes back may never answer a request that it got before.
    pub(crate) fn sent(&mut self, now: SystemTime) {
        if self.failures > 0 {
            self.current = Some((now, delay(self.failures, MAX_WAIT)));
            self.is_probing = true;
        }
    }

    /// Records the failure of a request that was sent at `sent`, after which none is to be sent for `at_least`, within
    /// [`MAX_DELAY`]. Failures of requests that were sent before the current delay began do not extend it.
    pub(crate) fn failed(&mut self, sent: SystemTime, now: SystemTime, at_least: Duration) {
        let is_waiting = !self.is_probing && self.left(now).is_some();
        if is_waiting || self.current.is_some_and(|(since, _)| sent < since) {
            return;
        }
        self.is_probing = false;
        self.failures = self.failures.saturating_add(1);
        let delay = delay(self.failures, MAX_WAIT).max(at_least).min(MAX_DELAY);
        self.current = Some((now, delay));
    }

    /// Records the failure of a request that was sent at `sent`, which says nothing about others: if it was sent on behalf
    /// of all, the next one is sent now.
    pub(crate) fn failed_alone(&mut self, sent: SystemTime) {
        if self.is_probing && self.current.is_some_and(|(since, _)| sent >= since) {
            self.reset();
        }
    }

    /// Records that the server answered.
    pub(crate) fn reset(&mut self) {
        self.failures = 0;
        self.current = None;
        self.is_probing = false;
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

    fn at(second: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(second)
    }

    #[test]
    fn delays_grow_to_two_seconds_and_reset_after_an_answer() {
        let (mut backoff, mut now) = (Backoff::default(), 1000);
        for expected in [1, 2, 2, 2] {
            assert_eq!(backoff.left(at(now)), None);
            backoff.sent(at(now));
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

    #[test]
    fn after_a_failure_one_request_is_sent_every_two_seconds_until_one_is_answered() {
        let mut backoff = Backoff::default();
        backoff.sent(at(10));
        assert_eq!(backoff.left(at(10)), None, "many at once, as long as none has failed");
        backoff.failed(at(10), at(10), FIRST_DELAY);
        backoff.failed(at(10), at(11), FIRST_DELAY); // it was sent before
        let mut sent = Vec::new();
        for now in 11..100 {
            if backoff.left(at(now)).is_none() {
                backoff.sent(at(now));
                sent.push(now);
            }
            // Each is without an answer for 5 s, and then fails.
            if sent.contains(&(now - 5)) {
                backoff.failed(at(now - 5), at(now), FIRST_DELAY);
            }
        }
        assert!(sent.windows(2).all(|two| two[1] - two[0] <= 2), "{sent:?}");
        assert!(sent.len() <= 46, "{sent:?}");
        backoff.reset();
        assert_eq!(backoff.left(at(100)), None);
    }
}

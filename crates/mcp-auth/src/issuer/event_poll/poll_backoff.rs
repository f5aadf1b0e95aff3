//! The intervals between polls, and between log lines about the same problem.

use std::time::Duration;

use tokio::time::Instant;

use crate::net::backoff::{self, MAX_DELAY};

/// Minimum interval between two requests, whatever the transmitter answers.
const MIN_INTERVAL: Duration = Duration::from_secs(1);

/// Minimum interval between two log lines about the same kind of problem.
const LOG_INTERVAL: Duration = Duration::from_secs(5 * 60);

/// The outcome of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PollOutcome {
    /// There was no response, or no usable one.
    Failed,
    /// There is something new to acknowledge.
    Progress,
    /// There were no events.
    Quiet,
}

#[derive(Default)]
pub(crate) struct PollBackoff {
    /// How many requests in a row have failed.
    failures: u32,
}

impl PollBackoff {
    /// When the next request may start, counted from the start of this one: after a request that waited long, there
    /// is no need to wait again.
    pub(crate) fn after(&mut self, outcome: PollOutcome, usual: Duration) -> Duration {
        if outcome != PollOutcome::Failed {
            self.failures = 0;
        }
        match outcome {
            PollOutcome::Progress => MIN_INTERVAL,
            PollOutcome::Quiet => usual.max(MIN_INTERVAL),
            PollOutcome::Failed => {
                self.failures = self.failures.saturating_add(1);
                backoff::delay(self.failures, MAX_DELAY)
            }
        }
    }
}

/// Decides whether one kind of problem is logged again.
#[derive(Default)]
pub(crate) struct LogLimiter(Option<Instant>);

impl LogLimiter {
    pub(crate) fn should_log(&mut self) -> bool {
        let should_log = self.0.is_none_or(|logged_at| logged_at.elapsed() >= LOG_INTERVAL);
        if should_log {
            self.0 = Some(Instant::now());
        }
        should_log
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn poll_intervals_back_off_after_failures() {
        let usual = Duration::from_secs(10);
        let mut backoff = PollBackoff::default();
        let failures = [1, 2, 4, 8, 16, 30, 30].map(|seconds| (PollOutcome::Failed, seconds));
        let rest = [
            (PollOutcome::Quiet, 10),
            (PollOutcome::Failed, 1),
            (PollOutcome::Failed, 2),
            (PollOutcome::Progress, 1),
            (PollOutcome::Failed, 1),
        ];
        for (outcome, seconds) in failures.into_iter().chain(rest) {
            assert_eq!(backoff.after(outcome, usual), Duration::from_secs(seconds), "{outcome:?}");
        }
        assert_eq!(backoff.after(PollOutcome::Quiet, Duration::ZERO), MIN_INTERVAL);
    }

    #[tokio::test(start_paused = true)]
    async fn a_log_line_is_written_at_once_and_then_every_five_minutes() {
        let mut limiter = LogLimiter::default();
        let mut lines = 0;
        for _ in 0..3600 {
            lines += u32::from(limiter.should_log());
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        assert_eq!(lines, 12);
    }
}

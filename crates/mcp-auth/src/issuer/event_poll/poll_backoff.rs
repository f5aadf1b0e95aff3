//! The intervals between polls.

use std::time::Duration;

use crate::net::backoff::{self, MAX_DELAY};

/// Minimum interval between two requests, whatever the transmitter answers.
const MIN_INTERVAL: Duration = Duration::from_secs(1);

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
}

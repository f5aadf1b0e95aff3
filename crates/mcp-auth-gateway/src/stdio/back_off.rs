//! Pauses after servers that failed to start, so that one that cannot is not started again and again.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

use crate::stdio::owner::Owner;
use crate::stdio::process::Ended;

/// A process that ends earlier than this has failed to start.
const STARTED_AFTER: Duration = Duration::from_secs(10);

/// The longest pause after failures to start.
const MAX_PAUSE: Duration = Duration::from_secs(30);

/// The owners whose processes failed to start. Nobody waits for the failures of another.
#[derive(Debug, Default)]
pub(crate) struct BackOff(HashMap<Owner, Failures>);

/// Starts that failed, one after the other.
#[derive(Debug)]
struct Failures {
    count: u32,
    pause_until: Instant,
}

impl BackOff {
    /// How long an owner must wait.
    pub(crate) fn pause(&self, owner: &Owner, now: Instant) -> Option<Duration> {
        let pause = self.0.get(owner)?.pause_until.checked_duration_since(now);
        pause.filter(|pause| !pause.is_zero())
    }

    /// Notes how a process has ended.
    pub(crate) fn ended(&mut self, owner: &Owner, how: Ended, now: Instant) {
        let has_failed = how.ran_for < STARTED_AFTER;
        if how.is_unexpected || !has_failed {
            self.note(owner, has_failed, now);
        }
    }

    /// Notes whether a start has failed.
    pub(crate) fn note(&mut self, owner: &Owner, has_failed: bool, now: Instant) {
        // Those that have paused for long begin again, so that this does not grow.
        self.0.retain(|_, failures| now < failures.pause_until + 2 * MAX_PAUSE);
        if !has_failed {
            self.0.remove(owner);
            return;
        }
        let count = self.0.get(owner).map_or(0, |failures| failures.count);
        let pause = Duration::from_secs(1 << count.min(5)).min(MAX_PAUSE);
        self.0.insert(owner.clone(), Failures { count: count + 1, pause_until: now + pause });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_with_failures_and_concern_their_owner_only() {
        let (mut back_off, anonymous) = (BackOff::default(), Owner::of(None));
        let ended =
            |is_unexpected, seconds| Ended { is_unexpected, ran_for: Duration::from_secs(seconds) };
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        for expected in [1, 2, 4, 8, 16, 30, 30] {
            back_off.ended(&anonymous, ended(true, 0), start);
            assert_eq!(back_off.pause(&anonymous, start), Some(Duration::from_secs(expected)));
        }
        assert_eq!(back_off.pause(&Owner::everybody(), start), None);
        back_off.ended(&anonymous, ended(false, 0), start);
        assert!(
            back_off.pause(&anonymous, at(29)).is_some(),
            "an end that was wanted says nothing"
        );
        assert_eq!(back_off.pause(&anonymous, at(30)), None);
        back_off.ended(&anonymous, ended(true, 60), at(30));
        back_off.ended(&anonymous, ended(true, 0), at(30));
        assert_eq!(
            back_off.pause(&anonymous, at(30)),
            Some(Duration::from_secs(1)),
            "it had started"
        );
        back_off.note(&Owner::everybody(), true, at(120));
        assert_eq!(back_off.0.len(), 1, "old failures are forgotten");
    }
}

//! After a failure nobody is asked for a moment, so that an outage does not make every request wait.

use std::time::{Duration, SystemTime};

/// The first pause; it doubles with each further failure.
pub(super) const FIRST: Duration = Duration::from_secs(1);

/// The longest: a server that comes back is seen within half a minute.
const LONGEST: Duration = Duration::from_secs(30);

/// How often the operator is told, at the most.
const TOLD_EVERY: Duration = Duration::from_secs(30);

#[derive(Default)]
pub(super) struct Pause {
    failures: u32,
    /// Since when, and how long.
    current: Option<(SystemTime, Duration)>,
    told: Option<SystemTime>,
}

impl Pause {
    /// How long there is still to wait.
    pub(super) fn left(&self, now: SystemTime) -> Option<Duration> {
        let (since, pause) = self.current?;
        // A clock that was set back must not silence us.
        let passed = now.duration_since(since).unwrap_or(pause);
        pause.checked_sub(passed).filter(|left| !left.is_zero())
    }

    /// A question that was asked at `asked` has failed. Those asked before the last pause began say
    /// nothing new.
    pub(super) fn failed(&mut self, asked: SystemTime, now: SystemTime) {
        if self.current.is_some_and(|(since, _)| asked < since || self.left(now).is_some()) {
            return;
        }
        let pause = LONGEST.min(FIRST.saturating_mul(1 << self.failures.min(16)));
        self.failures = self.failures.saturating_add(1);
        self.current = Some((now, pause));
    }

    pub(super) fn answered(&mut self) {
        self.failures = 0;
        self.current = None;
    }

    /// Whether it is time to tell the operator of a failure again.
    pub(super) fn is_news(&mut self, now: SystemTime) -> bool {
        let is_news = self.told.is_none_or(|told| {
            now.duration_since(told).map_or(true, |passed| passed >= TOLD_EVERY)
        });
        if is_news {
            self.told = Some(now);
        }
        is_news
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_half_a_minute_and_end_with_an_answer() {
        let at = |second| SystemTime::UNIX_EPOCH + Duration::from_secs(second);
        let (mut pause, mut now) = (Pause::default(), 1000);
        for expected in [1, 2, 4, 8, 16, 30, 30] {
            assert_eq!(pause.left(at(now)), None);
            pause.failed(at(now), at(now));
            pause.failed(at(now), at(now)); // another of the same moment
            assert_eq!(pause.left(at(now)), Some(Duration::from_secs(expected)));
            assert_eq!(pause.left(at(now - 500)), None, "the clock was set back");
            now += expected;
        }
        pause.answered();
        pause.failed(at(now), at(now));
        assert_eq!(pause.left(at(now)), Some(FIRST));
        pause.answered();
        assert_eq!(pause.left(at(now)), None);
    }
}

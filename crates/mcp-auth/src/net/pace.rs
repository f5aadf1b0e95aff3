//! How many requests a second a server answers, learned from its refusals.

use std::time::{Duration, SystemTime};

/// The time over which requests are counted.
const SECOND: Duration = Duration::from_secs(1);

/// After how long without a refusal one more request a second may be sent. Slow, because each attempt to find out how
/// many the server answers costs some of those for whom room was left.
const RAISE_INTERVAL: Duration = Duration::from_secs(20);

/// Lets fewer requests through after a server has refused some because there were too many: half of what it answered
/// in that second. So there is room for others that ask the same server. Then one more every 20 s.
#[derive(Default)]
pub(crate) struct Pace {
    /// `None` until the server has refused a request.
    limit: Option<u32>,
    /// When `limit` was set or raised.
    limited_at: Option<SystemTime>,
    second: Second,
}

/// What happened in the current second.
#[derive(Default)]
struct Second {
    began_at: Option<SystemTime>,
    sent: u32,
    answered: u32,
    was_refused: bool,
}

impl Pace {
    /// How long no request may be sent. `None` if one may be sent now.
    pub(crate) fn left(&mut self, now: SystemTime) -> Option<Duration> {
        self.begin_second_if_due(now);
        let is_full = self.limit.is_some_and(|limit| self.second.sent >= limit);
        is_full.then(|| SECOND.saturating_sub(self.second.age(now).unwrap_or_default()))
    }

    /// How many requests a second the server answers. `None` if it has refused none.
    pub(crate) fn limit(&mut self, now: SystemTime) -> Option<u32> {
        self.begin_second_if_due(now);
        self.limit
    }

    /// Records that a request was sent.
    pub(crate) fn sent(&mut self, now: SystemTime) {
        self.begin_second_if_due(now);
        self.second.sent += 1;
    }

    /// Records that a request was answered.
    pub(crate) fn answered(&mut self, now: SystemTime) {
        self.begin_second_if_due(now);
        self.second.answered += 1;
    }

    /// Records that the server refused a request because there were too many.
    pub(crate) fn refused(&mut self, now: SystemTime) {
        self.begin_second_if_due(now);
        self.second.was_refused = true;
    }

    /// Forgets what was learned: the server is down, and its refusals said nothing about a limit.
    pub(crate) fn forget(&mut self) {
        *self = Self::default();
    }

    fn begin_second_if_due(&mut self, now: SystemTime) {
        if self.second.age(now).is_some_and(|age| age < SECOND) {
            return;
        }
        let last = std::mem::take(&mut self.second);
        self.second.began_at = Some(now);
        // A server that answered nothing is down: fewer requests would not help.
        if last.was_refused && last.answered > 0 {
            let half = (last.answered / 2).max(1);
            self.limit = Some(self.limit.map_or(half, |limit| limit.min(half)));
            self.limited_at = Some(now);
        }
        let Some((limit, since)) = self.limit.zip(self.limited_at) else { return };
        // If the clock was set back, the time begins anew.
        let Ok(passed) = now.duration_since(since) else {
            self.limited_at = Some(now);
            return;
        };
        let raises = passed.as_secs() / RAISE_INTERVAL.as_secs();
        if raises > 0 {
            self.limit = Some(limit.saturating_add(raises.try_into().unwrap_or(u32::MAX)));
            self.limited_at = Some(now);
        }
    }
}

impl Second {
    /// `None` if it has not begun, or if the clock was set back.
    fn age(&self, now: SystemTime) -> Option<Duration> {
        now.duration_since(self.began_at?).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000) + Duration::from_millis(millis)
    }

    /// Sends as many requests as may be sent in the second that begins at `begin`, up to `wanted`. The server answers
    /// `capacity` of them. Returns how many were sent.
    fn send(pace: &mut Pace, begin: u64, wanted: u32, capacity: u32) -> u32 {
        let mut sent = 0;
        for _ in 0..wanted {
            if pace.left(at(begin)).is_some() {
                break;
            }
            pace.sent(at(begin));
            match sent < capacity {
                true => pace.answered(at(begin)),
                false => pace.refused(at(begin)),
            }
            sent += 1;
        }
        sent
    }

    #[test]
    fn half_of_what_was_answered_is_sent_after_a_refusal_and_then_slowly_more() {
        let mut pace = Pace::default();
        let sent: Vec<_> = (0..260).map(|second| send(&mut pace, second * 1000, 100, 20)).collect();
        assert_eq!(sent[0], 100, "unlimited");
        assert_eq!(sent[1..21], [10; 20]);
        assert_eq!(sent[21], 11);
        assert_eq!((sent[200], sent[201], sent[221], sent[222]), (19, 20, 21, 10));
        assert_eq!(pace.left(at(259_000)), Some(SECOND));
        assert_eq!(pace.left(at(259_600)), Some(Duration::from_millis(400)));
        assert_eq!(pace.left(at(260_000)), None);
    }

    #[test]
    fn a_server_that_answers_nothing_does_not_lower_the_pace() {
        let mut pace = Pace::default();
        for second in 0..100 {
            assert_eq!(send(&mut pace, second * 1000, 100, 0), 100);
        }
    }

    #[test]
    fn at_least_one_request_a_second_is_sent_and_a_clock_set_back_does_not_matter() {
        let mut pace = Pace::default();
        for second in 0..5 {
            send(&mut pace, second * 1000, 2, 1);
        }
        assert_eq!(send(&mut pace, 5_000, 100, 1), 1);
        assert_eq!(send(&mut pace, 0, 100, 1), 1, "another second");
        assert_eq!(send(&mut pace, 20_000, 100, 2), 2, "20 s later");
    }
}

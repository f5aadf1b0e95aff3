//! How often events are asked for, and how often the operator is told of a trouble: never faster, whatever the transmitter does.

use std::time::Duration;

use tokio::time::Instant;

/// The least time between two requests, and the first pause after a failure; that doubles with each further one.
const SHORTEST: Duration = Duration::from_secs(1);

/// The longest pause after a failure: a transmitter that comes back is seen within half a minute.
const LONGEST: Duration = Duration::from_secs(30);

/// How often the operator is told of the same kind of trouble, at the most.
const TOLD_EVERY: Duration = Duration::from_secs(5 * 60);

/// What came of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// There was no answer, or one of no use.
    Failed,
    /// There is something new to acknowledge.
    Progress,
    /// There were no events.
    Quiet,
}

#[derive(Default)]
pub(crate) struct Pace {
    /// How many requests in a row have failed.
    failures: u32,
}

impl Pace {
    /// When the next request may follow, counted from the beginning of this one: who waited long need not
    /// wait again.
    pub(crate) fn after(&mut self, turn: Turn, usual: Duration) -> Duration {
        if turn != Turn::Failed {
            self.failures = 0;
        }
        match turn {
            Turn::Progress => SHORTEST,
            Turn::Quiet => usual.max(SHORTEST),
            Turn::Failed => {
                let pause = LONGEST.min(SHORTEST.saturating_mul(1 << self.failures.min(16)));
                self.failures = self.failures.saturating_add(1);
                pause
            }
        }
    }
}

/// Whether one kind of trouble is worth a line in the log.
#[derive(Default)]
pub(crate) struct News(Option<Instant>);

impl News {
    pub(crate) fn is_due(&mut self) -> bool {
        let is_due = self.0.is_none_or(|told| told.elapsed() >= TOLD_EVERY);
        if is_due {
            self.0 = Some(Instant::now());
        }
        is_due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_by_table() {
        let usual = Duration::from_secs(10);
        let mut pace = Pace::default();
        let failures = [1, 2, 4, 8, 16, 30, 30].map(|seconds| (Turn::Failed, seconds));
        let rest = [
            (Turn::Quiet, 10),
            (Turn::Failed, 1),
            (Turn::Failed, 2),
            (Turn::Progress, 1),
            (Turn::Failed, 1),
        ];
        for (turn, seconds) in failures.into_iter().chain(rest) {
            assert_eq!(pace.after(turn, usual), Duration::from_secs(seconds), "{turn:?}");
        }
        assert_eq!(pace.after(Turn::Quiet, Duration::ZERO), SHORTEST);
    }

    #[tokio::test(start_paused = true)]
    async fn news_is_told_at_once_and_then_every_five_minutes() {
        let mut news = News::default();
        let mut told = 0;
        for _ in 0..3600 {
            told += u32::from(news.is_due());
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        assert_eq!(told, 12);
    }
}

//! How requests were decided in the last hour, by the minute.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::recorder::Metrics;

/// How many minutes are kept.
pub(crate) const MINUTES: usize = 60;

const MINUTE: Duration = Duration::from_secs(60);

/// The counters of decisions, each with the label that says which, and what is written before it.
const COUNTERS: [(&str, &str, &str); 4] = [
    ("mcp_auth_decisions_total", "decision", ""),
    ("mcp_auth_gateway_limited_total", "limit", "limits."),
    ("mcp_auth_gateway_requests_total", "outcome", ""),
    ("mcp_auth_gateway_upstream_failures_total", "kind", "upstream_"),
];

/// How many requests there were, by `admitted`, `anonymous`, or the code of the refusal. There are as many as there are
/// constants in the code.
pub(crate) type Counts = BTreeMap<String, u64>;

/// The decisions of the last hour. Clones share them.
#[derive(Clone, Debug, Default)]
pub(crate) struct History(Arc<Mutex<Minutes>>);

#[derive(Debug, Default)]
struct Minutes {
    /// The oldest first.
    whole: VecDeque<Counts>,
    /// All counts, at the end of the last whole minute.
    before: Counts,
}

impl History {
    /// Looks at the counters each minute, until it is dropped.
    pub(crate) async fn keep(self, metrics: &'static Metrics) {
        let mut minutes = tokio::time::interval(MINUTE);
        loop {
            minutes.tick().await;
            self.end_minute(counts(metrics));
        }
    }

    fn end_minute(&self, now: Counts) {
        let mut minutes = self.lock();
        let counts = since(&minutes.before, &now);
        minutes.whole.push_back(counts);
        // The one that is not over yet is the last.
        while minutes.whole.len() >= MINUTES {
            minutes.whole.pop_front();
        }
        minutes.before = now;
    }

    /// The minutes, the oldest first. The last one is not over yet.
    pub(crate) fn minutes(&self, metrics: &Metrics) -> Vec<Counts> {
        self.minutes_until(&counts(metrics))
    }

    fn minutes_until(&self, now: &Counts) -> Vec<Counts> {
        let minutes = self.lock();
        minutes.whole.iter().cloned().chain([since(&minutes.before, now)]).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Minutes> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn counts(metrics: &Metrics) -> Counts {
    let mut counts = Counts::new();
    for (key, value) in metrics.counters.sorted() {
        let Some((_, label, prefix)) = COUNTERS.iter().find(|(name, ..)| *name == key.name())
        else {
            continue;
        };
        let code = key.labels().find(|it| it.key() == *label).map_or("", |it| it.value());
        let value = value.load(std::sync::atomic::Ordering::Relaxed);
        *counts.entry(format!("{prefix}{code}")).or_default() += value;
    }
    counts
}

fn since(before: &Counts, now: &Counts) -> Counts {
    let so_far = |code: &String| before.get(code).copied().unwrap_or_default();
    let grown = now.iter().map(|(code, count)| (code.clone(), count.saturating_sub(so_far(code))));
    grown.filter(|(_, count)| *count > 0).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(admitted: u64, expired: u64) -> Counts {
        [("admitted".to_owned(), admitted), ("expired".to_owned(), expired)].into()
    }

    #[test]
    fn each_minute_has_what_came_in_it_and_an_hour_is_kept() {
        let history = History::default();
        assert_eq!(history.minutes_until(&counted(3, 0)), [[("admitted".into(), 3)].into()]);
        history.end_minute(counted(3, 0));
        history.end_minute(counted(3, 2));
        let minutes = history.minutes_until(&counted(4, 2));
        let expected: [Counts; 3] = [
            [("admitted".into(), 3)].into(),
            [("expired".into(), 2)].into(),
            [("admitted".into(), 1)].into(),
        ];
        assert_eq!(minutes, expected);
        for minute in 0..1000 {
            history.end_minute(counted(4 + minute, 2));
        }
        assert_eq!(history.minutes_until(&counted(2000, 2)).len(), MINUTES);
    }
}

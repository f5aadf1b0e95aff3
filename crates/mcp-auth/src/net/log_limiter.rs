//! The interval between log lines about the same problem.

use std::time::Duration;

use tokio::time::Instant;

/// Minimum interval between two log lines about the same kind of problem.
const LOG_INTERVAL: Duration = Duration::from_secs(5 * 60);

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

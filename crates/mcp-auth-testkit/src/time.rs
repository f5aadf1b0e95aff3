//! The clock of an issuer: a manual clock, or the system clock once it is served.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use mcp_auth::{Clock, ManualClock, SystemClock};

#[derive(Clone, Debug)]
pub(crate) enum Time {
    Manual(ManualClock),
    System,
}

impl Time {
    pub(crate) fn now(&self) -> SystemTime {
        match self {
            Self::Manual(clock) => clock.now(),
            Self::System => SystemClock.now(),
        }
    }

    /// Seconds since the Unix epoch, as in `exp` and other NumericDate claims (RFC 7519 §2).
    pub(crate) fn unix(&self) -> i64 {
        let since = self.now().duration_since(UNIX_EPOCH);
        seconds(since.unwrap_or_default())
    }
}

impl oauth_as::server::Clock for Time {
    fn now(&self) -> SystemTime {
        self.now()
    }
}

pub(crate) fn seconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)
}

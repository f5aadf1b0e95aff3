//! How often requests at unknown paths are logged.

use std::sync::{Mutex, PoisonError};

use crate::net::log_limiter::LogLimiter;

/// How the path of a request differs from that of a resource. The clearest difference comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Misrouted {
    /// It is the end of that path.
    Removed,
    /// It ends in that path.
    Added,
    Other,
}

/// One limiter for each difference, so that requests for any path do not keep back the line about a proxy.
#[derive(Default)]
pub(crate) struct UnknownPaths(Mutex<Limiters>);

#[derive(Default)]
struct Limiters {
    removed: LogLimiter,
    added: LogLimiter,
    other: LogLimiter,
}

impl UnknownPaths {
    pub(crate) fn should_log(&self, kind: Misrouted) -> bool {
        let mut limiters = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match kind {
            Misrouted::Removed => limiters.removed.should_log(),
            Misrouted::Added => limiters.added.should_log(),
            Misrouted::Other => limiters.other.should_log(),
        }
    }
}

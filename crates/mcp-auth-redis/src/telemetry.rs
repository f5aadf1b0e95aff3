//! Metrics and log lines.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::failure::RedisUnavailable;

/// Minimum interval between two lines about the same kind of problem, as in the library.
const LOG_INTERVAL: Duration = Duration::from_secs(5 * 60);

/// `mcp_auth_redis_operations_total{operation, outcome}`: commands for a `proof`, a `limit` or `revocations`, or a `ping`, by `ok`, `failed`,
/// `timeout`, or `skipped` while Redis is down.
pub(crate) fn operation(operation: &'static str, outcome: Result<(), &RedisUnavailable>) {
    let outcome = match outcome {
        Ok(()) => "ok",
        Err(failure) if *failure == RedisUnavailable::TIMEOUT => "timeout",
        Err(failure) if *failure == RedisUnavailable::DOWN => "skipped",
        Err(_) => "failed",
    };
    metrics::counter!("mcp_auth_redis_operations_total", "operation" => operation, "outcome" => outcome).increment(1);
}

/// `mcp_auth_redis_connected`: 1 while Redis answers, and 0 while it does not.
pub(crate) fn connected(is_connected: bool) {
    metrics::gauge!("mcp_auth_redis_connected").set(u8::from(is_connected));
}

/// When each kind of problem was logged.
#[derive(Debug, Default)]
pub(crate) struct LogTimes(Mutex<HashMap<String, Instant>>);

impl LogTimes {
    /// Whether a problem may be logged. The kinds are codes of failures: few.
    pub(crate) fn is_due(&self, what: &str, code: &str) -> bool {
        let mut times = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let kind = format!("{what} {code}");
        let is_due = times.get(&kind).is_none_or(|at| at.elapsed() >= LOG_INTERVAL);
        if is_due && (times.len() < 100 || times.contains_key(&kind)) {
            times.insert(kind, Instant::now());
        }
        is_due
    }
}

//! Times in whole seconds since 1970, as tokens have them.

use std::num::NonZeroU64;
use std::time::{SystemTime, UNIX_EPOCH};

/// The second from which on a token is refused. Small, since each remembered token has one; what ended in the
/// first second of 1970 has ended.
pub(crate) fn expiry_secs(seconds: u64) -> NonZeroU64 {
    NonZeroU64::new(seconds).unwrap_or(NonZeroU64::MIN)
}

/// Whole seconds since 1970; 0 for anything before.
pub(crate) fn unix_secs(moment: SystemTime) -> u64 {
    moment.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

//! Times in whole seconds since 1970, as in token claims.

use std::num::NonZeroU64;
use std::time::{SystemTime, UNIX_EPOCH};

/// A time in seconds since 1970, such as `exp` or `iat`, as a `NonZeroU64`. `Option<NonZeroU64>` is as small as a
/// `u64`, which matters because each cached token stores some. 0 becomes 1: both are long past.
pub(crate) fn nonzero_secs(seconds: u64) -> NonZeroU64 {
    NonZeroU64::new(seconds).unwrap_or(NonZeroU64::MIN)
}

/// Whole seconds since 1970. Returns 0 for earlier times.
pub(crate) fn unix_secs(moment: SystemTime) -> u64 {
    moment.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

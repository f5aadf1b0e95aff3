//! Waiting for others: the clock, fetching, and cached values that refresh themselves. Code is async from here on.

pub(crate) mod clock;
pub(crate) mod box_future;
pub(crate) mod notify;
pub(crate) mod metrics;
pub(crate) mod fetch;
pub(crate) mod backoff;
pub(crate) mod refreshing_cache;

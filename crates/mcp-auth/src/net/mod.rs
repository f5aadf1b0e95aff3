//! The clock, fetching, backoff, and cached values that refresh themselves. This is the lowest layer with async code.

pub(crate) mod clock;
pub(crate) mod box_future;
pub(crate) mod catch_panic;
pub(crate) mod notify;
pub(crate) mod metrics;
pub(crate) mod fetch;
pub(crate) mod backoff;
pub(crate) mod pace;
pub(crate) mod places;
pub(crate) mod log_limiter;
pub(crate) mod replay_store;
pub(crate) mod refresh;
pub(crate) mod refreshing_cache;

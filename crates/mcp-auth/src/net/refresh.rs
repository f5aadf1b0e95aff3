//! What a refresh of a cached value brings: a newer value, or why there is none.

use std::ops::Deref;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::model::denial::Denial;
use crate::net::backoff::FIRST_DELAY;
use crate::net::box_future::BoxFuture;
use crate::net::fetch::{FetchError, SharedFetchError};

/// A refresh starts in the background when this fraction of a value's lifetime has passed.
const REFRESH_AHEAD: f64 = 0.8;

/// Fetches a value. The argument is the cached value, if there is one.
pub(crate) type Load<T> = Box<
    dyn Fn(Option<Arc<Fetched<T>>>) -> BoxFuture<'static, Result<Loaded<T>, LoadError>>
        + Send
        + Sync,
>;

/// What was loaded.
pub(crate) struct Loaded<T> {
    pub(crate) value: T,
    pub(crate) lifetime: Duration,
    /// Whether the value has something that the former one did not have, such as a new key.
    pub(crate) has_news: bool,
}

impl<T> Loaded<T> {
    pub(crate) fn new(value: T, lifetime: Duration) -> Self {
        Self { value, lifetime, has_news: false }
    }
}

/// Why nothing was loaded.
#[derive(Debug)]
pub(crate) enum LoadError {
    Failed(FetchError),
    /// The source was not asked, because others were asking it, or because what says where it is could not be fetched.
    /// This is not a failure of the source: there is no backoff, and the next caller may try at once.
    NotAsked(Option<Arc<FetchError>>),
}

impl From<FetchError> for LoadError {
    fn from(error: FetchError) -> Self {
        Self::Failed(error)
    }
}

/// A cached value, and when it was fetched.
pub(crate) struct Fetched<T> {
    pub(super) value: Arc<T>,
    /// The number of the refresh that brought it.
    pub(super) number: u64,
    /// When that refresh began: the value may lack what was published later.
    pub(super) began_at: SystemTime,
    pub(super) ended_at: SystemTime,
    pub(super) lifetime: Duration,
}

impl<T> Fetched<T> {
    pub(crate) fn value(&self) -> Arc<T> {
        self.value.clone()
    }

    /// When the refresh began that brought the value.
    pub(crate) fn began_at(&self) -> SystemTime {
        self.began_at
    }

    /// Whether it was brought by a refresh that began after the first `refreshes`.
    pub(crate) fn began_after(&self, refreshes: u64) -> bool {
        self.number > refreshes
    }

    pub(crate) fn lifetime(&self) -> Duration {
        self.lifetime
    }

    /// What is left of its lifetime.
    pub(crate) fn lifetime_left(&self, now: SystemTime) -> Duration {
        self.lifetime.saturating_sub(self.age(now))
    }

    /// A value from the future is not fresh: the clock was set back, and the age of the value is unknown.
    pub(super) fn is_fresh(&self, now: SystemTime) -> bool {
        let ahead = self.ended_at.duration_since(now).unwrap_or_default();
        ahead <= FIRST_DELAY && self.age(now) < self.lifetime.mul_f64(REFRESH_AHEAD)
    }

    /// The age of the value. Zero if the clock was set back.
    pub(super) fn age(&self, now: SystemTime) -> Duration {
        now.duration_since(self.ended_at).unwrap_or_default()
    }
}

impl<T> Deref for Fetched<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

/// Why there is no value, or no newer one.
#[derive(Clone, Debug)]
pub(crate) enum RefreshError {
    /// The last refresh failed.
    Failed { why: Option<Arc<FetchError>>, retry_after: Duration },
    /// The last refresh succeeded, and the cooldown has not passed yet.
    CoolingDown { retry_after: Duration },
}

impl RefreshError {
    /// The denial of a request that needs the value. `detail` is for the operator.
    pub(crate) fn into_denial(self, detail: impl Into<String>) -> Denial {
        let (why, retry_after) = match self {
            Self::Failed { why, retry_after } => (why, retry_after),
            Self::CoolingDown { retry_after } => (None, retry_after),
        };
        let denial = Denial::unavailable(retry_after).detail(detail);
        match why {
            Some(why) => denial.caused_by(SharedFetchError(why)),
            None => denial,
        }
    }

    /// The same error without what it says about its cause.
    pub(crate) fn without_cause(self) -> Self {
        match self {
            Self::Failed { retry_after, .. } => Self::Failed { why: None, retry_after },
            Self::CoolingDown { retry_after } => Self::CoolingDown { retry_after },
        }
    }

    /// Why the last refresh failed.
    pub(crate) fn cause(self) -> Option<Arc<FetchError>> {
        match self {
            Self::Failed { why, .. } => why,
            Self::CoolingDown { .. } => None,
        }
    }
}

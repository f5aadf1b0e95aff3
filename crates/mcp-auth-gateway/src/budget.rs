//! How many bytes of request bodies are held in all, until it is decided whether they pass.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use mcp_auth::GuardedBody;

use crate::recorded::RecordedBody;
use crate::telemetry;

/// The body of a request that the library's layer has admitted.
pub(crate) type RequestBody = GuardedBody<CountedBody<RecordedBody>>;

/// The most bytes of bodies of callers with a token: 64 messages of the greatest length (4 MiB). A message usually has
/// less than a kilobyte.
pub(crate) const DEFAULT_MAX_BUFFERED: usize = 256 * 1024 * 1024;

/// The most bytes of bodies of callers without a token, of whom anybody can be many: a quarter of that.
pub(crate) const DEFAULT_MAX_ANONYMOUS: usize = 64 * 1024 * 1024;

/// A number of bytes, which those who hold some share.
#[derive(Debug)]
pub(crate) struct Budget {
    name: &'static str,
    max: usize,
    used: AtomicUsize,
}

impl Budget {
    pub(crate) fn new(name: &'static str, max: usize) -> Arc<Self> {
        Arc::new(Self { name, max, used: AtomicUsize::new(0) })
    }

    /// For metrics: whose it is, and how many bytes are in use.
    pub(crate) fn state(&self) -> (&'static str, usize) {
        (self.name, self.used.load(Ordering::Relaxed))
    }

    fn take(&self, bytes: usize) -> bool {
        let take = |used: usize| used.checked_add(bytes).filter(|used| *used <= self.max);
        self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok()
    }
}

/// What one request has taken of a budget. It gives it back when it is dropped.
#[derive(Debug)]
pub(crate) struct Share {
    budget: Arc<Budget>,
    taken: AtomicUsize,
    /// Whether the request was passed on: what is read now is not held any more.
    is_passed_on: AtomicBool,
    is_refused: AtomicBool,
    began: Instant,
}

impl Share {
    pub(crate) fn of(budget: &Arc<Budget>) -> Arc<Self> {
        Arc::new(Self {
            budget: Arc::clone(budget),
            taken: AtomicUsize::new(0),
            is_passed_on: AtomicBool::new(false),
            is_refused: AtomicBool::new(false),
            began: Instant::now(),
        })
    }

    /// From now on, what is read is sent at once. Where a copy is kept (for `audit` and `limits.tools`), all of the body was read
    /// before, and counts until the head of the response.
    pub(crate) fn pass_on(&self) {
        self.is_passed_on.store(true, Ordering::Relaxed);
        telemetry::decision("passed_on", self.began.elapsed());
    }

    /// Counts the request as refused if it was not passed on.
    pub(crate) fn end(&self) {
        if !self.is_passed_on() {
            telemetry::decision("refused", self.began.elapsed());
        }
    }

    /// Whether the request was passed on.
    fn is_passed_on(&self) -> bool {
        self.is_passed_on.load(Ordering::Relaxed)
    }

    /// Whether there were too few bytes left.
    pub(crate) fn is_refused(&self) -> bool {
        self.is_refused.load(Ordering::Relaxed)
    }

    fn take(&self, bytes: usize) -> Result<(), BudgetSpent> {
        if self.is_passed_on() {
            return Ok(());
        }
        if !self.budget.take(bytes) {
            self.is_refused.store(true, Ordering::Relaxed);
            return Err(BudgetSpent);
        }
        self.taken.fetch_add(bytes, Ordering::Relaxed);
        Ok(())
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.budget.used.fetch_sub(*self.taken.get_mut(), Ordering::Relaxed);
    }
}

/// Bytes of bodies that are held until it is decided about them. Callers without a token cannot spend those of others.
#[derive(Clone, Debug)]
pub(crate) struct Budgets {
    pub(crate) authenticated: Arc<Budget>,
    pub(crate) anonymous: Arc<Budget>,
}

impl Budgets {
    /// Budgets of this many bytes, or the defaults.
    pub(crate) fn new(authenticated: Option<usize>, anonymous: Option<usize>) -> Self {
        let authenticated = authenticated.unwrap_or(DEFAULT_MAX_BUFFERED);
        let anonymous = anonymous.unwrap_or(DEFAULT_MAX_ANONYMOUS);
        Self {
            authenticated: Budget::new("authenticated", authenticated),
            anonymous: Budget::new("anonymous", anonymous),
        }
    }
}

/// Too many bytes of bodies are held.
#[derive(Debug)]
pub(crate) struct BudgetSpent;

impl fmt::Display for BudgetSpent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("too many bytes of request bodies are held")
    }
}

impl std::error::Error for BudgetSpent {}

/// The body of a request, each frame of which takes its bytes from a budget until the request is passed on.
#[derive(Debug)]
pub(crate) struct CountedBody<B> {
    body: B,
    share: Arc<Share>,
}

impl<B> CountedBody<B> {
    pub(crate) fn new(body: B, share: Arc<Share>) -> Self {
        Self { body, share }
    }
}

impl<B> Body for CountedBody<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    type Data = Bytes;
    type Error = Box<dyn std::error::Error + Send + Sync>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        if let Poll::Ready(Some(Ok(frame))) = &polled
            && let Some(data) = frame.data_ref()
            && let Err(spent) = self.share.take(data.len())
        {
            return Poll::Ready(Some(Err(spent.into())));
        }
        polled.map(|frame| frame.map(|frame| frame.map_err(Into::into)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_given_back_and_none_are_taken_after_the_request_was_passed_on() {
        let budget = Budget::new("anonymous", 10);
        let (one, other) = (Share::of(&budget), Share::of(&budget));
        assert!(one.take(6).is_ok() && one.take(4).is_ok());
        assert!(other.take(1).is_err() && other.is_refused() && !one.is_refused());
        assert_eq!(budget.state(), ("anonymous", 10));
        drop(one);
        assert_eq!(budget.state().1, 0);
        assert!(other.take(10).is_ok());
        other.pass_on();
        assert!(other.take(usize::MAX).is_ok() && other.is_passed_on());
        assert_eq!(budget.state().1, 10);
        drop(other);
        assert_eq!(budget.state().1, 0);
    }
}

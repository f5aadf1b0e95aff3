//! How many requests may be under way: each has a connection to an upstream.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher as _, Hash};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

/// Counts requests that an upstream has not answered to the end, in all and by caller.
#[derive(Clone, Debug)]
pub(crate) struct UnderWay {
    max: usize,
    /// A quarter: no caller takes all, and a service in the name of which many agents call has enough.
    max_per_caller: usize,
    /// Keyed, so that nobody can choose callers that meet.
    hasher: RandomState,
    open: Arc<Mutex<Open>>,
}

#[derive(Debug, Default)]
struct Open {
    all: usize,
    by_caller: HashMap<u64, usize>,
}

/// The place of one request. It is free again when this is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    caller: u64,
    open: Arc<Mutex<Open>>,
}

impl UnderWay {
    pub(crate) fn new(max: usize) -> Self {
        let max_per_caller = (max / 4).max(1);
        Self { max, max_per_caller, hasher: RandomState::new(), open: Arc::default() }
    }

    /// Takes a place. Returns `None` if there is none, in all or for this caller.
    pub(crate) fn take(&self, caller: impl Hash) -> Option<Place> {
        let caller = self.hasher.hash_one(caller);
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let own = open.by_caller.get(&caller).copied().unwrap_or_default();
        if open.all >= self.max || own >= self.max_per_caller {
            return None;
        }
        open.all += 1;
        open.by_caller.insert(caller, own + 1);
        Some(Place { caller, open: Arc::clone(&self.open) })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.all = open.all.saturating_sub(1);
        match open.by_caller.get_mut(&self.caller) {
            Some(own) if *own > 1 => *own -= 1,
            _ => drop(open.by_caller.remove(&self.caller)),
        }
    }
}

/// The body of an upstream's response. Its request is under way until the end of it.
///
/// Trailers are left out: MCP has none, and no rule for headers has seen them.
#[derive(Debug)]
pub(crate) struct ResponseOf<B> {
    pub(crate) body: B,
    pub(crate) place: Option<Place>,
}

impl<B: Body<Data = Bytes> + Unpin> Body for ResponseOf<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        match polled {
            Poll::Ready(Some(Ok(frame))) if frame.is_data() => Poll::Ready(Some(Ok(frame))),
            Poll::Ready(Some(Ok(_)) | None) => {
                self.place = None;
                Poll::Ready(None)
            }
            other => other,
        }
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
    fn no_caller_takes_all_places() {
        let under_way = UnderWay::new(8);
        let places: Vec<_> = (0..5).filter_map(|_| under_way.take("alice")).collect();
        assert_eq!(places.len(), 2);
        let others: Vec<_> = ["bob", "bob", "carol", "carol", "dave", "dave", "erin"]
            .into_iter()
            .filter_map(|caller| under_way.take(caller))
            .collect();
        assert_eq!(others.len(), 6, "there are eight in all");
        drop(places);
        assert!(under_way.take("alice").is_some());
        drop(others);
        let open = under_way.open.lock().expect("a lock");
        assert!(open.all == 0 && open.by_caller.is_empty());
    }
}

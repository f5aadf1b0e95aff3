//! How many requests may be under way: each has a connection to an upstream.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher as _, Hash};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use crate::places::{Place, Places};

/// The requests that an upstream has not answered to the end, by caller.
#[derive(Clone, Debug)]
pub(crate) struct UnderWay {
    places: Places<u64>,
    /// Keyed, so that nobody can choose callers that meet.
    hasher: RandomState,
}

impl UnderWay {
    /// A quarter is for one caller: no caller takes all, and a service in the name of which many agents call has enough.
    pub(crate) fn new(max: usize) -> Self {
        Self { places: Places::new(max, (max / 4).max(1)), hasher: RandomState::new() }
    }

    /// Takes a place. Returns `None` if there is none, in all or for this caller.
    pub(crate) fn take(&self, caller: impl Hash) -> Option<Place<u64>> {
        self.places.take(self.hasher.hash_one(caller), false)
    }
}

/// The body of an upstream's response. Its request is under way until the end of it.
///
/// Trailers are left out: MCP has none, and no rule for headers has seen them.
#[derive(Debug)]
pub(crate) struct ResponseOf<B> {
    pub(crate) body: B,
    pub(crate) place: Option<Place<u64>>,
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

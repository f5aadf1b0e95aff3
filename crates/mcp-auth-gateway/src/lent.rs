//! The body of a request, which another upstream may get if the first one cannot be reached.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use crate::budget::RequestBody;

/// A body that may be sent to another upstream as long as none of it was read.
pub(crate) struct Lender(Arc<Shared>);

struct Shared {
    body: Mutex<RequestBody>,
    is_used: AtomicBool,
}

/// The body of a request to an upstream.
pub(crate) enum Lent {
    Whole(RequestBody),
    Shared(SharedBody),
}

/// What a [`Lender`] lends.
pub(crate) struct SharedBody(Arc<Shared>);

impl Lender {
    pub(crate) fn new(body: RequestBody) -> Self {
        Self(Arc::new(Shared { body: Mutex::new(body), is_used: AtomicBool::new(false) }))
    }

    pub(crate) fn lend(&self) -> Lent {
        Lent::Shared(SharedBody(Arc::clone(&self.0)))
    }

    /// Whether some of it was read.
    pub(crate) fn is_used(&self) -> bool {
        self.0.is_used.load(Ordering::Acquire)
    }
}

impl Body for Lent {
    type Data = Bytes;
    type Error = <RequestBody as Body>::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        match self.get_mut() {
            Self::Whole(body) => Pin::new(body).poll_frame(context),
            Self::Shared(shared) => {
                shared.0.is_used.store(true, Ordering::Release);
                let mut body = shared.0.body.lock().unwrap_or_else(PoisonError::into_inner);
                Pin::new(&mut *body).poll_frame(context)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(body) => body.is_end_stream(),
            Self::Shared(it) => {
                it.0.body.lock().unwrap_or_else(PoisonError::into_inner).is_end_stream()
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(body) => body.size_hint(),
            Self::Shared(it) => {
                it.0.body.lock().unwrap_or_else(PoisonError::into_inner).size_hint()
            }
        }
    }
}

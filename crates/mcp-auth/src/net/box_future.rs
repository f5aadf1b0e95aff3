//! Boxed futures.

use std::future::Future;
use std::pin::Pin;

/// A boxed future, as the object-safe traits of this crate return it.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Like `Box::pin(make())`, for futures that are created for each request.
///
/// If possible, the compiler constructs the future directly on the heap. `Box::pin` takes a constructed future and
/// copies all of it, including the space that it needs later: 6 kB for the future of rmcp's service.
#[inline(always)]
pub(crate) fn boxed<F: Future>(make: impl FnOnce() -> F) -> Pin<Box<F>> {
    let place = Box::new_uninit();
    Box::into_pin(Box::write(place, make()))
}

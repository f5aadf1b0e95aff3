//! Futures in the heap.

use std::future::Future;
use std::pin::Pin;

/// A boxed future, as the object-safe traits of this crate return it.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The same as `Box::pin(make())`, for futures that are made for each request: where it can, the compiler makes this one where it
/// will lie. `Box::pin` takes one that was made already, and copies it whole, also the room for what it needs later:
/// 6 kB for that of rmcp's service.
#[inline(always)]
pub(crate) fn boxed<F: Future>(make: impl FnOnce() -> F) -> Pin<Box<F>> {
    let place = Box::new_uninit();
    Box::into_pin(Box::write(place, make()))
}

//! Futures in the heap.

use std::future::Future;
use std::pin::Pin;

/// A boxed future, as the object-safe traits of this crate return it.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The same as `Box::pin(make())`, but the future is made where it will lie. `Box::pin` takes one that was made already, and
/// copies it whole, also what it will only need later: that of rmcp's service is 6 kB long. For what comes with each request.
#[inline(always)]
pub(crate) fn boxed<F: Future>(make: impl FnOnce() -> F) -> Pin<Box<F>> {
    let place = Box::new_uninit();
    Box::into_pin(Box::write(place, make()))
}

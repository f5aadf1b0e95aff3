//! Panics of the application's functions that this crate calls. Tokens are verified in the task of a connection, so that
//! a panic would close it without a response.

use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::Poll;

/// The function panicked. The message is not kept, because it may contain a token. The panic hook has printed it.
#[derive(Debug, thiserror::Error)]
#[error("it panicked; the process has printed why")]
pub(crate) struct Panicked;

/// Calls an async function, and returns its output.
pub(crate) async fn catch_panic<F: Future>(
    function: impl FnOnce() -> F,
) -> Result<F::Output, Panicked> {
    // Whatever has panicked is not used again, only dropped.
    let future = catch_unwind(AssertUnwindSafe(function)).map_err(|_| Panicked)?;
    let mut future = pin!(future);
    poll_fn(|context| {
        let polled = catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(context)));
        polled.map_or(Poll::Ready(Err(Panicked)), |polled| polled.map(Ok))
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_at_any_moment_is_an_error() {
        let calls: [fn(u8) -> u8; 2] = [|_| panic!("a secret"), |n| n];
        for call in calls {
            let at_once = catch_panic(|| std::future::ready(call(1))).await;
            let later = catch_panic(|| async {
                tokio::task::yield_now().await;
                call(1)
            });
            let later = later.await;
            for outcome in [at_once, later] {
                match outcome {
                    Ok(number) => assert_eq!(number, 1),
                    Err(panicked) => assert!(!panicked.to_string().contains("secret")),
                }
            }
        }
        assert!(catch_panic(|| std::future::ready(calls[0](1))).await.is_err());
    }
}

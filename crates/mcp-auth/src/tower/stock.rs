//! Instances of a service, each used more than once.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// More are not kept: as many requests seldom come in one moment, and the next ones are given a clone.
const MOST_IDLE: usize = 16;

/// A service of which each request is given an instance, and gives it back once it has called it.
///
/// Routers clone what they hold for each request, and a clone can cost more than all that this layer does: that
/// of rmcp's service copies lists of names.
#[derive(Debug)]
pub(super) struct Stock<S>(Mutex<Instances<S>>);

#[derive(Debug)]
struct Instances<S> {
    /// Never called: others are cloned from it.
    first: S,
    /// Boxed, so that nothing large moves about with each request.
    idle: Vec<Box<S>>,
}

impl<S: Clone> Stock<S> {
    pub(super) fn new(first: S) -> Self {
        Self(Mutex::new(Instances { first, idle: Vec::new() }))
    }

    /// An instance that nobody else has. It is ready for nothing yet.
    pub(super) fn take(&self) -> Box<S> {
        let mut instances = self.instances();
        instances.idle.pop().unwrap_or_else(|| Box::new(instances.first.clone()))
    }

    /// Takes an instance back that was called, so that it is ready for nothing any more.
    pub(super) fn give_back(&self, instance: Box<S>) {
        let mut instances = self.instances();
        if instances.idle.len() < MOST_IDLE {
            instances.idle.push(instance);
        }
    }

    fn instances(&self) -> MutexGuard<'_, Instances<S>> {
        // If a clone panics, nothing is half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// Counts its clones.
    struct Counted(Arc<AtomicUsize>);

    impl Clone for Counted {
        fn clone(&self) -> Self {
            self.0.fetch_add(1, Ordering::Relaxed);
            Self(self.0.clone())
        }
    }

    #[test]
    fn who_comes_one_after_the_other_shares_an_instance() {
        let clones = Arc::new(AtomicUsize::new(0));
        let stock = Stock::new(Counted(clones.clone()));
        for _ in 0..1000 {
            stock.give_back(stock.take());
        }
        assert_eq!(clones.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn who_comes_at_once_does_not_and_a_burst_is_forgotten() {
        let clones = Arc::new(AtomicUsize::new(0));
        let stock = Stock::new(Counted(clones.clone()));
        let burst: Vec<_> = (0..100).map(|_| stock.take()).collect();
        assert_eq!(clones.load(Ordering::Relaxed), 100);
        burst.into_iter().for_each(|instance| stock.give_back(instance));
        assert_eq!(stock.instances().idle.len(), MOST_IDLE);
        assert_eq!(Arc::strong_count(&clones), 2 + MOST_IDLE);
    }
}

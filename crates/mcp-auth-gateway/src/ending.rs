//! How far the end of the gateway has come.

use tokio::sync::watch;

/// How far the end of the gateway has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    Serving,
    /// `/readyz` says that it ends. Connections are still accepted, and each is closed after its next response.
    Leaving,
    /// No connection is accepted. Requests under way are answered.
    Ending,
}

/// Sees how far the end has come.
#[derive(Clone, Debug)]
pub(crate) struct Phases(watch::Receiver<Phase>);

/// Says how far the end has come.
#[derive(Debug)]
pub(crate) struct Ending(watch::Sender<Phase>);

impl Ending {
    pub(crate) fn new() -> Self {
        Self(watch::Sender::new(Phase::Serving))
    }

    pub(crate) fn set(&self, phase: Phase) {
        self.0.send_replace(phase);
    }

    pub(crate) fn phases(&self) -> Phases {
        Phases(self.0.subscribe())
    }
}

impl Phases {
    pub(crate) fn is_leaving(&self) -> bool {
        *self.0.borrow() >= Phase::Leaving
    }

    /// Completes when no more connections are accepted.
    pub(crate) async fn ending(&mut self) {
        if self.0.wait_for(|phase| *phase == Phase::Ending).await.is_err() {
            // Nobody is left who could say so.
            std::future::pending::<()>().await;
        }
    }
}

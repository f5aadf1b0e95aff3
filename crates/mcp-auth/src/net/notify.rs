//! Tells those who wait that something changed.

use tokio::sync::watch;

pub(crate) struct Signal(watch::Sender<()>);

impl Signal {
    pub(crate) fn new() -> Self {
        Self(watch::Sender::new(()))
    }

    pub(crate) fn give(&self) {
        self.0.send_replace(());
    }

    /// What is given from now on.
    pub(crate) fn listen(&self) -> watch::Receiver<()> {
        self.0.subscribe()
    }
}

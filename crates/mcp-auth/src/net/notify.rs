//! Notifies waiting tasks that something has changed.

use tokio::sync::watch;

pub(crate) struct Notify(watch::Sender<()>);

impl Notify {
    pub(crate) fn new() -> Self {
        Self(watch::Sender::new(()))
    }

    pub(crate) fn notify(&self) {
        self.0.send_replace(());
    }

    /// Receives the notifications from now on.
    pub(crate) fn subscribe(&self) -> watch::Receiver<()> {
        self.0.subscribe()
    }
}

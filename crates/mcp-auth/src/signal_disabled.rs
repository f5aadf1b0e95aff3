//! Without tokio nobody waits.

pub(crate) struct Signal;

impl Signal {
    pub(crate) fn new() -> Self {
        Self
    }

    pub(crate) fn give(&self) {}
}

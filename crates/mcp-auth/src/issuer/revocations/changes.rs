//! The revocations that this process has made, for other processes.

use std::sync::OnceLock;

use tokio::sync::broadcast::error::RecvError;
use tokio::sync::broadcast::{Receiver, Sender};

use crate::issuer::revocations::record::RevocationRecord;

/// How many are kept for whoever is slow, about 200 kB: as many as an issuer sends in some seconds. Beyond that, all that is
/// revoked has to be read.
const CAPACITY: usize = 1024;

/// Where revocations are told. It takes no memory before somebody subscribes.
#[derive(Default)]
pub(super) struct Changes(OnceLock<Sender<RevocationRecord>>);

impl Changes {
    pub(super) fn tell(&self, record: &RevocationRecord) {
        // It fails if nobody listens.
        self.0.get().map(|sender| sender.send(record.clone()));
    }

    pub(super) fn subscribe(&self) -> RevocationChanges {
        RevocationChanges(self.0.get_or_init(|| Sender::new(CAPACITY)).subscribe())
    }
}

/// The revocations that are made from now on. Created by [`Revocations::changes`](crate::Revocations::changes).
#[derive(Debug)]
pub struct RevocationChanges(Receiver<RevocationRecord>);

impl RevocationChanges {
    /// Waits for the next one. Returns `None` if some were missed, because they were not taken in time: then read all
    /// [`records`](crate::Revocations::records).
    ///
    /// None is lost if the future is dropped before it is ready.
    pub async fn next(&mut self) -> Option<RevocationRecord> {
        match self.0.recv().await {
            Ok(record) => Some(record),
            Err(RecvError::Lagged(_)) => None,
            // There is no list any more.
            Err(RecvError::Closed) => std::future::pending().await,
        }
    }
}

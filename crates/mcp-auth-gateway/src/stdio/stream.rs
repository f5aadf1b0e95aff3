//! What waits to be read by a client: bounded, since a client may be slow, or read nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use tokio::sync::mpsc;

/// The most bytes that wait for one client: a few of the longest messages. A client that reads nothing keeps no more than
/// this in memory, and loses the streams that would.
const MAX_WAITING_BYTES: usize = 16 * 1024 * 1024;

/// What a message takes besides its bytes, about.
const OVERHEAD: usize = 128;

/// The bytes that wait for one client, in all its streams.
#[derive(Clone, Debug, Default)]
pub(crate) struct Budget(Arc<AtomicUsize>);

/// A message for a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Outgoing {
    /// The message.
    pub(crate) message: Bytes,
    /// Whether the stream ends with it, and the code if it is an error.
    pub(crate) last: Option<Last>,
}

/// The answer to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Last {
    /// The code, if it is an error.
    pub(crate) error: Option<i64>,
}

/// The end of a stream that is written.
#[derive(Debug)]
pub(crate) struct StreamSender {
    sender: mpsc::UnboundedSender<Outgoing>,
    budget: Budget,
}

/// The end of a stream that is read.
#[derive(Debug)]
pub(crate) struct StreamReceiver {
    receiver: mpsc::UnboundedReceiver<Outgoing>,
    budget: Budget,
}

impl Budget {
    /// Takes the place of a message. Returns `false` if there is none.
    pub(crate) fn take(&self, message: &Bytes) -> bool {
        let cost = message.len() + OVERHEAD;
        let taken = self.0.fetch_add(cost, Ordering::Relaxed) + cost;
        // One message always has a place, however long it is.
        let has_place = taken <= MAX_WAITING_BYTES || taken == cost;
        if !has_place {
            self.0.fetch_sub(cost, Ordering::Relaxed);
        }
        has_place
    }

    /// Gives the place of a message back.
    pub(crate) fn give_back(&self, message: &Bytes) {
        self.0.fetch_sub(message.len() + OVERHEAD, Ordering::Relaxed);
    }

    /// A stream of this client.
    pub(crate) fn stream(&self) -> (StreamSender, StreamReceiver) {
        let (sender, receiver) = mpsc::unbounded_channel();
        let sender = StreamSender { sender, budget: self.clone() };
        (sender, StreamReceiver { receiver, budget: self.clone() })
    }
}

impl StreamSender {
    /// Adds a message. Returns `false` if there is no place for it, or nobody reads.
    #[must_use]
    pub(crate) fn push(&self, message: Bytes, last: Option<Last>) -> bool {
        self.budget.take(&message) && self.push_taken(message, last)
    }

    /// Adds the short message with which a stream ends, for which there is always a place.
    pub(crate) fn push_last(&self, message: Bytes, error: Option<i64>) {
        self.budget.0.fetch_add(message.len() + OVERHEAD, Ordering::Relaxed);
        self.push_taken(message, Some(Last { error }));
    }

    /// Adds a message whose place was taken before.
    pub(crate) fn push_taken(&self, message: Bytes, last: Option<Last>) -> bool {
        match self.sender.send(Outgoing { message, last }) {
            Ok(()) => true,
            Err(unsent) => {
                self.budget.give_back(&unsent.0.message);
                false
            }
        }
    }

    /// Whether somebody may still read.
    pub(crate) fn is_read(&self) -> bool {
        !self.sender.is_closed()
    }
}

impl StreamReceiver {
    /// The next message. Returns `None` at the end.
    pub(crate) fn poll_next(
        &mut self,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Outgoing>> {
        self.receiver
            .poll_recv(context)
            .map(|outgoing| outgoing.inspect(|outgoing| self.budget.give_back(&outgoing.message)))
    }

    /// The next message. Returns `None` at the end.
    pub(crate) async fn next(&mut self) -> Option<Outgoing> {
        std::future::poll_fn(|context| self.poll_next(context)).await
    }
}

impl Drop for StreamReceiver {
    fn drop(&mut self) {
        self.receiver.close();
        while let Ok(outgoing) = self.receiver.try_recv() {
            self.budget.give_back(&outgoing.message);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_client_that_does_not_read_keeps_a_bounded_number_of_bytes() {
        let budget = Budget::default();
        let (one, mut reader) = budget.stream();
        let (other, unread) = budget.stream();
        let message = Bytes::from(vec![b'x'; 1024 * 1024]);
        let pushed = (0..100).filter(|_| other.push(message.clone(), None)).count();
        assert_eq!(pushed, 15);
        assert!(!one.push(message.clone(), None), "the streams of a client share its budget");
        one.push_last(Bytes::from_static(b"{}"), None);
        assert_eq!(reader.next().await.map(|it| it.message), Some(Bytes::from_static(b"{}")));
        drop(unread);
        assert!(one.push(message.clone(), None) && !other.push(message, None));
        drop((reader, one));
        assert_eq!(budget.0.load(Ordering::Relaxed), 0, "everything is given back");
        let (only, _reader) = budget.stream();
        let long = Bytes::from(vec![b'x'; MAX_WAITING_BYTES]);
        assert!(only.push(long.clone(), None) && !only.push(long, None));
    }
}

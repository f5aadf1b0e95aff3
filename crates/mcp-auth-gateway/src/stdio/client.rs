//! A client of a process: the stream on which it listens, and what waits for it.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use mcp_auth::AuthInfo;

use crate::stdio::owner::Owner;
use crate::stdio::stream::{Budget, StreamReceiver, StreamSender};

/// The most messages that wait for a client that has no stream open: those between two streams of it.
pub(crate) const MAX_QUEUED: usize = 256;

/// Whose messages these are.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum ClientId {
    /// A session, until 2025-11-25.
    Session(Arc<str>),
    /// A caller without sessions, since 2026-07-28, by its client: two programs of a user number their requests alike.
    Caller(Owner, Option<Arc<str>>),
}

impl ClientId {
    /// A caller without sessions.
    pub(crate) fn of_caller(owner: Owner, caller: Option<&AuthInfo>) -> Self {
        Self::Caller(owner, caller.and_then(AuthInfo::client_id).map(Arc::from))
    }
}

/// What is known of a client.
#[derive(Debug, Default)]
pub(crate) struct Client {
    budget: Budget,
    listening: Option<StreamSender>,
    queue: VecDeque<Bytes>,
}

impl Client {
    /// A stream for the answer to a request.
    pub(crate) fn stream(&self) -> (StreamSender, StreamReceiver) {
        self.budget.stream()
    }

    /// Opens the stream on which it listens, with what waits for it. An older one ends: it may be one that is dead.
    pub(crate) fn listen(&mut self) -> StreamReceiver {
        let (sender, stream) = self.budget.stream();
        for message in self.queue.drain(..) {
            sender.push_taken(message, None);
        }
        self.listening = Some(sender);
        stream
    }

    pub(crate) fn is_listening(&self) -> bool {
        self.listening.as_ref().is_some_and(StreamSender::is_read)
    }

    /// Sends a message to the stream on which it listens. Returns `false` if there is none. A stream that is read too
    /// slowly ends.
    pub(crate) fn push(&mut self, message: &Bytes) -> bool {
        let stream = self.listening.take().filter(|stream| stream.push(message.clone(), None));
        self.listening = stream;
        self.listening.is_some()
    }

    /// Keeps a message for the next stream on which it listens. Returns `false` if too many wait.
    pub(crate) fn queue(&mut self, message: Bytes) -> bool {
        let is_kept = self.queue.len() < MAX_QUEUED && self.budget.take(&message);
        if is_kept {
            self.queue.push_back(message);
        }
        is_kept
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.queue.drain(..).for_each(|message| self.budget.give_back(&message));
    }
}

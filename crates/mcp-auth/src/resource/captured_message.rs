//! `CapturedMessage`: the message of a request, kept while its response is not complete.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use crate::policy::operation::{OpenRequest, open_requests};
use crate::resource::joined_frames::JoinedFrames;

/// The longest message that is kept, in bytes. Most messages are much shorter. A longer one that the layer has read
/// is parsed at once, and a longer one that only passes through is not kept.
const MAX_CAPTURED_BYTES: usize = 64 * 1024;

/// The message of a request. It says which ids wait for a response. Clones share it.
#[derive(Clone, Default)]
pub(crate) struct CapturedMessage(Captured);

#[derive(Clone, Default)]
enum Captured {
    /// The request has no message.
    #[default]
    Absent,
    /// The layer has read it. It may be a small part of a buffer, all of which it keeps.
    Read(Bytes),
    /// A message of its own memory.
    Kept(Arc<Mutex<Message>>),
}

enum Message {
    /// The layer has read it, or it passes through.
    Whole(JoinedFrames),
    /// It is too long to be kept. Its requests, if the layer has read it.
    TooLong(Option<Vec<OpenRequest>>),
}

impl CapturedMessage {
    /// A message that the layer has read.
    pub(super) fn read(message: Bytes) -> Self {
        Self(Captured::Read(message))
    }

    /// A message that passes through the layer. Its frames must be [recorded](Self::record).
    pub(super) fn passing() -> Self {
        Self::new(Message::Whole(JoinedFrames::default()))
    }

    fn new(message: Message) -> Self {
        Self(Captured::Kept(Arc::new(Mutex::new(message))))
    }

    /// Copies a message that the layer has read, so that it keeps no buffer while its request waits. Most requests that
    /// are refused or answered at once need no copy.
    pub(crate) fn detach(&mut self) {
        let Captured::Read(message) = &self.0 else { return };
        *self = Self::new(match message.len() {
            ..=MAX_CAPTURED_BYTES => {
                Message::Whole(JoinedFrames::from(Bytes::copy_from_slice(message)))
            }
            _ => Message::TooLong(open_requests(message)),
        });
    }

    /// Records a frame of a message that passes through.
    pub(super) fn record(&self, frame: &Bytes) {
        let Captured::Kept(message) = &self.0 else { return };
        let mut message = lock(message);
        if let Message::Whole(frames) = &mut *message
            && frames.add(Bytes::copy_from_slice(frame), MAX_CAPTURED_BYTES).is_err()
        {
            *message = Message::TooLong(None);
        }
    }

    /// Whether it was too long to be kept, and was not read before.
    pub(crate) fn is_too_long(&self) -> bool {
        matches!(&self.0, Captured::Kept(message) if matches!(*lock(message), Message::TooLong(None)))
    }

    /// The requests in the message. Returns `None` if they are not known: there is no message, it was not kept, it is not
    /// complete, or it cannot be parsed reliably.
    pub(crate) fn open_requests(&self) -> Option<Vec<OpenRequest>> {
        match &self.0 {
            Captured::Absent => None,
            Captured::Read(message) => open_requests(message),
            Captured::Kept(message) => match &*lock(message) {
                Message::Whole(frames) => open_requests(frames.bytes()),
                Message::TooLong(requests) => requests.clone(),
            },
        }
    }
}

fn lock(message: &Mutex<Message>) -> MutexGuard<'_, Message> {
    message.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Contains no text of the message.
impl fmt::Debug for CapturedMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CapturedMessage").finish_non_exhaustive()
    }
}

//! `CapturedMessage`: the message of a request, kept while its response is not complete.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use crate::policy::operation::{OpenRequest, open_requests};
use crate::resource::joined_frames::JoinedFrames;

/// The longest message that is kept, in bytes. Most messages are much shorter. A longer one that the layer has read
/// is parsed at once, and a longer one that only passes through is not kept.
const MAX_CAPTURED_BYTES: usize = 64 * 1024;

/// The message of a request, copied: a small part of a buffer would keep all of it.
///
/// It says which ids wait for a response. Clones share it.
#[derive(Clone, Default)]
pub(crate) struct CapturedMessage(Option<Arc<Mutex<Message>>>);

enum Message {
    /// The layer has read it, or it passes through.
    Kept(JoinedFrames),
    /// It is too long to be kept. Its requests, if the layer has read it.
    TooLong(Option<Vec<OpenRequest>>),
}

impl CapturedMessage {
    /// A message that the layer has read.
    pub(super) fn read(message: &Bytes) -> Self {
        Self::new(match message.len() {
            ..=MAX_CAPTURED_BYTES => {
                Message::Kept(JoinedFrames::from(Bytes::copy_from_slice(message)))
            }
            _ => Message::TooLong(open_requests(message)),
        })
    }

    /// A message that passes through the layer. Its frames must be [recorded](Self::record).
    pub(super) fn passing() -> Self {
        Self::new(Message::Kept(JoinedFrames::default()))
    }

    fn new(message: Message) -> Self {
        Self(Some(Arc::new(Mutex::new(message))))
    }

    /// Records a frame of a message that passes through.
    pub(super) fn record(&self, frame: &Bytes) {
        let Some(message) = &self.0 else { return };
        let mut message = lock(message);
        if let Message::Kept(frames) = &mut *message
            && frames.add(Bytes::copy_from_slice(frame), MAX_CAPTURED_BYTES).is_err()
        {
            *message = Message::TooLong(None);
        }
    }

    /// Whether it was too long to be kept, and was not read before.
    pub(crate) fn is_too_long(&self) -> bool {
        let message = self.0.as_ref().map(|message| lock(message));
        message.is_some_and(|message| matches!(*message, Message::TooLong(None)))
    }

    /// The requests in the message. Returns `None` if they are not known: there is no message, it was not kept, it is not
    /// complete, or it cannot be parsed reliably.
    pub(crate) fn open_requests(&self) -> Option<Vec<OpenRequest>> {
        match &*lock(self.0.as_ref()?) {
            Message::Kept(frames) => open_requests(frames.bytes()),
            Message::TooLong(requests) => requests.clone(),
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

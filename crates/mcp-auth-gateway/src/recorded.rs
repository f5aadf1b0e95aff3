//! The body of a request, of which a copy is kept where something depends on its message.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

/// The body of a request of a client.
pub(crate) struct RecordedBody {
    body: Incoming,
    recording: Option<Recording>,
}

/// What has been read of a body so far. Clones share it. The frames are those that pass: they are not copied.
#[derive(Clone)]
pub(crate) struct Recording(Arc<Mutex<Recorded>>);

struct Recorded {
    frames: Vec<Bytes>,
    length: usize,
    max: usize,
    is_whole: bool,
}

/// A message, or why it is not known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Message {
    Whole(Bytes),
    /// Not all of it has been read.
    Unread,
    TooLong,
}

impl RecordedBody {
    pub(crate) fn new(body: Incoming, recording: Option<Recording>) -> Self {
        if let Some(recording) = &recording {
            recording.lock().is_whole = body.is_end_stream();
        }
        Self { body, recording }
    }
}

impl Recording {
    /// Keeps bodies of at most `max` bytes.
    pub(crate) fn new(max: usize) -> Self {
        let recorded = Recorded { frames: Vec::new(), length: 0, max, is_whole: false };
        Self(Arc::new(Mutex::new(recorded)))
    }

    pub(crate) fn message(&self) -> Message {
        let recorded = self.lock();
        match &*recorded.frames {
            _ if recorded.length > recorded.max => Message::TooLong,
            _ if !recorded.is_whole => Message::Unread,
            [one] => Message::Whole(one.clone()),
            frames => {
                let mut whole = BytesMut::with_capacity(recorded.length);
                frames.iter().for_each(|frame| whole.extend_from_slice(frame));
                Message::Whole(whole.freeze())
            }
        }
    }

    fn add(&self, frame: &Bytes) {
        let mut recorded = self.lock();
        recorded.length = recorded.length.saturating_add(frame.len());
        if recorded.length > recorded.max {
            recorded.frames = Vec::new();
        } else {
            recorded.frames.push(frame.clone());
        }
    }

    fn lock(&self) -> MutexGuard<'_, Recorded> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Body for RecordedBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        if let Some(recording) = &self.recording
            && let Poll::Ready(frame) = &polled
        {
            match frame {
                Some(Ok(frame)) => {
                    frame.data_ref().into_iter().for_each(|data| recording.add(data))
                }
                Some(Err(_)) => return polled,
                None => {}
            }
            if frame.is_none() || self.body.is_end_stream() {
                recording.lock().is_whole = true;
            }
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_known_when_all_of_it_has_been_read() {
        let recording = Recording::new(5);
        assert_eq!(recording.message(), Message::Unread);
        recording.add(&Bytes::from_static(b"ab"));
        recording.add(&Bytes::from_static(b"cde"));
        assert_eq!(recording.message(), Message::Unread);
        recording.lock().is_whole = true;
        assert_eq!(recording.message(), Message::Whole(Bytes::from_static(b"abcde")));
        recording.add(&Bytes::from_static(b"f"));
        assert_eq!(recording.message(), Message::TooLong);
        assert!(recording.lock().frames.is_empty());
    }
}

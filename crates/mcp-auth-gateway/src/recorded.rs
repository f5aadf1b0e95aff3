//! The body of a request, of which a copy is kept where something depends on its message.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

/// The body of a request of a client.
pub(crate) struct RecordedBody<B = Incoming> {
    body: B,
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

impl<B: Body> RecordedBody<B> {
    pub(crate) fn new(body: B, recording: Option<Recording>) -> Self {
        if let Some(recording) = &recording {
            recording.lock().is_whole = is_over(&body);
        }
        Self { body, recording }
    }
}

/// Whether no bytes of a body are left. HTTP/2 can declare a length, send as many bytes, and leave its stream open: whoever
/// gets them has the whole message.
fn is_over(body: &impl Body) -> bool {
    body.is_end_stream() || body.size_hint().exact() == Some(0)
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

impl<B: Body<Data = Bytes> + Unpin> Body for RecordedBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
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
            if frame.is_none() || is_over(&self.body) {
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
    use std::convert::Infallible;
    use std::task::Waker;

    use super::*;

    /// What has declared its length, and does not say when it ends.
    struct Open(Vec<Bytes>);

    impl Body for Open {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            match self.0.pop() {
                Some(data) => Poll::Ready(Some(Ok(Frame::data(data)))),
                None => Poll::Pending,
            }
        }

        fn size_hint(&self) -> SizeHint {
            SizeHint::with_exact(self.0.iter().map(|data| data.len() as u64).sum())
        }
    }

    #[test]
    fn a_message_is_known_when_its_last_declared_byte_has_passed() {
        let recording = Recording::new(100);
        let frames = ["cd", "ab"].map(|text| Bytes::from_static(text.as_bytes()));
        let mut body = RecordedBody::new(Open(frames.to_vec()), Some(recording.clone()));
        let mut next = || {
            let polled = Pin::new(&mut body).poll_frame(&mut Context::from_waker(Waker::noop()));
            (polled.is_ready(), recording.message())
        };
        assert_eq!(next(), (true, Message::Unread));
        let whole = Message::Whole(Bytes::from_static(b"abcd"));
        assert_eq!(next(), (true, whole.clone()));
        assert_eq!(next(), (false, whole));
        let empty = Recording::new(100);
        _ = RecordedBody::new(Open(Vec::new()), Some(empty.clone()));
        assert_eq!(empty.message(), Message::Whole(Bytes::new()));
    }

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

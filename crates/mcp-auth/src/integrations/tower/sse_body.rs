//! `SseBody`: the body of an event stream, rewritten line by line, and ended by its deadline.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use crate::integrations::tower::decision_log;
use crate::integrations::tower::json_list_filter::FilterError;
use crate::integrations::tower::sent_events::SentEvents;
use crate::integrations::tower::sse_lines::{lines, split_end, value};
use crate::integrations::tower::stream_state::StreamState;
use crate::policy::list_filter::UnfilterableList;

pin_project! {
    /// An event stream that is passed on as it arrives, line by line.
    #[derive(Debug)]
    pub(super) struct SseBody<B> {
        #[pin]
        body: Option<B>,
        state: Box<StreamState>,
        ready: VecDeque<Bytes>,
        trailers: Option<HeaderMap>,
        held_frames: u8,
        sent: SentEvents,
        // It was ended before its body was.
        has_ended: bool,
    }
}

/// How many frames without a message are held before the head of a stream is sent. It is more than any server
/// writes to tell a client how to resume. It bounds what is read and held if a server writes something else.
const MAX_HELD_FRAMES: u8 = 16;

/// The maximum size of a frame that is joined from several, in bytes.
const MAX_JOINED_BYTES: usize = 8 * 1024;

impl<B: Body<Data = Bytes>> SseBody<B> {
    pub(super) fn new(body: B, state: StreamState, is_encoded: bool) -> Self {
        Self {
            body: Some(body),
            state: Box::new(state),
            ready: VecDeque::new(),
            trailers: None,
            held_frames: 0,
            sent: if is_encoded { SentEvents::encoded() } else { SentEvents::default() },
            has_ended: false,
        }
    }

    /// Ready when there is a message to send, or when the body has ended. Fails if the body breaks off before.
    /// What only tells a client how to resume, with which many streams begin, is not a message, unless it fills
    /// `MAX_HELD_FRAMES` frames.
    pub(super) fn poll_first_message(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Result<(), B::Error>> {
        while self.body.is_some() && self.trailers.is_none() && self.held_frames < MAX_HELD_FRAMES {
            let known = self.ready.len();
            ready!(self.as_mut().poll_read(context))?;
            *self.as_mut().project().held_frames += 1;
            if !self.ready.iter().skip(known).all(|bytes| is_preamble(bytes)) {
                break;
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Reads the next frame of the body, and rewrites it for its reader.
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<(), B::Error>> {
        let mut this = self.project();
        let Some(body) = this.body.as_mut().as_pin_mut() else { return Poll::Ready(Ok(())) };
        let read = match ready!(body.poll_frame(context)?).map(Frame::into_data) {
            Some(Ok(chunk)) => this.state.feed(chunk, this.ready),
            Some(Err(frame)) => {
                *this.trailers = frame.into_trailers().ok();
                this.state.finish(this.ready)
            }
            None => {
                this.body.set(None);
                this.state.finish(this.ready)
            }
        };
        if let Err(UnfilterableList) = read {
            decision_log::bad_gateway(&this.state.auth, FilterError::UnfilterableList);
            this.body.set(None);
            *this.trailers = None;
        }
        Poll::Ready(Ok(()))
    }
}

impl<B: Body<Data = Bytes>> Body for SseBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let mut is_first = true;
        loop {
            let mut this = self.as_mut().project();
            // Checked first, so that a stream that always has data ends as well, and after each read that gave
            // no data, because it may have taken a while. Not checked more often, because reading the clock
            // takes time too.
            let is_due = std::mem::take(&mut is_first) || this.ready.is_empty();
            let is_open = this.body.is_some() || !this.ready.is_empty() || this.trailers.is_some();
            if is_due
                && is_open
                && !*this.has_ended
                && let Some(last_messages) = this.state.ended(context)
            {
                *this.has_ended = true;
                this.body.set(None);
                *this.trailers = None;
                this.ready.clear();
                this.ready.extend(this.sent.last_events(last_messages));
            }
            if let Some(bytes) = joined(this.ready) {
                this.sent.record(&bytes);
                return Poll::Ready(Some(Ok(Frame::data(bytes))));
            }
            if let Some(trailers) = this.trailers.take() {
                return Poll::Ready(Some(Ok(Frame::trailers(trailers))));
            }
            if this.body.is_none() {
                return Poll::Ready(None);
            }
            let is_read = self.as_mut().poll_read(context)?.is_ready();
            let this = self.as_mut().project();
            if !is_read {
                ready!(this.state.wait(context));
            } else if this.body.is_none() {
                this.state.log_late_refusal();
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        // Not as the body reports: part of its last line may still be held.
        self.body.is_none() && self.ready.is_empty() && self.trailers.is_none()
    }

    /// Unknown: ids become longer, and the stream may end early.
    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}

/// Whether these bytes only tell a client how to resume the stream: complete lines that are blank, comments,
/// `id` or `retry` fields, or `data` fields without a value.
fn is_preamble(bytes: &[u8]) -> bool {
    lines(bytes).map(split_end).all(|(said, end)| {
        let is_other = said.is_empty() || said.starts_with(b":");
        let is = |name| value(said, name).is_some();
        let is_empty = value(said, b"data").is_some_and(<[u8]>::is_empty);
        !end.is_empty() && (is_other || is(b"id") || is(b"retry") || is_empty)
    })
}

/// The next bytes to send. Small pieces are joined into one frame; a large one is sent without being copied.
fn joined(ready: &mut VecDeque<Bytes>) -> Option<Bytes> {
    let (mut number, mut length) = (0, 0);
    for bytes in ready.iter() {
        if length + bytes.len() > MAX_JOINED_BYTES {
            break;
        }
        number += 1;
        length += bytes.len();
    }
    if number < 2 {
        return ready.pop_front();
    }
    let mut joined = Vec::with_capacity(length);
    ready.drain(..number).for_each(|bytes| joined.extend_from_slice(&bytes));
    Some(joined.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resume_preamble_is_not_a_message() {
        for (text, expected) in [
            ("", true),
            ("id: 0/0\nretry: 3000\ndata: \n\n", true),
            ("id: 0\r\ndata:\r\n\r\n", true),
            ("data\n: a comment\n\n", true),
            ("id\nretry: x\n", true),
            ("id: 0\ndata: {}\n\n", false),
            ("data:  \n", false),
            ("event: message\n", false),
            ("id: 0", false),
            ("da", false),
            (":", false),
        ] {
            assert_eq!(is_preamble(text.as_bytes()), expected, "{text:?}");
        }
    }

    #[test]
    fn small_frames_are_joined_and_large_ones_are_not_copied() {
        let much = Bytes::from(vec![b'm'; 8192]);
        let little = Bytes::from_static(b"little");
        let mut ready =
            VecDeque::from([&little, &little, &much, &little, &little, &little].map(Bytes::clone));
        assert_eq!(joined(&mut ready).as_deref(), Some(&b"littlelittle"[..]));
        assert_eq!(joined(&mut ready).map(|it| it.as_ptr()), Some(much.as_ptr()), "not copied");
        assert_eq!(joined(&mut ready).map(|it| it.len()), Some(18));
        assert_eq!(joined(&mut ready), None);
    }
}

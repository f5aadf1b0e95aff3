//! The body of a response: one message, or an event stream.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep};

use crate::stdio::pool::{ClientProcess, Pool};
use crate::stdio::stream::{Outgoing, StreamReceiver};

/// How often a stream that is silent gets a comment, so that proxies on the way do not take it for dead. Many close after
/// 60 s, some after 30 s.
pub(crate) const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// A request under way. If its client goes away, the process is told, where the revision says so.
#[derive(Debug)]
pub(crate) struct OpenRequest {
    pub(crate) target: ClientProcess,
    pub(crate) number: u64,
    /// Since 2026-07-28, who closes a response cancels its request. Until then, it does not.
    pub(crate) is_cancelled_by_close: bool,
    pub(crate) is_answered: bool,
}

impl Drop for OpenRequest {
    fn drop(&mut self) {
        let process = &self.target.process;
        if !self.is_answered
            && let Some(cancelled) = process.dispatch().abandon(self.number)
            && self.is_cancelled_by_close
        {
            process.send_now(cancelled);
        }
    }
}

/// An event stream. It ends with the answer, if it is one of a request.
#[derive(Debug)]
pub(crate) struct Events {
    first: Option<Outgoing>,
    stream: StreamReceiver,
    open: Option<OpenRequest>,
    keep_alive: Pin<Box<Sleep>>,
    is_over: bool,
}

impl Events {
    pub(crate) fn new(
        first: Option<Outgoing>,
        stream: StreamReceiver,
        open: Option<OpenRequest>,
    ) -> Self {
        let keep_alive = Box::pin(sleep(KEEP_ALIVE));
        Self { first, stream, open, keep_alive, is_over: false }
    }

    fn next(&mut self, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
        let next = match self.first.take() {
            Some(first) => Poll::Ready(Some(first)),
            None => self.stream.poll_next(context),
        };
        match next {
            Poll::Ready(Some(outgoing)) => {
                self.keep_alive.as_mut().reset(Instant::now() + KEEP_ALIVE);
                if outgoing.last.is_some() {
                    self.is_over = true;
                    self.answered();
                }
                Poll::Ready(Some(event(&outgoing.message)))
            }
            Poll::Ready(None) => {
                self.is_over = true;
                self.answered();
                Poll::Ready(None)
            }
            Poll::Pending => {
                std::task::ready!(self.keep_alive.as_mut().poll(context));
                self.keep_alive.as_mut().reset(Instant::now() + KEEP_ALIVE);
                Poll::Ready(Some(Bytes::from_static(b":\n\n")))
            }
        }
    }

    /// Nothing is left to be cancelled.
    fn answered(&mut self) {
        if let Some(open) = &mut self.open {
            open.is_answered = true;
        }
    }
}

/// A message as an event. In an event, the end of a line is one whatever its form, and a message in one line may still
/// have a carriage return between its values.
fn event(message: &[u8]) -> Bytes {
    const BEFORE: &[u8] = b"event: message\ndata: ";
    let mut event = Vec::with_capacity(BEFORE.len() + message.len() + 2);
    event.extend_from_slice(BEFORE);
    event.extend(message.iter().map(|byte| if *byte == b'\r' { b' ' } else { *byte }));
    event.extend_from_slice(b"\n\n");
    event.into()
}

impl Body for Events {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.is_over {
            return Poll::Ready(None);
        }
        self.next(context).map(|event| event.map(|event| Ok(Frame::data(event))))
    }

    fn is_end_stream(&self) -> bool {
        self.is_over
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}

/// What a session is begun with: it ends if its first request is not answered well.
#[derive(Debug)]
pub(crate) struct NewSession {
    pub(crate) pool: Arc<Pool>,
    pub(crate) id: Arc<str>,
    pub(crate) has_begun: bool,
}

impl Drop for NewSession {
    fn drop(&mut self) {
        if !self.has_begun {
            self.pool.end_session(&self.id);
        }
    }
}

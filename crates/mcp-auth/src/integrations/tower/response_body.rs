//! `ResponseBody`: the inner service's body, unchanged or as an event stream, or a body in memory.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;
use pin_project_lite::pin_project;

use crate::integrations::tower::sse_body::SseBody;

pin_project! {
    /// The body of a response that passed through [`BearerAuth`](crate::BearerAuth).
    #[derive(Debug)]
    pub struct ResponseBody<B> {
        #[pin]
        kind: Kind<B>,
    }
}

pin_project! {
    #[project = KindProjected]
    #[derive(Debug)]
    enum Kind<B> {
        Inner { #[pin] body: B },
        SseBody { body: Pin<Box<SseBody<B>>> },
        Whole { #[pin] body: Full<Bytes> },
    }
}

impl<B> ResponseBody<B> {
    pub(super) fn inner(body: B) -> Self {
        Self { kind: Kind::Inner { body } }
    }

    pub(super) fn events(body: Pin<Box<SseBody<B>>>) -> Self {
        Self { kind: Kind::SseBody { body } }
    }

    pub(super) fn whole(body: Bytes) -> Self {
        Self { kind: Kind::Whole { body: Full::new(body) } }
    }
}

impl<B: Body<Data = Bytes>> Body for ResponseBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        match self.project().kind.project() {
            KindProjected::Inner { body } => body.poll_frame(context),
            KindProjected::SseBody { body } => body.as_mut().poll_frame(context),
            KindProjected::Whole { body } => {
                body.poll_frame(context).map_err(|never| match never {})
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Inner { body } => body.is_end_stream(),
            Kind::SseBody { body } => body.is_end_stream(),
            Kind::Whole { body } => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Inner { body } => body.size_hint(),
            Kind::SseBody { body } => body.size_hint(),
            Kind::Whole { body } => body.size_hint(),
        }
    }
}

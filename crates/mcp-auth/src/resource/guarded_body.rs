//! `GuardedBody`: a request body that is passed through or was buffered; the inner service cannot tell which.

use std::future::Future;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use crate::model::error_codes::BadMessage;
use crate::resource::captured_message::CapturedMessage;
use crate::resource::joined_frames::{JoinedFrames, TooLong};

pin_project! {
    /// The body of a request that passed [`BearerAuth`](crate::BearerAuth). It has exactly the bytes that were
    /// sent, even if the layer has read it.
    #[derive(Debug)]
    pub struct GuardedBody<B> {
        #[pin]
        kind: Kind<B>,
    }
}

pin_project! {
    #[project = KindProjected]
    #[derive(Debug)]
    enum Kind<B> {
        Inner { #[pin] body: B, captured: CapturedMessage },
        Held { data: Option<Bytes>, trailers: Option<Box<HeaderMap>> },
    }
}

impl<B> GuardedBody<B> {
    /// A body that was not read.
    pub(crate) fn inner(body: B) -> Self {
        Self { kind: Kind::Inner { body, captured: CapturedMessage::default() } }
    }

    /// A body that was read and is buffered.
    fn held(data: Bytes, trailers: Option<Box<HeaderMap>>) -> Self {
        let data = Some(data).filter(|data| !data.is_empty());
        Self { kind: Kind::Held { data, trailers } }
    }

    /// The message of the request. If the layer has not read it, it is recorded when it passes through.
    pub(crate) fn capture(&mut self) -> CapturedMessage
    where
        B: Body,
    {
        match &mut self.kind {
            Kind::Inner { body, .. } if body.is_end_stream() => CapturedMessage::default(),
            Kind::Inner { captured, .. } => {
                *captured = CapturedMessage::passing();
                captured.clone()
            }
            Kind::Held { data, .. } => data.clone().map(CapturedMessage::read).unwrap_or_default(),
        }
    }

    /// The buffered bytes. Empty if the body was not read.
    pub(crate) fn bytes(&self) -> &[u8] {
        match &self.kind {
            Kind::Held { data: Some(data), .. } => data,
            _ => &[],
        }
    }
}

/// Reads a body to its end. Fails if it is longer than `limit` bytes, if it breaks off, or if `timeout`
/// completes first.
///
/// A body whose length was declared ends with its last byte, even if the end itself is not there yet: HTTP/2 sends it
/// apart, and some clients late. It fails if it is longer than declared.
pub(crate) async fn read<B: Body<Data = Bytes>>(
    body: B,
    limit: usize,
    timeout: impl Future<Output = ()>,
) -> Result<GuardedBody<B>, BadMessage> {
    if body.size_hint().lower() > limit as u64 {
        return Err(BadMessage::TooLarge);
    }
    let (mut body, mut timeout) = (pin!(body), pin!(timeout));
    let (mut frames, mut trailers) = (JoinedFrames::default(), None);
    let is_declared = body.size_hint().exact().is_some();
    let most = body.size_hint().exact().map_or(limit, |length| limit.min(length as usize));
    loop {
        let frame = std::future::poll_fn(|context| match body.as_mut().poll_frame(context) {
            Poll::Ready(frame) => Poll::Ready(Ok(frame)),
            Poll::Pending if body.size_hint().exact() == Some(0) => Poll::Ready(Ok(None)),
            Poll::Pending => timeout.as_mut().poll(context).map(|()| Err(BadMessage::Timeout)),
        });
        let Some(frame) = frame.await? else { break };
        let frame = frame.map_err(|_| BadMessage::Incomplete)?;
        match frame.into_data() {
            Ok(data) => frames.add(data, most).map_err(|TooLong| match is_declared {
                true => BadMessage::Incomplete,
                false => BadMessage::TooLarge,
            })?,
            Err(frame) => trailers = frame.into_trailers().ok().map(Box::new),
        }
        if body.is_end_stream() {
            break; // most bodies report this with their last frame
        }
    }
    Ok(GuardedBody::held(frames.into_bytes(), trailers))
}

impl<B: Body<Data = Bytes>> Body for GuardedBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        match self.project().kind.project() {
            KindProjected::Inner { body, captured } => {
                let polled = body.poll_frame(context);
                if let Poll::Ready(Some(Ok(frame))) = &polled
                    && let Some(data) = frame.data_ref()
                {
                    captured.record(data);
                }
                polled
            }
            KindProjected::Held { data, trailers } => {
                let frame = data.take().map(Frame::data);
                let trailers = || trailers.take().map(|trailers| Frame::trailers(*trailers));
                Poll::Ready(frame.or_else(trailers).map(Ok))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Inner { body, .. } => body.is_end_stream(),
            Kind::Held { data, trailers } => data.is_none() && trailers.is_none(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Inner { body, .. } => body.size_hint(),
            Kind::Held { data, .. } => {
                SizeHint::with_exact(data.as_ref().map_or(0, |data| data.len() as u64))
            }
        }
    }
}

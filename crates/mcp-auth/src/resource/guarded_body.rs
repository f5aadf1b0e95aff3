//! `GuardedBody`: a request body that is passed through or was buffered; the inner service cannot tell which.

use std::future::Future;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use http::header::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use crate::model::error_codes::BadMessage;

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
        Inner { #[pin] body: B },
        Held { data: Option<Bytes>, trailers: Option<Box<HeaderMap>> },
    }
}

impl<B> GuardedBody<B> {
    /// A body that was not read.
    pub(crate) fn inner(body: B) -> Self {
        Self { kind: Kind::Inner { body } }
    }

    /// A body that was read and is buffered.
    fn held(data: Bytes, trailers: Option<Box<HeaderMap>>) -> Self {
        let data = Some(data).filter(|data| !data.is_empty());
        Self { kind: Kind::Held { data, trailers } }
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
pub(crate) async fn read<B: Body<Data = Bytes>>(
    body: B,
    limit: usize,
    timeout: impl Future<Output = ()>,
) -> Result<GuardedBody<B>, BadMessage> {
    if body.size_hint().lower() > limit as u64 {
        return Err(BadMessage::TooLarge);
    }
    let (mut body, mut timeout) = (pin!(body), pin!(timeout));
    let mut read = Read::default();
    loop {
        let frame = std::future::poll_fn(|context| match body.as_mut().poll_frame(context) {
            Poll::Ready(frame) => Poll::Ready(Ok(frame)),
            Poll::Pending => timeout.as_mut().poll(context).map(|()| Err(BadMessage::Timeout)),
        });
        let Some(frame) = frame.await? else { break };
        let frame = frame.map_err(|_| BadMessage::Incomplete)?;
        match frame.into_data() {
            // Most messages are one frame, which is not copied.
            Ok(data) if read.is_nothing() && data.len() <= limit => read.first = data,
            other => read.add(other, limit)?,
        }
        if body.is_end_stream() {
            break; // most bodies report this with their last frame
        }
    }
    Ok(GuardedBody::held(read.whole(), read.trailers))
}

/// What has been read of a body.
#[derive(Default)]
struct Read {
    first: Bytes,
    /// All frames joined, if there are several.
    all: BytesMut,
    trailers: Option<Box<HeaderMap>>,
}

impl Read {
    fn is_nothing(&self) -> bool {
        self.first.is_empty() && self.all.is_empty()
    }

    /// Adds what follows the first frame. Not inlined, because few bodies have more than one frame.
    #[inline(never)]
    fn add(&mut self, frame: Result<Bytes, Frame<Bytes>>, limit: usize) -> Result<(), BadMessage> {
        match frame {
            Ok(data) if self.first.len() + self.all.len() + data.len() > limit => {
                return Err(BadMessage::TooLarge);
            }
            Ok(data) => {
                self.all.extend_from_slice(&std::mem::take(&mut self.first));
                self.all.extend_from_slice(&data);
            }
            Err(frame) => self.trailers = frame.into_trailers().ok().map(Box::new),
        }
        Ok(())
    }

    fn whole(&mut self) -> Bytes {
        match self.all.is_empty() {
            true => std::mem::take(&mut self.first),
            false => std::mem::take(&mut self.all).freeze(),
        }
    }
}

impl<B: Body<Data = Bytes>> Body for GuardedBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        match self.project().kind.project() {
            KindProjected::Inner { body } => body.poll_frame(context),
            KindProjected::Held { data, trailers } => {
                let frame = data.take().map(Frame::data);
                let trailers = || trailers.take().map(|trailers| Frame::trailers(*trailers));
                Poll::Ready(frame.or_else(trailers).map(Ok))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Inner { body } => body.is_end_stream(),
            Kind::Held { data, trailers } => data.is_none() && trailers.is_none(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Inner { body } => body.size_hint(),
            Kind::Held { data, .. } => {
                SizeHint::with_exact(data.as_ref().map_or(0, |data| data.len() as u64))
            }
        }
    }
}

//! `JoinedFrames`: the data frames of a body as one piece of memory.

use bytes::{Bytes, BytesMut};

/// The data frames of a body, joined. A single frame is not copied.
#[derive(Default)]
pub(super) struct JoinedFrames {
    first: Bytes,
    /// All frames, if there are several.
    all: BytesMut,
}

/// The frames are longer than the limit.
pub(super) struct TooLong;

impl From<Bytes> for JoinedFrames {
    fn from(first: Bytes) -> Self {
        Self { first, ..Self::default() }
    }
}

impl JoinedFrames {
    /// Adds a frame, unless all frames are then longer than `limit` bytes.
    pub(super) fn add(&mut self, frame: Bytes, limit: usize) -> Result<(), TooLong> {
        if self.bytes().is_empty() && frame.len() <= limit {
            self.first = frame;
            return Ok(());
        }
        self.append(&frame, limit)
    }

    /// Not inlined, because few bodies have more than one frame.
    #[inline(never)]
    fn append(&mut self, frame: &[u8], limit: usize) -> Result<(), TooLong> {
        if self.bytes().len() + frame.len() > limit {
            return Err(TooLong);
        }
        self.all.extend_from_slice(&std::mem::take(&mut self.first));
        self.all.extend_from_slice(frame);
        Ok(())
    }

    pub(super) fn bytes(&self) -> &[u8] {
        if self.all.is_empty() { &self.first } else { &self.all }
    }

    pub(super) fn into_bytes(self) -> Bytes {
        if self.all.is_empty() { self.first } else { self.all.freeze() }
    }
}

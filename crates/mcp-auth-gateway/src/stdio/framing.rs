//! The lines of a process: one message each
//! ([MCP, stdio](https://modelcontextprotocol.io/specification/2025-11-25/basic/transports#stdio)).

use bytes::{Buf as _, Bytes, BytesMut};

/// The longest line. It is also the default limit of what a client sends.
pub(crate) const MAX_LINE_BYTES: usize = 4 * 1024 * 1024;

/// How much is read at a time.
const READ_BYTES: usize = 16 * 1024;

/// The bytes of a process, cut into lines.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    buffer: BytesMut,
    /// How much of the buffer has no end of a line.
    scanned: usize,
    /// Whether the line that is read is too long. Nothing of it is kept.
    is_skipping: bool,
}

/// A line without its end.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Line {
    /// A line.
    Whole(Bytes),
    /// There was one of more than [`MAX_LINE_BYTES`].
    TooLong,
}

impl Lines {
    /// Where further bytes are read to.
    pub(crate) fn buffer(&mut self) -> &mut BytesMut {
        self.buffer.reserve(READ_BYTES);
        &mut self.buffer
    }

    /// The next line that is complete. Empty lines are left out.
    pub(crate) fn next(&mut self) -> Option<Line> {
        loop {
            let new = self.buffer.get(self.scanned..).unwrap_or_default();
            let Some(end) = new.iter().position(|byte| *byte == b'\n') else {
                self.scanned = self.buffer.len();
                if self.scanned > MAX_LINE_BYTES || self.is_skipping {
                    self.is_skipping = true;
                    // The allocation goes too.
                    self.buffer = BytesMut::new();
                    self.scanned = 0;
                }
                return None;
            };
            let line = self.buffer.split_to(self.scanned + end).freeze();
            self.buffer.advance(1);
            self.scanned = 0;
            if std::mem::take(&mut self.is_skipping) || line.len() > MAX_LINE_BYTES {
                return Some(Line::TooLong);
            }
            if !line.trim_ascii().is_empty() {
                return Some(Line::Whole(line));
            }
        }
    }
}

/// A message on one line: the ends of lines in it are white space, since a string cannot have them
/// ([RFC 8259 §7](https://www.rfc-editor.org/rfc/rfc8259#section-7)).
pub(crate) fn on_one_line(message: &mut [u8]) {
    for byte in message {
        if matches!(byte, b'\n' | b'\r') {
            *byte = b' ';
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines_of(chunks: &[&[u8]]) -> Vec<Line> {
        let mut lines = Lines::default();
        let mut all = Vec::new();
        for chunk in chunks {
            lines.buffer().extend_from_slice(chunk);
            while let Some(line) = lines.next() {
                all.push(line);
            }
        }
        all
    }

    fn whole(line: &'static [u8]) -> Line {
        Line::Whole(Bytes::from_static(line))
    }

    #[test]
    fn bytes_are_cut_into_lines_whatever_their_chunks_are() {
        let stream = b"{\"a\":1}\n\n  \r\n{\"b\":\n2}\r\nunfinished";
        let expected = [whole(b"{\"a\":1}"), whole(b"{\"b\":"), whole(b"2}\r")];
        for size in [1, 2, 3, 7, 100] {
            assert_eq!(lines_of(&stream.chunks(size).collect::<Vec<_>>()), expected, "{size}");
        }
    }

    #[test]
    fn a_line_that_is_too_long_is_skipped_and_not_kept() {
        let long = vec![b'x'; MAX_LINE_BYTES + 1];
        let longest = vec![b'y'; MAX_LINE_BYTES];
        let found = lines_of(&[b"a\n", &long, &long, b"\n", &longest, b"\nb\n", &long, b"\nc\n"]);
        let expected = [
            whole(b"a"),
            Line::TooLong,
            Line::Whole(longest.into()),
            whole(b"b"),
            Line::TooLong,
            whole(b"c"),
        ];
        assert!(found == expected, "{:?}", found.len());
        let mut lines = Lines::default();
        for _ in 0..4 {
            lines.buffer().extend_from_slice(&long);
            assert_eq!(lines.next(), None);
            assert_eq!(lines.buffer.capacity(), 0);
        }
    }
}

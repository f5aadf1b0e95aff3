//! Splits an event stream into lines, as its bytes arrive
//! ([HTML, *Interpreting an event stream*](https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation)).

use std::collections::VecDeque;
use std::ops::Range;

use bytes::Bytes;

use crate::util::byte_scan::skip_blocks;

const BOM: &[u8] = "\u{feff}".as_bytes();

/// Splits chunks of any size into lines. Lines end with LF, CR or CRLF.
#[derive(Default)]
pub(super) struct Lines {
    /// How many bytes of the byte order mark have been seen. It may be at the start of the stream only; after
    /// the start, this is its full length.
    mark: usize,
    /// The previous chunk ended with a CR, and its LF may follow.
    is_after_cr: bool,
}

/// The kind of a piece of a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// Part of the byte order mark at the start of the stream. It is not part of a line.
    Bom,
    /// Part of a line that continues.
    Part,
    /// Part of a line, up to and including its line end.
    LineEnd,
    /// The LF of a CRLF whose CR has already ended the previous line.
    Tail,
}

impl Lines {
    /// The length and the kind of the first piece of `rest`.
    pub(super) fn next(&mut self, rest: &[u8]) -> (usize, Piece) {
        let first = rest.first();
        if first == BOM.get(self.mark) {
            self.mark += 1;
            return (1, Piece::Bom);
        }
        self.mark = BOM.len();
        if std::mem::take(&mut self.is_after_cr) && first == Some(&b'\n') {
            return (1, Piece::Tail);
        }
        let is_end = |byte| (byte == b'\n') | (byte == b'\r');
        let last = skip_blocks(rest, is_end);
        let Some(end) = last.iter().position(|byte| is_end(*byte)) else {
            return (rest.len(), Piece::Part);
        };
        let end = rest.len() - last.len() + end;
        let is_cr = rest.get(end) == Some(&b'\r');
        let is_crlf = is_cr && rest.get(end + 1) == Some(&b'\n');
        let end = end + 1 + usize::from(is_crlf);
        self.is_after_cr = is_cr && !is_crlf && end == rest.len();
        (end, Piece::LineEnd)
    }
}

/// Splits a line into its text and its line end.
pub(super) fn split_end(line: &[u8]) -> (&[u8], &[u8]) {
    let said = line.iter().rposition(|byte| !matches!(byte, b'\n' | b'\r')).map_or(0, |it| it + 1);
    line.split_at(said)
}

/// The lines of a complete text.
pub(super) fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    // Starts after the byte order mark, which only the start of a stream can have.
    let mut places = Lines { mark: BOM.len(), is_after_cr: false };
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let (length, _) = places.next(rest);
        let (line, after) = rest.split_at(length);
        rest = after;
        Some(line)
    })
}

/// The value of a field. Returns `None` if the line is not a field of this name. One space after the colon is
/// not part of the value.
pub(super) fn value<'l>(line: &'l [u8], name: &[u8]) -> Option<&'l [u8]> {
    let rest = line.strip_prefix(name)?;
    match rest.strip_prefix(b":") {
        Some(value) => Some(value.strip_prefix(b" ").unwrap_or(value)),
        None => Some(rest).filter(|rest| rest.is_empty()),
    }
}

/// Whether a line is, or may become, a field of this name, as far as the line is known.
pub(super) fn may_be_field(name: &[u8], line: &[u8], is_whole: bool) -> bool {
    value(line, name).is_some() || (!is_whole && name.starts_with(line))
}

/// The output for one chunk: ranges of it, which are not copied, and other bytes between them.
pub(super) struct ChunkOutput<'c> {
    chunk: &'c Bytes,
    kept: Range<usize>,
    out: &'c mut VecDeque<Bytes>,
}

impl<'c> ChunkOutput<'c> {
    pub(super) fn of(chunk: &'c Bytes, out: &'c mut VecDeque<Bytes>) -> Self {
        Self { chunk, kept: 0..0, out }
    }

    pub(super) fn keep(&mut self, place: Range<usize>) {
        if place.start != self.kept.end {
            self.flush();
            self.kept.start = place.start;
        }
        self.kept.end = place.end;
    }

    pub(super) fn put(&mut self, bytes: Vec<u8>) {
        if !bytes.is_empty() {
            self.flush();
            self.out.push_back(bytes.into());
        }
    }

    /// Outputs the range that is kept so far. It must be called at the end.
    pub(super) fn flush(&mut self) {
        if !self.kept.is_empty() {
            self.out.push_back(self.chunk.slice(self.kept.clone()));
        }
        self.kept = self.kept.end..self.kept.end;
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// The text of a line, and its line end.
    pub(in super::super) type Line<'l> = (&'l [u8], &'l [u8]);

    /// The byte order mark of a text, and its lines with their line ends, found in another way than by
    /// [`Lines`].
    pub(in super::super) fn whole_lines(text: &[u8]) -> (&[u8], Vec<Line<'_>>) {
        let length = text.iter().zip(BOM).take_while(|(a, b)| a == b).count();
        let (mark, mut rest) = text.split_at(length);
        let mut lines = Vec::new();
        while !rest.is_empty() {
            let is_end = |byte: &u8| *byte == b'\n' || *byte == b'\r';
            let said = rest.iter().take_while(|byte| !is_end(byte)).count();
            let end = match rest.get(said..) {
                Some([b'\r', b'\n', ..]) => 2,
                Some([]) | None => 0,
                Some(_) => 1,
            };
            let (line, after) = rest.split_at(said + end);
            lines.push(line.split_at(said));
            rest = after;
        }
        (mark, lines)
    }

    /// A text in chunks of one byte, and split in two at each position.
    pub(in super::super) fn all_splits(text: &[u8]) -> impl Iterator<Item = Vec<Bytes>> {
        let bytes = |part: &[u8]| Bytes::copy_from_slice(part);
        let single = text.chunks(1).map(bytes).collect();
        let halves = (0..=text.len()).map(move |at| {
            let (a, b) = text.split_at(at);
            vec![bytes(a), bytes(b)]
        });
        std::iter::once(single).chain(halves)
    }

    /// Thousands of texts made of these words and of all kinds of line ends, each in random chunks.
    pub(in super::super) fn random_splits(words: &[&str]) -> Vec<(Vec<u8>, Vec<Bytes>)> {
        let mut state = 0x2545_f491_4f6c_dd1d_u64;
        let mut chance = move |below: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state % below as u64) as usize
        };
        let ends = ["\n", "\r", "\r\n", "", "\u{feff}", "\n\n"];
        (0..3000)
            .map(|_| {
                let mut text = String::new();
                for _ in 0..chance(12) {
                    text += words[chance(words.len())];
                    text += ends[chance(ends.len())];
                }
                let mut rest = Bytes::copy_from_slice(text.as_bytes());
                let mut chunks = Vec::new();
                while !rest.is_empty() {
                    chunks.push(rest.split_to(1 + chance(rest.len().min(9))));
                }
                (text.into_bytes(), chunks)
            })
            .collect()
    }

    #[test]
    fn all_line_endings_are_found_at_any_chunk_boundary() {
        use Piece::{Bom, LineEnd, Part, Tail};
        type Row = (&'static [&'static str], &'static [(usize, Piece)]);
        let rows: [Row; 8] = [
            (&["a\nb"], &[(2, LineEnd), (1, Part)]),
            (&["a\r\nb\n"], &[(3, LineEnd), (2, LineEnd)]),
            (&["a\rb\r"], &[(2, LineEnd), (2, LineEnd)]),
            (&["a\r", "\nb"], &[(2, LineEnd), (1, Tail), (1, Part)]),
            (&["a\r", "\r\n\n"], &[(2, LineEnd), (2, LineEnd), (1, LineEnd)]),
            (&["a\r", "b"], &[(2, LineEnd), (1, Part)]),
            (&["\n\r\n\r"], &[(1, LineEnd), (2, LineEnd), (1, LineEnd)]),
            (
                &["\u{feff}a\n\u{feff}b\n"],
                &[(1, Bom), (1, Bom), (1, Bom), (2, LineEnd), (5, LineEnd)],
            ),
        ];
        for (chunks, expected) in rows {
            let mut lines = Lines::default();
            let mut found = Vec::new();
            for chunk in chunks {
                let mut rest = chunk.as_bytes();
                while !rest.is_empty() {
                    let (length, piece) = lines.next(rest);
                    found.push((length, piece));
                    rest = &rest[length..];
                }
            }
            assert_eq!(found, expected, "{chunks:?}");
        }
    }

    #[test]
    fn sse_fields_are_parsed() {
        let rows: [(&str, Option<&str>); 9] = [
            ("id: 1", Some("1")),
            ("id:1", Some("1")),
            ("id:  1", Some(" 1")),
            ("id:", Some("")),
            ("id", Some("")),
            ("id : 1", None),
            ("idx: 1", None),
            ("ID: 1", None),
            (": id", None),
        ];
        for (line, expected) in rows {
            let found = value(line.as_bytes(), b"id");
            assert_eq!(found, expected.map(str::as_bytes), "{line}");
            assert_eq!(may_be_field(b"id", line.as_bytes(), true), expected.is_some(), "{line}");
        }
        for (line, expected) in [("", true), ("i", true), ("d", false), ("idx", false)] {
            assert_eq!(may_be_field(b"id", line.as_bytes(), false), expected, "{line}");
        }
    }
}

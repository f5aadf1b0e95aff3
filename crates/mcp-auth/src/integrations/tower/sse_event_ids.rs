//! Signs the ids of server-sent events, so that only their owner can resume the stream.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::integrations::tower::sse_lines::{
    ChunkOutput, Lines, Piece, may_be_field, split_end, value,
};

/// The maximum length of a line with an id, in bytes. Such a line is held until it is complete. Clients send
/// the id back in a header.
pub(super) const MAX_ID_LINE_BYTES: usize = 1024;

/// A line that clients ignore.
const COMMENT: &[u8] = b":";

/// Replaces the value of each `id` field by the result of `sign`, and passes everything else on unchanged.
///
/// An id that cannot be replaced becomes an empty comment: one that is too long, or one with a NUL, which clients
/// ignore. Clients receive events without an id like others, and resume from the event before. The line itself stays,
/// since a CR before it and an LF after it would become one line end.
pub(super) struct SseEventIds<S> {
    sign: S,
    lines: Lines,
    line: Line,
    /// The start of a line that may be an id.
    held: Vec<u8>,
}

/// What is known about the line of the next byte.
#[derive(Clone, Copy, PartialEq)]
enum Line {
    Undecided,
    Other,
    Dropped,
}

impl<S: Fn(&[u8]) -> Vec<u8>> SseEventIds<S> {
    pub(super) fn new(sign: S) -> Self {
        Self { sign, lines: Lines::default(), line: Line::Undecided, held: Vec::new() }
    }

    pub(super) fn feed(&mut self, chunk: &Bytes, out: &mut VecDeque<Bytes>) {
        let mut output = ChunkOutput::of(chunk, out);
        let mut start = 0;
        while let Some(rest) = chunk.get(start..).filter(|rest| !rest.is_empty()) {
            let (length, piece) = self.lines.next(rest);
            let (bytes, _) = rest.split_at(length);
            let place = start..start + length;
            start = place.end;
            let is_end = piece == Piece::LineEnd;
            match (self.line, piece) {
                (_, Piece::Bom | Piece::Tail) | (Line::Other, _) => output.keep(place),
                (Line::Dropped, _) => output.keep(place.end - split_end(bytes).1.len()..place.end),
                (Line::Undecided, _) => {
                    if self.held.is_empty() && !may_be_field(b"id", split_end(bytes).0, is_end) {
                        output.keep(place);
                        self.line = Line::Other;
                    } else {
                        self.held.extend(bytes);
                        self.decide(is_end, &mut output);
                    }
                }
            }
            if is_end {
                self.line = Line::Undecided;
            }
        }
        output.flush();
    }

    /// Outputs what is still held at the end of the stream: a last line without a line end.
    pub(super) fn finish(&mut self, out: &mut VecDeque<Bytes>) {
        let rest = self.signed_line();
        if !rest.is_empty() {
            out.push_back(rest.into());
        }
    }

    /// Classifies a line by the part of it that is held.
    fn decide(&mut self, is_end: bool, output: &mut ChunkOutput<'_>) {
        if !may_be_field(b"id", split_end(&self.held).0, is_end) {
            output.put(std::mem::take(&mut self.held));
            self.line = Line::Other;
        } else if self.held.len() > MAX_ID_LINE_BYTES {
            let (_, end) = split_end(&self.held);
            output.put([COMMENT, end].concat());
            self.held.clear();
            self.line = Line::Dropped;
        } else if is_end {
            output.put(self.signed_line());
        }
    }

    /// The held line, with its value signed.
    fn signed_line(&mut self) -> Vec<u8> {
        let line = std::mem::take(&mut self.held);
        let (said, end) = split_end(&line);
        match value(said, b"id") {
            // Not an id, or the empty id, with which a client resets its last event id.
            None | Some([]) => line,
            Some(id) if id.contains(&0) => [COMMENT, end].concat(),
            Some(id) => {
                let (name, _) = said.split_at(said.len() - id.len());
                [name, &(self.sign)(id), end].concat()
            }
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::sse_lines::tests::{all_splits, random_splits, whole_lines};
    use super::*;

    fn marked(id: &[u8]) -> Vec<u8> {
        [b"<", id, b">"].concat()
    }

    fn rewritten(chunks: &[Bytes]) -> Vec<u8> {
        let mut ids = SseEventIds::new(marked);
        let mut out = VecDeque::new();
        for chunk in chunks {
            ids.feed(chunk, &mut out);
        }
        ids.finish(&mut out);
        assert!(out.iter().all(|bytes| !bytes.is_empty()), "no empty frames");
        out.iter().flatten().copied().collect()
    }

    /// The expected output for a whole text, computed in another way.
    fn reference(text: &[u8]) -> Vec<u8> {
        let (mark, lines) = whole_lines(text);
        let mut out = mark.to_vec();
        for (said, end) in lines {
            let id = said.strip_prefix(b"id:").filter(|id| !matches!(**id, [] | [b' ']));
            match id {
                Some(_) if said.len() + end.len() > MAX_ID_LINE_BYTES => {
                    out.extend([b":", end].concat());
                }
                Some(id) if id.contains(&0) => out.extend([b":", end].concat()),
                Some([b' ', id @ ..]) => out.extend([b"id: <", id, b">", end].concat()),
                Some(id) => out.extend([b"id:<", id, b">", end].concat()),
                None => out.extend([said, end].concat()),
            }
        }
        out
    }

    #[test]
    fn event_ids_are_signed() {
        let long = format!("id: {}\n", "x".repeat(MAX_ID_LINE_BYTES));
        let data = format!("data: {}\n", "id: 1 ".repeat(5000));
        let rows: [(&str, &str); 21] = [
            ("id: 0/0\ndata: \nretry: 3000\n\n", "id: <0/0>\ndata: \nretry: 3000\n\n"),
            ("data: x\r\nid:1\r\n\r\n", "data: x\r\nid:<1>\r\n\r\n"),
            ("id: 1\rdata: id: 2\r\r", "id: <1>\rdata: id: 2\r\r"),
            ("id:  1 \n", "id: < 1 >\n"),
            ("\u{feff}id: 1\n\u{feff}id: 2\n", "\u{feff}id: <1>\n\u{feff}id: 2\n"),
            ("id\n\n", "id\n\n"),
            ("id:\nid: \n", "id:\nid: \n"),
            ("i\nid\nidx: 1\nID: 1\n id: 1\n", "i\nid\nidx: 1\nID: 1\n id: 1\n"),
            (":\n\n: id: 1\n\n", ":\n\n: id: 1\n\n"),
            ("id: a\0b\ndata: x\n\n", ":\ndata: x\n\n"),
            ("id: a\0b\r\ndata: x\r\n", ":\r\ndata: x\r\n"),
            ("data: x\rid: \0\n\ndata: y\n", "data: x\r:\n\ndata: y\n"),
            (&long, ":\n"),
            ("id: é.ü\n", "id: <é.ü>\n"),
            ("", ""),
            ("id: 1", "id: <1>"),
            ("id", "id"),
            ("i", "i"),
            ("data: x\n\nid: 1\n\nid: 2\n\n", "data: x\n\nid: <1>\n\nid: <2>\n\n"),
            ("\n\n\r\r\n", "\n\n\r\r\n"),
            (&data, &data),
        ];
        for (text, expected) in rows {
            let whole = rewritten(&[Bytes::copy_from_slice(text.as_bytes())]);
            assert_eq!(String::from_utf8_lossy(&whole), expected, "{text:?}");
            assert_eq!(whole, reference(text.as_bytes()), "{text:?}");
            for chunks in all_splits(text.as_bytes()).take(500) {
                assert_eq!(rewritten(&chunks), whole, "{chunks:?}");
            }
        }
    }

    #[test]
    fn any_chunking_gives_the_same_output() {
        for (text, chunks) in
            random_splits(&["id", "id:", "id: 1/2", "i", "id: \0", "data: {}", ":"])
        {
            let split = rewritten(&chunks);
            assert_eq!(split, reference(&text), "{chunks:?}");
        }
    }

    #[test]
    fn other_lines_pass_at_once_without_a_copy() {
        let mut ids = SseEventIds::new(marked);
        for (chunk, at_once) in [(":\n\n", ":\n\n"), ("data: a", "data: a"), ("b\n\ni", "b\n\n")] {
            let chunk = Bytes::copy_from_slice(chunk.as_bytes());
            let mut out = VecDeque::new();
            ids.feed(&chunk, &mut out);
            assert_eq!(out.iter().flatten().copied().collect::<Vec<_>>(), at_once.as_bytes());
            assert!(out.iter().all(|bytes| bytes.as_ptr() == chunk.as_ptr()), "{chunk:?}");
        }
        let mut out = VecDeque::new();
        ids.feed(&Bytes::from_static(b"gnored\n"), &mut out);
        assert_eq!(out, ["ignored\n"], "what was held back comes with the rest");
    }
}

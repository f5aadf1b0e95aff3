//! Filters lists in event streams: holds an event until it is complete, and rewrites it for its reader.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::integrations::tower::sse_lines::{
    ChunkOutput, Lines, Piece, lines, may_be_field, split_end, value,
};
use crate::policy::list_filter::UnfilterableList;

/// The maximum size of an event that is held, in bytes. A longer one is not passed on, and ends the stream. The
/// rmcp client also accepts 16 MiB at most.
pub(super) const MAX_EVENT_BYTES: usize = 16 * 1024 * 1024;

/// Rewrites the data of events that are messages with `rewrite`, which returns `None` for a message that stays
/// unchanged.
///
/// Lines before the data of an event, and comments between events, pass at once.
pub(super) struct SseListFilter<S> {
    rewrite: S,
    longest: usize,
    lines: Lines,
    state: State,
    /// What is held: the start of a line, or an event.
    held: Vec<u8>,
}

/// What is known about the position of the next byte.
#[derive(Clone, Copy)]
enum State {
    /// In a line that may be a data line, or at its start. The line is held.
    Undecided,
    /// In a line that is not a data line. The line passes.
    Passing,
    /// In an event that is held from its first data line on.
    Holding { is_at_start: bool },
}

impl<S: Fn(&str) -> Result<Option<String>, UnfilterableList>> SseListFilter<S> {
    pub(super) fn new(rewrite: S, longest: usize) -> Self {
        let lines = Lines::default();
        Self { rewrite, longest, lines, state: State::Undecided, held: Vec::new() }
    }

    /// Processes a chunk. If an event cannot be filtered, what comes before it is still passed on.
    pub(super) fn feed(
        &mut self,
        chunk: &Bytes,
        out: &mut VecDeque<Bytes>,
    ) -> Result<(), UnfilterableList> {
        let mut output = ChunkOutput::of(chunk, out);
        let outcome = self.filter(chunk, &mut output);
        output.flush();
        outcome
    }

    /// Outputs what is still held at the end of the stream: an event without its blank line, which some clients
    /// accept.
    pub(super) fn finish(&mut self, out: &mut VecDeque<Bytes>) -> Result<(), UnfilterableList> {
        let rest = match self.state {
            State::Holding { .. } => self.event()?,
            State::Undecided | State::Passing => std::mem::take(&mut self.held),
        };
        if !rest.is_empty() {
            out.push_back(rest.into());
        }
        Ok(())
    }

    fn filter(
        &mut self,
        chunk: &Bytes,
        output: &mut ChunkOutput<'_>,
    ) -> Result<(), UnfilterableList> {
        let mut start = 0;
        while let Some(rest) = chunk.get(start..).filter(|rest| !rest.is_empty()) {
            let (length, piece) = self.lines.next(rest);
            let (bytes, _) = rest.split_at(length);
            let place = start..start + length;
            start = place.end;
            let is_end = piece == Piece::LineEnd;
            match (self.state, piece) {
                (State::Holding { is_at_start }, _) => {
                    self.hold(bytes)?;
                    self.state = State::Holding { is_at_start: is_end || piece == Piece::Tail };
                    // A blank line ends the event.
                    if is_at_start && is_end && split_end(bytes).0.is_empty() {
                        output.put(self.event()?);
                    }
                }
                (_, Piece::Bom | Piece::Tail) => output.keep(place),
                (State::Passing, _) => {
                    output.keep(place);
                    self.state = State::after_other(is_end);
                }
                (State::Undecided, _) => {
                    if self.held.is_empty() && !may_be_field(b"data", split_end(bytes).0, is_end) {
                        output.keep(place);
                        self.state = State::after_other(is_end);
                    } else {
                        self.hold(bytes)?;
                        self.decide(is_end, output);
                    }
                }
            }
        }
        Ok(())
    }

    /// Classifies a line by the part of it that is held.
    fn decide(&mut self, is_end: bool, output: &mut ChunkOutput<'_>) {
        let (said, _) = split_end(&self.held);
        self.state = if !may_be_field(b"data", said, is_end) {
            output.put(std::mem::take(&mut self.held));
            State::after_other(is_end)
        } else if is_end || said.len() > b"data".len() {
            State::Holding { is_at_start: is_end }
        } else {
            State::Undecided
        };
    }

    fn hold(&mut self, bytes: &[u8]) -> Result<(), UnfilterableList> {
        if self.held.len() + bytes.len() > self.longest {
            return Err(UnfilterableList);
        }
        self.held.extend(bytes);
        Ok(())
    }

    /// The held event, as its reader may see it. The next line begins another event.
    fn event(&mut self) -> Result<Vec<u8>, UnfilterableList> {
        self.state = State::Undecided;
        let event = std::mem::take(&mut self.held);
        let data: Vec<&[u8]> =
            lines(&event).filter_map(|line| value(split_end(line).0, b"data")).collect();
        let data = data.join(&b'\n');
        if !is_message(&data) {
            return Ok(event);
        }
        let data = std::str::from_utf8(&data).map_err(|_| UnfilterableList)?;
        let Some(shown) = (self.rewrite)(data)? else { return Ok(event) };
        let mut rewritten = Vec::with_capacity(event.len());
        let mut shown = Some(shown);
        for line in lines(&event) {
            let (said, end) = split_end(line);
            if value(said, b"data").is_none() {
                rewritten.extend(line);
                continue;
            }
            for line in shown.take().iter().flat_map(|shown| shown.split('\n')) {
                rewritten.extend([b"data: ", line.as_bytes(), end].concat());
            }
        }
        Ok(rewritten)
    }
}

impl State {
    /// The state after part of a line that is not a data line.
    const fn after_other(is_end: bool) -> Self {
        if is_end { Self::Undecided } else { Self::Passing }
    }
}

/// Whether data may be JSON-RPC. In anything else (nothing, a URL, a text), clients find no list.
fn is_message(data: &[u8]) -> bool {
    let data = data.strip_prefix("\u{feff}".as_bytes()).unwrap_or(data);
    matches!(data.trim_ascii_start().first(), Some(b'{' | b'['))
}

#[cfg(test)]
mod tests {
    use super::super::sse_lines::tests::{all_splits, random_splits, whole_lines};
    use super::*;
    use crate::policy::list_filter::tests::lists;

    const LIST: &str = r#"{"result":{"tools":[{"name":"a"},{"name":"admin"}]}}"#;
    const SHOWN: &str = r#"{"result":{"tools":[{"name":"a"}]}}"#;

    fn rewrite(message: &str) -> Result<Option<String>, UnfilterableList> {
        lists(false).filter_for(None, message, false)
    }

    fn rewritten(chunks: &[Bytes]) -> Result<Vec<u8>, UnfilterableList> {
        let mut events = SseListFilter::new(rewrite, 1024);
        let mut out = VecDeque::new();
        for chunk in chunks {
            events.feed(chunk, &mut out)?;
        }
        events.finish(&mut out)?;
        assert!(out.iter().all(|bytes| !bytes.is_empty()), "no empty frames");
        Ok(out.iter().flatten().copied().collect())
    }

    /// The expected output for a whole text, computed in another way.
    fn reference(text: &[u8]) -> Result<Vec<u8>, UnfilterableList> {
        let (mark, lines) = whole_lines(text);
        let mut out = mark.to_vec();
        for event in lines.split_inclusive(|(said, _)| said.is_empty()) {
            let data = |said: &[u8]| value(said, b"data").map(<[u8]>::to_vec);
            let all: Vec<_> = event.iter().filter_map(|(said, _)| data(said)).collect();
            let all = String::from_utf8(all.join(&b'\n')).expect("text");
            let mut shown = match all.trim_start().chars().next() {
                Some('{' | '[') => rewrite(&all)?,
                _ => None,
            };
            let is_rewritten = shown.is_some();
            for (said, end) in event {
                match shown.take_if(|_| data(said).is_some()) {
                    Some(shown) => {
                        for line in shown.split('\n') {
                            out.extend([b"data: ", line.as_bytes(), end].concat());
                        }
                    }
                    None if is_rewritten && data(said).is_some() => {}
                    None => out.extend([*said, end].concat()),
                }
            }
        }
        Ok(out)
    }

    #[test]
    fn lists_in_events_are_filtered() {
        let two = LIST.replacen(':', ":\ndata:", 1);
        let two_shown = SHOWN.replacen(':', ":\ndata: ", 1);
        let rows = [
            (format!("id: 1\ndata: {LIST}\n\n"), format!("id: 1\ndata: {SHOWN}\n\n")),
            (
                format!("data:{LIST}\nid: 1\nretry: 5\n\n"),
                format!("data: {SHOWN}\nid: 1\nretry: 5\n\n"),
            ),
            (format!("data: {LIST}\r\n\r\n:\r\n\r\n"), format!("data: {SHOWN}\r\n\r\n:\r\n\r\n")),
            (format!("data: {LIST}\r\rdata: x\r\r"), format!("data: {SHOWN}\r\rdata: x\r\r")),
            (format!("data: {two}\n: note\n\n"), format!("data: {two_shown}\n: note\n\n")),
            (format!("\u{feff}data: {LIST}\n\n"), format!("\u{feff}data: {SHOWN}\n\n")),
            (format!("data: {LIST}"), format!("data: {SHOWN}")),
            (
                format!("data: {LIST}\n\ndata: {LIST}\n\n"),
                format!("data: {SHOWN}\n\ndata: {SHOWN}\n\n"),
            ),
            (format!("datax: {LIST}\n\n"), format!("datax: {LIST}\n\n")),
            (format!(": {LIST}\n\n"), format!(": {LIST}\n\n")),
            (
                "event: endpoint\ndata: /messages\n\n".into(),
                "event: endpoint\ndata: /messages\n\n".into(),
            ),
            ("data\ndata: \nretry: 3000\n\n".into(), "data\ndata: \nretry: 3000\n\n".into()),
            (
                "data: {\"id\":1,  \"result\":{}}\n\n".into(),
                "data: {\"id\":1,  \"result\":{}}\n\n".into(),
            ),
            ("dat\nd\n\ndata".into(), "dat\nd\n\ndata".into()),
        ];
        for (text, expected) in rows {
            let whole = rewritten(&[Bytes::copy_from_slice(text.as_bytes())]).expect("readable");
            assert_eq!(String::from_utf8_lossy(&whole), expected, "{text:?}");
            for chunks in all_splits(text.as_bytes()) {
                assert_eq!(rewritten(&chunks).as_deref(), Ok(expected.as_bytes()), "{chunks:?}");
            }
        }
    }

    #[test]
    fn an_unfilterable_event_ends_the_stream() {
        let long = format!("data: [{}]\n\n", " ".repeat(1024));
        let mut events = SseListFilter::new(rewrite, 1024);
        let mut out = VecDeque::new();
        let chunk = Bytes::from_static(b"data: {}\n\ndata: {\n\ndata: {}\n\n");
        assert_eq!(events.feed(&chunk, &mut out), Err(UnfilterableList));
        assert_eq!(out, ["data: {}\n\n"], "what came before it");
        for text in [
            "data: {\n\n",
            "data: {\"result\":{},\"result\":{}}\n\n",
            "data: \u{feff}{}\n\n",
            "data: {}\ndata: {}\n\n",
            "data: [",
            &long,
        ] {
            assert_eq!(
                rewritten(&[Bytes::copy_from_slice(text.as_bytes())]),
                Err(UnfilterableList)
            );
        }
        assert_eq!(
            rewritten(&[Bytes::from_static(b"data: {\"a\":\"\xff\"}\n\n")]),
            Err(UnfilterableList)
        );
    }

    #[test]
    fn any_chunking_gives_the_same_output() {
        let list = format!("data: {LIST}");
        let words =
            [&*list, "data: {}", "data: [", "data: 1]", "data", "id: 1", ":", "data: x", "dat"];
        for (text, chunks) in random_splits(&words) {
            assert_eq!(rewritten(&chunks), reference(&text), "{chunks:?}");
        }
    }

    #[test]
    fn text_between_events_passes_at_once() {
        let mut events = SseListFilter::new(rewrite, 1024);
        for (chunk, at_once) in [
            (":\n\n", ":\n\n"),
            ("id: 1\nda", "id: 1\n"),
            ("ta: {}\n", ""),
            ("\n:\n", "data: {}\n\n:\n"),
        ] {
            let chunk = Bytes::copy_from_slice(chunk.as_bytes());
            let mut out = VecDeque::new();
            assert_eq!(events.feed(&chunk, &mut out), Ok(()));
            assert_eq!(out.iter().flatten().copied().collect::<Vec<_>>(), at_once.as_bytes());
        }
    }
}

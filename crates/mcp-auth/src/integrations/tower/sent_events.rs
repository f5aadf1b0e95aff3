//! `SentEvents`: what was sent of an event stream, as far as its last events depend on it.

use bytes::Bytes;

/// The end of what was sent of an event stream.
#[derive(Debug, Default)]
pub(super) struct SentEvents {
    /// Its last bytes. Three are enough for a line end and the one before.
    tail: [u8; 3],
    /// How many bytes of `tail` are known.
    length: usize,
    /// The stream is compressed, so nothing can be added to it.
    is_encoded: bool,
}

impl SentEvents {
    pub(super) fn encoded() -> Self {
        Self { is_encoded: true, ..Self::default() }
    }

    /// Records bytes that are sent.
    pub(super) fn record(&mut self, bytes: &[u8]) {
        for byte in bytes.iter().skip(bytes.len().saturating_sub(3)) {
            self.tail.rotate_left(1);
            self.tail[2] = *byte;
        }
        self.length = self.length.saturating_add(bytes.len());
    }

    /// These messages as events, to be sent next. An event of which only a part was sent becomes one that clients ignore.
    pub(super) fn last_events(&self, messages: Vec<String>) -> Option<Bytes> {
        if messages.is_empty() || self.is_encoded {
            return None;
        }
        let mut events = String::new();
        if !self.is_at_event_end() {
            // Clients take only events without a name, or of the name `message`.
            events += "\nevent: cancelled\n\n";
        }
        for message in messages {
            events += &format!("data: {message}\n\n");
        }
        Some(events.into())
    }

    /// Whether what was sent ends with an empty line, or is empty.
    fn is_at_event_end(&self) -> bool {
        let known = self.tail.split_at(3 - self.length.min(3)).1;
        let before = known
            .strip_suffix(b"\r\n")
            .or_else(|| known.strip_suffix(b"\n"))
            .or_else(|| known.strip_suffix(b"\r"));
        let is_end = |byte: &u8| matches!(byte, b'\n' | b'\r');
        known.is_empty() || before.is_some_and(|before| before.last().is_none_or(is_end))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_event_is_not_joined_with_one_that_was_cut_off() {
        let whole =
            ["", "\n", "\r\n", "data: {}\n\n", ": x\r\n\r\n", "data: {}\r\r", "x\n\r\n", "\n\n"];
        let cut = ["data: {}\n", "data: {", "\r\ndata", "x\r\n", "x\r", "event: message\n", "ab\n"];
        for (texts, is_whole) in [(&whole[..], true), (&cut[..], false)] {
            for text in texts {
                for pieces in [text.len().max(1), 1] {
                    let mut sent = SentEvents::default();
                    text.as_bytes().chunks(pieces).for_each(|piece| sent.record(piece));
                    let last = sent.last_events(vec!["{}".to_owned()]).expect("an event");
                    let expected = if is_whole {
                        "data: {}\n\n"
                    } else {
                        "\nevent: cancelled\n\ndata: {}\n\n"
                    };
                    assert_eq!(last, expected, "{text:?} {pieces}");
                }
            }
        }
    }

    #[test]
    fn nothing_is_added_without_a_message_or_to_a_compressed_stream() {
        assert_eq!(SentEvents::default().last_events(Vec::new()), None);
        assert_eq!(SentEvents::encoded().last_events(vec!["{}".to_owned()]), None);
    }
}

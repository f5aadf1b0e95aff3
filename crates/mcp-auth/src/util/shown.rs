//! Untrusted text for log lines: on one line, without the marks by which a line is divided into fields, and bounded.
//!
//! Lines are read by people and by programs, and not every subscriber escapes. So it is escaped here, at every level.

use std::borrow::Cow;
use std::error::Error;
use std::fmt::{self, Write as _};

/// The maximum length of a text, in characters. Honest names and URLs are shorter.
const MAX_TEXT: usize = 256;

/// The maximum length of a sentence: a detail, or an error with its causes.
const MAX_SENTENCE: usize = 2_000;

/// How many causes of an error are shown. No error of this crate has as many.
const MAX_CAUSES: usize = 8;

/// Text that is escaped and cut while it is written.
pub(crate) struct Shown<'t> {
    text: &'t str,
    max: usize,
    is_plain: fn(char) -> bool,
    /// Whether a word and `=` after white space stay as they are. Else they could pass for a field.
    has_fields: bool,
}

/// A name that others wrote. Everything by which it could pass for a field of the line is escaped.
pub(crate) fn name(text: &str) -> Shown<'_> {
    Shown { text, max: MAX_TEXT, is_plain: is_in_name, has_fields: true }
}

/// Names with spaces between, like the scopes of a token.
pub(crate) fn names(text: &str) -> Shown<'_> {
    Shown { text, max: MAX_TEXT, is_plain: |c| c == ' ' || is_in_name(c), has_fields: true }
}

/// A URL. Like a [`name`], but a query may have `=`.
pub(crate) fn url(text: &str) -> Shown<'_> {
    let is_plain = |c: char| c.is_ascii_graphic() && !matches!(c, '"' | '\'' | '`' | '\\');
    Shown { text, max: MAX_TEXT, is_plain, has_fields: true }
}

/// A sentence of this crate or of its user. It stays readable, and is not put into quotes. Text of others comes into
/// it as a [`name`].
pub(crate) fn sentence(text: &str) -> Shown<'_> {
    Shown { text, max: MAX_SENTENCE, is_plain: is_printable, has_fields: false }
}

/// A text as the value of a field. Subscribers put it into quotes, and escape the quotes in it.
pub(crate) fn field(text: &str) -> Cow<'_, str> {
    let shown = Shown { text, max: MAX_TEXT, is_plain: is_printable, has_fields: true };
    match text.len() <= MAX_TEXT && text.chars().all(is_printable) {
        true => Cow::Borrowed(text),
        false => Cow::Owned(shown.to_string()),
    }
}

/// An error and its causes as one text, as the value of a field.
pub(crate) fn error(error: &(dyn Error + 'static)) -> String {
    let causes =
        std::iter::successors(Some(error), |error: &&(dyn Error + 'static)| (*error).source());
    let mut text = String::new();
    for error in causes.take(MAX_CAUSES) {
        let before = if text.is_empty() { "" } else { ": " };
        // Writing to a string does not fail, but an error's own `Display` may.
        let start = text.len();
        if write!(text, "{before}{error}").is_err() {
            text.truncate(start);
        }
    }
    Shown { text: &text, max: MAX_SENTENCE, is_plain: is_printable, has_fields: true }.to_string()
}

fn is_in_name(c: char) -> bool {
    c.is_ascii_graphic() && !matches!(c, '"' | '\'' | '`' | '\\' | '=')
}

/// Whether a character is shown as it is: not a control character, not one that changes the direction of the text or
/// is invisible, and not a line break.
fn is_printable(c: char) -> bool {
    // Letters and symbols that look like nothing.
    let is_blank = matches!(c, '\u{115f}' | '\u{1160}' | '\u{2800}' | '\u{3164}' | '\u{ffa0}');
    matches!(c, ' '..='~') || (!c.is_ascii() && !is_blank && c.escape_debug().len() == 1)
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut is_word = true;
        for (number, c) in self.text.chars().enumerate() {
            if number == self.max {
                return f.write_str("...");
            }
            let is_field = !self.has_fields && is_word && c == '=';
            is_word = c.is_whitespace() || (is_word && (c.is_alphanumeric() || "._-".contains(c)));
            match (self.is_plain)(c) && !is_field {
                true => f.write_char(c)?,
                false => write!(f, "{}", c.escape_unicode())?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_on_one_line_and_cannot_pass_for_fields() {
        for (text, as_name, as_url, as_field) in [
            ("show_note-1.x/y", "show_note-1.x/y", "show_note-1.x/y", "show_note-1.x/y"),
            ("a b", "a\\u{20}b", "a\\u{20}b", "a b"),
            ("a=\"b\"", "a\\u{3d}\\u{22}b\\u{22}", "a=\\u{22}b\\u{22}", "a=\"b\""),
            ("`a'\\", "\\u{60}a\\u{27}\\u{5c}", "\\u{60}a\\u{27}\\u{5c}", "`a'\\"),
            (
                "a\nb\r\t\0",
                "a\\u{a}b\\u{d}\\u{9}\\u{0}",
                "a\\u{a}b\\u{d}\\u{9}\\u{0}",
                "a\\u{a}b\\u{d}\\u{9}\\u{0}",
            ),
            ("\u{1b}[31m", "\\u{1b}[31m", "\\u{1b}[31m", "\\u{1b}[31m"),
            (
                "\u{7f}\u{9b}\u{85}",
                "\\u{7f}\\u{9b}\\u{85}",
                "\\u{7f}\\u{9b}\\u{85}",
                "\\u{7f}\\u{9b}\\u{85}",
            ),
            // Right-to-left override, isolate, line separator, zero-width space, byte order mark.
            ("\u{202e}", "\\u{202e}", "\\u{202e}", "\\u{202e}"),
            ("\u{2066}\u{2028}", "\\u{2066}\\u{2028}", "\\u{2066}\\u{2028}", "\\u{2066}\\u{2028}"),
            ("\u{200b}\u{feff}", "\\u{200b}\\u{feff}", "\\u{200b}\\u{feff}", "\\u{200b}\\u{feff}"),
            ("筆記", "\\u{7b46}\\u{8a18}", "\\u{7b46}\\u{8a18}", "筆記"),
            ("", "", "", ""),
        ] {
            let shown = [name(text).to_string(), url(text).to_string(), field(text).into_owned()];
            assert_eq!(shown, [as_name, as_url, as_field], "{text:?}");
            assert_eq!(names(text).to_string(), as_name.replace("\\u{20}", " "), "{text:?}");
            let as_sentence = as_field.replace("a=", "a\\u{3d}");
            assert_eq!(sentence(text).to_string(), as_sentence, "{text:?}");
        }
        for (text, shown) in [
            ("x decision=\"admitted\" a.b-c_d=1", "x decision\\u{3d}\"admitted\" a.b-c_d\\u{3d}1"),
            ("the header `a=b`, https://x/?a=b", "the header `a=b`, https://x/?a=b"),
            ("a = b == c", "a \\u{3d} b \\u{3d}= c"),
        ] {
            assert_eq!(sentence(text).to_string(), shown);
        }
    }

    #[test]
    fn long_text_is_cut() {
        let long = "é".repeat(100_000);
        assert_eq!(name(&long).to_string().len(), 256 * "\\u{e9}".len() + 3);
        assert_eq!(field(&long).chars().count(), 256 + 3);
        assert_eq!(sentence(&long).to_string().chars().count(), 2_000 + 3);
        assert!(matches!(field("short"), Cow::Borrowed("short")));
    }

    #[test]
    fn an_error_is_shown_with_its_causes() {
        #[derive(Debug, thiserror::Error)]
        #[error("outer\n2026-01-01 INFO forged")]
        struct Outer(#[source] std::io::Error);

        let shown = error(&Outer(std::io::Error::other("inner")));
        assert_eq!(shown, "outer\\u{a}2026-01-01 INFO forged: inner");
    }
}

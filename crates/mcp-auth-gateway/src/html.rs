//! HTML, in which every text that is not a constant of this program is escaped.

use std::fmt::{self, Write as _};

/// The longest text that is shown, in characters.
const MAX_CHARS: usize = 600;

/// HTML that is being written.
#[derive(Debug, Default)]
pub(crate) struct Html(String);

impl Html {
    /// Adds markup, which only this program can write.
    pub(crate) fn markup(&mut self, markup: &'static str) -> &mut Self {
        self.0.push_str(markup);
        self
    }

    /// Adds a text, also as the value of an attribute in quotes. What is not printable is shown as an escape, so that it
    /// neither hides nor turns around what follows.
    pub(crate) fn text(&mut self, text: impl fmt::Display) -> &mut Self {
        let mut shown = Shown { html: &mut self.0, left: MAX_CHARS };
        // It fails only to say that the rest is not shown.
        if write!(shown, "{text}").is_err() {
            self.0.push('…');
        }
        self
    }

    /// An element with a text.
    pub(crate) fn element(
        &mut self,
        start: &'static str,
        text: impl fmt::Display,
        end: &'static str,
    ) -> &mut Self {
        self.markup(start).text(text).markup(end)
    }

    pub(crate) fn into_string(self) -> String {
        self.0
    }
}

/// Escapes what is written to it, up to a length.
struct Shown<'h> {
    html: &'h mut String,
    left: usize,
}

impl fmt::Write for Shown<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for char in text.chars() {
            self.left = self.left.checked_sub(1).ok_or(fmt::Error)?;
            match char {
                '&' => self.html.push_str("&amp;"),
                '<' => self.html.push_str("&lt;"),
                '>' => self.html.push_str("&gt;"),
                '"' => self.html.push_str("&quot;"),
                '\'' => self.html.push_str("&#39;"),
                '\\' => self.html.push('\\'),
                char => self.html.extend(char.escape_debug()),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_becomes_markup() {
        for (text, expected) in [
            ("<script>alert(1)</script>", "&lt;script&gt;alert(1)&lt;/script&gt;"),
            ("\" onload=\"alert(1)", "&quot; onload=&quot;alert(1)"),
            ("' onload='alert(1)", "&#39; onload=&#39;alert(1)"),
            ("&lt;b&gt;", "&amp;lt;b&amp;gt;"),
            ("a\u{202e}b\u{1b}[31m\n\0", "a\\u{202e}b\\u{1b}[31m\\n\\0"),
            ("é 漢 \\", "é 漢 \\"),
        ] {
            let mut html = Html::default();
            html.text(text);
            assert_eq!(html.into_string(), expected);
        }
        let mut html = Html::default();
        html.text("<".repeat(1000));
        assert_eq!(html.into_string(), "&lt;".repeat(MAX_CHARS) + "…");
    }
}

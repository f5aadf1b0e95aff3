//! What is wrong with a configuration, and where.

use std::fmt;

/// What is wrong with a configuration. The text names the line and the column, where there is one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Error {
    message: String,
    place: Option<(usize, usize)>,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.place {
            Some((line, column)) => write!(f, "line {line}, column {column}: {}", self.message),
            None => f.write_str(&self.message),
        }
    }
}

impl Error {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), place: None }
    }

    /// The same error, about a part of the configuration: `issuer "login": ..`.
    pub(crate) fn of(part: &str, name: &str, error: impl fmt::Display) -> Self {
        Self::new(format!("{part} {name:?}: {error}"))
    }

    /// Line and column, both from 1. Returns `None` if the error is about the configuration as a whole.
    #[must_use]
    pub fn place(&self) -> Option<(usize, usize)> {
        self.place
    }

    pub(crate) fn in_toml(error: &toml::de::Error, text: &str) -> Self {
        let before = error.span().and_then(|span| text.get(..span.start));
        let place = before.map(|before| {
            let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
            let column = before.get(line_start..).map_or(0, |line| line.chars().count());
            (before.matches('\n').count() + 1, column + 1)
        });
        Self { message: with_suggestion(error.message()), place }
    }

    pub(crate) fn in_json(error: &serde_json::Error) -> Self {
        let text = error.to_string();
        let message = text.rsplit_once(" at line ").map_or(&*text, |(message, _)| message);
        Self { message: with_suggestion(message), place: Some((error.line(), error.column())) }
    }
}

/// serde's message about an unknown key, with the nearest of the known ones.
fn with_suggestion(message: &str) -> String {
    let Some(("", rest)) = message.split_once("unknown field `") else { return message.into() };
    let mut words = rest.split('`').step_by(2);
    let unknown = words.next().unwrap_or_default();
    let known: Vec<_> = rest.split('`').skip(2).step_by(2).collect();
    let nearest = known.iter().min_by_key(|known| distance(unknown, known));
    match nearest.filter(|nearest| distance(unknown, nearest) <= unknown.len().div_ceil(2)) {
        Some(nearest) => format!("unknown key `{unknown}`; did you mean `{nearest}`?"),
        None => format!("unknown key `{unknown}`; the keys here are: {}", known.join(", ")),
    }
}

/// The number of characters to insert, delete or replace (Levenshtein).
fn distance(one: &str, other: &str) -> usize {
    let mut row: Vec<_> = (0..=other.chars().count()).collect();
    for (i, a) in one.chars().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        for (b, above) in other.chars().zip(row.iter_mut().skip(1)) {
            let here = (diagonal + usize::from(a != b)).min(*above + 1).min(left + 1);
            diagonal = std::mem::replace(above, here);
            left = here;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_counted() {
        for (one, other, expected) in [
            ("", "", 0),
            ("abc", "", 3),
            ("", "abc", 3),
            ("scope", "scopes", 1),
            ("kitten", "sitting", 3),
        ] {
            assert_eq!(distance(one, other), expected, "{one} {other}");
        }
    }

    #[test]
    fn an_unknown_key_is_answered_with_the_nearest() {
        for (message, expected) in [
            (
                "unknown field `scope`, expected one of `url`, `scopes`",
                "unknown key `scope`; did you mean `scopes`?",
            ),
            (
                "unknown field `zzzz`, expected `url` or `scopes`",
                "unknown key `zzzz`; the keys here are: url, scopes",
            ),
            ("missing field `url`", "missing field `url`"),
        ] {
            assert_eq!(with_suggestion(message), expected);
        }
    }
}

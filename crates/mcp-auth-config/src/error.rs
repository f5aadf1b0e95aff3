//! What is wrong with a configuration, and where.

use std::fmt;

use mcp_auth::ConfigError;
use schemars::Schema;

use crate::keys::in_keys;
use crate::places::{self, Places};
use crate::reading;

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

    /// What the library says, in the words of the file.
    pub(crate) fn of_library(error: &ConfigError) -> Self {
        match error {
            // What is wrong may be the URL of a resource, and not an alias.
            ConfigError::Alias { alias, why } => Self::new(format!("{alias:?} {why}")),
            error => Self::new(in_keys(&error.to_string())),
        }
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
        Self { message: reading::in_words(error.message()), place }
    }

    /// Says where an unknown key belongs, if it is known elsewhere.
    pub(crate) fn with_place(mut self, schema: &Schema) -> Self {
        let Some((key, rest)) =
            self.message.strip_prefix(reading::UNKNOWN_KEY).and_then(|rest| rest.split_once('`'))
        else {
            return self;
        };
        let Places { main, inner } = places::of(key, schema);
        self.message = match (main.join(" or "), inner.join(" or ")) {
            (main, inner) if main.is_empty() && inner.is_empty() => return self,
            (main, inner) if main.is_empty() => {
                format!("unknown key `{key}`, which belongs to {inner}{rest}")
            }
            (main, _) => format!("unknown key `{key}`, which belongs to {main}"),
        };
        self
    }

    pub(crate) fn in_json(error: &serde_json::Error) -> Self {
        let text = error.to_string();
        let message = text.rsplit_once(" at line ").map_or(&*text, |(message, _)| message);
        Self { message: reading::in_words(message), place: Some((error.line(), error.column())) }
    }
}

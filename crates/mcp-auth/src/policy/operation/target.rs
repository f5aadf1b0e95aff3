//! `Target`: what a method applies to, such as a tool, a prompt, resources or a task.

use std::borrow::Cow;

use crate::model::error_codes::BadMessage;
use crate::util::json::Raw;

/// The maximum length of a name or URI. Each is compared with patterns.
const MAX_NAME_BYTES: usize = 8 * 1024;

/// What a method applies to, as far as rules need it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Target<'m> {
    #[default]
    None,
    Prompt(Cow<'m, str>),
    Resources(Vec<Cow<'m, str>>),
    Task(Cow<'m, str>),
    Tool(Cow<'m, str>),
}

impl Target<'_> {
    /// Its name, or its URIs.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        let (one, several) = match self {
            Self::None => (None, &[][..]),
            Self::Prompt(name) | Self::Task(name) | Self::Tool(name) => (Some(name), &[][..]),
            Self::Resources(uris) => (None, &uris[..]),
        };
        one.into_iter().chain(several).map(|name| &**name)
    }
}

/// A name that a decision may depend on: a string without control characters, not empty and not too long.
pub(super) fn valid_name(value: Option<Raw<'_>>) -> Result<Cow<'_, str>, BadMessage> {
    let name = value.and_then(Raw::string).ok_or(BadMessage::Target)?;
    if is_valid_name(&name) { Ok(name) } else { Err(BadMessage::Target) }
}

/// Whether a decision may depend on the name.
pub(super) fn is_valid_name(name: &str) -> bool {
    (1..=MAX_NAME_BYTES).contains(&name.len()) && !has_controls(name)
}

fn has_controls(name: &str) -> bool {
    // No early exit, so that the compiler can vectorize it.
    let has_other = name.bytes().fold(false, |other, byte| other | !matches!(byte, b' '..=b'~'));
    has_other && name.contains(char::is_control)
}

//! What a method applies to: a tool, a prompt, resources, a task.

use std::borrow::Cow;

use crate::model::error_codes::BadMessage;
use crate::util::json::Raw;

/// Names of tools and URIs are looked up among patterns.
const MAX_NAME_BYTES: usize = 8 * 1024;

/// What a method applies to, as far as rules speak of it.
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
    /// What it is called.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        let (one, several) = match self {
            Self::None => (None, &[][..]),
            Self::Prompt(name) | Self::Task(name) | Self::Tool(name) => (Some(name), &[][..]),
            Self::Resources(uris) => (None, &uris[..]),
        };
        one.into_iter().chain(several).map(|name| &**name)
    }
}

/// A name on which a decision rests: a string without control characters, of some length.
pub(super) fn valid_name(value: Option<Raw<'_>>) -> Result<Cow<'_, str>, BadMessage> {
    let name = value.and_then(Raw::string).ok_or(BadMessage::Target)?;
    if is_valid_name(&name) { Ok(name) } else { Err(BadMessage::Target) }
}

/// Whether a decision can rest on it.
pub(super) fn is_valid_name(name: &str) -> bool {
    (1..=MAX_NAME_BYTES).contains(&name.len()) && !has_controls(name)
}

fn has_controls(name: &str) -> bool {
    // To the end in any case: many bytes at once, where the machine can.
    let is_odd = name.bytes().fold(false, |odd, byte| odd | !matches!(byte, b' '..=b'~'));
    is_odd && name.contains(char::is_control)
}

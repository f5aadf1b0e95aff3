//! `Target`: what a message names, such as a tool, a prompt, a resource or a task.

use std::borrow::Cow;

use crate::model::error_codes::BadMessage;
use crate::util::json::Raw;

/// The maximum length of a name or URI. Each is compared with patterns.
const MAX_NAME_BYTES: usize = 8 * 1024;

/// A name in the `params` of a message, which rules may cover.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target<'m> {
    pub(crate) kind: TargetKind,
    /// `None` if it is not a name that a decision may depend on. Then the message is refused if there are rules
    /// of this kind.
    pub(crate) name: Option<Cow<'m, str>>,
}

/// The kind of a [`Target`]. It decides which rules apply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TargetKind {
    Prompt,
    /// The URI of a resource.
    Resource,
    Task,
    /// A URI template, or a URI, of which an argument is completed.
    Template,
    Tool,
    /// A name in a message of which it is not known whether it names tools or prompts.
    ToolOrPrompt,
}

impl<'m> Target<'m> {
    pub(super) fn of(kind: TargetKind, name: impl Into<Cow<'m, str>>) -> Self {
        Self { kind, name: Some(name.into()) }
    }

    /// The target of a method that requires one.
    pub(super) fn required(kind: TargetKind, value: Option<Raw<'m>>) -> Result<Self, BadMessage> {
        Ok(Self { kind, name: Some(valid_name(value)?) })
    }

    /// A target that the method does not require.
    pub(super) fn optional(kind: TargetKind, value: Raw<'m>) -> Self {
        Self { kind, name: valid_name(Some(value)).ok() }
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

//! What a method applies to: a tool, a prompt, resources, a task.

use std::borrow::Cow;

use super::members::fields;
use super::message::Params;
use crate::model::denial::BadMessage;
use crate::util::json::{Raw, Reader};

/// Names of tools and URIs are looked up among patterns.
const MAX_NAME_BYTES: usize = 8 * 1024;
/// As many resources as one request may subscribe to; each is judged by itself.
const MAX_SUBSCRIPTIONS: usize = 256;

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

impl<'m> Params<'m> {
    pub(super) fn target(&self, method: &str) -> Result<Target<'m>, BadMessage> {
        Ok(match method {
            "tools/call" => Target::Tool(word(self.name)?),
            "prompts/get" => Target::Prompt(word(self.name)?),
            "resources/read" | "resources/subscribe" | "resources/unsubscribe" => {
                Target::Resources(vec![word(self.uri)?])
            }
            "tasks/cancel" | "tasks/get" | "tasks/result" | "tasks/update" => {
                Target::Task(word(self.task)?)
            }
            "completion/complete" => completed(self.reference)?,
            "subscriptions/listen" => Target::Resources(listened(self.notifications)?),
            _ => Target::None,
        })
    }
}

/// What is completed: an argument of a prompt, or of a resource's URI.
fn completed(reference: Option<Raw<'_>>) -> Result<Target<'_>, BadMessage> {
    let [kind, name, uri] = fields(reference.ok_or(BadMessage::Target)?, ["type", "name", "uri"])?;
    match &*word(kind)? {
        "ref/prompt" => Ok(Target::Prompt(word(name)?)),
        "ref/resource" => Ok(Target::Resources(vec![word(uri)?])),
        _ => Err(BadMessage::Target),
    }
}

/// The resources whose changes are listened to.
fn listened(notifications: Option<Raw<'_>>) -> Result<Vec<Cow<'_, str>>, BadMessage> {
    let Some(notifications) = notifications else { return Ok(Vec::new()) };
    let [resources] = fields(notifications, ["resourceSubscriptions"])?;
    let Some(resources) = resources.filter(|value| !value.is_null()) else {
        return Ok(Vec::new());
    };
    let mut reader = Reader::new(resources.get());
    reader.enter(b'[').map_err(|_| BadMessage::Target)?;
    let mut uris = Vec::new();
    while reader.element()? {
        if uris.len() == MAX_SUBSCRIPTIONS {
            return Err(BadMessage::Target);
        }
        uris.push(word(Some(reader.value()?))?);
    }
    Ok(uris)
}

/// A name on which a decision rests: a string without control characters, of some length.
pub(super) fn word(value: Option<Raw<'_>>) -> Result<Cow<'_, str>, BadMessage> {
    let name = value.and_then(Raw::string).ok_or(BadMessage::Target)?;
    if is_word(&name) { Ok(name) } else { Err(BadMessage::Target) }
}

/// Whether a decision can rest on it.
pub(super) fn is_word(name: &str) -> bool {
    (1..=MAX_NAME_BYTES).contains(&name.len()) && !has_controls(name)
}

fn has_controls(name: &str) -> bool {
    // To the end in any case: many bytes at once, where the machine can.
    let is_odd = name.bytes().fold(false, |odd, byte| odd | !matches!(byte, b' '..=b'~'));
    is_odd && name.contains(char::is_control)
}

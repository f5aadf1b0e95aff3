//! The `params` of a message, as far as rules need them.

use std::borrow::Cow;

use crate::model::error_codes::BadMessage;
use crate::policy::operation::members::{enter, fields, members, next_of};
use crate::policy::operation::target::{Target, valid_name};
use crate::util::json::{Raw, Reader};

#[derive(Default)]
pub(super) struct Params<'m> {
    pub(super) name: Option<Raw<'m>>,
    pub(super) uri: Option<Raw<'m>>,
    pub(super) task: Option<Raw<'m>>,
    /// The protocol version in `_meta`, or what is wrong with `_meta`.
    pub(super) version: Option<Result<Raw<'m>, BadMessage>>,
    pub(super) reference: Option<Raw<'m>>,
    pub(super) notifications: Option<Raw<'m>>,
}

/// The version in the `_meta` that comes next, or what is wrong with it. That error is returned as a value, so
/// that it can be reported with the `id` of the message. The version is read in the pass that skips `_meta`: in
/// the revision that requires it, it is longer than the rest of most messages.
fn version<'m>(reader: &mut Reader<'m>) -> Result<Option<Result<Raw<'m>, BadMessage>>, BadMessage> {
    let mut ahead = reader.clone();
    let is_null = ahead.peek() == Some(b'n');
    match members(&mut ahead, &["io.modelcontextprotocol/protocolVersion"]) {
        Ok([version]) => {
            *reader = ahead;
            Ok(version.map(Ok))
        }
        Err(why) => {
            reader.skip()?;
            Ok(Some(Err(why)).filter(|_| !is_null))
        }
    }
}

impl<'m> Params<'m> {
    /// JSON-RPC also allows arrays here. MCP does not.
    pub(super) fn read(&mut self, reader: &mut Reader<'m>) -> Result<(), BadMessage> {
        if reader.peek() == Some(b'n') {
            return Ok(reader.skip()?); // null
        }
        const NAMES: [&str; 6] = ["name", "uri", "taskId", "_meta", "ref", "notifications"];
        let mut seen = 0;
        enter(reader)?;
        while let Some(member) = next_of(reader, &NAMES, &mut seen)? {
            let place = match NAMES[member] {
                "name" => &mut self.name,
                "uri" => &mut self.uri,
                "taskId" => &mut self.task,
                "_meta" => {
                    self.version = version(reader)?;
                    continue;
                }
                "ref" => &mut self.reference,
                _ => &mut self.notifications,
            };
            *place = Some(reader.value()?);
        }
        Ok(())
    }
}

/// The maximum number of resources that one request may subscribe to. Each is authorized separately.
const MAX_SUBSCRIPTIONS: usize = 256;

impl<'m> Params<'m> {
    pub(super) fn target(&self, method: &str) -> Result<Target<'m>, BadMessage> {
        Ok(match method {
            "tools/call" => Target::Tool(valid_name(self.name)?),
            "prompts/get" => Target::Prompt(valid_name(self.name)?),
            "resources/read" | "resources/subscribe" | "resources/unsubscribe" => {
                Target::Resources(vec![valid_name(self.uri)?])
            }
            "tasks/cancel" | "tasks/get" | "tasks/result" | "tasks/update" => {
                Target::Task(valid_name(self.task)?)
            }
            "completion/complete" => completion_target(self.reference)?,
            "subscriptions/listen" => Target::Resources(subscribed_uris(self.notifications)?),
            _ => Target::None,
        })
    }
}

/// The target of a completion: the prompt or resource of which an argument is completed.
fn completion_target(reference: Option<Raw<'_>>) -> Result<Target<'_>, BadMessage> {
    let [kind, name, uri] = fields(reference.ok_or(BadMessage::Target)?, ["type", "name", "uri"])?;
    match &*valid_name(kind)? {
        "ref/prompt" => Ok(Target::Prompt(valid_name(name)?)),
        "ref/resource" => Ok(Target::Resources(vec![valid_name(uri)?])),
        _ => Err(BadMessage::Target),
    }
}

/// The resources to whose changes the client subscribes.
fn subscribed_uris(notifications: Option<Raw<'_>>) -> Result<Vec<Cow<'_, str>>, BadMessage> {
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
        uris.push(valid_name(Some(reader.value()?))?);
    }
    Ok(uris)
}

//! The `params` of a message, as far as rules need them.

use crate::model::error_codes::BadMessage;
use crate::policy::operation::members::{enter, fields, members, next_of};
use crate::policy::operation::target::{Target, TargetKind, valid_name};
use crate::util::json::{Raw, Reader, SyntaxError};

/// The maximum number of names in one member of a request, such as the resources to which it subscribes. Each is
/// authorized separately.
const MAX_NAMES: usize = 256;

#[derive(Default)]
pub(super) struct Params<'m> {
    name: Option<Raw<'m>>,
    names: Option<Raw<'m>>,
    uri: Option<Raw<'m>>,
    uris: Option<Raw<'m>>,
    task: Option<Raw<'m>>,
    /// The protocol version in `_meta`, or what is wrong with `_meta`.
    pub(super) version: Option<Result<Raw<'m>, BadMessage>>,
    reference: Option<Raw<'m>>,
    notifications: Option<Raw<'m>>,
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
        const NAMES: [&str; 8] =
            ["name", "uri", "taskId", "_meta", "ref", "notifications", "names", "uris"];
        let mut seen = 0;
        enter(reader)?;
        while let Some(member) = next_of(reader, &NAMES, &mut seen)? {
            let place = match NAMES.get(member).copied().unwrap_or_default() {
                "name" => &mut self.name,
                "uri" => &mut self.uri,
                "taskId" => &mut self.task,
                "_meta" => {
                    self.version = version(reader)?;
                    continue;
                }
                "ref" => &mut self.reference,
                "notifications" => &mut self.notifications,
                "names" => &mut self.names,
                _ => &mut self.uris,
            };
            *place = Some(reader.value()?);
        }
        Ok(())
    }

    /// What the protocol says that a method applies to, and everything else that the message names, whatever
    /// its method: a method that is defined tomorrow is authorized today, by the names that it carries.
    pub(super) fn targets(
        &self,
        method: &str,
        is_removed: bool,
    ) -> Result<Targets<'m>, BadMessage> {
        let Self { mut name, mut uri, mut task, mut reference, .. } = *self;
        let first = match method {
            "tools/call" => Some(Target::required(TargetKind::Tool, name.take())?),
            "prompts/get" => Some(Target::required(TargetKind::Prompt, name.take())?),
            "resources/subscribe" | "resources/unsubscribe" if is_removed && uri.is_none() => None,
            "resources/directory/read"
            | "resources/read"
            | "resources/subscribe"
            | "resources/unsubscribe"
            | "skills/get" => Some(Target::required(TargetKind::Resource, uri.take())?),
            "tasks/cancel" | "tasks/get" | "tasks/result" | "tasks/update" => {
                Some(Target::required(TargetKind::Task, task.take())?)
            }
            "completion/complete" => Some(completion_target(reference.take())?),
            _ => None,
        };
        let Self { names, uris, notifications, .. } = *self;
        // Most messages name nothing else.
        if [name, uri, names, uris, reference, notifications].iter().all(Option::is_none) {
            return Ok(Targets { first, others: Vec::new() });
        }
        let mut others = subscribed(notifications, method == "subscriptions/listen")?;
        for (kind, value) in [(TargetKind::ToolOrPrompt, name), (TargetKind::Resource, uri)] {
            others.extend(value.filter(is_given).map(|value| Target::optional(kind, value)));
        }
        for (kind, values) in [(TargetKind::ToolOrPrompt, names), (TargetKind::Resource, uris)] {
            if let Some(values) = values.filter(is_given) {
                others.extend(each_of(kind, values));
            }
        }
        if let Some(reference) = reference.filter(is_given) {
            others.extend(referenced(reference)?);
        }
        Ok(Targets { first, others })
    }
}

/// What a message names.
pub(super) struct Targets<'m> {
    pub(super) first: Option<Target<'m>>,
    pub(super) others: Vec<Target<'m>>,
}

/// For many parsers, `null` is the same as no value.
fn is_given(value: &Raw<'_>) -> bool {
    !value.is_null()
}

/// The target of a completion: the prompt or resource of which an argument is completed.
fn completion_target(reference: Option<Raw<'_>>) -> Result<Target<'_>, BadMessage> {
    let [kind, name, uri] = fields(reference.ok_or(BadMessage::Target)?, ["type", "name", "uri"])?;
    match &*valid_name(kind)? {
        "ref/prompt" => Target::required(TargetKind::Prompt, name),
        "ref/resource" => Target::required(TargetKind::Template, uri),
        _ => Err(BadMessage::Target),
    }
}

/// What the `ref` of a method names that does not define it: anything, if it is not an object.
fn referenced(reference: Raw<'_>) -> Result<Vec<Target<'_>>, BadMessage> {
    if !reference.get().starts_with('{') {
        return Ok([TargetKind::ToolOrPrompt, TargetKind::Template]
            .map(|kind| Target::optional(kind, reference))
            .into());
    }
    let [name, uri] = fields(reference, ["name", "uri"])?;
    let targets = [(TargetKind::ToolOrPrompt, name), (TargetKind::Template, uri)];
    let given =
        targets.into_iter().filter_map(|(kind, value)| Some((kind, value.filter(is_given)?)));
    Ok(given.map(|(kind, value)| Target::optional(kind, value)).collect())
}

/// The resources to whose changes the client subscribes.
fn subscribed(
    notifications: Option<Raw<'_>>,
    is_required: bool,
) -> Result<Vec<Target<'_>>, BadMessage> {
    let is_object = |value: &Raw<'_>| is_required || value.get().starts_with('{');
    let Some(notifications) = notifications.filter(is_object) else { return Ok(Vec::new()) };
    let [resources] = fields(notifications, ["resourceSubscriptions"])?;
    let Some(resources) = resources.filter(is_given) else { return Ok(Vec::new()) };
    let targets = each_of(TargetKind::Resource, resources);
    if is_required && targets.iter().any(|target| target.name.is_none()) {
        return Err(BadMessage::Target);
    }
    Ok(targets)
}

/// The names in an array. If it is not an array, or too long, the last one is not valid.
fn each_of(kind: TargetKind, values: Raw<'_>) -> Vec<Target<'_>> {
    let mut targets = Vec::new();
    let mut reader = Reader::new(values.get());
    let mut read = || {
        reader.enter(b'[')?;
        while reader.element()? {
            if targets.len() == MAX_NAMES {
                return Err(SyntaxError);
            }
            targets.push(Target::optional(kind, reader.value()?));
        }
        Ok(())
    };
    if read().is_err() {
        targets.push(Target { kind, name: None });
    }
    targets
}

//! A JSON-RPC message taken apart in one pass, as far as rules need it, and nothing in it ambiguous.

use std::borrow::Cow;
use std::cell::Cell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::headers::Spoken;
use super::members::{fields, next_of, refused};
use super::target::{Target, word};
use super::{Call, METHODS, is_known_method};
use crate::denial::BadMessage;
use crate::json;

/// More than any client batches; each message is judged by itself.
const MAX_BATCH: usize = 64;
/// An identifier is sent back with an error, and clients count or take UUIDs.
const MAX_ID_BYTES: usize = 256;

/// What a body holds: one message, or a batch of them.
#[derive(Clone, Debug)]
pub(super) enum Messages<M> {
    One(M),
    Batch(Vec<M>),
}

/// One message, taken apart as far as rules need it.
#[derive(Default)]
pub(super) struct Envelope<'m> {
    id: Option<&'m RawValue>,
    method: Option<&'m RawValue>,
    params: Params<'m>,
    is_answer: bool,
}

#[derive(Default)]
pub(super) struct Params<'m> {
    pub(super) name: Option<&'m RawValue>,
    pub(super) uri: Option<&'m RawValue>,
    pub(super) task: Option<&'m RawValue>,
    pub(super) meta: Option<&'m RawValue>,
    pub(super) reference: Option<&'m RawValue>,
    pub(super) notifications: Option<&'m RawValue>,
}

impl<M> Messages<M> {
    pub(super) fn all(&self) -> &[M] {
        match self {
            Self::One(message) => std::slice::from_ref(message),
            Self::Batch(messages) => messages,
        }
    }

    pub(super) fn only(&self) -> Option<&M> {
        match self {
            Self::One(message) => Some(message),
            Self::Batch(_) => None,
        }
    }

    pub(super) fn try_map<N, E>(
        &self,
        make: impl Fn(&M) -> Result<N, E>,
    ) -> Result<Messages<N>, E> {
        Ok(match self {
            Self::One(message) => Messages::One(make(message)?),
            Self::Batch(messages) => {
                Messages::Batch(messages.iter().map(make).collect::<Result<_, _>>()?)
            }
        })
    }
}

impl<'m> Messages<Envelope<'m>> {
    pub(super) fn parse(body: &'m [u8]) -> Result<Self, BadMessage> {
        let text = std::str::from_utf8(body).map_err(|_| BadMessage::NotJson)?;
        let why = Cell::new(BadMessage::NotJson);
        let mut deserializer = serde_json::Deserializer::from_str(text);
        let messages = deserializer.deserialize_any(BodyVisitor(&why)).map_err(|_| why.get())?;
        deserializer.end().map_err(|_| BadMessage::NotJson)?;
        Ok(messages)
    }
}

impl<'m> Envelope<'m> {
    /// The identifier, if it is one that can be sent back.
    pub(super) fn id(&self) -> Option<&'m str> {
        let id = self.id?.get();
        let is_scalar = id.starts_with(['"', '-']) || id.starts_with(|c: char| c.is_ascii_digit());
        (is_scalar && id.len() <= MAX_ID_BYTES).then_some(id)
    }

    /// The version that the message itself claims to speak.
    pub(super) fn version(&self) -> Result<Option<Cow<'m, str>>, BadMessage> {
        let Some(meta) = self.params.meta.filter(|meta| meta.get() != "null") else {
            return Ok(None);
        };
        let [version] = fields(meta, ["io.modelcontextprotocol/protocolVersion"])?;
        version.map(|version| json::string(version).ok_or(BadMessage::NotAMessage)).transpose()
    }

    pub(super) fn understand(&self, spoken: &Spoken<'_>) -> Result<Call<'m>, BadMessage> {
        let method = match (self.method, self.is_answer) {
            (Some(method), false) => word(Some(method)).map_err(|_| BadMessage::NotAMessage)?,
            (None, true) => {
                return Ok(Call { method: None, target: Target::None, id: self.id() });
            }
            _ => return Err(BadMessage::NotAMessage),
        };
        if self.id.is_some() && self.id().is_none() {
            return Err(BadMessage::NotAMessage);
        }
        let is_variant = |known: &&str| known.eq_ignore_ascii_case(&method);
        if !is_known_method(&method) && METHODS.iter().any(is_variant) {
            return Err(BadMessage::Ambiguous);
        }
        let is_nothing = self.params.uri.is_none() && spoken.has_removed(&method);
        let target = if is_nothing { Target::None } else { self.params.target(&method)? };
        Ok(Call { method: Some(method), target, id: self.id() })
    }
}

/// A body: one message, or an array of them.
struct BodyVisitor<'c>(&'c Cell<BadMessage>);

impl<'de> Visitor<'de> for BodyVisitor<'_> {
    type Value = Messages<Envelope<'de>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Also what serde_json says of a string or a number.
        self.0.set(BadMessage::NotAMessage);
        f.write_str("a JSON-RPC message")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        MessageVisitor(self.0).visit_map(map).map(Messages::One)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut array: A) -> Result<Self::Value, A::Error> {
        let mut list = Vec::new();
        while let Some(envelope) = array.next_element_seed(MessageVisitor(self.0))? {
            if list.len() == MAX_BATCH {
                return Err(refused(self.0, BadMessage::Batch));
            }
            list.push(envelope);
        }
        if list.is_empty() {
            return Err(refused(self.0, BadMessage::NotAMessage));
        }
        Ok(Messages::Batch(list))
    }
}

struct MessageVisitor<'c>(&'c Cell<BadMessage>);

impl<'de> DeserializeSeed<'de> for MessageVisitor<'_> {
    type Value = Envelope<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for MessageVisitor<'_> {
    type Value = Envelope<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.set(BadMessage::NotAMessage);
        f.write_str("a JSON-RPC message")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        const NAMES: [&str; 6] = ["method", "params", "id", "jsonrpc", "result", "error"];
        let (mut message, mut seen) = (Envelope::default(), 0);
        while let Some(member) = next_of(&mut map, &NAMES, &mut seen, self.0)? {
            match NAMES[member] {
                "method" => message.method = Some(map.next_value()?),
                "params" => message.params = map.next_value_seed(ParamsVisitor(self.0))?,
                "id" => message.id = Some(map.next_value()?),
                "jsonrpc" => map.next_value::<IgnoredAny>().map(drop)?,
                _ => {
                    message.is_answer = true;
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(message)
    }
}

struct ParamsVisitor<'c>(&'c Cell<BadMessage>);

impl<'de> DeserializeSeed<'de> for ParamsVisitor<'_> {
    type Value = Params<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ParamsVisitor<'_> {
    type Value = Params<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // JSON-RPC knows arrays here too, MCP does not.
        self.0.set(BadMessage::NotAMessage);
        f.write_str("an object")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Params::default())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        const NAMES: [&str; 6] = ["name", "uri", "taskId", "_meta", "ref", "notifications"];
        let (mut found, mut seen) = ([None; NAMES.len()], 0);
        while let Some(member) = next_of(&mut map, &NAMES, &mut seen, self.0)? {
            found[member] = Some(map.next_value()?);
        }
        let [name, uri, task, meta, reference, notifications] = found;
        Ok(Params { name, uri, task, meta, reference, notifications })
    }
}

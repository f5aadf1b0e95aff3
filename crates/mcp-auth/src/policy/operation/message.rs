//! Parses a JSON-RPC message in one pass, as far as rules need it. Ambiguous messages are refused.

use std::borrow::Cow;

use crate::model::error_codes::BadMessage;
use crate::policy::operation::call::{Call, METHODS, is_known_method};
use crate::policy::operation::headers::McpHeaders;
use crate::policy::operation::members::{enter, next_of};
use crate::policy::operation::params::{Params, Targets};
use crate::policy::operation::target::is_valid_name;
use crate::util::json::{Raw, Reader};

/// The maximum number of messages in a batch, more than any client sends. Each message is authorized
/// separately.
const MAX_BATCH: usize = 64;

/// The maximum length of an `id`. It is sent back with an error. Clients use counters or UUIDs.
const MAX_ID_BYTES: usize = 256;

/// The content of a body: one message, or a batch of them.
#[derive(Clone, Debug)]
pub(super) enum Messages<M> {
    One(M),
    Batch(Vec<M>),
}

/// One message, parsed as far as rules need it.
#[derive(Default)]
pub(super) struct Envelope<'m> {
    id: Option<Raw<'m>>,
    pub(super) method: Option<Raw<'m>>,
    params: Params<'m>,
    is_response: bool,
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
    /// An empty message, for [`read`](Self::read).
    pub(super) fn new() -> Self {
        Self::One(Envelope::default())
    }

    /// Parses a body into an empty message, in place, to avoid copies. A batch replaces it.
    pub(super) fn read(&mut self, body: &'m [u8]) -> Result<(), BadMessage> {
        let text = std::str::from_utf8(body).map_err(|_| BadMessage::NotJson)?;
        let mut reader = Reader::new(text);
        match self {
            Self::One(message) if reader.peek() != Some(b'[') => message.read(&mut reader)?,
            _ => *self = Self::Batch(batch(&mut reader)?),
        }
        Ok(reader.end()?)
    }
}

fn batch<'m>(reader: &mut Reader<'m>) -> Result<Vec<Envelope<'m>>, BadMessage> {
    let mut list = Vec::new();
    reader.enter(b'[')?;
    while reader.element()? {
        if list.len() == MAX_BATCH {
            return Err(BadMessage::Batch);
        }
        let mut message = Envelope::default();
        message.read(reader)?;
        list.push(message);
    }
    if list.is_empty() { Err(BadMessage::NotAMessage) } else { Ok(list) }
}

impl<'m> Envelope<'m> {
    /// Parses the next message into an empty one.
    fn read(&mut self, reader: &mut Reader<'m>) -> Result<(), BadMessage> {
        const NAMES: [&str; 6] = ["jsonrpc", "id", "method", "params", "result", "error"];
        let mut seen = 0;
        enter(reader)?;
        while let Some(member) = next_of(reader, &NAMES, &mut seen)? {
            match NAMES.get(member).copied().unwrap_or_default() {
                "jsonrpc" => reader.skip()?,
                "id" => self.id = Some(reader.value()?),
                "method" => self.method = Some(reader.value()?),
                "params" => self.params.read(reader)?,
                _ => {
                    self.is_response = true;
                    reader.skip()?;
                }
            }
        }
        Ok(())
    }

    /// Whether it is a request: it has a method and an `id`, of whatever type.
    pub(super) fn has_id(&self) -> bool {
        self.id.is_some() && self.method.is_some() && !self.is_response
    }

    /// The `id`. Returns `None` if there is none, or if it cannot be sent back: it is not a string or a number,
    /// or it is too long.
    pub(super) fn id(&self) -> Option<&'m str> {
        let id = self.id?.get();
        let is_scalar = id.starts_with(['"', '-']) || id.starts_with(|c: char| c.is_ascii_digit());
        (is_scalar && id.len() <= MAX_ID_BYTES).then_some(id)
    }

    /// The protocol version that the message itself declares.
    pub(super) fn version(&self) -> Result<Option<Cow<'m, str>>, BadMessage> {
        let string = |version: Raw<'m>| version.string().ok_or(BadMessage::NotAMessage);
        self.params.version.map(|version| version.and_then(string)).transpose()
    }

    pub(super) fn to_call(&self, headers: &McpHeaders<'_>) -> Result<Call<'m>, BadMessage> {
        let id = self.id();
        let method = match (self.method, self.is_response) {
            (Some(method), false) => method.string().ok_or(BadMessage::NotAMessage)?,
            (None, true) => return Ok(Call { id, ..Call::default() }),
            _ => return Err(BadMessage::NotAMessage),
        };
        if self.id.is_some() && id.is_none() {
            return Err(BadMessage::NotAMessage);
        }
        if !is_known_method(&method) {
            check_unknown_method(&method)?;
        }
        let Targets { first, others } =
            self.params.targets(&method, headers.lacks_subscriptions())?;
        Ok(Call { method: Some(method), first, others, id })
    }
}

/// Checks that a method that the protocol does not define has a valid name, and is not another spelling of one
/// that it defines.
fn check_unknown_method(method: &str) -> Result<(), BadMessage> {
    if !is_valid_name(method) {
        return Err(BadMessage::NotAMessage);
    }
    match METHODS.iter().any(|known| known.eq_ignore_ascii_case(method)) {
        true => Err(BadMessage::Ambiguous),
        false => Ok(()),
    }
}

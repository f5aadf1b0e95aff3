//! Which MCP operation is this? A strict look at a JSON-RPC message and the headers beside it.

use std::borrow::Cow;
use std::cell::Cell;
use std::fmt;

use http::header::HeaderMap;
use http::{HeaderName, Method};
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::denial::{BadMessage, Denial};
use crate::json;

/// From this revision on the headers `Mcp-Method` and `Mcp-Name` must say what the body says.
const FIRST_WITH_HEADERS: &str = "2026-07-28";
/// The last revision with batches; also the one that a request without a version speaks.
const LAST_WITH_BATCHES: &str = "2025-03-26";

/// More than any client batches; each message is judged by itself.
const MAX_BATCH: usize = 64;
/// An identifier is sent back with an error, and clients count or take UUIDs.
const MAX_ID_BYTES: usize = 256;
/// Names of tools and URIs are looked up among patterns.
const MAX_NAME_BYTES: usize = 8 * 1024;
/// As many resources as one request may subscribe to; each is judged by itself.
const MAX_SUBSCRIPTIONS: usize = 256;

const VERSION_HEADER: HeaderName = HeaderName::from_static("mcp-protocol-version");
const METHOD_HEADER: HeaderName = HeaderName::from_static("mcp-method");
const NAME_HEADER: HeaderName = HeaderName::from_static("mcp-name");

/// What a request asks for: one MCP message, several in a batch, or none (a `GET` for a stream).
///
/// It is read from the body, which is the truth; headers may only contradict it.
///
/// ```
/// use http::{HeaderMap, Method};
/// use mcp_auth::Operation;
///
/// let body = br#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"add_note"}}"#;
/// let operation = Operation::read(&Method::POST, &HeaderMap::new(), body)?;
/// assert_eq!(operation.to_string(), "tools/call add_note");
/// # Ok::<(), mcp_auth::Denial>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Operation<'m> {
    calls: Vec<Call<'m>>,
    is_batch: bool,
}

/// One message: its method, and what the method applies to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Call<'m> {
    /// Nothing if it is the client's answer to a request of the server.
    pub(crate) method: Option<Cow<'m, str>>,
    pub(crate) target: Target<'m>,
    /// The identifier of a request, JSON; nothing for a notification.
    id: Option<&'m str>,
}

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

/// The methods of all revisions and of the tasks extension. What is not among them is unknown.
const METHODS: &[&str] = &[
    "completion/complete",
    "initialize",
    "logging/setLevel",
    "notifications/cancelled",
    "notifications/initialized",
    "notifications/progress",
    "notifications/roots/list_changed",
    "notifications/tasks/status",
    "ping",
    "prompts/get",
    "prompts/list",
    "resources/list",
    "resources/read",
    "resources/subscribe",
    "resources/templates/list",
    "resources/unsubscribe",
    "server/discover",
    "subscriptions/listen",
    "tasks/cancel",
    "tasks/get",
    "tasks/list",
    "tasks/result",
    "tasks/update",
    "tools/call",
    "tools/list",
];

/// Whether a method is one of the protocol's.
pub(crate) fn is_known_method(method: &str) -> bool {
    METHODS.binary_search(&method).is_ok()
}

impl<'m> Operation<'m> {
    /// Reads what a request asks for. An empty body asks for nothing, unless the request is a `POST`.
    ///
    /// # Errors
    ///
    /// A [`BadMessage`] for what is no JSON-RPC message, for what two parsers could read differently,
    /// and for headers that contradict the body.
    pub fn read(method: &Method, headers: &HeaderMap, body: &'m [u8]) -> Result<Self, Denial> {
        if body.is_empty() && method != Method::POST {
            return Ok(Self::default());
        }
        let envelopes = Envelopes::parse(body).map_err(Denial::bad_message)?;
        let id = envelopes.only().and_then(Envelope::id);
        Self::understand(headers, &envelopes)
            .map_err(|why| Denial::bad_message(why).in_reply_to(id))
    }

    /// A call of one tool, where there is no HTTP request to read it from.
    #[must_use]
    pub fn of_tool(name: &'m str) -> Self {
        Self::of("tools/call", Target::Tool(name.into()))
    }

    /// A request for one prompt, where there is no HTTP request to read it from.
    #[must_use]
    pub fn of_prompt(name: &'m str) -> Self {
        Self::of("prompts/get", Target::Prompt(name.into()))
    }

    /// The reading of one resource, where there is no HTTP request to read it from.
    #[must_use]
    pub fn of_resource(uri: &'m str) -> Self {
        Self::of("resources/read", Target::Resources(vec![uri.into()]))
    }

    pub(crate) fn calls(&self) -> &[Call<'m>] {
        &self.calls
    }

    /// The identifier of the one request that this is.
    pub(crate) fn request_id(&self) -> Option<&'m str> {
        match &*self.calls {
            [call] if !self.is_batch && call.method.is_some() => call.id,
            _ => None,
        }
    }

    fn of(method: &'static str, target: Target<'m>) -> Self {
        let call = Call { method: Some(method.into()), target, id: None };
        Self { calls: vec![call], is_batch: false }
    }

    fn understand(headers: &HeaderMap, envelopes: &Envelopes<'m>) -> Result<Self, BadMessage> {
        let spoken = Spoken::of(headers)?;
        if envelopes.is_batch && spoken.version.unwrap_or(LAST_WITH_BATCHES) > LAST_WITH_BATCHES {
            return Err(BadMessage::Batch);
        }
        let mut calls = Vec::with_capacity(envelopes.list.len());
        for envelope in &envelopes.list {
            let call = envelope.understand()?;
            spoken.agrees_with(&call, envelope.version()?.as_deref())?;
            calls.push(call);
        }
        Ok(Self { calls, is_batch: envelopes.is_batch })
    }
}

/// For log lines: methods and names as the client wrote them, so not for the wire.
impl fmt::Display for Operation<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, call) in self.calls.iter().enumerate() {
            f.write_str(if i == 0 { "" } else { ", " })?;
            f.write_str(call.method.as_deref().unwrap_or("an answer"))?;
            for name in call.target.names() {
                write!(f, " {name}")?;
            }
        }
        Ok(())
    }
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

/// What the headers say.
struct Spoken<'h> {
    version: Option<&'h str>,
    method: Option<&'h str>,
    name: Option<Cow<'h, str>>,
}

impl<'h> Spoken<'h> {
    fn of(headers: &'h HeaderMap) -> Result<Self, BadMessage> {
        let is_ours = |name: &HeaderName| name.as_str().starts_with("mcp-");
        // Which of several counts, nobody knows. Mostly no header comes twice.
        if headers.keys_len() < headers.len() {
            let comes_twice = |name| headers.get_all(name).iter().nth(1).is_some();
            if headers.keys().any(|name| is_ours(name) && comes_twice(name)) {
                return Err(BadMessage::HeaderMismatch);
            }
        }
        let value = |name| match headers.get(name) {
            Some(value) => value.to_str().map(Some).map_err(|_| BadMessage::HeaderMismatch),
            None => Ok(None),
        };
        let version = value(VERSION_HEADER)?;
        if version.is_none_or(|version| version < FIRST_WITH_HEADERS) {
            // "An intermediary that ... the header is absent": older clients send what they like.
            return Ok(Self { version, method: None, name: None });
        }
        let name =
            value(NAME_HEADER)?.map(|value| decoded(value).ok_or(BadMessage::HeaderMismatch));
        Ok(Self { version, method: value(METHOD_HEADER)?, name: name.transpose()? })
    }

    /// Whether headers and body say the same
    /// ([MCP, Server Validation](https://modelcontextprotocol.io/specification/2026-07-28/basic/transports/streamable-http#server-validation)).
    fn agrees_with(&self, call: &Call<'_>, version: Option<&str>) -> Result<(), BadMessage> {
        let must = |agree: bool| if agree { Ok(()) } else { Err(BadMessage::HeaderMismatch) };
        let Some(method) = &call.method else { return Ok(()) };
        must(version.is_none() || version == self.version)?;
        if self.version.is_none_or(|version| version < FIRST_WITH_HEADERS) {
            return Ok(());
        }
        // The headers of notifications are not defined, and `initialize` came before them.
        let may_lack = call.id.is_none() || method == "initialize";
        must(self.method.map_or(may_lack, |said| said == method))?;
        let mut names = call.target.names();
        match (mirrored(method), names.next(), &self.name) {
            (true, Some(name), Some(said)) => must(said == name),
            (true, Some(_), None) => must(may_lack),
            _ => Ok(()),
        }
    }
}

/// Whether `Mcp-Name` says what this method applies to.
fn mirrored(method: &str) -> bool {
    matches!(
        method,
        "prompts/get"
            | "resources/read"
            | "resources/subscribe"
            | "resources/unsubscribe"
            | "tasks/cancel"
            | "tasks/get"
            | "tasks/update"
            | "tools/call"
    )
}

/// A header's value, which is wrapped in base64 where it could not stand in a header
/// ([MCP, Value Encoding](https://modelcontextprotocol.io/specification/2026-07-28/basic/transports/streamable-http#value-encoding)).
fn decoded(value: &str) -> Option<Cow<'_, str>> {
    let Some(wrapped) = value.strip_prefix("=?base64?").and_then(|rest| rest.strip_suffix("?="))
    else {
        return Some(Cow::Borrowed(value));
    };
    let bytes = base64_simd::STANDARD.decode_to_vec(wrapped).ok()?;
    String::from_utf8(bytes).ok().map(Cow::Owned)
}

/// The messages of a body, taken apart as far as rules need it.
struct Envelopes<'m> {
    list: Vec<Envelope<'m>>,
    is_batch: bool,
}

#[derive(Default)]
struct Envelope<'m> {
    id: Option<&'m RawValue>,
    method: Option<&'m RawValue>,
    params: Params<'m>,
    is_answer: bool,
}

#[derive(Default)]
struct Params<'m> {
    name: Option<&'m RawValue>,
    uri: Option<&'m RawValue>,
    task: Option<&'m RawValue>,
    meta: Option<&'m RawValue>,
    reference: Option<&'m RawValue>,
    notifications: Option<&'m RawValue>,
}

impl<'m> Envelopes<'m> {
    fn parse(body: &'m [u8]) -> Result<Self, BadMessage> {
        let text = std::str::from_utf8(body).map_err(|_| BadMessage::NotJson)?;
        let why = Cell::new(BadMessage::NotJson);
        let mut deserializer = serde_json::Deserializer::from_str(text);
        let envelopes = deserializer.deserialize_any(BodyVisitor(&why)).map_err(|_| why.get())?;
        deserializer.end().map_err(|_| BadMessage::NotJson)?;
        Ok(envelopes)
    }

    fn only(&self) -> Option<&Envelope<'m>> {
        match &*self.list {
            [envelope] if !self.is_batch => Some(envelope),
            _ => None,
        }
    }
}

impl<'m> Envelope<'m> {
    /// The identifier, if it is one that can be sent back.
    fn id(&self) -> Option<&'m str> {
        let id = self.id?.get();
        let is_scalar = id.starts_with(['"', '-']) || id.starts_with(|c: char| c.is_ascii_digit());
        (is_scalar && id.len() <= MAX_ID_BYTES).then_some(id)
    }

    /// The version that the message itself claims to speak.
    fn version(&self) -> Result<Option<Cow<'m, str>>, BadMessage> {
        let Some(meta) = self.params.meta.filter(|meta| meta.get() != "null") else {
            return Ok(None);
        };
        let [version] = fields(meta, ["io.modelcontextprotocol/protocolVersion"])?;
        version.map(|version| json::string(version).ok_or(BadMessage::NotAMessage)).transpose()
    }

    fn understand(&self) -> Result<Call<'m>, BadMessage> {
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
        let target = self.params.target(&method)?;
        Ok(Call { method: Some(method), target, id: self.id() })
    }
}

impl<'m> Params<'m> {
    fn target(&self, method: &str) -> Result<Target<'m>, BadMessage> {
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
fn completed(reference: Option<&RawValue>) -> Result<Target<'_>, BadMessage> {
    let [kind, name, uri] = fields(reference.ok_or(BadMessage::Target)?, ["type", "name", "uri"])?;
    match &*word(kind)? {
        "ref/prompt" => Ok(Target::Prompt(word(name)?)),
        "ref/resource" => Ok(Target::Resources(vec![word(uri)?])),
        _ => Err(BadMessage::Target),
    }
}

/// The resources whose changes are listened to.
fn listened(notifications: Option<&RawValue>) -> Result<Vec<Cow<'_, str>>, BadMessage> {
    let Some(notifications) = notifications else { return Ok(Vec::new()) };
    let [resources] = fields(notifications, ["resourceSubscriptions"])?;
    let Some(resources) = resources.filter(|value| value.get() != "null") else {
        return Ok(Vec::new());
    };
    let resources = json::array(resources).ok_or(BadMessage::Target)?;
    if resources.len() > MAX_SUBSCRIPTIONS {
        return Err(BadMessage::Target);
    }
    resources.into_iter().map(|uri| word(Some(uri))).collect()
}

/// A name on which a decision rests: a string without control characters, of some length.
fn word(value: Option<&RawValue>) -> Result<Cow<'_, str>, BadMessage> {
    let name = value.and_then(json::string).ok_or(BadMessage::Target)?;
    let is_fine = (1..=MAX_NAME_BYTES).contains(&name.len()) && !name.contains(char::is_control);
    if is_fine { Ok(name) } else { Err(BadMessage::Target) }
}

/// The members of these names of a small object, each once and in one spelling.
fn fields<'m, const N: usize>(
    object: &'m RawValue,
    names: [&'static str; N],
) -> Result<[Option<&'m RawValue>; N], BadMessage> {
    let why = Cell::new(BadMessage::NotAMessage);
    let mut found = [None; N];
    let visitor = FieldsVisitor { names: &names, found: &mut found, why: &why };
    serde_json::Deserializer::from_str(object.get())
        .deserialize_any(visitor)
        .map_err(|_| why.get())?;
    Ok(found)
}

/// Which of the names a member has. An error for what another parser could take for one of them:
/// Go's ignores case, as Unicode folds it; C's ends at a NUL; Python's knows fields by two names.
fn which(names: &[&str], member: &str) -> Result<Option<usize>, BadMessage> {
    if let Some(found) = names.iter().position(|name| *name == member) {
        return Ok(Some(found));
    }
    let is_variant = |name: &&str| {
        (member.len() == name.len() && member.eq_ignore_ascii_case(name))
            || (!member.is_ascii() && folded(member).eq_ignore_ascii_case(name))
            || (*name == "taskId" && member.eq_ignore_ascii_case("task_id"))
    };
    if member.contains('\0') || names.iter().any(is_variant) {
        return Err(BadMessage::Ambiguous);
    }
    Ok(None)
}

/// The two characters beyond ASCII that fold into it.
fn folded(member: &str) -> String {
    member.replace('\u{17f}', "s").replace('\u{212a}', "k")
}

/// What a visitor says when it is done with a message: the reason is in its cell.
fn refused<E: Error>(cell: &Cell<BadMessage>, why: BadMessage) -> E {
    cell.set(why);
    E::custom("refused")
}

/// The next member whose name is one of `names`; each may come once. Others are skipped.
fn next_of<'de, A: MapAccess<'de>>(
    map: &mut A,
    names: &[&str],
    seen: &mut u8,
    why: &Cell<BadMessage>,
) -> Result<Option<usize>, A::Error> {
    while let Some(member) = map.next_key_seed(json::Name)? {
        match which(names, &member) {
            Ok(Some(i)) if *seen & (1 << i) == 0 => {
                *seen |= 1 << i;
                return Ok(Some(i));
            }
            Ok(None) => map.next_value::<IgnoredAny>().map(drop)?,
            _ => return Err(refused(why, BadMessage::Ambiguous)),
        }
    }
    Ok(None)
}

/// A body: one message, or an array of them.
struct BodyVisitor<'c>(&'c Cell<BadMessage>);

impl<'de> Visitor<'de> for BodyVisitor<'_> {
    type Value = Envelopes<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Also what serde_json says of a string or a number.
        self.0.set(BadMessage::NotAMessage);
        f.write_str("a JSON-RPC message")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        Ok(Envelopes { list: vec![MessageVisitor(self.0).visit_map(map)?], is_batch: false })
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
        Ok(Envelopes { list, is_batch: true })
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

struct FieldsVisitor<'f, 'm> {
    names: &'f [&'static str],
    found: &'f mut [Option<&'m RawValue>],
    why: &'f Cell<BadMessage>,
}

impl<'de> Visitor<'de> for FieldsVisitor<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut seen = 0;
        while let Some(member) = next_of(&mut map, self.names, &mut seen, self.why)? {
            let value = map.next_value()?;
            if let Some(place) = self.found.get_mut(member) {
                *place = Some(value);
            }
        }
        Ok(())
    }
}

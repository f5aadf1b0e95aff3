//! A JSON-RPC message, parsed as far as the gateway needs it, and rewritten in a few places.

use std::borrow::Cow;
use std::ops::Range;

use bytes::Bytes;
use serde::Deserialize;
use serde::de::Deserializer;
use serde_json::value::RawValue;

/// The longest `id` or token, as in the library. Each one under way is kept.
const MAX_ID_BYTES: usize = 256;

/// A part of a message: a JSON value, by its place.
pub(crate) type Span = Range<usize>;

/// A JSON-RPC message in one line.
#[derive(Debug)]
pub(crate) struct Message<'m> {
    text: &'m str,
    /// What kind of message it is.
    pub(crate) kind: Kind<'m>,
    /// The token by which progress of this request is told, or to which this progress belongs.
    pub(crate) progress_token: Option<Span>,
    /// The request that this notification cancels.
    pub(crate) cancels: Option<Span>,
    /// The subscription to which this notification or result belongs.
    pub(crate) subscription: Option<Span>,
}

/// The kinds of messages.
#[derive(Debug)]
pub(crate) enum Kind<'m> {
    /// A request: its `id`, and its method.
    Request(Span, Cow<'m, str>),
    /// A notification: its method.
    Notification(Cow<'m, str>),
    /// The answer to a request: its `id`, and the code if it is an error.
    Response(Span, Option<i64>),
}

/// A line that is not a message, or one that two parsers could read differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NotAMessage;

#[derive(Deserialize)]
struct Envelope<'m> {
    jsonrpc: Cow<'m, str>,
    #[serde(borrow, default, deserialize_with = "present")]
    id: Option<&'m RawValue>,
    #[serde(borrow, default)]
    method: Option<Cow<'m, str>>,
    #[serde(borrow, default)]
    params: Option<&'m RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    result: Option<&'m RawValue>,
    #[serde(borrow, default)]
    error: Option<&'m RawValue>,
}

#[derive(Deserialize)]
struct ErrorObject {
    code: i64,
}

/// The members of `params` and of `result` that name other messages.
#[derive(Default, Deserialize)]
struct Members<'m> {
    #[serde(borrow, default, rename = "progressToken")]
    progress_token: Option<&'m RawValue>,
    #[serde(borrow, default, rename = "requestId")]
    request_id: Option<&'m RawValue>,
    #[serde(borrow, default, rename = "_meta")]
    meta: Option<&'m RawValue>,
}

#[derive(Default, Deserialize)]
struct Meta<'m> {
    #[serde(borrow, default, rename = "progressToken")]
    progress_token: Option<&'m RawValue>,
    #[serde(borrow, default, rename = "io.modelcontextprotocol/subscriptionId")]
    subscription: Option<&'m RawValue>,
}

/// A member that is there, even if it is `null`.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    Deserialize::deserialize(deserializer).map(Some)
}

impl<'m> Message<'m> {
    /// Parses a message.
    ///
    /// # Errors
    ///
    /// If it is not one message in JSON-RPC 2.0, has an `id` or a token that is neither a string nor a number or is longer
    /// than 256 bytes, or has one of the members twice that are read here.
    pub(crate) fn parse(line: &'m [u8]) -> Result<Self, NotAMessage> {
        let text = std::str::from_utf8(line).map_err(|_| NotAMessage)?;
        let Envelope { jsonrpc, id, method, params, result, error } = object(text)?;
        let id = id.map(|id| span(text, id)).transpose()?;
        // Some servers write the other one as `null`.
        let result = result.filter(|result| error.is_none() || result.get() != "null");
        let kind = match (id, method, result, error) {
            (Some(id), Some(method), None, None) => Kind::Request(id, method),
            (None, Some(method), None, None) => Kind::Notification(method),
            (Some(id), None, Some(_), None) => Kind::Response(id, None),
            (Some(id), None, None, Some(error)) => {
                let error: Option<ErrorObject> = object(error.get()).ok();
                Kind::Response(id, Some(error.map_or(0, |error| error.code)))
            }
            _ => return Err(NotAMessage),
        };
        if jsonrpc != "2.0" {
            return Err(NotAMessage);
        }
        let members = params.or(result).filter(|members| members.get().starts_with('{'));
        let members: Members<'m> =
            members.map(|raw| object(raw.get())).transpose()?.unwrap_or_default();
        let meta = members.meta.filter(|meta| meta.get().starts_with('{'));
        let meta: Meta<'m> = meta.map(|raw| object(raw.get())).transpose()?.unwrap_or_default();
        let is_of = |name: &str| matches!(&kind, Kind::Notification(method) if method == name);
        let progress_token = match kind {
            Kind::Request(..) => meta.progress_token,
            _ if is_of("notifications/progress") => members.progress_token,
            _ => None,
        };
        let cancels = members.request_id.filter(|_| is_of("notifications/cancelled"));
        let subscription = match kind {
            Kind::Request(..) => None,
            _ => meta.subscription,
        };
        let span = |raw: Option<&'m RawValue>| raw.map(|raw| span(text, raw)).transpose();
        let [progress_token, cancels, subscription] =
            [span(progress_token)?, span(cancels)?, span(subscription)?];
        Ok(Self { text, kind, progress_token, cancels, subscription })
    }

    /// The JSON of a part.
    pub(crate) fn get(&self, span: &Span) -> &'m str {
        self.text.get(span.clone()).unwrap_or_default()
    }

    /// The message with other JSON in some places. Every other byte stays.
    pub(crate) fn with(&self, changes: &[(Option<&Span>, &str)]) -> Bytes {
        let mut changes: Vec<_> =
            changes.iter().filter_map(|(span, json)| span.map(|span| (span, *json))).collect();
        changes.sort_by_key(|(span, _)| span.start);
        let longer: usize = changes.iter().map(|(_, json)| json.len()).sum();
        let mut message = Vec::with_capacity(self.text.len() + longer);
        let mut end = 0;
        for (span, json) in changes {
            message.extend_from_slice(self.get(&(end..span.start)).as_bytes());
            message.extend_from_slice(json.as_bytes());
            end = span.end;
        }
        message.extend_from_slice(self.get(&(end..self.text.len())).as_bytes());
        message.into()
    }
}

/// Whether two ids are the same, however they are written.
pub(crate) fn is_same_id(one: &str, other: &str) -> bool {
    let string = |id: &str| serde_json::from_str::<String>(id).ok();
    one == other || string(one).is_some_and(|one| string(other).is_some_and(|other| one == other))
}

/// Parses an object. serde would take an array for a struct.
fn object<'m, T: Deserialize<'m>>(text: &'m str) -> Result<T, NotAMessage> {
    let is_object = text.trim_start_matches([' ', '\t', '\r', '\n']).starts_with('{');
    let parsed = serde_json::from_str(text).ok().filter(|_| is_object);
    parsed.ok_or(NotAMessage)
}

/// The place of a value that is a string or a number.
fn span(text: &str, value: &RawValue) -> Result<Span, NotAMessage> {
    let value = value.get();
    let is_scalar = value.starts_with(|c: char| matches!(c, '"' | '-') || c.is_ascii_digit());
    // A string that is read here is one that can be read, for example without half of a surrogate pair.
    let is_readable =
        !value.starts_with('"') || serde_json::from_str::<Cow<'_, str>>(value).is_ok();
    if !is_scalar || !is_readable || value.len() > MAX_ID_BYTES {
        return Err(NotAMessage);
    }
    let start = value.as_ptr().addr().checked_sub(text.as_ptr().addr()).ok_or(NotAMessage)?;
    Ok(start..start + value.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is found in a message: its kind, and its parts.
    fn read(line: &str) -> Result<String, NotAMessage> {
        let message = Message::parse(line.as_bytes())?;
        let kind = match &message.kind {
            Kind::Request(id, method) => format!("{method} {}", message.get(id)),
            Kind::Notification(method) => method.to_string(),
            Kind::Response(id, code) => format!("{} {code:?}", message.get(id)),
        };
        let parts = [&message.progress_token, &message.cancels, &message.subscription];
        let parts = parts.map(|part| part.as_ref().map_or("-", |part| message.get(part)));
        Ok(format!("{kind} {}", parts.join(" ")))
    }

    #[test]
    fn the_parts_that_name_other_messages_are_found() {
        for (line, expected) in [
            (r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#, "ping 1 - - -"),
            (r#" { "method" : "a/b" , "id" : 1.0 , "jsonrpc" : "2.0" } "#, "a/b 1.0 - - -"),
            (
                r#"{"jsonrpc":"2.0","\u0069d":"\u0031","method":"p\u0069ng"}"#,
                r#"ping "\u0031" - - -"#,
            ),
            (
                r#"{"jsonrpc":"2.0","id":12345678901234567890123,"method":"ping","params":null}"#,
                "ping 12345678901234567890123 - - -",
            ),
            (
                r#"{"jsonrpc":"2.0","id":-1e2,"method":"ping","params":[{"id":2}]}"#,
                "ping -1e2 - - -",
            ),
            (
                r#"{"jsonrpc":"2.0","id":"a","method":"tools/call","params":{"progressToken":9,"_meta":{"progressToken":"t"},"requestId":8,"arguments":{"_meta":{"progressToken":7}}}}"#,
                r#"tools/call "a" "t" - -"#,
            ),
            (
                r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":3,"progress":1,"_meta":{"progressToken":4}}}"#,
                "notifications/progress 3 - -",
            ),
            (
                r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"x"}}"#,
                r#"notifications/cancelled - "x" -"#,
            ),
            (
                r#"{"jsonrpc":"2.0","method":"notifications/message","params":{"requestId":"x","progressToken":1}}"#,
                "notifications/message - - -",
            ),
            (
                r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed","params":{"_meta":{"io.modelcontextprotocol/subscriptionId":5}}}"#,
                "notifications/tools/list_changed - - 5",
            ),
            (
                r#"{"jsonrpc":"2.0","id":5,"result":{"_meta":{"io.modelcontextprotocol/subscriptionId":5}}}"#,
                "5 None - - 5",
            ),
            (r#"{"jsonrpc":"2.0","id":5,"result":null}"#, "5 None - - -"),
            (r#"{"jsonrpc":"2.0","id":5,"result":{},"error":null}"#, "5 None - - -"),
            (r#"{"jsonrpc":"2.0","id":5,"result":null,"error":"no"}"#, "5 Some(0) - - -"),
            (
                r#"{"jsonrpc":"2.0","id":5,"error":{"code":-32601,"message":"no"}}"#,
                "5 Some(-32601) - - -",
            ),
        ] {
            assert_eq!(read(line).as_deref(), Ok(expected), "{line}");
        }
    }

    #[test]
    fn what_is_not_one_clear_message_is_refused() {
        let long = format!(r#"{{"jsonrpc":"2.0","id":"{}","method":"ping"}}"#, "x".repeat(300));
        for line in [
            "",
            "Server listening",
            "{}",
            "null",
            "1",
            r#"["2.0",1,"ping"]"#,
            r#"[{"jsonrpc":"2.0","id":1,"method":"ping"}]"#,
            r#"{"id":1,"method":"ping"}"#,
            r#"{"jsonrpc":"1.0","id":1,"method":"ping"}"#,
            r#"{"jsonrpc":"2.0"}"#,
            r#"{"jsonrpc":"2.0","id":1}"#,
            r#"{"jsonrpc":"2.0","id":null,"method":"ping"}"#,
            r#"{"jsonrpc":"2.0","id":{},"method":"ping"}"#,
            r#"{"jsonrpc":"2.0","id":[1],"method":"ping"}"#,
            r#"{"jsonrpc":"2.0","id":true,"method":"ping"}"#,
            r#"{"jsonrpc":"2.0","id":"\ud800","method":"ping"}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":7}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"ping","result":{}}"#,
            r#"{"jsonrpc":"2.0","result":{}}"#,
            r#"{"jsonrpc":"2.0","id":1,"result":{},"error":{"code":1}}"#,
            r#"{"jsonrpc":"2.0","id":1,"id":2,"method":"ping"}"#,
            r#"{"jsonrpc":"2.0","id":1,"\u0069d":2,"method":"ping"}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"ping","method":"pong"}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"ping","params":{"_meta":{"progressToken":1,"progressToken":2}}}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"ping","params":{"_meta":{},"_meta":{}}}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"ping","params":{"_meta":{"progressToken":{}}}}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"ping"} {}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"ping""#,
            &long,
        ] {
            assert_eq!(read(line), Err(NotAMessage), "{line}");
        }
        assert!(Message::parse(b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"\xff\"}").is_err());
    }

    #[test]
    fn only_what_is_replaced_changes() {
        let line = r#" {"params":{"_meta" : { "progressToken":"\u0061" } ,"n":1.0},"id" : 1e2 ,"method":"x","jsonrpc":"2.0"}"#;
        let message = Message::parse(line.as_bytes()).expect("a message");
        let Kind::Request(id, _) = &message.kind else { panic!("{message:?}") };
        let changed =
            message.with(&[(Some(id), "7"), (message.progress_token.as_ref(), "8"), (None, "9")]);
        assert_eq!(
            changed,
            r#" {"params":{"_meta" : { "progressToken":8 } ,"n":1.0},"id" : 7 ,"method":"x","jsonrpc":"2.0"}"#
        );
        let changed = Message::parse(&changed).expect("a message");
        let Kind::Request(id, _) = &changed.kind else { panic!("{changed:?}") };
        assert_eq!(
            changed.with(&[(changed.progress_token.as_ref(), r#""\u0061""#), (Some(id), "1e2")]),
            line
        );
    }

    #[test]
    fn ids_are_compared_by_what_they_mean() {
        for (one, other, expected) in [
            ("1", "1", true),
            (r#""a""#, r#""\u0061""#, true),
            ("1", r#""1""#, false),
            ("1", "2", false),
            ("1", "1.0", false),
        ] {
            assert_eq!(is_same_id(one, other), expected, "{one} {other}");
        }
    }
}

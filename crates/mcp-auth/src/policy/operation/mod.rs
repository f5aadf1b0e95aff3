//! `Operation`: the MCP operation of a request, parsed strictly from its JSON-RPC message and its headers.

mod members;
mod target;
mod call;
mod headers;
mod params;
mod message;
mod open_requests;
mod upgrade;

use std::fmt;

use headers::{McpHeaders, RawHeaders};
use http::Method;
use http::header::HeaderMap;
use message::{Envelope, Messages};

use crate::model::denial::Denial;
use crate::model::error_codes::BadMessage;
use crate::model::tool_call::ToolCall;
use crate::util::shown;

pub(crate) use call::{Call, is_known_method};
pub(crate) use open_requests::{OpenRequest, open_requests};
pub(crate) use target::{Target, TargetKind};
pub(crate) use upgrade::check_no_upgrade;

/// What a request asks for: one MCP message, several in a batch, or none (a `GET` for a stream).
///
/// It is read from the body. The headers must agree with the body and cannot change the operation.
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
pub struct Operation<'m>(Option<Messages<Call<'m>>>);

/// The maximum total length of the methods, names and URIs of a request. Each is compared with patterns.
const MAX_TOTAL_NAME_BYTES: usize = 64 * 1024;

/// How many methods and names of an operation are shown to the operator.
const MAX_SHOWN_WORDS: usize = 8;

impl<'m> Operation<'m> {
    /// Reads the operation of a request. An empty body asks for nothing, unless the request is a `POST`.
    ///
    /// # Errors
    ///
    /// A [`BadMessage`] if the body is not a JSON-RPC message in UTF-8, if two parsers could read it
    /// differently, or if the headers contradict it.
    pub fn read(method: &Method, headers: &HeaderMap, body: &'m [u8]) -> Result<Self, Denial> {
        if body.is_empty() && method != Method::POST {
            return Ok(Self::default());
        }
        let raw = RawHeaders::of(headers);
        if !raw.declares_plain_utf8() {
            return Err(Denial::bad_message(BadMessage::NotJson));
        }
        let mut messages = Messages::new();
        messages.read(body).map_err(Denial::bad_message)?;
        let operation = Self::from_messages(&raw, &messages).and_then(|operation| {
            // Every method, name and URI is part of the body, so a short body needs no check.
            if body.len() > MAX_TOTAL_NAME_BYTES {
                operation.check_total_length()
            } else {
                Ok(operation)
            }
        });
        operation.map_err(|denial| denial.in_reply_to(messages.only().and_then(Envelope::id)))
    }

    /// A call of one tool, for use without an HTTP request.
    #[must_use]
    pub fn of_tool(name: &'m str) -> Self {
        Self::of("tools/call", TargetKind::Tool, name)
    }

    /// A request for one prompt, for use without an HTTP request.
    #[must_use]
    pub fn of_prompt(name: &'m str) -> Self {
        Self::of("prompts/get", TargetKind::Prompt, name)
    }

    /// A read of one resource, for use without an HTTP request.
    #[must_use]
    pub fn of_resource(uri: &'m str) -> Self {
        Self::of("resources/read", TargetKind::Resource, uri)
    }

    /// A read of the resources of a template.
    pub(crate) fn of_template(template: &'m str) -> Self {
        Self::of("resources/read", TargetKind::Template, template)
    }

    /// The method of the one message: `tools/call`. Returns `None` for several messages, for none, and for a response.
    #[must_use]
    pub fn method(&self) -> Option<&str> {
        self.0.as_ref()?.only()?.method.as_deref()
    }

    /// What the one message names: a tool, a prompt, the URI of a resource, a task. The client wrote it. Returns `None` for
    /// several messages, and if it names nothing.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.0.as_ref()?.only()?.names().next()
    }

    /// All that the one message names, such as each URI of `subscriptions/listen`. Empty for several messages, and if it names
    /// nothing.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.as_ref().and_then(Messages::only).into_iter().flat_map(Call::names)
    }

    pub(crate) fn calls(&self) -> &[Call<'m>] {
        self.0.as_ref().map_or(&[], Messages::all)
    }

    /// The `id` of the request. Returns `None` for a batch, a notification or a response.
    pub(crate) fn request_id(&self) -> Option<&'m str> {
        let call = self.0.as_ref()?.only()?;
        call.method.as_ref().and(call.id)
    }

    /// The request, if it calls a tool, and is the one message.
    pub(crate) fn tool_call(&self) -> Option<ToolCall<'m>> {
        let messages = self.0.as_ref()?;
        let [call] = messages.all() else { return None };
        let id = call.id.filter(|_| call.method.as_deref() == Some("tools/call"))?;
        Some(ToolCall { id, is_in_batch: messages.only().is_none() })
    }

    /// Its name in a detail for the operator. The client wrote the words of this name.
    pub(crate) fn label(&self) -> String {
        let mut words = self
            .calls()
            .iter()
            .flat_map(|call| call.method.as_deref().into_iter().chain(call.names()));
        let first: Vec<_> = words
            .by_ref()
            .take(MAX_SHOWN_WORDS)
            .map(|word| shown::name(word).to_string())
            .collect();
        match (&*first, words.next()) {
            ([], _) => "the request".to_owned(),
            (_, None) => format!("`{}`", first.join(" ")),
            (_, Some(_)) => format!("`{} ...`", first.join(" ")),
        }
    }

    fn of(method: &'static str, kind: TargetKind, name: &'m str) -> Self {
        let first = Some(Target::of(kind, name));
        Self(Some(Messages::One(Call { method: Some(method.into()), first, ..Call::default() })))
    }

    fn from_messages(
        raw: &RawHeaders<'_>,
        messages: &Messages<Envelope<'m>>,
    ) -> Result<Self, Denial> {
        let headers = McpHeaders::of(raw)?;
        if messages.only().is_none() && !headers.allows_batches() {
            return Err(Denial::bad_message(BadMessage::Batch));
        }
        let calls = messages.try_map(|envelope| {
            let call = envelope.to_call(&headers).map_err(Denial::bad_message)?;
            let version = envelope.version().map_err(Denial::bad_message)?;
            headers.check_against_body(&call, version.as_deref())?;
            Ok::<_, Denial>(call)
        })?;
        Ok(Self(Some(calls)))
    }

    /// Checks that all methods, names and URIs are at most [`MAX_TOTAL_NAME_BYTES`] long in total.
    fn check_total_length(self) -> Result<Self, Denial> {
        let words = self
            .calls()
            .iter()
            .flat_map(|call| call.method.as_deref().into_iter().chain(call.names()));
        match words.map(str::len).sum::<usize>() {
            ..=MAX_TOTAL_NAME_BYTES => Ok(self),
            _ => Err(Denial::bad_message(BadMessage::Target)),
        }
    }
}

/// For logs. Contains methods and names that the client wrote, so it must not be sent to clients.
impl fmt::Display for Operation<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, call) in self.calls().iter().enumerate() {
            f.write_str(if i == 0 { "" } else { ", " })?;
            match call.method.as_deref() {
                Some(method) => shown::name(method).fmt(f)?,
                None => f.write_str("an answer")?,
            }
            for name in call.names() {
                write!(f, " {}", shown::name(name))?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;

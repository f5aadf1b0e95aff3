//! What is written down about each request: collected on its way, and written when it ends, however it ends.

use std::collections::BTreeMap;
use std::hash::{BuildHasher as _, RandomState};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Instant, SystemTime};

use http::header::AUTHORIZATION;
use http::request::Parts;
use http::{HeaderMap, Method, Response};
use mcp_auth::{Denial, McpAuth, Operation};
use mcp_auth_config::AuditConfig;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::audit_line::{
    AuditDecision, AuditLine, AuditRequest, AuditedCall, AuditedMessage, VERSION, cut, rfc3339,
    short,
};
use crate::audit_notes::Notes;
use crate::audit_writer::AuditWriter;
use crate::connections::network_of;
use crate::hangups::Hangups;
use crate::recorded::{Message, Recording};
use crate::trace_context::{TraceContext, hex};

/// The audit log. Clones share it.
#[derive(Clone)]
pub(crate) struct Audit(Arc<Inner>);

struct Inner {
    config: AuditConfig,
    writer: AuditWriter,
    /// Of this process.
    prefix: u64,
    number: AtomicU64,
}

/// The line of a request could not be written, and must be.
pub(crate) struct CannotBeWritten;

/// A request that is under way. Its line is written when this is dropped.
pub(crate) struct Entry {
    audit: Audit,
    /// Whether there was room for its line when it came. The line is then written, whatever came between. So no more lines
    /// wait than there is room for, and one for each request under way when there was no more, which takes more memory than
    /// its line.
    is_promised: bool,
    auth: McpAuth,
    begun: (SystemTime, Instant),
    method: Method,
    headers: HeaderMap,
    address: Option<IpAddr>,
    recording: Recording,
    notes: Notes,
}

impl Audit {
    /// Opens the log.
    ///
    /// # Errors
    ///
    /// If its file cannot be opened.
    pub(crate) fn open(config: &AuditConfig) -> std::io::Result<Self> {
        let (config, writer) = (config.clone(), AuditWriter::start(config)?);
        let prefix = RandomState::new().hash_one(SystemTime::now());
        Ok(Self(Arc::new(Inner { config, writer, prefix, number: AtomicU64::new(0) })))
    }

    /// Begins the line of a request.
    ///
    /// # Errors
    ///
    /// If it could not be written, and `audit.required` is set.
    pub(crate) fn begin(
        &self,
        auth: &McpAuth,
        parts: &Parts,
        address: Option<IpAddr>,
        recording: Recording,
    ) -> Result<Entry, CannotBeWritten> {
        // Requests that wait take no room, so that nobody keeps others out by opening many.
        let is_promised = self.0.writer.has_room();
        if self.0.config.required && (!is_promised || self.0.writer.has_failed()) {
            self.0.writer.lose();
            return Err(CannotBeWritten);
        }
        let mut headers = parts.headers.clone();
        headers.remove(AUTHORIZATION);
        let notes = Notes::default();
        let number = self.0.number.fetch_add(1, Ordering::Relaxed);
        notes.lock().request_id = format!("{:016x}{number:08x}", self.0.prefix);
        Ok(Entry {
            audit: self.clone(),
            is_promised,
            auth: auth.clone(),
            begun: (SystemTime::now(), Instant::now()),
            method: parts.method.clone(),
            headers,
            address,
            recording,
            notes,
        })
    }

    /// Counts a request over the limit of its address. It has no line of its own, since it costs its sender nothing.
    pub(crate) fn limited(&self, auth: &McpAuth, address: IpAddr) {
        self.0.writer.limited(auth.resource(), network_of(address));
    }

    /// The claim that names the caller, if one is configured.
    pub(crate) fn claim(&self) -> Option<&str> {
        self.0.config.caller.as_deref()
    }

    /// Opens the file again each time the process is told to (SIGHUP).
    pub(crate) async fn reopen_when_told(self) {
        let mut hangups = Hangups::listen();
        loop {
            hangups.next().await;
            self.0.writer.reopen();
        }
    }

    pub(crate) fn writer(&self) -> &AuditWriter {
        &self.0.writer
    }
}

impl Entry {
    pub(crate) fn notes(&self) -> &Notes {
        &self.notes
    }

    /// The response of the request.
    pub(crate) fn finish<B>(self, response: &Response<B>) {
        self.notes.lock().status = Some(response.status().as_u16());
        if let Some(denial) = response.extensions().get::<Denial>() {
            self.notes.refused(self.audit.claim(), denial);
        }
    }

    /// The line. Returns `None` if nothing was decided: the client asked what a web page may send (CORS), or went away before.
    fn line(&self) -> Option<AuditLine> {
        let noted = std::mem::take(&mut *self.notes.lock());
        let decision = noted.decision?;
        let message = self.recording.message();
        let (known, operation) = match &message {
            Message::Unread => (AuditedMessage::Unread, Operation::default()),
            Message::TooLong => (AuditedMessage::TooLong, Operation::default()),
            Message::Whole(bytes) if bytes.is_empty() => {
                (AuditedMessage::None, Operation::default())
            }
            Message::Whole(bytes) => match Operation::read(&self.method, &self.headers, bytes) {
                Ok(operation) => (AuditedMessage::Read, operation),
                Err(_) => (AuditedMessage::Unreadable, Operation::default()),
            },
        };
        let bytes = match &message {
            Message::Whole(bytes) => &**bytes,
            _ => &[],
        };
        let first = self.asked(&operation, bytes);
        Some(AuditLine::Decision(Box::new(AuditDecision {
            v: VERSION,
            time: rfc3339(self.begun.0),
            request_id: noted.request_id,
            resource: self.auth.resource().to_owned(),
            decision,
            reason: noted.reason,
            detail: noted.detail,
            rules: self.auth.rules_for(&operation).into_iter().map(str::to_owned).collect(),
            status: noted.status,
            upstream: noted.upstream,
            upstream_status: noted.upstream_status,
            milliseconds: self.begun.1.elapsed().as_millis().try_into().unwrap_or(u64::MAX),
            caller: noted.caller,
            request: AuditRequest {
                address: self.address.map(|address| address.to_string()),
                http_method: cut(self.method.as_str()),
                trace_id: TraceContext::of(&self.headers).map(|context| hex(&context.trace)),
                message: known,
                method: first.method,
                tool: first.tool,
                name: first.name,
                names: first.names,
                arguments: first.arguments,
                batch: match operation.method() {
                    None => self.batch(bytes),
                    Some(_) => Vec::new(),
                },
            },
        })))
    }

    /// What one message asks for.
    fn asked(&self, operation: &Operation<'_>, message: &[u8]) -> AuditedCall {
        let is_tool_call = operation.method() == Some("tools/call");
        let named = operation.name().map(cut);
        let (tool, name) = if is_tool_call { (named, None) } else { (None, named) };
        let names: Vec<_> = operation.names().map(cut).collect();
        AuditedCall {
            method: operation.method().map(cut),
            tool,
            name,
            names: if names.len() > 1 { names } else { Vec::new() },
            arguments: if is_tool_call { self.arguments(message) } else { BTreeMap::new() },
        }
    }

    /// What each message of a batch asks for. The batch as a whole was read before, so its messages can be, and they are few.
    fn batch(&self, messages: &[u8]) -> Vec<AuditedCall> {
        let messages: Vec<&RawValue> = serde_json::from_slice(messages).unwrap_or_default();
        let one = |message: &&RawValue| {
            let message = message.get().as_bytes();
            let operation = Operation::read(&self.method, &self.headers, message);
            self.asked(&operation.unwrap_or_default(), message)
        };
        messages.iter().map(one).collect()
    }

    /// The arguments that the configuration names.
    fn arguments(&self, message: &[u8]) -> BTreeMap<String, Value> {
        let names = &self.audit.0.config.arguments;
        if names.is_empty() {
            return BTreeMap::new();
        }
        let message: Value = serde_json::from_slice(message).unwrap_or_default();
        let arguments = message.pointer("/params/arguments");
        let argument = |name: &String| Some((name.clone(), short(arguments?.get(name)?.clone())));
        names.iter().filter_map(argument).collect()
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let Some(line) = self.line() else { return };
        let writer = &self.audit.0.writer;
        match self.is_promised || writer.has_room() {
            true => writer.send(&line),
            false => writer.lose(),
        }
    }
}

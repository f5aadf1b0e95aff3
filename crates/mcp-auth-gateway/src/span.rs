//! Spans, and their form in OTLP over HTTP
//! ([JSON](https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding)).

use std::time::{SystemTime, UNIX_EPOCH};

use serde::Serialize;

use crate::trace_context::{TraceContext, hex};

/// The names of attributes: those of the [MCP semantic conventions](https://github.com/open-telemetry/semantic-conventions-genai/blob/main/docs/gen-ai/mcp.md),
/// which may still change, of HTTP, and our own.
pub(crate) mod names {
    pub(crate) const METHOD: &str = "mcp.method.name";
    pub(crate) const PROTOCOL: &str = "mcp.protocol.version";
    pub(crate) const RESOURCE_URI: &str = "mcp.resource.uri";
    pub(crate) const OPERATION: &str = "gen_ai.operation.name";
    /// The operation of a call of a tool.
    pub(crate) const EXECUTE_TOOL: &str = "execute_tool";
    pub(crate) const TOOL: &str = "gen_ai.tool.name";
    pub(crate) const PROMPT: &str = "gen_ai.prompt.name";
    pub(crate) const ERROR: &str = "error.type";
    pub(crate) const HTTP_METHOD: &str = "http.request.method";
    pub(crate) const HTTP_STATUS: &str = "http.response.status_code";
    pub(crate) const RESOURCE: &str = "mcp_auth.resource";
    pub(crate) const DECISION: &str = "mcp_auth.decision";
    pub(crate) const SERVICE: &str = "service.name";
    pub(crate) const VERSION: &str = "service.version";
}

/// What a span is about is a server's work.
const KIND_SERVER: u8 = 2;
const STATUS_ERROR: u8 = 2;

/// A request from its start to the end of its response.
#[derive(Debug)]
pub(crate) struct Span {
    pub(crate) context: TraceContext,
    pub(crate) parent: Option<[u8; 8]>,
    pub(crate) name: String,
    pub(crate) start: SystemTime,
    pub(crate) end: SystemTime,
    pub(crate) attributes: Vec<(&'static str, String)>,
    pub(crate) is_error: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Export<'s> {
    resource_spans: [ResourceSpans<'s>; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ResourceSpans<'s> {
    resource: Resource<'s>,
    scope_spans: [ScopeSpans<'s>; 1],
}

#[derive(Serialize)]
struct Resource<'s> {
    attributes: [Attribute<'s>; 2],
}

#[derive(Serialize)]
struct ScopeSpans<'s> {
    scope: Scope,
    spans: Vec<Exported<'s>>,
}

#[derive(Serialize)]
struct Scope {
    name: &'static str,
    version: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Exported<'s> {
    trace_id: String,
    span_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent_span_id: Option<String>,
    name: &'s str,
    kind: u8,
    start_time_unix_nano: String,
    end_time_unix_nano: String,
    attributes: Vec<Attribute<'s>>,
    status: Status,
}

#[derive(Serialize)]
struct Status {
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<u8>,
}

#[derive(Serialize)]
struct Attribute<'s> {
    key: &'static str,
    value: AttributeValue<'s>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
enum AttributeValue<'s> {
    StringValue(&'s str),
    /// 64 bits are a text in this form.
    IntValue(&'s str),
}

impl<'s> Attribute<'s> {
    fn new(key: &'static str, value: &'s str) -> Self {
        let value = match key {
            names::HTTP_STATUS => AttributeValue::IntValue(value),
            _ => AttributeValue::StringValue(value),
        };
        Self { key, value }
    }
}

/// The body of a request that exports spans.
pub(crate) fn export(service: &str, spans: &[Span]) -> Vec<u8> {
    let version = env!("CARGO_PKG_VERSION");
    let attributes =
        [Attribute::new(names::SERVICE, service), Attribute::new(names::VERSION, version)];
    let spans = spans.iter().map(exported).collect();
    let scope = Scope { name: env!("CARGO_PKG_NAME"), version };
    let scope_spans = [ScopeSpans { scope, spans }];
    let resource = Resource { attributes };
    let export = Export { resource_spans: [ResourceSpans { resource, scope_spans }] };
    // Nothing here fails to serialize.
    serde_json::to_vec(&export).unwrap_or_default()
}

fn exported(span: &Span) -> Exported<'_> {
    let attributes = span.attributes.iter().map(|(key, value)| Attribute::new(key, value));
    Exported {
        trace_id: hex(&span.context.trace),
        span_id: hex(&span.context.span),
        parent_span_id: span.parent.map(|parent| hex(&parent)),
        name: &span.name,
        kind: KIND_SERVER,
        start_time_unix_nano: nanoseconds(span.start),
        end_time_unix_nano: nanoseconds(span.end),
        attributes: attributes.collect(),
        status: Status { code: span.is_error.then_some(STATUS_ERROR) },
    }
}

fn nanoseconds(moment: SystemTime) -> String {
    moment.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos().to_string()
}

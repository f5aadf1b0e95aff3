//! A span for each request to a resource, exported to a collector (OTLP over HTTP).
//!
//! No request waits for it: a span for which there is no place is counted and lost.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

use aws_lc_rs::rand;
use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, Uri};
use http_body::{Body, Frame, SizeHint};
use mcp_auth::{Denial, Operation};
use mcp_auth_config::TracesConfig;
use tokio::sync::{mpsc, oneshot};

use crate::audit_line::cut;
use crate::because::Because;
use crate::exporter::{Exporter, Sent, Whose};
use crate::recorded::{Message, Recording};
use crate::span::{Span, names};
use crate::telemetry;
use crate::trace_context::TraceContext;

/// The most spans that wait, some seconds of a busy gateway. With the longest texts they take about 8 MiB.
const MAX_WAITING: usize = 2048;

/// The most of them that are about callers without a verified token: who has none cannot keep out the spans of others.
const MAX_WAITING_OF_OTHERS: usize = MAX_WAITING / 4;

/// How long the last spans are waited for when the gateway ends.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(2);

/// Where spans go. Clones share it.
#[derive(Clone)]
pub(crate) struct Traces(Arc<Inner>);

struct Inner {
    sender: mpsc::Sender<Sent>,
    /// How many of those that wait are about callers without a verified token.
    of_others: Arc<AtomicUsize>,
}

/// A request that is under way. Its span ends when this is dropped.
pub(crate) struct OpenSpan {
    traces: Traces,
    whose: Whose,
    /// `None` when it was sent.
    span: Option<Box<Span>>,
}

/// The head of a request, of which a span tells what was asked for. It has no credentials.
pub(crate) struct RequestHead {
    method: Method,
    headers: HeaderMap,
    has_credentials: bool,
}

/// A body at the end of which a span ends.
pub(crate) struct UntilEnd<B> {
    body: B,
    _span: Option<Arc<OpenSpan>>,
}

impl Traces {
    /// Checks where spans are to go.
    ///
    /// # Errors
    ///
    /// What is wrong with the configuration.
    pub(crate) fn check(config: &TracesConfig) -> Result<(), String> {
        let url = &config.url;
        let uri: Uri = url.parse().map_err(|_| format!("{url:?} is not a URL"))?;
        if !matches!(uri.scheme_str(), Some("http" | "https")) || uri.host().is_none() {
            return Err(format!("{url:?} is not an http or https URL"));
        }
        for (name, value) in config.read_headers().map_err(|error| error.to_string())? {
            HeaderName::try_from(name).map_err(|_| format!("{name:?} is not a header"))?;
            HeaderValue::try_from(value)
                .map_err(|_| format!("the value of {name:?} is not one of a header"))?;
        }
        Ok(())
    }

    /// Exports spans from now on, until its clones have gone.
    ///
    /// # Errors
    ///
    /// What is wrong with the configuration.
    pub(crate) fn start(config: &TracesConfig) -> Result<Self, String> {
        Self::check(config)?;
        let (sender, receiver) = mpsc::channel(MAX_WAITING);
        let of_others = Arc::<AtomicUsize>::default();
        let exporter = Exporter::new(config, Arc::clone(&of_others))?;
        tokio::spawn(exporter.run(receiver));
        Ok(Self(Arc::new(Inner { sender, of_others })))
    }

    /// Begins the span of a request, and writes it into the head that the server gets. Returns `None` if the client has said
    /// that its trace is not sampled.
    pub(crate) fn begin(
        &self,
        parts: &mut Parts,
        parent: Option<TraceContext>,
    ) -> Option<OpenSpan> {
        if parent.is_some_and(|parent| !parent.is_sampled) {
            return None;
        }
        let (mut trace, mut own) = ([0; 16], [0; 8]);
        rand::fill(&mut trace).and_then(|()| rand::fill(&mut own)).ok()?;
        let trace = parent.map_or(trace, |parent| parent.trace);
        let context = TraceContext { trace, span: own, is_sampled: true };
        context.write(&mut parts.headers);
        let now = SystemTime::now();
        let span = Span {
            context,
            parent: parent.map(|parent| parent.span),
            name: parts.method.to_string(),
            start: now,
            end: now,
            attributes: vec![(names::HTTP_METHOD, cut(parts.method.as_str()))],
            is_error: false,
        };
        Some(OpenSpan { traces: self.clone(), whose: Whose::Others, span: Some(Box::new(span)) })
    }

    fn send(&self, span: Box<Span>, whose: Whose) {
        let of_others = &self.0.of_others;
        if whose == Whose::Others {
            let more = |number: usize| (number < MAX_WAITING_OF_OTHERS).then_some(number + 1);
            if of_others.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_err() {
                return telemetry::spans("lost", 1);
            }
        }
        if self.0.sender.try_send(Sent::Span(span, whose)).is_err() {
            if whose == Whose::Others {
                of_others.fetch_sub(1, Ordering::Relaxed);
            }
            telemetry::spans("lost", 1);
        }
    }

    /// Waits until what was sent has been exported, or for a while.
    pub(crate) async fn flush(&self) {
        let (sender, receiver) = oneshot::channel();
        if self.0.sender.try_send(Sent::Flush(sender)).is_ok() {
            _ = tokio::time::timeout(FLUSH_TIMEOUT, receiver).await;
        }
    }
}

impl RequestHead {
    pub(crate) fn of(parts: &Parts) -> Self {
        let mut headers = parts.headers.clone();
        let credentials = [AUTHORIZATION, HeaderName::from_static("x-api-key")];
        let removed = credentials.map(|name| headers.remove(name));
        let has_credentials = removed.iter().any(Option::is_some);
        Self { method: parts.method.clone(), headers, has_credentials }
    }
}

impl OpenSpan {
    /// Adds what is known when the head of the response is. Names come from the message, if it was read, else from the headers
    /// that name them; those of callers without a verified token are left out.
    pub(crate) fn answered<B>(
        mut self,
        resource: &str,
        head: &RequestHead,
        recording: Option<&Recording>,
        response: &Response<B>,
    ) -> Self {
        let denial = response.extensions().get::<Denial>();
        let because = response.extensions().get::<Because>();
        let code = denial.map(Denial::code).or(because.map(|because| because.code));
        let is_admitted = code.is_none() && head.has_credentials;
        let is_verified = denial.map_or(is_admitted, |denial| denial.verified_token().is_some());
        self.whose = if is_verified { Whose::Verified } else { Whose::Others };
        let Some(span) = &mut self.span else { return self };
        let status = response.status();
        let mut add = |name, value: &str| span.attributes.push((name, cut(value)));
        add(names::RESOURCE, resource);
        add(names::HTTP_STATUS, status.as_str());
        add(names::DECISION, code.unwrap_or("passed_on"));
        span.is_error = status.is_server_error();
        match code {
            Some(code) => add(names::ERROR, code),
            None if span.is_error => add(names::ERROR, status.as_str()),
            None => {}
        }
        if is_verified {
            add_names(span, head, recording);
        }
        self
    }
}

impl Drop for OpenSpan {
    fn drop(&mut self) {
        if let Some(mut span) = self.span.take() {
            span.end = SystemTime::now();
            self.traces.send(span, self.whose);
        }
    }
}

/// Adds what the request asks for.
fn add_names(span: &mut Span, head: &RequestHead, recording: Option<&Recording>) {
    let message = match recording.map(Recording::message) {
        Some(Message::Whole(message)) => message,
        _ => Bytes::new(),
    };
    let operation = match head.method == Method::POST && !message.is_empty() {
        true => Operation::read(&head.method, &head.headers, &message).unwrap_or_default(),
        false => Operation::default(),
    };
    let header = |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok());
    let method = operation.method().or_else(|| header("mcp-method"));
    let name = operation.name().or_else(|| header("mcp-name"));
    let mut add = |name, value: Option<&str>| {
        span.attributes.extend(value.map(|value| (name, cut(value))));
    };
    add(names::PROTOCOL, header("mcp-protocol-version"));
    let Some(method) = method else { return };
    add(names::METHOD, Some(method));
    let target = match method {
        "tools/call" => {
            add(names::OPERATION, Some(names::EXECUTE_TOOL));
            add(names::TOOL, name);
            name
        }
        "prompts/get" => {
            add(names::PROMPT, name);
            name
        }
        "resources/read" => {
            add(names::RESOURCE_URI, name);
            None
        }
        _ => None,
    };
    let words: Vec<_> = [Some(method), target].into_iter().flatten().collect();
    span.name = cut(&words.join(" "));
}

/// Keeps a span open until the end of the response.
pub(crate) fn until_end<B>(mut response: Response<B>) -> Response<UntilEnd<B>> {
    let _span = response.extensions_mut().remove::<Arc<OpenSpan>>();
    response.map(|body| UntilEnd { body, _span })
}

impl<B: Body + Unpin> Body for UntilEnd<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_waits_is_bounded_and_who_has_no_token_keeps_out_nobody() {
        let (sender, mut receiver) = mpsc::channel(MAX_WAITING);
        let traces = Traces(Arc::new(Inner { sender, of_others: Arc::default() }));
        let span = || {
            let (mut parts, ()) = http::Request::new(()).into_parts();
            let span = traces.begin(&mut parts, None).expect("a span");
            assert!(TraceContext::of(&parts.headers).is_some());
            span
        };
        for _ in 0..3 * MAX_WAITING {
            drop(span());
        }
        assert_eq!(receiver.len(), MAX_WAITING_OF_OTHERS);
        for _ in 0..3 * MAX_WAITING {
            let mut span = span();
            span.whose = Whose::Verified;
        }
        assert_eq!(receiver.len(), MAX_WAITING);
        assert!(matches!(receiver.recv().await, Some(Sent::Span(_, Whose::Others))));
    }

    #[test]
    fn the_configuration_is_checked() {
        for (text, expected) in [
            ("url = \"http://127.0.0.1:4318/v1/traces\"", None),
            ("url = \"127.0.0.1:4318\"", Some("is not an http or https URL")),
            ("url = \"grpc://a:4317\"", Some("is not an http or https URL")),
            (
                "url = \"https://a/v1/traces\"\nheaders = { k = \"env:MCP_AUTH_NO_SUCH\" }",
                Some("is not set"),
            ),
        ] {
            let config = mcp_auth_config::Config::from_toml(&format!("[traces]\n{text}"));
            let traces = config.expect(text).traces.expect("traces");
            let error = Traces::check(&traces).err();
            let is_right = match (&error, expected) {
                (None, None) => true,
                (Some(error), Some(expected)) => error.contains(expected),
                _ => false,
            };
            assert!(is_right, "{text}: {error:?}");
        }
    }
}

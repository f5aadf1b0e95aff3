//! One resource: what is checked and written down around the library's layer.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{ALLOW, AUTHORIZATION, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use mcp_auth::{BearerAuth, McpAuth, PeerAddr, ResponseBody};
use tower_layer::Layer as _;
use tower_service::Service as _;

use crate::api_key;
use crate::audit::CannotBeWritten;
use crate::audit_notes::Notes;
use crate::backend::Backend;
use crate::because::{BUFFERS_FULL, NOT_RECORDED, SEVERAL_CREDENTIALS, because};
use crate::budget::{Budgets, CountedBody, Share};
use crate::limits::{Limits, too_many};
use crate::log_limit::LogLimit;
use crate::polls::Polls;
use crate::proxy::{Proxy, ProxyBody, text};
use crate::recorded::{RecordedBody, Recording};
use crate::refusals::Asked;
use crate::shared::Shared;
use crate::summary::Summary;
use crate::telemetry;
use crate::trace_context::TraceContext;
use crate::traces::RequestHead;

/// The body of a response to a client.
pub(crate) type GatewayBody = Either<ResponseBody<ProxyBody>, Either<ProxyBody, Full<Bytes>>>;

/// The longest message that the layer reads, if the configuration does not say otherwise: its own default.
const MAX_MESSAGE_BYTES: usize = 4 * 1024 * 1024;

/// The methods of MCP, and what browsers ask before. Others mean something else to many servers: `TRACE` sends back what the
/// gateway has added to a request, and `CONNECT` opens a tunnel.
const METHODS: [Method; 5] =
    [Method::GET, Method::HEAD, Method::POST, Method::DELETE, Method::OPTIONS];
const ALLOWED: &str = "GET, HEAD, POST, DELETE, OPTIONS";

/// What a resource has around the library's layer.
#[derive(Clone)]
pub(crate) struct Around {
    pub(crate) backend: Backend,
    pub(crate) budgets: Budgets,
    pub(crate) shared: Shared,
    pub(crate) summary: Arc<Summary>,
    pub(crate) polls: Arc<Polls>,
    pub(crate) limits: Option<Arc<Limits>>,
    /// Whether API keys are accepted.
    pub(crate) has_api_keys: bool,
    /// Limits the line about API keys where none are accepted.
    pub(crate) api_key_hint: Arc<LogLimit>,
    pub(crate) max_message_bytes: Option<usize>,
    /// Whether the bodies of requests arrive here, with the requests.
    pub(crate) gets_bodies: bool,
}

/// A protected resource.
#[derive(Clone)]
pub(crate) struct Protected {
    auth: McpAuth,
    around: Around,
    service: BearerAuth<Proxy>,
}

impl Protected {
    pub(crate) fn new(auth: &McpAuth, around: Around) -> Self {
        let service = auth.bearer_auth().layer(Proxy {
            backend: around.backend.clone(),
            shared: around.shared.clone(),
            limits: around.limits.clone(),
        });
        Self { auth: auth.clone(), around, service }
    }

    /// Answers a request, and keeps why it was refused.
    pub(crate) async fn answer(&self, request: Request<Incoming>) -> Response<GatewayBody> {
        let (mut parts, body) = request.into_parts();
        let parent = TraceContext::remove_invalid(&mut parts.headers);
        let (resource, shared) = (self.auth.resource(), &self.around.shared);
        let span = shared.traces.as_ref().and_then(|traces| traces.begin(&mut parts, parent));
        let span = span.map(|span| (span, RequestHead::of(&parts)));
        let (asked, recording) = (Asked::of(&parts), self.recording());
        let request = Request::from_parts(parts, body);
        let mut response = self.answer_to(request, recording.clone()).await;
        shared.refusals.note(Some(resource), &asked, &response);
        if let Some((span, head)) = span {
            let span = span.answered(resource, &head, recording.as_ref(), &response);
            response.extensions_mut().insert(Arc::new(span));
        }
        response
    }

    /// Keeps a copy of the message where something depends on it. A trace names what is asked for where rules read it anyway.
    fn recording(&self) -> Option<Recording> {
        let Around { limits, shared, summary, max_message_bytes, .. } = &self.around;
        let is_needed = shared.audit.is_some()
            || limits.as_deref().is_some_and(Limits::need_message)
            || shared.traces.is_some() && summary.rule_count > 0;
        is_needed.then(|| Recording::new(max_message_bytes.unwrap_or(MAX_MESSAGE_BYTES)))
    }

    async fn answer_to(
        &self,
        request: Request<Incoming>,
        recording: Option<Recording>,
    ) -> Response<GatewayBody> {
        if !METHODS.contains(request.method()) {
            let mut response = ours(StatusCode::METHOD_NOT_ALLOWED, "not a method of MCP\n");
            response.headers_mut().insert(ALLOW, HeaderValue::from_static(ALLOWED));
            return response;
        }
        let (mut parts, body) = request.into_parts();
        let address = parts.extensions.get().map(|PeerAddr(address)| *address);
        let limits = self.around.limits.as_deref();
        let limited = limits.zip(address).and_then(|(limits, it)| limits.check_address(it).err());
        if let Some(limited) = limited {
            let audited = self.around.shared.audit.as_ref().zip(address);
            audited.iter().for_each(|(audit, address)| audit.limited(&self.auth, *address));
            return too_many(ours(StatusCode::TOO_MANY_REQUESTS, "too many requests\n"), limited);
        }
        let audit = self.around.shared.audit.as_ref();
        let entry = match (audit, &recording) {
            (Some(audit), Some(recording)) => {
                match audit.begin(&self.auth, &parts, address, recording.clone()) {
                    Ok(entry) => Some(entry),
                    Err(CannotBeWritten) => {
                        let response = ours(
                            StatusCode::SERVICE_UNAVAILABLE,
                            "this request cannot be recorded at the moment; try again later\n",
                        );
                        return because(response, NOT_RECORDED);
                    }
                }
            }
            _ => None,
        };
        let notes = entry.as_ref().map(|entry| entry.notes().clone());
        let key = match self.around.has_api_keys {
            true => api_key::to_authorization(&mut parts.headers),
            false => {
                self.hint_at_api_keys(&parts.headers);
                Ok(None)
            }
        };
        let response = match key {
            Ok(key) => {
                key.map(|key| parts.extensions.insert(key));
                recording.iter().for_each(|it| drop(parts.extensions.insert(it.clone())));
                notes.iter().for_each(|it| drop(parts.extensions.insert(it.clone())));
                // A proxy that asks may keep the body: then it is not known that there is none.
                let is_seen = self.around.gets_bodies || parts.method != Method::POST;
                let body = RecordedBody::new(body, recording.filter(|_| is_seen));
                self.decide(Request::from_parts(parts, body), notes.as_ref()).await
            }
            Err(api_key::Unclear) => {
                notes.iter().for_each(|notes| notes.denied(SEVERAL_CREDENTIALS));
                SEVERAL_CREDENTIALS.log();
                let refused = ours(StatusCode::BAD_REQUEST, "a request has only one credential\n");
                because(refused, SEVERAL_CREDENTIALS)
            }
        };
        if let Some(entry) = entry {
            entry.finish(&response);
        }
        response
    }
}

impl Protected {
    /// Says once in a while that API keys are sent where none are accepted.
    fn hint_at_api_keys(&self, headers: &HeaderMap) {
        if api_key::is_sent(headers) && self.around.api_key_hint.is_due() {
            tracing::warn!(target: "mcp_auth", resource = self.auth.resource(), "a request has an API key, and this resource accepts none: set `api_keys_file`, or let the client send a token of an issuer");
        }
    }

    /// Lets the library's layer decide about a request. What it holds of the body until then is counted.
    async fn decide(
        &self,
        request: Request<RecordedBody>,
        notes: Option<&Notes>,
    ) -> Response<GatewayBody> {
        // A request with a token is read only after that was verified.
        let share = Share::of(match request.headers().contains_key(AUTHORIZATION) {
            true => &self.around.budgets.authenticated,
            false => &self.around.budgets.anonymous,
        });
        let mut request = request.map(|body| CountedBody::new(body, Arc::clone(&share)));
        request.extensions_mut().insert(Arc::clone(&share));
        let Ok(response) = self.service.clone().call(request).await;
        share.end();
        if share.is_refused() {
            telemetry::request("buffers_full");
            tracing::warn!(target: "mcp_auth", "too many bytes of request bodies are held: callers send long messages slowly, or `max_buffered_bytes` or `max_anonymous_buffered_bytes` is too low");
            notes.iter().for_each(|notes| notes.denied(BUFFERS_FULL));
            let mut response =
                ours(StatusCode::SERVICE_UNAVAILABLE, "too many requests are being read\n");
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
            return because(response, BUFFERS_FULL);
        }
        response.map(Either::Left)
    }
}

/// A response of the gateway itself.
pub(crate) fn ours(status: StatusCode, message: &'static str) -> Response<GatewayBody> {
    text(status, message).map(|body| Either::Right(Either::Left(body)))
}

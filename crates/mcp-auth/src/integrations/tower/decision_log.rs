//! Logs one event and counts one metric per decision; at info or above, no tokens and no untrusted input.

use http::Method;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::request::Parts;

use crate::integrations::tower::json_list_filter::FilterError;
use crate::integrations::tower::token_watch::TokenEnd;
use crate::model::auth_info::AuthInfo;
use crate::model::denial::{Denial, DenialKind};
use crate::model::verified_token::VerifiedToken;
use crate::net::metrics;
use crate::resource::mcp_auth::McpAuth;
use crate::util::shown;

/// The target of the log events, as in the rest of this crate.
const TARGET: &str = "mcp_auth";

/// The target of admitted requests, so that their lines can be had without other lines at debug.
const ADMITTED: &str = "mcp_auth::admitted";

/// The header with the name of the tool.
pub(super) const MCP_NAME: HeaderName = HeaderName::from_static("mcp-name");

/// The header by which proxies and clients name a request.
const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The maximum length of a request id in the log: a UUID and a hash are shorter.
const MAX_REQUEST_ID: usize = 64;

/// The header with the version of the protocol.
pub(super) const MCP_PROTOCOL_VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");

/// What a line says about the request, besides its caller. Nobody has verified it, so it is escaped and bounded.
#[derive(Clone, Copy, Default)]
pub(crate) struct RequestNames<'r> {
    pub(super) method: Option<&'r Method>,
    pub(super) path: Option<&'r str>,
    pub(super) request_id: Option<&'r str>,
    pub(super) tool: Option<&'r HeaderValue>,
}

impl<'r> RequestNames<'r> {
    pub(crate) fn of(auth: &McpAuth, request: &'r Parts) -> Self {
        Self {
            method: Some(&request.method),
            path: Some(auth.requested_path(request)),
            request_id: request_id(&request.headers),
            tool: tool_name(&request.headers),
        }
    }
}

/// Logs an admitted request, at debug because there are many, and each names a person.
pub(super) fn admitted(auth: &McpAuth, caller: &AuthInfo, request: &Parts) {
    metrics::decision("admitted");
    tracing::debug!(
        target: ADMITTED,
        decision = "admitted",
        resource = auth.resource(),
        issuer = &*shown::field(caller.issuer()),
        subject = &*shown::field(caller.subject()),
        client_id = caller.client_id().map(shown::field).as_deref(),
        tool = printable(tool_name(&request.headers)),
        method = shown_name(request.method.as_str()),
        path = shown_name(auth.requested_path(request)),
        request_id = request_id(&request.headers),
        "admitted",
    );
}

/// Logs a request without credentials, which was admitted because they are optional.
pub(super) fn anonymous(auth: &McpAuth, request: &Parts) {
    metrics::decision("anonymous");
    tracing::debug!(
        target: ADMITTED,
        decision = "anonymous",
        resource = auth.resource(),
        tool = printable(tool_name(&request.headers)),
        method = shown_name(request.method.as_str()),
        path = shown_name(auth.requested_path(request)),
        request_id = request_id(&request.headers),
        "admitted without credentials"
    );
}

/// Logs a refused request, at info, with what to change.
pub(super) fn refused(auth: &McpAuth, denial: &Denial, request: RequestNames<'_>) {
    metrics::decision(denial.code());
    let (decision, resource, status) = (denial.code(), auth.resource(), denial.status().as_u16());
    let method = request.method.map(|method| shown_name(method.as_str()));
    let (path, request_id) = (request.path.map(shown_name), request.request_id);
    if *denial.kind() == DenialKind::NoCredentials {
        // At debug, because every client starts without credentials.
        tracing::debug!(target: TARGET, decision, resource, status, method, path, request_id, "refused: {decision}");
        return;
    }
    let detail = denial.operator_detail().map(shown::sentence).map(tracing::field::display);
    let cause = std::error::Error::source(denial).map(shown::error);
    let holder = denial.verified_token();
    let issuer = holder.map(|holder| shown::field(holder.issuer()));
    let subject = holder.map(|holder| shown::field(holder.subject()));
    let client_id = holder.and_then(VerifiedToken::issued_to).map(shown::field);
    let (issuer, subject, client_id) =
        (issuer.as_deref(), subject.as_deref(), client_id.as_deref());
    // Only callers that have been authenticated may write the name of a tool into the log.
    let tool = printable(request.tool.filter(|_| holder.is_some()));
    tracing::info!(target: TARGET, decision, resource, status, detail, cause, issuer, subject, client_id, tool, method, path, request_id, "refused: {decision}");
}

/// Logs a caller that a handler refused after the head of the response had been sent.
pub(super) fn refused_late(auth: &McpAuth, caller: &AuthInfo, denial: &Denial) {
    metrics::decision(denial.code());
    let (decision, resource) = (denial.code(), auth.resource());
    let detail = denial.operator_detail().map(shown::sentence).map(tracing::field::display);
    let (issuer, subject) = (shown::field(caller.issuer()), shown::field(caller.subject()));
    let (issuer, subject) = (&*issuer, &*subject);
    let client_id = caller.client_id().map(shown::field);
    let client_id = client_id.as_deref();
    tracing::info!(target: TARGET, decision, resource, detail, issuer, subject, client_id, "refused by its handler, too late for a challenge: {decision}");
}

/// Logs a session id that does not verify: from before a restart, of another principal, or invented.
pub(super) fn unverified_session_id(auth: &McpAuth) {
    metrics::foreign_id("session");
    tracing::info!(target: TARGET, resource = auth.resource(), "a session id that was not issued to this caller");
}

/// Logs an event id that does not verify.
pub(super) fn unverified_event_id(auth: &McpAuth) {
    metrics::foreign_id("event");
    tracing::info!(target: TARGET, resource = auth.resource(), "an event id that was not issued to this caller");
}

/// Logs an event stream that ended with its token, at info if the token was revoked.
pub(super) fn stream_ended(auth: &McpAuth, why: TokenEnd) {
    let resource = auth.resource();
    match why {
        TokenEnd::Expired => {
            metrics::stream_ended("expired");
            tracing::debug!(target: TARGET, resource, "a stream ended with its token");
        }
        TokenEnd::Revoked => {
            metrics::stream_ended("revoked");
            request_revoked(auth);
        }
    }
}

/// Logs a listening stream that ended because all of its resource do.
pub(super) fn stream_closed(auth: &McpAuth) {
    metrics::stream_ended("closed");
    tracing::debug!(target: TARGET, resource = auth.resource(), "a stream ended, as all listening streams of this resource do now");
}

/// Logs the listening stream of an anonymous caller that ended because a caller goes on with its session.
pub(super) fn stream_claimed(auth: &McpAuth) {
    metrics::stream_ended("claimed");
    tracing::debug!(target: TARGET, resource = auth.resource(), "a stream of an anonymous caller ended, since its session has a caller now");
}

/// Logs a request that ended before its response was complete.
pub(super) fn request_revoked(auth: &McpAuth) {
    tracing::info!(target: TARGET, resource = auth.resource(), "an open request ended because its token was revoked");
}

/// Logs a stream whose events cannot be read here.
pub(super) fn encoded_stream(auth: &McpAuth) {
    tracing::warn!(
        target: TARGET,
        resource = auth.resource(),
        "a compressed event stream cannot be resumed, since its event ids are not signed: compress outside of `bearer_auth()`"
    );
}

/// Logs a response that broke off before its first message, or whose lists could not be filtered.
pub(super) fn bad_gateway(auth: &McpAuth, why: FilterError) {
    metrics::bad_gateway(why.code());
    tracing::error!(target: TARGET, resource = auth.resource(), "a response was replaced by 502: {}", why.advice());
}

/// The name of the tool in the headers, in the revisions in which servers compare them with the body. It is
/// good enough for a log line, but not for a decision.
pub(super) fn tool_name(headers: &HeaderMap) -> Option<&HeaderValue> {
    headers.get(MCP_NAME).filter(|_| headers.get(MCP_PROTOCOL_VERSION).is_some_and(is_modern))
}

/// Whether a version is 2026-07-28 or later. Since that version, lists have a `cacheScope`, and headers name
/// the tool. Versions are dates, so they compare as text.
pub(super) fn is_modern(version: &HeaderValue) -> bool {
    version.as_bytes() >= b"2026-07-28".as_slice()
}

/// The id that a proxy, or the client, gave the request. Returns `None` unless it is short and plain.
fn request_id(headers: &HeaderMap) -> Option<&str> {
    let mut ids = headers.get_all(X_REQUEST_ID).iter();
    let id = ids.next()?.to_str().ok().filter(|_| ids.next().is_none())?;
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:/+@".contains(&byte);
    (!id.is_empty() && id.len() <= MAX_REQUEST_ID && id.bytes().all(is_plain)).then_some(id)
}

fn shown_name(text: &str) -> String {
    shown::name(text).to_string()
}

/// The name of a tool as a client wrote it.
fn printable(name: Option<&HeaderValue>) -> Option<String> {
    name?.to_str().ok().map(shown_name)
}

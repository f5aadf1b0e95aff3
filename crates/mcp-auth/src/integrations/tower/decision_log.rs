//! Logs one event and counts one metric per decision; at info or above, no tokens and no untrusted input.

use http::header::{HeaderMap, HeaderName, HeaderValue};

use crate::integrations::tower::json_list_filter::FilterError;
use crate::integrations::tower::token_watch::TokenEnd;
use crate::model::auth_info::AuthInfo;
use crate::model::denial::{Denial, DenialKind};
use crate::net::metrics;
use crate::resource::mcp_auth::McpAuth;
use crate::util::shown;

/// The target of the log events, as in the rest of this crate.
const TARGET: &str = "mcp_auth";

/// The header with the name of the tool.
pub(super) const MCP_NAME: HeaderName = HeaderName::from_static("mcp-name");

/// The header with the version of the protocol.
pub(super) const MCP_PROTOCOL_VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");

/// Logs an admitted request, at debug because it names a person.
pub(super) fn admitted(auth: &McpAuth, caller: &AuthInfo, headers: &HeaderMap) {
    metrics::decision("admitted");
    tracing::debug!(
        target: TARGET,
        decision = "admitted",
        resource = auth.resource(),
        issuer = &*shown::field(caller.issuer()),
        subject = &*shown::field(caller.subject()),
        client_id = caller.client_id().map(shown::field).as_deref(),
        tool = printable(tool_name(headers)),
        "admitted",
    );
}

/// Logs a request without credentials, which was admitted because they are optional.
pub(super) fn anonymous(auth: &McpAuth, headers: &HeaderMap) {
    metrics::decision("anonymous");
    tracing::debug!(
        target: TARGET,
        decision = "anonymous",
        resource = auth.resource(),
        tool = printable(tool_name(headers)),
        "admitted without credentials"
    );
}

/// Logs a refused request, at info, with what to change.
pub(super) fn refused(auth: &McpAuth, denial: &Denial, tool: Option<&HeaderValue>) {
    metrics::decision(denial.code());
    let (decision, resource, status) = (denial.code(), auth.resource(), denial.status().as_u16());
    let detail = denial.operator_detail().map(shown::sentence).map(tracing::field::display);
    match denial.kind() {
        // At debug, because every client starts without credentials.
        DenialKind::NoCredentials => {
            tracing::debug!(target: TARGET, decision, resource, status, "refused: {decision}");
        }
        // The caller has been authenticated, so the tool that it asked for may be logged.
        DenialKind::Forbidden
        | DenialKind::InsufficientScope(_)
        | DenialKind::InsufficientUserAuthentication(_) => {
            let tool = printable(tool);
            tracing::info!(target: TARGET, decision, resource, status, detail, tool, "refused: {decision}");
        }
        _ => {
            let cause = std::error::Error::source(denial).map(shown::error);
            tracing::info!(target: TARGET, decision, resource, status, detail, cause, "refused: {decision}");
        }
    }
}

/// Logs a caller that a handler refused after the head of the response had been sent.
pub(super) fn refused_late(auth: &McpAuth, denial: &Denial) {
    metrics::decision(denial.code());
    let (decision, resource) = (denial.code(), auth.resource());
    let detail = denial.operator_detail().map(shown::sentence).map(tracing::field::display);
    tracing::info!(target: TARGET, decision, resource, detail, "refused by its handler, too late for a challenge: {decision}");
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

/// The name of a tool as a client wrote it.
fn printable(name: Option<&HeaderValue>) -> Option<String> {
    Some(shown::name(name?.to_str().ok()?).to_string())
}

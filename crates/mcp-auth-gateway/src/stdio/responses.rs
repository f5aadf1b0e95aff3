//! The responses of a server that speaks stdio.

use std::time::Duration;

use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::{Response, StatusCode};
use http_body_util::{Either, Full};

use crate::stdio::events::Events;
use crate::stdio::own_messages;
use crate::stdio::pool::Refusal;

/// The body of a response.
pub(crate) type StdioBody = Either<Events, Full<Bytes>>;

/// What a client should wait if it cannot get a process now.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// The HTTP status of an error, since 2026-07-28: an unknown method is 404, a request that is wrong in itself 400.
pub(crate) fn status_of(error: i64) -> StatusCode {
    match error {
        -32601 => StatusCode::NOT_FOUND,
        -32700 | -32600 | -32602 | -32022..=-32020 => StatusCode::BAD_REQUEST,
        _ => StatusCode::OK,
    }
}

/// Why a request reaches no process.
pub(crate) enum NoProcess {
    /// It names no session.
    NoSession,
    /// It names one that is not there any more.
    SessionEnded,
    Refused(Refusal),
}

impl NoProcess {
    /// The response to the request with this `id`, in JSON.
    pub(crate) fn response(self, id: &str) -> Response<StdioBody> {
        let (status, message, wait) = match self {
            Self::NoSession => (
                StatusCode::BAD_REQUEST,
                "Mcp-Session-Id is missing: begin with `initialize`",
                None,
            ),
            Self::SessionEnded => (StatusCode::NOT_FOUND, "The session has ended", None),
            Self::Refused(Refusal::Claims(which)) => {
                tracing::warn!(target: "mcp_auth", which, "refused a caller for whom the environment of the server cannot be made");
                (
                    StatusCode::FORBIDDEN,
                    "The access token lacks a claim that this server needs",
                    None,
                )
            }
            Self::Refused(Refusal::OwnLimit) => {
                tracing::warn!(target: "mcp_auth", "a caller has as many processes in use as `max_processes_per_principal` allows");
                let message = "Too many sessions of this caller are in use";
                (StatusCode::TOO_MANY_REQUESTS, message, Some(RETRY_AFTER))
            }
            Self::Refused(Refusal::Limit) => {
                tracing::error!(target: "mcp_auth", "there are as many processes or sessions as there may be: set `max_processes` higher, or `process_idle_timeout` lower");
                let message = "This server has no place at the moment";
                (StatusCode::SERVICE_UNAVAILABLE, message, Some(RETRY_AFTER))
            }
            Self::Refused(Refusal::BackOff(wait)) => {
                let message = "The MCP server behind this gateway failed to start just now";
                (StatusCode::SERVICE_UNAVAILABLE, message, Some(wait))
            }
            Self::Refused(Refusal::Start(error)) => {
                tracing::error!(target: "mcp_auth", %error, "the server cannot be started: check `command` and the secrets in `env`");
                (
                    StatusCode::BAD_GATEWAY,
                    "The MCP server behind this gateway cannot be started",
                    None,
                )
            }
        };
        let error = own_messages::error(id, status.as_u16().into(), message);
        let mut response = json(status, error);
        if let Some(wait) = wait {
            let seconds = wait.as_secs_f64().ceil() as u64;
            response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
        }
        response
    }
}

/// A response of one message.
pub(crate) fn json(status: StatusCode, message: Bytes) -> Response<StdioBody> {
    response(status, "application/json", Either::Right(Full::new(message)))
}

/// A response that is no message.
pub(crate) fn text(status: StatusCode, message: &'static str) -> Response<StdioBody> {
    let body = Full::new(Bytes::from_static(message.as_bytes()));
    response(status, "text/plain; charset=utf-8", Either::Right(body))
}

/// A response of an event stream.
pub(crate) fn events(events: Events) -> Response<StdioBody> {
    let mut response = response(StatusCode::OK, "text/event-stream", Either::Left(events));
    let headers = response.headers_mut();
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}

fn response(
    status: StatusCode,
    content_type: &'static str,
    body: StdioBody,
) -> Response<StdioBody> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

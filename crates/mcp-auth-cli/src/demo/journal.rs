//! Prints a line for each request: the caller, the operation, and whether it was admitted or why not.

use std::time::{SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use http::StatusCode;
use mcp_auth::{AuthInfo, Denial, DenialKind, McpAuth};
use rmcp::transport::streamable_http_server::StreamableHttpService;
use rmcp::transport::streamable_http_server::session::never::NeverSessionManager;
use serde_json::Value;

use super::server::NotesServer;

/// The requests of the demo are small.
const MAX_BODY_BYTES: usize = 64 * 1024;

/// The caller, added to the response so that the line can name it.
#[derive(Clone)]
struct Caller(AuthInfo);

/// The protected service, wrapped in the journal.
pub(super) fn keep(
    auth: &McpAuth,
    service: StreamableHttpService<NotesServer, NeverSessionManager>,
) -> Router {
    let named = Router::new().fallback_service(service).layer(from_fn(name_the_caller));
    auth.protect(named).layer(from_fn(write_a_line))
}

async fn name_the_caller(request: Request, next: Next) -> Response {
    let caller = request.extensions().get::<AuthInfo>().cloned().map(Caller);
    let mut response = next.run(request).await;
    caller.map(|caller| response.extensions_mut().insert(caller));
    response
}

async fn write_a_line(request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let Ok(body) = to_bytes(body, MAX_BODY_BYTES).await else {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::PAYLOAD_TOO_LARGE;
        return response;
    };
    let what = what(&parts, &body);
    let response = next.run(Request::from_parts(parts, Body::from(body))).await;
    let caller = response.extensions().get::<Caller>().map(|Caller(caller)| caller);
    let who = caller.map_or("-".to_owned(), |caller| {
        format!(
            "{} ({})",
            plain(caller.subject()),
            plain(caller.client_id().unwrap_or("no client"))
        )
    });
    let decision = match response.extensions().get::<Denial>() {
        None if caller.is_some() => "admitted".to_owned(),
        None => format!("public, {}", response.status().as_u16()),
        Some(denial) => format!("{} {}: {}", denial.status().as_u16(), denial.code(), why(denial)),
    };
    println!("{}  {who:<24} {what:<28} {decision}", time_of_day());
    response
}

/// The reason of a refusal, in a sentence that fits on the line.
fn why(denial: &Denial) -> &str {
    let detail = denial.operator_detail().unwrap_or("the client is told how to log in");
    match denial.kind() {
        // Without the advice after the colon: the next lines show how a client asks for more.
        DenialKind::InsufficientScope(_) => detail.split(": ").next().unwrap_or(detail),
        _ => detail,
    }
}

/// The operation: the JSON-RPC method and the tool, or the HTTP method and path.
fn what(parts: &http::request::Parts, body: &Bytes) -> String {
    let message: Value = serde_json::from_slice(body).unwrap_or_default();
    let Some(method) = message["method"].as_str() else {
        return plain(&format!("{} {}", parts.method, parts.uri.path()));
    };
    let name = message["params"]["name"].as_str().unwrap_or_default();
    plain(format!("{method} {name}").trim_end())
}

/// Escapes untrusted text, so that it stays on one line and keeps its direction, and limits its length.
fn plain(text: &str) -> String {
    text.escape_debug().take(60).collect()
}

/// The current time of day in UTC: hours, minutes and seconds.
fn time_of_day() -> String {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    format!("{:02}:{:02}:{:02}", seconds / 3600 % 24, seconds / 60 % 60, seconds % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_turns_a_line_around_or_paints_it() {
        for character in ['\n', '\u{1b}', '\u{9b}', '\u{202e}', '\u{2028}', '\u{200b}'] {
            let text = plain(&format!("a{character}b"));
            assert!(text.bytes().all(|b| b.is_ascii_graphic()), "{character:?}: {text}");
        }
    }
}

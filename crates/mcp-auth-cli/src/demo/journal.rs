//! A readable line for each request, as it is decided: who, what, admitted or why not.

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

/// A demo's requests are small.
const MAX_BODY_BYTES: usize = 64 * 1024;

/// The caller, put into the response on its way out, for the line.
#[derive(Clone)]
struct Caller(AuthInfo);

/// The protected service, and around it the journal.
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

/// What was wrong, in a sentence that fits on the line.
fn why(denial: &Denial) -> &str {
    let detail = denial.operator_detail().unwrap_or("the client is told how to log in");
    match denial.kind() {
        // What to do about it, the next lines show.
        DenialKind::InsufficientScope(_) => detail.split(": ").next().unwrap_or(detail),
        _ => detail,
    }
}

/// The operation: a JSON-RPC method and the tool, or the method and path of HTTP.
fn what(parts: &http::request::Parts, body: &Bytes) -> String {
    let message: Value = serde_json::from_slice(body).unwrap_or_default();
    let Some(method) = message["method"].as_str() else {
        return plain(&format!("{} {}", parts.method, parts.uri.path()));
    };
    let name = message["params"]["name"].as_str().unwrap_or_default();
    plain(format!("{method} {name}").trim_end())
}

/// On one line, from left to right, and not too long: strangers write this.
fn plain(text: &str) -> String {
    text.escape_debug().take(60).collect()
}

/// Hours, minutes and seconds of UTC.
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

//! The response for a denial: the only function that builds one. JSON-RPC errors as a response.

use bytes::Bytes;
use http::Response;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue, RETRY_AFTER, VARY, WWW_AUTHENTICATE};
use serde_json::Value;

use crate::integrations::tower::json_rpc;
use crate::model::denial::{Denial, DenialKind};
use crate::resource::mcp_auth::McpAuth;

/// The JSON-RPC error code for an operation that is forbidden to the caller: the HTTP status, which is outside
/// the range that JSON-RPC reserves.
const FORBIDDEN: i32 = 403;

const REFUSED: &str =
    "This is not permitted to this caller, whatever the scopes of the access token";

impl McpAuth {
    /// The response to a refused request: status, challenge and a JSON body, with the denial in its extensions.
    ///
    /// Except for the JSON-RPC id, nothing in it comes from the request, the token or the issuer.
    ///
    /// The layer calls this for the requests that it refuses. Call it in handlers that refuse a caller later.
    ///
    /// ```
    /// use mcp_auth::{Denial, McpAuth};
    ///
    /// let auth = McpAuth::builder("https://api.example.com/mcp")
    ///     .authorization_server("https://auth.example.com")
    ///     .build()?;
    /// let response = auth.refuse(&Denial::insufficient_scope(["admin"]));
    /// assert_eq!(response.status(), 403);
    /// # Ok::<(), mcp_auth::ConfigError>(())
    /// ```
    #[must_use]
    pub fn refuse(&self, denial: &Denial) -> Response<Bytes> {
        let challenge = self.challenge(denial);
        let message =
            |code: i32, message: &str| json_rpc::error(denial.request_id(), code, message);
        let (error, description) = match denial.kind() {
            DenialKind::HostNotAllowed => {
                (Some("forbidden_host"), Some("This server is not called by this host"))
            }
            DenialKind::OriginNotAllowed => {
                (Some("forbidden_origin"), Some("Web pages of this origin are not allowed"))
            }
            DenialKind::Forbidden => (Some("access_denied"), Some(REFUSED)),
            DenialKind::NoCredentials => (None, Some("An access token is required")),
            DenialKind::Unavailable { .. } => (
                Some("temporarily_unavailable"),
                Some("The access token cannot be verified at the moment; try again later"),
            ),
            _ => {
                // If two schemes are offered, the error is in the challenge for the scheme that was used.
                let wrong = challenge.as_ref().and_then(|first| {
                    first.error.as_ref().map_or(first.next.as_deref(), |_| Some(first))
                });
                (
                    wrong.and_then(|challenge| challenge.error.as_deref()),
                    wrong.and_then(|challenge| challenge.error_description.as_deref()),
                )
            }
        };
        let header = challenge.as_ref().map(ToString::to_string);
        let body = match (denial.kind(), error) {
            _ if denial.is_tool_error() => {
                let text = self.tool_error_text(denial);
                let id = denial.request_id().unwrap_or("null");
                let result = json_rpc::tool_error(id, &text, header.as_deref());
                if denial.is_in_batch() { format!("[{result}]") } else { result }
            }
            (DenialKind::BadMessage(why), _) => {
                let sentence = denial.client_message().unwrap_or(why.description());
                message(why.json_rpc_code(), sentence)
            }
            (DenialKind::Forbidden, _) if denial.request_id().is_some() => {
                message(FORBIDDEN, REFUSED)
            }
            (_, Some(error)) => {
                Value::from_iter([("error", Some(error)), ("error_description", description)])
                    .to_string()
            }
            // RFC 6750 §3.1: no error code where no token was sent.
            (_, None) => {
                let metadata_url = ("resource_metadata", Some(self.metadata_url_for(denial)));
                Value::from_iter([("error_description", description), metadata_url]).to_string()
            }
        };

        let mut response = json(body);
        *response.status_mut() = denial.status();
        let headers = response.headers_mut();
        let header = header.filter(|_| !denial.is_tool_error());
        if let Some(challenge) = header.and_then(|challenge| challenge.try_into().ok()) {
            headers.insert(WWW_AUTHENTICATE, challenge);
        }
        if *denial.kind() == DenialKind::OriginNotAllowed {
            headers.insert(VARY, HeaderValue::from_static("Origin"));
        }
        if let DenialKind::Unavailable { retry_after } = denial.kind() {
            headers.insert(RETRY_AFTER, HeaderValue::from(retry_after.as_secs_f64().ceil() as u64));
        }
        response.extensions_mut().insert(denial.clone());
        response
    }

    /// What the user of a client reads instead of what the tool would have said.
    fn tool_error_text(&self, denial: &Denial) -> String {
        let scopes = denial.missing().map(|missing| self.requested(missing)).unwrap_or_default();
        let text = match (denial.kind(), scopes.is_empty()) {
            (DenialKind::NoCredentials, true) => {
                "This tool requires a login. The user must sign in.".to_owned()
            }
            (DenialKind::NoCredentials, false) => format!(
                "This tool requires a login with these scopes: {scopes}. The user must sign in and grant them."
            ),
            (_, true) => "The access token does not grant the scopes that this tool requires. The user must sign in again and grant them.".to_owned(),
            (_, false) => format!(
                "The access token does not grant the scopes that this tool requires: {scopes}. The user must sign in again and grant them."
            ),
        };
        match self.tool_error_hint().filter(|hint| !hint.is_empty()) {
            Some(hint) => format!("{text}\n{hint}"),
            None => text,
        }
    }
}

/// The response that consists of these JSON-RPC messages. The answer to a batch is one, also if it is a single message.
pub(super) fn json_rpc(messages: &[String], is_batch: bool) -> Response<Bytes> {
    match messages {
        [message] if !is_batch => json(message.clone()),
        batch => json(format!("[{}]", batch.join(","))),
    }
}

fn json(body: String) -> Response<Bytes> {
    let mut response = Response::new(body.into());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

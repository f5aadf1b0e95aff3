//! `SecurityEventReceiver`: receives back-channel logout tokens and pushed security events.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_LANGUAGE, CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER,
};
use http::{Method, Request, Response, StatusCode};
use http_body::Body;
use http_body_util::Full;
use serde_json::Value;
use tower_service::Service;

use crate::model::credentials::MAX_TOKEN_BYTES;
use crate::model::denial::{Denial, DenialKind};
use crate::model::error_codes::{BadMessage, Reason};
use crate::resource::guarded_body;
use crate::resource::mcp_auth::McpAuth;
use crate::util::shown;
use crate::verify::jwt::{self, SecurityEventKind};

/// Enough for a token and the name of its form field.
const MAX_BODY_BYTES: usize = MAX_TOKEN_BYTES + 1024;

/// How long the body may take. A token is sent in one piece.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// A service that receives logout tokens and security events, and revokes what they name. Created by
/// [`McpAuth::security_event_receiver`].
#[derive(Clone, Debug)]
pub struct SecurityEventReceiver {
    auth: McpAuth,
    audiences: Arc<[Box<str>]>,
}

impl McpAuth {
    /// A service for the URL to which issuers send logout tokens and security events.
    ///
    /// Mount it next to the resource. It needs no access token: what it receives must be signed by an
    /// authorization server of this resource.
    ///
    /// It accepts two kinds of `POST`, distinguished by their content type:
    ///
    /// - a form with `logout_token`:
    ///   [OpenID Connect Back-Channel Logout 1.0](https://openid.net/specs/openid-connect-backchannel-1_0.html#BCRequest);
    /// - `application/secevent+jwt`: a security event, pushed according to
    ///   [RFC 8935](https://www.rfc-editor.org/rfc/rfc8935).
    ///   [`receive_security_event`](Self::receive_security_event) lists the events that revoke.
    ///
    /// `audiences` are the names of this receiver at the issuers. The `aud` of a token must contain one of
    /// them. Such a name is the client id for which the logout URL is registered, or the audience of the event
    /// stream.
    ///
    /// ```
    /// use mcp_auth::McpAuth;
    ///
    /// let auth = McpAuth::builder("https://api.example.com/mcp")
    ///     .authorization_server("https://auth.example.com")
    ///     .build()?;
    /// let events = auth.security_event_receiver(["my-client-id"]);
    /// let app: axum::Router = axum::Router::new().route_service("/security-events", events);
    /// # Ok::<(), mcp_auth::ConfigError>(())
    /// ```
    #[must_use]
    pub fn security_event_receiver<S: Into<String>>(
        &self,
        audiences: impl IntoIterator<Item = S>,
    ) -> SecurityEventReceiver {
        let audiences = audiences.into_iter().map(|one| one.into().into_boxed_str());
        // An empty audience comes from an unset variable, and would match an empty `aud`.
        let audiences = audiences.filter(|one| !one.is_empty()).collect();
        SecurityEventReceiver { auth: self.clone(), audiences }
    }
}

impl<B> Service<Request<B>> for SecurityEventReceiver
where
    B: Body<Data = Bytes> + Send + 'static,
{
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let service = self.clone();
        Box::pin(async move {
            let (parts, body) = request.into_parts();
            if parts.method != Method::POST {
                let mut response = empty(StatusCode::METHOD_NOT_ALLOWED);
                response.headers_mut().insert(ALLOW, HeaderValue::from_static("POST"));
                return Ok(response);
            }
            let Some(kind) = kind_of(&parts.headers) else {
                return Ok(empty(StatusCode::UNSUPPORTED_MEDIA_TYPE));
            };
            let received = service.receive(kind, body).await;
            if let Err(denial) = &received {
                let (code, detail) = (denial.code(), denial.operator_detail().map(shown::field));
                let (detail, cause) =
                    (detail.as_deref(), std::error::Error::source(denial).map(shown::error));
                tracing::info!(target: "mcp_auth", ?kind, detail, cause, "a security event was not accepted: {code}");
            }
            Ok(answer(kind, received))
        })
    }
}

impl SecurityEventReceiver {
    async fn receive<B: Body<Data = Bytes>>(
        &self,
        kind: SecurityEventKind,
        body: B,
    ) -> Result<(), Denial> {
        let patience = async { tokio::time::sleep(BODY_TIMEOUT).await };
        let body = guarded_body::read(body, MAX_BODY_BYTES, patience)
            .await
            .map_err(Denial::bad_message)?;
        let text = std::str::from_utf8(body.bytes());
        let text = text.map_err(|_| Denial::invalid(Reason::Malformed))?;
        let token = match kind {
            SecurityEventKind::Logout => logout_token(text)?,
            SecurityEventKind::Set => text.trim(),
        };
        self.auth.receive(kind, token, &self.audiences).await
    }
}

fn kind_of(headers: &HeaderMap) -> Option<SecurityEventKind> {
    let content_type = headers.get(CONTENT_TYPE)?.to_str().ok()?;
    match &*content_type.split(';').next()?.trim().to_ascii_lowercase() {
        "application/x-www-form-urlencoded" => Some(SecurityEventKind::Logout),
        "application/secevent+jwt" => Some(SecurityEventKind::Set),
        _ => None,
    }
}

/// The only `logout_token` of a form. No character of a token is ever percent-encoded.
fn logout_token(form: &str) -> Result<&str, Denial> {
    let mut tokens = form.split('&').filter_map(|field| field.strip_prefix("logout_token="));
    match (tokens.next(), tokens.next()) {
        (Some(token), None) => Ok(token),
        _ => Err(Denial::invalid(Reason::Malformed)),
    }
}

/// The response: Back-Channel Logout 1.0 §2.8, or RFC 8935 §2.2 and §2.3. Nothing in it comes from the token.
fn answer(kind: SecurityEventKind, received: Result<(), Denial>) -> Response<Full<Bytes>> {
    let denial = match (received, kind) {
        (Ok(()), SecurityEventKind::Logout) => return empty(StatusCode::OK),
        (Ok(()), SecurityEventKind::Set) => return empty(StatusCode::ACCEPTED),
        (Err(denial), _) => denial,
    };
    let status = match denial.kind() {
        DenialKind::Unavailable { retry_after } => {
            let mut response = empty(StatusCode::SERVICE_UNAVAILABLE);
            let seconds = retry_after.as_secs_f64().ceil() as u64;
            response.headers_mut().insert(RETRY_AFTER, seconds.into());
            return response;
        }
        DenialKind::BadMessage(BadMessage::TooLarge) => denial.status(),
        _ => StatusCode::BAD_REQUEST,
    };
    let (error, description) = jwt::set_error(&denial);
    let body = match kind {
        SecurityEventKind::Logout => {
            [("error", "invalid_request"), ("error_description", description)]
        }
        SecurityEventKind::Set => [("err", error), ("description", description)],
    };
    let body = Value::from_iter(body).to_string();
    let mut response = empty(status).map(|_| Full::new(body.into()));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CONTENT_LANGUAGE, HeaderValue::from_static("en"));
    response
}

fn empty(status: StatusCode) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = status;
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

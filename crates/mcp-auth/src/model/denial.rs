//! `Denial`: a refused request, as data.

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;

use crate::model::error_codes::{BadMessage, BadProof, BadRequest, Reason};
use crate::model::scheme::Scheme;
use crate::model::scope::Scopes;
use crate::model::tool_call::ToolCall;
use crate::model::verified_token::VerifiedToken;

/// A refusal: what the client may know about it, and what only the operator may know.
///
/// The layer puts the denial into the extensions of the response, so that a layer of yours can log it or change
/// the response:
///
/// ```
/// use mcp_auth::{Denial, Reason, DenialKind};
///
/// # let response = { let mut r = http::Response::new(()); r.extensions_mut().insert(Denial::invalid(Reason::Expired)); r };
/// let denial = response.extensions().get::<Denial>();
/// assert_eq!(denial.and_then(Denial::reason), Some(Reason::Expired));
/// ```
#[derive(Clone, Debug)]
pub struct Denial(Arc<Inner>);

/// On the heap, so that a `Result` with a `Denial` is small. Shared by the log and the response.
#[derive(Clone, Debug)]
struct Inner {
    kind: DenialKind,
    /// The scheme of the request. The challenge uses the same one.
    scheme: Scheme,
    /// By which of the resource's names the client called, as an index. The challenge names its metadata.
    name: usize,
    /// The `id` of the refused JSON-RPC request, as JSON.
    request_id: Option<Arc<str>>,
    /// Whether the request calls a tool, and is answered with a result of it.
    is_tool_error: bool,
    /// Whether that result is in a batch.
    is_in_batch: bool,
    /// The scopes that the token lacks, or that an operation requires of a caller without a token.
    missing: Option<Scopes>,
    /// The token of the refused caller, if it was verified.
    token: Option<VerifiedToken>,
    /// What the client is told instead of the fixed sentence.
    message: Option<Arc<str>>,
    detail: Option<Arc<str>>,
    source: Option<Arc<dyn Error + Send + Sync>>,
}

/// Why a request is refused. It determines the response.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DenialKind {
    /// The MCP message is malformed, or its headers contradict it: 400 (413, 408) with a JSON-RPC error. The
    /// client must correct it.
    BadMessage(BadMessage),
    /// The request is malformed: 400 `invalid_request`. The client must correct it.
    BadRequest(BadRequest),
    /// A rule forbids the operation, and no scope would help. There is no challenge, because some clients would
    /// take it for "log in again". A JSON-RPC request is answered with a JSON-RPC error and status 200,
    /// anything else with 403.
    Forbidden,
    /// The request names a host that is not one of the server's: 403 without a challenge.
    HostNotAllowed,
    /// The request comes from a web page whose origin is not allowed: 403 without a challenge.
    OriginNotAllowed,
    /// The token does not grant the required scopes: 403 `insufficient_scope`. The client may request these
    /// scopes. With
    /// [`insufficient_scope_as_tool_error`](crate::McpAuthBuilder::insufficient_scope_as_tool_error), a call of a tool
    /// is answered with a result instead, and status 200.
    InsufficientScope(Scopes),
    /// The user did not log in recently or strongly enough: 401 `insufficient_user_authentication`
    /// ([RFC 9470](https://www.rfc-editor.org/rfc/rfc9470#section-3)). The client must have the user log in
    /// again.
    InsufficientUserAuthentication(Authentication),
    /// The sender did not prove possession of the token's key: 401 `invalid_dpop_proof` or `use_dpop_nonce`.
    /// The client must send another proof.
    InvalidProof(BadProof),
    /// The token is not valid here: 401 `invalid_token`. The client must get another token.
    InvalidToken(Reason),
    /// There is no access token: 401. The client must start an authorization.
    NoCredentials,
    /// The token cannot be verified at the moment, because something needed for that is unavailable: 503. A
    /// retry may succeed, or the operator must fix the cause.
    Unavailable {
        /// After how long a retry may succeed.
        retry_after: Duration,
    },
}

/// How the user must log in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Authentication {
    /// The accepted authentication context classes, in order of preference. Any one of them is enough.
    pub acr_values: Scopes,
    /// The maximum time since the login.
    pub max_age: Option<Duration>,
    /// The scopes to request together with the login.
    pub scope: Scopes,
}

impl Denial {
    /// There is no access token.
    #[cold]
    #[must_use]
    pub fn no_credentials() -> Self {
        Self::new(DenialKind::NoCredentials)
    }

    /// The request is malformed.
    #[cold]
    #[must_use]
    pub fn bad_request(why: BadRequest) -> Self {
        Self::new(DenialKind::BadRequest(why))
    }

    /// The sender did not prove possession of the token's key.
    #[cold]
    #[must_use]
    pub fn bad_proof(why: BadProof) -> Self {
        Self::new(DenialKind::InvalidProof(why))
    }

    /// The MCP message is malformed, or its headers contradict it.
    #[cold]
    #[must_use]
    pub fn bad_message(why: BadMessage) -> Self {
        Self::new(DenialKind::BadMessage(why))
    }

    /// A rule forbids the operation, and no scope would help.
    #[cold]
    #[must_use]
    pub fn forbidden() -> Self {
        Self::new(DenialKind::Forbidden)
    }

    /// The user did not log in recently or strongly enough.
    #[cold]
    #[must_use]
    pub fn insufficient_user_authentication(required: Authentication) -> Self {
        Self::new(DenialKind::InsufficientUserAuthentication(required))
    }

    /// The token is not valid here.
    #[cold]
    #[must_use]
    pub fn invalid(reason: Reason) -> Self {
        Self::new(DenialKind::InvalidToken(reason))
    }

    /// The token is valid, but must also grant these scopes.
    #[cold]
    #[must_use]
    pub fn insufficient_scope(required: impl Into<Scopes>) -> Self {
        Self::new(DenialKind::InsufficientScope(required.into()))
    }

    /// The request names a host that is not one of the server's.
    #[cold]
    #[must_use]
    pub fn host_not_allowed() -> Self {
        Self::new(DenialKind::HostNotAllowed)
    }

    /// The request comes from a web page whose origin is not allowed.
    #[cold]
    #[must_use]
    pub fn origin_not_allowed() -> Self {
        Self::new(DenialKind::OriginNotAllowed)
    }

    /// The token cannot be verified at the moment. A retry after `retry_after` may succeed.
    #[cold]
    #[must_use]
    pub fn unavailable(retry_after: Duration) -> Self {
        Self::new(DenialKind::Unavailable { retry_after })
    }

    /// Adds a detail for the operator: what was found, what was expected, what to change.
    ///
    /// It is logged, and never sent to the client. It must contain no secret and no untrusted input.
    #[cold]
    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        Arc::make_mut(&mut self.0).detail = Some(detail.into().into());
        self
    }

    /// Adds the error that caused the denial, for the log.
    #[cold]
    #[must_use]
    pub fn caused_by(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Arc::make_mut(&mut self.0).source = Some(source.into().into());
        self
    }

    /// Sets the `id` of the refused JSON-RPC request, as the client wrote it.
    #[cold]
    #[must_use]
    pub(crate) fn in_reply_to(mut self, request_id: Option<&str>) -> Self {
        Arc::make_mut(&mut self.0).request_id = request_id.map(Into::into);
        self
    }

    /// Sets the token that is refused. It must be verified.
    #[cold]
    #[must_use]
    pub(crate) fn held_by(mut self, token: &VerifiedToken) -> Self {
        Arc::make_mut(&mut self.0).token = Some(token.clone());
        self
    }

    /// Sets the scopes that the token lacks, or that the operation requires of a caller without a token.
    #[cold]
    #[must_use]
    pub(crate) fn lacks(mut self, missing: Scopes) -> Self {
        let missing = match &self.0.kind {
            // In the order of the challenge.
            DenialKind::InsufficientScope(needed) => {
                needed.iter().filter(|scope| missing.contains(scope)).collect()
            }
            _ => missing,
        };
        Arc::make_mut(&mut self.0).missing = Some(missing);
        self
    }

    /// Sets what the client is told instead of the fixed sentence. It must contain no untrusted input.
    #[cold]
    #[must_use]
    pub(crate) fn message(mut self, message: String) -> Self {
        Arc::make_mut(&mut self.0).message = Some(message.into());
        self
    }

    /// Refuses the call of a tool with a result of it, if a login could help.
    #[cold]
    #[must_use]
    pub(crate) fn in_result_of(mut self, call: ToolCall<'_>) -> Self {
        if matches!(self.0.kind, DenialKind::InsufficientScope(_) | DenialKind::NoCredentials) {
            let inner = Arc::make_mut(&mut self.0);
            (inner.is_tool_error, inner.is_in_batch) = (true, call.is_in_batch);
            return self.in_reply_to(Some(call.id));
        }
        self
    }

    /// Sets the scheme of the request.
    #[must_use]
    pub(crate) fn under(mut self, scheme: Scheme) -> Self {
        if self.0.scheme != scheme {
            Arc::make_mut(&mut self.0).scheme = scheme;
        }
        self
    }

    /// Sets the name of the resource by which the client called.
    #[must_use]
    pub(crate) fn called_by(mut self, name: usize) -> Self {
        if self.0.name != name {
            Arc::make_mut(&mut self.0).name = name;
        }
        self
    }

    pub(crate) fn name(&self) -> usize {
        self.0.name
    }

    pub(crate) fn scheme(&self) -> Scheme {
        self.0.scheme
    }

    pub(crate) fn request_id(&self) -> Option<&str> {
        self.0.request_id.as_deref()
    }

    pub(crate) fn is_tool_error(&self) -> bool {
        self.0.is_tool_error
    }

    /// Whether the tool error is in a batch.
    pub(crate) fn is_in_batch(&self) -> bool {
        self.0.is_in_batch
    }

    /// The scopes that the token lacks, or that the operation requires of a caller without a token.
    pub(crate) fn missing(&self) -> Option<&Scopes> {
        match &self.0.kind {
            DenialKind::InsufficientScope(needed) => self.0.missing.as_ref().or(Some(needed)),
            _ => self.0.missing.as_ref(),
        }
    }

    pub(crate) fn client_message(&self) -> Option<&str> {
        self.0.message.as_deref()
    }

    /// Why the request is refused.
    #[must_use]
    pub fn kind(&self) -> &DenialKind {
        &self.0.kind
    }

    /// Why the token is not valid. Returns `None` for any other kind of denial.
    #[must_use]
    pub fn reason(&self) -> Option<Reason> {
        match self.0.kind {
            DenialKind::InvalidToken(reason) => Some(reason),
            _ => None,
        }
    }

    /// The token of the refused caller, for an audit log. Its issuer vouches for what it says, and yet it was not admitted: it is
    /// for another resource, has expired or was revoked, or does not permit the operation.
    ///
    /// Returns `None` if there is no token, or none that was verified.
    #[must_use]
    pub fn verified_token(&self) -> Option<&VerifiedToken> {
        self.0.token.as_ref()
    }

    /// The detail for the operator: what was found, what was expected, what to change.
    #[must_use]
    pub fn operator_detail(&self) -> Option<&str> {
        self.0.detail.as_deref().or_else(|| match &self.0.kind {
            DenialKind::BadMessage(why) => Some(why.hint()),
            DenialKind::BadRequest(why) => Some(why.hint()),
            DenialKind::InvalidProof(why) => Some(why.hint()),
            DenialKind::InvalidToken(reason) => Some(reason.hint()),
            _ => None,
        })
    }

    /// Whether it depends on the operation. If bodies are read, the whole body has been read before such a
    /// denial.
    pub(crate) fn is_about_operation(&self) -> bool {
        match self.0.kind {
            _ if self.0.is_tool_error => true,
            DenialKind::BadMessage(why) => {
                use BadMessage::{Incomplete, Timeout, TooLarge, Upgrade};
                !matches!(why, Timeout | TooLarge | Incomplete | Upgrade)
            }
            DenialKind::Forbidden
            | DenialKind::InsufficientScope(_)
            | DenialKind::InsufficientUserAuthentication(_) => true,
            DenialKind::NoCredentials => self.0.missing.is_some(),
            _ => false,
        }
    }

    /// The HTTP status of the response.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self.0.kind {
            _ if self.0.is_tool_error => StatusCode::OK,
            DenialKind::BadMessage(BadMessage::Timeout) => StatusCode::REQUEST_TIMEOUT,
            DenialKind::BadMessage(BadMessage::TooLarge) => StatusCode::PAYLOAD_TOO_LARGE,
            DenialKind::BadMessage(_) | DenialKind::BadRequest(_) => StatusCode::BAD_REQUEST,
            DenialKind::Forbidden if self.0.request_id.is_some() => StatusCode::OK,
            DenialKind::Forbidden
            | DenialKind::HostNotAllowed
            | DenialKind::OriginNotAllowed
            | DenialKind::InsufficientScope(_) => StatusCode::FORBIDDEN,
            DenialKind::InsufficientUserAuthentication(_)
            | DenialKind::InvalidProof(_)
            | DenialKind::InvalidToken(_)
            | DenialKind::NoCredentials => StatusCode::UNAUTHORIZED,
            DenialKind::Unavailable { .. } => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// A stable code for logs and metrics: `no_credentials`, `expired`, `insufficient_scope`...
    #[must_use]
    pub fn code(&self) -> &'static str {
        match &self.0.kind {
            DenialKind::BadMessage(why) => why.code(),
            DenialKind::BadRequest(why) => why.code(),
            DenialKind::Forbidden => "forbidden",
            DenialKind::HostNotAllowed => "host_not_allowed",
            DenialKind::OriginNotAllowed => "origin_not_allowed",
            DenialKind::InsufficientScope(_) => "insufficient_scope",
            DenialKind::InsufficientUserAuthentication(_) => "insufficient_user_authentication",
            DenialKind::InvalidProof(why) => why.code(),
            DenialKind::InvalidToken(reason) => reason.code(),
            DenialKind::NoCredentials => "no_credentials",
            DenialKind::Unavailable { .. } => "unavailable",
        }
    }

    /// Cold, so that the compiler keeps refusals out of the path of admitted requests.
    #[cold]
    fn new(kind: DenialKind) -> Self {
        let scheme = Scheme::default();
        Self(Arc::new(Inner {
            kind,
            scheme,
            name: 0,
            request_id: None,
            is_tool_error: false,
            is_in_batch: false,
            missing: None,
            token: None,
            message: None,
            detail: None,
            source: None,
        }))
    }
}

/// For the operator: the code and the detail. The cause is the [`source`](Error::source). Never sent to a
/// client.
impl fmt::Display for Denial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())?;
        if let Some(detail) = &self.0.detail {
            write!(f, ": {detail}")?;
        }
        Ok(())
    }
}

impl Error for Denial {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique_and_sentences_fit_into_a_challenge() {
        let mut codes: Vec<_> = Reason::ALL.iter().map(|reason| reason.code()).collect();
        codes.extend(BadMessage::ALL.iter().map(|why| why.code()));
        codes.extend(BadRequest::ALL.iter().map(|why| why.code()));
        codes.extend(BadProof::ALL.iter().map(|why| why.code()));
        let number = codes.len();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), number);

        let sentences = Reason::ALL
            .iter()
            .map(|reason| reason.description())
            .chain(BadRequest::ALL.iter().map(|why| why.description()))
            .chain(BadProof::ALL.iter().map(|why| why.description()));
        for sentence in sentences {
            // rmcp and other clients search the whole challenge for these words. RFC 6750 §3 limits the
            // characters.
            assert!(
                !["scope=", "error=", "resource_metadata="]
                    .iter()
                    .any(|word| sentence.contains(word)),
                "{sentence}"
            );
            assert!(
                sentence.bytes().all(|b| matches!(b, 0x20..=0x21 | 0x23..=0x5b | 0x5d..=0x7e)),
                "{sentence}"
            );
        }
    }

    #[test]
    fn display_shows_the_operator_detail() {
        let denial = Denial::invalid(Reason::Audience).detail("expected `a`").caused_by("inner");
        assert_eq!(denial.to_string(), "audience: expected `a`");
        assert_eq!(denial.source().map(ToString::to_string).as_deref(), Some("inner"));
    }
}

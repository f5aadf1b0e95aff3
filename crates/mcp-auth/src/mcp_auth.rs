//! One protected resource: its verifier, its policy and its metadata.

mod builder;
#[cfg(feature = "client")]
mod readiness;
#[cfg(feature = "jwt")]
mod sender;
#[cfg(not(feature = "jwt"))]
#[path = "mcp_auth/sender_none.rs"]
mod sender;

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use bytes::Bytes;
use http::HeaderValue;
use http::request::Parts;
use http_body::Body;

use crate::authorization_server::AuthorizationServer;
use crate::body::{self, GuardedBody};
use crate::challenge::Challenge;
use crate::clock::Clock;
use crate::credentials::Credentials;
use crate::denial::Denial;
use crate::operation::Operation;
use crate::policy::Policy;
use crate::scheme::Scheme;
use crate::scope::Scopes;
use crate::token::{AuthInfo, VerifiedToken};
use crate::verifier::Verifier;

pub use builder::{ConfigError, McpAuthBuilder};
#[cfg(feature = "client")]
pub use readiness::{IssuerReadiness, Readiness};

/// A protected resource: the MCP server behind one URL, and who may use it.
///
/// Made once, by [`builder`](Self::builder), and cheap to clone.
///
/// ```
/// use mcp_auth::McpAuth;
///
/// let auth = McpAuth::builder("https://api.example.com/mcp")
///     .authorization_server("https://auth.example.com/oidc")
///     .required_scopes(["read", "write"])
///     .build()?;
/// assert_eq!(auth.resource(), "https://api.example.com/mcp");
/// # Ok::<(), mcp_auth::ConfigError>(())
/// ```
#[derive(Clone)]
pub struct McpAuth(Arc<Inner>);

struct Inner {
    resource: String,
    metadata_url: String,
    metadata_json: String,
    /// What a client without a usable token is told to ask for.
    challenged_scopes: Scopes,
    allowed_origins: Vec<String>,
    is_optional: bool,
    servers: Vec<AuthorizationServer>,
    /// The servers whose keys are needed: none if a verifier of the user's own judges their tokens.
    keys_of: Vec<AuthorizationServer>,
    verifier: Box<dyn Verifier>,
    policy: Policy,
    sender: sender::Sender,
    clock: Arc<dyn Clock>,
    /// The longest message that is read, in bytes.
    max_message_bytes: usize,
}

impl McpAuth {
    /// Describes the protected resource at this URL: the one that clients connect to, which is also
    /// its identifier ([RFC 8707](https://www.rfc-editor.org/rfc/rfc8707)), its audience and its route.
    pub fn builder(resource: impl Into<String>) -> McpAuthBuilder {
        McpAuthBuilder::new(resource.into())
    }

    /// The whole decision. Everything else in this crate serves one of these lines.
    ///
    /// The body is read only if a rule speaks of operations, only once the token is true, and given back
    /// as it came. Web pages (`Origin`, CORS) are the layer's business.
    /// [`BearerAuthLayer`](crate::BearerAuthLayer) does this for each request; call it yourself where no
    /// tower service can stand.
    ///
    /// # Errors
    ///
    /// The [`Denial`], with [`challenge`](Self::challenge) to answer it.
    pub async fn admit<B: Body<Data = Bytes>>(
        &self,
        parts: &Parts,
        body: B,
    ) -> Result<(AuthInfo, GuardedBody<B>), Denial> {
        self.admit_within(std::future::pending(), parts, body).await
    }

    /// The same, with an end to the patience for a body that does not come.
    pub(crate) async fn admit_within<B: Body<Data = Bytes>>(
        &self,
        patience: impl Future<Output = ()>,
        parts: &Parts,
        body: B,
    ) -> Result<(AuthInfo, GuardedBody<B>), Denial> {
        let denied = |denial: Denial| denial.under(Scheme::of(&parts.headers));
        self.decide(patience, parts, body).await.map_err(denied)
    }

    /// The straight line.
    async fn decide<B: Body<Data = Bytes>>(
        &self,
        patience: impl Future<Output = ()>,
        parts: &Parts,
        body: B,
    ) -> Result<(AuthInfo, GuardedBody<B>), Denial> {
        let credentials = Credentials::from_headers(&parts.headers)?; // 401 400   headers only
        let token = self.verify(&credentials).await?; //                 401 503   still no byte of the body
        self.confirm(&token, &credentials, parts)?; //                   401 503   is the sender its owner?
        let body = self.read(Some(&token), body, patience).await?; //    401 413   read only if rules need it
        let operation = self.operation(parts, &body)?; //                400
        let caller = self.permit(token, &credentials, &operation)?; //   401 403
        Ok((caller, body))
    }

    /// Lets a request without credentials pass, if no rule speaks of what it asks for.
    pub(crate) async fn admit_anybody<B: Body<Data = Bytes>>(
        &self,
        patience: impl Future<Output = ()>,
        parts: &Parts,
        body: B,
    ) -> Result<GuardedBody<B>, Denial> {
        let body = self.read(None, body, patience).await?;
        self.0.policy.allow_anybody(&self.operation(parts, &body)?)?;
        Ok(body)
    }

    /// Whether an admitted caller may do something else too: what a tool guards that can be reached by
    /// other ways than the layer.
    ///
    /// ```
    /// use mcp_auth::{AuthInfo, Denial, McpAuth, Operation};
    ///
    /// fn delete(auth: &McpAuth, caller: &AuthInfo) -> Result<(), Denial> {
    ///     auth.permits(caller, &Operation::of_tool("delete_note"))
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// The [`Denial`] that the layer would have answered.
    pub fn permits(&self, caller: &AuthInfo, operation: &Operation<'_>) -> Result<(), Denial> {
        self.0.policy.allow(caller.facts(), operation, self.0.clock.now())
    }

    async fn verify(&self, credentials: &Credentials) -> Result<VerifiedToken, Denial> {
        self.0.verifier.verify(credentials).await
    }

    fn confirm(
        &self,
        token: &VerifiedToken,
        credentials: &Credentials,
        parts: &Parts,
    ) -> Result<(), Denial> {
        self.0.sender.confirm(token, credentials, parts, &self.0.policy, &*self.0.clock)
    }

    /// Reads the body if rules speak of operations, and the token is one for this resource.
    async fn read<B: Body<Data = Bytes>>(
        &self,
        token: Option<&VerifiedToken>,
        body: B,
        patience: impl Future<Output = ()>,
    ) -> Result<GuardedBody<B>, Denial> {
        if self.0.policy.operations.is_empty() {
            return Ok(GuardedBody::inner(body));
        }
        if let Some(token) = token {
            self.0.policy.accept(token, self.0.clock.now())?;
        }
        body::read(body, self.0.max_message_bytes, patience).await.map_err(Denial::bad_message)
    }

    fn operation<'b, B>(
        &self,
        parts: &Parts,
        body: &'b GuardedBody<B>,
    ) -> Result<Operation<'b>, Denial> {
        if self.0.policy.operations.is_empty() {
            return Ok(Operation::default());
        }
        Operation::read(&parts.method, &parts.headers, body.bytes())
    }

    fn permit(
        &self,
        token: VerifiedToken,
        credentials: &Credentials,
        operation: &Operation<'_>,
    ) -> Result<AuthInfo, Denial> {
        self.0.policy.permit(token, credentials, operation, self.0.clock.now())
    }

    /// The `WWW-Authenticate` challenge that answers a denial; nothing if no login can mend it.
    #[must_use]
    pub fn challenge(&self, denial: &Denial) -> Option<Challenge> {
        let as_requested = |scopes: &Scopes| self.0.policy.vocabulary.requested(scopes);
        let challenge =
            Challenge::answering(denial, &self.0.challenged_scopes, &self.0.metadata_url)?;
        let scope = challenge.scope.as_ref().map(as_requested);
        Some(self.0.sender.challenge(Challenge { scope, ..challenge }, denial))
    }

    /// The nonce that the next DPoP proof must have ([RFC 9449 §8.2](https://www.rfc-editor.org/rfc/rfc9449#section-8.2)):
    /// the value of `DPoP-Nonce` in answers to who came by DPoP. Nothing where no nonces are demanded.
    #[must_use]
    pub fn dpop_nonce(&self) -> Option<HeaderValue> {
        self.0.sender.nonce(&*self.0.clock)
    }

    /// The URL of the resource, its identifier.
    #[must_use]
    pub fn resource(&self) -> &str {
        &self.0.resource
    }

    /// The URL of the resource's metadata ([RFC 9728 §3.1](https://www.rfc-editor.org/rfc/rfc9728#section-3.1)).
    #[must_use]
    pub fn metadata_url(&self) -> &str {
        &self.0.metadata_url
    }

    /// The resource's metadata document, JSON ([RFC 9728 §2](https://www.rfc-editor.org/rfc/rfc9728#section-2)).
    #[must_use]
    pub fn metadata_json(&self) -> &str {
        &self.0.metadata_json
    }

    /// The authorization servers that are trusted here, in the order in which they are published.
    #[must_use]
    pub fn authorization_servers(&self) -> &[AuthorizationServer] {
        &self.0.servers
    }

    /// Whether requests without credentials may pass, as anonymous.
    pub(crate) fn is_optional(&self) -> bool {
        self.0.is_optional
    }

    pub(crate) fn allowed_origins(&self) -> &[String] {
        &self.0.allowed_origins
    }
}

impl fmt::Debug for McpAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("McpAuth")
            .field("resource", &self.0.resource)
            .field("policy", &self.0.policy)
            .finish_non_exhaustive()
    }
}

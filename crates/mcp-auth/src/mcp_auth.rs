//! One protected resource: its verifier, its policy and its metadata.

mod builder;
#[cfg(feature = "client")]
mod readiness;

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use http::header::HeaderMap;

use crate::authorization_server::AuthorizationServer;
use crate::challenge::Challenge;
use crate::clock::Clock;
use crate::credentials::Credentials;
use crate::denial::{Denial, Refusal};
use crate::lists::Lists;
use crate::policy::Policy;
use crate::scope::Scopes;
use crate::seal::Seal;
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
    seal: Seal,
    streams_outlive_tokens: bool,
    lists: Option<Lists>,
    servers: Vec<AuthorizationServer>,
    /// The servers whose keys are needed: none if a verifier of the user's own judges their tokens.
    keys_of: Vec<AuthorizationServer>,
    verifier: Box<dyn Verifier>,
    policy: Policy,
    clock: Arc<dyn Clock>,
}

impl McpAuth {
    /// Describes the protected resource at this URL: the one that clients connect to, which is also
    /// its identifier ([RFC 8707](https://www.rfc-editor.org/rfc/rfc8707)), its audience and its route.
    pub fn builder(resource: impl Into<String>) -> McpAuthBuilder {
        McpAuthBuilder::new(resource.into())
    }

    /// The whole decision. Everything else in this crate serves one of these lines.
    ///
    /// Nothing but the `Authorization` header is looked at; web pages (`Origin`, CORS) are the layer's
    /// business. [`BearerAuthLayer`](crate::BearerAuthLayer) calls this
    /// for each request; call it yourself where no tower service can stand.
    ///
    /// # Errors
    ///
    /// The [`Denial`], with [`challenge`](Self::challenge) to answer it.
    pub async fn admit(&self, headers: &HeaderMap) -> Result<AuthInfo, Denial> {
        let credentials = Credentials::from_headers(headers)?; // 401 400
        let token = self.verify(&credentials).await?; //          401 503
        self.permit(token, &credentials) //                       401 403
    }

    async fn verify(&self, credentials: &Credentials) -> Result<VerifiedToken, Denial> {
        self.0.verifier.verify(credentials).await
    }

    fn permit(&self, token: VerifiedToken, credentials: &Credentials) -> Result<AuthInfo, Denial> {
        self.0.policy.permit(token, credentials, self.0.clock.now())
    }

    /// The `WWW-Authenticate` challenge that answers a denial; nothing if no login can mend it.
    #[must_use]
    pub fn challenge(&self, denial: &Denial) -> Option<Challenge> {
        Challenge::answering(denial, &self.0.challenged_scopes, &self.0.metadata_url)
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

    /// Whether a denial may be overlooked: no credentials were sent, and they are optional.
    pub(crate) fn may_be_anonymous(&self, denial: &Denial) -> bool {
        self.0.is_optional && *denial.refusal() == Refusal::NoCredentials
    }

    /// When streams opened with the caller's token end, if they do.
    pub(crate) fn streams_end_at(&self, caller: &AuthInfo) -> Option<SystemTime> {
        self.0.policy.end_of(caller).filter(|_| !self.0.streams_outlive_tokens)
    }

    pub(crate) fn seal(&self) -> &Seal {
        &self.0.seal
    }

    pub(crate) fn lists(&self) -> Option<&Lists> {
        self.0.lists.as_ref()
    }

    pub(crate) fn clock(&self) -> &Arc<dyn Clock> {
        &self.0.clock
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

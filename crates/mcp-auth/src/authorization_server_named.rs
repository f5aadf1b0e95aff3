//! Whom we trust, without the feature `client`: an authorization server is but a name, since nothing can be fetched from it.

use std::sync::Arc;

/// An authorization server that is trusted to issue tokens. A [`Verifier`](crate::Verifier) of your own
/// judges them.
///
/// ```
/// let server = mcp_auth::AuthorizationServer::named("https://auth.example.com");
/// assert_eq!(server.issuer(), "https://auth.example.com");
/// ```
#[derive(Clone, Debug)]
pub struct AuthorizationServer {
    issuer: Arc<str>,
}

impl AuthorizationServer {
    /// A server of which only the name matters.
    #[must_use]
    pub fn named(issuer: impl AsRef<str>) -> Self {
        Self { issuer: issuer.as_ref().into() }
    }

    /// The issuer identifier.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.issuer
    }
}

impl From<&str> for AuthorizationServer {
    fn from(issuer: &str) -> Self {
        Self::named(issuer)
    }
}

impl From<String> for AuthorizationServer {
    fn from(issuer: String) -> Self {
        Self::named(issuer)
    }
}

impl From<&Self> for AuthorizationServer {
    fn from(server: &Self) -> Self {
        server.clone()
    }
}

//! Whom we trust, without the feature `client`: an authorization server is but a name, since nothing can be fetched from it.

use std::sync::Arc;

use crate::issuer_template::Family;

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

    pub(crate) fn published(&self) -> Vec<String> {
        vec![self.issuer().to_owned()]
    }

    /// Without keys to share there are no tenants.
    pub(crate) fn family(&self) -> Option<&Family> {
        None
    }

    pub(crate) fn is_needed(&self) -> bool {
        false
    }

    pub(crate) fn mistake(&self) -> Option<String> {
        None
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

//! The simple case of introspection: one server, a client id and a secret.

use super::McpAuthBuilder;
use crate::issuer::introspection::{Introspection, Secret};

impl McpAuthBuilder {
    /// Asks the authorization server about opaque tokens, with a client id and a secret
    /// ([RFC 7662](https://www.rfc-editor.org/rfc/rfc7662)). JWTs are verified as ever.
    ///
    /// For other ways of authentication, other limits, or several servers, see
    /// [`AuthorizationServer::introspection`](crate::AuthorizationServer::introspection). Resources that
    /// shall share keys and answers share a server that is described so.
    ///
    /// ```
    /// # let secret = String::from("correct horse battery staple");
    /// use mcp_auth::McpAuth;
    ///
    /// let auth = McpAuth::builder("https://api.example.com/mcp")
    ///     .authorization_server("https://auth.example.com")
    ///     .introspect("notes-server", secret)
    ///     .build()?;
    /// # Ok::<(), mcp_auth::ConfigError>(())
    /// ```
    pub fn introspect(mut self, client_id: impl AsRef<str>, secret: impl Into<Secret>) -> Self {
        self.introspection = Some(Introspection::basic(client_id, secret));
        self
    }
}

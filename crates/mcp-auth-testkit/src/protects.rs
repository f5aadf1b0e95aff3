//! What a protected resource needs to trust this issuer.

use mcp_auth::{AuthorizationServer, McpAuth, McpAuthBuilder};

use crate::TestIssuer;

impl TestIssuer {
    /// This issuer as an authorization server to trust: it is asked without a socket, and its keys
    /// grow old by its clock.
    ///
    /// ```
    /// use mcp_auth::McpAuth;
    ///
    /// let issuer = mcp_auth_testkit::TestIssuer::new();
    /// let auth = McpAuth::builder("https://api.example.com/mcp")
    ///     .authorization_server(issuer.authorization_server())
    ///     .clock(issuer.clone())
    ///     .build()?;
    /// # Ok::<(), mcp_auth::ConfigError>(())
    /// ```
    #[must_use]
    pub fn authorization_server(&self) -> AuthorizationServer {
        AuthorizationServer::discover(self.url()).fetch(self.clone()).clock(self.clone())
    }

    /// Describes a protected resource that trusts this issuer and lives by its clock. The resource
    /// becomes the default audience of minted tokens.
    ///
    /// ```
    /// let issuer = mcp_auth_testkit::TestIssuer::new();
    /// let auth = issuer.protects("https://api.example.com/mcp").required_scopes(["read"]).build()?;
    /// # Ok::<(), mcp_auth::ConfigError>(())
    /// ```
    pub fn protects(&self, resource: &str) -> McpAuthBuilder {
        self.resource(resource, [""; 0]);
        McpAuth::builder(resource)
            .authorization_server(self.authorization_server())
            .clock(self.clone())
    }
}

//! Makes a protected resource trust the test issuer.

use mcp_auth::{AuthorizationServer, McpAuth, McpAuthBuilder};

use crate::TestIssuer;

impl TestIssuer {
    /// Returns this issuer as an authorization server to trust. Its documents are fetched without a socket,
    /// and the age of its keys is measured by its clock.
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

    /// Returns a builder for a protected resource that trusts this issuer and uses its clock. The resource
    /// becomes the default audience of the issuer's tokens.
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

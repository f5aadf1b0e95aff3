//! The shortest way from an issuer to a protected resource.

use mcp_auth::{AuthorizationServer, McpAuth, McpAuthBuilder};

use crate::TestIssuer;

impl TestIssuer {
    /// This issuer as [`mcp_auth`] finds it: discovered through the issuer itself, which answers for
    /// its documents without a socket even when it is served
    /// ([RFC 8414 §3](https://www.rfc-editor.org/rfc/rfc8414#section-3)).
    ///
    /// ```
    /// use mcp_auth_testkit::TestIssuer;
    ///
    /// let login = TestIssuer::new().authorization_server();
    /// ```
    #[must_use]
    pub fn authorization_server(&self) -> AuthorizationServer {
        AuthorizationServer::discover(self.url())
            .fetch(self.clone())
            .clock(self.clone())
    }

    /// Starts the protection of the resource at `url` by this issuer, whose minted tokens are for
    /// this resource from now on ([RFC 9728](https://www.rfc-editor.org/rfc/rfc9728)).
    ///
    /// ```
    /// use mcp_auth_testkit::TestIssuer;
    ///
    /// let issuer = TestIssuer::new();
    /// let auth = issuer.protects("https://api.example.com/mcp").build()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn protects(&self, url: &str) -> McpAuthBuilder {
        let known = self
            .state()
            .resources
            .iter()
            .find(|(it, _)| it == url)
            .cloned();
        self.resource(url, known.map_or_else(Vec::new, |(_, scopes)| scopes));
        McpAuth::builder(url)
            .authorization_server(&self.authorization_server())
            .clock(self.clone())
    }
}

//! `TokenExchange::to_audience` and `to_resource`: what tokens are exchanged for.

use std::sync::Arc;

use crate::issuer::token_exchange::{Downstream, Grant, ServiceToken, Target, TokenExchange};
use crate::model::scope::Scopes;
use crate::resource::config_error::ConfigError;

impl TokenExchange {
    /// Tokens for the server that the issuer knows by this name: the parameter `audience`
    /// ([RFC 8693 §2.1](https://www.rfc-editor.org/rfc/rfc8693#section-2.1)). At Keycloak it is a client id.
    ///
    /// `scopes` are those to request, and may be empty: the issuer then chooses.
    ///
    /// # Errors
    ///
    /// [`ConfigError::TokenExchange`] if the audience is empty, a scope is not one, or the settings of the exchange are
    /// not valid.
    pub fn to_audience(
        &self,
        audience: impl AsRef<str>,
        scopes: impl Into<Scopes>,
    ) -> Result<Downstream, ConfigError> {
        self.to(Grant::Exchange, "audience", audience.as_ref(), scopes.into())
    }

    /// Tokens for the server at this URL: the parameter `resource`
    /// ([RFC 8693 §2.1](https://www.rfc-editor.org/rfc/rfc8693#section-2.1)). Otherwise the same as
    /// [`to_audience`](Self::to_audience).
    ///
    /// # Errors
    ///
    /// The same, and if it is not an absolute URI, or has a fragment.
    pub fn to_resource(
        &self,
        resource: impl AsRef<str>,
        scopes: impl Into<Scopes>,
    ) -> Result<Downstream, ConfigError> {
        self.to(Grant::Exchange, "resource", resource.as_ref(), scopes.into())
    }

    /// Tokens for the server that has these scopes, by the on-behalf-of flow of Microsoft Entra: the caller's token is the
    /// assertion of an `urn:ietf:params:oauth:grant-type:jwt-bearer` request
    /// ([RFC 7523 §2.1](https://www.rfc-editor.org/rfc/rfc7523#section-2.1)) with `requested_token_use=on_behalf_of`
    /// ([its documentation](https://learn.microsoft.com/en-us/entra/identity-platform/v2-oauth2-on-behalf-of-flow)).
    ///
    /// ```
    /// use mcp_auth::{AuthorizationServer, TokenExchange};
    ///
    /// # let secret = String::from("correct horse battery staple");
    /// let entra = AuthorizationServer::entra("22222222-2222-2222-2222-222222222222");
    /// let exchange = TokenExchange::post(&entra, "11111111-2222-3333-4444-555555555555", secret);
    /// let calendar = exchange.on_behalf_of(["api://calendar/events.read"])?;
    /// # Ok::<(), mcp_auth::ConfigError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ConfigError::TokenExchange`] if there is no scope, one is not a scope, or the settings of the exchange are not valid.
    pub fn on_behalf_of(&self, scopes: impl Into<Scopes>) -> Result<Downstream, ConfigError> {
        self.to(Grant::OnBehalfOf, "requested_token_use", "on_behalf_of", scopes.into())
    }

    /// A token of this server's own, for another server: the client credentials grant
    /// ([RFC 6749 §4.4](https://www.rfc-editor.org/rfc/rfc6749#section-4.4)). Some authorization servers want the other
    /// server as `audience` or `resource`, and others only the scopes: `parameter` has the name and the value, if any.
    ///
    /// ```
    /// use mcp_auth::{AuthorizationServer, TokenExchange};
    ///
    /// # let secret = String::from("correct horse battery staple");
    /// let login = AuthorizationServer::discover("https://auth.example.com");
    /// let exchange = TokenExchange::basic(&login, "notes-server", secret);
    /// let own = exchange.client_credentials(Some(("audience", "https://calendar.example.com")), ["events:read"])?;
    /// # Ok::<(), mcp_auth::ConfigError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ConfigError::TokenExchange`] if a value is empty, a scope is not one, or the settings of the exchange are not valid.
    pub fn client_credentials(
        &self,
        parameter: Option<(&'static str, &str)>,
        scopes: impl Into<Scopes>,
    ) -> Result<ServiceToken, ConfigError> {
        let (parameter, name) = parameter.unwrap_or_default();
        let target = self.target(Grant::ClientCredentials, parameter, name, scopes.into())?;
        Ok(self.service_token(target))
    }

    fn to(
        &self,
        grant: Grant,
        parameter: &'static str,
        name: &str,
        scopes: Scopes,
    ) -> Result<Downstream, ConfigError> {
        let target = Arc::new(self.target(grant, parameter, name, scopes)?);
        Ok(Downstream { exchanger: self.exchanger(), target })
    }

    fn target(
        &self,
        grant: Grant,
        parameter: &'static str,
        name: &str,
        scopes: Scopes,
    ) -> Result<Target, ConfigError> {
        let target = Target { grant, parameter, name: name.into(), scopes };
        match self.config_error().or_else(|| target.config_error()) {
            Some(why) => Err(ConfigError::TokenExchange { issuer: self.issuer().to_owned(), why }),
            None => Ok(target),
        }
    }
}

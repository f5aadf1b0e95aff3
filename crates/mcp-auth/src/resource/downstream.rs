//! `TokenExchange::to_audience` and `to_resource`: what tokens are exchanged for.

use std::sync::Arc;

use crate::issuer::token_exchange::{Downstream, Target, TokenExchange};
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
        self.to("audience", audience.as_ref(), scopes.into())
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
        self.to("resource", resource.as_ref(), scopes.into())
    }

    fn to(
        &self,
        parameter: &'static str,
        name: &str,
        scopes: Scopes,
    ) -> Result<Downstream, ConfigError> {
        let target = Target { parameter, name: name.into(), scopes };
        match self.config_error().or_else(|| target.config_error()) {
            Some(why) => Err(ConfigError::TokenExchange { issuer: self.issuer().to_owned(), why }),
            None => Ok(Downstream { exchanger: self.exchanger(), target: Arc::new(target) }),
        }
    }
}

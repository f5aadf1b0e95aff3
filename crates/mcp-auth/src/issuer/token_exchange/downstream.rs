//! `Downstream`: a server that tools call in the name of their callers.

use std::fmt;
use std::sync::Arc;

use crate::issuer::token_exchange::exchanger::Exchanger;
use crate::issuer::token_exchange::target::Target;
use crate::issuer::token_exchange::token::ExchangedToken;
use crate::model::auth_info::AuthInfo;
use crate::model::denial::Denial;

/// A server that tools call in the name of their callers: an exchange, the audience or resource, and the scopes.
///
/// Created by [`TokenExchange::to_audience`](crate::TokenExchange::to_audience) and
/// [`TokenExchange::to_resource`](crate::TokenExchange::to_resource). Clones are cheap.
#[derive(Clone)]
pub struct Downstream {
    pub(crate) exchanger: Exchanger,
    pub(crate) target: Arc<Target>,
}

impl AuthInfo {
    /// Exchanges the caller's token for one that this server may send to another server, in the name of the caller
    /// ([RFC 8693](https://www.rfc-editor.org/rfc/rfc8693)).
    ///
    /// The token is cached for this caller's token, this target and these scopes, never past the expiry of either token.
    /// Concurrent calls share one request. It is an error if there is no such token, and never a call without one.
    ///
    /// ```
    /// use mcp_auth::{AuthInfo, Denial, Downstream};
    ///
    /// async fn authorization(auth: &AuthInfo, calendar: &Downstream) -> Result<http::HeaderValue, Denial> {
    ///     Ok(auth.exchange(calendar).await?.authorization())
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Forbidden`](crate::DenialKind::Forbidden) (403) if the issuer refuses, or if the caller's token is not one of its
    /// tokens, such as an API key. [`InvalidToken`](crate::DenialKind::InvalidToken) (401) if the caller's token has
    /// expired since the request was admitted. [`Unavailable`](crate::DenialKind::Unavailable) (503) if the issuer cannot
    /// be asked, or refuses this server's own credentials. The [detail](Denial::operator_detail) says what to change.
    pub async fn exchange(&self, downstream: &Downstream) -> Result<ExchangedToken, Denial> {
        let Downstream { exchanger, target } = downstream;
        exchanger.exchange(self, target).await
    }
}

impl fmt::Debug for Downstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Downstream")
            .field(self.target.parameter, &self.target.name)
            .field("scopes", &self.target.scopes)
            .finish_non_exhaustive()
    }
}

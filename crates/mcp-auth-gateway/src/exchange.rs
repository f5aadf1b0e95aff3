//! The token that the upstream gets from the issuer, in the name of a caller or for the gateway itself.

use bytes::Bytes;
use http::header::{AUTHORIZATION, HeaderMap};
use http::{Response, StatusCode};
use mcp_auth::{AuthInfo, Denial, McpAuth};
use mcp_auth_config::UpstreamToken;

/// Which token the upstream gets.
#[derive(Clone, Debug)]
pub(crate) struct Exchange {
    pub(crate) auth: McpAuth,
    pub(crate) token: UpstreamToken,
}

impl Exchange {
    /// Adds the token to an admitted request, of which the client's credentials were removed. In the name of a caller without
    /// a token, there is none.
    ///
    /// # Errors
    ///
    /// Why there is no token. The request must not be passed on then.
    pub(crate) async fn add(
        &self,
        caller: Option<&AuthInfo>,
        headers: &mut HeaderMap,
    ) -> Result<(), Denial> {
        let token = match (&self.token, caller) {
            (UpstreamToken::OfCaller(target), Some(caller)) => caller.exchange(target).await?,
            (UpstreamToken::OfCaller(_), None) => return Ok(()),
            (UpstreamToken::OfGateway(token), _) => token.current().await?,
        };
        headers.insert(AUTHORIZATION, token.authorization());
        Ok(())
    }

    /// The response to a request that cannot be passed on.
    pub(crate) fn refuse(&self, denial: &Denial) -> Response<Bytes> {
        let detail = denial.operator_detail().unwrap_or_default();
        let resource = self.auth.resource();
        let mut response = self.auth.refuse(denial);
        match &self.token {
            // No caller can change that.
            UpstreamToken::OfGateway(_) => {
                tracing::debug!(target: "mcp_auth", resource, detail, "the gateway has no token for the upstream");
                *response.status_mut() = StatusCode::BAD_GATEWAY;
            }
            UpstreamToken::OfCaller(_) if denial.status() == StatusCode::SERVICE_UNAVAILABLE => {
                // The library has warned, as often as it is worth.
                tracing::debug!(target: "mcp_auth", resource, detail, "the issuer does not exchange the token of a caller at the moment");
            }
            UpstreamToken::OfCaller(_) => {
                tracing::info!(target: "mcp_auth", resource, detail, "the issuer does not exchange the token of a caller");
            }
        }
        response
    }
}

//! Exchanges the token of a caller for one that the upstream accepts.

use bytes::Bytes;
use http::header::{AUTHORIZATION, HeaderMap};
use http::{Response, StatusCode};
use mcp_auth::{AuthInfo, Denial, Downstream, McpAuth};

/// Which tokens are exchanged, and for what.
#[derive(Clone, Debug)]
pub(crate) struct Exchange {
    pub(crate) auth: McpAuth,
    pub(crate) target: Downstream,
}

impl Exchange {
    /// Adds the new token to a request of which the client's credentials were removed. A caller without a token gets none.
    ///
    /// # Errors
    ///
    /// Why there is no token. The request must not be passed on then.
    pub(crate) async fn add(
        &self,
        caller: Option<&AuthInfo>,
        headers: &mut HeaderMap,
    ) -> Result<(), Denial> {
        if let Some(caller) = caller {
            let token = caller.exchange(&self.target).await?;
            headers.insert(AUTHORIZATION, token.authorization());
        }
        Ok(())
    }

    /// The response to a request that cannot be passed on.
    pub(crate) fn refuse(&self, denial: &Denial) -> Response<Bytes> {
        let status = denial.status();
        let detail = denial.operator_detail().unwrap_or_default();
        let resource = self.auth.resource();
        if status == StatusCode::SERVICE_UNAVAILABLE {
            // The library has warned, as often as it is worth.
            tracing::debug!(target: "mcp_auth", resource, detail, "the issuer does not exchange the token of a caller at the moment");
        } else {
            tracing::info!(target: "mcp_auth", resource, detail, "the issuer does not exchange the token of a caller");
        }
        self.auth.refuse(denial)
    }
}

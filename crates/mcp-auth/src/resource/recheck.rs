//! Asking about a token again, while something is open that was opened with it.

use crate::model::auth_info::AuthInfo;
use crate::model::credentials::Credentials;
use crate::model::denial::{Denial, DenialKind};
use crate::net::box_future::BoxFuture;
use crate::resource::mcp_auth::McpAuth;

impl McpAuth {
    /// Whether streams opened with the caller's token end if its issuer, asked again, says that it is not good.
    pub(crate) fn needs_recheck(&self, caller: &AuthInfo) -> bool {
        caller.data().is_asked_about && !self.0.streams_outlive_tokens
    }

    /// Whether the caller's token is refused by now. What is remembered of it counts as for a request, and what
    /// cannot be found out at the moment is no refusal.
    pub(crate) fn is_refused(&self, caller: &AuthInfo) -> BoxFuture<'static, bool> {
        let (auth, credentials) = (self.clone(), Credentials::for_recheck(caller.token().clone()));
        Box::pin(async move {
            let denied = auth.recheck(&credentials).await.err();
            denied.is_some_and(|it| !matches!(it.kind(), DenialKind::Unavailable { .. }))
        })
    }

    async fn recheck(&self, credentials: &Credentials) -> Result<(), Denial> {
        let (token, now) = self.verify(credentials).await?;
        self.0.policy.check_token(token, now).map(drop)
    }
}

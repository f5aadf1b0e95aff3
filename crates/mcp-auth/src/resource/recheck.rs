//! Rechecks of the token of an open stream.

use crate::model::auth_info::AuthInfo;
use crate::model::credentials::Credentials;
use crate::model::denial::{Denial, DenialKind};
use crate::net::box_future::BoxFuture;
use crate::resource::mcp_auth::McpAuth;

impl McpAuth {
    /// Whether the caller's token is introspected again while its streams are open. They end if it is refused
    /// then.
    pub(crate) fn needs_recheck(&self, caller: &AuthInfo) -> bool {
        caller.data().is_introspected && !self.0.streams_outlive_tokens
    }

    /// Whether the caller's token is refused now. Cached results apply as they do for a request. A token that
    /// cannot be verified at the moment is not refused.
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

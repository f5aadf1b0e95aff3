//! Rechecks of the token of an open request.

use crate::model::auth_info::AuthInfo;
use crate::model::credentials::Credentials;
use crate::model::denial::{Denial, DenialKind};
use crate::net::box_future::BoxFuture;
use crate::resource::mcp_auth::McpAuth;
use crate::util::unix_time::unix_secs;

/// How many seconds before its expiry an issuer may already say that a token is not active, because its clock is ahead
/// of ours: the accuracy of NTP, and a margin. A token that it refuses earlier was revoked.
const MAX_CLOCK_SKEW: u64 = 5;

impl McpAuth {
    /// Whether the caller's token is introspected again while its requests are open.
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

    /// Whether the caller's token may have expired for its issuer, whose clock may be a little ahead of ours.
    pub(crate) fn may_have_expired(&self, caller: &AuthInfo) -> bool {
        let now = unix_secs(self.0.clock.now()).saturating_add(MAX_CLOCK_SKEW);
        caller.data().expires_at.is_some_and(|end| end.get() <= now)
    }

    async fn recheck(&self, credentials: &Credentials) -> Result<(), Denial> {
        let (token, now) = self.verify(credentials).await?;
        self.check_token(token, now).map(drop)
    }
}

//! What a resource takes over when its description changes while a server runs.

use std::sync::Arc;

use crate::resource::builder::{Earlier, McpAuthBuilder};
use crate::resource::mcp_auth::McpAuth;

impl McpAuthBuilder {
    /// Takes over what an earlier value of the same resource has learned, so that a server can change its description while it
    /// runs: the revocations, the DPoP proofs that were used, and the key of session ids, unless
    /// [`session_keys`](Self::session_keys) are or were set. So no revoked token and no used proof is accepted again, and
    /// sessions go on.
    ///
    /// Keys of issuers and cached introspections are shared by using the same [`AuthorizationServer`](crate::AuthorizationServer)
    /// value again. Nothing is taken over from a resource with another URL. Streams of the earlier value go on:
    /// [end](McpAuth::end_listening_streams) them, so that they are checked by the new description.
    ///
    /// ```
    /// use mcp_auth::McpAuth;
    ///
    /// let described = || McpAuth::builder("https://api.example.com/mcp").authorization_server("https://auth.example.com");
    /// let earlier = described().build()?;
    /// let auth = described().required_scopes(["read"]).successor_of(&earlier).build()?;
    /// # Ok::<(), mcp_auth::ConfigError>(())
    /// ```
    pub fn successor_of(mut self, earlier: &McpAuth) -> Self {
        let inner = &earlier.0;
        if inner.resource != self.resource {
            return self;
        }
        self.revocations = inner.revocations.clone();
        self.earlier = Earlier {
            // Keys that were configured once may have been removed because they are known to others.
            id_signer: (!inner.has_session_keys).then(|| Arc::clone(&inner.id_signer)),
            claimed_sessions: inner.claimed_sessions.clone(),
            replays: Some(Arc::clone(inner.sender.proofs.replays())),
        };
        self
    }
}

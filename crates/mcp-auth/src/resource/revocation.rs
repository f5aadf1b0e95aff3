//! Revoking tokens before they expire, and waiting for a revocation.

use std::future::pending;

use crate::issuer::revocations::Revocations;
use crate::model::auth_info::AuthInfo;
use crate::model::revocation::Revocation;
use crate::resource::mcp_auth::McpAuth;

impl McpAuth {
    /// Revokes tokens: from the next request on they are refused with 401 `invalid_token`, even if they are
    /// cached.
    ///
    /// Streams that were opened with them end.
    ///
    /// The revocation has no effect at the issuer. A client that can still log in or refresh there gets a new
    /// token, which is accepted. Revoke at the issuer as well.
    ///
    /// ```
    /// use mcp_auth::{AuthInfo, McpAuth, Revocation};
    ///
    /// fn sign_out_everywhere(auth: &McpAuth, caller: &AuthInfo) {
    ///     auth.revoke(Revocation::subject(caller.issuer(), caller.subject()));
    /// }
    /// ```
    pub fn revoke(&self, revocation: Revocation) {
        self.0.revocations.insert(&revocation, self.0.clock.now());
    }

    /// The revocations of this resource, which may be shared with other resources.
    #[must_use]
    pub fn revocations(&self) -> &Revocations {
        &self.0.revocations
    }

    /// Whether the caller's token has been revoked since it was admitted. For work that takes long.
    #[must_use]
    pub fn is_revoked(&self, caller: &AuthInfo) -> bool {
        let (now, leeway) = (self.0.clock.now(), self.0.policy.validity.leeway);
        self.0.revocations.is_revoked(caller.data(), now, leeway)
    }

    /// Completes when the caller's token is revoked, and never if it is not.
    ///
    /// For connections that stay open longer than a request. Event streams do not need it: the layer ends them.
    ///
    /// ```
    /// # async fn serve(_: tokio::net::TcpStream) {}
    /// use mcp_auth::{AuthInfo, McpAuth};
    ///
    /// async fn socket(auth: McpAuth, caller: AuthInfo, socket: tokio::net::TcpStream) {
    ///     tokio::select! {
    ///         () = serve(socket) => {}
    ///         () = auth.revoked(&caller) => {} // and the socket is closed
    ///     }
    /// }
    /// ```
    pub fn revoked(&self, caller: &AuthInfo) -> impl Future<Output = ()> + Send + use<> {
        let (auth, caller) = (self.clone(), caller.clone());
        async move {
            let mut changes = auth.revocations().changed().subscribe();
            while !auth.is_revoked(&caller) {
                if changes.changed().await.is_err() {
                    pending::<()>().await;
                }
            }
        }
    }
}

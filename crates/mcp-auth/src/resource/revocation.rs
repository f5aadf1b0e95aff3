//! Revoking tokens before they expire, and waiting until one is revoked.

use std::future::pending;

use crate::issuer::revocations::Revocations;
use crate::model::auth_info::AuthInfo;
use crate::model::revocation::Revocation;
use crate::resource::mcp_auth::McpAuth;

impl McpAuth {
    /// Refuses these tokens from the next request on, remembered ones too: 401 `invalid_token`. Streams that
    /// were opened with them end.
    ///
    /// It counts here, and not at the issuer: who can still log in, or refresh, gets a new token that is
    /// admitted. Revoke there as well.
    ///
    /// ```
    /// use mcp_auth::{AuthInfo, McpAuth, Revocation};
    ///
    /// fn sign_out_everywhere(auth: &McpAuth, caller: &AuthInfo) {
    ///     auth.revoke(Revocation::subject(caller.issuer(), caller.subject()));
    /// }
    /// ```
    pub fn revoke(&self, revocation: Revocation) {
        self.0.revocations.enter(&revocation, self.0.clock.now());
    }

    /// The book of revocations.
    #[must_use]
    pub fn revocations(&self) -> &Revocations {
        &self.0.revocations
    }

    /// Whether the caller's token was revoked since it was admitted: for work that takes long.
    #[must_use]
    pub fn is_revoked(&self, caller: &AuthInfo) -> bool {
        self.0.revocations.is_revoked(caller.data())
    }

    /// Ends as soon as the caller's token is revoked, and never if it is not: for what stays open longer
    /// than a request, beside the streams that the layer ends by itself.
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

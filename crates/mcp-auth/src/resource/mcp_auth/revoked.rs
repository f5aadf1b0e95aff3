//! Waiting until a token is revoked.

use std::future::pending;

use super::McpAuth;
use crate::model::token::AuthInfo;

impl McpAuth {
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
            let mut changes = auth.revocations().changed().listen();
            while !auth.is_revoked(&caller) {
                if changes.changed().await.is_err() {
                    pending::<()>().await;
                }
            }
        }
    }
}

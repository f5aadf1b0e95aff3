//! Methods that need features that are off: calling one is a compile error that names the features.

use crate::resource::mcp_auth::McpAuth;

/// Not implemented for any type.
#[diagnostic::on_unimplemented(
    message = "`McpAuth::protect_mcp` needs the features `axum` and `rmcp` of the crate `mcp-auth`",
    label = "add `features = [\"axum\", \"rmcp\"]` to the dependency `mcp-auth` in Cargo.toml"
)]
pub trait NeedsAxumAndRmcp {
    /// What the method would return.
    type Router;

    /// What the method would do.
    fn into_router(self) -> Self::Router;
}

impl McpAuth {
    /// Needs the features `axum` and `rmcp`.
    #[doc(hidden)]
    pub fn protect_mcp<S: NeedsAxumAndRmcp>(&self, mcp_service: S) -> S::Router {
        mcp_service.into_router()
    }
}

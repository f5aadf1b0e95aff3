//! rmcp integration: the caller as an argument of tools and prompts, and declared scopes.

mod caller;
mod extractors;
mod declared_scopes;

pub use declared_scopes::requires;
pub use extractors::{AuthContext, OptionalAuthInfo};

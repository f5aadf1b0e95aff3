//! rmcp integration: the caller as an argument of tools and prompts, and declared scopes.

mod caller;
mod extractors;
mod declared;

pub use declared::requires;
pub use extractors::{AuthContext, OptionalAuthInfo};

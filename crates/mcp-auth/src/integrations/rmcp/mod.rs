//! rmcp: the caller as an argument of tools and prompts, and what these require.

mod caller;
mod extractors;
mod declared;

pub use declared::requires;
pub use extractors::{AuthContext, OptionalAuthInfo};

//! Protects MCP servers with OAuth 2.1.

// words: what we talk about (pure)
mod scope;
mod denial;
mod credentials;
mod token;
mod json;
// rules: decisions as functions of data (pure)
mod policy;
#[cfg(feature = "jwt")]
pub mod jwt;
// outside: waiting for others
mod clock;
mod fetch;

pub use clock::{Clock, ManualClock, SystemClock};
pub use credentials::{AccessToken, Credentials, MAX_TOKEN_BYTES};
pub use denial::{BadRequest, Denial, Reason, Refusal};
#[cfg(feature = "client")]
pub use fetch::HttpClient;
pub use fetch::{BoxFuture, Fetch, FetchError, Limits};
pub use policy::Policy;
pub use scope::{AnyOf, Hierarchy, Require, Scopes};
pub use token::{AuthInfo, VerifiedToken};

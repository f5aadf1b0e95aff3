//! Protects MCP servers with OAuth 2.1.

// outside: waiting for others
mod clock;
mod fetch;

pub use clock::{Clock, ManualClock, SystemClock};
#[cfg(feature = "client")]
pub use fetch::HttpClient;
pub use fetch::{BoxFuture, Fetch, FetchError, Limits};

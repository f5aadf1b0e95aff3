//! State that several processes of an MCP server share through [Redis](https://redis.io) or [Valkey](https://valkey.io): the DPoP
//! proofs that were used, revocations, and rate limits.
//!
//! ```no_run
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use mcp_auth::{McpAuth, Revocations};
//! use mcp_auth_redis::RedisSettings;
//!
//! let revocations = Revocations::new();
//! let redis = RedisSettings::at("rediss://cache.internal:6379").password("…").revocations(&revocations).connect()?;
//! let auth = McpAuth::builder("https://api.example.com/mcp")
//!     .authorization_server("https://auth.example.com")
//!     .revocations(&revocations)
//!     .replay_store(redis.clone())
//!     .build()?;
//! # Ok(())
//! # }
//! ```
//!
//! Redis is asked once for each request with a DPoP proof, after everything else about the token and the proof was checked. It is never
//! asked about a revocation: each process reads all revocations when it starts, and then the new ones, five times a second.
//!
//! The [guide](https://github.com/mcp-auth/rust/blob/main/docs/guide/replicas.md) says what needs to be shared, and what fails how.

mod failure;
mod telemetry;
mod tls;
mod settings;
mod link;
mod revocations;
mod redis;
mod limits;
mod proofs;

pub use failure::RedisUnavailable;
pub use redis::{Redis, RedisStatus};
pub use settings::{RedisSettings, RedisSettingsError};

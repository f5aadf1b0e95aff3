//! Protects MCP servers with OAuth 2.1.
#![cfg_attr(
    not(all(feature = "axum", feature = "client", feature = "tower")),
    allow(dead_code, unused_imports, reason = "some parts serve features that are off")
)]

// words: what we talk about (pure)
mod url;
mod json;
mod scope;
mod denial;
mod credentials;
mod token;
// rules: decisions as functions of data (pure; `now` is an argument)
mod policy;
#[cfg(feature = "jwt")]
pub mod jwt;
pub mod metadata;
mod challenge;
// outside: waiting for others (async)
mod clock;
mod fetch;
#[cfg(feature = "metrics")]
mod meter;
#[cfg(not(feature = "metrics"))]
#[path = "meter_disabled.rs"]
mod meter;
#[cfg(feature = "client")]
mod fresh;
#[cfg(feature = "client")]
mod keyring;
#[cfg(feature = "client")]
mod authorization_server;
#[cfg(not(feature = "client"))]
#[path = "authorization_server_named.rs"]
mod authorization_server;
mod verifier;
mod mcp_auth;
// doors (features)
#[cfg(feature = "tower")]
mod tower;
#[cfg(feature = "axum")]
mod axum;
#[cfg(feature = "rmcp")]
mod rmcp;
// the pages of the guide, whose code is tested
#[cfg(all(doctest, feature = "axum", feature = "rmcp"))]
mod guide;

pub use authorization_server::AuthorizationServer;
#[cfg(feature = "client")]
pub use authorization_server::OutOfReach;
pub use challenge::Challenge;
pub use clock::{Clock, ManualClock, SystemClock};
pub use credentials::{AccessToken, Credentials, MAX_TOKEN_BYTES};
pub use denial::{BadRequest, Denial, Reason, Refusal};
#[cfg(feature = "client")]
pub use fetch::HttpClient;
pub use fetch::{BoxFuture, Fetch, FetchError, Limits};
pub use mcp_auth::{ConfigError, McpAuth, McpAuthBuilder};
#[cfg(feature = "client")]
pub use mcp_auth::{IssuerReadiness, Readiness};
pub use policy::Policy;
#[cfg(feature = "rmcp")]
pub use rmcp::OptionalAuthInfo;
pub use scope::{AnyOf, Hierarchy, Require, Scopes};
pub use token::{AuthInfo, VerifiedToken};
#[cfg(all(feature = "client", feature = "tower"))]
pub use tower::ServerMetadataService;
#[cfg(feature = "tower")]
pub use tower::{BearerAuth, BearerAuthLayer, GuardedBody, MetadataService};
pub use verifier::Verifier;

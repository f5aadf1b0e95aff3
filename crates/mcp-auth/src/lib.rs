//! Protects [MCP](https://modelcontextprotocol.io) servers with OAuth 2.1: finds the identity provider,
//! verifies tokens, refuses in the words that make clients log in or ask for more, and hands the
//! caller to your tools.
//!
//! ```
//! use mcp_auth::McpAuth;
//!
//! let auth = McpAuth::builder("https://api.example.com/mcp")
//!     .authorization_server("https://auth.example.com/oidc") // found by discovery, at first use
//!     .required_scopes(["read", "write"])
//!     .build()?; // a wrong set-up ends here; no network is touched
//! # Ok::<(), mcp_auth::ConfigError>(())
//! ```
//!
//! # Three nouns, one straight line
//!
//! [`Credentials`] have arrived, a [`VerifiedToken`] is true, an [`AuthInfo`] is admitted. A
//! [`Verifier`] leads from the first to the second, [`Policy::permit`] from the second to the third,
//! and [`McpAuth::admit`] is the whole way. Every refusal on it is a [`Denial`].
//!
//! # Doors
//!
//! With the feature `tower`, `McpAuth::bearer_auth` is a layer for any tower stack; with `axum`,
//! `McpAuth::protect` makes a router of your service, and [`AuthInfo`] is an extractor; with `rmcp` it
//! is an argument of `#[tool]` and `#[prompt]` functions, and `McpAuth::protect_mcp` takes rmcp's service.
//!
//! # Features
//!
//! | feature | adds |
//! |---|---|
//! | *(none)* | the rules, and [`McpAuth`] with a [`Verifier`] of your own; no tokio |
//! | `jwt` (default) | the verification of JWTs without I/O, in the module `jwt` |
//! | `client` (default) | discovery, keys kept fresh, and questions about opaque tokens: reqwest and tokio |
//! | `tower` (default) | the layer and the metadata service |
//! | `axum`, `rmcp` | one door each |
//! | `metrics` | counters and a gauge through the `metrics` facade |
//! | `ml-dsa` | ML-DSA signatures (RFC 9964) |
//!
//! The repository has a [guide](https://github.com/mcp-auth/rust/tree/main/docs/guide) with every
//! option, and the [architecture](https://github.com/mcp-auth/rust/blob/main/ARCHITECTURE.md) on one
//! page.
#![cfg_attr(
    not(all(feature = "axum", feature = "client", feature = "rmcp", feature = "tower")),
    allow(dead_code, unused_imports, reason = "some parts serve features that are off")
)]

// words: what we talk about (pure)
mod url;
mod blocks;
mod json;
mod moment;
mod scheme;
mod scope;
mod denial;
mod credentials;
mod binding;
mod issuer_template;
mod provider;
mod dialect;
mod token;
mod revocation;
mod operation;
// rules: decisions as functions of data (pure; `now` is an argument)
mod rule;
mod tool_scopes;
mod policy;
mod identity;
#[cfg(feature = "jwt")]
pub mod jwt;
pub mod metadata;
mod challenge;
mod lists;
#[cfg(feature = "jwt")]
mod dpop;
#[cfg(feature = "jwt")]
mod certificate;
// outside: waiting for others (async)
mod clock;
#[cfg(feature = "tower")]
mod seal;
#[cfg(not(feature = "tower"))]
#[path = "seal_disabled.rs"]
mod seal;
#[cfg(any(feature = "client", feature = "tower"))]
mod signal;
#[cfg(not(any(feature = "client", feature = "tower")))]
#[path = "signal_disabled.rs"]
mod signal;
mod revocations;
mod boxed;
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
mod memory;
#[cfg(feature = "client")]
mod introspection;
#[cfg(feature = "client")]
mod event_poll;
#[cfg(feature = "client")]
mod authorization_server;
#[cfg(not(feature = "client"))]
#[path = "authorization_server_named.rs"]
mod authorization_server;
#[cfg(feature = "client")]
mod issuer_resolver;
mod verifier;
#[cfg(feature = "jwt")]
mod api_keys;
#[cfg(not(feature = "jwt"))]
#[path = "api_keys_disabled.rs"]
mod api_keys;
mod body;
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

#[cfg(feature = "jwt")]
pub use api_keys::{ApiKey, ApiKeys, GeneratedKey};
pub use authorization_server::AuthorizationServer;
#[cfg(feature = "client")]
pub use authorization_server::{IssuerTemplate, OutOfReach};
pub use binding::Binding;
pub use body::GuardedBody;
pub use boxed::BoxFuture;
#[cfg(feature = "jwt")]
pub use certificate::{ClientCertHeader, ClientCertificate, PeerAddr};
pub use challenge::Challenge;
pub use clock::{Clock, ManualClock, SystemClock};
pub use credentials::{AccessToken, Credentials, MAX_TOKEN_BYTES};
pub use denial::{Authentication, BadMessage, BadProof, BadRequest, Denial, Reason, Refusal};
#[cfg(feature = "jwt")]
pub use dpop::Dpop;
#[cfg(feature = "client")]
pub use event_poll::EventPoll;
#[cfg(feature = "client")]
pub use fetch::HttpClient;
pub use fetch::{Fetch, FetchError, Limits};
pub use identity::{Actor, AuthorizationDetail, CallerKind};
#[cfg(feature = "client")]
pub use introspection::{Introspection, Secret};
pub use lists::Listed;
pub use mcp_auth::{ConfigError, McpAuth, McpAuthBuilder};
#[cfg(feature = "client")]
pub use mcp_auth::{IssuerReadiness, Readiness};
pub use operation::Operation;
pub use policy::Policy;
pub use provider::{Audience, Certainty, Document, Mark, Provider};
pub use revocation::Revocation;
pub use revocations::Revocations;
#[cfg(feature = "rmcp")]
pub use rmcp::{AuthContext, OptionalAuthInfo, requires};
pub use rule::{ClaimValues, Rule};
pub use scheme::Scheme;
pub use scope::{AnyOf, Hierarchy, Require, Scopes};
pub use token::{AuthInfo, Principal, VerifiedToken};
pub use tool_scopes::ToolScopes;
#[cfg(feature = "tower")]
pub use tower::{BearerAuth, BearerAuthLayer, MetadataService, ResponseBody};
#[cfg(all(feature = "client", feature = "tower"))]
pub use tower::{NoticeService, ServerMetadataService};
pub use verifier::Verifier;

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
//! [`Verifier`] leads from the first to the second, [`Policy::authorize`] from the second to the third,
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
//! | *(none)* | everything but the features below; documents are fetched by a [`Fetch`] of your own |
//! | `reqwest` (default) | `HttpClient`, which fetches metadata and keys without further setup |
//! | `tower` (default) | the layer and the metadata service |
//! | `axum` | `McpAuth::protect`, and [`AuthInfo`] as an extractor |
//! | `rmcp` | [`AuthInfo`] as an argument of tools and prompts; with `axum`, `McpAuth::protect_mcp` |
//!
//! The repository has a [guide](https://github.com/mcp-auth/rust/tree/main/docs/guide) with every
//! option, and the [architecture](https://github.com/mcp-auth/rust/blob/main/ARCHITECTURE.md) on one
//! page.
#![cfg_attr(
    not(all(feature = "axum", feature = "rmcp", feature = "tower")),
    allow(dead_code, unused_imports, reason = "some parts serve features that are off")
)]

/// Parsers and byte helpers that know nothing of OAuth.
mod util;
/// The types that everything else talks about.
mod model;
/// What may pass: operations, rules, authorization.
mod policy;
/// What is genuine: JWTs, DPoP proofs, client certificates.
mod verify;
/// Waiting for others: clock, fetch, refreshing caches. Everything above is pure: no async, no clock, no I/O.
mod net;
/// The issuers: keys, introspection, security events, verifiers.
mod issuer;
/// One protected resource: `McpAuth` and its builder.
mod resource;
/// In front of a server: tower, axum, rmcp.
mod integrations;

pub use issuer::api_keys::{ApiKey, ApiKeys, GeneratedKey};
pub use issuer::authorization_server::{AuthorizationServer, FetchIssuerError, IssuerTemplate};
pub use issuer::event_poll::EventPoll;
pub use issuer::introspection::{Introspection, Secret};
pub use issuer::revocations::Revocations;
pub use issuer::verifier::Verifier;
pub use model::auth_info::{AuthInfo, Principal};
pub use model::confirmation::Confirmation;
pub use model::credentials::{AccessToken, Credentials, MAX_TOKEN_BYTES};
pub use model::denial::{Authentication, Denial, DenialKind};
pub use model::error_codes::{BadMessage, BadProof, BadRequest, Reason};
pub use model::provider::{Audience, Evidence, MetadataKind, Provider, TokenMarker};
pub use model::require::{AnyOf, Hierarchy, Require};
pub use model::revocation::Revocation;
pub use model::scheme::Scheme;
pub use model::scope::Scopes;
pub use model::verified_token::VerifiedToken;
pub use net::box_future::BoxFuture;
pub use net::clock::{Clock, ManualClock, SystemClock};
#[cfg(feature = "reqwest")]
pub use net::fetch::HttpClient;
pub use net::fetch::{Fetch, FetchError, Limits};
pub use policy::authorization::Policy;
pub use policy::challenge::Challenge;
pub use policy::identity::{Actor, AuthorizationDetail, CallerKind};
pub use policy::list_filter::ListItemKind;
pub use policy::metadata;
pub use policy::operation::Operation;
pub use policy::rule::{ClaimValues, Rule};
pub use policy::tool_scopes::ToolScopes;
pub use resource::body::GuardedBody;
pub use resource::builder::McpAuthBuilder;
pub use resource::config_error::ConfigError;
pub use resource::mcp_auth::McpAuth;
pub use resource::readiness::{IssuerReadiness, Readiness};
pub use verify::dpop::Dpop;
pub use verify::introspection_response::introspected;
pub use verify::jwt;
pub use verify::mtls::{ClientCertHeader, ClientCertificate, PeerAddr};

#[cfg(feature = "rmcp")]
pub use integrations::rmcp::{AuthContext, OptionalAuthInfo, requires};
#[cfg(feature = "tower")]
pub use integrations::tower::{
    BearerAuth, BearerAuthLayer, MetadataService, ResponseBody, SecurityEventReceiver,
    ServerMetadataService,
};

/// The pages of the guide: `cargo test --doc` compiles their code.
#[cfg(all(doctest, feature = "axum", feature = "rmcp"))]
mod guide {
    #[doc = include_str!("../../../README.md")]
    mod readme {}
    #[doc = include_str!("../../../docs/guide/bearer-auth.md")]
    mod bearer_auth {}
    #[doc = include_str!("../../../docs/guide/zh-TW/bearer-auth.md")]
    mod bearer_auth_zh_tw {}
    #[doc = include_str!("../../../docs/guide/bound-tokens.md")]
    mod bound_tokens {}
    #[doc = include_str!("../../../docs/guide/keys.md")]
    mod keys {}
    #[doc = include_str!("../../../docs/guide/api-keys.md")]
    mod api_keys {}
    #[doc = include_str!("../../../docs/guide/callers.md")]
    mod callers {}
    #[doc = include_str!("../../../docs/guide/revocation.md")]
    mod revocation {}
    #[doc = include_str!("../../../docs/guide/from-mcp-auth.md")]
    mod from_mcp_auth {}
    #[doc = include_str!("../../../docs/guide/scopes-per-tool.md")]
    mod scopes_per_tool {}
    #[doc = include_str!("../../../docs/guide/opaque-tokens.md")]
    mod opaque_tokens {}
    #[doc = include_str!("../../../docs/guide/providers.md")]
    mod providers {}
}

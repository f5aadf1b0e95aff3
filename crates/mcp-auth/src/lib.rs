//! Protects [MCP](https://modelcontextprotocol.io) servers with OAuth 2.1. It discovers the authorization server,
//! verifies access tokens, answers with the challenges that MCP clients act on (log in, or request more scopes), and
//! passes the caller to your tools.
//!
//! ```
//! use mcp_auth::McpAuth;
//!
//! let auth = McpAuth::builder("https://api.example.com/mcp")
//!     .authorization_server("https://auth.example.com/oidc") // found by discovery, at first use
//!     .required_scopes(["read", "write"])
//!     .build()?; // fails on a configuration error; no network access
//! # Ok::<(), mcp_auth::ConfigError>(())
//! ```
//!
//! # Main types
//!
//! [`Credentials`] arrive with a request and are not verified. A [`Verifier`] turns them into a [`VerifiedToken`],
//! which is authentic. [`Policy::authorize`] turns that into an [`AuthInfo`], which is admitted. [`McpAuth::admit`]
//! does all of this. Every refusal on the way is a [`Denial`].
//!
//! # Integrations
//!
//! With the feature `tower`, `McpAuth::bearer_auth` is a layer for any tower stack. With `axum`, `McpAuth::protect`
//! makes a router from your service, and [`AuthInfo`] is an extractor. With `rmcp`, [`AuthInfo`] is an argument of
//! `#[tool]` and `#[prompt]` functions. With `axum` and `rmcp`, `McpAuth::protect_mcp` protects rmcp's service.
//!
//! # Features
//!
//! | feature | adds |
//! |---|---|
//! | *(none)* | everything except the features below; you implement [`Fetch`] to fetch documents |
//! | `reqwest` (default) | `HttpClient`, which fetches metadata and keys without further setup |
//! | `tower` (default) | the layer and the metadata service |
//! | `axum` | `McpAuth::protect`, and [`AuthInfo`] as an extractor |
//! | `rmcp` | [`AuthInfo`] as an argument of tools and prompts; with `axum`, `McpAuth::protect_mcp` |
//!
//! The [guide](https://github.com/mcp-auth/rust/tree/main/docs/guide) describes every option. The
//! [architecture](https://github.com/mcp-auth/rust/blob/main/ARCHITECTURE.md) page describes the code.
#![cfg_attr(docsrs, feature(doc_cfg))]
// Untrusted input must not make the library panic. Tests may.
#![cfg_attr(not(test), warn(clippy::indexing_slicing, clippy::string_slice))]
#![cfg_attr(
    not(all(feature = "axum", feature = "rmcp", feature = "tower")),
    allow(dead_code, unused_imports, reason = "some parts serve features that are off")
)]

/// OAuth-independent parsers and byte helpers.
mod util;
/// Shared data types: scopes, credentials, tokens, denials, providers.
mod model;
/// Authorization policy: operations, rules, challenges, published metadata.
mod policy;
/// Verification: JWTs, introspection responses, DPoP proofs, client certificates.
mod verify;
/// Clock, fetching, refreshing caches. Everything above is pure: no async, no clock, no I/O.
mod net;
/// Issuers: keys, introspection, security events, verifiers.
mod issuer;
/// One protected resource: `McpAuth` and its builder.
mod resource;
/// Integrations in front of a server: tower, axum, rmcp.
mod integrations;

pub use issuer::api_keys::{ApiKey, ApiKeys, GeneratedKey};
pub use issuer::authorization_server::{AuthorizationServer, FetchIssuerError, IssuerTemplate};
pub use issuer::event_poll::EventPoll;
pub use issuer::introspection::Introspection;
pub use issuer::revocations::{RevocationChanges, RevocationRecord, Revocations};
pub use issuer::token_exchange::{Downstream, ExchangedToken, ServiceToken, TokenExchange};
pub use issuer::verifier::Verifier;
pub use model::auth_info::{AuthInfo, Principal};
pub use model::confirmation::Confirmation;
pub use model::credentials::{AccessToken, Credentials, MAX_TOKEN_BYTES};
pub use model::denial::{Authentication, Denial, DenialKind};
pub use model::error_codes::{BadMessage, BadProof, BadRequest, Reason};
pub use model::provider::{Audience, Evidence, MetadataKind, Provider, TokenMarker};
pub use model::revocation::Revocation;
pub use model::scheme::Scheme;
pub use model::scope::Scopes;
pub use model::scope_requirement::{AnyOf, Hierarchy, Require};
pub use model::verified_token::VerifiedToken;
pub use net::box_future::BoxFuture;
pub use net::clock::{Clock, ManualClock, SystemClock};
#[cfg(feature = "reqwest")]
pub use net::fetch::HttpClient;
pub use net::fetch::{Fetch, FetchError, Limits, Secret};
pub use net::replay_store::ReplayStore;
pub use policy::authorization::Policy;
pub use policy::challenge::Challenge;
pub use policy::identity::{Actor, AuthorizationDetail, CallerKind};
pub use policy::list_filter::ListItemKind;
pub use policy::metadata;
pub use policy::operation::Operation;
pub use policy::rule::{ClaimValues, Rule};
pub use policy::tool_scopes::ToolScopes;
pub use resource::builder::McpAuthBuilder;
pub use resource::config_error::ConfigError;
pub use resource::guarded_body::GuardedBody;
pub use resource::mcp_auth::McpAuth;
pub use resource::readiness::{IssuerReadiness, Readiness};
pub use verify::dpop::{Dpop, ProofId};
pub use verify::introspection_response::introspected;
pub use verify::jwt;
pub use verify::mtls::{Cidr, ClientCertHeader, ClientCertificate, PeerAddr};

#[cfg(feature = "rmcp")]
pub use integrations::rmcp::{AuthContext, OptionalAuthInfo, requires};
#[cfg(feature = "tower")]
pub use integrations::tower::{
    BearerAuth, BearerAuthLayer, MetadataService, ResponseBody, SecurityEventReceiver,
    ServerMetadataService,
};

/// The pages of the guide. `cargo test --doc` compiles their code.
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
    #[doc = include_str!("../../../docs/guide/deployment.md")]
    mod deployment {}
    #[doc = include_str!("../../../docs/guide/token-exchange.md")]
    mod token_exchange {}
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

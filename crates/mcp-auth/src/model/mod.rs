//! Shared data types: scopes, credentials, tokens, denials, providers.

pub(crate) mod scheme;
pub(crate) mod scope;
pub(crate) mod scope_requirement;
pub(crate) mod resource_scopes;
pub(crate) mod resource_context;
pub(crate) mod error_codes;
pub(crate) mod confirmation;
pub(crate) mod issuer_pattern;
pub(crate) mod provider;
pub(crate) mod issuer_overrides;
pub(crate) mod verified_token;
pub(crate) mod scope_hint;
pub(crate) mod tool_call;
pub(crate) mod denial;
pub(crate) mod credentials;
pub(crate) mod auth_info;
pub(crate) mod session_owner;
pub(crate) mod revocation;

//! Token issuers: their keys, introspection and security events, and the verifiers built on them.

pub(crate) mod revocations;
pub(crate) mod internal_url;
pub(crate) mod cache_control;
pub(crate) mod issuer_keys;
pub(crate) mod token_cache;
pub(crate) mod introspection;
pub(crate) mod authorization_server;
pub(crate) mod token_exchange;
pub(crate) mod issuer_resolver;
pub(crate) mod verifier;
pub(crate) mod custom_verifier;
pub(crate) mod jwt_verifier;
pub(crate) mod token_verifier;
pub(crate) mod hmac_verifier;
pub(crate) mod api_keys;
pub(crate) mod event_poll;

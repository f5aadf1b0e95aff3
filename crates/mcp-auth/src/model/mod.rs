//! The types that everything else talks about: scopes, credentials, tokens, denials, providers.

pub(crate) mod scheme;
pub(crate) mod scope;
pub(crate) mod denial;
pub(crate) mod credentials;
pub(crate) mod confirmation;
pub(crate) mod issuer_pattern;
pub(crate) mod provider;
pub(crate) mod issuer_overrides;
pub(crate) mod token;
pub(crate) mod revocation;

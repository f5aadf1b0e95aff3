//! Responses of issuers about opaque tokens, validated like the claims of a JWT.

mod rfc7662;
mod rfc9701;
mod provider_api;

pub(crate) use provider_api::{is_unknown_token, validate_provider_response};
pub use rfc7662::introspected;
pub(crate) use rfc7662::validate_response;
pub(crate) use rfc9701::SignedResponse;

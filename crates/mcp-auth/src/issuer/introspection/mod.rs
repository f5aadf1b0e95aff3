//! Token introspection: asking issuers about their tokens ([RFC 7662](https://www.rfc-editor.org/rfc/rfc7662)).

mod form;
mod client_authentication;
mod settings;
mod request;
mod failure;
mod budgets;
mod endpoint;
mod introspector;

pub(crate) use client_authentication::ClientAuthentication;
pub(crate) use endpoint::IntrospectionEndpoint;
pub(crate) use failure::retry_after;
pub(crate) use form::Form;
pub(crate) use introspector::Introspector;
pub use settings::Introspection;

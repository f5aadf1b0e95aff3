//! Token exchange: tokens for other servers, in the name of a caller
//! ([RFC 8693](https://www.rfc-editor.org/rfc/rfc8693)).

mod token;
mod target;
mod settings;
mod response;
mod failure;
mod budgets;
mod endpoint;
mod exchanger;
mod downstream;
mod service_token;
mod builder;

pub use builder::TokenExchange;
pub use downstream::Downstream;
pub use service_token::ServiceToken;
pub(crate) use target::{Grant, Target};
pub use token::ExchangedToken;

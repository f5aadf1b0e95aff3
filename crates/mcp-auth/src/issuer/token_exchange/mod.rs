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
mod builder;

pub use builder::TokenExchange;
pub use downstream::Downstream;
pub(crate) use target::Target;
pub use token::ExchangedToken;

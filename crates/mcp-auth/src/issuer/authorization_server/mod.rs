//! Authorization servers that are trusted to issue tokens: their metadata and their keys.

mod error;
mod settings;
mod keys_file;
mod live;
mod server;
mod tenants;
mod named;
mod asked;

pub use error::OutOfReach;
pub(crate) use live::Footing;
pub use server::AuthorizationServer;
pub use tenants::IssuerTemplate;

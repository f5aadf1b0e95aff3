//! Authorization servers that are trusted to issue tokens: their metadata and their keys.

mod error;
mod settings;
mod metadata;
mod keys_file;
mod remote;
mod server;
mod requests;
mod tenants;
mod providers;
mod provider_apis;

pub use error::FetchIssuerError;
pub(crate) use remote::VerifiedBy;
pub use server::AuthorizationServer;
pub use tenants::IssuerTemplate;

//! Metadata of protected resources (RFC 9728) and of authorization servers (RFC 8414, OpenID Connect).

mod well_known;
mod resource;
mod server;
mod findings;

pub use findings::{Finding, Severity, validate};
pub use resource::ResourceMetadata;
pub use server::{MetadataDocument, ServerMetadata};
pub(crate) use well_known::{resource_metadata_url, server_metadata_urls};

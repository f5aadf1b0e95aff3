//! Identity providers by name, as data: what their issuers look like, and what they put into a token.

mod api;
mod row;
mod table;
mod lookup;

pub(crate) use api::{Api, ApiProtocol, Shape};
pub use row::{Audience, Evidence, MetadataKind, Provider, TokenMarker};

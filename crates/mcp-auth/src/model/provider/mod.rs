//! Identity providers as data: the form of their issuers, and the content of their tokens.

mod api;
mod row;
mod table;
mod lookup;

pub(crate) use api::{Api, ApiProtocol, Shape};
pub use row::{Audience, Evidence, MetadataKind, Provider, TokenMarker};

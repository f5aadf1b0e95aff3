//! Identity providers by name, as data: what their issuers look like, and what they put into a token.

mod api;
mod row;
mod table;
mod lookup;

pub(crate) use api::{Api, Shape, Words};
pub use row::{Audience, Certainty, Document, Mark, Provider};

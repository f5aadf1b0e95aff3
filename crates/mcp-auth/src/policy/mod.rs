//! Authorization policy: operations, rules, challenges, and published metadata.

pub(crate) mod operation;
pub(crate) mod rule;
pub(crate) mod tool_scopes;
pub(crate) mod validity;
pub(crate) mod audience;
pub(crate) mod authorization;
pub(crate) mod identity;
pub mod metadata;
pub(crate) mod challenge;
pub(crate) mod list_filter;

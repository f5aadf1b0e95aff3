//! Integrations with servers: tower, axum and rmcp.

#[cfg(feature = "tower")]
pub(crate) mod tower;
#[cfg(feature = "axum")]
pub(crate) mod axum;
#[cfg(feature = "rmcp")]
pub(crate) mod rmcp;
#[cfg(not(all(feature = "axum", feature = "rmcp")))]
mod missing_features;

//! The library in front of a server: tower, axum and rmcp.

#[cfg(feature = "tower")]
pub(crate) mod tower;
#[cfg(feature = "axum")]
pub(crate) mod axum;
#[cfg(feature = "rmcp")]
pub(crate) mod rmcp;

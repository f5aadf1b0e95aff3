//! axum integration: routers, and the caller as an extractor.

mod connection_info;
mod extractors;
mod unknown_paths;
mod routes;
#[cfg(feature = "rmcp")]
mod allowed_hosts;
#[cfg(feature = "rmcp")]
mod mcp_service;

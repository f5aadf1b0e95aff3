//! Why a gateway does not start.

use std::net::SocketAddr;

/// Why a gateway does not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] mcp_auth_config::Error),
    /// A resource is wrong in a way that only the gateway knows.
    #[error("resource {resource:?}: {message}")]
    Resource {
        /// The URL of the resource.
        resource: String,
        /// What is wrong.
        message: String,
    },
    /// The key for `identity = "jwt"` cannot be used.
    #[error("signing_key: {0}")]
    SigningKey(String),
    /// Redis cannot be used as it is described.
    #[error("redis: {0}")]
    Redis(String),
    /// The certificate cannot be used.
    #[error("tls: {0}")]
    Tls(String),
    /// Spans cannot be exported.
    #[error("traces: {0}")]
    Traces(String),
    /// The audit log cannot be written.
    #[error("audit: {file} cannot be opened: {error}")]
    Audit {
        /// Its file.
        file: String,
        /// Why.
        error: std::io::Error,
    },
    /// The gateway cannot listen at an address.
    #[error("cannot listen at {address}: {error}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        error: std::io::Error,
    },
}

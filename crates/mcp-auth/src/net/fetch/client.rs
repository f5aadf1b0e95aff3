//! `Fetch`: the trait for one HTTP exchange, and its limits.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};

use crate::net::box_future::BoxFuture;
use crate::net::fetch::error::FetchError;

/// Performs one HTTP exchange: sends the request and reads the whole response.
///
/// The security of the caller depends on three rules that an implementation must follow:
///
/// - It does not follow redirects. A 3xx response is returned unchanged.
/// - It gives up after [`Limits::timeout`].
/// - It reads at most [`Limits::max_bytes`] of the body, and returns [`FetchError::TooLarge`] if there is more.
///
/// [`HttpClient`](crate::HttpClient) is used unless another implementation is given to
/// [`AuthorizationServer::fetch`](crate::AuthorizationServer::fetch).
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot fetch documents",
    label = "not a `Fetch`",
    note = "use `mcp_auth::HttpClient`, or implement `mcp_auth::Fetch` for your HTTP client"
)]
pub trait Fetch: Send + Sync + 'static {
    /// Sends `request` and returns the response with its whole body.
    ///
    /// # Errors
    ///
    /// A [`FetchError`] if no response is received within `limits`. A response with an error status is not a
    /// [`FetchError`].
    fn fetch(
        &self,
        request: Request<Bytes>,
        limits: Limits,
    ) -> BoxFuture<'_, Result<Response<Bytes>, FetchError>>;

    /// What is wrong with the settings of this client, and what to change. `None`, which is the default, if nothing is.
    ///
    /// [`build`](crate::McpAuthBuilder::build) calls it, and reports the sentence as a
    /// [`ConfigError::HttpClient`](crate::ConfigError::HttpClient). It must not access the network or a file. A client
    /// that wraps another one passes the call on.
    fn config_error(&self) -> Option<&'static str> {
        None
    }
}

/// How long an exchange may take, and how much of the response is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Maximum time until the last byte is received, including the time to connect.
    pub timeout: Duration,
    /// Maximum length of the body, in bytes.
    pub max_bytes: usize,
}

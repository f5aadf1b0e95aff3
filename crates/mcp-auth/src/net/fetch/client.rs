//! `Fetch`: one HTTP exchange, and the limits around it.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};

use crate::net::box_future::BoxFuture;
use crate::net::fetch::error::FetchError;

/// Performs one HTTP exchange: sends the request and reads the whole answer.
///
/// An implementation keeps three promises that the caller's safety rests on. It follows no
/// redirects: an answer of 3xx is returned as it is. It gives up after [`Limits::timeout`]. It reads
/// at most [`Limits::max_bytes`] of the body and answers [`FetchError::TooLarge`] beyond.
///
/// [`HttpClient`](crate::HttpClient) is the one in use unless another is given to
/// [`AuthorizationServer::fetch`](crate::AuthorizationServer::fetch).
pub trait Fetch: Send + Sync + 'static {
    /// Sends `request` and returns the answer with its whole body.
    ///
    /// # Errors
    ///
    /// A [`FetchError`] if no answer came, or not within `limits`. An answer with an error status is
    /// an answer.
    fn fetch(
        &self,
        request: Request<Bytes>,
        limits: Limits,
    ) -> BoxFuture<'_, Result<Response<Bytes>, FetchError>>;
}

/// How long an exchange may take, and how much of the answer is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// From the first byte sent to the last byte received, connecting included.
    pub timeout: Duration,
    /// The longest body that is accepted, in bytes.
    pub max_bytes: usize,
}

//! One HTTP exchange with an authorization server, and the limits around it.

mod document;
mod file;
mod http_client;

use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};

use crate::net::box_future::BoxFuture;

pub(crate) use document::{get_document, only_ok, post};
pub(crate) use file::read_file;
pub use http_client::HttpClient;

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

/// Why an exchange gave no usable answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// A file cannot be read.
    #[error("the file `{path}` cannot be read")]
    File {
        /// The file.
        path: String,
        /// What the system says.
        source: std::io::Error,
    },
    /// The URL is neither `https` nor `http` to this machine.
    #[error("`{0}` is not fetched: https is required, except for a loopback address")]
    Insecure(String),
    /// The body is not the JSON that was expected.
    #[error("`{url}` did not answer with the expected document: {why}")]
    Nonsense {
        /// Where it came from.
        url: String,
        /// What is wrong with it.
        why: String,
    },
    /// The answer has a status other than 200. Redirects are not followed.
    #[error("`{url}` answered HTTP status {status}")]
    Status {
        /// Where it came from.
        url: String,
        /// The status.
        status: u16,
    },
    /// No complete answer within the time limit.
    #[error("no complete answer within {0:?}")]
    Timeout(Duration),
    /// The body is longer than the size limit.
    #[error("the answer is longer than {0} bytes")]
    TooLarge(usize),
    /// The connection failed once it was there: nobody knows what of the request has arrived.
    #[error("the connection failed")]
    Transport(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// There is no connection: name resolution, TCP or TLS failed. Nothing was sent, and so it is not for what
    /// was to be sent. A [`Fetch`] that cannot tell says [`Transport`](Self::Transport).
    #[error("no connection can be made")]
    Unreachable(#[source] Box<dyn std::error::Error + Send + Sync>),
}

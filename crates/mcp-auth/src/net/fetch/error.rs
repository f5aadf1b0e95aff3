//! Why an HTTP exchange gave no usable response.

use std::sync::Arc;
use std::time::Duration;

use crate::util::shown;

/// Why an HTTP exchange gave no usable response.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// A file cannot be read.
    #[error("the file `{path}` cannot be read")]
    File {
        /// The file.
        path: String,
        /// The error of the operating system.
        source: std::io::Error,
    },
    /// The URL is neither `https` nor `http` with a loopback host.
    #[error("`{}` is not fetched: https is required, except for a loopback address", shown::url(.0))]
    Insecure(String),
    /// There is no HTTP client: the feature `reqwest` is off, and no [`Fetch`](crate::Fetch) is set.
    #[error("there is no HTTP client: enable the feature `reqwest`, or give one with `.fetch(..)`")]
    NoClient,
    /// The body is not the JSON that was expected.
    #[error(
        "`{}` did not answer with the expected document: {}",
        shown::url(url),
        shown::sentence(why)
    )]
    InvalidDocument {
        /// The URL of the request.
        url: String,
        /// What is wrong with it.
        why: String,
    },
    /// The response has a status other than 200. Redirects are not followed.
    #[error("`{}` answered HTTP status {status}", shown::url(url))]
    Status {
        /// The URL of the request.
        url: String,
        /// The status.
        status: u16,
    },
    /// No complete response was received within the time limit.
    #[error("no complete answer within {0:?}")]
    Timeout(Duration),
    /// The body is longer than the size limit.
    #[error("the answer is longer than {0} bytes")]
    TooLarge(usize),
    /// The connection failed after it was established. It is unknown how much of the request has arrived.
    #[error("the connection failed")]
    Transport(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// No connection can be made: name resolution, TCP or TLS failed. Nothing was sent, so the request is not the
    /// cause. A [`Fetch`](crate::Fetch) that cannot distinguish this returns [`Transport`](Self::Transport).
    #[error("no connection can be made")]
    Unreachable(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// An error that is shared by several requests that waited for the same fetch.
#[derive(Clone, Debug, thiserror::Error)]
#[error(transparent)]
pub(crate) struct SharedFetchError(#[from] pub(crate) Arc<FetchError>);

//! Why an exchange gave no usable response.

use std::sync::Arc;
use std::time::Duration;

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
    /// There is no HTTP client: the feature `reqwest` is off, and no [`Fetch`](crate::Fetch) is set.
    #[error("there is no HTTP client: enable the feature `reqwest`, or give one with `.fetch(..)`")]
    NoClient,
    /// The body is not the JSON that was expected.
    #[error("`{url}` did not answer with the expected document: {why}")]
    InvalidDocument {
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

/// An error that several requests have in common: those that waited for one fetch.
#[derive(Clone, Debug, thiserror::Error)]
#[error(transparent)]
pub(crate) struct SharedFetchError(#[from] pub(crate) Arc<FetchError>);

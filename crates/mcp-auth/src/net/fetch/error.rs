//! Why an HTTP exchange gave no usable response.

use std::sync::Arc;
use std::time::Duration;

use crate::util::{shown, url};

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
    /// The URL is neither `https` nor `http` with a loopback host, or not an absolute URL.
    #[error("`{}` is not fetched: {}", shown::url(.0), url::problem(.0, &[]).unwrap_or("it is not a URL"))]
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
    /// The HTTP client panicked.
    #[error("the HTTP client panicked; the process has printed why")]
    Panicked,
    /// The secret for the request is not available.
    #[error("there is no secret to authenticate with")]
    Secret(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The response has a status other than 200. Redirects are not followed.
    #[error("`{}` answered HTTP status {status}{}", shown::url(url), about_status(*status))]
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

/// What a status means that surprises.
fn about_status(status: u16) -> &'static str {
    match status {
        300..=399 => {
            ", a redirect, which is not followed: it would let another server choose the answer; use the URL that it leads to, if that is right"
        }
        406 => ", which means that it has the document in other media types only",
        _ => "",
    }
}

/// An error that is shared by several requests that waited for the same fetch.
#[derive(Clone, Debug, thiserror::Error)]
#[error(transparent)]
pub(crate) struct SharedFetchError(#[from] pub(crate) Arc<FetchError>);

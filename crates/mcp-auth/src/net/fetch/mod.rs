//! HTTP exchanges with authorization servers, and the limits around them.

mod error;
mod client;
mod secret;
mod request;
mod file;
#[cfg(feature = "reqwest")]
mod http_client;

use std::sync::Arc;

pub use client::{Fetch, Limits};
pub use error::FetchError;
pub(crate) use error::SharedFetchError;
pub(crate) use file::read_file;
#[cfg(feature = "reqwest")]
use http_client::DEFAULT_CLIENT;
#[cfg(feature = "reqwest")]
pub use http_client::HttpClient;
pub(crate) use request::{Outbound, only_ok};
pub use secret::Secret;
pub(crate) use secret::sensitive_header;
// Without the feature `reqwest`, the constant `DEFAULT_CLIENT` is `None`.
#[cfg(not(feature = "reqwest"))]
use std::option::Option::None as DEFAULT_CLIENT;

/// The client that is used unless another one is set. Returns `None` without the feature `reqwest`.
pub(crate) fn default_client() -> Option<Arc<dyn Fetch>> {
    DEFAULT_CLIENT.map(|new: fn() -> Arc<dyn Fetch>| new())
}

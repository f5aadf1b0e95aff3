//! Metadata or keys of an issuer are unavailable.

use std::sync::Arc;

use crate::net::fetch::FetchError;
use crate::net::refreshing_cache::Lacking;

/// Metadata or keys could not be had.
#[derive(Clone, Debug, thiserror::Error)]
#[error("metadata or keys of the issuer {issuer:?} are out of reach")]
pub struct OutOfReach {
    issuer: Arc<str>,
    #[source]
    why: Option<Arc<FetchError>>,
}

impl OutOfReach {
    pub(crate) fn of(issuer: &str, lacking: Lacking) -> Self {
        let why = match lacking {
            Lacking::OutOfReach { why, .. } => why,
            Lacking::TooSoon => None,
        };
        Self { issuer: issuer.into(), why }
    }
}

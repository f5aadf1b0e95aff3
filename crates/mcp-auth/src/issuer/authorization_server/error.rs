//! The error for metadata or keys of an issuer that cannot be fetched.

use std::sync::Arc;

use crate::net::fetch::FetchError;
use crate::net::refresh::RefreshError;

/// Metadata or keys of an issuer could not be fetched.
#[derive(Clone, Debug, thiserror::Error)]
#[error("metadata or keys of the issuer {issuer:?} are out of reach")]
pub struct FetchIssuerError {
    issuer: Arc<str>,
    #[source]
    why: Option<Arc<FetchError>>,
}

impl FetchIssuerError {
    /// The issuer, or [`ApiKeys::ISSUER`](crate::ApiKeys::ISSUER) for the file of API keys.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    pub(crate) fn of(issuer: &str, error: RefreshError) -> Self {
        Self { issuer: issuer.into(), why: error.cause() }
    }
}

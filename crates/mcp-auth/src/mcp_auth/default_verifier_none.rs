//! Without the feature `client` there are no keys, and so a verifier must be given.

use std::sync::Arc;
use std::time::Duration;

use super::ConfigError;
use crate::authorization_server::AuthorizationServer;
use crate::clock::Clock;
use crate::verifier::Verifier;

pub(super) fn new(
    _: &[AuthorizationServer],
    _: &Arc<dyn Clock>,
    _: Duration,
    _: usize,
) -> Result<Box<dyn Verifier>, ConfigError> {
    Err(ConfigError::NoVerifier)
}

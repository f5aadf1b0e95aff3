//! Without the feature `client` there are no keys, and so a verifier must be given.

use std::sync::Arc;
use std::time::Duration;

use super::ConfigError;
use crate::authorization_server::AuthorizationServer;
use crate::clock::Clock;
use crate::issuer_template::Family;
use crate::verifier::Verifier;

/// There is nobody to ask either.
pub(super) enum Resolver {}

impl Resolver {
    pub(super) fn family(&self) -> Result<Family, ConfigError> {
        match *self {}
    }
}

pub(super) fn new(
    _: &[AuthorizationServer],
    _: Vec<Resolver>,
    _: &Arc<dyn Clock>,
    _: Duration,
    _: usize,
) -> Result<Box<dyn Verifier>, ConfigError> {
    Err(ConfigError::NoVerifier)
}

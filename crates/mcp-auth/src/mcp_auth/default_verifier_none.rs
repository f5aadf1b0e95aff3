//! Without the feature `client` there are no keys, and so a verifier must be given.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::ConfigError;
use crate::authorization_server::AuthorizationServer;
use crate::clock::Clock;
use crate::denial::Denial;
use crate::token::VerifiedToken;

/// There is none.
pub(super) enum DefaultVerifier {}

impl DefaultVerifier {
    pub(super) async fn verify(&self, _: &str) -> Result<(VerifiedToken, SystemTime), Denial> {
        match *self {}
    }
}

/// Nobody can be asked.
pub(super) enum Introspection {}

pub(super) fn introspecting(
    servers: Vec<AuthorizationServer>,
    _: Option<Introspection>,
) -> Result<Vec<AuthorizationServer>, ConfigError> {
    Ok(servers)
}

pub(super) fn new(
    _: &[AuthorizationServer],
    _: &Arc<dyn Clock>,
    _: Duration,
    _: usize,
) -> Result<DefaultVerifier, ConfigError> {
    Err(ConfigError::NoVerifier)
}

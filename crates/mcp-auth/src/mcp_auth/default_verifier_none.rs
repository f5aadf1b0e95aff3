//! Without the feature `client` there are no keys, and so a verifier must be given.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::{ConfigError, Judge};
use crate::authorization_server::AuthorizationServer;
use crate::boxed::BoxFuture;
use crate::clock::Clock;
use crate::credentials::Credentials;
use crate::denial::Denial;
use crate::issuer_template::Family;
use crate::token::VerifiedToken;
use crate::verifier::Verifier;

/// There is nobody to ask either.
#[derive(Clone)]
pub(super) enum Resolver {}

pub(super) type Resolvers = Vec<Resolver>;

pub(super) fn resolvers(none: Vec<Resolver>, _: &Arc<dyn Clock>) -> Result<Resolvers, ConfigError> {
    Ok(none)
}

impl Resolver {
    pub(super) fn family(&self) -> Result<Family, ConfigError> {
        match *self {}
    }
}

/// There is none.
pub(super) enum DefaultVerifier {}

impl DefaultVerifier {
    pub(super) async fn recall_or_verify(
        &self,
        _: &Credentials,
    ) -> Result<(VerifiedToken, SystemTime), Denial> {
        match *self {}
    }
}

impl Verifier for DefaultVerifier {
    fn verify<'a>(&'a self, _: &'a Credentials) -> BoxFuture<'a, Result<VerifiedToken, Denial>> {
        match *self {}
    }
}

/// Nobody can be asked.
pub(super) enum Introspection {}

pub(super) fn are_idle(_: &[AuthorizationServer]) -> Result<(), ConfigError> {
    Ok(())
}

pub(super) fn introspecting(
    servers: Vec<AuthorizationServer>,
    _: Option<Introspection>,
) -> Result<Vec<AuthorizationServer>, ConfigError> {
    Ok(servers)
}

pub(super) fn new(
    _: &[AuthorizationServer],
    _: Resolvers,
    _: &Arc<dyn Clock>,
    _: Duration,
    _: usize,
) -> Result<Judge, ConfigError> {
    Err(ConfigError::NoVerifier)
}

//! With the feature `client`, tokens are JWTs unless a verifier is given.

use std::sync::Arc;
use std::time::Duration;

use super::{ConfigError, Judge};
use crate::authorization_server::AuthorizationServer;
use crate::clock::Clock;
use crate::url;
use crate::verifier::SecretVerifier;

pub(super) use crate::verifier::JwtVerifier as DefaultVerifier;

pub(super) fn new(
    servers: &[AuthorizationServer],
    clock: &Arc<dyn Clock>,
    leeway: Duration,
    cached_tokens: usize,
) -> Result<Judge, ConfigError> {
    for server in servers.iter().filter(|server| server.has_distant_keys()) {
        match server.first_url() {
            None => return Err(ConfigError::NoKeys(server.issuer().to_owned())),
            Some(url) if !url::is_secure(&url) => return Err(ConfigError::Url(url)),
            Some(_) => {}
        }
    }
    let by_key = DefaultVerifier::new(servers.to_vec(), clock.clone(), leeway, cached_tokens);
    let with_secret = servers.iter().filter(|server| server.secret().is_some());
    let is_weak = |server: &&AuthorizationServer| {
        server.secret().is_some_and(|secret| !secret.is_long_enough())
    };
    if let Some(weak) = with_secret.clone().find(is_weak) {
        return Err(ConfigError::Secret(weak.issuer().to_owned()));
    }
    Ok(match with_secret.cloned().collect::<Vec<_>>() {
        none if none.is_empty() => Judge::OfJwts(by_key),
        some => Judge::Other(Box::new(SecretVerifier::new(some, by_key))),
    })
}

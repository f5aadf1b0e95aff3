//! With the feature `client`, tokens are JWTs unless a verifier is given.

use std::sync::Arc;
use std::time::Duration;

use super::ConfigError;
use crate::authorization_server::AuthorizationServer;
use crate::clock::Clock;
use crate::url;

pub(super) use crate::verifier::JwtVerifier as DefaultVerifier;

pub(super) fn new(
    servers: &[AuthorizationServer],
    clock: &Arc<dyn Clock>,
    leeway: Duration,
    cached_tokens: usize,
) -> Result<DefaultVerifier, ConfigError> {
    for server in servers {
        match server.first_url() {
            None => return Err(ConfigError::NoKeys(server.issuer().to_owned())),
            Some(url) if !url::is_secure(&url) => return Err(ConfigError::Url(url)),
            Some(_) => {}
        }
    }
    Ok(DefaultVerifier::new(servers.to_vec(), clock.clone(), leeway, cached_tokens))
}

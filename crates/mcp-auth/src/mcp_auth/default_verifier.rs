//! With the feature `client`, tokens are JWTs, or opaque and asked about, unless a verifier is given.

use std::sync::Arc;
use std::time::Duration;

use super::{ConfigError, Judge};
use crate::authorization_server::AuthorizationServer;
use crate::clock::Clock;
use crate::url;
use crate::verifier::{JwtVerifier, SecretVerifier};

pub(super) use crate::introspection::Introspection;
pub(super) use crate::verifier::TokenVerifier as DefaultVerifier;

pub(super) fn new(
    servers: &[AuthorizationServer],
    clock: &Arc<dyn Clock>,
    leeway: Duration,
    cached_tokens: usize,
) -> Result<Judge, ConfigError> {
    for server in servers {
        let introspects = server.introspects();
        if let Some(why) = introspects.and_then(Introspection::mistake) {
            return Err(ConfigError::Introspection { issuer: server.issuer().to_owned(), why });
        }
        if !server.has_distant_keys() {
            continue;
        }
        match server.first_url() {
            None if introspects.is_some_and(Introspection::has_endpoint) => {}
            None => return Err(ConfigError::NoKeys(server.issuer().to_owned())),
            Some(url) if !url::is_secure(&url) => return Err(ConfigError::Url(url)),
            Some(_) => {}
        }
    }
    let with_secret = servers.iter().filter(|server| server.secret().is_some());
    let is_weak = |server: &&AuthorizationServer| {
        server.secret().is_some_and(|secret| !secret.is_long_enough())
    };
    if let Some(weak) = with_secret.clone().find(is_weak) {
        return Err(ConfigError::Secret(weak.issuer().to_owned()));
    }
    let with_keys = servers.iter().filter(|server| server.has_keys()).cloned().collect();
    let jwts = JwtVerifier::new(with_keys, leeway, cached_tokens);
    let others = DefaultVerifier::new(jwts, servers, clock.clone());
    Ok(match with_secret.cloned().collect::<Vec<_>>() {
        none if none.is_empty() => Judge::OfTokens(others),
        some => Judge::Other(Box::new(SecretVerifier::new(some, others))),
    })
}

/// Has the one server asked that there is.
pub(super) fn introspecting(
    servers: Vec<AuthorizationServer>,
    introspection: Option<Introspection>,
) -> Result<Vec<AuthorizationServer>, ConfigError> {
    let Some(introspection) = introspection else { return Ok(servers) };
    match <[AuthorizationServer; 1]>::try_from(servers) {
        Ok([server]) => Ok(vec![server.introspection(introspection)]),
        Err(servers) => {
            let issuer = servers.first().map_or("", AuthorizationServer::issuer).to_owned();
            let why = "there are several servers, and a secret is for one: say `.introspection(..)` of the one it is for";
            Err(ConfigError::Introspection { issuer, why })
        }
    }
}

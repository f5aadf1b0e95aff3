//! The default verifier of a resource: JWTs are verified, opaque tokens are introspected.

use std::sync::Arc;
use std::time::Duration;

use crate::issuer::authorization_server::AuthorizationServer;
use crate::issuer::hmac_verifier::HmacVerifier;
use crate::issuer::jwt_verifier::JwtVerifier;
use crate::issuer::verifier::Verifier;
use crate::net::clock::Clock;
use crate::resource::config_error::ConfigError;
use crate::resource::issuer_resolvers::Resolvers;

/// What verifies the tokens of a resource.
pub(super) enum VerifierKind {
    /// Called directly, without a boxed future, because most requests carry a cached token.
    Default(DefaultVerifier),
    Boxed(Box<dyn Verifier>),
}

impl VerifierKind {
    pub(super) fn boxed(self) -> Box<dyn Verifier> {
        match self {
            Self::Default(verifier) => Box::new(verifier),
            Self::Boxed(verifier) => verifier,
        }
    }
}

pub(super) use crate::issuer::introspection::Introspection;
pub(super) use crate::issuer::token_verifier::TokenVerifier as DefaultVerifier;

pub(super) fn new(
    servers: &[AuthorizationServer],
    resolvers: Resolvers,
    clock: &Arc<dyn Clock>,
    leeway: Duration,
    cached_tokens: usize,
) -> Result<VerifierKind, ConfigError> {
    for server in servers {
        let introspects = server.introspects();
        let config_error = match (introspects, server.hmac_key()) {
            (Some(introspection), Some(_)) if introspection.introspects_jwts() => Some(
                "its tokens are signed with a secret, and it is not asked about those: leave `.introspect_jwts()` out",
            ),
            (Some(introspection), Some(_)) if introspection.subject_is_username() => Some(
                "its tokens are signed with a secret, and say `sub`: leave `.dangerous_subject_is_username()` out",
            ),
            _ => server.introspection_error(),
        };
        if let Some(why) = config_error {
            return Err(ConfigError::Introspection { issuer: server.issuer().to_owned(), why });
        }
        let cannot_fetch = || ConfigError::NoFetch(server.issuer().to_owned());
        if introspects.is_some() && !server.can_fetch() {
            return Err(cannot_fetch());
        }
        if !server.has_remote_keys() {
            continue;
        }
        match server.first_url() {
            None if introspects.is_some_and(|it| it.configured_endpoint().is_some()) => {}
            // Clients log in there. The tokens come from issuers that a resolver knows.
            None if !resolvers.is_empty() => {}
            None => return Err(ConfigError::NoKeys(server.issuer().to_owned())),
            Some(url) if !server.may_fetch(&url) => return Err(ConfigError::Url(url)),
            Some(_) if !server.can_fetch() => return Err(cannot_fetch()),
            Some(_) => {}
        }
    }
    let with_secret = servers.iter().filter(|server| server.hmac_key().is_some());
    let is_weak = |server: &&AuthorizationServer| {
        server.hmac_key().is_some_and(|secret| !secret.is_long_enough())
    };
    if let Some(weak) = with_secret.clone().find(is_weak) {
        return Err(ConfigError::Secret(weak.issuer().to_owned()));
    }
    // If the subject is the `username`, only the introspection response contains it.
    let is_by_name = |server: &AuthorizationServer| {
        server.introspects().is_some_and(Introspection::subject_is_username)
    };
    let with_keys = servers.iter().filter(|server| server.has_keys() && !is_by_name(server));
    let with_keys = with_keys.cloned().collect();
    let jwts = JwtVerifier::new(with_keys, resolvers, leeway, cached_tokens);
    let others = DefaultVerifier::new(jwts, servers, clock.clone());
    let others = others.ok_or(ConfigError::NoRandomness)?;
    Ok(match with_secret.cloned().collect::<Vec<_>>() {
        none if none.is_empty() => VerifierKind::Default(others),
        some => VerifierKind::Boxed(Box::new(HmacVerifier::new(some, others))),
    })
}

/// Fails if introspection is configured for one of the servers, because a custom verifier would leave it
/// without effect.
pub(super) fn check_no_introspection(servers: &[AuthorizationServer]) -> Result<(), ConfigError> {
    match servers.iter().find(|server| server.introspects().is_some()) {
        Some(server) => {
            let issuer = server.issuer().to_owned();
            let why = "its tokens are verified by `.verifier(..)`, so introspection would never be used: leave one of the two out";
            Err(ConfigError::Introspection { issuer, why })
        }
        None => Ok(()),
    }
}

/// Adds the introspection settings to the only server. Fails unless there is exactly one.
pub(super) fn with_introspection(
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

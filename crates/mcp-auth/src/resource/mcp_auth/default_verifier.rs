//! With the feature `client`, tokens are JWTs, or opaque and asked about, unless a verifier is given.

use std::error::Error;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use super::{ConfigError, Judge, McpAuthBuilder};
use crate::issuer::authorization_server::AuthorizationServer;
use crate::issuer::resolver::{Ask, IssuerResolver};
use crate::issuer::verifier::{JwtVerifier, SecretVerifier};
use crate::model::issuer_pattern::{Family, Template};
use crate::net::clock::Clock;
use crate::util::url;

pub(super) use crate::issuer::introspection::Introspection;
pub(super) use crate::issuer::verifier::TokenVerifier as DefaultVerifier;

/// The issuers of a form, and whom to ask for them.
pub(super) struct Resolver {
    form: String,
    ask: Ask,
}

impl McpAuthBuilder {
    /// Trusts issuers that are known only at run time, such as those of new customers. `form` is the
    /// issuer with a placeholder for the tenant, `https://{tenant}.auth.example.com`; for a token of such an issuer
    /// `resolve` is asked, and its answer is kept: for 5 minutes, or a minute if it is `None`.
    ///
    /// A tenant is letters, digits, `-`, `_` and `.`. Nothing is fetched of an issuer that is refused, and one
    /// question at a time is asked for each. A question that fails or takes longer than 5 seconds is an
    /// outage: the client gets 503, and keeps its token. Return a clone of an
    /// [`AuthorizationServer`] that you keep, since keys belong to it. One with
    /// [`introspection`](AuthorizationServer::introspection) is asked about JWTs only, and so must say
    /// [`also_jwts`](crate::Introspection::also_jwts): an opaque token names no issuer.
    ///
    /// ```
    /// use std::collections::HashMap;
    /// use mcp_auth::{AuthorizationServer, McpAuth};
    ///
    /// let customers: HashMap<String, AuthorizationServer> = HashMap::new(); // or a database
    /// let auth = McpAuth::builder("https://api.example.com/mcp")
    ///     .authorization_server(AuthorizationServer::named("https://login.example.com")) // where clients log in
    ///     .issuer_resolver("https://{tenant}.auth.example.com", move |issuer| {
    ///         let server = customers.get(&issuer).cloned();
    ///         async { Ok(server) }
    ///     })
    ///     .build()?;
    /// # Ok::<(), mcp_auth::ConfigError>(())
    /// ```
    pub fn issuer_resolver<F>(
        mut self,
        form: impl Into<String>,
        resolve: impl Fn(String) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<Option<AuthorizationServer>, Box<dyn Error + Send + Sync>>>
            + Send
            + 'static,
    {
        let ask: Ask = Arc::new(move |issuer| Box::pin(resolve(issuer)));
        self.resolvers.push(Resolver { form: form.into(), ask });
        self
    }
}

impl Resolver {
    /// The issuers that are asked for.
    pub(super) fn family(&self) -> Result<Family, ConfigError> {
        let template = Template::parse(&self.form).filter(Template::has_placeholder);
        let template = template.filter(|template| url::is_secure(&template.issuer_of("tenant")));
        let template = template.ok_or_else(|| ConfigError::Issuer(self.form.clone()))?;
        Ok(Family { template, tenants: None })
    }
}

/// Resolvers, for tokens and for notices.
pub(super) type Resolvers = Arc<[IssuerResolver]>;

pub(super) fn resolvers(
    described: Vec<Resolver>,
    clock: &Arc<dyn Clock>,
) -> Result<Resolvers, ConfigError> {
    let resolvers = described
        .into_iter()
        .map(|resolver| Ok(IssuerResolver::new(resolver.family()?, resolver.ask, clock.clone())));
    resolvers.collect()
}

pub(super) fn new(
    servers: &[AuthorizationServer],
    resolvers: Resolvers,
    clock: &Arc<dyn Clock>,
    leeway: Duration,
    cached_tokens: usize,
) -> Result<Judge, ConfigError> {
    for server in servers {
        let introspects = server.introspects();
        let mistake = match (introspects, server.secret()) {
            (Some(asking), Some(_)) if asking.asks_about_jwts() => Some(
                "its tokens are signed with a secret, and it is not asked about those: leave `.also_jwts()` out",
            ),
            (Some(asking), Some(_)) if asking.subject_is_username() => Some(
                "its tokens are signed with a secret, and say `sub`: leave `.dangerous_subject_is_username()` out",
            ),
            _ => introspects.and_then(Introspection::mistake),
        };
        if let Some(why) = mistake {
            return Err(ConfigError::Introspection { issuer: server.issuer().to_owned(), why });
        }
        if !server.has_distant_keys() {
            continue;
        }
        match server.first_url() {
            None if introspects.is_some_and(|it| it.given_endpoint().is_some()) => {}
            // Clients log in there, and the resolver knows who issues their tokens.
            None if !resolvers.is_empty() => {}
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
    // Where the subject is the `username`, only an answer says it.
    let is_by_name = |server: &AuthorizationServer| {
        server.introspects().is_some_and(Introspection::subject_is_username)
    };
    let with_keys = servers.iter().filter(|server| server.has_keys() && !is_by_name(server));
    let with_keys = with_keys.cloned().collect();
    let jwts = JwtVerifier::new(with_keys, resolvers, leeway, cached_tokens);
    let others = DefaultVerifier::new(jwts, servers, clock.clone());
    let others = others.ok_or(ConfigError::NoRandomness)?;
    Ok(match with_secret.cloned().collect::<Vec<_>>() {
        none if none.is_empty() => Judge::OfTokens(others),
        some => Judge::Other(Box::new(SecretVerifier::new(some, others))),
    })
}

/// Whether nothing is set of these servers that a verifier of the user's own would leave without effect.
pub(super) fn are_idle(servers: &[AuthorizationServer]) -> Result<(), ConfigError> {
    match servers.iter().find(|server| server.introspects().is_some()) {
        Some(server) => {
            let issuer = server.issuer().to_owned();
            let why = "its tokens are judged by `.verifier(..)`, and nobody would ask about them: leave one of the two out";
            Err(ConfigError::Introspection { issuer, why })
        }
        None => Ok(()),
    }
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

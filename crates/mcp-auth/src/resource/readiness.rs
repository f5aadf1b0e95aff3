//! Readiness: whether tokens can be verified at the moment, for a readiness probe.

use std::time::Duration;

use crate::issuer::authorization_server::FetchIssuerError;
use crate::issuer::introspection::Introspector;
use crate::model::verified_token::API_KEY_ISSUER;
use crate::resource::mcp_auth::McpAuth;

/// Whether tokens of every issuer can be verified at the moment.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Readiness {
    /// Each issuer, in the order of the configuration.
    pub issuers: Vec<IssuerReadiness>,
    /// Whether the revocations of other processes are known, if they have to be
    /// ([`Revocations::set_complete`](crate::Revocations::set_complete)).
    pub has_revocations: bool,
}

/// Whether tokens of one issuer can be verified at the moment.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct IssuerReadiness {
    /// The issuer identifier.
    pub issuer: String,
    /// The number of its keys that can be used. It is 0 if none have been fetched yet, or if the cached ones
    /// may no longer be used. A shared secret counts as one key.
    pub keys: usize,
    /// The time since the keys were fetched. `None` if they were configured, and so have no age, or if they
    /// have not been fetched yet.
    pub age: Option<Duration>,
    /// Whether its tokens can be introspected: introspection is configured, and the endpoint is known.
    pub can_introspect: bool,
}

impl Readiness {
    /// Whether every issuer has usable keys or a known introspection endpoint, and revocations are known.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.has_revocations
            && self.issuers.iter().all(|issuer| issuer.keys > 0 || issuer.can_introspect)
    }
}

impl McpAuth {
    /// Says for each issuer whether its tokens can be verified at the moment. With a custom verifier, no keys
    /// are needed.
    ///
    /// It does not wait. If keys are missing or due, it starts to fetch them in the background, as often as the
    /// backoff after failures allows. A server that gets no requests before it is ready therefore becomes
    /// ready.
    ///
    /// ```
    /// # let auth = mcp_auth::McpAuth::builder("https://api.example.com/mcp").authorization_server("https://auth.example.com").build()?;
    /// assert!(!auth.readiness().is_ready()); // no keys yet
    /// # Ok::<(), mcp_auth::ConfigError>(())
    /// ```
    #[must_use]
    pub fn readiness(&self) -> Readiness {
        let issuers = self.0.required_servers.iter().map(|server| {
            let issuer_keys = server.issuer_keys();
            if server.may_have_keys() {
                issuer_keys.refresh_if_due();
            }
            let (keys, age) = issuer_keys.status();
            let can_introspect = server.introspector().is_some_and(Introspector::is_ready);
            IssuerReadiness { issuer: server.issuer().to_owned(), keys, age, can_introspect }
        });
        Readiness { issuers: issuers.collect(), has_revocations: self.0.revocations.is_complete() }
    }

    /// Fetches the metadata and the keys of every issuer now, so that no request has to wait for them, and
    /// reads the [file of API keys](crate::ApiKeys::file).
    ///
    /// # Errors
    ///
    /// The first issuer whose metadata or keys cannot be fetched. If the file of API keys cannot be read, the
    /// issuer is [`ApiKeys::ISSUER`](crate::ApiKeys::ISSUER). A server may start in spite of the error.
    pub async fn warm_up(&self) -> Result<(), FetchIssuerError> {
        let file = match &self.0.keys_file {
            Some(file) => file.warm_up().await,
            None => Ok(()),
        };
        for server in &self.0.required_servers {
            server.warm_up().await?;
        }
        file.map_err(|error| FetchIssuerError::of(API_KEY_ISSUER, error))
    }
}

//! Can tokens be judged right now? For a readiness probe.

use std::time::Duration;

use crate::issuer::authorization_server::FetchIssuerError;
use crate::issuer::introspection::Introspector;
use crate::model::verified_token::API_KEY_ISSUER;
use crate::resource::mcp_auth::McpAuth;

/// Whether tokens of every issuer can be judged at the moment.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Readiness {
    /// Each issuer, in the order of the configuration.
    pub issuers: Vec<IssuerReadiness>,
}

/// Whether tokens of one issuer can be judged at the moment.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct IssuerReadiness {
    /// The issuer identifier.
    pub issuer: String,
    /// How many of its keys are in hand; 0 if none may be used, or none were fetched yet. A secret counts
    /// as one.
    pub keys: usize,
    /// How long ago the keys were fetched. Nothing if they were given, and so do not grow old.
    pub age: Option<Duration>,
    /// Whether it can be asked about tokens: it is described so, and it is known where.
    pub can_introspect: bool,
}

impl Readiness {
    /// Whether keys of every issuer are in hand, or else it is known where to ask about its tokens.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.issuers.iter().all(|issuer| issuer.keys > 0 || issuer.can_introspect)
    }
}

impl McpAuth {
    /// Whether keys of every issuer are in hand. With a verifier of your own, none are needed.
    ///
    /// It does not wait. Where keys are missing it has them fetched in the background, as often as the
    /// pauses after failures allow, so that a server that gets no requests before it is ready becomes so.
    ///
    /// ```
    /// # let auth = mcp_auth::McpAuth::builder("https://api.example.com/mcp").authorization_server("https://auth.example.com").build()?;
    /// assert!(!auth.readiness().is_ready()); // no keys yet
    /// # Ok::<(), mcp_auth::ConfigError>(())
    /// ```
    #[must_use]
    pub fn readiness(&self) -> Readiness {
        let issuers = self.0.keys_of.iter().map(|server| {
            let issuer_keys = server.issuer_keys();
            if server.may_have_keys() {
                issuer_keys.refresh_if_due();
            }
            let (keys, age) = issuer_keys.status();
            let can_introspect = server.introspector().is_some_and(Introspector::is_ready);
            IssuerReadiness { issuer: server.issuer().to_owned(), keys, age, can_introspect }
        });
        Readiness { issuers: issuers.collect() }
    }

    /// Fetches the metadata and the keys of every issuer now, so that no request need wait for them, and reads
    /// the [file of API keys](crate::ApiKeys::file).
    ///
    /// # Errors
    ///
    /// The first issuer that is out of reach; [`ApiKeys::ISSUER`](crate::ApiKeys::ISSUER) stands for the file. A
    /// server may well start in spite of it.
    pub async fn warm_up(&self) -> Result<(), FetchIssuerError> {
        let file = match &self.0.keys_file {
            Some(file) => file.warm_up().await,
            None => Ok(()),
        };
        for server in &self.0.keys_of {
            server.warm_up().await?;
        }
        file.map_err(|error| FetchIssuerError::of(API_KEY_ISSUER, error))
    }
}

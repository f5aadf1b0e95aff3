//! The server behind a resource: one that is reached over HTTP, or one that is started and speaks stdio.

use std::sync::Arc;
use std::time::Duration;

use http::header::{AUTHORIZATION, HeaderName};
use mcp_auth::McpAuth;
use mcp_auth_config::{Config, IdentityMode, Mode, ResourceConfig, Strings};

use crate::exchange::Exchange;
use crate::identity::Identity;
use crate::identity_token::SigningKey;
use crate::log_limit::LogLimit;
use crate::stdio::{self, StdioUpstream};
use crate::upstreams::Upstreams;

/// How long the processes of a resource that was changed or removed may still answer what they were asked.
const REPLACED_TIMEOUT: Duration = Duration::from_secs(30);

/// The server behind a resource.
#[derive(Clone, Debug)]
pub(crate) enum Backend {
    Http(Arc<HttpServer>),
    Stdio(StdioUpstream),
    /// None: another proxy passes the requests on, and tells its server who calls.
    Elsewhere(Arc<Identity>),
}

/// What the operator is told about one server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ServerState {
    pub(crate) name: String,
    pub(crate) says: String,
    pub(crate) is_well: bool,
}

/// A server that is reached over HTTP, and what it gets from the gateway.
#[derive(Debug)]
pub(crate) struct HttpServer {
    /// The URL of the resource, for metrics.
    pub(crate) resource: Arc<str>,
    pub(crate) upstreams: Arc<Upstreams>,
    pub(crate) identity: Identity,
    pub(crate) exchange: Option<Arc<Exchange>>,
    /// Limits the line about a 404.
    pub(crate) not_found: LogLimit,
}

/// What an earlier version of a resource had, and what of it stays.
#[derive(Clone, Copy)]
pub(crate) struct Earlier<'e> {
    pub(crate) backend: &'e Backend,
    pub(crate) has_same_upstream: bool,
    /// Whether nothing about the resource has changed.
    pub(crate) is_same: bool,
}

impl Backend {
    /// The server of a resource.
    ///
    /// # Errors
    ///
    /// If there is none, or two, or what is wrong with it.
    pub(crate) fn of(
        config: &Config,
        resource: &ResourceConfig,
        auth: &McpAuth,
        signing_key: Option<&Arc<SigningKey>>,
        earlier: Option<Earlier<'_>>,
    ) -> Result<Self, String> {
        if resource.mode == Mode::ForwardAuth {
            // A token of the gateway is for the server at the URL of the resource.
            let identity = Identity::new(auth, resource, &resource.url, signing_key)?;
            return Ok(Self::Elsewhere(Arc::new(identity)));
        }
        let started = resource.stdio_server().map_err(|error| error.to_string())?;
        match (&resource.upstream, started) {
            (Some(urls), None) => HttpServer::new(config, resource, urls, auth, signing_key, earlier)
                .map(|server| Self::Http(Arc::new(server))),
            (None, Some(_)) if !stdio::IS_SUPPORTED => Err(
                "`command` starts servers on Unix only, where they end with the gateway: run the server over HTTP, and set `upstream`".into(),
            ),
            (None, Some(server)) => match (http_key(resource), earlier) {
                (None, Some(Earlier { backend: Self::Stdio(stdio), is_same: true, .. })) => {
                    Ok(Self::Stdio(stdio.clone()))
                }
                (None, _) => Ok(Self::Stdio(StdioUpstream::new(server, auth))),
                (Some(key), _) => Err(format!(
                    "`{key}` is for an upstream that is reached over HTTP: tell a server that is started who calls by `env`, such as `env = {{ USER_ID = \"{{sub}}\" }}`"
                )),
            },
            (Some(_), Some(_)) => Err("set only one of `upstream` and `command`".into()),
            (None, None) => Err(
                "set `upstream`, the URL of the MCP server that is protected, or `command`, the program that is started"
                    .into(),
            ),
        }
    }

    /// What the operator is told about it.
    pub(crate) fn states(&self) -> Vec<ServerState> {
        match self {
            Self::Http(server) => server
                .upstreams
                .states()
                .map(|(upstream, is_well)| {
                    let says = if is_well {
                        "gets requests"
                    } else {
                        "cannot be reached, and gets no requests for a while"
                    };
                    ServerState { name: upstream.to_string(), says: says.to_owned(), is_well }
                })
                .collect(),
            Self::Stdio(stdio) => {
                let (program, processes, max) = stdio.processes();
                let says = format!("processes: {processes} of {max}");
                vec![ServerState { name: program.to_owned(), says, is_well: processes < max }]
            }
            // The gateway does not reach it.
            Self::Elsewhere(_) => Vec::new(),
        }
    }

    /// The headers by which a server elsewhere is told who calls, besides `Authorization`.
    pub(crate) fn told_names(&self) -> Vec<HeaderName> {
        match self {
            Self::Elsewhere(identity) => {
                identity.told_names().filter(|name| **name != AUTHORIZATION).cloned().collect()
            }
            Self::Http(_) | Self::Stdio(_) => Vec::new(),
        }
    }

    /// Ends the processes of a server that is started.
    pub(crate) async fn close(&self) {
        if let Self::Stdio(stdio) = self {
            stdio.close().await;
        }
    }

    /// Ends the processes of a server that is started, when they have answered what they were asked.
    pub(crate) fn close_later(&self) {
        if let Self::Stdio(stdio) = self.clone() {
            tokio::spawn(async move {
                tokio::time::sleep(REPLACED_TIMEOUT).await;
                stdio.close().await;
            });
        }
    }
}

impl HttpServer {
    fn new(
        config: &Config,
        resource: &ResourceConfig,
        urls: &Strings,
        auth: &McpAuth,
        signing_key: Option<&Arc<SigningKey>>,
        earlier: Option<Earlier<'_>>,
    ) -> Result<Self, String> {
        let before = earlier.and_then(|earlier| match earlier.backend {
            Backend::Http(server) => Some((earlier, server)),
            Backend::Stdio(_) | Backend::Elsewhere(_) => None,
        });
        let upstreams = match before.filter(|(earlier, _)| earlier.has_same_upstream) {
            Some((_, server)) => Arc::clone(&server.upstreams),
            None => Arc::new(Upstreams::new(urls)?),
        };
        // All that are listed are one server, and accept the same audience.
        let audience = urls.to_vec().into_iter().next().unwrap_or_default();
        let identity = Identity::new(auth, resource, &audience, signing_key)?;
        let exchange = match before.filter(|(earlier, _)| earlier.is_same) {
            Some((_, server)) => server.exchange.clone(),
            None => exchange(config, resource, auth, &identity)?,
        };
        let (resource, not_found) = (auth.resource().into(), LogLimit::default());
        Ok(Self { resource, upstreams, identity, exchange, not_found })
    }
}

/// How the tokens of a resource's callers are exchanged. Returns `None` if they are not.
fn exchange(
    config: &Config,
    resource: &ResourceConfig,
    auth: &McpAuth,
    identity: &Identity,
) -> Result<Option<Arc<Exchange>>, String> {
    let token = config.exchange(resource, auth).map_err(|error| error.to_string())?;
    if token.is_some() && identity.writes_authorization() {
        return Err("`exchange` uses the header `Authorization`, which `identity` or `upstream_headers` sets too".into());
    }
    Ok(token.map(|token| Arc::new(Exchange { auth: auth.clone(), token })))
}

/// A key that says something about requests over HTTP to the server.
fn http_key(resource: &ResourceConfig) -> Option<&'static str> {
    let keys = [
        ("identity", resource.identity.unwrap_or_default() != IdentityMode::None),
        ("identity_claims", !resource.identity_claims.is_empty()),
        ("upstream_headers", !resource.upstream_headers.is_empty()),
        ("exchange", resource.exchange.is_some()),
    ];
    keys.into_iter().find_map(|(key, is_set)| is_set.then_some(key))
}

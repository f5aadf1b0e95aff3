//! Starts a gateway from its configuration, and ends it.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use hyper_util::server::graceful::GracefulShutdown;
use mcp_auth::McpAuth;
use mcp_auth_config::{Config, IdentityMode, ResourceConfig, in_keys};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::admin::Admin;
use crate::budget::{Budget, DEFAULT_MAX_ANONYMOUS, DEFAULT_MAX_BUFFERED};
use crate::connections::{Connections, DEFAULT_PER_ADDRESS};
use crate::exchange::Exchange;
use crate::identity::Identity;
use crate::identity_token::SigningKey;
use crate::listener::{self, End};
use crate::recorder::Metrics;
use crate::routes::{Budgets, Routes};
use crate::tls::Certificates;
use crate::upstream::Upstream;

/// The default address: this machine only.
const DEFAULT_LISTEN: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 8080);

/// The default limit of connections. Each has a socket, of which a process may have 65,536 on many systems, and one more to
/// the upstream while it is used.
const DEFAULT_MAX_CONNECTIONS: usize = 10_000;

/// The connections of an operator: a browser, a probe and a scraper.
const MAX_ADMIN_CONNECTIONS: usize = 64;

/// How long requests may take after the gateway was told to end. Kubernetes kills a process after 30 s.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(25);

/// Why a gateway does not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] mcp_auth_config::Error),
    /// A resource is wrong in a way that only the gateway knows.
    #[error("resource {resource:?}: {message}")]
    Resource {
        /// The URL of the resource.
        resource: String,
        /// What is wrong.
        message: String,
    },
    /// The key for `identity = "jwt"` cannot be used.
    #[error("signing_key: {0}")]
    SigningKey(String),
    /// The certificate cannot be used.
    #[error("tls: {0}")]
    Tls(String),
    /// The gateway cannot listen at an address.
    #[error("cannot listen at {address}: {error}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        error: std::io::Error,
    },
}

/// What a gateway consists of, before it listens.
struct Parts {
    auths: Vec<McpAuth>,
    routes: Routes,
    signing_key: Option<Arc<SigningKey>>,
    budgets: Budgets,
    polls: Vec<Pin<Box<dyn Future<Output = Infallible> + Send>>>,
    tls: Option<Certificates>,
}

impl Parts {
    fn of(config: &Config) -> Result<Self, StartError> {
        let auths = config.protected_resources()?;
        let signing_key = signing_key(config)?;
        let anonymous = config.max_anonymous_buffered_bytes.unwrap_or(DEFAULT_MAX_ANONYMOUS);
        let authenticated = config.max_buffered_bytes.unwrap_or(DEFAULT_MAX_BUFFERED);
        let budgets = Budgets {
            authenticated: Budget::new("authenticated", authenticated),
            anonymous: Budget::new("anonymous", anonymous),
        };
        let mut routes = Routes::new(budgets.clone());
        if let Some(auth) = auths.first().filter(|_| !config.forwarded_host_from.is_empty()) {
            routes.behind_proxies(auth);
        }
        let mut polls = Vec::new();
        for (auth, resource) in auths.iter().zip(&config.resources) {
            let wrong = |message| StartError::Resource { resource: resource.url.clone(), message };
            let url = resource.upstream.as_deref().ok_or_else(|| {
                wrong("set `upstream`, the URL of the MCP server that is protected".into())
            })?;
            let upstream = Upstream::new(url).map_err(wrong)?;
            let identity = Identity::new(auth, resource, url, signing_key.as_ref());
            let identity = identity.map_err(wrong)?;
            let target =
                config.exchange(resource, auth).map_err(|error| wrong(error.to_string()))?;
            if target.is_some() && identity.writes_authorization() {
                return Err(wrong("`exchange` uses the header `Authorization`, which `identity` or `upstream_headers` sets too".into()));
            }
            let exchange = target.map(|target| Exchange { auth: auth.clone(), target });
            routes.add(auth, resource, upstream, identity, exchange).map_err(wrong)?;
            for poll in &resource.event_polls {
                let events = poll.to_poll().map_err(|error| wrong(error.to_string()))?;
                let polling = auth.poll_security_events(events);
                let polling = polling.map_err(|error| wrong(in_keys(&error.to_string()).into()))?;
                polls.push(Box::pin(polling) as Pin<Box<_>>);
            }
        }
        let tls =
            config.tls.as_ref().map(Certificates::read).transpose().map_err(StartError::Tls)?;
        Ok(Self { auths, routes, signing_key, budgets, polls, tls })
    }
}

/// The key for `identity = "jwt"`. Returns `None` if no resource has it, or upstreams could not get its public key.
fn signing_key(config: &Config) -> Result<Option<Arc<SigningKey>>, StartError> {
    let is_jwt = |resource: &ResourceConfig| resource.identity == Some(IdentityMode::Jwt);
    if config.admin.is_none() || !config.resources.iter().any(is_jwt) {
        return Ok(None);
    }
    let key = match &config.signing_key {
        Some(source) => SigningKey::from_pem(&source.read()?),
        None => SigningKey::generate(),
    };
    key.map(|key| Some(Arc::new(key))).map_err(StartError::SigningKey)
}

/// Checks a configuration, as [`Gateway::start`] does before it listens.
///
/// # Errors
///
/// What is wrong with it.
pub fn check(config: &Config) -> Result<(), StartError> {
    Parts::of(config).map(drop)
}

/// A configuration with what the gateway does where it says nothing. Defaults of a resource or an issuer are those of the
/// library, and are not written out.
#[must_use]
pub fn with_defaults(config: &Config) -> Config {
    let mut config = config.clone();
    config.listen.get_or_insert(DEFAULT_LISTEN);
    config.max_connections.get_or_insert(DEFAULT_MAX_CONNECTIONS);
    config.max_connections_per_address.get_or_insert(DEFAULT_PER_ADDRESS);
    config.max_buffered_bytes.get_or_insert(DEFAULT_MAX_BUFFERED);
    config.max_anonymous_buffered_bytes.get_or_insert(DEFAULT_MAX_ANONYMOUS);
    config
}

/// A gateway that listens.
#[derive(Debug)]
pub struct Gateway {
    local_addr: SocketAddr,
    admin_addr: Option<SocketAddr>,
    is_draining: watch::Sender<bool>,
    graceful: Arc<GracefulShutdown>,
    accepting: JoinHandle<()>,
    tasks: Vec<JoinHandle<()>>,
}

impl Gateway {
    /// Starts to listen. Issuers are not waited for: a request that needs their keys fetches them.
    ///
    /// # Errors
    ///
    /// What is wrong with the configuration, or which address cannot be listened at.
    pub async fn start(config: &Config) -> Result<Self, StartError> {
        let Parts { auths, routes, signing_key, budgets, polls, tls } = Parts::of(config)?;
        let (listener, local_addr) = bind(config.listen.unwrap_or(DEFAULT_LISTEN)).await?;
        if tls.is_none() && !local_addr.ip().is_loopback() {
            tracing::warn!(target: "mcp_auth", address = %local_addr, "listens without TLS: a proxy in front must terminate TLS, since tokens are sent in clear otherwise");
        }
        let is_draining = watch::Sender::new(false);
        let graceful = Arc::new(GracefulShutdown::new());
        let connections = Connections::new(
            config.max_connections.unwrap_or(DEFAULT_MAX_CONNECTIONS),
            config.max_connections_per_address.unwrap_or(DEFAULT_PER_ADDRESS),
        );
        let mut tasks = Vec::new();
        let admin_addr = match config.admin {
            None => None,
            Some(address) => {
                let (listener, address) = bind(address).await?;
                let metrics = Metrics::of_process();
                if metrics.is_none() {
                    tracing::warn!(target: "mcp_auth", "this program records its metrics itself: there is no /metrics");
                }
                let admin = Admin {
                    auths: auths.into(),
                    signing_key,
                    connections: connections.clone(),
                    budgets,
                    metrics,
                    is_draining: is_draining.subscribe(),
                };
                let answer = move |request| {
                    let response = admin.answer(&request);
                    std::future::ready(response)
                };
                let connections = Connections::new(MAX_ADMIN_CONNECTIONS, MAX_ADMIN_CONNECTIONS);
                let end = End { graceful: Arc::default(), is_draining: is_draining.subscribe() };
                let accepting = listener::accept(listener, None, connections, end, answer);
                tasks.push(tokio::spawn(accepting));
                Some(address)
            }
        };
        tasks.extend(polls.into_iter().map(|poll| tokio::spawn(async { match poll.await {} })));
        if let Some(tls) = &tls {
            tasks.push(tokio::spawn(tls.clone().keep_fresh()));
        }
        let routes = Arc::new(routes);
        let answer = move |request| {
            let routes = Arc::clone(&routes);
            async move { routes.answer(request).await }
        };
        let end = End { graceful: Arc::clone(&graceful), is_draining: is_draining.subscribe() };
        let accepting = listener::accept(listener, tls, connections, end, answer);
        let accepting = tokio::spawn(accepting);
        Ok(Self { local_addr, admin_addr, is_draining, graceful, accepting, tasks })
    }

    /// Where clients reach it.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Where its operator reaches it. Returns `None` if `admin` is not set.
    #[must_use]
    pub fn admin_addr(&self) -> Option<SocketAddr> {
        self.admin_addr
    }

    /// Runs until `signal`. Then it accepts no more connections, and waits for the requests that are under way, 25 seconds
    /// at most.
    pub async fn run_until(mut self, signal: impl Future<Output = ()>) {
        signal.await;
        self.is_draining.send_replace(true);
        self.accepting.abort();
        _ = (&mut self.accepting).await;
        if let Ok(graceful) = Arc::try_unwrap(self.graceful) {
            _ = tokio::time::timeout(DRAIN_TIMEOUT, graceful.shutdown()).await;
        }
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

async fn bind(address: SocketAddr) -> Result<(TcpListener, SocketAddr), StartError> {
    let failed = |error| StartError::Listen { address, error };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let local_addr = listener.local_addr().map_err(failed)?;
    Ok((listener, local_addr))
}

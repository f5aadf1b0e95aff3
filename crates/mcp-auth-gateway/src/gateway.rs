//! Starts a gateway from its configuration, and ends it.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper_util::server::graceful::GracefulShutdown;
use mcp_auth::McpAuth;
use mcp_auth_config::{AuditConfig, Config, ConfigFile, Drain, Seconds};
use tokio::task::JoinHandle;

use crate::admin::Admin;
use crate::audit::Audit;
use crate::budget::{DEFAULT_MAX_ANONYMOUS, DEFAULT_MAX_BUFFERED};
use crate::connections::{Connections, DEFAULT_PER_ADDRESS};
use crate::ending::{Ending, Phase};
use crate::hangups::Hangups;
use crate::history::History;
use crate::listener::{self, End};
use crate::open_files;
use crate::recorder::Metrics;
use crate::reload::{Reload, ReloadStatus, warm_up};
use crate::replicas::Replicas;
use crate::serving::{Current, Serving};
use crate::shared::Shared;
use crate::sockets::{self, Sockets};
use crate::start_error::StartError;
use crate::tls::Certificates;
use crate::traces::{Traces, until_end};

/// The default address: this machine only.
const DEFAULT_LISTEN: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 8080);

/// The default limit of connections. Each has a socket, of which a process may have 65,536 on many systems, and one more to
/// the upstream while it is used.
const DEFAULT_MAX_CONNECTIONS: usize = 10_000;

/// The connections of an operator: a browser, a probe and a scraper.
const MAX_ADMIN_CONNECTIONS: usize = 64;

/// Those of one address, so that nobody who reaches the port can keep the probes of another host out.
const MAX_ADMIN_PER_ADDRESS: usize = 16;

/// How long an operator's client may take for the head of a request. Probes and scrapers send it at once.
const ADMIN_HEAD_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a client may take for the head of a request, and stay idle before it. Longer than clients and proxies keep
/// their idle connections, so that a request does not meet a close.
const HEAD_TIMEOUT: Duration = Duration::from_secs(60);

/// How long connections are still accepted after SIGTERM. Kubernetes tells a process to end and those who send it requests at
/// the same time, and they take some seconds to notice.
const DRAIN_PAUSE: Duration = Duration::from_secs(5);

/// How long requests may take after that. Most tools answer within it, and a node that is emptied does not wait much longer.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(30);

/// Checks a configuration, as [`Gateway::start`] does before it listens.
///
/// # Errors
///
/// What is wrong with it.
pub fn check(config: &Config) -> Result<(), StartError> {
    Serving::of(config, None, None, &Shared::new(None, None, Replicas::default(), 1))?;
    Replicas::check(config)?;
    let traces = config.traces.as_ref().map(Traces::check).transpose();
    traces.map_err(StartError::Traces)?;
    certificates(config).map(drop)
}

fn open_audit(config: &AuditConfig) -> Result<Audit, StartError> {
    Audit::open(config).map_err(|error| {
        let file = config.file.as_ref().map(|file| file.display().to_string());
        StartError::Audit { file: file.unwrap_or_default(), error }
    })
}

/// The most connections of clients, for which this process must have files, and as many for the requests on them.
fn max_connections(config: &Config) -> usize {
    let wanted = config.max_connections.unwrap_or(DEFAULT_MAX_CONNECTIONS);
    match open_files::room_for_connections() {
        Some(room) if room < wanted => {
            match config.max_connections {
                Some(_) => {
                    tracing::warn!(target: "mcp_auth", wanted, room, "this process may open too few files for `max_connections`: it takes fewer connections; raise the limit (`ulimit -n`, systemd: `LimitNOFILE=`)")
                }
                None => {
                    tracing::info!(target: "mcp_auth", max_connections = room, "takes as many connections as this process may open files for; for more, raise the limit (`ulimit -n`, systemd: `LimitNOFILE=`)")
                }
            }
            room
        }
        _ => wanted,
    }
}

fn certificates(config: &Config) -> Result<Option<Certificates>, StartError> {
    config.tls.as_ref().map(Certificates::read).transpose().map_err(StartError::Tls)
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
    config.drain.pause.get_or_insert(Seconds(DRAIN_PAUSE));
    config.drain.timeout.get_or_insert(Seconds(DRAIN_TIMEOUT));
    config
}

/// A gateway that listens.
pub struct Gateway {
    local_addr: SocketAddr,
    admin_addr: Option<SocketAddr>,
    ending: Ending,
    drain: Drain,
    current: Current,
    audit: Option<Audit>,
    graceful: Arc<GracefulShutdown>,
    accepting: JoinHandle<()>,
    /// What is kept fresh.
    tasks: Vec<JoinHandle<()>>,
    admin: Option<JoinHandle<()>>,
}

impl fmt::Debug for Gateway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gateway").field("local_addr", &self.local_addr).finish_non_exhaustive()
    }
}

impl Gateway {
    /// Starts to listen. Issuers are not waited for: a request that needs their keys fetches them.
    ///
    /// # Errors
    ///
    /// What is wrong with the configuration, or which address cannot be listened at.
    pub async fn start(config: &Config) -> Result<Self, StartError> {
        Self::start_at(Sockets::default(), config, None).await
    }

    /// Starts with the configuration of a file, which is read again when it changes, and on SIGHUP. If it is wrong then, the
    /// gateway goes on with what it read before, and says so in its log and at `/readyz`.
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start).
    pub async fn start_with_file(file: ConfigFile, config: &Config) -> Result<Self, StartError> {
        Self::start_at(Sockets::default(), config, Some(file)).await
    }

    /// Starts with sockets that listen already. Those that are not given are opened. With a file, it is as
    /// [`start_with_file`](Self::start_with_file).
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start).
    pub async fn start_at(
        sockets: Sockets,
        config: &Config,
        file: Option<ConfigFile>,
    ) -> Result<Self, StartError> {
        // First, so that no signal ends the process once clients can connect.
        let file = file.map(|file| (file, Hangups::listen()));
        let audit = config.audit.as_ref().map(open_audit).transpose()?;
        let max_connections = max_connections(config);
        let traces = config.traces.as_ref().map(Traces::start).transpose();
        let traces = traces.map_err(StartError::Traces)?;
        let shared =
            Shared::new(audit.clone(), traces, Replicas::connect(config)?, max_connections);
        let serving = Serving::of(config, file.as_ref().map(|(file, _)| file), None, &shared)?;
        let tls = certificates(config)?;
        let (listener, local_addr) =
            sockets::listen(sockets.clients, config.listen.unwrap_or(DEFAULT_LISTEN)).await?;
        if tls.is_none() && !local_addr.ip().is_loopback() {
            tracing::warn!(target: "mcp_auth", address = %local_addr, "listens without TLS: a proxy in front must terminate TLS, since tokens are sent in clear otherwise");
        }
        let (current, ending) = (Current::new(serving), Ending::new());
        let configuration = ReloadStatus::new();
        let connections = Connections::new(
            max_connections,
            // Where there are few, one address does not take all either.
            config
                .max_connections_per_address
                .unwrap_or(DEFAULT_PER_ADDRESS.min((max_connections / 4).max(1))),
        );
        let mut tasks = Vec::new();
        let admin_at = sockets.admin.as_ref().and_then(|given| given.local_addr().ok());
        let (admin_addr, admin) = match admin_at.or(config.admin) {
            None => (None, None),
            Some(address) => {
                let (listener, address) = sockets::listen(sockets.admin, address).await?;
                let (current, phases) = (current.clone(), ending.phases());
                let metrics = Metrics::of_process();
                if metrics.is_none() {
                    tracing::warn!(target: "mcp_auth", "this program records its metrics itself: there is no /metrics");
                }
                let (configuration, connections) = (configuration.clone(), connections.clone());
                let is_local = address.ip().is_loopback();
                let history = History::default();
                tasks.extend(metrics.map(|all| tokio::spawn(history.clone().keep(all))));
                let admin = Admin {
                    current,
                    configuration,
                    connections,
                    metrics,
                    history,
                    phases,
                    is_local,
                };
                let answer = move |request| {
                    let response = admin.answer(&request);
                    std::future::ready(response)
                };
                let connections = Connections::new(MAX_ADMIN_CONNECTIONS, MAX_ADMIN_PER_ADDRESS);
                // It answers to the end.
                let end = End { graceful: Arc::default(), phases: Ending::new().phases() };
                let accepting =
                    listener::accept(listener, None, connections, end, ADMIN_HEAD_TIMEOUT, answer);
                (Some(address), Some(tokio::spawn(accepting)))
            }
        };
        current.get().start_polls();
        let serving = current.get();
        // Nobody waits for it, and the log says at once what is wrong with an issuer.
        tasks.push(tokio::spawn(async move { warm_up(&serving).await }));
        if let Some(tls) = &tls {
            tasks.push(tokio::spawn(tls.clone().keep_fresh()));
        }
        if let Some((file, hangups)) = file {
            let reload = Reload::new(file, current.clone(), configuration, hangups);
            tasks.push(tokio::spawn(reload.run()));
        }
        if let Some(audit) = &audit {
            tasks.push(tokio::spawn(audit.clone().reopen_when_told()));
        }
        let routed = current.clone();
        let answer = move |request| {
            let serving = routed.get();
            async move { until_end(serving.routes.answer(request).await) }
        };
        let graceful = Arc::new(GracefulShutdown::new());
        let end = End { graceful: Arc::clone(&graceful), phases: ending.phases() };
        let accepting = listener::accept(listener, tls, connections, end, HEAD_TIMEOUT, answer);
        let accepting = tokio::spawn(accepting);
        Ok(Self {
            local_addr,
            admin_addr,
            ending,
            drain: config.drain,
            current,
            audit,
            graceful,
            accepting,
            tasks,
            admin,
        })
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

    /// Runs until `signal`. Then it accepts no more connections, ends listening streams, so that their clients open them
    /// elsewhere, and waits for the requests that are under way, for 30 seconds or `drain.timeout`.
    pub async fn run_until(self, signal: impl Future<Output = ()>) {
        signal.await;
        self.end_after(Duration::ZERO).await;
    }

    /// Runs until `signal`. Then it still accepts connections for 5 seconds or `drain.pause`, and says at `/readyz` that it is
    /// about to end, since those who send it requests learn late that it ends. Then it ends as after
    /// [`run_until`](Self::run_until).
    pub async fn run_until_replaced(self, signal: impl Future<Output = ()>) {
        signal.await;
        let pause = self.drain.pause.map_or(DRAIN_PAUSE, |Seconds(pause)| pause);
        self.end_after(pause).await;
    }

    async fn end_after(self, pause: Duration) {
        self.ending.set(Phase::Leaving);
        tokio::time::sleep(pause).await;
        self.tasks.iter().for_each(JoinHandle::abort);
        self.ending.set(Phase::Ending);
        _ = self.accepting.await;
        self.current.get().auths().for_each(McpAuth::end_listening_streams);
        if let Ok(graceful) = Arc::try_unwrap(self.graceful) {
            let timeout = self.drain.timeout.map_or(DRAIN_TIMEOUT, |Seconds(timeout)| timeout);
            if tokio::time::timeout(timeout, graceful.shutdown()).await.is_err() {
                tracing::warn!(target: "mcp_auth", ?timeout, "some requests are cut off: they took longer than `drain.timeout`");
            }
        }
        self.current.get().close().await;
        if let Some(audit) = &self.audit {
            audit.writer().flush().await;
        }
        if let Some(traces) = &self.current.get().shared().traces {
            traces.flush().await;
        }
        self.admin.iter().for_each(JoinHandle::abort);
    }
}

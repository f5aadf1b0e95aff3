//! A process that speaks MCP over stdio: it is started, written to, read from, and ended with everything it has started.

use std::io;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use mcp_auth::AuthInfo;
use mcp_auth_config::StdioServer;
use tokio::process::{Child, Command};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::stdio::dispatch::{Dispatch, Received};
use crate::stdio::environment::{self, Variables};
use crate::stdio::framing::Line;
#[cfg(unix)]
use crate::stdio::group::Group;
#[cfg(not(unix))]
use crate::stdio::no_group::Group;
use crate::stdio::owner::Owner;
use crate::stdio::pumps;
use crate::telemetry;

/// How many messages wait for a process that does not read. Their clients wait with them.
const MAX_WAITING: usize = 4;

/// How long a client waits for a process that does not read.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);

/// How long a process may take to end after its input has ended, and after it was asked to. Together less than what the
/// gateway itself has for its end.
const INPUT_END_GRACE: Duration = Duration::from_secs(2);
const TERMINATE_GRACE: Duration = Duration::from_secs(3);

/// How long what a process has written is read after its end.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(1);

/// A process that runs.
#[derive(Debug)]
pub(crate) struct Process {
    owner: Owner,
    dispatch: Mutex<Dispatch>,
    input: mpsc::Sender<Bytes>,
    is_ending: watch::Sender<bool>,
    is_over: watch::Sender<bool>,
    last_use: Mutex<Instant>,
    /// The caller with the newest token.
    caller: watch::Sender<Option<AuthInfo>>,
}

/// How a process ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ended {
    /// Whether nobody wanted it to.
    pub(crate) is_unexpected: bool,
    /// How long it ran.
    pub(crate) ran_for: Duration,
}

impl Process {
    /// Starts a process. `on_end` is called when it and everything in its group has ended.
    ///
    /// # Errors
    ///
    /// Why it cannot be started.
    pub(crate) fn start(
        server: &StdioServer,
        variables: &Variables,
        owner: Owner,
        is_shared: bool,
        on_end: impl FnOnce(Ended) + Send + 'static,
    ) -> io::Result<Arc<Self>> {
        let secrets = environment::secrets(&server.env).map_err(io::Error::other)?;
        let mut command = Command::new(&server.program);
        command
            .args(&server.arguments)
            .env_clear()
            .envs(environment::passed_on())
            .envs(variables.iter().map(|(name, value)| (name, value)))
            .envs(secrets)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        Group::begin(&mut command);
        let mut child = command.spawn()?;
        let group = Group::of(child.id());
        let pipes = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (Some(stdin), Some(stdout), Some(stderr)) = pipes else {
            return Err(io::ErrorKind::BrokenPipe.into());
        };
        tracing::info!(target: "mcp_auth", %owner, pid = child.id(), program = server.program, "started a server");
        let (input, lines) = mpsc::channel(MAX_WAITING);
        let process = Arc::new(Self {
            owner,
            dispatch: Mutex::new(Dispatch::new(is_shared)),
            input,
            is_ending: watch::Sender::new(false),
            is_over: watch::Sender::new(false),
            last_use: Mutex::new(Instant::now()),
            caller: watch::Sender::new(None),
        });
        let writing = tokio::spawn(pumps::write(stdin, lines));
        let reader = Arc::clone(&process);
        let reading = tokio::spawn(pumps::read(stdout, move |line| reader.receive(&line)));
        tokio::spawn(pumps::log(process.owner.clone(), stderr));
        let (running, idle_timeout) = (Arc::clone(&process), server.idle_timeout);
        tokio::spawn(async move {
            let started = Instant::now();
            let is_unexpected = running.run(child, group, writing, reading, idle_timeout).await;
            on_end(Ended { is_unexpected, ran_for: started.elapsed() });
            running.is_over.send_replace(true);
        });
        Ok(process)
    }

    /// Its clients, and the requests in both directions.
    pub(crate) fn dispatch(&self) -> MutexGuard<'_, Dispatch> {
        self.dispatch.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends a line to the process. Returns `false` if it does not read for a while.
    pub(crate) async fn send(&self, line: Bytes) -> bool {
        match self.input.send_timeout(line, WRITE_TIMEOUT).await {
            Ok(()) => true,
            // If it has ended, whoever waits is told by the dispatch.
            Err(mpsc::error::SendTimeoutError::Closed(_)) => true,
            Err(mpsc::error::SendTimeoutError::Timeout(_)) => {
                tracing::warn!(target: "mcp_auth", owner = %self.owner, "the server does not read its input");
                false
            }
        }
    }

    /// Sends a line if there is a place for it.
    pub(crate) fn send_now(&self, line: Bytes) {
        if self.input.try_send(line).is_err() {
            tracing::debug!(target: "mcp_auth", owner = %self.owner, "the server does not read its input, so a message of the gateway to it is lost");
        }
    }

    /// Notes that it is used, and by whom.
    pub(crate) fn touch(&self, caller: Option<&AuthInfo>) {
        *self.last_use.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        let Some(caller) = caller else { return };
        self.caller.send_if_modified(|newest| {
            let known = newest.as_ref().map(|newest| newest.token().expose());
            let is_new = known != Some(caller.token().expose());
            if is_new {
                *newest = Some(caller.clone());
            }
            is_new
        });
    }

    /// The caller with the newest token.
    pub(crate) fn caller(&self) -> watch::Receiver<Option<AuthInfo>> {
        self.caller.subscribe()
    }

    pub(crate) fn last_use(&self) -> Instant {
        *self.last_use.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether somebody waits for it, or listens.
    pub(crate) fn is_busy(&self) -> bool {
        self.dispatch().is_busy()
    }

    /// Asks it to end.
    pub(crate) fn end(&self) {
        self.is_ending.send_replace(true);
    }

    /// Whether it was asked to end, or has ended.
    pub(crate) fn is_ending(&self) -> bool {
        *self.is_ending.borrow() || *self.is_over.borrow()
    }

    /// Waits until it has ended.
    pub(crate) async fn over(&self) {
        _ = self.is_over.subscribe().wait_for(|is_over| *is_over).await;
    }

    /// Passes a line of the process on.
    fn receive(&self, line: &Line) {
        let received = match line {
            Line::Whole(line) => self.dispatch().receive(line),
            Line::TooLong => Received::Unreadable,
        };
        let owner = &self.owner;
        match received {
            Received::Delivered => {}
            Received::Answered(answer) => self.send_now(answer),
            Received::Unclaimed => {
                tracing::debug!(target: "mcp_auth", %owner, "a message of the server is for nobody who is there");
            }
            Received::Unreadable => {
                telemetry::stdio_line_skipped();
                tracing::debug!(target: "mcp_auth", %owner, line = pumps::shown(line), "the server wrote a line that is no JSON-RPC message: what it says to people belongs to stderr");
            }
        }
    }

    /// Returns whether the end was unexpected.
    async fn run(
        &self,
        mut child: Child,
        group: Option<Group>,
        mut writing: tokio::task::JoinHandle<()>,
        mut reading: tokio::task::JoinHandle<()>,
        idle_timeout: Duration,
    ) -> bool {
        let exited = tokio::select! {
            status = child.wait() => status.ok(),
            // Who has closed its input gets no requests, and who has closed its output answers none.
            _ = &mut writing => None,
            _ = &mut reading => None,
            () = self.must_end(idle_timeout) => None,
        };
        // From now on nobody gets it.
        let is_unexpected = !self.is_ending.send_replace(true);
        writing.abort();
        let status = match exited {
            Some(status) => Some(status),
            None => end_of(&mut child, group.as_ref()).await,
        };
        end_group(group).await;
        if !reading.is_finished() {
            _ = timeout(DRAIN_TIMEOUT, &mut reading).await;
            reading.abort();
        }
        let status = status.map_or_else(|| "unknown".to_owned(), |status| status.to_string());
        let why = if is_unexpected {
            tracing::warn!(target: "mcp_auth", owner = %self.owner, status, "a server has ended");
            format!("The MCP server behind this gateway has ended before it answered ({status})")
        } else {
            tracing::info!(target: "mcp_auth", owner = %self.owner, status, "ended a server");
            "The session has ended".to_owned()
        };
        self.dispatch().end(&why);
        is_unexpected
    }

    /// Waits until it was asked to end, or is not used for so long.
    async fn must_end(&self, idle_timeout: Duration) {
        let mut is_ending = self.is_ending.subscribe();
        loop {
            tokio::select! {
                _ = is_ending.wait_for(|is_ending| *is_ending) => return,
                () = sleep_until(self.last_use() + idle_timeout) => {}
            }
            if self.is_busy() {
                self.touch(None);
            } else if self.last_use().elapsed() >= idle_timeout {
                tracing::info!(target: "mcp_auth", owner = %self.owner, "a server was not used for a while");
                self.is_ending.send_replace(true);
                return;
            }
        }
    }
}

/// Ends a process whose input has ended: first it is waited for, then it is asked, then it is killed
/// ([MCP, Shutdown](https://modelcontextprotocol.io/specification/2025-11-25/basic/lifecycle#shutdown)).
async fn end_of(child: &mut Child, group: Option<&Group>) -> Option<ExitStatus> {
    if let Ok(status) = timeout(INPUT_END_GRACE, child.wait()).await {
        return status.ok();
    }
    if let Some(group) = group {
        group.terminate();
    }
    if let Ok(status) = timeout(TERMINATE_GRACE, child.wait()).await {
        return status.ok();
    }
    _ = child.start_kill();
    child.wait().await.ok()
}

/// Ends what a process has left behind.
async fn end_group(group: Option<Group>) {
    let Some(group) = group else { return };
    group.terminate();
    let deadline = Instant::now() + DRAIN_TIMEOUT;
    while group.is_alive() && Instant::now() < deadline {
        sleep(Duration::from_millis(20)).await;
    }
    drop(group);
}

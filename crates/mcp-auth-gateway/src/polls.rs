//! Polls streams of security events, as long as a resource is served.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Mutex, MutexGuard, PoisonError};

use mcp_auth::McpAuth;
use mcp_auth_config::{ResourceConfig, in_keys};
use tokio::task::JoinSet;

type Poll = Pin<Box<dyn Future<Output = Infallible> + Send>>;

/// The polls of one resource. They end when this is dropped.
#[derive(Default)]
pub(crate) struct Polls(Mutex<State>);

#[derive(Default)]
struct State {
    waiting: Vec<Poll>,
    running: JoinSet<()>,
}

impl Polls {
    /// Those that a resource describes. None has begun.
    ///
    /// # Errors
    ///
    /// What is wrong with one.
    pub(crate) fn of(auth: &McpAuth, resource: &ResourceConfig) -> Result<Self, String> {
        let mut state = State::default();
        for poll in &resource.event_polls {
            let events = poll.to_poll().map_err(|error| error.to_string())?;
            let polling = auth.poll_security_events(events);
            let polling = polling.map_err(|error| in_keys(&error.to_string()).into_owned())?;
            state.waiting.push(Box::pin(polling));
        }
        Ok(Self(Mutex::new(state)))
    }

    /// Begins those that have not begun.
    pub(crate) fn start(&self) {
        let mut state = self.lock();
        for poll in std::mem::take(&mut state.waiting) {
            state.running.spawn(async { match poll.await {} });
        }
    }

    /// Ends them.
    pub(crate) fn stop(&self) {
        self.lock().running.abort_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

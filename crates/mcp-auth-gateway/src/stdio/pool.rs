//! Who has which process: sessions, callers, and how many processes each may have.

use std::collections::HashMap;
use std::future::pending;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use mcp_auth::{AuthInfo, McpAuth};
use mcp_auth_config::{ProcessScope, StdioServer};
use tokio::time::Instant;

use crate::stdio::back_off::BackOff;
use crate::stdio::client::ClientId;
use crate::stdio::environment::{self, Variables};
use crate::stdio::owner::Owner;
use crate::stdio::process::{Ended, Process};

/// The most sessions where several have one process, in all and of one caller. Each is a few hundred bytes.
const MAX_SESSIONS: usize = 10_000;
const MAX_SESSIONS_PER_PRINCIPAL: usize = 64;

/// The processes of one resource.
#[derive(Debug)]
pub(crate) struct Pool {
    server: StdioServer,
    auth: McpAuth,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    processes: HashMap<Key, Held>,
    sessions: HashMap<Arc<str>, Session>,
    back_off: BackOff,
    is_closed: bool,
}

/// What a process is for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Key {
    Session(Arc<str>),
    /// A caller whose claims change gets another process.
    Caller(Owner, Variables),
    Everybody,
}

#[derive(Debug)]
struct Held {
    process: Arc<Process>,
    owner: Owner,
}

#[derive(Debug)]
struct Session {
    process: Arc<Process>,
    owner: Owner,
    variables: Variables,
    last_use: Instant,
}

/// Why there is no process for a request.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// The caller has no claim that the environment needs, which the text names.
    Claims(String),
    /// The caller has as many as it may have, and all are in use.
    OwnLimit,
    /// There are as many as there may be.
    Limit,
    /// It failed to start just now. How long to wait.
    BackOff(Duration),
    /// It cannot be started.
    Start(std::io::Error),
}

/// A process, and as whom it knows the client.
#[derive(Clone, Debug)]
pub(crate) struct ClientProcess {
    pub(crate) process: Arc<Process>,
    pub(crate) client: ClientId,
}

impl Pool {
    pub(crate) fn new(server: StdioServer, auth: McpAuth) -> Arc<Self> {
        Arc::new(Self { server, auth, state: Mutex::default() })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The program, how many processes of it there are, and how many there may be.
    pub(crate) fn processes(&self) -> (&str, usize, usize) {
        (&self.server.program, self.state().processes.len(), self.server.max_processes)
    }

    /// Begins a session.
    ///
    /// # Errors
    ///
    /// Why there is no process for it.
    pub(crate) async fn begin_session(
        self: &Arc<Self>,
        id: Arc<str>,
        caller: Option<&AuthInfo>,
    ) -> Result<ClientProcess, Refusal> {
        let (owner, variables) = (Owner::of(caller), self.variables(caller)?);
        let key = match self.server.scope {
            ProcessScope::Session => Key::Session(Arc::clone(&id)),
            _ => self.key_without_session(&owner, &variables),
        };
        let process = self.process(key, &owner, &variables).await?;
        process.touch(caller);
        if self.server.scope != ProcessScope::Session {
            self.make_place_for_session(&owner)?;
        }
        let session =
            Session { process: Arc::clone(&process), owner, variables, last_use: Instant::now() };
        self.state().sessions.insert(Arc::clone(&id), session);
        Ok(ClientProcess { process, client: ClientId::Session(id) })
    }

    /// The process of a session. Returns `None` if there is no such session any more: the client must begin one.
    pub(crate) fn session(&self, id: &str, caller: Option<&AuthInfo>) -> Option<ClientProcess> {
        let variables = self.variables(caller).ok();
        let mut state = self.state();
        let (id, _) = state.sessions.get_key_value(id)?;
        let id = Arc::clone(id);
        let session = state.sessions.get_mut(&id)?;
        // What a process was told about its caller when it was started must still be true.
        let is_same = variables.is_some_and(|variables| variables == session.variables);
        if session.process.is_ending() || !is_same {
            drop(state);
            self.end_session(&id);
            return None;
        }
        session.last_use = Instant::now();
        session.process.touch(caller);
        Some(ClientProcess { process: Arc::clone(&session.process), client: ClientId::Session(id) })
    }

    /// The process of a caller without sessions.
    ///
    /// # Errors
    ///
    /// Why there is none.
    pub(crate) async fn of_caller(
        self: &Arc<Self>,
        caller: Option<&AuthInfo>,
    ) -> Result<ClientProcess, Refusal> {
        let (owner, variables) = (Owner::of(caller), self.variables(caller)?);
        let key = self.key_without_session(&owner, &variables);
        let process = self.process(key, &owner, &variables).await?;
        process.touch(caller);
        Ok(ClientProcess { process, client: ClientId::of_caller(owner, caller) })
    }

    /// Ends a session, and its process if that is its own. Returns `false` if there is none.
    pub(crate) fn end_session(&self, id: &str) -> bool {
        let Some((id, session)) = self.state().sessions.remove_entry(id) else { return false };
        if self.server.scope == ProcessScope::Session {
            session.process.end();
        } else {
            let answers = session.process.dispatch().leave(&ClientId::Session(id));
            answers.into_iter().for_each(|answer| session.process.send_now(answer));
        }
        true
    }

    /// Asks all processes to end, and starts no others. Returns them.
    pub(crate) fn close(&self) -> Vec<Arc<Process>> {
        let mut state = self.state();
        state.is_closed = true;
        let processes = state.processes.values().map(|held| Arc::clone(&held.process));
        processes.inspect(|process| process.end()).collect()
    }

    fn variables(&self, caller: Option<&AuthInfo>) -> Result<Variables, Refusal> {
        environment::of_caller(&self.server.env, caller).map_err(Refusal::Claims)
    }

    fn key_without_session(&self, owner: &Owner, variables: &Variables) -> Key {
        match self.server.scope {
            ProcessScope::Shared => Key::Everybody,
            _ => Key::Caller(owner.clone(), Arc::clone(variables)),
        }
    }

    /// The process for a key, which is started if there is none.
    async fn process(
        self: &Arc<Self>,
        key: Key,
        owner: &Owner,
        variables: &Variables,
    ) -> Result<Arc<Process>, Refusal> {
        let owner = if key == Key::Everybody { Owner::everybody() } else { owner.clone() };
        loop {
            // A process that ends has its place until it has ended.
            let ending = match self.try_process(&key, &owner, variables)? {
                Ok(process) => return Ok(process),
                Err(ending) => ending,
            };
            ending.over().await;
        }
    }

    /// The process for a key, or one that ends and must be waited for.
    fn try_process(
        self: &Arc<Self>,
        key: &Key,
        owner: &Owner,
        variables: &Variables,
    ) -> Result<Result<Arc<Process>, Arc<Process>>, Refusal> {
        let mut state = self.state();
        if let Some(held) = state.processes.get(key) {
            let process = Arc::clone(&held.process);
            return Ok(if process.is_ending() { Err(process) } else { Ok(process) });
        }
        if state.is_closed || state.processes.len() >= self.server.max_processes {
            return Err(Refusal::Limit);
        }
        if let Some(pause) = state.back_off.pause(owner, Instant::now()) {
            return Err(Refusal::BackOff(pause));
        }
        let own: Vec<_> = state.processes.values().filter(|held| held.owner == *owner).collect();
        if own.len() >= self.server.max_processes_per_principal {
            // The caller's own that is not used makes place.
            let idle = own.iter().map(|held| &held.process).filter(|process| !process.is_busy());
            let oldest = idle.min_by_key(|process| process.last_use()).ok_or(Refusal::OwnLimit)?;
            oldest.end();
            return Ok(Err(Arc::clone(oldest)));
        }
        let process = self.start(key, owner, variables).map_err(|error| {
            state.back_off.note(owner, true, Instant::now());
            Refusal::Start(error)
        })?;
        let held = Held { process: Arc::clone(&process), owner: owner.clone() };
        state.processes.insert(key.clone(), held);
        Ok(Ok(process))
    }

    fn start(
        self: &Arc<Self>,
        key: &Key,
        owner: &Owner,
        variables: &Variables,
    ) -> std::io::Result<Arc<Process>> {
        let (pool, ended, of) = (Arc::downgrade(self), key.clone(), owner.clone());
        let on_end = move |how: Ended| {
            if let Some(pool) = Weak::upgrade(&pool) {
                pool.forget(&ended, &of, how);
            }
        };
        let is_shared = *key == Key::Everybody;
        let process = Process::start(&self.server, variables, owner.clone(), is_shared, on_end)?;
        if !is_shared {
            tokio::spawn(end_if_revoked(self.auth.clone(), Arc::clone(&process)));
        }
        Ok(process)
    }

    /// Forgets a process that has ended, and its sessions.
    fn forget(&self, key: &Key, owner: &Owner, how: Ended) {
        let mut state = self.state();
        let Some(held) = state.processes.remove(key) else { return };
        state.sessions.retain(|_, session| !Arc::ptr_eq(&session.process, &held.process));
        state.back_off.ended(owner, how, Instant::now());
    }

    /// Makes place for a session where several have one process.
    fn make_place_for_session(&self, owner: &Owner) -> Result<(), Refusal> {
        let mut old = Vec::new();
        {
            let state = self.state();
            let is_old = |session: &Session| session.last_use.elapsed() >= self.server.idle_timeout;
            let all = state.sessions.iter();
            old.extend(all.filter(|(_, session)| is_old(session)).map(|(id, _)| Arc::clone(id)));
            let own = state.sessions.iter().filter(|(_, session)| session.owner == *owner);
            let mut own: Vec<_> = own.map(|(id, session)| (session.last_use, id)).collect();
            own.sort_unstable();
            let excess = (own.len() + 1).saturating_sub(MAX_SESSIONS_PER_PRINCIPAL);
            old.extend(own.into_iter().take(excess).map(|(_, id)| Arc::clone(id)));
        }
        for id in &old {
            self.end_session(id);
        }
        if self.state().sessions.len() >= MAX_SESSIONS { Err(Refusal::Limit) } else { Ok(()) }
    }
}

/// Ends a process when the newest token of its caller is revoked.
async fn end_if_revoked(auth: McpAuth, process: Arc<Process>) {
    let mut callers = process.caller();
    loop {
        let caller = callers.borrow_and_update().clone();
        let revoked = async {
            match &caller {
                Some(caller) => auth.revoked(caller).await,
                None => pending().await,
            }
        };
        tokio::select! {
            () = revoked => {
                process.end();
                return;
            }
            changed = callers.changed() => if changed.is_err() { return },
            () = process.over() => return,
        }
    }
}

#[cfg(test)]
mod tests;

//! How the system says that the program is to end.

use std::io;

#[cfg(unix)]
use tokio::signal::unix::{Signal, SignalKind, signal};
#[cfg(windows)]
use tokio::signal::windows::{CtrlC, CtrlClose, CtrlShutdown, ctrl_c, ctrl_close, ctrl_shutdown};

/// Who wants the program to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum By {
    /// A person, at a terminal.
    Person,
    /// What has started it: a container's runtime, systemd, Windows.
    System,
}

/// Listens for SIGINT and SIGTERM.
#[cfg(unix)]
pub(crate) struct Told {
    interrupt: Signal,
    terminate: Signal,
}

#[cfg(unix)]
impl Told {
    /// # Errors
    ///
    /// If the system does not let it listen.
    pub(crate) fn listen() -> io::Result<Self> {
        let (interrupt, terminate) = (SignalKind::interrupt(), SignalKind::terminate());
        Ok(Self { interrupt: signal(interrupt)?, terminate: signal(terminate)? })
    }

    /// Waits until the program is told to end.
    pub(crate) async fn next(&mut self) -> By {
        tokio::select! {
            _ = self.interrupt.recv() => By::Person,
            _ = self.terminate.recv() => By::System,
        }
    }
}

/// Listens for Ctrl-C, and for what Windows says before it closes the program.
#[cfg(windows)]
pub(crate) struct Told {
    interrupt: CtrlC,
    close: CtrlClose,
    shutdown: CtrlShutdown,
}

#[cfg(windows)]
impl Told {
    /// # Errors
    ///
    /// If the system does not let it listen.
    pub(crate) fn listen() -> io::Result<Self> {
        Ok(Self { interrupt: ctrl_c()?, close: ctrl_close()?, shutdown: ctrl_shutdown()? })
    }

    /// Waits until the program is told to end.
    pub(crate) async fn next(&mut self) -> By {
        tokio::select! {
            _ = self.interrupt.recv() => By::Person,
            _ = self.close.recv() => By::System,
            _ = self.shutdown.recv() => By::System,
        }
    }
}

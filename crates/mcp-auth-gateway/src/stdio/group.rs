//! A process and its descendants, as one group that ends as a whole.

use std::io::{self, Write as _};
use std::process::{ChildStdin, Command, Stdio};
use std::sync::{Mutex, OnceLock, PoisonError};

use std::os::unix::process::CommandExt as _;

use rustix::process::{Pid, Signal, kill_process_group, test_kill_process_group};

/// What outlives the gateway if that is killed, and ends its groups then. It reads `+ GROUP` and `- GROUP` from the gateway,
/// whose end ends its input. A parent-death signal would reach a process only, and not its descendants: `npx` starts a
/// shell that starts the server.
const GUARD: &str = r#"
trap '' HUP INT TERM
groups=' '
while read -r sign group; do
  case $sign in
    +) groups="$groups$group " ;;
    -) groups="${groups%% "$group" *} ${groups#* "$group" }" ;;
  esac
done
[ "$groups" = "${groups#*[0-9]}" ] && exit
for group in $groups; do kill -s TERM -- "-$group"; done
sleep 3
for group in $groups; do kill -s KILL -- "-$group"; done
"#;

/// The input of the guard. Returns `None` if it could not be started.
fn guard() -> Option<&'static Mutex<ChildStdin>> {
    static INPUT: OnceLock<Option<Mutex<ChildStdin>>> = OnceLock::new();
    let start = || {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", GUARD]).env_clear().env("PATH", "/usr/bin:/bin");
        // A group of its own, so that Ctrl-C in a terminal does not reach it.
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
        command
            .spawn()
            .and_then(|mut child| child.stdin.take().ok_or(io::ErrorKind::BrokenPipe.into()))
    };
    let started = INPUT.get_or_init(|| match start() {
        Ok(input) => Some(Mutex::new(input)),
        Err(error) => {
            tracing::warn!(target: "mcp_auth", %error, "there is no /bin/sh to end the servers if this gateway is killed: those that go on after the end of their input would stay");
            None
        }
    });
    started.as_ref()
}

fn tell_guard(sign: char, group: Pid) {
    let Some(guard) = guard() else { return };
    let mut input = guard.lock().unwrap_or_else(PoisonError::into_inner);
    if let Err(error) = writeln!(input, "{sign} {}", group.as_raw_nonzero()) {
        tracing::warn!(target: "mcp_auth", %error, "what ends the servers if this gateway is killed has ended itself");
    }
}

/// The group of a process that was started as the first of it. When this is dropped, everything in it is killed.
#[derive(Debug)]
pub(crate) struct Group(Pid);

impl Group {
    /// Lets a process that is started be the first of a group.
    pub(crate) fn begin(command: &mut tokio::process::Command) {
        command.process_group(0);
    }

    /// The group of this process. Returns `None` if the process has ended already.
    pub(crate) fn of(process: Option<u32>) -> Option<Self> {
        let pid = Pid::from_raw(process?.try_into().ok()?)?;
        tell_guard('+', pid);
        Some(Self(pid))
    }

    /// Asks everything in it to end.
    pub(crate) fn terminate(&self) {
        _ = kill_process_group(self.0, Signal::TERM);
    }

    /// Whether something in it runs.
    pub(crate) fn is_alive(&self) -> bool {
        test_kill_process_group(self.0).is_ok()
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        _ = kill_process_group(self.0, Signal::KILL);
        tell_guard('-', self.0);
    }
}

//! Starts a server process, pins it to one core, and reads its CPU time and memory from `/proc`.

use std::ffi::OsStr;
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command};
use std::time::Duration;

pub struct Server {
    child: Child,
    pub address: SocketAddr,
}

impl Server {
    /// Starts a server, and waits until it listens at this address.
    pub fn start(mut command: Command, address: SocketAddr) -> io::Result<Self> {
        let mut server = Self { child: command.spawn()?, address };
        for _ in 0..1000 {
            if TcpStream::connect(address).is_ok() {
                return Ok(server);
            }
            if let Some(status) = server.child.try_wait()? {
                return Err(io::Error::other(format!("{command:?} ended: {status}")));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Err(io::Error::other(format!("{command:?} does not listen at {address}")))
    }

    /// Sends a signal, by its name.
    pub fn signal(&self, name: &str) -> io::Result<()> {
        Command::new("kill").args(["-s", name, &self.child.id().to_string()]).status().map(drop)
    }

    /// Waits until it ends by itself. Returns whether it ended well.
    pub fn wait(&mut self) -> io::Result<bool> {
        Ok(self.child.wait()?.success())
    }

    /// CPU time of all its threads so far.
    pub fn cpu(&self) -> Duration {
        // The source of utime and stime, in nanoseconds instead of ticks, if the kernel provides it.
        let threads = std::fs::read_dir(format!("/proc/{}/task", self.child.id()));
        let times = threads.into_iter().flatten().flatten().map(|thread| {
            let text = std::fs::read_to_string(thread.path().join("schedstat")).ok()?;
            text.split(' ').next()?.parse::<u64>().ok()
        });
        match times.sum::<Option<u64>>() {
            Some(nanoseconds) if nanoseconds > 0 => Duration::from_nanos(nanoseconds),
            _ => self.ticks().unwrap_or_default(),
        }
    }

    /// `utime` and `stime` of `/proc/PID/stat`, in hundredths of a second.
    fn ticks(&self) -> Option<Duration> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).ok()?;
        let (_, fields) = stat.rsplit_once(')')?;
        let fields =
            fields.split_whitespace().skip(11).take(2).map(|field| field.parse::<u64>().ok());
        fields.sum::<Option<u64>>().map(|ticks| Duration::from_millis(ticks * 10))
    }

    /// Resident memory in MB: now, and at its peak.
    pub fn memory(&self) -> (f64, f64) {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))
            .unwrap_or_default();
        let of = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            let kilobytes =
                line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
            kilobytes.unwrap_or(f64::NAN) / 1024.0
        };
        (of("VmRSS:"), of("VmHWM:"))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// A free port of this machine.
pub fn free_address() -> io::Result<SocketAddr> {
    TcpListener::bind("127.0.0.1:0")?.local_addr()
}

/// Runs a program, on this core if there is one. `taskset` executes it in its own process.
pub fn on_core(program: impl AsRef<OsStr>, core: Option<usize>) -> Command {
    let Some(core) = core else { return Command::new(program) };
    let mut taskset = Command::new("taskset");
    taskset.arg("-c").arg(core.to_string()).arg(program);
    taskset
}

/// Whether processes can be pinned, and there are two cores to pin them to.
pub fn can_pin() -> bool {
    std::thread::available_parallelism().is_ok_and(|cores| cores.get() > 1)
        && Command::new("taskset").arg("-V").output().is_ok_and(|it| it.status.success())
}

/// Pins all threads of this process to a core.
pub fn pin_self(core: usize) {
    let me = std::process::id().to_string();
    drop(Command::new("taskset").args(["-a", "-p", "-c", &core.to_string(), &me]).output());
}

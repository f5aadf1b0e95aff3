//! Starts a server process, pins it to one core, and reads its CPU time and memory from `/proc`.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command};
use std::time::Duration;

use bench_issuer::Issuer;

pub struct Server {
    child: Child,
    pub address: SocketAddr,
}

impl Server {
    /// Starts a server on a free port, and waits until it listens.
    pub fn start(program: &Path, issuer: &Issuer, core: Option<usize>) -> io::Result<Self> {
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let mut command = match core {
            Some(core) => {
                let mut taskset = Command::new("taskset");
                taskset.arg("-c").arg(core.to_string()).arg(program);
                taskset
            }
            None => Command::new(program),
        };
        let child = command
            .env("PORT", address.port().to_string())
            .env("ISSUER", &issuer.url)
            .env("AUDIENCE", &issuer.audience)
            .env("BARE_KEYS", issuer.bare_keys())
            .env("WORKERS", "1")
            .spawn()?;
        let server = Self { child, address };
        for _ in 0..500 {
            if TcpStream::connect(address).is_ok() {
                return Ok(server);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Err(io::Error::other(format!("{} does not listen", program.display())))
    }

    /// CPU time of all its threads so far. `taskset` executes the server in its own process, so this is the server's.
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

//! Writes the audit log, on a thread of its own, so that a slow disk or pipe keeps no request waiting.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use mcp_auth_config::AuditConfig;

use crate::audit_limited::{INTERVAL, LimitedCounts};
use crate::audit_line::{AuditLine, AuditLost, VERSION, rfc3339};

/// The most bytes of lines that wait to be written while further requests are promised one: some seconds of a busy gateway.
const MAX_WAITING_BYTES: usize = 16 * 1024 * 1024;

/// How long writing pauses after it failed. A disk that is full stays so for a while.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);

/// How long waiting lines may take when the gateway ends.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(5);

/// Who may read a new file: it names people.
#[cfg(unix)]
const MODE: u32 = 0o640;

/// Where lines go.
#[derive(Clone)]
pub(crate) struct AuditWriter(Arc<Shared>);

struct Shared {
    lines: mpsc::Sender<Vec<u8>>,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    /// How many bytes of lines wait to be written.
    waiting: AtomicUsize,
    lost: AtomicU64,
    has_failed: AtomicBool,
    must_reopen: AtomicBool,
    limited: LimitedCounts,
}

impl AuditWriter {
    /// Opens the file, and starts to write.
    ///
    /// # Errors
    ///
    /// If the file cannot be opened.
    pub(crate) fn start(config: &AuditConfig) -> io::Result<Self> {
        Self::counting_for(config, INTERVAL)
    }

    /// Writes down each `interval` what was counted.
    fn counting_for(config: &AuditConfig, interval: Duration) -> io::Result<Self> {
        let mut output = Output::open(config.file.as_deref())?;
        let (lines, waiting) = mpsc::channel::<Vec<u8>>();
        let state = Arc::<State>::default();
        let (seen, file) = (Arc::clone(&state), config.file.clone());
        thread::Builder::new().name("audit".into()).spawn(move || {
            let mut counted = Instant::now();
            loop {
                match waiting.recv_timeout(interval.saturating_sub(counted.elapsed())) {
                    Ok(line) => {
                        write(&mut output, file.as_deref(), &seen, &line);
                        seen.waiting.fetch_sub(line.len(), Ordering::AcqRel);
                    }
                    Err(RecvTimeoutError::Timeout) => {}
                    Err(RecvTimeoutError::Disconnected) => return,
                }
                if counted.elapsed() >= interval {
                    // As a byte that waits, so that who waits for the last one waits for these too.
                    seen.waiting.fetch_add(1, Ordering::AcqRel);
                    for line in seen.limited.take() {
                        write(&mut output, file.as_deref(), &seen, &line.to_text());
                    }
                    seen.waiting.fetch_sub(1, Ordering::AcqRel);
                    counted = Instant::now();
                }
            }
        })?;
        Ok(Self(Arc::new(Shared { lines, state })))
    }

    /// Whether few enough lines wait that a request may be promised one.
    pub(crate) fn has_room(&self) -> bool {
        self.0.state.waiting.load(Ordering::Acquire) < MAX_WAITING_BYTES
    }

    /// Whether the last line could not be written.
    pub(crate) fn has_failed(&self) -> bool {
        self.0.state.has_failed.load(Ordering::Acquire)
    }

    /// Writes a line when those before it are written.
    pub(crate) fn send(&self, line: &AuditLine) {
        let line = line.to_text();
        self.0.state.waiting.fetch_add(line.len(), Ordering::AcqRel);
        if self.0.lines.send(line).is_err() {
            // The thread is gone, and nothing can be written any more.
            self.0.state.has_failed.store(true, Ordering::Release);
            self.lose();
        }
    }

    /// Counts a request over the limit of its address.
    pub(crate) fn limited(&self, resource: &str, address: IpAddr) {
        self.0.state.limited.add(resource, address);
    }

    /// Counts a line that is not written.
    pub(crate) fn lose(&self) {
        metrics::counter!("mcp_auth_gateway_audit_lines_lost_total").increment(1);
        if self.0.state.lost.fetch_add(1, Ordering::AcqRel) == 0 {
            tracing::error!(target: "mcp_auth", "lines of the audit log are lost, since they cannot be written as fast as they come: the log says how many when it can be written again");
        }
    }

    /// How many lines were lost since one could be written.
    #[cfg(test)]
    fn lost(&self) -> u64 {
        self.0.state.lost.load(Ordering::Acquire)
    }

    /// Opens the file again before the next line: the old one was moved away.
    pub(crate) fn reopen(&self) {
        self.0.state.must_reopen.store(true, Ordering::Release);
    }

    /// Writes what was counted, and waits for the lines that wait to be written, for some seconds.
    pub(crate) async fn flush(&self) {
        self.0.state.limited.take().iter().for_each(|line| self.send(line));
        let written = async {
            while self.0.state.waiting.load(Ordering::Acquire) > 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        if tokio::time::timeout(FLUSH_TIMEOUT, written).await.is_err() {
            tracing::error!(target: "mcp_auth", "the last lines of the audit log are lost, since they cannot be written");
        }
    }
}

/// A file, or the standard output.
enum Output {
    File(File),
    Stdout,
}

impl Output {
    fn open(file: Option<&Path>) -> io::Result<Self> {
        let Some(file) = file else { return Ok(Self::Stdout) };
        let mut options = OpenOptions::new();
        options.append(true).create(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, MODE);
        options.open(file).map(Self::File)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::File(file) => file.write_all(bytes),
            Self::Stdout => {
                let mut stdout = io::stdout().lock();
                stdout.write_all(bytes)?;
                stdout.flush()
            }
        }
    }
}

/// Writes a line, however long it takes.
fn write(output: &mut Output, file: Option<&Path>, state: &State, line: &[u8]) {
    if state.must_reopen.swap(false, Ordering::AcqRel) {
        match Output::open(file) {
            Ok(opened) => *output = opened,
            Err(error) => {
                tracing::error!(target: "mcp_auth", %error, "the file of the audit log cannot be opened again: the old one is written on");
            }
        }
    }
    loop {
        let written = write_once(output, state, line);
        let has_failed = written.is_err();
        let had_failed = state.has_failed.swap(has_failed, Ordering::AcqRel);
        let Err(error) = written else {
            if had_failed {
                tracing::warn!(target: "mcp_auth", "the audit log is written again");
            }
            return;
        };
        if !had_failed {
            tracing::error!(target: "mcp_auth", %error, "the audit log cannot be written: it is tried again each second");
        }
        thread::sleep(RETRY_INTERVAL);
        if let Ok(opened) = Output::open(file) {
            *output = opened;
        }
    }
}

fn write_once(output: &mut Output, state: &State, line: &[u8]) -> io::Result<()> {
    // Part of a line may have been written when writing failed.
    if state.has_failed.load(Ordering::Acquire) {
        output.write(b"\n")?;
    }
    let lost = state.lost.load(Ordering::Acquire);
    if lost > 0 {
        let time = rfc3339(SystemTime::now());
        output.write(&AuditLine::Lost(AuditLost { v: VERSION, time, lost }).to_text())?;
        state.lost.fetch_sub(lost, Ordering::AcqRel);
    }
    output.write(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(lost: u64) -> AuditLine {
        AuditLine::Lost(AuditLost { v: VERSION, time: "x".repeat(1_000), lost })
    }

    #[cfg(unix)]
    fn pipe(name: &str) -> (File, AuditConfig) {
        let pipe = std::env::temp_dir().join(format!("mcp-auth-{name}-{}", std::process::id()));
        let made = std::process::Command::new("mkfifo").arg(&pipe).status();
        assert!(made.is_ok_and(|status| status.success()));
        // Opened for both, so that nobody waits for the other end.
        let reader = OpenOptions::new().read(true).write(true).open(&pipe).expect("the pipe");
        (reader, AuditConfig { file: Some(pipe), ..AuditConfig::default() })
    }

    #[cfg(unix)]
    #[test]
    fn what_was_counted_is_written_though_no_other_line_comes() {
        use std::io::BufRead as _;
        let (reader, config) = pipe("counts");
        let writer = AuditWriter::counting_for(&config, Duration::from_millis(5)).expect("started");
        (0..3).for_each(|_| writer.limited("https://a.example/mcp", IpAddr::from([10, 0, 0, 1])));
        let lines = io::BufReader::new(reader).lines();
        let mut seen = 0;
        for line in lines.map_while(Result::ok) {
            let line: crate::audit_line::AuditLimited = serde_json::from_str(&line).expect(&line);
            assert_eq!(line.address.as_deref(), Some("10.0.0.1"));
            seen += line.limited;
            if seen == 3 {
                break;
            }
        }
        std::fs::remove_file(config.file.expect("a pipe")).expect("removed");
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn what_a_slow_pipe_does_not_take_is_counted_and_said() {
        let (reader, config) = pipe("pipe");
        let writer = AuditWriter::start(&config).expect("a writer");
        let mut number = 0;
        while writer.has_room() {
            writer.send(&line(7));
            number += 1;
        }
        assert!(number >= MAX_WAITING_BYTES / 1_100);
        // Those that were promised.
        (0..100).for_each(|_| writer.send(&line(7)));
        number += 100;
        assert!(!writer.has_room());
        writer.lose();
        writer.lose();
        assert_eq!(writer.lost(), 2);
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || {
            use std::io::BufRead as _;
            for line in io::BufReader::new(reader).lines().map_while(Result::ok) {
                _ = sender.send(line);
            }
        });
        let next = || lines.recv_timeout(Duration::from_secs(20)).expect("a line");
        let all: Vec<_> = (0..=number).map(|_| next()).collect();
        let of = |text: &str| all.iter().filter(|line| line.contains(text)).count();
        assert_eq!((of("\"lost\":7"), of("\"lost\":2")), (number, 1));
        writer.flush().await;
        assert!(writer.has_room() && writer.lost() == 0);
        std::fs::remove_file(config.file.expect("a pipe")).expect("removed");
    }

    #[tokio::test]
    async fn a_file_that_was_moved_away_is_opened_again_when_told() {
        let file = std::env::temp_dir().join(format!("mcp-auth-audit-{}", std::process::id()));
        let moved = file.with_extension("1");
        let config = AuditConfig { file: Some(file.clone()), ..AuditConfig::default() };
        let writer = AuditWriter::start(&config).expect("a writer");
        let write = async |number| {
            writer.send(&line(number));
            writer.flush().await;
        };
        write(1).await;
        std::fs::rename(&file, &moved).expect("moved");
        write(2).await;
        writer.reopen();
        write(3).await;
        let read = |path| std::fs::read_to_string(path).expect("a file").lines().count();
        assert_eq!((read(&moved), read(&file)), (2, 1));
        for file in [file, moved] {
            std::fs::remove_file(file).expect("removed");
        }
        assert!(!writer.has_failed());
        let none = AuditConfig { file: Some("/none/audit".into()), ..AuditConfig::default() };
        assert!(AuditWriter::start(&none).is_err());
    }
}

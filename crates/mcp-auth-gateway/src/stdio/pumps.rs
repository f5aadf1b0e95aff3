//! What is written to a process, and what it writes.

use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::ChildStdin;
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::stdio::framing::{Line, Lines};
use crate::stdio::owner::Owner;

/// The longest line of a log that is shown.
const MAX_LOGGED_CHARS: usize = 2000;

/// How many lines of a process are logged in ten seconds, so that one does not fill the log.
const MAX_LOGGED_LINES: usize = 200;
const LOG_INTERVAL: Duration = Duration::from_secs(10);

/// Writes lines to a process until nobody sends any, or it does not read any more.
pub(crate) async fn write(mut stdin: ChildStdin, mut lines: mpsc::Receiver<Bytes>) {
    while let Some(line) = lines.recv().await {
        let written = async {
            stdin.write_all(&line).await?;
            stdin.write_all(b"\n").await?;
            stdin.flush().await
        };
        if written.await.is_err() {
            return;
        }
    }
}

/// Reads lines until there are no others.
pub(crate) async fn read(mut output: impl AsyncRead + Unpin, mut each: impl FnMut(Line)) {
    let mut lines = Lines::default();
    while output.read_buf(lines.buffer()).await.is_ok_and(|read| read > 0) {
        while let Some(line) = lines.next() {
            each(line);
        }
    }
}

/// Logs what a process writes to stderr.
pub(crate) async fn log(owner: Owner, stderr: impl AsyncRead + Unpin) {
    let (mut since, mut logged) = (Instant::now(), 0_usize);
    let each = |line| {
        if is_decoration(&line) {
            return;
        }
        if since.elapsed() >= LOG_INTERVAL {
            (since, logged) = (Instant::now(), 0);
        }
        logged += 1;
        if logged <= MAX_LOGGED_LINES {
            tracing::info!(target: "mcp_auth", %owner, line = shown(&line), "the server says");
        } else if logged == MAX_LOGGED_LINES + 1 {
            tracing::warn!(target: "mcp_auth", %owner, "the server says more than is logged");
        }
    };
    read(stderr, each).await;
}

/// Whether a line has no letter and no digit, as most of the banner that FastMCP writes at its start.
fn is_decoration(line: &Line) -> bool {
    match line {
        Line::Whole(line) => !String::from_utf8_lossy(line).chars().any(char::is_alphanumeric),
        _ => false,
    }
}

/// A line for a log: escaped, and cut.
pub(crate) fn shown(line: &Line) -> String {
    let Line::Whole(line) = line else { return "longer than 4 MiB".to_owned() };
    let line = String::from_utf8_lossy(line.get(..MAX_LOGGED_CHARS * 4).unwrap_or(line));
    line.trim_end().escape_debug().take(MAX_LOGGED_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_and_empty_lines_are_not_logged() {
        for (line, expected) in [
            ("╭──────────────╮", true),
            ("│              │", true),
            ("", true),
            ("  ", true),
            ("│   FastMCP 4  │", false),
            ("Error: 漢", false),
        ] {
            let line = Line::Whole(Bytes::copy_from_slice(line.as_bytes()));
            assert_eq!(is_decoration(&line), expected, "{line:?}");
        }
    }
}

//! The log, in the words of a file of configuration.

use std::io::{self, Write};

use mcp_auth_config::in_keys;

/// Writes to standard error. Where the library's advice names a method, it names the key instead.
pub(crate) struct Log(io::Stderr);

impl Log {
    pub(crate) fn new() -> Self {
        Self(io::stderr())
    }
}

/// Each event comes whole.
impl Write for Log {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        match std::str::from_utf8(event) {
            Ok(text) => self.0.write_all(in_keys(text).as_bytes())?,
            Err(_) => self.0.write_all(event)?,
        }
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

//! Reads a file with the limits of a fetch, and without blocking the runtime.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

use crate::net::fetch::client::Limits;
use crate::net::fetch::error::FetchError;
use crate::util::json::without_bom;

/// Reads the file at `path`.
pub(crate) async fn read_file(path: Arc<Path>, limits: Limits) -> Result<Vec<u8>, FetchError> {
    let name = path.display().to_string();
    // A blocking thread waits for the disk. Taking longer than a fetch may take is an outage.
    let reading = tokio::task::spawn_blocking(move || read(&path, limits.max_bytes));
    let text = match tokio::time::timeout(limits.timeout, reading).await {
        Ok(Ok(read)) => read.map_err(|source| FetchError::File { path: name, source })?,
        Ok(Err(_)) => return Err(FetchError::Transport("the runtime shuts down".into())),
        Err(_) => return Err(FetchError::Timeout(limits.timeout)),
    };
    if text.len() > limits.max_bytes {
        return Err(FetchError::TooLarge(limits.max_bytes));
    }
    Ok(without_bom(&text).to_vec())
}

fn read(path: &Path, max_bytes: usize) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    File::open(path)?.take(max_bytes as u64 + 1).read_to_end(&mut text)?;
    Ok(text)
}

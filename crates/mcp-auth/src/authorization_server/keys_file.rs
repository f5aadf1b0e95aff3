//! Keys in a file, read again while tokens need them.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::Settings;
use super::live::MAX_DOCUMENT_BYTES;
use crate::fetch::FetchError;
use crate::fresh::{Fresh, Timing};
use crate::jwt::KeySet;

/// How long keys are used before the file is read again. A file is near, and is changed by hand or by a
/// mounted secret: who does so expects it to matter at once, and no load comes of it.
const LIFETIME: Duration = Duration::from_secs(10);

/// The keys in the file at `path`.
pub(super) fn keys(settings: Arc<Settings>, path: Arc<Path>, timing: Timing) -> Fresh<KeySet> {
    Fresh::new(
        settings.clock.clone(),
        timing,
        Box::new(move |in_hand: Option<Arc<KeySet>>| {
            let (settings, path) = (settings.clone(), path.clone());
            Box::pin(async move {
                // Another thread waits for the disk; what takes longer than a fetch is an outage.
                let reading = tokio::task::spawn_blocking(move || load(&path));
                let read = match tokio::time::timeout(settings.timeout, reading).await {
                    Ok(Ok(read)) => read,
                    Ok(Err(_)) => Err(FetchError::Transport("the runtime shuts down".into())),
                    Err(_) => Err(FetchError::Timeout(settings.timeout)),
                };
                settings.report("keys", read.as_ref().err());
                Ok((read?.succeed(in_hand.as_deref()), LIFETIME))
            })
        }),
    )
}

fn load(path: &Path) -> Result<KeySet, FetchError> {
    let text = read(path)
        .map_err(|source| FetchError::File { path: path.display().to_string(), source })?;
    if text.len() > MAX_DOCUMENT_BYTES {
        return Err(FetchError::TooLarge(MAX_DOCUMENT_BYTES));
    }
    let keys = match text.trim_ascii_start().first() {
        Some(b'{') => KeySet::parse(&text),
        _ => KeySet::from_pem(&String::from_utf8_lossy(&text)),
    };
    let nonsense = |why: String| FetchError::Nonsense { url: path.display().to_string(), why };
    keys.map_err(|why| nonsense(why.to_string()))
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    File::open(path)?.take(MAX_DOCUMENT_BYTES as u64 + 1).read_to_end(&mut text)?;
    Ok(text)
}

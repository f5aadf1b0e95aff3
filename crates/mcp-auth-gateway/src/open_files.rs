//! How many files, which connections are, this process may have open.

/// Files that are not connections of clients or to upstreams: listeners, the admin listener's connections, logs, and
/// fetches from issuers.
const RESERVED: usize = 160;

/// How many connections of clients fit, if each may have a request under way, which needs one to the upstream.
///
/// The soft limit of open files is raised to the hard one first: many systems start programs with 1,024. Returns `None` if
/// there is no limit, or the system does not tell.
#[cfg(unix)]
pub(crate) fn room_for_connections() -> Option<usize> {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current < limit.maximum || limit.maximum.is_none() {
        let raised = rustix::process::Rlimit { current: limit.maximum, ..limit };
        if setrlimit(Resource::Nofile, raised).is_ok() {
            limit = raised;
        }
    }
    Some(room_in(usize::try_from(limit.current?).unwrap_or(usize::MAX)))
}

/// The system has no such limit.
#[cfg(not(unix))]
pub(crate) fn room_for_connections() -> Option<usize> {
    None
}

fn room_in(files: usize) -> usize {
    (files.saturating_sub(RESERVED) / 2).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_the_files_is_for_clients() {
        for (files, expected) in [(0, 1), (160, 1), (1024, 432), (65_536, 32_688)] {
            assert_eq!(room_in(files), expected, "{files}");
        }
    }
}

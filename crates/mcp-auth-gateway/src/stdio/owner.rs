//! To whom a process belongs.

use std::fmt;
use std::sync::Arc;

use mcp_auth::AuthInfo;

/// The longest name in a log. Subjects are UUIDs or addresses.
const MAX_SHOWN_CHARS: usize = 200;

/// A caller: issuer and subject, as the library binds sessions. Different callers are different texts, since each part is
/// quoted.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Owner(Arc<str>);

impl Owner {
    pub(crate) fn of(caller: Option<&AuthInfo>) -> Self {
        Self(match caller {
            None => "anonymous".into(),
            // A token without a subject names no user: then its client does.
            Some(caller) => match caller.client_id().filter(|_| caller.subject().is_empty()) {
                None => caller.principal().to_string().into(),
                Some(client) => format!("{} with {client:?}", caller.principal()).into(),
            },
        })
    }

    /// The owner of a process that all callers share.
    pub(crate) fn everybody() -> Self {
        Self("everybody".into())
    }
}

/// For logs: quoted, escaped and bounded.
impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            self.0
                .char_indices()
                .nth(MAX_SHOWN_CHARS)
                .map_or(&*self.0, |(end, _)| self.0.get(..end).unwrap_or_default()),
        )
    }
}

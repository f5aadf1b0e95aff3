//! `ClaimedSessions`: the sessions that anonymous callers began, and the caller that goes on with each.

use std::convert::Infallible;

use quick_cache::sync::Cache;

use crate::model::session_owner::SessionOwner;

/// Maximum number of sessions, about 3 MB. Of those that nobody has used for long, any may be claimed again by whoever
/// knows its id.
const MAX_SESSIONS: usize = 10_000;

/// The sessions that anonymous callers began, by the id of the inner server.
pub(crate) struct ClaimedSessions(Cache<Vec<u8>, SessionOwner>);

impl ClaimedSessions {
    pub(crate) fn new() -> Self {
        Self(Cache::new(MAX_SESSIONS))
    }

    /// Whether this caller may use the session: it is anonymous, and nobody has claimed the session; or the session is
    /// its own, from now on.
    pub(crate) fn admit(&self, id: &[u8], owner: &SessionOwner) -> bool {
        if owner.is_anonymous() {
            return self.0.get(id).is_none();
        }
        let claim = || Ok::<_, Infallible>(owner.clone());
        let claimed = self.0.get_or_insert_with(id, claim);
        claimed.unwrap_or_else(|never| match never {}) == *owner
    }
}

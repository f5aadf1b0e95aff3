//! `ClaimedSessions`: the sessions that anonymous callers began, and the caller that goes on with each.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use quick_cache::sync::Cache;
use tokio::sync::watch;

use crate::model::session_owner::SessionOwner;

/// Maximum number of sessions, about 3 MB. Of those that nobody has used for long, any may be claimed again by whoever
/// knows its id.
const MAX_SESSIONS: usize = 10_000;

/// The sessions that anonymous callers began, by the id of the inner server.
pub(crate) struct ClaimedSessions {
    owners: Cache<Vec<u8>, SessionOwner>,
    /// What waits for a session to be claimed: an open stream each. A sender is dropped when its session is claimed.
    waiting: Mutex<HashMap<Box<[u8]>, watch::Sender<()>>>,
}

impl ClaimedSessions {
    pub(crate) fn new() -> Self {
        Self { owners: Cache::new(MAX_SESSIONS), waiting: Mutex::default() }
    }

    /// Whether this caller may use the session: it is anonymous, and nobody has claimed the session; or the session is
    /// its own, from now on.
    pub(crate) fn admit(&self, id: &[u8], owner: &SessionOwner) -> bool {
        if owner.is_anonymous() {
            return self.owners.get(id).is_none();
        }
        let mut is_new = false;
        let claim = || {
            is_new = true;
            Ok::<_, Infallible>(owner.clone())
        };
        let claimed = self.owners.get_or_insert_with(id, claim);
        if is_new {
            self.waiting().remove(id);
        }
        claimed.unwrap_or_else(|never| match never {}) == *owner
    }

    /// Ready when a caller goes on with the session.
    pub(crate) async fn claimed(self: Arc<Self>, id: Box<[u8]>) {
        let mut wait = {
            let mut waiting = self.waiting();
            // With the lock, so that a claim finds either the owner here or this wait.
            if self.owners.get(&*id).is_some() {
                return;
            }
            let claimed = waiting.entry(id.clone()).or_default().subscribe();
            Wait { sessions: Arc::clone(&self), id, claimed }
        };
        // Nothing is ever sent: this fails when the sender is dropped.
        while wait.claimed.changed().await.is_ok() {}
    }

    fn waiting(&self) -> MutexGuard<'_, HashMap<Box<[u8]>, watch::Sender<()>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Removes what nobody waits for any more.
struct Wait {
    sessions: Arc<ClaimedSessions>,
    id: Box<[u8]>,
    claimed: watch::Receiver<()>,
}

impl Drop for Wait {
    fn drop(&mut self) {
        let mut waiting = self.sessions.waiting();
        let is_claimed = self.claimed.has_changed().is_err();
        // This one still counts. Of a claimed session there is nothing left, or what waits for its next claim.
        let is_last = |sender: &watch::Sender<()>| sender.receiver_count() <= 1;
        if !is_claimed && waiting.get(&self.id).is_some_and(is_last) {
            waiting.remove(&self.id);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Waker};

    use super::*;
    use crate::model::auth_info::AuthInfo;
    use crate::model::credentials::Credentials;
    use crate::model::verified_token::VerifiedToken;

    fn alice() -> SessionOwner {
        let bearer = http::HeaderValue::from_static("Bearer abc");
        let headers = [(http::header::AUTHORIZATION, bearer)].into_iter().collect();
        let credentials = Credentials::from_headers(&headers).expect("credentials");
        let token = VerifiedToken::assert("https://auth.example.com", "alice");
        SessionOwner::of(Some(&AuthInfo::admitted(token, credentials, Arc::default())))
    }

    #[test]
    fn whoever_waits_for_a_session_is_woken_by_its_claim_and_leaves_nothing_behind() {
        let sessions = Arc::new(ClaimedSessions::new());
        let mut context = Context::from_waker(Waker::noop());
        let wait = |id: &[u8]| Box::pin(Arc::clone(&sessions).claimed(id.into()));
        let (mut first, mut second, mut other) = (wait(b"s1"), wait(b"s1"), wait(b"s2"));
        for waiting in [&mut first, &mut second, &mut other] {
            assert!(waiting.as_mut().poll(&mut context).is_pending());
        }
        drop(second);
        assert!(first.as_mut().poll(&mut context).is_pending(), "another has left");
        assert!(sessions.admit(b"s1", &alice()));
        assert!(first.as_mut().poll(&mut context).is_ready());
        assert!(other.as_mut().poll(&mut context).is_pending(), "it waits for another session");
        assert!(wait(b"s1").as_mut().poll(&mut context).is_ready(), "it is claimed");
        drop(other);
        assert!(sessions.waiting().is_empty(), "nothing is left");
    }
}

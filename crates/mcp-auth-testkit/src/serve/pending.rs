//! Authorization requests that wait for the user's decision.

use std::time::{Duration, SystemTime};

/// The parameters of a request, in order.
pub(super) type Pairs = Vec<(String, String)>;

/// A request whose consent page is shown to the user.
pub(super) struct Pending {
    pub(super) request: Pairs,
    pub(super) since: SystemTime,
}

impl Pending {
    pub(super) fn is_fresh(&self, now: SystemTime) -> bool {
        self.since + Duration::from_secs(600) > now
    }
}

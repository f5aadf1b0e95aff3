//! Which exchanges may be sent: what the issuer refuses to one caller, others may still get.

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use crate::issuer::token_exchange::failure::FailureScope;
use crate::model::auth_info::Principal;
use crate::net::backoff::{Backoff, FIRST_DELAY};
use crate::net::pace::Pace;

/// The share of one caller in what is in flight and, at a server with a limit, in what is sent in a second: a quarter.
pub(super) const SHARES: usize = 4;

/// After how many callers whose exchanges are refused because there are too many, one after the other, it is this server
/// that is refused. Whoever has fewer accounts at the issuer cannot make others wait.
const MAX_REFUSED_CALLERS: u32 = 8;

/// How long a caller that was refused gets no more than its share. Others are not limited by what one has caused.
const LIMITED_FOR: Duration = Duration::from_secs(120);

/// The budgets of exchanges at one server.
#[derive(Default)]
pub(super) struct Budgets {
    /// After failures that are about this server.
    all: Backoff,
    /// The callers whose exchanges were refused because there were too many.
    refused: HashMap<Principal, Backoff>,
    /// How many of them were refused since the last answer.
    refused_in_a_row: u32,
    pace: Pace,
    /// When callers were refused because there were too many, for as long as they get their shares only.
    limited: HashMap<Principal, SystemTime>,
    /// What each caller has sent in the current second, at a server with a limit.
    sent: HashMap<Principal, usize>,
    second_began_at: Option<SystemTime>,
}

impl Budgets {
    /// How long no token of this caller may be exchanged, and why. `None` if one may be exchanged now.
    pub(super) fn left(
        &mut self,
        caller: &Principal,
        now: SystemTime,
    ) -> Option<(Duration, &'static str)> {
        if let Some(left) = self.all.left(now) {
            return Some((
                left,
                "the issuer is out of reach, or refuses this server, and is asked again after a delay",
            ));
        }
        if let Some(left) = self.refused.get(caller).and_then(|backoff| backoff.left(now)) {
            return Some((
                left,
                "the issuer gets too many requests, and is asked for this caller again after a delay",
            ));
        }
        let limit = self.pace.limit(now)?;
        if !self.limited.get(caller).is_some_and(|at| is_recent(*at, now)) {
            return None;
        }
        self.begin_second_if_due(now);
        let sent = self.sent.get(caller).copied().unwrap_or_default();
        (sent >= (limit as usize).div_ceil(SHARES)).then_some((
            FIRST_DELAY,
            "the issuer gets too many requests, and this caller has had its share of those that it answers",
        ))
    }

    pub(super) fn sent(&mut self, caller: &Principal, now: SystemTime) {
        self.all.sent(now);
        if let Some(backoff) = self.refused.get_mut(caller) {
            backoff.sent(now);
        }
        if self.pace.limit(now).is_some() {
            self.begin_second_if_due(now);
            *self.sent.entry(caller.clone()).or_default() += 1;
        }
    }

    /// Records that the issuer has issued a token for this caller, or has refused to.
    pub(super) fn answered(&mut self, caller: &Principal, now: SystemTime) {
        self.all.reset();
        self.refused.remove(caller);
        self.refused_in_a_row = 0;
        self.pace.answered(now);
    }

    /// Records the failure of a request for this caller that was sent at `sent_at`.
    pub(super) fn failed(
        &mut self,
        caller: &Principal,
        scope: FailureScope,
        sent_at: SystemTime,
        now: SystemTime,
    ) {
        match scope {
            FailureScope::ThisToken => self.all.failed_alone(sent_at),
            FailureScope::AllCallers => self.all.failed(sent_at, now, FIRST_DELAY),
            FailureScope::TooMany { retry_after } => {
                self.pace.refused(now);
                self.limited.retain(|_, at| is_recent(*at, now));
                self.limited.insert(caller.clone(), now);
                let is_new = self.refused.get(caller).and_then(|it| it.left(now)).is_none();
                self.refused.retain(|_, backoff| backoff.left(now).is_some());
                let backoff = self.refused.entry(caller.clone()).or_default();
                backoff.failed(sent_at, now, retry_after.unwrap_or(FIRST_DELAY));
                self.refused_in_a_row += u32::from(is_new);
                match self.refused_in_a_row >= MAX_REFUSED_CALLERS {
                    true => self.all.failed(sent_at, now, FIRST_DELAY),
                    false => self.all.failed_alone(sent_at),
                }
            }
        }
    }

    /// Whether a failure is due for a log line.
    pub(super) fn should_log(&mut self, now: SystemTime) -> bool {
        self.all.should_log(now)
    }

    fn begin_second_if_due(&mut self, now: SystemTime) {
        let age = self.second_began_at.and_then(|began_at| now.duration_since(began_at).ok());
        if age.is_none_or(|age| age >= FIRST_DELAY) {
            self.sent.clear();
            self.second_began_at = Some(now);
        }
    }
}

fn is_recent(at: SystemTime, now: SystemTime) -> bool {
    now.duration_since(at).is_ok_and(|age| age < LIMITED_FOR)
}

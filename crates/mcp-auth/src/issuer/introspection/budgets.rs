//! Which introspection requests may be sent: known tokens and others have budgets of their own.

use std::time::{Duration, SystemTime};

use crate::issuer::introspection::failure::FailureScope;
use crate::net::backoff::{Backoff, FIRST_DELAY};
use crate::net::pace::Pace;

/// Whether a token may be invented.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TokenClass {
    /// The token was active before, or is a JWT whose signature was verified.
    Known,
    /// Anyone can send such tokens.
    Unknown,
}

/// The budgets of the two classes of tokens at one server.
///
/// Failures and answers about unknown tokens change nothing for known ones. Whether the server is in trouble for them
/// is learned from their own requests. Failures about known tokens pause unknown ones too.
#[derive(Default)]
pub(super) struct Budgets {
    known: Backoff,
    unknown: Backoff,
    /// How many requests about unknown tokens the server answers beside those about known ones.
    pace: Pace,
    /// When the server last answered.
    answered_at: Option<SystemTime>,
}

impl Budgets {
    /// How long no request about a token of this class may be sent. `None` if one may be sent now.
    pub(super) fn left(&mut self, class: TokenClass, now: SystemTime) -> Option<Duration> {
        let known = self.known.left(now);
        match class {
            TokenClass::Known => known,
            TokenClass::Unknown => known.max(self.unknown.left(now)).max(self.pace.left(now)),
        }
    }

    pub(super) fn sent(&mut self, class: TokenClass, now: SystemTime) {
        self.backoff(class).sent(now);
        if class == TokenClass::Unknown {
            self.pace.sent(now);
        }
    }

    /// Records that the server answered a request that was about a token of this class.
    pub(super) fn answered(&mut self, class: TokenClass, now: SystemTime) {
        self.answered_at = Some(now);
        self.backoff(class).reset();
        if class == TokenClass::Unknown {
            self.pace.answered(now);
        }
    }

    /// Records the failure of a request that was sent at `sent_at`.
    pub(super) fn failed(
        &mut self,
        class: TokenClass,
        scope: FailureScope,
        sent_at: SystemTime,
        now: SystemTime,
    ) {
        match scope {
            FailureScope::ThisToken => self.backoff(class).failed_alone(sent_at),
            FailureScope::Class => self.backoff(class).failed(sent_at, now, FIRST_DELAY),
            FailureScope::TooMany { retry_after } => {
                self.pace.refused(now);
                if !self.is_answering(now) {
                    self.pace.forget();
                    let at_least = retry_after.unwrap_or(FIRST_DELAY);
                    self.backoff(class).failed(sent_at, now, at_least);
                } else if class == TokenClass::Unknown {
                    self.unknown.failed(sent_at, now, FIRST_DELAY);
                }
            }
        }
    }

    /// Whether a failure about a token of this class is due for a log line. Failures that anyone can cause must not
    /// hide the others.
    pub(super) fn should_log(&mut self, class: TokenClass, now: SystemTime) -> bool {
        self.backoff(class).should_log(now)
    }

    /// Whether the server has answered within the last second: if it refuses a request, it is not down, and the next
    /// request about another known token may succeed.
    fn is_answering(&self, now: SystemTime) -> bool {
        let since = self.answered_at.and_then(|at| now.duration_since(at).ok());
        since.is_some_and(|since| since < FIRST_DELAY)
    }

    fn backoff(&mut self, class: TokenClass) -> &mut Backoff {
        match class {
            TokenClass::Known => &mut self.known,
            TokenClass::Unknown => &mut self.unknown,
        }
    }
}

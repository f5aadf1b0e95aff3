//! `TokenWatch`: notices that the token of an open request expires, is revoked, or is refused by a recheck.

use std::task::{Context, Poll};
use std::time::SystemTime;

use crate::integrations::tower::stream_deadline::StreamDeadline;
use crate::model::auth_info::AuthInfo;
use crate::resource::mcp_auth::McpAuth;

/// Why a token is no longer accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TokenEnd {
    Expired,
    Revoked,
}

/// Watches the token of an open request.
pub(super) struct TokenWatch {
    auth: McpAuth,
    caller: AuthInfo,
    /// The version of the revocations at which the caller was last looked up.
    version: usize,
    deadline: StreamDeadline,
}

impl TokenWatch {
    /// Watches the caller's token until it expires at `end`.
    pub(super) fn new(auth: &McpAuth, caller: &AuthInfo, end: Option<SystemTime>) -> Self {
        let mut deadline = StreamDeadline::new(end, auth.clock().clone());
        if auth.needs_recheck(caller) {
            deadline = deadline.with_recheck();
        }
        Self { auth: auth.clone(), caller: caller.clone(), version: 0, deadline }
    }

    /// From now on only a revocation ends the token.
    pub(super) fn ignore_expiry(&mut self) {
        self.deadline.ignore_expiry();
    }

    /// Whether the token has ended. A recheck that is due is started.
    pub(super) fn ended(&mut self, context: &mut Context<'_>) -> Option<TokenEnd> {
        let version = self.auth.revocations().version();
        let is_news = std::mem::replace(&mut self.version, version) != version;
        if self.deadline.is_revoked() || is_news && self.auth.is_revoked(&self.caller) {
            return Some(TokenEnd::Revoked);
        }
        if self.deadline.has_expired() {
            return Some(TokenEnd::Expired);
        }
        if !self.deadline.is_refused(context, || self.auth.is_refused(&self.caller)) {
            return None;
        }
        if self.auth.may_have_expired(&self.caller) {
            // Then the token ends as any other that expires, at its deadline.
            self.deadline.stop_rechecks();
            return None;
        }
        Some(TokenEnd::Revoked)
    }

    /// Ready when [`ended`](Self::ended) must be called again.
    pub(super) fn wait(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let (auth, caller) = (&self.auth, &self.caller);
        self.deadline.poll(context, || Box::pin(auth.revoked(caller)))
    }
}

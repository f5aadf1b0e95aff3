//! Refusing tokens before they expire.

use super::{McpAuth, McpAuthBuilder};
use crate::issuer::revocations::Revocations;
use crate::model::revocation::Revocation;
use crate::model::token::AuthInfo;

impl McpAuthBuilder {
    /// Looks up revocations in this book, which other resources may share. Each resource has its own
    /// unless this is set.
    pub fn revocations(mut self, book: &Revocations) -> Self {
        self.revocations = book.clone();
        self
    }
}

impl McpAuth {
    /// Refuses these tokens from the next request on, remembered ones too: 401 `invalid_token`. Streams that
    /// were opened with them end.
    ///
    /// It counts here, and not at the issuer: who can still log in, or refresh, gets a new token that is
    /// admitted. Revoke there as well.
    ///
    /// ```
    /// use mcp_auth::{AuthInfo, McpAuth, Revocation};
    ///
    /// fn sign_out_everywhere(auth: &McpAuth, caller: &AuthInfo) {
    ///     auth.revoke(Revocation::subject(caller.issuer(), caller.subject()));
    /// }
    /// ```
    pub fn revoke(&self, revocation: Revocation) {
        self.0.revocations.enter(&revocation, self.0.clock.now());
    }

    /// The book of revocations.
    #[must_use]
    pub fn revocations(&self) -> &Revocations {
        &self.0.revocations
    }

    /// Whether the caller's token was revoked since it was admitted: for work that takes long.
    #[must_use]
    pub fn is_revoked(&self, caller: &AuthInfo) -> bool {
        self.0.revocations.is_revoked(caller.facts())
    }
}

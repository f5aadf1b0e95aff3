//! What is no longer believed, though it has not expired: one statement of it.

use std::time::SystemTime;

use crate::util::unix_time::unix_secs;

/// Tokens that are to be refused from now on. Given to [`McpAuth::revoke`](crate::McpAuth::revoke).
///
/// Each speaks of one issuer: the same subject of another issuer is somebody else.
///
/// ```
/// use mcp_auth::Revocation;
///
/// let of_a_user = Revocation::subject("https://auth.example.com", "alice");
/// let of_a_token = Revocation::token("https://auth.example.com", "the-jti-of-the-token");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revocation {
    pub(crate) issuer: Box<str>,
    pub(crate) kind: RevokedKind,
    /// The name of what is revoked; empty for everything.
    pub(crate) name: Box<str>,
    /// Tokens issued before this second are revoked; those of a session or an identifier always are.
    pub(crate) before: Option<u64>,
}

/// What a revocation is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RevokedKind {
    Everything,
    Session,
    Subject,
    /// A subject's tokens that name no session: nobody knows whether they are of one that ended.
    SubjectWithoutSession,
    Token,
}

impl Revocation {
    /// One token, by its `jti`.
    #[must_use]
    pub fn token(issuer: impl Into<String>, jti: impl Into<String>) -> Self {
        Self::new(issuer, RevokedKind::Token, jti)
    }

    /// The tokens of one login, by their `sid`. Not every issuer puts it into access tokens: those
    /// without are not hit.
    #[must_use]
    pub fn session(issuer: impl Into<String>, sid: impl Into<String>) -> Self {
        Self::new(issuer, RevokedKind::Session, sid)
    }

    /// All tokens of a subject that were issued until now. Who logs in anew gets in again.
    #[must_use]
    pub fn subject(issuer: impl Into<String>, subject: impl Into<String>) -> Self {
        Self::new(issuer, RevokedKind::Subject, subject)
    }

    /// All tokens of an issuer that were issued before a moment: after a break-in there.
    #[must_use]
    pub fn issued_before(issuer: impl Into<String>, moment: SystemTime) -> Self {
        let everything = Self::new(issuer, RevokedKind::Everything, "");
        Self { before: Some(unix_secs(moment)), ..everything }
    }

    /// Those of a subject that were issued until this second, by the clock of the issuer.
    pub(crate) fn until(self, second: u64) -> Self {
        Self { before: Some(second.saturating_add(1)), ..self }
    }

    /// A subject's tokens that do not name a session.
    pub(crate) fn subject_without_session(issuer: &str, subject: &str) -> Self {
        Self::new(issuer, RevokedKind::SubjectWithoutSession, subject)
    }

    fn new(issuer: impl Into<String>, kind: RevokedKind, name: impl Into<String>) -> Self {
        Self { issuer: issuer.into().into(), kind, name: name.into().into(), before: None }
    }
}

//! `Revocation`: which tokens are refused although they have not expired.

use std::time::SystemTime;

use crate::util::unix_time::unix_secs;

/// Tokens to refuse from now on. Passed to [`McpAuth::revoke`](crate::McpAuth::revoke).
///
/// A revocation applies to one issuer: the same subject at another issuer is a different subject.
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
    /// The `jti`, `sid` or subject that is revoked. Empty for everything.
    pub(crate) name: Box<str>,
    pub(crate) before: Before,
}

/// Tokens issued before this are revoked. Does not matter for a session or a single token, which are always
/// revoked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Before {
    /// The moment at which the revocation is inserted.
    Now,
    /// A second since 1970, by our clock.
    Ours(u64),
    /// A second since 1970, by the clock of the issuer, which also wrote the `iat` of its tokens.
    Issuers(u64),
}

/// What is revoked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RevokedKind {
    Everything,
    /// All sessions that began before. Tokens show that by `auth_time`, and revoked are those that do not.
    EverySession,
    Session,
    Subject,
    /// A subject's tokens that name no session. They may belong to a session that ended.
    SubjectWithoutSession,
    Token,
}

impl RevokedKind {
    pub(crate) const ALL: [Self; 6] = [
        Self::Everything,
        Self::EverySession,
        Self::Session,
        Self::Subject,
        Self::SubjectWithoutSession,
        Self::Token,
    ];
}

impl Revocation {
    /// Revokes one token, by its `jti`.
    #[must_use]
    pub fn token(issuer: impl Into<String>, jti: impl Into<String>) -> Self {
        Self::new(issuer, RevokedKind::Token, jti)
    }

    /// Revokes the tokens of one login session, by their `sid`. Not every issuer puts it into access tokens.
    /// Tokens without it are not affected.
    #[must_use]
    pub fn session(issuer: impl Into<String>, sid: impl Into<String>) -> Self {
        Self::new(issuer, RevokedKind::Session, sid)
    }

    /// Revokes all tokens of a subject that were issued until now. After a new login, the subject is admitted
    /// again.
    #[must_use]
    pub fn subject(issuer: impl Into<String>, subject: impl Into<String>) -> Self {
        Self::new(issuer, RevokedKind::Subject, subject)
    }

    /// Revokes all tokens of an issuer that were issued before a moment, for example after a breach there.
    #[must_use]
    pub fn issued_before(issuer: impl Into<String>, moment: SystemTime) -> Self {
        let everything = Self::new(issuer, RevokedKind::Everything, "");
        Self { before: Before::Ours(unix_secs(moment)), ..everything }
    }

    /// Limits the revocation to tokens issued until this second, by the clock of the issuer.
    pub(crate) fn until(self, second: u64) -> Self {
        Self { before: Before::Issuers(second.saturating_add(1)), ..self }
    }

    /// Revokes a subject's tokens that do not name a session.
    pub(crate) fn subject_without_session(issuer: &str, subject: &str) -> Self {
        Self::new(issuer, RevokedKind::SubjectWithoutSession, subject)
    }

    fn new(issuer: impl Into<String>, kind: RevokedKind, name: impl Into<String>) -> Self {
        Self { issuer: issuer.into().into(), kind, name: name.into().into(), before: Before::Now }
    }
}

//! `ExchangedToken`: a token for another server, in the name of a caller.

use std::fmt;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::HeaderValue;

use crate::issuer::token_cache::CacheWeight;
use crate::model::scope::Scopes;
use crate::net::fetch::sensitive_header;
use crate::verify::jwt::Claims;

/// How long before its expiry a token is not taken from the cache anymore, in seconds: the request that is made with it
/// must arrive, and clocks differ.
const HEADROOM: u64 = 10;

/// How long a token is taken from the cache if its issuer does not say when it expires, in seconds. A tool in a loop does
/// not ask in a loop, and should the token live for less, the other server refuses it for no longer than this.
const UNKNOWN_LIFETIME: u64 = 30;

/// A token for another server, in the name of the caller for whom [`AuthInfo::exchange`](crate::AuthInfo::exchange)
/// was called. `Debug` does not show it.
#[derive(Clone)]
pub struct ExchangedToken(pub(super) Arc<TokenFields>);

pub(super) struct TokenFields {
    pub(super) token: Box<str>,
    /// In seconds since 1970.
    pub(super) expires_at: Option<NonZeroU64>,
    pub(super) scopes: Option<Scopes>,
}

impl ExchangedToken {
    /// The token as text. Anyone who has it can act as the caller, at the server it is for.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0.token
    }

    /// The value of the header `Authorization` for a request to that server, marked as sensitive.
    #[must_use]
    pub fn authorization(&self) -> HeaderValue {
        // `response::parse` accepts only tokens that are valid in a header.
        sensitive_header("Bearer", &self.0.token).unwrap_or(HeaderValue::from_static("Bearer"))
    }

    /// When the token expires. `None` if its issuer did not say.
    #[must_use]
    pub fn expires_at(&self) -> Option<SystemTime> {
        UNIX_EPOCH.checked_add(Duration::from_secs(self.0.expires_at?.get()))
    }

    /// The scopes that the token grants. `None` if they are the requested ones
    /// ([RFC 8693 §2.2.1](https://www.rfc-editor.org/rfc/rfc8693#section-2.2.1)).
    #[must_use]
    pub fn scopes(&self) -> Option<&Scopes> {
        self.0.scopes.as_ref()
    }

    /// Until when it may be taken from the cache, in seconds since 1970, if it was issued at `now`.
    pub(super) fn end_in_cache(&self, now: u64) -> u64 {
        if let Some(end) = self.0.expires_at {
            return end.get().saturating_sub(HEADROOM);
        }
        // Nobody has verified what a JWT says of itself. It can only make the time shorter.
        let end = Claims::unverified_end(&self.0.token).unwrap_or(u64::MAX);
        end.saturating_sub(HEADROOM).min(now.saturating_add(UNKNOWN_LIFETIME))
    }

    /// Whether it is valid for no second more than `now`, in seconds since 1970.
    pub(super) fn has_expired(&self, now: u64) -> bool {
        self.0.expires_at.is_some_and(|end| end.get() <= now)
    }
}

impl fmt::Debug for ExchangedToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ExchangedToken(redacted)")
    }
}

impl CacheWeight for ExchangedToken {
    /// 1, and 1 more for each full KiB.
    fn weight(&self) -> u64 {
        1 + self.0.token.len() as u64 / 1024
    }
}

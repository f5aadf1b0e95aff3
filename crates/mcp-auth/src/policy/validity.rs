//! Time checks: `exp`, `nbf` and the age of tokens, with leeway.

use std::num::NonZeroU64;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::model::denial::Denial;
use crate::model::error_codes::Reason;
use crate::model::verified_token::{API_KEY_ISSUER, TokenData};

/// After how long clients may try again if the clock of this machine is not set. It is set soon after the start.
const CLOCK_RETRY: Duration = Duration::from_secs(30);

/// When a resource accepts tokens.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Validity {
    /// The tolerated difference between the clocks of issuers and ours.
    pub(crate) leeway: Duration,
    /// The maximum time since a token was issued.
    pub(crate) max_token_age: Option<Duration>,
}

impl Validity {
    /// Checks `nbf`, `exp` and the age of a token, in this order.
    pub(crate) fn check(&self, token: &TokenData, now: SystemTime) -> Result<(), Denial> {
        // Earlier times would be 0 here, at which no token has expired.
        let Ok(since) = now.duration_since(UNIX_EPOCH) else {
            return Err(Denial::unavailable(CLOCK_RETRY).detail(
                "the clock of this machine is before 1970, so that no token is known to be in time: set the clock",
            ));
        };
        let now = since.as_secs();
        if !has_begun(token.not_before, now, self.leeway) {
            return Err(not_begun(token.not_before, now, self.leeway));
        }
        let leeway = self.leeway_for(token);
        if let Some(end) = token.expires_at.filter(|end| has_expired(end.get(), now, leeway)) {
            return Err(match *token.issuer == *API_KEY_ISSUER {
                true => key_expired(end.get(), now),
                false => expired(end.get(), now, leeway),
            });
        }
        self.max_token_age.map_or(Ok(()), |age| self.check_age(token, now, age))
    }

    fn check_age(&self, token: &TokenData, now: u64, max_age: Duration) -> Result<(), Denial> {
        if *token.issuer == *API_KEY_ISSUER {
            return Ok(()); // an API key has no `iat`; its list limits its lifetime
        }
        let issued_at = token.issued_at.ok_or_else(|| {
            Denial::invalid(Reason::Claims)
                .detail("the token does not say how old it is, which `.max_token_age(..)` limits: let the issuer put `iat` into it")
        })?;
        // For verifiers of one's own. JWTs of the future are refused for that already.
        if !has_begun(issued_at.get(), now, self.leeway) {
            return Err(not_begun(issued_at.get(), now, self.leeway));
        }
        if has_expired(issued_at.get().saturating_add(max_age.as_secs()), now, self.leeway) {
            return Err(Denial::invalid(Reason::Expired).detail(format!(
                "the token was issued {} s ago, `.max_token_age(..)` allows {} s, and the leeway is {} s: the client has to refresh it",
                now.saturating_sub(issued_at.get()),
                max_age.as_secs(),
                self.leeway.as_secs(),
            )));
        }
        Ok(())
    }

    /// The moment from which a token is refused. Returns `None` if it does not expire.
    pub(crate) fn end_of(&self, token: &TokenData) -> Option<SystemTime> {
        let max_age = self.max_token_age.filter(|_| *token.issuer != *API_KEY_ISSUER);
        let too_old =
            max_age.and_then(|age| Some(token.issued_at?.get().saturating_add(age.as_secs())));
        let end = token.expires_at.map(NonZeroU64::get).into_iter().chain(too_old).min()?;
        // In whole seconds, as `has_expired` counts.
        let end = end.saturating_add(self.leeway_for(token).as_secs());
        UNIX_EPOCH.checked_add(Duration::from_secs(end))
    }

    /// The leeway for a token. API keys have none: the operator of this server sets their expiry, and our own
    /// clock measures it.
    fn leeway_for(&self, token: &TokenData) -> Duration {
        if *token.issuer == *API_KEY_ISSUER { Duration::ZERO } else { self.leeway }
    }
}

/// Whether a token that expires at `end` is refused at `now`, both in seconds since 1970
/// ([RFC 7519 §4.1.4](https://www.rfc-editor.org/rfc/rfc7519#section-4.1.4)).
pub(crate) fn has_expired(end: u64, now: u64, leeway: Duration) -> bool {
    now >= end.saturating_add(leeway.as_secs())
}

/// The denial of a token that expired at `end`. Numbers are not text that others could forge a line with.
#[cold]
pub(crate) fn expired(end: u64, now: u64, leeway: Duration) -> Denial {
    Denial::invalid(Reason::Expired).detail(format!(
        "the token expired {} s ago, and the leeway is {} s: {}",
        now.saturating_sub(end),
        leeway.as_secs(),
        Reason::Expired.hint(),
    ))
}

/// The denial of an API key that expired at `end`.
#[cold]
fn key_expired(end: u64, now: u64) -> Denial {
    Denial::invalid(Reason::Expired).detail(format!(
        "the API key expired {} s ago, as its `expires_at` says: give its owner a new key",
        now.saturating_sub(end),
    ))
}

/// The denial of a token that is valid from `start` on.
#[cold]
pub(crate) fn not_begun(start: u64, now: u64, leeway: Duration) -> Denial {
    Denial::invalid(Reason::NotYetValid).detail(format!(
        "the token is not valid before its `nbf` and `iat`, the later of them in {} s, and the leeway is {} s: compare the clocks of this machine and of the issuer",
        start.saturating_sub(now),
        leeway.as_secs(),
    ))
}

/// Whether a token valid from `start` on is accepted at `now`.
pub(crate) fn has_begun(start: u64, now: u64, leeway: Duration) -> bool {
    start <= now.saturating_add(leeway.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::verified_token::VerifiedToken;
    use crate::util::unix_time::unix_secs;

    const ISSUER: &str = "https://auth.example.com";

    fn at(second: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(second)
    }

    #[test]
    fn times_at_the_edges_do_not_overflow() {
        assert!(!has_expired(u64::MAX, 1, Duration::from_secs(60)));
        assert!(!has_begun(u64::MAX, 1, Duration::from_secs(60)));
        assert!(has_begun(0, unix_secs(UNIX_EPOCH - Duration::from_secs(5)), Duration::ZERO));
    }

    #[test]
    fn max_token_age_is_enforced() {
        let validity = Validity {
            leeway: Duration::from_secs(60),
            max_token_age: Some(Duration::from_secs(600)),
        };
        let rows = [
            (ISSUER, r#"{"iat":1000}"#, 1000, None),
            (ISSUER, r#"{"iat":1000}"#, 1659, None),
            (ISSUER, r#"{"iat":1000}"#, 1660, Some(Reason::Expired)),
            (ISSUER, r#"{"iat":1000.9}"#, 1660, Some(Reason::Expired)),
            (ISSUER, r#"{"iat":1060}"#, 1000, None),
            (ISSUER, r#"{"iat":1061}"#, 1000, Some(Reason::NotYetValid)),
            (ISSUER, r#"{"iat":1785196800000}"#, 1_785_196_800, Some(Reason::NotYetValid)),
            (ISSUER, "{}", 0, Some(Reason::Claims)),
            (ISSUER, r#"{"iat":null}"#, 0, Some(Reason::Claims)),
            (ISSUER, r#"{"iat":"1000"}"#, 1000, Some(Reason::Claims)),
            (API_KEY_ISSUER, "{}", 0, None),
        ];
        for (issuer, claims, now, reason) in rows {
            let claims: serde_json::Value = serde_json::from_str(claims).expect("JSON");
            let token = VerifiedToken::assert(issuer, "a").with_claims(&claims).expect("an object");
            let checked = validity.check(token.data(), at(now));
            assert_eq!(checked.err().and_then(|it| it.reason()), reason, "{issuer} {claims} {now}");
        }
    }

    #[test]
    fn no_token_is_valid_before_1970() {
        let before = UNIX_EPOCH - Duration::from_secs(1);
        for token in [
            VerifiedToken::assert(ISSUER, "a").expires_at(at(1)),
            VerifiedToken::assert(ISSUER, "a"),
            VerifiedToken::assert(API_KEY_ISSUER, "a").expires_at(at(1)),
        ] {
            let denial = Validity::default().check(token.data(), before).expect_err("no clock");
            assert_eq!(denial.code(), "unavailable");
            assert!(Validity::default().check(token.data(), UNIX_EPOCH).is_ok());
        }
    }

    #[test]
    fn the_end_of_a_token_is_when_it_starts_to_be_refused() {
        let token = || VerifiedToken::assert(ISSUER, "alice").expires_at(at(1000));
        let validity = Validity { leeway: Duration::from_millis(60_900), max_token_age: None };
        let end = validity.end_of(token().data()).expect("an end");
        assert!(has_expired(1000, unix_secs(end), validity.leeway));
        assert!(!has_expired(1000, unix_secs(end - Duration::from_millis(1)), validity.leeway));
        let endless = VerifiedToken::assert(ISSUER, "a");
        assert_eq!(validity.end_of(endless.data()), None);

        let validity = Validity { max_token_age: Some(Duration::from_secs(600)), ..validity };
        let issued = |second: u64| {
            token().with_claims(&serde_json::json!({ "iat": second })).expect("an object")
        };
        let end_of = |token: VerifiedToken| validity.end_of(token.data());
        assert_eq!(end_of(issued(100)), Some(at(760)), "too old before it expires");
        assert_eq!(end_of(issued(900)), Some(at(1060)));
    }
}

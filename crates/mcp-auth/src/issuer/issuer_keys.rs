//! An issuer's key set (JWKS), refreshed when it is due and when no key in it verifies a token.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::model::denial::Denial;
use crate::net::backoff::FIRST_DELAY;
use crate::net::fetch::FetchError;
use crate::net::metrics::{self, IssuerLabel};
use crate::net::refresh::RefreshError;
use crate::net::refreshing_cache::RefreshingCache;
use crate::util::shown;
use crate::util::unix_time::unix_secs;
use crate::verify::jwt::{Jws, Key, KeyLookupError, KeySet};

/// How much older than the key set a token must be, so that its key cannot be newer than the set. Issuers publish a key
/// before they sign with it; this is for clocks that differ, and for a cache in front of the issuer.
const PUBLICATION_DELAY: Duration = Duration::from_secs(60);

/// The keys of one issuer.
pub(crate) struct IssuerKeys {
    issuer: Arc<str>,
    keys: Keys,
}

enum Keys {
    /// Keys that never change.
    Static(Arc<KeySet>),
    /// No keys: the issuer signs with a shared secret.
    SharedSecret,
    /// Keys that are fetched, or read from a file, and may change.
    Remote(RefreshingCache<KeySet>, IssuerLabel),
}

impl IssuerKeys {
    /// Keys that never change.
    pub(crate) fn fixed(issuer: Arc<str>, keys: Arc<KeySet>) -> Self {
        Self { issuer, keys: Keys::Static(keys) }
    }

    /// No keys, because the issuer signs with a shared secret.
    pub(crate) fn shared_secret(issuer: Arc<str>) -> Self {
        Self { issuer, keys: Keys::SharedSecret }
    }

    /// Keys that are fetched or read from a file, and refreshed.
    pub(crate) fn remote(
        issuer: Arc<str>,
        label: IssuerLabel,
        keys: RefreshingCache<KeySet>,
    ) -> Self {
        Self { issuer, keys: Keys::Remote(keys, label) }
    }

    /// Fetches the keys if none are cached. Fails if none of them is usable.
    pub(crate) async fn warm_up(&self) -> Result<(), RefreshError> {
        let Keys::Remote(cache, label) = &self.keys else { return Ok(()) };
        let keys = cache.current().await?;
        if !keys.is_empty() {
            return Ok(());
        }
        let (url, why) = (self.issuer.to_string(), self.no_usable_key(keys.why_unusable(), label));
        let why = Some(Arc::new(FetchError::InvalidDocument { url, why }));
        Err(RefreshError::Failed { why, retry_after: FIRST_DELAY })
    }

    /// Fetches the keys in the background, if there are none or a refresh is due.
    pub(crate) fn refresh_if_due(&self) {
        if let Keys::Remote(keys, _) = &self.keys {
            keys.refresh_if_due();
        }
    }

    /// The number of usable keys, and their age if they are fetched. A shared secret counts as one key.
    pub(crate) fn status(&self) -> (usize, Option<Duration>) {
        match &self.keys {
            Keys::Static(keys) => (keys.len(), None),
            Keys::SharedSecret => (1, None),
            Keys::Remote(cache, _) => {
                let keys = cache.peek().filter(|_| cache.is_usable());
                (keys.map_or(0, |keys| keys.len()), cache.age())
            }
        }
    }

    /// Returns the key that signed the token. Waits for the keys if there are none yet, and for newer ones if none of
    /// them verifies the token: an issuer may rotate a key with or without a new `kid`.
    ///
    /// If newer ones may not be fetched now, or cannot be, the token is invalid only if its key cannot be newer than
    /// the cached ones; otherwise it cannot be verified. `issued_at` is the unverified `iat`.
    pub(crate) async fn verify(
        &self,
        jws: &Jws<'_>,
        issuer: &str,
        issued_at: Option<u64>,
    ) -> Result<Arc<Key>, Denial> {
        let (cache, label) = match &self.keys {
            Keys::Static(keys) => return keys.verify(jws, issuer).map_err(Denial::from),
            Keys::SharedSecret => return Err(KeyLookupError::Algorithm.into()),
            Keys::Remote(cache, label) => (cache, label),
        };
        let refreshes = cache.refreshes();
        let mut keys = cache.current().await.map_err(|error| self.out_of_reach(error, label))?;
        metrics::keys_age(label, || cache.age());
        loop {
            if keys.is_empty() {
                let retry_after = cache.lifetime_left().max(FIRST_DELAY);
                let detail = self.no_usable_key(keys.why_unusable(), label);
                return Err(Denial::unavailable(retry_after).detail(detail));
            }
            let missing = match keys.verify(jws, issuer) {
                Ok(key) => return Ok(key),
                // The issuer was asked for its keys after the token arrived, and this is not one of them.
                Err(missing) if keys.began_after(refreshes) => return Err(missing.into()),
                Err(missing) => missing,
            };
            // A refresh that is joined may have begun before the key was published. The next one has not.
            keys = match cache.refresh_after_miss(&keys).await {
                Ok(newer) => newer,
                Err(_) if !may_be_newer(issued_at, keys.began_at()) => return Err(missing.into()),
                Err(_) if keys.has_withdrawn_key_of(jws, issuer) => return Err(missing.into()),
                Err(error @ RefreshError::Failed { .. }) => {
                    return Err(self.out_of_reach(error, label));
                }
                Err(error @ RefreshError::CoolingDown { .. }) => {
                    return Err(self.too_soon(error, label));
                }
            }
        }
    }

    fn out_of_reach(&self, error: RefreshError, label: &IssuerLabel) -> Denial {
        match label.pattern() {
            None => error.into_denial(format!(
                "the keys of the issuer {:?} are out of reach: check that it is up, and that this machine may connect to it",
                shown::field(&self.issuer),
            )),
            // The token is not verified, and neither is what it names. The log of the fetch has both, at debug.
            Some(pattern) => error.without_cause().into_denial(format!(
                "the keys of an issuer that the resolver for {pattern:?} trusts are out of reach (logged at debug): check that it is up, and that this machine may connect to it",
            )),
        }
    }

    fn too_soon(&self, error: RefreshError, label: &IssuerLabel) -> Denial {
        error.into_denial(format!(
            "no cached key of {} has signed the token, a newer one may have, and the keys were fetched a moment ago: someone sends tokens that the issuer did not sign, or it changes its keys faster than `.jwks_cooldown(..)`",
            self.named(label),
        ))
    }

    fn no_usable_key(&self, why: &str, label: &IssuerLabel) -> String {
        format!("the key set of {} has no key that this version can use: {why}", self.named(label))
    }

    /// The issuer for the log, unless a token named it that is not verified.
    fn named(&self, label: &IssuerLabel) -> String {
        match label.pattern() {
            None => format!("the issuer {:?}", shown::field(&self.issuer)),
            Some(pattern) => format!("an issuer that the resolver for {pattern:?} trusts"),
        }
    }
}

/// Whether the key of a token with this `iat` may have been published after the fetch of the key set began. Attackers
/// choose the `iat` of their tokens, but it decides only between two refusals: 401, after which clients log in again,
/// and 503, after which they try again. Without it, an attacker who keeps the cooldown running could hold clients with
/// tokens of withdrawn keys at 503.
fn may_be_newer(issued_at: Option<u64>, fetch_began_at: SystemTime) -> bool {
    let covered = unix_secs(fetch_began_at).saturating_sub(PUBLICATION_DELAY.as_secs());
    issued_at.is_none_or(|issued_at| issued_at >= covered)
}

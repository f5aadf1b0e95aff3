//! An issuer's key set (JWKS), refreshed when it is due and when no key in it verifies a token.

use std::sync::Arc;
use std::time::Duration;

use crate::model::denial::Denial;
use crate::net::metrics::{self, IssuerLabel};
use crate::net::refreshing_cache::{RefreshError, RefreshingCache};
use crate::util::shown;
use crate::verify::jwt::{Jws, Key, KeyLookupError, KeySet};

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

    /// Fetches the keys if none are cached.
    pub(crate) async fn warm_up(&self) -> Result<(), RefreshError> {
        match &self.keys {
            Keys::Static(_) | Keys::SharedSecret => Ok(()),
            Keys::Remote(keys, _) => keys.current().await.map(|_| ()),
        }
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

    /// Returns the key that signed the token. Waits for the keys if there are none yet, and at most once for newer
    /// ones if none of them verifies the token.
    pub(crate) async fn verify(&self, jws: &Jws<'_>, issuer: &str) -> Result<Arc<Key>, Denial> {
        let (cache, label) = match &self.keys {
            Keys::Static(keys) => return keys.verify(jws, issuer).map_err(Denial::from),
            Keys::SharedSecret => return Err(KeyLookupError::Algorithm.into()),
            Keys::Remote(cache, label) => (cache, label),
        };
        let had_keys = cache.is_usable();
        let keys = cache.current().await.map_err(|error| self.unavailable(error, label))?;
        metrics::keys_age(label, || cache.age());
        let missing = match keys.verify(jws, issuer) {
            // An issuer may rotate a key without a new `kid`, and may rotate while older keys are being fetched. If
            // there were no usable keys before, these are new, and are not fetched again.
            Err(missing @ (KeyLookupError::Signature | KeyLookupError::Unknown)) if had_keys => {
                missing
            }
            done => return done.map_err(Denial::from),
        };
        match cache.refresh_after_miss(&keys).await {
            Ok(newer) => newer.verify(jws, issuer).map_err(Denial::from),
            Err(error @ RefreshError::Failed { .. }) if missing == KeyLookupError::Unknown => {
                Err(self.unavailable(error, label))
            }
            Err(_) => Err(missing.into()),
        }
    }

    fn unavailable(&self, error: RefreshError, label: &IssuerLabel) -> Denial {
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
}

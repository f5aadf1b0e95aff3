//! An issuer's JSON Web Key Set, refreshed when it is due and when a token names an unknown key.

use std::sync::Arc;
use std::time::Duration;

use crate::model::denial::Denial;
use crate::net::metrics;
use crate::net::refreshing_cache::{RefreshError, RefreshingCache};
use crate::verify::jwt::{Jws, Key, KeyLookupError, KeySet};

/// The keys of one issuer.
pub(crate) struct IssuerKeys {
    issuer: Arc<str>,
    keys: Keys,
}

enum Keys {
    /// The same for ever.
    Static(Arc<KeySet>),
    /// None: a secret stands for them.
    None,
    /// From elsewhere, and they may change.
    Remote(RefreshingCache<KeySet>),
}

impl IssuerKeys {
    /// Keys that stay as they are.
    pub(crate) fn fixed(issuer: Arc<str>, keys: Arc<KeySet>) -> Self {
        Self { issuer, keys: Keys::Static(keys) }
    }

    /// No keys, because a secret stands for them.
    pub(crate) fn none(issuer: Arc<str>) -> Self {
        Self { issuer, keys: Keys::None }
    }

    /// Keys from elsewhere, kept fresh.
    pub(crate) fn remote(issuer: Arc<str>, keys: RefreshingCache<KeySet>) -> Self {
        Self { issuer, keys: Keys::Remote(keys) }
    }

    /// Has the keys fetched, if none are in hand.
    pub(crate) async fn warm_up(&self) -> Result<(), RefreshError> {
        match &self.keys {
            Keys::Static(_) | Keys::None => Ok(()),
            Keys::Remote(keys) => keys.current().await.map(|_| ()),
        }
    }

    /// Has the keys fetched in the background, if there are none or it is time for new ones.
    pub(crate) fn refresh_if_due(&self) {
        if let Keys::Remote(keys) = &self.keys {
            keys.refresh_if_due();
        }
    }

    /// How many keys may be used, and how old they are, if they can grow old.
    pub(crate) fn status(&self) -> (usize, Option<Duration>) {
        match &self.keys {
            Keys::Static(keys) => (keys.len(), None),
            Keys::None => (1, None),
            Keys::Remote(cache) => {
                let keys = cache.peek().filter(|_| cache.is_usable());
                (keys.map_or(0, |keys| keys.len()), cache.age())
            }
        }
    }

    /// The key that signed the token. Waits for the keys if there are none yet, and once for newer
    /// ones if the token's key is not among them.
    pub(crate) async fn verify(&self, jws: &Jws<'_>, issuer: &str) -> Result<Arc<Key>, Denial> {
        let cache = match &self.keys {
            Keys::Static(keys) => return keys.verify(jws, issuer).map_err(Denial::from),
            Keys::None => return Err(KeyLookupError::Algorithm.into()),
            Keys::Remote(cache) => cache,
        };
        let had_keys = cache.is_usable();
        let keys = cache.current().await.map_err(|error| self.unavailable(error))?;
        metrics::keys_age(&self.issuer, || cache.age());
        let missing = match keys.verify(jws, issuer) {
            // An issuer may rotate without a new name for its key, and while older keys are on their way. The first ones
            // are taken as they come.
            Err(missing @ (KeyLookupError::Signature | KeyLookupError::Unknown)) if had_keys => {
                missing
            }
            done => return done.map_err(Denial::from),
        };
        match cache.refresh_after_miss(&keys).await {
            Ok(newer) => newer.verify(jws, issuer).map_err(Denial::from),
            Err(error @ RefreshError::Failed { .. }) if missing == KeyLookupError::Unknown => {
                Err(self.unavailable(error))
            }
            Err(_) => Err(missing.into()),
        }
    }

    fn unavailable(&self, error: RefreshError) -> Denial {
        error.into_denial(format!(
            "the keys of the issuer {:?} are out of reach: check that it is up, and that this machine may connect to it",
            self.issuer,
        ))
    }
}

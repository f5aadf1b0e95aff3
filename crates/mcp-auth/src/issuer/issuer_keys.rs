//! An issuer's JSON Web Key Set, refreshed when it is due and when a token names an unknown key.

use std::sync::Arc;
use std::time::Duration;

use crate::model::denial::Denial;
use crate::net::fetch::FetchError;
use crate::net::metrics;
use crate::net::refreshing_cache::{Fresh, Lacking};
use crate::verify::jwt::{Jws, Key, KeySet, Missing};

/// The keys of one issuer.
pub(crate) struct Keyring {
    issuer: Arc<str>,
    keys: Keys,
}

enum Keys {
    /// The same for ever.
    Given(Arc<KeySet>),
    /// None: a secret stands for them.
    Needless,
    /// From elsewhere, and they may change.
    Kept(Fresh<KeySet>),
}

impl Keyring {
    /// Keys that stay as they are.
    pub(crate) fn given(issuer: Arc<str>, keys: Arc<KeySet>) -> Self {
        Self { issuer, keys: Keys::Given(keys) }
    }

    /// No keys, because a secret stands for them.
    pub(crate) fn needless(issuer: Arc<str>) -> Self {
        Self { issuer, keys: Keys::Needless }
    }

    /// Keys from elsewhere, kept fresh.
    pub(crate) fn kept(issuer: Arc<str>, keys: Fresh<KeySet>) -> Self {
        Self { issuer, keys: Keys::Kept(keys) }
    }

    /// Has the keys fetched, if none are in hand.
    pub(crate) async fn warm_up(&self) -> Result<(), Lacking> {
        match &self.keys {
            Keys::Given(_) | Keys::Needless => Ok(()),
            Keys::Kept(keys) => keys.current().await.map(|_| ()),
        }
    }

    /// Has the keys fetched in the background, if there are none or it is time for new ones.
    pub(crate) fn refresh_if_due(&self) {
        if let Keys::Kept(keys) = &self.keys {
            keys.refresh_if_due();
        }
    }

    /// How many keys may be used, and how old they are, if they can grow old.
    pub(crate) fn in_hand(&self) -> (usize, Option<Duration>) {
        match &self.keys {
            Keys::Given(keys) => (keys.len(), None),
            Keys::Needless => (1, None),
            Keys::Kept(kept) => {
                let keys = kept.peek().filter(|_| kept.is_in_hand());
                (keys.map_or(0, |keys| keys.len()), kept.age())
            }
        }
    }

    /// The key that signed the token. Waits for the keys if there are none yet, and once for newer
    /// ones if the token's key is not among them.
    pub(crate) async fn verify(&self, jws: &Jws<'_>, issuer: &str) -> Result<Arc<Key>, Denial> {
        let kept = match &self.keys {
            Keys::Given(keys) => return keys.verify(jws, issuer).map_err(Denial::from),
            Keys::Needless => return Err(Missing::Algorithm.into()),
            Keys::Kept(kept) => kept,
        };
        let had_keys = kept.is_in_hand();
        let keys = kept.current().await.map_err(|lacking| self.unavailable(lacking))?;
        metrics::keys_age(&self.issuer, || kept.age());
        let missing = match keys.verify(jws, issuer) {
            // An issuer may rotate without a new name for its key, and while older keys are on their way. The first ones
            // are taken as they come.
            Err(missing @ (Missing::Signature | Missing::Unknown)) if had_keys => missing,
            judged => return judged.map_err(Denial::from),
        };
        match kept.newer_than(&keys).await {
            Ok(newer) => newer.verify(jws, issuer).map_err(Denial::from),
            Err(lacking @ Lacking::OutOfReach { .. }) if missing == Missing::Unknown => {
                Err(self.unavailable(lacking))
            }
            Err(_) => Err(missing.into()),
        }
    }

    fn unavailable(&self, lacking: Lacking) -> Denial {
        let (why, retry_after) = match lacking {
            Lacking::OutOfReach { why, retry_after } => (why, retry_after),
            Lacking::TooSoon => (None, Duration::from_secs(1)),
        };
        let denial = Denial::unavailable(retry_after).detail(format!(
            "the keys of the issuer {:?} are out of reach: check that it is up, and that this machine may connect to it",
            self.issuer,
        ));
        match why {
            Some(why) => denial.caused_by(Shared(why)),
            None => denial,
        }
    }
}

/// An error that several requests have in common.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
struct Shared(Arc<FetchError>);

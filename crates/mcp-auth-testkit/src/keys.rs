//! The keys of an issuer: the active signing key, published keys, and withdrawn keys.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::SigningAlgorithm;
use crate::key::SigningKey;

#[derive(Clone, Debug)]
pub(crate) struct Keys {
    /// Every key so far, oldest first. Tests can still sign with a withdrawn key, as a thief could.
    all: Vec<Arc<SigningKey>>,
    active: Arc<SigningKey>,
    withdrawn: Vec<String>,
}

impl Keys {
    pub(crate) fn new(algorithm: SigningAlgorithm) -> Self {
        let first = Arc::new(SigningKey::first(algorithm, kid(algorithm, 1)));
        Self { all: vec![Arc::clone(&first)], active: first, withdrawn: Vec::new() }
    }

    pub(crate) fn active(&self) -> &Arc<SigningKey> {
        &self.active
    }

    pub(crate) fn named(&self, kid: &str) -> Option<&Arc<SigningKey>> {
        self.all.iter().find(|key| key.kid == kid)
    }

    /// The newest published key of `algorithm`. Generates one if there is none.
    pub(crate) fn of(&mut self, algorithm: SigningAlgorithm) -> Arc<SigningKey> {
        if self.active.algorithm == algorithm {
            return Arc::clone(&self.active);
        }
        let known = self.published().rfind(|key| key.algorithm == algorithm);
        match known.cloned() {
            Some(key) => key,
            None => self.add(algorithm),
        }
    }

    /// Replaces the active key by a new one of the same algorithm. The old keys stay published.
    pub(crate) fn rotate(&mut self) -> String {
        self.active = self.add(self.active.algorithm);
        self.active.kid.clone()
    }

    pub(crate) fn withdraw(&mut self, kid: &str) {
        self.withdrawn.push(kid.to_owned());
    }

    pub(crate) fn withdraw_old(&mut self) {
        let old = self.all.iter().filter(|key| key.kid != self.active.kid);
        self.withdrawn.extend(old.map(|key| key.kid.clone()));
    }

    pub(crate) fn jwks(&self) -> Value {
        json!({ "keys": self.published().map(|key| key.jwk()).collect::<Vec<_>>() })
    }

    fn published(&self) -> impl DoubleEndedIterator<Item = &Arc<SigningKey>> {
        self.all.iter().filter(|key| !self.withdrawn.contains(&key.kid))
    }

    fn add(&mut self, algorithm: SigningAlgorithm) -> Arc<SigningKey> {
        let siblings = self.all.iter().filter(|key| key.algorithm == algorithm);
        let number = siblings.count() + 1;
        let kid = kid(algorithm, number);
        let key = Arc::new(match number {
            1 => SigningKey::first(algorithm, kid),
            _ => SigningKey::generate(algorithm, kid),
        });
        self.all.push(Arc::clone(&key));
        key
    }
}

fn kid(algorithm: SigningAlgorithm, number: usize) -> String {
    format!("{}-{number}", algorithm.name().to_lowercase())
}

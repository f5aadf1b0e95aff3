//! The key set of an issuer ([RFC 7517](https://www.rfc-editor.org/rfc/rfc7517)), each key bound to its algorithm.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::model::denial::Denial;
use crate::model::error_codes::Reason;
use crate::model::issuer_pattern::IssuerPattern;
use crate::util::json::{Object, Raw};
use crate::verify::jwt::algorithm::Algorithm;
use crate::verify::jwt::crypto::PublicKey;
use crate::verify::jwt::jws::{Header, Jws};
use crate::verify::jwt::{jwk, spki};

/// How many keys are tried for one token. An issuer may publish two keys with the same `kid` during a rotation, or the
/// keys of all its nodes with the same one. It bounds what an unsigned token costs: the time of eight verifications.
const MAX_TRIES: usize = 8;

/// How many withdrawn keys are remembered, to recognize their tokens. More than an issuer withdraws within the minute in
/// which it matters.
const MAX_WITHDRAWN: usize = 8;

/// A JSON Web Key Set, whose keys are prepared once.
///
/// Keys are read one by one: a key that is not supported does not affect the others.
#[derive(Clone, Debug, Default)]
pub struct KeySet {
    keys: Vec<Arc<Key>>,
    /// The keys that its issuer published before, the last ones first.
    withdrawn: Vec<Arc<Key>>,
}

/// Why a text is not a usable key set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeySetError {
    /// It is not a JSON object with an array `keys`.
    #[error("it is not a JSON Web Key Set")]
    Malformed,
    /// No key in it can be used to verify signatures.
    #[error("it has no key that can verify a signature: {0}")]
    NoUsableKey(&'static str),
    /// It is not a PEM file of public keys.
    #[error("it cannot be read as PEM: {0}")]
    Pem(&'static str),
}

/// One key of a set. It may be unusable.
pub(crate) struct Key {
    kid: Option<Box<str>>,
    /// Whether the key matches any `kid`: a key in PEM has none.
    matches_any_kid: bool,
    /// The issuer whose tokens the key signs, if several issuers share a set. Entra publishes it with each key.
    issuer: Option<IssuerPattern>,
    usable: Result<Vec<(Algorithm, PublicKey)>, &'static str>,
    /// The JSON of the key as it was published, to recognize it in the next set.
    published: Box<str>,
    /// Set when the issuer no longer publishes the key. Tokens that it signed are refused from then on.
    retired: AtomicBool,
}

/// Why no key verified a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeyLookupError {
    /// A key with this `kid` exists, but for another algorithm.
    Algorithm,
    /// The token has no `kid`, and several keys fit.
    Ambiguous,
    /// The signature is wrong.
    Signature,
    /// No key fits. The next set may have it.
    Unknown,
    /// The key must not be used.
    Unusable(&'static str),
}

impl KeySet {
    /// Reads a set, skipping keys that cannot be used.
    ///
    /// # Errors
    ///
    /// If it is not a JWKS, or has no usable key.
    pub fn parse(jwks: &[u8]) -> Result<Self, KeySetError> {
        let set = Self::read(jwks)?;
        if set.is_empty() {
            return Err(KeySetError::NoUsableKey(set.why_unusable()));
        }
        Ok(set)
    }

    /// Reads the set that an issuer publishes. Unlike [`parse`](Self::parse), it accepts one without a usable key, if
    /// all in it are keys: the issuer has withdrawn the former keys, and signs with none or with those.
    pub(crate) fn read(jwks: &[u8]) -> Result<Self, KeySetError> {
        let members = Object::read(jwks).map_err(|_| KeySetError::Malformed)?;
        let keys = members.get("keys").and_then(Raw::array).ok_or(KeySetError::Malformed)?;
        let set = Self::of(keys.iter().map(|jwk| Arc::new(Key::read(jwk.get()))).collect());
        if set.is_empty() && !keys.into_iter().all(is_jwk) {
            return Err(KeySetError::NoUsableKey(set.why_unusable()));
        }
        Ok(set)
    }

    /// Why its first key is not usable.
    pub(crate) fn why_unusable(&self) -> &'static str {
        let why = self.keys.iter().find_map(|key| key.usable.as_ref().err().copied());
        why.unwrap_or("it is empty")
    }

    /// Whether both have the same keys, usable or not.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.keys.iter().map(|key| &key.published).eq(other.keys.iter().map(|key| &key.published))
    }

    /// Whether it has a usable key that the former set does not have.
    pub(crate) fn has_news(&self, former: &Self) -> bool {
        let former = former.by_text();
        let is_new = |key: &&Arc<Key>| !former.contains_key(&*key.published);
        self.keys.iter().filter(is_new).any(|key| key.usable.is_ok())
    }

    /// Whether so many keys have the same name and algorithm that not all of them are tried.
    pub(crate) fn has_untried_keys(&self) -> bool {
        let mut numbers = HashMap::new();
        let usable = self.keys.iter().flat_map(|key| {
            let algorithms = key.usable.iter().flatten().map(|(algorithm, _)| *algorithm);
            algorithms
                .map(|algorithm| (&key.kid, key.issuer.as_ref().map(|it| it.as_str()), algorithm))
        });
        usable.for_each(|name| *numbers.entry(name).or_insert(0) += 1);
        numbers.values().any(|number| *number > MAX_TRIES)
    }

    /// The keys by their JSON.
    fn by_text(&self) -> HashMap<&str, &Arc<Key>> {
        self.keys.iter().map(|key| (&*key.published, key)).collect()
    }

    /// Reads public keys in PEM: `PUBLIC KEY`, `RSA PUBLIC KEY` or `CERTIFICATE`.
    ///
    /// Of a certificate only the key is used. Its dates and its signature are ignored.
    ///
    /// A key in PEM has no `kid`. Therefore the keys are tried for tokens with any `kid`, eight keys at most for
    /// each token. An RSA key fits all six RSA algorithms, like a key without `alg` in a JWKS. To allow fewer, see
    /// [`AuthorizationServer::algorithms`](crate::AuthorizationServer).
    ///
    /// ```
    /// use mcp_auth::jwt::KeySet;
    ///
    /// let keys = KeySet::from_pem("-----BEGIN PUBLIC KEY-----
    /// MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=
    /// -----END PUBLIC KEY-----")?;
    /// assert_eq!(keys.len(), 1);
    /// # Ok::<(), mcp_auth::jwt::KeySetError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// If any block cannot be read, or holds no key that can be used.
    pub fn from_pem(pem: &str) -> Result<Self, KeySetError> {
        Self::of_pem(pem, None)
    }

    /// Like [`from_pem`](Self::from_pem), but the keys have this `kid`. They are tried only for tokens with the same.
    ///
    /// ```
    /// # use mcp_auth::jwt::KeySet;
    /// # let old = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n-----END PUBLIC KEY-----";
    /// # let new = old;
    /// let keys = KeySet::from_pem_named("2026-01", old)?.and(KeySet::from_pem_named("2026-11", new)?);
    /// assert_eq!(keys.len(), 2);
    /// # Ok::<(), mcp_auth::jwt::KeySetError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// If any block cannot be read, or holds no key that can be used.
    pub fn from_pem_named(kid: &str, pem: &str) -> Result<Self, KeySetError> {
        Self::of_pem(pem, Some(kid))
    }

    fn of_pem(pem: &str, kid: Option<&str>) -> Result<Self, KeySetError> {
        let read = |mut jwk: serde_json::Value| {
            if let (Some(kid), Some(members)) = (kid, jwk.as_object_mut()) {
                members.insert("kid".to_owned(), kid.into());
            }
            let jwk = serde_json::to_string(&jwk);
            let jwk = jwk.map_err(|_| KeySetError::Pem("it cannot be written as JSON"))?;
            let key = Key { matches_any_kid: kid.is_none(), ..Key::read(&jwk) };
            match key.usable {
                Err(why) => Err(KeySetError::NoUsableKey(why)),
                Ok(_) => Ok(Arc::new(key)),
            }
        };
        let keys = spki::keys(pem).map_err(KeySetError::Pem)?.into_iter().map(read);
        Ok(Self::of(keys.collect::<Result<_, _>>()?))
    }

    fn of(keys: Vec<Arc<Key>>) -> Self {
        Self { keys, withdrawn: Vec::new() }
    }

    /// Combines two sets.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.keys.extend(other.keys);
        self
    }

    /// The number of usable keys.
    #[must_use]
    pub fn len(&self) -> usize {
        self.keys.iter().filter(|key| key.usable.is_ok()).count()
    }

    /// Whether no key is usable.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the key that signed the token. `issuer` is the unverified `iss` of the token.
    pub(crate) fn verify(&self, jws: &Jws<'_>, issuer: &str) -> Result<Arc<Key>, KeyLookupError> {
        verify(&self.keys, jws, issuer)
    }

    /// Whether a key that is no longer published signed the token.
    pub(crate) fn has_withdrawn_key_of(&self, jws: &Jws<'_>, issuer: &str) -> bool {
        verify(&self.withdrawn, jws, issuer).is_ok()
    }

    /// Replaces the former set with this one. Keys that are in both are shared. Keys only in the former are retired.
    pub(crate) fn replacing(mut self, former: Option<&Self>) -> Self {
        let Some(former) = former else { return self };
        let known = former.by_text();
        for key in &mut self.keys {
            if let Some(same) = known.get(&*key.published) {
                *key = Arc::clone(same);
            }
        }
        let published = self.by_text();
        let is_withdrawn = |old: &&Arc<Key>| !published.contains_key(&*old.published);
        let withdrawn = former.keys.iter().filter(is_withdrawn);
        withdrawn.clone().for_each(|old| old.retired.store(true, Ordering::Release));
        let withdrawn = withdrawn.chain(&former.withdrawn).take(MAX_WITHDRAWN).cloned().collect();
        self.withdrawn = withdrawn;
        self
    }
}

/// Returns the one of these keys that signed the token.
fn verify(keys: &[Arc<Key>], jws: &Jws<'_>, issuer: &str) -> Result<Arc<Key>, KeyLookupError> {
    let candidates =
        keys.iter().filter(|key| key.may_sign_for(issuer) && key.matches_header(&jws.header));
    let mut named = candidates.clone().filter(|key| !key.matches_any_kid);
    if jws.header.kid().is_none() && named.next().is_some() && candidates.clone().nth(1).is_some() {
        return Err(KeyLookupError::Ambiguous);
    }
    let mut error = KeyLookupError::Unknown;
    let mut tries = 0;
    for key in candidates {
        match key.public_key(jws.header.algorithm) {
            Err(why) => error = if tries == 0 { why } else { error },
            Ok(_) if tries == MAX_TRIES => break,
            Ok(public_key) => {
                tries += 1;
                error = KeyLookupError::Signature;
                if public_key.verifies(jws.signing_input.as_bytes(), &jws.signature) {
                    return Ok(key.clone());
                }
            }
        }
    }
    Err(error)
}

/// Whether it is an object with a `kty`, as each JWK is
/// ([RFC 7517 §4.1](https://www.rfc-editor.org/rfc/rfc7517#section-4.1)).
fn is_jwk(value: Raw<'_>) -> bool {
    Object::of(value.get()).is_ok_and(|jwk| jwk.get("kty").and_then(Raw::string).is_some())
}

impl Key {
    /// Whether the issuer no longer publishes the key.
    pub(crate) fn is_retired(&self) -> bool {
        self.retired.load(Ordering::Acquire)
    }

    fn read(jwk: &str) -> Self {
        let members = Object::of(jwk);
        let kid = members.as_ref().ok().and_then(|jwk| jwk.get("kid")).and_then(Raw::string);
        let issuer = members.as_ref().ok().and_then(|jwk| jwk.get("issuer"));
        let template =
            issuer.and_then(Raw::string).and_then(|issuer| IssuerPattern::parse(&issuer));
        let usable = members
            .as_ref()
            .map_err(|_| "it is not a JSON object with distinct members")
            .and_then(jwk::prepare)
            .and_then(|ready| match issuer {
                Some(_) if template.is_none() => {
                    Err("the issuer's key has an `issuer` that is none")
                }
                _ => Ok(ready),
            });
        Self {
            kid: kid.map(|kid| kid.into_owned().into()),
            matches_any_kid: false,
            issuer: template,
            usable,
            published: jwk.into(),
            retired: AtomicBool::new(false),
        }
    }

    /// Whether the key may sign tokens of this issuer.
    fn may_sign_for(&self, issuer: &str) -> bool {
        self.issuer.as_ref().is_none_or(|own| own.matches(issuer))
    }

    /// Whether this key may have signed a token with this header. Without a `kid`, each key for the algorithm may
    /// have.
    fn matches_header(&self, header: &Header) -> bool {
        match header.kid() {
            Some(kid) if !self.matches_any_kid => self.kid.as_deref() == Some(kid),
            _ => self.public_key(header.algorithm).is_ok(),
        }
    }

    fn public_key(&self, algorithm: Algorithm) -> Result<&PublicKey, KeyLookupError> {
        let keys = self.usable.as_ref().map_err(|why| KeyLookupError::Unusable(why))?;
        let fitting = keys.iter().find(|(fits, _)| *fits == algorithm);
        fitting.map(|(_, key)| key).ok_or(KeyLookupError::Algorithm)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let usable = self
            .usable
            .as_ref()
            .map(|keys| keys.iter().map(|(algorithm, _)| *algorithm).collect::<Vec<_>>());
        f.debug_struct("Key")
            .field("kid", &self.kid)
            .field("usable", &usable)
            .finish_non_exhaustive()
    }
}

impl From<KeyLookupError> for Denial {
    fn from(error: KeyLookupError) -> Self {
        match error {
            KeyLookupError::Algorithm => {
                Self::invalid(Reason::Algorithm).detail("the token's `alg` is not that of its key")
            }
            KeyLookupError::Ambiguous => Self::invalid(Reason::UnknownKey)
                .detail("the token names no key (`kid`), and its issuer has several that fit"),
            KeyLookupError::Signature => Self::invalid(Reason::Signature),
            KeyLookupError::Unknown => Self::invalid(Reason::UnknownKey),
            KeyLookupError::Unusable(why) => Self::invalid(Reason::Key).detail(why),
        }
    }
}

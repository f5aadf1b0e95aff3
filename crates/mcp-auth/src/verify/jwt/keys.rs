//! The keys that an issuer publishes ([RFC 7517](https://www.rfc-editor.org/rfc/rfc7517)), each bound to its algorithm.

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

/// No issuer has as many; bounds the work of reading a set.
const MAX_KEYS: usize = 100;

/// How many keys of one name are tried: an issuer may publish two under one `kid` while it rotates.
const MAX_TRIES: usize = 2;

/// A JSON Web Key Set, each key made ready once.
///
/// Keys are read one by one: a key that is not understood does not spoil the others.
#[derive(Clone, Debug, Default)]
pub struct KeySet {
    keys: Vec<Arc<Key>>,
}

/// Why a text is not a usable JSON Web Key Set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeySetError {
    /// It is no JSON object with an array `keys`.
    #[error("it is not a JSON Web Key Set")]
    Malformed,
    /// No key in it can verify a signature here.
    #[error("it has no key that can verify a signature: {0}")]
    NoUsableKey(&'static str),
    /// It is no PEM file of public keys.
    #[error("it cannot be read as PEM: {0}")]
    Pem(&'static str),
}

/// One key, perhaps one that cannot be used.
pub(crate) struct Key {
    kid: Option<Box<str>>,
    /// Whether it is meant by whatever `kid` a token names: PEM has no place for one.
    has_any_name: bool,
    /// Whose tokens it signs, where several issuers share a set: Entra says so of each key.
    issuer: Option<IssuerPattern>,
    usable: Result<Vec<(Algorithm, PublicKey)>, &'static str>,
    /// The key as it was published, to recognize it in the next set.
    published: Box<str>,
    /// Set when the issuer no longer publishes it: what it signed is no longer believed.
    retired: AtomicBool,
}

/// Why no key verified a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeyLookupError {
    /// A key of this name is there, for another algorithm.
    Algorithm,
    /// The token names no key, and several fit.
    Ambiguous,
    /// The signature is wrong.
    Signature,
    /// No key fits; perhaps the next set has it.
    Unknown,
    /// The key must not be used.
    Unusable(&'static str),
}

impl KeySet {
    /// Reads a set, skipping keys that cannot be used.
    ///
    /// # Errors
    ///
    /// If it is no JWKS, or has no usable key at all.
    pub fn parse(jwks: &[u8]) -> Result<Self, KeySetError> {
        let members = Object::read(jwks).map_err(|_| KeySetError::Malformed)?;
        let keys = members.get("keys").and_then(Raw::array).ok_or(KeySetError::Malformed)?;
        let keys: Vec<_> =
            keys.into_iter().take(MAX_KEYS).map(|jwk| Arc::new(Key::read(jwk.get()))).collect();
        if keys.iter().all(|key| key.usable.is_err()) {
            let why = keys.iter().find_map(|key| key.usable.as_ref().err().copied());
            return Err(KeySetError::NoUsableKey(why.unwrap_or("it is empty")));
        }
        Ok(Self { keys })
    }

    /// Reads public keys in PEM: `PUBLIC KEY`, `RSA PUBLIC KEY`, or `CERTIFICATE`, of which only the key is
    /// taken; neither its dates nor its signature are looked at.
    ///
    /// PEM has no place for the name of a key, so that each is tried for tokens of whatever `kid`, two of
    /// them at most. An RSA key fits all six RSA algorithms, as one without `alg` in a JWKS does; see
    /// [`AuthorizationServer::algorithms`](crate::AuthorizationServer) to allow less.
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

    /// The same for keys with a name: they are tried for tokens of this `kid` only.
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
            if let Some(kid) = kid {
                jwk["kid"] = kid.into();
            }
            let jwk = serde_json::to_string(&jwk);
            let jwk = jwk.map_err(|_| KeySetError::Pem("it cannot be written as JSON"))?;
            let key = Key { has_any_name: kid.is_none(), ..Key::read(&jwk) };
            match key.usable {
                Err(why) => Err(KeySetError::NoUsableKey(why)),
                Ok(_) => Ok(Arc::new(key)),
            }
        };
        let keys = spki::keys(pem).map_err(KeySetError::Pem)?.into_iter().map(read);
        Ok(Self { keys: keys.collect::<Result<_, _>>()? })
    }

    /// The keys of both.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.keys.extend(other.keys);
        self
    }

    /// How many keys can be used.
    #[must_use]
    pub fn len(&self) -> usize {
        self.keys.iter().filter(|key| key.usable.is_ok()).count()
    }

    /// Whether no key can be used.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The key that signed the token, which says to be of `issuer`.
    pub(crate) fn verify(&self, jws: &Jws<'_>, issuer: &str) -> Result<Arc<Key>, KeyLookupError> {
        let meant =
            self.keys.iter().filter(|key| key.is_of(issuer) && key.is_meant_by(&jws.header));
        let mut named = meant.clone().filter(|key| !key.has_any_name);
        if jws.header.kid().is_none() && named.next().is_some() && meant.clone().nth(1).is_some() {
            return Err(KeyLookupError::Ambiguous);
        }
        let mut missing = KeyLookupError::Unknown;
        let mut tries = 0;
        for key in meant {
            match key.public_key(jws.header.algorithm) {
                Err(why) => missing = if tries == 0 { why } else { missing },
                Ok(_) if tries == MAX_TRIES => break,
                Ok(public_key) => {
                    tries += 1;
                    missing = KeyLookupError::Signature;
                    if public_key.verifies(jws.signing_input.as_bytes(), &jws.signature) {
                        return Ok(key.clone());
                    }
                }
            }
        }
        Err(missing)
    }

    /// This set in place of the former: keys that are in both stay the same, the others are retired.
    pub(crate) fn replacing(mut self, former: Option<&Self>) -> Self {
        let Some(former) = former else { return self };
        for key in &mut self.keys {
            if let Some(same) = former.keys.iter().find(|old| old.published == key.published) {
                *key = same.clone();
            }
        }
        for old in
            former.keys.iter().filter(|old| !self.keys.iter().any(|key| Arc::ptr_eq(key, old)))
        {
            old.retired.store(true, Ordering::Release);
        }
        self
    }
}

impl Key {
    /// Whether its issuer has withdrawn it.
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
            .map_err(|_| "it is no JSON object with distinct members")
            .and_then(jwk::prepare)
            .and_then(|ready| match issuer {
                Some(_) if template.is_none() => {
                    Err("the issuer's key has an `issuer` that is none")
                }
                _ => Ok(ready),
            });
        Self {
            kid: kid.map(|kid| kid.into_owned().into()),
            has_any_name: false,
            issuer: template,
            usable,
            published: jwk.into(),
            retired: AtomicBool::new(false),
        }
    }

    /// Whether it may sign tokens of this issuer.
    fn is_of(&self, issuer: &str) -> bool {
        self.issuer.as_ref().is_none_or(|own| own.matches(issuer))
    }

    /// Whether a token with this header may have been signed by this key. Without a `kid` any key may.
    fn is_meant_by(&self, header: &Header) -> bool {
        match header.kid() {
            Some(kid) if !self.has_any_name => self.kid.as_deref() == Some(kid),
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
    fn from(missing: KeyLookupError) -> Self {
        match missing {
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

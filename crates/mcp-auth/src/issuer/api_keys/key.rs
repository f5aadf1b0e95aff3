//! One API key, stored as a digest.

use std::fmt;
use std::time::SystemTime;

use crate::model::scope::Scopes;
use crate::util::hex::decode_32;
use crate::verify::jwt::sha256;

/// 22 characters of base64url are 132 bits; fewer characters cannot hold 128 bits.
const MIN_KEY_CHARS: usize = 22;

/// Maximum length of a key. Longer tokens are not hashed, so that untrusted input costs little.
pub(super) const MAX_KEY_BYTES: usize = 256;

/// One API key: who holds it, what scopes it grants, and when it expires.
#[derive(Clone)]
pub struct ApiKey {
    pub(super) name: Box<str>,
    /// The SHA-256 digest, or what is wrong with what was given.
    pub(super) digest: Result<[u8; 32], &'static str>,
    pub(super) scopes: Scopes,
    pub(super) expires_at: Option<SystemTime>,
}

/// A new key and its digest.
#[derive(Clone)]
#[non_exhaustive]
pub struct GeneratedKey {
    /// The key. Anyone who has it can use it: hand it over, and do not store it.
    pub key: String,
    /// Its SHA-256 in hexadecimal, for [`ApiKey::of_digest`].
    pub digest: String,
}

impl ApiKey {
    /// A key as it is sent. It is hashed at once, and not stored.
    ///
    /// It must have at least 22 characters, which 128 bits need. Whether they are random cannot be checked: see
    /// [`ApiKeys::generate`](crate::ApiKeys::generate).
    #[must_use]
    pub fn new(name: impl Into<String>, key: impl AsRef<str>) -> Self {
        let key = key.as_ref();
        Self::with(name.into(), fault(key).map_or_else(|| Ok(sha256(key.as_bytes())), Err))
    }

    /// A key of which only the SHA-256 digest is known, in hexadecimal: the output of
    /// `printf %s "$KEY" | sha256sum`.
    #[must_use]
    pub fn of_digest(name: impl Into<String>, sha256: impl AsRef<str>) -> Self {
        let digest = decode_32(sha256.as_ref());
        Self::with(name.into(), digest.ok_or("its digest must be 64 hexadecimal digits (SHA-256)"))
    }

    /// Sets the scopes that the key grants: none unless set.
    #[must_use]
    pub fn scopes(mut self, scopes: impl Into<Scopes>) -> Self {
        self.scopes = scopes.into();
        self
    }

    /// Sets the time from which the key is refused: never unless set. The leeway of tokens does not apply.
    #[must_use]
    pub fn expires_at(mut self, moment: SystemTime) -> Self {
        self.expires_at = Some(moment);
        self
    }

    pub(super) fn with(name: String, digest: Result<[u8; 32], &'static str>) -> Self {
        Self { name: name.into(), digest, scopes: Scopes::default(), expires_at: None }
    }
}

/// Whether a token has the form of a JWT: three parts separated by dots.
pub(super) fn is_like_jwt(token: &str) -> bool {
    token.bytes().filter(|byte| *byte == b'.').count() == 2
}

/// Returns what is wrong with a key, if anything.
fn fault(key: &str) -> Option<&'static str> {
    if key.len() < MIN_KEY_CHARS {
        Some(
            "it is shorter than 22 characters, and so than 128 bits: take one of `ApiKeys::generate()`",
        )
    } else if key.len() > MAX_KEY_BYTES {
        Some("it is longer than 256 characters")
    } else if is_like_jwt(key) {
        Some("it has two dots, and would be taken for a JWT")
    } else if !key.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~+/=".contains(&b)) {
        Some(
            "it has a character that cannot be sent as a bearer token: letters, digits and -._~+/= can",
        )
    } else {
        None
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiKey")
            .field("name", &self.name)
            .field("scopes", &self.scopes)
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for GeneratedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GeneratedKey").field("digest", &self.digest).finish_non_exhaustive()
    }
}

//! Keys embedded in the header of the JWS that they signed (`jwk`).
//!
//! Only DPoP proofs are verified with such keys, because anybody can make one.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::util::json::{Object, Raw};
use crate::verify::jwt::algorithm::Algorithm;
use crate::verify::jwt::crypto::{PublicKey, sha256};
use crate::verify::jwt::jwk;
use crate::verify::jwt::jws::Jws;

/// The members that a thumbprint includes for each key type (`kty` is among them), in the order of RFC 7638 §3.2.
const THUMBPRINT: [(&str, &[&str]); 3] =
    [("EC", &["crv", "kty", "x", "y"]), ("OKP", &["crv", "kty", "x"]), ("RSA", &["e", "kty", "n"])];

/// The members of private and of symmetric keys (RFC 7518 §6).
const PRIVATE: [&str; 9] = ["d", "dp", "dq", "k", "oth", "p", "priv", "q", "qi"];

/// Maximum number of cached keys. Each client has its own key. A thousand keys take about a megabyte.
const MAX_KEYS: usize = 1_000;

/// Maximum length of the JSON of a cached key. An RSA key of 4096 bits has about 750 bytes.
const MAX_KEY_BYTES: usize = 1_024;

/// The public key in the header of a JWS ([RFC 7515 §4.1.3](https://www.rfc-editor.org/rfc/rfc7515#section-4.1.3)),
/// prepared for the algorithm of this JWS.
pub(crate) struct EmbeddedKey {
    /// Its SHA-256 thumbprint ([RFC 7638](https://www.rfc-editor.org/rfc/rfc7638)).
    pub(crate) thumbprint: [u8; 32],
    algorithm: Algorithm,
    /// The key, or why it must not be used.
    key: Result<PublicKey, &'static str>,
}

/// A cache of keys that have signed a JWS before, by their JSON text. A client sends the same text each time.
#[derive(Default)]
pub(crate) struct EmbeddedKeyCache(Mutex<HashMap<Box<str>, Arc<EmbeddedKey>>>);

impl EmbeddedKeyCache {
    /// The key embedded in a JWS. Returns `None` if there is none, if it has a private part, or if it has no
    /// thumbprint.
    pub(crate) fn key_of(&self, jws: &Jws<'_>) -> Option<Arc<EmbeddedKey>> {
        let jwk = jws.header.jwk()?;
        let known = self.lock().get(jwk).cloned();
        let known = known.filter(|key| key.algorithm == jws.header.algorithm);
        known.or_else(|| EmbeddedKey::read(jwk, jws.header.algorithm).map(Arc::new))
    }

    /// Caches a key that has signed a JWS.
    pub(crate) fn insert(&self, key: Arc<EmbeddedKey>, jws: &Jws<'_>) {
        let jwk = jws.header.jwk().filter(|jwk| jwk.len() <= MAX_KEY_BYTES);
        let mut known = self.lock();
        let Some(jwk) = jwk.filter(|jwk| !known.contains_key(*jwk)) else { return };
        if known.len() >= MAX_KEYS {
            known.clear(); // keys in use are cached again
        }
        known.insert(jwk.into(), key);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Box<str>, Arc<EmbeddedKey>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl EmbeddedKey {
    fn read(jwk: &str, algorithm: Algorithm) -> Option<Self> {
        let jwk = Object::of(jwk).ok()?;
        if PRIVATE.iter().any(|name| jwk.get(name).is_some()) {
            return None;
        }
        let thumbprint = thumbprint(&jwk)?;
        let keys = jwk::prepare_for(&[algorithm], &jwk);
        let key = keys.and_then(|keys| {
            let key = keys.into_iter().find(|(fits, _)| *fits == algorithm);
            key.map(|(_, key)| key).ok_or("it is for another `alg`")
        });
        Some(Self { thumbprint, algorithm, key })
    }

    /// Whether the key has signed the JWS that it is embedded in.
    ///
    /// # Errors
    ///
    /// If the key must not be used. The error says why.
    pub(crate) fn has_signed(&self, jws: &Jws<'_>) -> Result<bool, &'static str> {
        let key = self.key.as_ref().map_err(|why| *why)?;
        Ok(key.verifies(jws.signing_input.as_bytes(), &jws.signature))
    }
}

fn thumbprint(jwk: &Object<'_>) -> Option<[u8; 32]> {
    let text = |name: &str| jwk.get(name).and_then(Raw::string);
    let kind = text("kty")?;
    let (_, names) = THUMBPRINT.iter().find(|(kty, _)| *kty == kind)?;
    let mut members = String::with_capacity(160);
    for name in *names {
        let value = text(name)?;
        // The characters of base64url and of curve names. JSON could spell other characters in several ways.
        if !value.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b)) {
            return None;
        }
        members += if members.is_empty() { "{\"" } else { ",\"" };
        members += name;
        members += "\":\"";
        members += &value;
        members += "\"";
    }
    members += "}";
    Some(sha256(members.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::super::base64url;
    use super::*;

    fn thumbprint(jwk: &str) -> Option<String> {
        let jwk = Object::of(jwk).expect("an object");
        super::thumbprint(&jwk).map(|bytes| base64url::encode(&bytes))
    }

    #[test]
    fn thumbprints_are_those_of_the_rfcs() {
        // RFC 7638 §3.1, RFC 8037 A.3, RFC 9449 §4.1 with the thumbprint of §6.1.
        let rsa = r#"{"kty":"RSA","n":"0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw","e":"AQAB","alg":"RS256","kid":"2011-04-29"}"#;
        let ed =
            r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
        let ec = r#"{"kty":"EC","x":"l8tFrhx-34tV3hRICRDY9zCkDlpBhF42UQUfWVAWBFs","y":"9VE4jf_Ok_o64zbTTlcuNJajHmt6v9TDVrU0CdvGRDA","crv":"P-256"}"#;
        for (jwk, expected) in [
            (rsa, "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"),
            (ed, "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"),
            (ec, "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"),
        ] {
            assert_eq!(thumbprint(jwk).as_deref(), Some(expected), "{jwk}");
        }
    }

    #[test]
    fn an_invalid_key_has_no_thumbprint() {
        for jwk in [
            "{}",
            r#"{"kty":"oct","k":"AQ"}"#,
            r#"{"kty":"EC","crv":"P-256","x":"AQ"}"#,
            r#"{"kty":"OKP","crv":"Ed25519","x":1}"#,
            r#"{"kty":"OKP","crv":"Ed25519","x":"a\"b"}"#,
            r#"{"kty":"AKP","pub":"AQ","alg":"ML-DSA-44"}"#,
        ] {
            assert_eq!(thumbprint(jwk), None, "{jwk}");
        }
    }

    #[test]
    fn embedded_keys_are_cached_by_text_within_bounds() {
        let proof = |kid: &str| {
            let jwk = format!(
                r#"{{"kid":"{kid}","kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}}"#
            );
            let header = format!(r#"{{"alg":"EdDSA","jwk":{jwk}}}"#);
            format!("{}.e30.AA", base64url::encode(header.as_bytes()))
        };
        let keys = EmbeddedKeyCache::default();
        let key_of = |kid: &str, is_kept: bool| {
            let proof = proof(kid);
            let jws = Jws::parse(&proof).expect("a JWS");
            let key = keys.key_of(&jws).expect("a key");
            if is_kept {
                keys.insert(key.clone(), &jws);
            }
            key
        };
        let first = key_of("0", true);
        assert!(Arc::ptr_eq(&first, &key_of("0", false)));
        let other = key_of("1", false);
        assert!(other.thumbprint == first.thumbprint && !Arc::ptr_eq(&other, &key_of("1", false)));
        for i in 2..3 * MAX_KEYS {
            key_of(&i.to_string(), true);
            assert!(keys.lock().len() <= MAX_KEYS);
        }
        key_of(&"x".repeat(MAX_KEY_BYTES), true);
        assert!(keys.lock().keys().all(|jwk| jwk.len() <= MAX_KEY_BYTES));
    }
}

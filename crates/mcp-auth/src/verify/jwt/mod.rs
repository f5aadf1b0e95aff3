//! Is this signed token genuine? JSON Web Signature, keys and claims, without any I/O.
//!
//! This is the whole verification as functions of data; [`McpAuth`](crate::McpAuth) adds keys that are kept up to date and
//! a cache of verified tokens. Only what RFC 9068 access tokens need is here: compact serialization, asymmetric
//! signatures, no encryption. The [`Algorithm`] enum has neither HMAC nor `none`, so that the classic
//! confusions cannot be written down; a token signed with a shared secret has a type of its own.

mod pem;
mod token_hash;
mod algorithm;
mod crypto;
mod base64url;
mod jws;
mod jwk;
mod spki;
mod keys;
mod embedded;
mod rules;
mod claims;
mod profile;
mod issuer_checks;
mod verify;
mod hmac;
mod security_event;

pub use algorithm::Algorithm;
pub(crate) use base64url::{decode as from_base64url, encode as to_base64url};
pub(crate) use claims::Claims;
pub(crate) use crypto::{Mac, PrivateKey, TokenHasher, is_same_secret, random, sha256};
pub(crate) use embedded::EmbeddedKeys;
pub(crate) use hmac::{HmacJwt, HmacKey};
pub(crate) use jws::{Jws, is_compact};
pub(crate) use keys::{Key, KeyLookupError};
pub use keys::{KeySet, KeySetError};
pub use rules::{JwtRules, Profile};
pub(crate) use security_event::{SecurityEvent, SecurityEventKind, fault};
pub(crate) use token_hash::TokenHash;
pub use verify::verify;
pub(crate) use verify::{check, check_algorithm};

#[cfg(test)]
mod tests;

//! JWT verification: signatures, keys and claims, without any I/O.
//!
//! The verification only depends on its inputs. [`McpAuth`](crate::McpAuth) adds keys that are kept up to date and a
//! cache of verified tokens.
//!
//! Only what RFC 9068 access tokens need is implemented: compact serialization and asymmetric signatures, but not
//! encryption. The [`Algorithm`] enum has neither HMAC nor `none`, so that the known algorithm confusions cannot be
//! expressed. A token signed with a shared secret has a separate type.

mod pem;
mod token_hash;
mod algorithm;
mod crypto;
mod base64url;
mod jws;
mod jwk;
mod spki;
mod key_set;
mod embedded_jwk;
mod jwt_rules;
mod claim_names;
mod claims;
mod profile;
mod issuer_checks;
mod verify;
mod hmac;
mod security_event;

pub use algorithm::Algorithm;
pub(crate) use base64url::{decode as from_base64url, encode as to_base64url};
pub(crate) use claims::Claims;
pub(crate) use crypto::{HmacSha256, PrivateKey, TokenHasher, is_same_secret, random, sha256};
pub(crate) use embedded_jwk::EmbeddedKeyCache;
pub(crate) use hmac::{HmacJwt, HmacKey};
pub(crate) use jws::{Jws, is_compact};
pub use jwt_rules::{JwtRules, Profile};
pub(crate) use key_set::{Key, KeyLookupError};
pub use key_set::{KeySet, KeySetError};
pub(crate) use security_event::{SecurityEvent, SecurityEventKind, set_error};
pub(crate) use token_hash::TokenHash;
pub use verify::verify;
pub(crate) use verify::{check, check_algorithm};

#[cfg(test)]
mod tests;

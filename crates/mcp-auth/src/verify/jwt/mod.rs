//! Is this signed token genuine? JSON Web Signature, keys and claims, without any I/O.
//!
//! This is the whole verification as functions of data; [`McpAuth`](crate::McpAuth) adds keys that are kept up to date and
//! a cache of verified tokens. Only what RFC 9068 access tokens need is here: compact serialization, asymmetric
//! signatures, no encryption. The [`Algorithm`] enum has neither HMAC nor `none`, so that the classic
//! confusions cannot be written down; a token signed with a shared secret has a type of its own.

mod pem;
mod fingerprint;
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
mod dialect;
mod verify;
mod secret;
mod notice;
mod answer;
mod api_answer;

pub use algorithm::Algorithm;
pub use answer::introspected;
pub(crate) use answer::judge_answer;
pub(crate) use api_answer::{judge_api_answer, knows_no_such_token};
pub(crate) use base64url::{decode as from_base64url, encode as to_base64url};
pub(crate) use claims::Claims;
pub(crate) use crypto::{Fingerprints, Mac, PrivateKey, is_same_secret, random, sha256};
pub(crate) use embedded::EmbeddedKeys;
pub(crate) use fingerprint::Fingerprint;
pub(crate) use jws::{Jws, is_compact};
pub(crate) use keys::{Key, Missing};
pub use keys::{KeySet, KeySetError};
pub(crate) use notice::{Notice, NoticeKind, fault};
pub use profile::Profile;
pub use rules::JwtRules;
pub(crate) use secret::{BySecret, Secret};
pub use verify::verify;
pub(crate) use verify::{judge, judge_algorithm};

#[cfg(test)]
mod tests;

//! Is this signed token true? JSON Web Signature, keys and claims, without any I/O.
//!
//! This is the whole verification as functions of data; [`McpAuth`](crate::McpAuth) adds fresh keys and
//! a memory of verified tokens. Only what RFC 9068 access tokens need is here: compact serialization, asymmetric
//! signatures, no encryption. The [`Algorithm`] enum has neither HMAC nor `none`, so that the classic
//! confusions cannot be written down; a token signed with a local secret is another type from the start.

mod pem;
mod fingerprint;
mod signature;
mod ml_dsa;
pub(crate) mod base64url;
mod jws;
mod jwk;
mod keys;
mod spki;
mod embedded;
mod claims;
mod profile;
mod dialect;
mod secret;
mod notice;
mod answer;
mod api_answer;

use std::sync::Arc;

use crate::model::denial::{Denial, Reason};
use crate::model::issuer_overrides::Dialect;
use crate::model::issuer_pattern::Family;
use crate::model::token::VerifiedToken;

pub use answer::introspected;
pub(crate) use answer::judge_answer;
pub(crate) use api_answer::{judge_api_answer, knows_no_such_token};
pub(crate) use base64url::{decode as from_base64url, encode as to_base64url};
pub(crate) use claims::Claims;
pub(crate) use embedded::EmbeddedKeys;
pub(crate) use fingerprint::Fingerprint;
pub(crate) use jws::{Jws, is_compact};
pub(crate) use keys::{Key, Missing};
pub use keys::{KeySet, KeySetError};
pub(crate) use notice::{Notice, NoticeKind, fault};
pub use profile::Profile;
pub(crate) use secret::{BySecret, Secret};
pub use signature::Algorithm;
pub(crate) use signature::{Fingerprints, Mac, PrivateKey, is_same_secret, random, sha256};

/// What one issuer's tokens may look like.
#[derive(Clone, Debug)]
pub struct JwtRules {
    /// The issuer, compared byte for byte with `iss`. A template with a placeholder for the tenant, where
    /// several tenants share their keys.
    pub issuer: Arc<str>,
    /// The signature algorithms that are accepted.
    pub algorithms: Vec<Algorithm>,
    /// How strictly a token must say that it is an access token.
    pub profile: Profile,
    /// The tenants of a template.
    pub(crate) family: Option<Arc<Family>>,
    pub(crate) dialect: Option<Arc<Dialect>>,
}

impl JwtRules {
    /// Every algorithm of [`Algorithm::ALL`], in the compatible profile.
    ///
    /// Accepting many algorithms is safe because each key fixes its own: an attacker cannot choose.
    #[must_use]
    pub fn new(issuer: impl AsRef<str>) -> Self {
        Self {
            issuer: issuer.as_ref().into(),
            algorithms: Algorithm::ALL.to_vec(),
            profile: Profile::default(),
            family: None,
            dialect: None,
        }
    }

    /// Whether tokens of this issuer are judged by these rules.
    pub(crate) fn are_for(&self, issuer: &str) -> bool {
        match &self.family {
            Some(family) => family.names(issuer),
            None => *self.issuer == *issuer,
        }
    }

    /// The issuer of a token that is judged by these rules.
    fn issuer_of(&self, claims: &Claims) -> Arc<str> {
        if self.family.is_some() { claims.issuer().into() } else { self.issuer.clone() }
    }
}

/// Verifies `token` with `keys`: its form, its kind, its issuer and its signature.
///
/// Audience, expiry and scopes are judged after this, by [`Policy::permit`](crate::Policy::permit). A token
/// that is bound to its sender (`cnf`) is refused, since nothing here knows the sender.
///
/// ```
/// use mcp_auth::jwt::{self, JwtRules, KeySet};
/// use mcp_auth::Reason;
///
/// let keys = KeySet::parse(br#"{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"1",
///     "x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#)?;
/// let denial = jwt::verify("not.a.token", &keys, &JwtRules::new("https://auth.example.com")).unwrap_err();
/// assert_eq!(denial.reason(), Some(Reason::Encoding));
/// # Ok::<(), mcp_auth::jwt::KeySetError>(())
/// ```
///
/// # Errors
///
/// [`InvalidToken`](crate::Refusal::InvalidToken) with the [`Reason`].
pub fn verify(token: &str, keys: &KeySet, rules: &JwtRules) -> Result<VerifiedToken, Denial> {
    let mut jws = Jws::parse(token)?;
    let claims = Claims::parse(std::mem::take(&mut jws.payload))?;
    if !rules.are_for(claims.issuer()) {
        return Err(Denial::invalid(Reason::Issuer));
    }
    judge(&jws, &claims, rules)?;
    if claims.binding.is_some() {
        return Err(Denial::invalid(Reason::Binding));
    }
    keys.verify(&jws, claims.issuer()).map_err(Denial::from)?;
    claims.into_token(rules)
}

/// Everything about a token that can be judged without a key.
pub(crate) fn judge(jws: &Jws<'_>, claims: &Claims, rules: &JwtRules) -> Result<(), Denial> {
    judge_algorithm(jws, rules)?;
    rules.profile.judge(&jws.header, claims)?;
    dialect::judge(claims, rules)
}

/// Whether what an issuer signs may be signed like this.
pub(crate) fn judge_algorithm(jws: &Jws<'_>, rules: &JwtRules) -> Result<(), Denial> {
    let algorithm = jws.header.algorithm;
    if rules.algorithms.contains(&algorithm) {
        return Ok(());
    }
    Err(Denial::invalid(Reason::Algorithm).detail(format!(
        "the token is signed with {algorithm}, which `.algorithms(..)` leaves out"
    )))
}

#[cfg(test)]
mod tests;

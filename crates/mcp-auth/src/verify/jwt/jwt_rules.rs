//! The rules for the JWTs of one issuer.

use std::sync::Arc;

use crate::model::issuer_overrides::IssuerOverrides;
use crate::model::issuer_pattern::IssuerSet;
use crate::verify::jwt::algorithm::Algorithm;

/// The rules for the JWTs of one issuer.
#[derive(Clone, Debug)]
pub struct JwtRules {
    /// The issuer, which is compared byte for byte with `iss`. If several tenants share their keys, it is a template
    /// with a placeholder for the tenant.
    pub issuer: Arc<str>,
    /// The accepted signature algorithms.
    pub algorithms: Vec<Algorithm>,
    /// How strictly a token must show that it is an access token.
    pub profile: Profile,
    /// The accepted `typ` values, if they are set.
    pub(crate) types: Option<Box<[Box<str>]>>,
    /// The accepted tenants, if `issuer` is a template.
    pub(crate) issuer_set: Option<Arc<IssuerSet>>,
    pub(crate) overrides: Option<Arc<IssuerOverrides>>,
}

impl JwtRules {
    /// Rules with every algorithm of [`Algorithm::ALL`] and with [`Profile::Compatible`].
    ///
    /// Accepting many algorithms is safe, because each key determines its own. An attacker cannot choose.
    #[must_use]
    pub fn new(issuer: impl AsRef<str>) -> Self {
        Self {
            issuer: issuer.as_ref().into(),
            algorithms: Algorithm::ALL.to_vec(),
            profile: Profile::default(),
            types: None,
            issuer_set: None,
            overrides: None,
        }
    }

    /// Whether these rules apply to tokens of this issuer.
    pub(crate) fn apply_to(&self, issuer: &str) -> bool {
        match &self.issuer_set {
            Some(issuer_set) => issuer_set.contains(issuer),
            None => *self.issuer == *issuer,
        }
    }

    /// The issuer of a token that these rules apply to.
    pub(super) fn issuer_of(&self, issuer: &str) -> Arc<str> {
        if self.issuer_set.is_some() { issuer.into() } else { self.issuer.clone() }
    }
}

/// How strictly a token must show that it is an access token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Profile {
    /// Accepts tokens whose `typ` is `at+jwt`, `JWT` or absent. This is the default, because many issuers do not set
    /// the type of access tokens.
    ///
    /// Unless `typ` is `at+jwt`, a token with claims of another kind of token is refused: `nonce` or `at_hash` of an
    /// ID token, `events` of a logout token, and the like.
    #[default]
    Compatible,
    /// Accepts only tokens of [RFC 9068](https://www.rfc-editor.org/rfc/rfc9068#section-4): `typ` is `at+jwt`, and
    /// `client_id`, `iat` and `jti` are present.
    Rfc9068,
}

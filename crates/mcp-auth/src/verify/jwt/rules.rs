//! What one issuer's JWTs must look like.

use std::sync::Arc;

use crate::model::issuer_overrides::IssuerOverrides;
use crate::model::issuer_pattern::IssuerSet;
use crate::verify::jwt::algorithm::Algorithm;

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
    pub(crate) issuer_set: Option<Arc<IssuerSet>>,
    pub(crate) overrides: Option<Arc<IssuerOverrides>>,
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
            issuer_set: None,
            overrides: None,
        }
    }

    /// Whether tokens of this issuer are judged by these rules.
    pub(crate) fn are_for(&self, issuer: &str) -> bool {
        match &self.issuer_set {
            Some(issuer_set) => issuer_set.contains(issuer),
            None => *self.issuer == *issuer,
        }
    }

    /// The issuer of a token that is judged by these rules.
    pub(super) fn issuer_of(&self, issuer: &str) -> Arc<str> {
        if self.issuer_set.is_some() { issuer.into() } else { self.issuer.clone() }
    }
}

/// How strictly a token must say that it is an access token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Profile {
    /// The default, for the many issuers that do not type their access tokens: `typ` is `at+jwt`,
    /// `JWT` or absent. Unless it is `at+jwt`, a token that shows the marks of another kind is
    /// refused: `nonce` or `at_hash` of an ID token, `events` of a logout token, and the like.
    #[default]
    Compatible,
    /// Only tokens of [RFC 9068](https://www.rfc-editor.org/rfc/rfc9068#section-4): `typ` is `at+jwt`,
    /// and `client_id`, `iat` and `jti` are there.
    Rfc9068,
}

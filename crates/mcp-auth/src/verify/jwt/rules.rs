//! What one issuer's JWTs must look like.

use std::sync::Arc;

use crate::model::issuer_overrides::Dialect;
use crate::model::issuer_pattern::Family;
use crate::verify::jwt::algorithm::Algorithm;
use crate::verify::jwt::profile::Profile;

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
    pub(super) fn issuer_of(&self, issuer: &str) -> Arc<str> {
        if self.family.is_some() { issuer.into() } else { self.issuer.clone() }
    }
}

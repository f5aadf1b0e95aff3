//! `IssuerOverrides`: how the tokens of one issuer differ from the standards, such as in audience and scopes.

use crate::model::provider::{Provider, TokenMarker};

/// How to interpret the tokens of one issuer. The default follows the standards.
#[derive(Clone, Debug, Default)]
pub(crate) struct IssuerOverrides {
    /// Additional `aud` values that this issuer uses for the resource.
    pub(crate) audiences: Vec<String>,
    /// The clients whose tokens are accepted for the resource although they have no `aud`.
    pub(crate) clients: Vec<String>,
    /// Whether tokens are accepted with any audience.
    pub(crate) accepts_any_audience: bool,
    /// The claims that may contain the scopes; the first one present counts. If empty, the usual claims are
    /// read.
    pub(crate) scope_claims: Vec<Box<str>>,
    /// The claims that its access tokens have, in addition to those of the provider. With a value: the claim is this
    /// string.
    pub(crate) required_claims: Vec<(Box<str>, Option<Box<str>>)>,
    /// The claim that must name the same tenant as the issuer, if the issuer names one.
    pub(crate) tenant_claim: Option<Box<str>>,
    /// The provider, if the issuer was configured as one.
    pub(crate) provider: Option<&'static Provider>,
}

impl IssuerOverrides {
    /// The overrides of a provider.
    pub(crate) fn of(provider: &'static Provider) -> Self {
        // `scope`, `scp` and `scopes` are read anyway.
        let has_more =
            provider.scopes.iter().any(|claim| !["scope", "scp", "scopes"].contains(claim));
        let scope_claims = if has_more { provider.scopes } else { &[] };
        Self {
            scope_claims: scope_claims.iter().map(|claim| (*claim).into()).collect(),
            provider: Some(provider),
            ..Self::default()
        }
    }

    /// The claims that this issuer's access tokens have and its other tokens do not have, some with their value.
    pub(crate) fn markers(&self) -> impl Iterator<Item = (&str, Option<&str>)> {
        let of_provider = self.provider.map_or(&[][..], |provider| provider.markers);
        let of_provider = of_provider.iter().map(|marker| match *marker {
            TokenMarker::Has(claim) => (claim, None),
            TokenMarker::Is(claim, value) => (claim, Some(value)),
        });
        let own = self.required_claims.iter();
        of_provider.chain(own.map(|(claim, value)| (&**claim, value.as_deref())))
    }

    /// Whether a token without `aud` is accepted because of the client that it was issued to.
    pub(crate) fn is_for_our_client(&self, client_id: Option<&str>) -> bool {
        client_id.is_some_and(|id| self.clients.iter().any(|client| client == id))
    }
}

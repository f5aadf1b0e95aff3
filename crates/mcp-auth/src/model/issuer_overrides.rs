//! What one issuer's tokens say differently from others': for whom they are, and where their scopes stand.

use crate::model::provider::{Provider, TokenMarker};

/// How the tokens of one issuer are to be understood. The default is that of the standards.
#[derive(Clone, Debug, Default)]
pub(crate) struct IssuerOverrides {
    /// Other names that this issuer has for the resource, in `aud`.
    pub(crate) audiences: Vec<String>,
    /// The clients whose tokens are meant for the resource, though they name no audience.
    pub(crate) clients: Vec<String>,
    /// Whether tokens are taken whatever their audience is.
    pub(crate) is_any_audience_ours: bool,
    /// The claims that hold the scopes, the first that is there; the usual ones if empty.
    pub(crate) scope_claims: Vec<Box<str>>,
    /// The claim that must name the tenant, where the issuer does.
    pub(crate) tenant_claim: Option<Box<str>>,
    /// The row of the table, if the issuer was named by it.
    pub(crate) provider: Option<&'static Provider>,
}

impl IssuerOverrides {
    /// What a provider of the table says differently.
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

    /// What an access token of this issuer has, and its other tokens have not.
    pub(crate) fn markers(&self) -> &'static [TokenMarker] {
        self.provider.map_or(&[], |provider| provider.markers)
    }

    /// Whether a token that names no audience is one for us, by the client it was issued to.
    pub(crate) fn is_for_our_client(&self, client_id: Option<&str>) -> bool {
        client_id.is_some_and(|id| self.clients.iter().any(|client| client == id))
    }
}

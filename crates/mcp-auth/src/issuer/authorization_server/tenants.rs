//! Authorization servers with many tenants, each of which has its own issuer.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::issuer::authorization_server::server::AuthorizationServer;
use crate::issuer::authorization_server::settings::MetadataSource;
use crate::model::issuer_pattern::{IssuerPattern, IssuerSet, is_tenant};

/// An authorization server whose tenants share their metadata and their keys, before the trusted tenants are given.
/// Created by [`AuthorizationServer::template`].
///
/// [`tenants`](Self::tenants) turns it into an authorization server. The list is required: without one, anyone
/// could create a tenant and log in.
#[derive(Clone, Debug)]
#[must_use = "nobody is trusted before `tenants(..)`"]
pub struct IssuerTemplate {
    template: Arc<str>,
    metadata_url: Arc<str>,
    tenant_claim: Option<Box<str>>,
}

impl AuthorizationServer {
    /// A server with many tenants. Their issuers differ in one place, the placeholder. They share their keys and
    /// the metadata at `metadata_url`, whose `issuer` is the template itself.
    ///
    /// ```
    /// use mcp_auth::{AuthorizationServer, McpAuth};
    ///
    /// let login = AuthorizationServer::template(
    ///     "https://login.example.com/{tenant}/v2.0",
    ///     "https://login.example.com/common/v2.0/.well-known/openid-configuration",
    /// )
    /// .tenant_claim("tid")
    /// .tenants(["acme", "globex"]);
    /// let auth = McpAuth::builder("https://api.example.com/mcp").authorization_server(login).build()?;
    /// # Ok::<(), mcp_auth::ConfigError>(())
    /// ```
    ///
    /// A key with an `issuer` member signs tokens of that issuer only. Tenants that have their own keys are
    /// separate authorization servers: configure each of them, or see
    /// [`McpAuthBuilder::issuer_resolver`](crate::McpAuthBuilder::issuer_resolver).
    pub fn template(template: impl AsRef<str>, metadata_url: impl AsRef<str>) -> IssuerTemplate {
        IssuerTemplate {
            template: template.as_ref().into(),
            metadata_url: metadata_url.as_ref().into(),
            tenant_claim: None,
        }
    }

    /// Sets the issuer that the metadata of the resource tells clients to log in at, instead of this one: for a
    /// server with many tenants whose list should not be published. Clients that compare it with the `issuer` of
    /// its metadata refuse it if they differ.
    #[must_use]
    pub fn advertise_as(self, issuer: impl AsRef<str>) -> Self {
        self.with(|settings| settings.advertise_as = Some(issuer.as_ref().into()))
    }

    /// The issuers at which clients may log in: this one or those of its tenants, unless `advertise_as` is set.
    pub(crate) fn published(&self) -> Vec<String> {
        match (&self.settings.advertise_as, self.issuer_set()) {
            (Some(advertise_as), _) => vec![advertise_as.to_string()],
            (None, Some(issuer_set)) => issuer_set.issuers(),
            (None, None) => vec![self.issuer().to_owned()],
        }
    }

    /// The issuers of its tenants, if it has tenants.
    pub(crate) fn issuer_set(&self) -> Option<&IssuerSet> {
        self.settings.rules.issuer_set.as_deref()
    }

    /// Whether its template has no placeholder, no tenants, or an invalid tenant.
    pub(crate) fn has_unusable_tenants(&self) -> bool {
        self.issuer_set().is_some_and(|issuer_set| {
            let tenants = issuer_set.tenants.iter().flatten();
            !issuer_set.template.has_placeholder()
                || tenants.clone().next().is_none()
                || !tenants.clone().all(|tenant| is_tenant(tenant))
        })
    }
}

impl IssuerTemplate {
    /// Names the claim that also holds the tenant. A token is refused if it lacks the claim, or if the claim and
    /// the issuer disagree.
    pub fn tenant_claim(mut self, claim: impl AsRef<str>) -> Self {
        self.tenant_claim = Some(claim.as_ref().into());
        self
    }

    /// Trusts these tenants, written as `iss` writes them, and no others.
    #[must_use]
    pub fn tenants<S: AsRef<str>>(
        self,
        tenants: impl IntoIterator<Item = S>,
    ) -> AuthorizationServer {
        let tenants: BTreeSet<Box<str>> =
            tenants.into_iter().map(|tenant| tenant.as_ref().into()).collect();
        let server =
            AuthorizationServer::new(&self.template, MetadataSource::Url(self.metadata_url));
        // An invalid template matches no issuer of a tenant; `build()` reports it.
        let template = IssuerPattern::parse(&self.template)
            .unwrap_or_else(|| IssuerPattern::exact(&self.template));
        server
            .with(|settings| {
                settings.rules.issuer_set =
                    Some(Arc::new(IssuerSet { template, tenants: Some(tenants) }));
            })
            .with_overrides(|overrides| overrides.tenant_claim = self.tenant_claim)
    }
}

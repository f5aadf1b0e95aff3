//! One authorization server with many tenants, each of which is an issuer of its own.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::issuer::authorization_server::server::AuthorizationServer;
use crate::issuer::authorization_server::settings::Source;
use crate::model::issuer_pattern::{IssuerPattern, IssuerSet, is_tenant};

/// An authorization server whose tenants share their metadata and their keys, before it is said which
/// tenants are trusted. Made by [`AuthorizationServer::template`].
///
/// It is no authorization server before [`tenants`](Self::tenants) makes one of it: without a list,
/// anybody could found a tenant and log in.
#[derive(Clone, Debug)]
#[must_use = "nobody is trusted before `tenants(..)`"]
pub struct IssuerTemplate {
    template: Arc<str>,
    metadata_url: Arc<str>,
    tenant_claim: Option<Box<str>>,
}

impl AuthorizationServer {
    /// A server with many tenants: their issuers differ in one place, the placeholder, and share the
    /// metadata at `metadata_url`, whose `issuer` is the template itself, and its keys.
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
    /// Keys with an `issuer` member of their own sign tokens of that issuer only. Tenants with keys of
    /// their own are authorization servers of their own: name them one by one, or see
    /// [`McpAuthBuilder::issuer_resolver`](crate::McpAuthBuilder::issuer_resolver).
    pub fn template(template: impl AsRef<str>, metadata_url: impl AsRef<str>) -> IssuerTemplate {
        IssuerTemplate {
            template: template.as_ref().into(),
            metadata_url: metadata_url.as_ref().into(),
            tenant_claim: None,
        }
    }

    /// Names what clients are told to log in at, in the metadata of the resource, instead of the issuer:
    /// for a server with many tenants, whose list shall not be published. Clients that compare it with
    /// the `issuer` of its metadata refuse it if that is another one.
    #[must_use]
    pub fn advertise_as(self, issuer: impl AsRef<str>) -> Self {
        self.with(|settings| settings.advertise_as = Some(issuer.as_ref().into()))
    }

    /// What the metadata of a resource names: the issuer, or those of its tenants.
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

    /// Whether a template was given that is none, without tenants or with such as cannot be.
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
    /// Names the claim that holds the tenant as well: a token whose claim and issuer disagree, or that
    /// lacks the claim, is refused.
    pub fn tenant_claim(mut self, claim: impl Into<Box<str>>) -> Self {
        self.tenant_claim = Some(claim.into());
        self
    }

    /// Trusts these tenants, written as `iss` writes them, and no other.
    #[must_use]
    pub fn tenants<S: Into<Box<str>>>(
        self,
        tenants: impl IntoIterator<Item = S>,
    ) -> AuthorizationServer {
        let tenants: BTreeSet<Box<str>> = tenants.into_iter().map(Into::into).collect();
        let server = AuthorizationServer::new(&self.template, Source::Url(self.metadata_url));
        // What is no template has no issuers either; `build()` says so.
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

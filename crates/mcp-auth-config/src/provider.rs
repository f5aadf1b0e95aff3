//! What identifies an authorization server: its URL, or a provider by name.

use std::fs;
use std::path::Path;

use mcp_auth::metadata::ServerMetadata;
use mcp_auth::{AuthorizationServer, Provider};

use crate::error::Error;
use crate::issuer::IssuerConfig;

impl IssuerConfig {
    /// A provider with what identifies the tenant there, in the order of the placeholders of its issuer:
    /// `entra:TENANT_ID`, `okta:acme.okta.com,default`.
    ///
    /// # Errors
    ///
    /// If the provider is not known, or needs another number of values.
    pub fn of_provider(text: &str) -> Result<Self, Error> {
        let (id, values) = text.split_once(':').unwrap_or((text, ""));
        let provider = find_provider(id)?;
        let values: Vec<_> = values.split(',').filter(|value| !value.is_empty()).collect();
        let names: Vec<_> = placeholders(provider).collect();
        if names.len() != values.len() {
            let names = names.iter().map(|name| key_of(name)).collect::<Vec<_>>().join(",");
            return Err(Error::new(format!(
                "the provider {id:?} is set as `{id}:{names}`: {}",
                provider.placeholders
            )));
        }
        let mut issuer = Self { provider: Some(id.into()), ..Self::default() };
        for (name, value) in names.into_iter().zip(values) {
            if let Some(place) = issuer.place_mut(key_of(name)) {
                *place = Some(value.into());
            }
        }
        Ok(issuer)
    }

    /// The server, by what identifies it.
    pub(crate) fn identified(&self) -> Result<AuthorizationServer, Error> {
        let given = |key: &'static str, is_set| Some(key).filter(|_| is_set);
        let of_keys = [
            given("metadata_url", self.metadata_url.is_some()),
            given("metadata_file", self.metadata_file.is_some()),
            given("keys_file", self.keys_file.is_some()),
            given("hmac_secret", self.hmac_secret.is_some()),
        ];
        let of_providers = [
            given("clients", !self.clients.is_empty()),
            given("client_id", self.client_id.is_some()),
            given("secret", self.secret.is_some()),
        ];
        let of_tenants = [
            given("tenants", !self.tenants.is_empty()),
            given("tenant_claim", self.tenant_claim.is_some()),
        ];
        if let Some(provider) = &self.provider {
            // Keys that say nothing here would not do what they say.
            let places: Vec<_> = placeholders(find_provider(provider)?).map(key_of).collect();
            let places = self
                .places()
                .into_iter()
                .filter_map(|(key, value)| value.filter(|_| !places.contains(&key)).map(|_| key));
            let is_used = |key: &str| match provider.as_str() {
                "cognito" => matches!(key, "clients" | "pool"),
                "entra_tenants" => key == "tenants",
                "google" => key == "clients",
                "github" | "github_enterprise" => matches!(key, "client_id" | "secret"),
                _ => false,
            };
            let unused = of_keys.into_iter().chain(of_providers).chain(of_tenants);
            if let Some(key) = unused.flatten().chain(places).find(|key| !is_used(key)) {
                return Err(Error::new(format!(
                    "`{key}` has no meaning for the provider {provider:?}: leave it out"
                )));
            }
            return self.with_provider(provider);
        }
        if let Some(key) = of_providers.into_iter().flatten().next() {
            return Err(Error::new(format!(
                "`{key}` says something about a provider: set `provider` too"
            )));
        }
        if let Some((key, _)) =
            self.places().iter().find(|(key, value)| *key != "url" && value.is_some())
        {
            return Err(Error::new(format!(
                "`{key}` says something about a provider: set `provider` too"
            )));
        }
        let url = self.url.as_ref().ok_or_else(|| {
            Error::new("set `url`, the issuer, or `provider`, one of those that are known by name")
        })?;
        let mut sources = of_keys.into_iter().flatten();
        let source = sources.next();
        if let (Some(one), Some(other)) = (source, sources.next()) {
            return Err(Error::new(format!(
                "`{one}` and `{other}` are two sources of the same keys: leave one out"
            )));
        }
        if !self.tenants.is_empty() {
            return self.with_tenants(url);
        }
        if self.tenant_claim.is_some() {
            return Err(Error::new(
                "`tenant_claim` says something about tenants: set `tenants` too",
            ));
        }
        if let Some(metadata) = &self.metadata_url {
            Ok(AuthorizationServer::from_metadata_url(url, metadata))
        } else if let Some(file) = &self.metadata_file {
            Ok(AuthorizationServer::from_metadata(metadata_in(file, url)?))
        } else if let Some(file) = &self.keys_file {
            Ok(AuthorizationServer::with_keys_file(url, file))
        } else if let Some(secret) = &self.hmac_secret {
            Ok(AuthorizationServer::with_secret(url, secret.read()?))
        } else if !url.starts_with("https://") && !url.starts_with("http://") {
            Err(Error::new(format!(
                "`url` is {url:?}, which is not a URL: it begins with https://"
            )))
        } else {
            Ok(AuthorizationServer::discover(url))
        }
    }

    /// A server with tenants, whose issuers differ in the placeholder of `url`.
    fn with_tenants(&self, url: &str) -> Result<AuthorizationServer, Error> {
        let Some(metadata) = self.metadata_url.as_ref().filter(|_| url.contains('{')) else {
            return Err(Error::new(
                "`tenants` needs a `url` with a placeholder, \"https://login.example.com/{tenant}\", and `metadata_url`, the metadata that they share",
            ));
        };
        let template = AuthorizationServer::template(url, metadata);
        let template = match &self.tenant_claim {
            Some(claim) => template.tenant_claim(&**claim),
            None => template,
        };
        Ok(template.tenants(self.tenants.iter().map(String::as_str)))
    }

    fn with_provider(&self, id: &str) -> Result<AuthorizationServer, Error> {
        let provider = find_provider(id)?;
        if id == "entra_tenants" && !self.tenants.is_empty() {
            return Ok(AuthorizationServer::entra_tenants(&self.tenants));
        }
        if id == "cognito"
            && let Some(pool) = &self.pool
        {
            return Ok(AuthorizationServer::cognito(pool, self.clients.clone()));
        }
        if id == "google" {
            return match self.clients.is_empty() {
                false => Ok(AuthorizationServer::google(self.clients.clone())),
                true => Err(Error::new(
                    "the provider \"google\" needs `clients`: the IDs of your OAuth clients",
                )),
            };
        }
        if matches!(id, "github" | "github_enterprise") {
            return self.github(provider);
        }
        let mut places = Vec::new();
        for name in placeholders(provider) {
            let key = key_of(name);
            let value = self.places().into_iter().find(|(known, _)| *known == key);
            let value = value.and_then(|(_, value)| value);
            let value = value.ok_or_else(|| {
                Error::new(format!("the provider {id:?} needs `{key}`: {}", provider.placeholders))
            })?;
            places.push((name, value));
        }
        Ok(AuthorizationServer::provider(id, places))
    }

    fn github(&self, provider: &Provider) -> Result<AuthorizationServer, Error> {
        let id = provider.id;
        let (Some(client), Some(secret)) = (&self.client_id, &self.secret) else {
            return Err(Error::new(format!(
                "the provider {id:?} needs `client_id` and `secret`: of an OAuth app or a GitHub App of your own"
            )));
        };
        let secret = secret.to_secret()?;
        match (id, &self.url) {
            ("github", _) => Ok(AuthorizationServer::github(client, secret)),
            (_, Some(url)) => Ok(AuthorizationServer::github_enterprise(url, client, secret)),
            (_, None) => Err(Error::new(format!(
                "the provider {id:?} needs `url`: {}",
                provider.placeholders
            ))),
        }
    }

    /// Whether it is a provider that is asked about tokens by an API of its own.
    pub(crate) fn has_own_api(&self) -> bool {
        self.provider
            .as_deref()
            .is_some_and(|id| matches!(id, "google" | "github" | "github_enterprise"))
    }

    /// The keys that fill the placeholders of providers.
    fn places(&self) -> [(&'static str, Option<&str>); 12] {
        [
            ("url", self.url.as_deref()),
            ("application", self.application.as_deref()),
            ("client", self.client.as_deref()),
            ("domain", self.domain.as_deref()),
            ("environment", self.environment.as_deref()),
            ("organization", self.organization.as_deref()),
            ("pool", self.pool.as_deref()),
            ("project", self.project.as_deref()),
            ("realm", self.realm.as_deref()),
            ("resource", self.resource.as_deref()),
            ("server", self.server.as_deref()),
            ("tenant", self.tenant.as_deref()),
        ]
    }
}

impl IssuerConfig {
    fn place_mut(&mut self, key: &str) -> Option<&mut Option<String>> {
        Some(match key {
            "url" => &mut self.url,
            "application" => &mut self.application,
            "client" => &mut self.client,
            "domain" => &mut self.domain,
            "environment" => &mut self.environment,
            "organization" => &mut self.organization,
            "pool" => &mut self.pool,
            "project" => &mut self.project,
            "realm" => &mut self.realm,
            "resource" => &mut self.resource,
            "server" => &mut self.server,
            "tenant" => &mut self.tenant,
            _ => return None,
        })
    }
}

fn find_provider(id: &str) -> Result<&'static Provider, Error> {
    Provider::find(id).ok_or_else(|| {
        let known: Vec<_> = Provider::ALL.iter().map(|provider| provider.id).collect();
        Error::new(format!("the provider {id:?} is not known; known are: {}", known.join(", ")))
    })
}

/// The names of the placeholders in the issuer of a provider, without Cognito's region, with which its pool begins.
fn placeholders(provider: &Provider) -> impl Iterator<Item = &'static str> {
    let names = provider.issuer.split('{').skip(1).filter_map(|rest| rest.split('}').next());
    names.filter(|name| *name != "region")
}

/// The key of a placeholder.
fn key_of(placeholder: &str) -> &str {
    if placeholder == "tenantid" { "tenant" } else { placeholder }
}

/// The metadata in a file, which must be that of this issuer.
fn metadata_in(file: &Path, issuer: &str) -> Result<ServerMetadata, Error> {
    let wrong = |why: String| Error::new(format!("`metadata_file` {}: {why}", file.display()));
    let text = fs::read(file).map_err(|error| wrong(error.to_string()))?;
    let metadata = ServerMetadata::parse(&text).map_err(|why| wrong(why.to_owned()))?;
    if metadata.issuer() != issuer {
        return Err(wrong(format!(
            "its `issuer` is {:?}, and `url` says {issuer:?}",
            metadata.issuer()
        )));
    }
    Ok(metadata)
}

//! Authorization servers, as data.

use std::collections::BTreeMap;
use std::path::PathBuf;

use mcp_auth::jwt::{Algorithm, Profile};
use mcp_auth::{AuthorizationServer, Introspection, Provider};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::duration::{DurationSetting, Seconds};
use crate::error::Error;
use crate::secret::SecretSource;

/// An authorization server: by its issuer URL, or by the name of a provider with what identifies the tenant there.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct IssuerConfig {
    /// The issuer, byte for byte as in the `iss` of its tokens. For a provider: the URL that it asks for.
    pub url: Option<String>,
    /// The identifier of a provider: `entra`, `keycloak`, `auth0`.
    pub provider: Option<String>,
    /// For a provider: the application.
    pub application: Option<String>,
    /// For a provider: the client, such as Kanidm's.
    pub client: Option<String>,
    /// For a provider: the app clients whose tokens are accepted (Amazon Cognito).
    pub clients: Vec<String>,
    /// For a provider: the domain.
    pub domain: Option<String>,
    /// For a provider: the environment.
    pub environment: Option<String>,
    /// For a provider: the organization.
    pub organization: Option<String>,
    /// For a provider: the user pool (Amazon Cognito).
    pub pool: Option<String>,
    /// For a provider: the project.
    pub project: Option<String>,
    /// For a provider: the realm.
    pub realm: Option<String>,
    /// For a provider: its identifier of the resource.
    pub resource: Option<String>,
    /// For a provider: the authorization server in it.
    pub server: Option<String>,
    /// For a provider: the tenant.
    pub tenant: Option<String>,
    /// For Entra: several tenants.
    pub tenants: Vec<String>,

    /// Other audiences that the tokens of this server may have for this resource.
    pub audiences: Vec<String>,
    /// The issuer that clients are sent to, if it is not the one of the tokens.
    pub advertise_as: Option<String>,
    /// The signature algorithms that are accepted, by their JOSE names. Default: all that are known.
    pub algorithms: Option<Vec<String>>,
    /// Whether only access tokens by RFC 9068 (`typ: at+jwt`) are accepted.
    pub rfc9068: bool,
    /// The place of the metadata, if it is not derived from the issuer.
    pub metadata_url: Option<String>,
    /// A file with the key set. Then nothing is fetched.
    pub keys_file: Option<PathBuf>,
    /// The secret with which tokens are signed (HS256). Then nothing is fetched.
    pub hmac_secret: Option<SecretSource>,
    /// How long fetched keys are used at most before they are fetched again.
    pub jwks_max_age: Option<Seconds>,
    /// How much longer fetched keys are used while the server is unavailable.
    pub jwks_max_stale: Option<Seconds>,
    /// The shortest time between two fetches that tokens with unknown keys cause.
    pub jwks_cooldown: Option<Seconds>,
    /// How long a fetch may take.
    pub jwks_timeout: Option<Seconds>,
    /// Headers for fetches: names and where their values come from.
    pub headers: BTreeMap<String, SecretSource>,
    /// How tokens are introspected.
    pub introspection: Option<IntrospectionConfig>,
    /// Accepts tokens of this server for any audience. It opens this resource to tokens for every other one.
    pub dangerous_any_audience: bool,
}

/// How this resource authenticates at the introspection endpoint.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum IntrospectionMethod {
    /// HTTP Basic with `client_id` and `secret`.
    #[default]
    Basic,
    /// `client_id` and `secret` in the body.
    Post,
    /// The secret as a bearer token.
    Bearer,
}

/// Token introspection (RFC 7662).
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct IntrospectionConfig {
    /// The client identifier of this resource. Not needed with `method = "bearer"`.
    #[serde(default)]
    pub client_id: String,
    /// Its secret, or the bearer token.
    pub secret: SecretSource,
    /// How it authenticates.
    #[serde(default)]
    pub method: IntrospectionMethod,
    /// The endpoint, if the metadata does not name it.
    pub endpoint: Option<String>,
    /// Whether JWTs are introspected too.
    #[serde(default)]
    pub also_jwts: bool,
    /// Whether answers must be signed (RFC 9701).
    #[serde(default)]
    pub signed_responses: bool,
    /// How long an answer is used at most.
    pub cache_for: Option<Seconds>,
    /// How long it is known that a token is not active.
    pub negative_cache_for: Option<Seconds>,
    /// How many tokens are cached.
    pub cached_tokens: Option<usize>,
    /// How many requests to the endpoint may be under way.
    pub max_in_flight: Option<usize>,
    /// How long a request to the endpoint may take.
    pub timeout: Option<Seconds>,
}

impl IssuerConfig {
    /// The authorization server that is described.
    ///
    /// # Errors
    ///
    /// If keys are missing or contradict each other, or a secret cannot be read.
    pub fn to_server(&self) -> Result<AuthorizationServer, Error> {
        let mut server = self.identified()?;
        for audience in &self.audiences {
            server = server.audience(audience);
        }
        if let Some(issuer) = &self.advertise_as {
            server = server.advertise_as(issuer);
        }
        if let Some(names) = &self.algorithms {
            let named = |name: &String| {
                Algorithm::named(name).ok_or_else(|| {
                    let known: Vec<_> =
                        Algorithm::ALL.iter().map(|algorithm| algorithm.name()).collect();
                    Error::new(format!(
                        "the algorithm {name:?} is not known; known are: {}",
                        known.join(", ")
                    ))
                })
            };
            server = server.algorithms(names.iter().map(named).collect::<Result<Vec<_>, _>>()?);
        }
        if self.rfc9068 {
            server = server.profile(Profile::Rfc9068);
        }
        let durations: [DurationSetting<AuthorizationServer>; 4] = [
            (self.jwks_max_age, AuthorizationServer::jwks_max_age),
            (self.jwks_max_stale, AuthorizationServer::jwks_max_stale),
            (self.jwks_cooldown, AuthorizationServer::jwks_cooldown),
            (self.jwks_timeout, AuthorizationServer::jwks_timeout),
        ];
        for (duration, set) in durations {
            if let Some(Seconds(duration)) = duration {
                server = set(server, duration);
            }
        }
        for (name, value) in &self.headers {
            let header = || Some((name.parse().ok()?, value.read().ok()?.parse().ok()?));
            let (name, value) = header().ok_or_else(|| {
                Error::new(format!(
                    "the header {name:?} is not valid, or its secret cannot be read"
                ))
            })?;
            server = server.header(name, value);
        }
        if let Some(introspection) = &self.introspection {
            server = server.introspection(introspection.to_introspection()?);
        }
        if self.dangerous_any_audience {
            server = server.dangerous_any_audience();
        }
        Ok(server)
    }

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
    fn identified(&self) -> Result<AuthorizationServer, Error> {
        let given = |key: &'static str, is_set| Some(key).filter(|_| is_set);
        let of_keys = [
            given("metadata_url", self.metadata_url.is_some()),
            given("keys_file", self.keys_file.is_some()),
            given("hmac_secret", self.hmac_secret.is_some()),
        ];
        let of_providers = [
            given("clients", !self.clients.is_empty()),
            given("tenants", !self.tenants.is_empty()),
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
                _ => false,
            };
            let unused = of_keys.into_iter().chain(of_providers).flatten().chain(places);
            if let Some(key) = unused.into_iter().find(|key| !is_used(key)) {
                return Err(Error::new(format!(
                    "`{key}` has no meaning for the provider {provider:?}"
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
        match (&self.metadata_url, &self.keys_file, &self.hmac_secret) {
            (None, None, None) => Ok(AuthorizationServer::discover(url)),
            (Some(metadata), None, None) => {
                Ok(AuthorizationServer::from_metadata_url(url, metadata))
            }
            (None, Some(file), None) => Ok(AuthorizationServer::with_keys_file(url, file)),
            (None, None, Some(secret)) => Ok(AuthorizationServer::with_secret(url, secret.read()?)),
            _ => Err(Error::new("set only one of `metadata_url`, `keys_file` and `hmac_secret`")),
        }
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
    // GitHub's tokens are checked with a secret, for which there is no key yet.
    Provider::find(id).filter(|provider| !provider.id.starts_with("github")).ok_or_else(|| {
        let is_here = |id: &&str| !id.starts_with("github");
        let known: Vec<_> =
            Provider::ALL.iter().map(|provider| provider.id).filter(is_here).collect();
        Error::new(format!("the provider {id:?} is not known; known are: {}", known.join(", ")))
    })
}

/// The names of the placeholders in the issuer of a provider.
fn placeholders(provider: &Provider) -> impl Iterator<Item = &'static str> {
    provider.issuer.split('{').skip(1).filter_map(|rest| rest.split('}').next())
}

/// The key of a placeholder.
fn key_of(placeholder: &str) -> &str {
    if placeholder == "tenantid" { "tenant" } else { placeholder }
}

impl IntrospectionConfig {
    fn to_introspection(&self) -> Result<Introspection, Error> {
        let secret = self.secret.read()?;
        if self.client_id.is_empty() && self.method != IntrospectionMethod::Bearer {
            return Err(Error::new(
                "the introspection needs `client_id`, the client of this resource at the issuer",
            ));
        }
        let mut introspection = match self.method {
            IntrospectionMethod::Basic => Introspection::basic(&self.client_id, secret),
            IntrospectionMethod::Post => Introspection::post(&self.client_id, secret),
            IntrospectionMethod::Bearer => Introspection::bearer(secret),
        };
        if let Some(endpoint) = &self.endpoint {
            introspection = introspection.endpoint(endpoint);
        }
        if self.also_jwts {
            introspection = introspection.introspect_jwts();
        }
        if self.signed_responses {
            introspection = introspection.signed_responses();
        }
        if let Some(tokens) = self.cached_tokens {
            introspection = introspection.cached_tokens(tokens);
        }
        if let Some(requests) = self.max_in_flight {
            introspection = introspection.max_in_flight(requests);
        }
        let durations: [DurationSetting<Introspection>; 3] = [
            (self.cache_for, Introspection::cache_for),
            (self.negative_cache_for, Introspection::negative_cache_for),
            (self.timeout, Introspection::timeout),
        ];
        for (duration, set) in durations {
            if let Some(Seconds(duration)) = duration {
                introspection = set(introspection, duration);
            }
        }
        Ok(introspection)
    }
}

//! The whole configuration.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::PathBuf;

use mcp_auth::{AuthorizationServer, Downstream, McpAuth, McpAuthBuilder, Revocations};
use schemars::{JsonSchema, Schema, schema_for};
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::events::RevocationsConfig;
use crate::issuer::IssuerConfig;
use crate::resource::ResourceConfig;
use crate::secret::SecretSource;
use crate::{address, printed, shape};

/// A gateway: issuers, resources, and where it listens.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where the gateway listens for clients: an address and a port. Default: `127.0.0.1:8080`.
    #[serde(deserialize_with = "address::deserialize")]
    pub listen: Option<SocketAddr>,
    /// Where the gateway answers its operator (`/livez`, `/readyz`, `/metrics`): an address and a port. Default: nowhere.
    #[serde(deserialize_with = "address::deserialize")]
    pub admin: Option<SocketAddr>,
    /// The certificate with which clients are answered. Without one, a proxy must terminate TLS.
    pub tls: Option<Tls>,
    /// The most connections of clients at a time.
    pub max_connections: Option<usize>,
    /// The most connections of one address at a time: set it where a proxy on another machine is in front. Default: 1024.
    pub max_connections_per_address: Option<usize>,
    /// The key that signs the tokens of `identity = "jwt"`, in PEM (PKCS #8, P-256). Default: a new one at each start.
    pub signing_key: Option<SecretSource>,
    /// The most bytes of request bodies that are held in all, until it is decided whether they pass. Rules need a body to
    /// decide. Default: 256 MiB.
    pub max_buffered_bytes: Option<usize>,
    /// The same for callers without a token, where `optional` admits them. Default: 64 MiB.
    pub max_anonymous_buffered_bytes: Option<usize>,
    /// The proxies in front whose `X-Forwarded-Host` says which host the client called: addresses and networks where
    /// nothing but the proxies runs. Default: none.
    pub forwarded_host_from: Vec<String>,
    /// The authorization servers, by names of your choice.
    #[serde(deserialize_with = "shape::named_tables")]
    pub issuers: BTreeMap<String, IssuerConfig>,
    /// The protected MCP servers.
    #[serde(deserialize_with = "shape::listed_tables")]
    pub resources: Vec<ResourceConfig>,
    /// The list of revoked tokens, which all resources share.
    pub revocations: RevocationsConfig,
}

/// A certificate chain and its key, in PEM files. They are read again when they change.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// The certificate chain, the server's own first.
    pub certificate: PathBuf,
    /// The private key.
    pub key: PathBuf,
    /// The certificate authorities of clients, whose certificates are then asked for (RFC 8705).
    pub client_ca: Option<PathBuf>,
}

impl Config {
    /// Reads a configuration in TOML.
    ///
    /// # Errors
    ///
    /// If it is not TOML, or has a key or a value that is not known, with its line.
    pub fn from_toml(text: &str) -> Result<Self, Error> {
        toml::from_str(text).map_err(|error| Error::in_toml(&error, text))
    }

    /// Reads a configuration in JSON, with the same keys.
    ///
    /// # Errors
    ///
    /// If it is not JSON, or has a key or a value that is not known, with its line.
    pub fn from_json(text: &str) -> Result<Self, Error> {
        serde_json::from_str(text).map_err(|error| Error::in_json(&error))
    }

    /// The configuration in TOML, without what is not set. Secrets are named by where they come from.
    ///
    /// # Errors
    ///
    /// If a value cannot be written in TOML, such as `null` in the metadata of a resource.
    pub fn to_toml(&self) -> Result<String, Error> {
        let unwritable =
            |error: String| Error::new(format!("this cannot be written in TOML: {error}"));
        let written = printed::as_set(self).map_err(|error| unwritable(error.to_string()))?;
        toml::to_string(&written).map_err(|error| unwritable(error.to_string()))
    }

    /// The JSON Schema of a configuration, for editors.
    #[must_use]
    pub fn schema() -> Schema {
        schema_for!(Self)
    }

    /// The protected resources that are described, in their order. Resources share the issuers that they both name, with
    /// their keys.
    ///
    /// # Errors
    ///
    /// What is missing or contradicts itself, with the name of the issuer or the URL of the resource.
    pub fn protected_resources(&self) -> Result<Vec<McpAuth>, Error> {
        if self.resources.is_empty() {
            return Err(Error::new(
                "there is no resource: add `[[resources]]` with `url` and `upstream`",
            ));
        }
        if self.issuers.is_empty() {
            return Err(Error::new(
                "there is no issuer: add `[issuers.login]` with `url`, the issuer of your tokens, or with `provider`",
            ));
        }
        let mut servers = BTreeMap::new();
        for (name, issuer) in &self.issuers {
            let server = issuer.to_server().map_err(|error| Error::of("issuer", name, error))?;
            servers.insert(name.as_str(), server);
        }
        let mut urls = BTreeSet::new();
        let nameless = self.resources.iter().position(|resource| resource.url.is_empty());
        if let Some(index) = nameless {
            return Err(Error::new(format!(
                "the resource number {} has no `url`: set it to the URL that users give to their clients",
                index + 1
            )));
        }
        if let Some(twice) = self.resources.iter().find(|resource| !urls.insert(&resource.url)) {
            return Err(Error::of(
                "resource",
                &twice.url,
                "it is there twice: each resource needs a URL of its own",
            ));
        }
        let revocations = self.revocations.to_revocations();
        let protected: Vec<_> = self
            .resources
            .iter()
            .map(|resource| self.protect(resource, &servers, &revocations))
            .collect::<Result<_, _>>()?;
        McpAuth::check_distinct(&protected).map_err(|error| Error::of_library(&error))?;
        Ok(protected)
    }

    /// What the tokens of a resource are exchanged for. Returns `None` if they are not.
    ///
    /// # Errors
    ///
    /// If it is not clear which issuer exchanges them, or what is set contradicts itself.
    pub fn exchange(
        &self,
        resource: &ResourceConfig,
        auth: &McpAuth,
    ) -> Result<Option<Downstream>, Error> {
        let Some(exchange) = &resource.exchange else { return Ok(None) };
        let issuer = match &exchange.issuer {
            None => None,
            Some(name) => self.issuers.get(name).map(IssuerConfig::to_server).transpose()?,
        };
        let server = match (auth.authorization_servers(), &exchange.issuer) {
            ([only], None) => Some(only),
            (_, None) => None,
            (all, Some(_)) => {
                let issuer = issuer.as_ref().map(AuthorizationServer::issuer);
                all.iter().find(|server| Some(server.issuer()) == issuer)
            }
        };
        let server = server.ok_or_else(|| {
            Error::new("`exchange` needs `issuer`, the name of one of the issuers of this resource")
        })?;
        exchange.to_downstream(server).map(Some)
    }

    fn protect(
        &self,
        resource: &ResourceConfig,
        servers: &BTreeMap<&str, AuthorizationServer>,
        revocations: &Revocations,
    ) -> Result<McpAuth, Error> {
        let named = |name: &String| {
            servers.get(name.as_str()).cloned().ok_or_else(|| {
                let known: Vec<_> = servers.keys().copied().collect();
                Error::new(format!(
                    "the issuer {name:?} is not described; described are: {}",
                    known.join(", ")
                ))
            })
        };
        let trusted = match &resource.issuers {
            Some(names) => names.iter().map(named).collect(),
            None => Ok(servers.values().cloned().collect::<Vec<_>>()),
        };
        let build = |mut builder: McpAuthBuilder| {
            if !self.forwarded_host_from.is_empty() {
                builder = builder.forwarded_host_from(self.forwarded_host_from.clone());
            }
            builder.revocations(revocations).build().map_err(|error| Error::of_library(&error))
        };
        let built = trusted.and_then(|trusted| resource.to_builder(trusted)).and_then(build);
        built.map_err(|error| Error::of("resource", &resource.url, error))
    }
}

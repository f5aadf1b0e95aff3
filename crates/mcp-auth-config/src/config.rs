//! The whole configuration.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::PathBuf;

use mcp_auth::{AuthorizationServer, McpAuth};
use schemars::{JsonSchema, Schema, schema_for};
use serde::Deserialize;

use crate::error::Error;
use crate::issuer::IssuerConfig;
use crate::resource::ResourceConfig;
use crate::secret::SecretSource;

/// A gateway: issuers, resources, and where it listens.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where the gateway listens for clients: an address and a port. Default: `127.0.0.1:8080`.
    pub listen: Option<SocketAddr>,
    /// Where the gateway answers its operator (`/livez`, `/readyz`): an address and a port. Default: nowhere.
    pub admin: Option<SocketAddr>,
    /// The certificate with which clients are answered. Without one, a proxy must terminate TLS.
    pub tls: Option<Tls>,
    /// The most connections of clients at a time.
    pub max_connections: Option<usize>,
    /// The most connections of one address at a time: set it where a proxy on another machine is in front. Default: 1024.
    pub max_connections_per_address: Option<usize>,
    /// The key that signs the tokens of `identity = "jwt"`, in PEM (PKCS #8, P-256). Default: a new one at each start.
    pub signing_key: Option<SecretSource>,
    /// The authorization servers, by names of your choice.
    pub issuers: BTreeMap<String, IssuerConfig>,
    /// The protected MCP servers.
    pub resources: Vec<ResourceConfig>,
}

/// A certificate chain and its key, in PEM files. They are read again when they change.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
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
        let mut servers = BTreeMap::new();
        for (name, issuer) in &self.issuers {
            let server = issuer.to_server().map_err(|error| Error::of("issuer", name, error))?;
            servers.insert(name.as_str(), server);
        }
        let mut urls = BTreeSet::new();
        if let Some(twice) = self.resources.iter().find(|resource| !urls.insert(&resource.url)) {
            return Err(Error::of("resource", &twice.url, "it is there twice"));
        }
        let protected: Vec<_> = self
            .resources
            .iter()
            .map(|resource| protect(resource, &servers))
            .collect::<Result<_, _>>()?;
        McpAuth::check_distinct(&protected).map_err(|error| Error::new(error.to_string()))?;
        Ok(protected)
    }
}

fn protect(
    resource: &ResourceConfig,
    servers: &BTreeMap<&str, AuthorizationServer>,
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
    let built = trusted
        .and_then(|trusted| resource.to_builder(trusted))
        .and_then(|builder| builder.build().map_err(|error| Error::new(error.to_string())));
    built.map_err(|error| Error::of("resource", &resource.url, error))
}

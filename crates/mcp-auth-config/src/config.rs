//! The whole configuration.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use mcp_auth::{AuthorizationServer, McpAuth};
use schemars::{JsonSchema, Schema, schema_for};
use serde::{Deserialize, Serialize};

use crate::audit::AuditConfig;
use crate::duration::Seconds;
use crate::error::Error;
use crate::events::RevocationsConfig;
use crate::exchange::{ExchangeGrant, ExchangeMethod, UpstreamToken};
use crate::issuer::IssuerConfig;
use crate::redis::RedisConfig;
use crate::resource::ResourceConfig;
use crate::secret::SecretSource;
use crate::traces::TracesConfig;
use crate::{address, printed, shape};

/// A gateway: issuers, resources, and where it listens.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where the gateway listens for clients: an address and a port. Default: `127.0.0.1:8080`.
    #[serde(deserialize_with = "address::deserialize")]
    pub listen: Option<SocketAddr>,
    /// Where the gateway answers its operator (`/`, `/livez`, `/readyz`, `/metrics`): an address and a port. Default: nowhere.
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
    /// decide, and `audit` to say what was decided. Default: 256 MiB.
    pub max_buffered_bytes: Option<usize>,
    /// The same for callers without a token, where `optional` admits them. Default: 64 MiB.
    pub max_anonymous_buffered_bytes: Option<usize>,
    /// The proxies in front whose `X-Forwarded-Host` says which host the client called: addresses and networks where
    /// nothing but the proxies runs. Default: none.
    pub forwarded_host_from: Vec<String>,
    /// How the gateway ends.
    pub drain: Drain,
    /// What is written down about each request. Default: nothing.
    pub audit: Option<AuditConfig>,
    /// The collector that gets a span for each request. Default: none.
    pub traces: Option<TracesConfig>,
    /// The authorization servers, by names of your choice.
    #[serde(deserialize_with = "shape::named_tables")]
    pub issuers: BTreeMap<String, IssuerConfig>,
    /// The protected MCP servers.
    #[serde(deserialize_with = "shape::listed_tables")]
    pub resources: Vec<ResourceConfig>,
    /// The list of revoked tokens, which all resources share.
    pub revocations: RevocationsConfig,
    /// Redis or Valkey, for what replicas of this gateway share. Default: nothing is shared.
    pub redis: Option<RedisConfig>,
}

/// How the gateway ends when it is told to (SIGTERM).
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Drain {
    /// How long it still accepts connections, while `/readyz` says that it ends. Default: 5 seconds.
    pub pause: Option<Seconds>,
    /// How long requests that are under way may take then. Default: 30 seconds.
    pub timeout: Option<Seconds>,
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
        let read = toml::from_str(text).map_err(|error| Error::in_toml(&error, text));
        read.map_err(|error| error.with_place(&Self::schema()))
    }

    /// Reads a configuration in JSON, with the same keys.
    ///
    /// # Errors
    ///
    /// If it is not JSON, or has a key or a value that is not known, with its line.
    pub fn from_json(text: &str) -> Result<Self, Error> {
        let read = serde_json::from_str(text).map_err(|error| Error::in_json(&error));
        read.map_err(|error| error.with_place(&Self::schema()))
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

    /// Reads the files of API keys.
    ///
    /// # Errors
    ///
    /// Which resource names one that cannot be read, or is wrong.
    pub async fn check_api_keys(&self) -> Result<(), Error> {
        for resource in &self.resources {
            let checked = check_api_keys(resource).await;
            checked.map_err(|error| Error::of("resource", &resource.url, error))?;
        }
        Ok(())
    }

    /// The token that the MCP server of a resource gets from its issuer. Returns `None` if it gets none.
    ///
    /// # Errors
    ///
    /// If it is not clear which issuer exchanges them, or what is set contradicts itself.
    pub fn exchange(
        &self,
        resource: &ResourceConfig,
        auth: &McpAuth,
    ) -> Result<Option<UpstreamToken>, Error> {
        let Some(exchange) = &resource.exchange else { return Ok(None) };
        if resource.optional && exchange.grant == ExchangeGrant::ClientCredentials {
            return Err(Error::new(
                "`exchange` with `grant = \"client_credentials\"` cannot be set with `optional`: callers without a token would reach the server with the token of the gateway",
            ));
        }
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
        if exchange.method == ExchangeMethod::TlsClientAuth {
            let named = exchange.issuer.as_ref().and_then(|name| self.issuers.get(name));
            let of_server = |config: &&IssuerConfig| {
                config.to_server().is_ok_and(|it| it.issuer() == server.issuer())
            };
            let config = named.or_else(|| self.issuers.values().find(of_server));
            config.map_or(Ok(()), |config| config.check_tls_client_auth("`exchange`"))?;
        }
        exchange.to_token(server).map(Some)
    }
}

/// Reads the file of API keys of a resource, if there is one. Nothing else is read or asked.
async fn check_api_keys(resource: &ResourceConfig) -> Result<(), Error> {
    if resource.api_keys_file.is_none() {
        return Ok(());
    }
    // An issuer whose key is given needs no network.
    let server = AuthorizationServer::with_secret("https://issuer.invalid", "-".repeat(32));
    let auth = McpAuth::builder(&resource.url).authorization_server(server);
    let auth = resource.api_keys(auth)?.build().map_err(|error| Error::of_library(&error))?;
    auth.warm_up().await.map_err(|error| {
        let cause = std::error::Error::source(&error).map(ToString::to_string);
        Error::new(format!("`api_keys_file`: {}", cause.unwrap_or_else(|| error.to_string())))
    })
}

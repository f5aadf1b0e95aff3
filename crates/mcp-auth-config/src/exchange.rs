//! Token exchange (RFC 8693), as data.

use mcp_auth::{AuthorizationServer, Downstream, TokenExchange};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::algorithm::algorithm_named;
use crate::duration::{DurationSetting, Seconds};
use crate::error::Error;
use crate::secret::SecretSource;

/// The token that an MCP server gets instead of the caller's: the issuer exchanges one for the other.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ExchangeConfig {
    /// The name of the issuer, if the resource has several. Only its tokens are exchanged.
    pub issuer: Option<String>,
    /// The client identifier of the gateway at the issuer.
    pub client_id: String,
    /// Its secret, or the private key in PEM. Not with `method = "tls_client_auth"`.
    pub secret: Option<SecretSource>,
    /// How it authenticates.
    #[serde(default)]
    pub method: ExchangeMethod,
    /// With `method = "private_key_jwt"`: the algorithm of the key, such as `ES256`.
    pub algorithm: Option<String>,
    /// With `method = "private_key_jwt"`: the `kid` of the key, where the issuer knows several.
    pub kid: Option<String>,
    /// The name by which the issuer knows the MCP server. Set it or `resource`, as the issuer wants it.
    pub audience: Option<String>,
    /// The URL of the MCP server.
    pub resource: Option<String>,
    /// The scopes of the new token. Default: those that the issuer chooses.
    #[serde(default)]
    pub scopes: Vec<String>,
    /// The token endpoint, if the metadata does not name it.
    pub endpoint: Option<String>,
    /// How long a token is used at most. Default: `5m`, and never past its expiry or that of the caller's.
    pub cache_for: Option<Seconds>,
    /// How many tokens are cached. Default: 10000.
    pub cached_tokens: Option<usize>,
    /// How many requests to the endpoint may be under way. Default: 64.
    pub max_in_flight: Option<usize>,
    /// How long a request to the endpoint may take. Default: `5s`.
    pub timeout: Option<Seconds>,
}

/// How the gateway authenticates at the token endpoint.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ExchangeMethod {
    /// HTTP Basic with `client_id` and `secret`.
    #[default]
    Basic,
    /// `client_id` and `secret` in the body.
    Post,
    /// An assertion that is signed with a private key (RFC 7523).
    PrivateKeyJwt,
    /// The client certificate of the connection, `http.certificate` of the issuer, without a secret (RFC 8705).
    TlsClientAuth,
}

impl ExchangeConfig {
    /// The target of the exchange, at this issuer.
    ///
    /// # Errors
    ///
    /// If keys are missing or contradict each other, or the secret cannot be read.
    pub(crate) fn to_downstream(&self, server: &AuthorizationServer) -> Result<Downstream, Error> {
        let client = &self.client_id;
        let is_of_key = self.algorithm.is_some() || self.kid.is_some();
        if is_of_key && self.method != ExchangeMethod::PrivateKeyJwt {
            return Err(Error::new(
                "`exchange`: `algorithm` and `kid` say something about a key: set `method = \"private_key_jwt\"` too",
            ));
        }
        let secret = || {
            self.secret
                .as_ref()
                .ok_or_else(|| Error::new("`exchange` needs `secret`: `env:NAME` or `file:PATH`"))
        };
        if self.secret.is_some() && self.method == ExchangeMethod::TlsClientAuth {
            return Err(Error::new(
                "`exchange` needs no `secret` with `method = \"tls_client_auth\"`: the certificate is `http.certificate` of the issuer",
            ));
        }
        let mut exchange = match self.method {
            ExchangeMethod::Basic => TokenExchange::basic(server, client, secret()?.to_secret()?),
            ExchangeMethod::Post => TokenExchange::post(server, client, secret()?.to_secret()?),
            ExchangeMethod::TlsClientAuth => TokenExchange::tls_client_auth(server, client),
            ExchangeMethod::PrivateKeyJwt => {
                let algorithm = self.algorithm.as_ref().ok_or_else(|| {
                    Error::new(
                        "`exchange` needs `algorithm`, that of the private key, such as \"ES256\"",
                    )
                })?;
                let algorithm = algorithm_named(algorithm)?;
                TokenExchange::private_key_jwt(server, client, secret()?.read()?, algorithm)
            }
        };
        if let Some(kid) = &self.kid {
            exchange = exchange.kid(kid);
        }
        if let Some(endpoint) = &self.endpoint {
            exchange = exchange.endpoint(endpoint);
        }
        if let Some(tokens) = self.cached_tokens {
            exchange = exchange.cached_tokens(tokens);
        }
        if let Some(requests) = self.max_in_flight {
            exchange = exchange.max_in_flight(requests);
        }
        let durations: [DurationSetting<TokenExchange>; 2] =
            [(self.cache_for, TokenExchange::cache_for), (self.timeout, TokenExchange::timeout)];
        for (duration, set) in durations {
            if let Some(Seconds(duration)) = duration {
                exchange = set(exchange, duration);
            }
        }
        let scopes = self.scopes.clone();
        let target = match (&self.audience, &self.resource) {
            (Some(audience), None) => exchange.to_audience(audience, scopes),
            (None, Some(resource)) => exchange.to_resource(resource, scopes),
            _ => {
                return Err(Error::new(
                    "`exchange` needs `audience` or `resource`, one of them: without one, the issuer may give a token for any server",
                ));
            }
        };
        target.map_err(|error| Error::of_library(&error))
    }
}

//! Token exchange (RFC 8693), as data.

use mcp_auth::{AuthorizationServer, Downstream, ServiceToken, TokenExchange};
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
    /// How the token is asked for. Default: `token_exchange`.
    #[serde(default)]
    pub grant: ExchangeGrant,
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

/// How a token for an MCP server is asked for.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ExchangeGrant {
    /// In exchange for the caller's (RFC 8693).
    #[default]
    TokenExchange,
    /// On behalf of the caller, as Microsoft Entra has it (RFC 7523).
    OnBehalfOf,
    /// For the gateway itself: the same token for all callers (RFC 6749 §4.4).
    ClientCredentials,
}

/// What an MCP server gets instead of the caller's token.
#[derive(Clone, Debug)]
pub enum UpstreamToken {
    /// A token in the name of the caller.
    OfCaller(Downstream),
    /// A token of the gateway.
    OfGateway(ServiceToken),
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
    /// The token that is asked for at this issuer.
    ///
    /// # Errors
    ///
    /// If keys are missing or contradict each other, or the secret cannot be read.
    pub(crate) fn to_token(&self, server: &AuthorizationServer) -> Result<UpstreamToken, Error> {
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
        let parameter = match (&self.audience, &self.resource) {
            (Some(audience), None) => Some(("audience", audience.as_str())),
            (None, Some(resource)) => Some(("resource", resource.as_str())),
            (None, None) => None,
            (Some(_), Some(_)) => {
                return Err(Error::new(
                    "`exchange` has `audience` and `resource`: set one of them",
                ));
            }
        };
        let token = match (self.grant, parameter) {
            (ExchangeGrant::TokenExchange, Some(("audience", name))) => {
                exchange.to_audience(name, scopes).map(UpstreamToken::OfCaller)
            }
            (ExchangeGrant::TokenExchange, Some((_, name))) => {
                exchange.to_resource(name, scopes).map(UpstreamToken::OfCaller)
            }
            (ExchangeGrant::TokenExchange, None) => {
                return Err(Error::new(
                    "`exchange` needs `audience` or `resource`, one of them: without one, the issuer may give a token for any server",
                ));
            }
            (ExchangeGrant::OnBehalfOf, None) => {
                exchange.on_behalf_of(scopes).map(UpstreamToken::OfCaller)
            }
            (ExchangeGrant::OnBehalfOf, Some((key, _))) => {
                return Err(Error::new(format!(
                    "`exchange`: `{key}` says nothing with `grant = \"on_behalf_of\"`: the scopes name the MCP server, such as \"api://files/.default\""
                )));
            }
            (ExchangeGrant::ClientCredentials, None) if self.scopes.is_empty() => {
                return Err(Error::new(
                    "`exchange` needs `scopes`, `audience` or `resource`: without any, the issuer may give a token for any server",
                ));
            }
            (ExchangeGrant::ClientCredentials, parameter) => {
                exchange.client_credentials(parameter, scopes).map(UpstreamToken::OfGateway)
            }
        };
        token.map_err(|error| Error::of_library(&error))
    }
}

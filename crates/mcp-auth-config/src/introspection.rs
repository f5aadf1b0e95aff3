//! Token introspection, as data.

use mcp_auth::{AuthorizationServer, Introspection};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::algorithm::algorithm_named;
use crate::duration::{DurationSetting, Seconds};
use crate::error::Error;
use crate::secret::SecretSource;

/// How this resource authenticates at the introspection endpoint.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum IntrospectionMethod {
    /// HTTP Basic with `client_id` and `secret`.
    #[default]
    Basic,
    /// `client_id` and `secret` in the body.
    Post,
    /// The secret as a bearer token.
    Bearer,
    /// An assertion that is signed with a private key: the secret, in PEM (RFC 7523).
    PrivateKeyJwt,
    /// The client certificate of the connection, `http.certificate` of the issuer, without a secret (RFC 8705).
    TlsClientAuth,
}

/// Token introspection (RFC 7662).
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Eq, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct IntrospectionConfig {
    /// The client identifier of this resource. Not needed with `method = "bearer"`.
    pub client_id: String,
    /// Its secret, the bearer token, or the private key in PEM. Not with `method = "tls_client_auth"`. What `file:PATH` names is read again when it is needed, except for
    /// a private key.
    pub secret: Option<SecretSource>,
    /// How it authenticates.
    pub method: IntrospectionMethod,
    /// With `method = "private_key_jwt"`: the algorithm of the key, such as `ES256`.
    pub algorithm: Option<String>,
    /// With `method = "private_key_jwt"`: the `kid` of the key, where the server knows several.
    pub kid: Option<String>,
    /// The endpoint, if the metadata does not name it.
    pub endpoint: Option<String>,
    /// Whether JWTs are introspected too.
    pub also_jwts: bool,
    /// Whether answers must be signed (RFC 9701).
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
    /// The audience of tokens whose answer names none. Such a token of this server is then accepted, whichever resource
    /// it was issued for.
    pub dangerous_audience_if_absent: Option<String>,
    /// Whether the subject is the `username`, and never `sub`. A user who is given a name inherits what belongs to it.
    pub dangerous_subject_is_username: bool,
}

impl IntrospectionConfig {
    /// The introspection that is described.
    ///
    /// # Errors
    ///
    /// If keys are missing or contradict each other, or the secret cannot be read.
    pub(crate) fn to_introspection(&self) -> Result<Introspection, Error> {
        let secret = || {
            self.secret.as_ref().ok_or_else(|| {
                Error::new("the introspection needs `secret`: `env:NAME` or `file:PATH`")
            })
        };
        if self.secret.is_some() && self.method == IntrospectionMethod::TlsClientAuth {
            return Err(Error::new(
                "with `method = \"tls_client_auth\"` the introspection needs no `secret`: the certificate is `http.certificate` of the issuer",
            ));
        }
        if self.client_id.is_empty() && self.method != IntrospectionMethod::Bearer {
            return Err(Error::new(
                "the introspection needs `client_id`, the client of this resource at the issuer",
            ));
        }
        let is_of_key = self.algorithm.is_some() || self.kid.is_some();
        if is_of_key && self.method != IntrospectionMethod::PrivateKeyJwt {
            return Err(Error::new(
                "`algorithm` and `kid` of the introspection say something about a key: set `method = \"private_key_jwt\"` too",
            ));
        }
        let client = &self.client_id;
        let introspection = match self.method {
            IntrospectionMethod::Basic => Introspection::basic(client, secret()?.to_secret()?),
            IntrospectionMethod::Post => Introspection::post(client, secret()?.to_secret()?),
            IntrospectionMethod::Bearer => Introspection::bearer(secret()?.to_secret()?),
            IntrospectionMethod::TlsClientAuth => Introspection::tls_client_auth(client),
            IntrospectionMethod::PrivateKeyJwt => {
                let algorithm = self.algorithm.as_ref().ok_or_else(|| {
                    Error::new("the introspection needs `algorithm`, that of the private key, such as \"ES256\"")
                })?;
                let (key, algorithm) = (secret()?.read()?, algorithm_named(algorithm)?);
                Introspection::private_key_jwt(client, key, algorithm)
            }
        };
        let mut introspection = match &self.kid {
            Some(kid) => introspection.kid(kid),
            None => introspection,
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
        if let Some(audience) = &self.dangerous_audience_if_absent {
            introspection = introspection.dangerous_audience_if_absent(audience);
        }
        if self.dangerous_subject_is_username {
            introspection = introspection.dangerous_subject_is_username();
        }
        Ok(self.tuned(introspection))
    }

    /// Changes how a provider is asked that has an API of its own.
    pub(crate) fn tune(&self, server: AuthorizationServer) -> Result<AuthorizationServer, Error> {
        let untuned = Self {
            cache_for: None,
            negative_cache_for: None,
            cached_tokens: None,
            max_in_flight: None,
            timeout: None,
            ..self.clone()
        };
        if untuned != Self::default() {
            return Err(Error::new(
                "this provider has an API of its own, which is asked: of `introspection`, only `cache_for`, `negative_cache_for`, `cached_tokens`, `max_in_flight` and `timeout` have a meaning",
            ));
        }
        Ok(server.map_introspection(|introspection| self.tuned(introspection)))
    }

    /// Sets times and limits.
    fn tuned(&self, mut introspection: Introspection) -> Introspection {
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
        introspection
    }
}

//! The settings of token introspection at an authorization server.

use std::sync::Arc;
use std::time::Duration;

use crate::issuer::introspection::client_authentication::ClientAuthentication;
use crate::model::provider::Api;
use crate::net::fetch::Secret;
use crate::verify::jwt::Algorithm;

/// Settings of token introspection at an authorization server: how this server authenticates, which endpoint it
/// asks, and how long it caches the responses.
///
/// ```
/// use mcp_auth::{AuthorizationServer, Introspection, McpAuth};
/// use std::time::Duration;
///
/// # let secret = String::from("correct horse battery staple");
/// let login = AuthorizationServer::discover("https://auth.example.com")
///     .introspection(Introspection::basic("notes-server", secret).cache_for(Duration::from_secs(10)));
/// let auth = McpAuth::builder("https://api.example.com/notes").authorization_server(&login).build()?;
/// # Ok::<(), mcp_auth::ConfigError>(())
/// ```
///
/// A response is validated like the claims of a JWT: issuer, audience, expiry, scopes. `active: false` leads to a
/// 401. A server that fails, does not answer in time, or refuses this server's credentials leads to a 503.
#[derive(Clone, Debug)]
pub struct Introspection {
    pub(super) authentication: ClientAuthentication,
    pub(super) endpoint: Option<Arc<str>>,
    pub(super) cache_for: Duration,
    pub(super) negative_cache_for: Duration,
    pub(super) cached_tokens: usize,
    pub(super) max_in_flight: usize,
    pub(super) timeout: Duration,
    pub(super) has_signed_responses: bool,
    pub(super) introspects_jwts: bool,
    pub(super) audience_if_absent: Option<Arc<str>>,
    pub(super) subject_is_username: bool,
    /// The provider's own API, if the provider does not support RFC 7662.
    pub(super) api: Option<&'static Api>,
}

impl Introspection {
    /// Authenticates with a client id and a secret in the `Authorization` header: `client_secret_basic`, which
    /// every server supports ([RFC 6749 §2.3.1](https://www.rfc-editor.org/rfc/rfc6749#section-2.3.1)).
    #[must_use]
    pub fn basic(client_id: impl AsRef<str>, secret: impl Into<Secret>) -> Self {
        Self::new(ClientAuthentication::Basic(client_id.as_ref().into(), secret.into()))
    }

    /// Authenticates with a client id and a secret in the form body: `client_secret_post`.
    #[must_use]
    pub fn post(client_id: impl AsRef<str>, secret: impl Into<Secret>) -> Self {
        Self::new(ClientAuthentication::Post(client_id.as_ref().into(), secret.into()))
    }

    /// Authenticates with a signed assertion: `private_key_jwt`
    /// ([RFC 7523 §2.2](https://www.rfc-editor.org/rfc/rfc7523#section-2.2)). The key is unencrypted PEM; the
    /// algorithm is ES256, ES384, Ed25519, PS256 or RS256.
    ///
    /// The `aud` of the assertion is the issuer alone.
    #[must_use]
    pub fn private_key_jwt(
        client_id: impl AsRef<str>,
        key_pem: impl AsRef<str>,
        algorithm: Algorithm,
    ) -> Self {
        let (client_id, key_pem) = (client_id.as_ref(), key_pem.as_ref());
        Self::new(ClientAuthentication::private_key_jwt(client_id, key_pem, algorithm))
    }

    /// Authenticates with the client certificate of the connection: `tls_client_auth` or `self_signed_tls_client_auth`
    /// ([RFC 8705 §2](https://www.rfc-editor.org/rfc/rfc8705#section-2)). Only the client id is sent.
    ///
    /// Give the certificate to the client: [`HttpClient::client_certificate`](crate::HttpClient::client_certificate).
    /// If the server's metadata has `mtls_endpoint_aliases`
    /// ([§5](https://www.rfc-editor.org/rfc/rfc8705#section-5)), the alias of the endpoint is used.
    ///
    /// ```
    /// use mcp_auth::{AuthorizationServer, HttpClient, Introspection};
    ///
    /// # let (chain, key) = (String::new(), String::new());
    /// let client = HttpClient::new().client_certificate(chain, key);
    /// let login = AuthorizationServer::discover("https://auth.example.com")
    ///     .fetch(client)
    ///     .introspection(Introspection::tls_client_auth("notes-server"));
    /// ```
    #[must_use]
    pub fn tls_client_auth(client_id: impl AsRef<str>) -> Self {
        Self::new(ClientAuthentication::TlsClientAuth(client_id.as_ref().into()))
    }

    /// Authenticates with an access token that was issued to this server. For one that expires, see
    /// [`Secret::from_fn`].
    #[must_use]
    pub fn bearer(token: impl Into<Secret>) -> Self {
        Self::new(ClientAuthentication::Bearer(token.into()))
    }

    /// Sets the `kid` of the key of [`private_key_jwt`](Self::private_key_jwt), for servers that know several keys
    /// of this client.
    #[must_use]
    pub fn kid(mut self, name: impl AsRef<str>) -> Self {
        self.authentication.set_kid(name.as_ref());
        self
    }

    /// Uses this endpoint instead of the `introspection_endpoint` in the server's metadata.
    #[must_use]
    pub fn endpoint(self, url: impl AsRef<str>) -> Self {
        Self { endpoint: Some(url.as_ref().into()), ..self }
    }

    /// How long the response about an active token is cached, at most: 60 seconds unless set, and never past its
    /// `exp`. A revoked token may be accepted for this long, and a stream that was opened with it ends some ten
    /// seconds later. With zero, the server is asked for each request, and every ten seconds for each open stream.
    #[must_use]
    pub fn cache_for(self, time: Duration) -> Self {
        Self { cache_for: time, ..self }
    }

    /// How long a refused token is refused without another introspection: 10 seconds unless set.
    #[must_use]
    pub fn negative_cache_for(self, time: Duration) -> Self {
        Self { negative_cache_for: time, ..self }
    }

    /// How many responses are cached: 10,000 unless set. A token with more than 1 KiB of claims counts as several.
    #[must_use]
    pub fn cached_tokens(self, number: usize) -> Self {
        Self { cached_tokens: number, ..self }
    }

    /// Maximum number of concurrent introspection requests: 64 unless set. Beyond it, requests that need one get a
    /// 503. A quarter is reserved for tokens that were active before and for verified JWTs, so that invented tokens
    /// cannot take all.
    #[must_use]
    pub fn max_in_flight(self, number: usize) -> Self {
        Self { max_in_flight: number, ..self }
    }

    /// Timeout of one introspection request: 5 seconds unless set.
    #[must_use]
    pub fn timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    /// Accepts only responses that the server has signed for this client
    /// ([RFC 9701](https://www.rfc-editor.org/rfc/rfc9701)). They are verified with the issuer's keys.
    #[must_use]
    pub fn signed_responses(self) -> Self {
        Self { has_signed_responses: true, ..self }
    }

    /// Introspects this issuer's JWTs too, after their signature is verified: a revoked JWT is then refused before
    /// it expires. All other information comes from the JWT, with two exceptions: a response with `cnf` binds the
    /// token, and a response with scopes says what it grants, since some issuers write no scopes into their JWTs.
    ///
    /// For servers with keys, including those with [tenants](crate::AuthorizationServer::template) and those that
    /// are [resolved at run time](crate::McpAuthBuilder::issuer_resolver). Tokens that are signed with a shared
    /// secret cannot be introspected, and `build()` returns an error for them.
    #[must_use]
    pub fn introspect_jwts(self) -> Self {
        Self { introspects_jwts: true, ..self }
    }

    /// Treats a token whose response has no `aud` as one that was issued for this audience.
    ///
    /// # Danger
    ///
    /// Any such token of this server is then accepted, whichever resource it was issued for, and perhaps refresh
    /// tokens too. Use this only with a server that answers no one but the resource that a token is for.
    #[must_use]
    pub fn dangerous_audience_if_absent(self, audience: impl AsRef<str>) -> Self {
        Self { audience_if_absent: Some(audience.as_ref().into()), ..self }
    }

    /// Uses the `username` of a response as the subject, and never its `sub`
    /// ([RFC 7662 §2.2](https://www.rfc-editor.org/rfc/rfc7662#section-2.2)). A token without a user is then
    /// refused: a user could have the name of a client.
    ///
    /// # Danger
    ///
    /// A user who is given a name inherits what belongs to that name. Use this only with a server that never
    /// reassigns names.
    ///
    /// Its JWTs are no longer verified with keys, since their subject is `sub`. They are introspected like its
    /// other tokens, or refused if another server of the resource has keys.
    #[must_use]
    pub fn dangerous_subject_is_username(self) -> Self {
        Self { subject_is_username: true, ..self }
    }

    /// Asks the API of a provider, at this endpoint. Without `client`, the endpoint requires no authentication.
    pub(crate) fn provider_api(
        api: &'static Api,
        endpoint: &str,
        client: Option<(&str, Secret)>,
    ) -> Self {
        let authentication = match client {
            Some((id, secret)) => ClientAuthentication::Basic(id.into(), secret),
            None => ClientAuthentication::None,
        };
        Self { api: Some(api), ..Self::new(authentication) }.endpoint(endpoint)
    }

    /// Whether a provider's own API is asked.
    pub(crate) fn uses_provider_api(&self) -> bool {
        self.api.is_some()
    }

    /// The endpoint, if it is configured rather than read from the metadata.
    pub(crate) fn configured_endpoint(&self) -> Option<&str> {
        self.endpoint.as_deref()
    }

    /// Whether the issuer's JWTs are introspected too.
    pub(crate) fn introspects_jwts(&self) -> bool {
        self.introspects_jwts
    }

    pub(crate) fn subject_is_username(&self) -> bool {
        self.subject_is_username
    }

    /// Returns what is wrong with the settings, if anything.
    pub(crate) fn config_error(&self) -> Option<&'static str> {
        if self.has_signed_responses && self.authentication.client_id().is_none() {
            return Some("signed responses are for a client: authenticate with a client id");
        }
        let has_rfc7662_only =
            self.has_signed_responses || self.introspects_jwts || self.audience_if_absent.is_some();
        if self.api.is_some() && has_rfc7662_only {
            return Some(
                "signed responses, introspection of JWTs and an absent audience are of RFC 7662, and this provider has an API of its own",
            );
        }
        if self.introspects_jwts && self.subject_is_username {
            return Some(
                "the subject of JWTs is `sub`, and so they are no tokens where it is `username`: leave `.introspect_jwts()` out",
            );
        }
        if self.max_in_flight == 0 {
            return Some("with no request in flight no token is introspected");
        }
        if self.audience_if_absent.as_ref().is_some_and(|audience| audience.is_empty()) {
            return Some("the audience is empty: is an environment variable unset?");
        }
        self.authentication.config_error()
    }

    fn new(authentication: ClientAuthentication) -> Self {
        Self {
            authentication,
            endpoint: None,
            cache_for: Duration::from_secs(60),
            negative_cache_for: Duration::from_secs(10),
            cached_tokens: 10_000,
            max_in_flight: 64,
            timeout: Duration::from_secs(5),
            has_signed_responses: false,
            introspects_jwts: false,
            audience_if_absent: None,
            subject_is_username: false,
            api: None,
        }
    }
}

//! `TokenExchange`: how tokens are exchanged at an authorization server.

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use crate::issuer::authorization_server::AuthorizationServer;
use crate::issuer::introspection::ClientAuthentication;
use crate::issuer::token_exchange::exchanger::Exchanger;
use crate::issuer::token_exchange::service_token::ServiceToken;
use crate::issuer::token_exchange::settings::Settings;
use crate::issuer::token_exchange::target::Target;
use crate::net::fetch::Secret;
use crate::verify::jwt::Algorithm;

/// Exchanges the tokens of callers for tokens that this server may send to another one, at their authorization server
/// ([RFC 8693](https://www.rfc-editor.org/rfc/rfc8693)). The token of a caller must never be sent on itself.
///
/// ```
/// use mcp_auth::{AuthInfo, AuthorizationServer, Denial, Downstream, TokenExchange};
///
/// # let secret = String::from("correct horse battery staple");
/// let login = AuthorizationServer::discover("https://auth.example.com");
/// let exchange = TokenExchange::basic(&login, "notes-server", secret);
/// let calendar = exchange.to_audience("https://calendar.example.com", ["events:read"])?;
///
/// async fn events(auth: AuthInfo, calendar: &Downstream) -> Result<http::Request<()>, Denial> {
///     let token = auth.exchange(calendar).await?;
///     let mut request = http::Request::new(());
///     request.headers_mut().insert("authorization", token.authorization());
///     Ok(request)
/// }
/// # Ok::<(), mcp_auth::ConfigError>(())
/// ```
///
/// Clones share their cache and their limits. A clone that is changed afterwards no longer does.
#[derive(Clone)]
pub struct TokenExchange {
    settings: Arc<Settings>,
    exchanger: Arc<OnceLock<Exchanger>>,
}

impl TokenExchange {
    /// Authenticates with a client id and a secret in the `Authorization` header: `client_secret_basic`
    /// ([RFC 6749 §2.3.1](https://www.rfc-editor.org/rfc/rfc6749#section-2.3.1)).
    ///
    /// Only tokens that `server` has issued are exchanged: no other server ever sees them.
    #[must_use]
    pub fn basic(
        server: &AuthorizationServer,
        client_id: impl AsRef<str>,
        secret: impl Into<Secret>,
    ) -> Self {
        Self::new(server, ClientAuthentication::Basic(client_id.as_ref().into(), secret.into()))
    }

    /// Authenticates with a client id and a secret in the form body: `client_secret_post`.
    #[must_use]
    pub fn post(
        server: &AuthorizationServer,
        client_id: impl AsRef<str>,
        secret: impl Into<Secret>,
    ) -> Self {
        Self::new(server, ClientAuthentication::Post(client_id.as_ref().into(), secret.into()))
    }

    /// Authenticates with a signed assertion: `private_key_jwt`
    /// ([RFC 7523 §2.2](https://www.rfc-editor.org/rfc/rfc7523#section-2.2)). The key is unencrypted PEM; the
    /// algorithm is ES256, ES384, Ed25519, PS256 or RS256. The `aud` of the assertion is the issuer alone.
    #[must_use]
    pub fn private_key_jwt(
        server: &AuthorizationServer,
        client_id: impl AsRef<str>,
        key_pem: impl AsRef<str>,
        algorithm: Algorithm,
    ) -> Self {
        let (client_id, key_pem) = (client_id.as_ref(), key_pem.as_ref());
        Self::new(server, ClientAuthentication::private_key_jwt(client_id, key_pem, algorithm))
    }

    /// Authenticates with the client certificate of the connection, as for
    /// [introspection](crate::Introspection::tls_client_auth).
    #[must_use]
    pub fn tls_client_auth(server: &AuthorizationServer, client_id: impl AsRef<str>) -> Self {
        Self::new(server, ClientAuthentication::TlsClientAuth(client_id.as_ref().into()))
    }

    /// Sets the `kid` of the key of [`private_key_jwt`](Self::private_key_jwt), for servers that know several keys
    /// of this client.
    #[must_use]
    pub fn kid(self, name: impl AsRef<str>) -> Self {
        self.with(|settings| settings.authentication.set_kid(name.as_ref()))
    }

    /// Uses this endpoint instead of the `token_endpoint` in the server's metadata.
    #[must_use]
    pub fn endpoint(self, url: impl AsRef<str>) -> Self {
        self.with(|settings| settings.endpoint = Some(url.as_ref().into()))
    }

    /// How long an exchanged token is cached, at most: 5 minutes unless set, and never past its expiry or that of the
    /// caller's token. If the server withdraws a permission, the cached token is used for this long. A token whose
    /// response has no `expires_in` is cached for 30 seconds at most, and not past the `exp` of a JWT.
    #[must_use]
    pub fn cache_for(self, time: Duration) -> Self {
        self.with(|settings| settings.cache_for = time)
    }

    /// How many tokens are cached: 10,000 unless set, for all targets together. One of more than 1 KiB counts as
    /// several.
    #[must_use]
    pub fn cached_tokens(self, number: usize) -> Self {
        self.with(|settings| settings.cached_tokens = number)
    }

    /// Maximum number of concurrent exchanges: 64 unless set, of which one caller has a quarter at most. Beyond it, the
    /// result is a 503. A caller for whom the server answers 429 waits for its `Retry-After`, 30 seconds at most, and
    /// others do not.
    #[must_use]
    pub fn max_in_flight(self, number: usize) -> Self {
        self.with(|settings| settings.max_in_flight = number)
    }

    /// Timeout of one exchange: 5 seconds unless set.
    #[must_use]
    pub fn timeout(self, timeout: Duration) -> Self {
        self.with(|settings| settings.timeout = timeout)
    }

    pub(crate) fn issuer(&self) -> &str {
        self.settings.server.issuer()
    }

    pub(crate) fn service_token(&self, target: Target) -> ServiceToken {
        ServiceToken::new(self.settings.clone(), target)
    }

    pub(crate) fn exchanger(&self) -> Exchanger {
        self.exchanger.get_or_init(|| Exchanger::new(self.settings.clone())).clone()
    }

    /// Returns what is wrong with the settings, if anything.
    pub(crate) fn config_error(&self) -> Option<&'static str> {
        let Settings { server, endpoint, .. } = &*self.settings;
        if endpoint.as_ref().is_some_and(|url| !server.may_fetch(url)) {
            return Some("its endpoint must be an https URL (http only on this machine)");
        }
        if endpoint.is_none() && !server.has_metadata() {
            return Some(
                "nothing is fetched from this server, so its token endpoint is unknown: set `.endpoint(..)`",
            );
        }
        if self.settings.max_in_flight == 0 {
            return Some("with no request in flight no token is exchanged");
        }
        if !server.can_fetch() {
            return Some(
                "there is no HTTP client: enable the feature `reqwest`, or give one with `.fetch(..)`",
            );
        }
        if server.public_http_host().is_some() {
            return Some(
                "`insecure_http_hosts` names a public host, to which secrets and tokens must not be sent over plain http",
            );
        }
        server.fetch_config_error().or_else(|| self.settings.authentication.config_error())
    }

    fn new(server: &AuthorizationServer, authentication: ClientAuthentication) -> Self {
        let settings = Settings {
            server: server.clone(),
            authentication,
            endpoint: None,
            cache_for: Duration::from_secs(5 * 60),
            cached_tokens: 10_000,
            max_in_flight: 64,
            timeout: Duration::from_secs(5),
        };
        Self { settings: Arc::new(settings), exchanger: Arc::default() }
    }

    /// A changed copy shares nothing with the original.
    fn with(mut self, change: impl FnOnce(&mut Settings)) -> Self {
        change(Arc::make_mut(&mut self.settings));
        Self { exchanger: Arc::default(), ..self }
    }
}

impl fmt::Debug for TokenExchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenExchange")
            .field("issuer", &self.issuer())
            .field("authentication", &self.settings.authentication)
            .finish_non_exhaustive()
    }
}

//! `AuthorizationServer`: a trusted issuer, its metadata and its keys.

use std::fmt;
use std::future::Future;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use crate::issuer::authorization_server::error::FetchIssuerError;
use crate::issuer::authorization_server::remote::{Remote, VerifiedBy};
use crate::issuer::authorization_server::settings::{KeySource, MetadataSource, Settings};
use crate::issuer::internal_url::InternalUrl;
use crate::issuer::introspection::{Introspection, Introspector};
use crate::issuer::issuer_keys::IssuerKeys;
use crate::model::issuer_overrides::IssuerOverrides;
use crate::net::clock::{Clock, SystemClock};
use crate::net::fetch::{Outbound, default_client};
use crate::net::metrics::IssuerLabel;
use crate::net::refresh::RefreshError;
use crate::policy::metadata::{MetadataDocument, ServerMetadata, server_metadata_urls};
use crate::verify::jwt::{Algorithm, HmacKey, JwtRules, Key, KeySet, Profile};

/// An authorization server that is trusted to issue tokens.
///
/// Clones share their metadata and their keys, so that several protected resources can trust one server without
/// fetching them twice. Nothing is fetched before the first token of this issuer arrives, or before
/// [`warm_up`](Self::warm_up).
///
/// ```
/// use mcp_auth::{AuthorizationServer, McpAuth};
/// use std::time::Duration;
///
/// let login = AuthorizationServer::discover("https://auth.example.com/oidc")
///     .jwks_timeout(Duration::from_secs(10));
/// let notes = McpAuth::builder("https://api.example.com/notes").authorization_server(&login).build()?;
/// let mail = McpAuth::builder("https://api.example.com/mail").authorization_server(&login).build()?;
/// # Ok::<(), mcp_auth::ConfigError>(())
/// ```
#[derive(Clone)]
pub struct AuthorizationServer {
    pub(super) settings: Arc<Settings>,
    pub(super) remote: Arc<OnceLock<Remote>>,
}

impl AuthorizationServer {
    /// A server that is discovered by its issuer identifier: at `/.well-known/oauth-authorization-server`
    /// ([RFC 8414 §3](https://www.rfc-editor.org/rfc/rfc8414#section-3)) or `/.well-known/openid-configuration`, in
    /// the order of the MCP specification.
    ///
    /// `issuer` is compared byte for byte with the `iss` of tokens and the `issuer` of the metadata: a final slash
    /// matters (Auth0's issuers have one).
    #[must_use]
    pub fn discover(issuer: impl AsRef<str>) -> Self {
        Self::new(issuer.as_ref(), MetadataSource::Discovery)
    }

    /// A server whose metadata is at a custom URL. The `issuer` in the metadata must still be this one.
    #[must_use]
    pub fn from_metadata_url(issuer: impl AsRef<str>, url: impl AsRef<str>) -> Self {
        Self::new(issuer.as_ref(), MetadataSource::Url(url.as_ref().into()))
    }

    /// A server whose metadata is known; only its keys are fetched.
    #[must_use]
    pub fn from_metadata(metadata: ServerMetadata) -> Self {
        let metadata = Arc::new(metadata);
        Self::new(metadata.issuer(), MetadataSource::Static(metadata.clone()))
    }

    /// A server whose keys are given, as a JWKS ([`KeySet::parse`]) or PEM ([`KeySet::from_pem`]). No network
    /// access is needed to verify its tokens. The keys are never refreshed: when they change, change this
    /// configuration.
    ///
    /// The issuer need not be a URL ([`StringOrURI`](https://www.rfc-editor.org/rfc/rfc7519#section-2)), here and
    /// wherever its keys are given. The metadata of the resource lists it only if clients can be sent there: if it is
    /// an https URL, or with [`advertise_as`](Self::advertise_as).
    ///
    /// ```
    /// use mcp_auth::jwt::KeySet;
    /// use mcp_auth::{AuthorizationServer, McpAuth};
    ///
    /// let keys = KeySet::from_pem("-----BEGIN PUBLIC KEY-----
    /// MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=
    /// -----END PUBLIC KEY-----")?;
    /// let auth = McpAuth::builder("https://api.example.com/mcp")
    ///     .authorization_server(AuthorizationServer::with_keys("https://auth.example.com", keys))
    ///     .build()?;
    /// assert!(auth.readiness().is_ready());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn with_keys(issuer: impl AsRef<str>, keys: KeySet) -> Self {
        Self::with_keys_from(issuer.as_ref(), KeySource::Static(Arc::new(keys)))
    }

    /// A server whose keys are in a file: a JWKS, or public keys in PEM.
    ///
    /// The file is read when the first token of the issuer arrives. It is read again while tokens arrive that need
    /// its keys (every ten seconds at most), and when a token names an unknown key. If it cannot be read or parsed
    /// then, that is logged, and the cached keys stay in use for [`jwks_max_stale`](Self::jwks_max_stale).
    ///
    /// ```
    /// use mcp_auth::AuthorizationServer;
    ///
    /// let server = AuthorizationServer::with_keys_file("https://auth.example.com", "/etc/mcp/jwks.json");
    /// ```
    #[must_use]
    pub fn with_keys_file(issuer: impl AsRef<str>, path: impl AsRef<Path>) -> Self {
        Self::with_keys_from(issuer.as_ref(), KeySource::File(path.as_ref().into()))
    }

    /// A server that signs its tokens with a secret that it shares with this one: HS256, and nothing else. For
    /// tests, and for an issuer of your own that runs next to this server.
    ///
    /// Whoever can verify such a token can also create one. The secret must have at least 32 bytes
    /// ([RFC 7518 §3.2](https://www.rfc-editor.org/rfc/rfc7518#section-3.2)), which [`build`] checks. No keys are
    /// ever fetched for this issuer, and no asymmetric signature is accepted.
    ///
    /// ```
    /// use mcp_auth::AuthorizationServer;
    ///
    /// # let secret = [7; 32];
    /// let server = AuthorizationServer::with_secret("https://auth.internal.example", secret);
    /// ```
    ///
    /// [`build`]: crate::McpAuthBuilder::build
    #[must_use]
    pub fn with_secret(issuer: impl AsRef<str>, secret: impl AsRef<[u8]>) -> Self {
        let secret = KeySource::Hmac(Arc::new(HmacKey::new(secret.as_ref())));
        Self::with_keys_from(issuer.as_ref(), secret).algorithms([])
    }

    /// A server that is only named, because your own [`Verifier`](crate::Verifier) validates its tokens. Clients
    /// are told to log in there; nothing is fetched from it.
    #[must_use]
    pub fn external(issuer: impl AsRef<str>) -> Self {
        Self::new(issuer.as_ref(), MetadataSource::External)
    }

    /// Changes the metadata document, fetched or given, before it is used: for a server that deviates from the
    /// format. The `issuer` in the result must be this one.
    #[must_use]
    pub fn map_metadata(
        self,
        map: impl Fn(MetadataDocument) -> MetadataDocument + Send + Sync + 'static,
    ) -> Self {
        self.map_metadata_async(move |document| std::future::ready(map(document)))
    }

    /// The same as [`map_metadata`](Self::map_metadata), with an async function that may take as long as
    /// [one fetch](Self::jwks_timeout).
    #[must_use]
    pub fn map_metadata_async<F>(
        self,
        map: impl Fn(MetadataDocument) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = MetadataDocument> + Send + 'static,
    {
        self.with(|settings| {
            settings.map_metadata = Some(Arc::new(move |document| Box::pin(map(document))))
        })
    }

    /// Accepts only these signature algorithms: all of [`Algorithm::ALL`] unless set.
    #[must_use]
    pub fn algorithms(self, algorithms: impl IntoIterator<Item = Algorithm>) -> Self {
        self.with(|settings| settings.rules.algorithms = algorithms.into_iter().collect())
    }

    /// Sets how strictly a token must identify itself as an access token.
    #[must_use]
    pub fn profile(self, profile: Profile) -> Self {
        self.with(|settings| settings.rules.profile = profile)
    }

    /// Accepts only JWTs whose header has one of these `typ` values
    /// ([RFC 7515 §4.1.9](https://www.rfc-editor.org/rfc/rfc7515#section-4.1.9)), instead of `at+jwt` and `JWT`: for
    /// servers with a type of their own. Case does not matter, a prefix `application/` may be there or not, and a token
    /// without `typ` counts as `JWT`.
    ///
    /// The other conditions of the [`profile`](Self::profile) still apply: with [`Profile::Compatible`], a token of
    /// another type than `at+jwt` must not have the claims of an ID token, and with [`Profile::Rfc9068`] `client_id`,
    /// `iat` and `jti` must be present. An empty list, and a type of other tokens, such as `logout+jwt`, is a
    /// [`ConfigError::Provider`](crate::ConfigError::Provider).
    ///
    /// ```
    /// use mcp_auth::AuthorizationServer;
    ///
    /// let login = AuthorizationServer::discover("https://auth.example.com").typ(["acme-access+jwt", "at+jwt"]);
    /// ```
    #[must_use]
    pub fn typ<S: AsRef<str>>(self, types: impl IntoIterator<Item = S>) -> Self {
        self.with(|settings| {
            settings.rules.types = Some(types.into_iter().map(|typ| typ.as_ref().into()).collect());
        })
    }

    /// Introspects the opaque tokens of this server ([RFC 7662](https://www.rfc-editor.org/rfc/rfc7662)). Its JWTs
    /// are still verified with its keys.
    ///
    /// This also works for a server that is only [advertised](Self::external), if the
    /// [endpoint](Introspection::endpoint) is given.
    #[must_use]
    pub fn introspection(self, introspection: Introspection) -> Self {
        self.with(|settings| settings.introspection = Some(introspection))
    }

    /// Fetches metadata and keys now, so that the first request does not wait for them.
    ///
    /// # Errors
    ///
    /// If they cannot be fetched. A server can start nevertheless: they are fetched again when a request needs
    /// them.
    pub async fn warm_up(&self) -> Result<(), FetchIssuerError> {
        if self.introspects().is_some() && self.has_keys() {
            self.metadata().await?; // it may name no keys
        }
        if self.introspector().is_some_and(Introspector::is_ready) && !self.may_have_keys() {
            return Ok(());
        }
        self.issuer_keys().warm_up().await.map_err(|error| self.fetch_error(error))
    }

    /// Returns the metadata, and fetches it if necessary.
    ///
    /// # Errors
    ///
    /// If it cannot be fetched.
    pub async fn metadata(&self) -> Result<Arc<ServerMetadata>, FetchIssuerError> {
        let metadata = self.remote().metadata.current().await;
        metadata.map(|metadata| metadata.value()).map_err(|error| self.fetch_error(error))
    }

    /// The issuer identifier. For a server with several tenants it is the [template](Self::template) of their
    /// issuers.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.settings.rules.issuer
    }

    /// Whether this server issues the tokens of `issuer`, and has keys to verify them.
    pub(crate) fn issues(&self, issuer: &str) -> bool {
        self.settings.rules.apply_to(issuer) && self.has_keys()
    }

    pub(crate) fn rules(&self) -> &JwtRules {
        &self.settings.rules
    }

    pub(crate) fn issuer_keys(&self) -> &IssuerKeys {
        &self.remote().issuer_keys
    }

    /// The record that all tokens verified by this key share.
    pub(crate) fn verified_by(&self, key: Arc<Key>) -> Arc<VerifiedBy> {
        self.remote().verified_by(key)
    }

    /// The shared secret with which it signs, if it has one instead of keys.
    pub(crate) fn hmac_key(&self) -> Option<&HmacKey> {
        match &self.settings.keys {
            KeySource::Hmac(secret) => Some(secret),
            _ => None,
        }
    }

    /// Whether some of its given keys would never be tried.
    pub(super) fn has_untried_keys(&self) -> bool {
        matches!(&self.settings.keys, KeySource::Static(keys) if keys.has_untried_keys())
    }

    /// Whether there is an HTTP client.
    pub(crate) fn can_fetch(&self) -> bool {
        self.settings.outbound.fetch.is_some()
    }

    /// How requests are sent to this server.
    pub(crate) fn outbound(&self) -> &Outbound {
        &self.settings.outbound
    }

    pub(crate) fn internal_address(&self) -> Option<&InternalUrl> {
        self.settings.internal_url.as_ref()
    }

    pub(crate) fn shared_clock(&self) -> Arc<dyn Clock> {
        self.settings.clock.clone()
    }

    pub(crate) fn used_clock(&self) -> &dyn Clock {
        &*self.settings.clock
    }

    /// Whether it has metadata, fetched or given. An issuer with keys of its own may have a name from which nothing can be
    /// fetched.
    pub(crate) fn has_metadata(&self) -> bool {
        match self.settings.source {
            MetadataSource::External => false,
            MetadataSource::Discovery => self.may_fetch(self.issuer()),
            _ => true,
        }
    }

    /// What is wrong with its HTTP client, if anything.
    pub(crate) fn fetch_config_error(&self) -> Option<&'static str> {
        self.settings.outbound.fetch.as_ref().and_then(|fetch| fetch.config_error())
    }

    /// Whether its keys are fetched over the network.
    pub(crate) fn has_remote_keys(&self) -> bool {
        matches!(self.settings.keys, KeySource::JwksUri)
    }

    /// The introspector of its tokens, if introspection is configured.
    pub(crate) fn introspector(&self) -> Option<&Introspector> {
        self.remote().introspector.as_ref()
    }

    pub(crate) fn introspects(&self) -> Option<&Introspection> {
        self.settings.introspection.as_ref()
    }

    /// Returns what is wrong with its introspection, if anything.
    pub(crate) fn introspection_error(&self) -> Option<&'static str> {
        let introspection = self.introspects()?;
        match introspection.configured_endpoint() {
            Some(url) if !self.may_fetch(url) => {
                Some("its endpoint must be an https URL (http only on this machine)")
            }
            _ => introspection.config_error(),
        }
    }

    /// Whether it can have keys. A server that is only named has none.
    pub(crate) fn has_keys(&self) -> bool {
        match self.settings.keys {
            KeySource::None => false,
            KeySource::JwksUri => !matches!(self.settings.source, MetadataSource::External),
            KeySource::File(_) | KeySource::Static(_) | KeySource::Hmac(_) => true,
        }
    }

    /// Whether its tokens cannot be validated without it: for its keys, or for introspection.
    pub(crate) fn is_needed(&self) -> bool {
        self.has_keys() || self.introspects().is_some()
    }

    /// Whether it may have keys, as far as the cached metadata says.
    pub(crate) fn may_have_keys(&self) -> bool {
        let metadata = self.remote().metadata.peek();
        let is_named = metadata.is_none_or(|metadata| metadata.jwks_uri().is_some());
        self.has_keys() && (is_named || !self.has_remote_keys())
    }

    /// The URL of the first document to fetch. Returns `None` if there is none.
    pub(crate) fn first_url(&self) -> Option<String> {
        match &self.settings.source {
            MetadataSource::Discovery => server_metadata_urls(self.issuer()).into_iter().next(),
            MetadataSource::Static(metadata) => metadata.jwks_uri().map(str::to_owned),
            MetadataSource::External => None,
            MetadataSource::Url(url) => Some(url.to_string()),
        }
    }

    fn fetch_error(&self, error: RefreshError) -> FetchIssuerError {
        FetchIssuerError::of(self.issuer(), error)
    }

    /// The label of its metrics.
    pub(crate) fn metrics_label(&self) -> &IssuerLabel {
        &self.settings.metrics_label
    }

    pub(super) fn with_keys_from(issuer: &str, keys: KeySource) -> Self {
        Self::new(issuer, MetadataSource::Discovery).with(|settings| settings.keys = keys)
    }

    pub(super) fn new(issuer: &str, source: MetadataSource) -> Self {
        let settings = Settings {
            source,
            keys: KeySource::JwksUri,
            rules: JwtRules::new(issuer),
            metrics_label: IssuerLabel::new(issuer.into()),
            timeout: Duration::from_secs(5),
            cooldown: Duration::from_secs(30),
            max_age: Duration::from_secs(10 * 60),
            max_stale: Duration::from_secs(24 * 60 * 60),
            map_metadata: None,
            introspection: None,
            internal_url: None,
            advertise_as: None,
            outbound: Outbound::new(default_client()),
            clock: Arc::new(SystemClock),
        };
        Self { settings: Arc::new(settings), remote: Arc::default() }
    }

    /// A changed copy shares nothing with the original.
    pub(super) fn with(mut self, change: impl FnOnce(&mut Settings)) -> Self {
        let settings = Arc::make_mut(&mut self.settings);
        change(settings);
        settings.metrics_label = IssuerLabel::new(settings.rules.issuer.clone());
        self.remote = Arc::default();
        self
    }

    pub(super) fn with_overrides(self, change: impl FnOnce(&mut IssuerOverrides)) -> Self {
        self.with(|settings| {
            change(Arc::make_mut(settings.rules.overrides.get_or_insert_default()));
        })
    }

    pub(super) fn remote(&self) -> &Remote {
        self.remote.get_or_init(|| self.settings.clone().remote())
    }
}

impl From<&str> for AuthorizationServer {
    fn from(issuer: &str) -> Self {
        Self::discover(issuer)
    }
}

impl From<&String> for AuthorizationServer {
    fn from(issuer: &String) -> Self {
        Self::discover(issuer)
    }
}

impl From<String> for AuthorizationServer {
    fn from(issuer: String) -> Self {
        Self::discover(issuer)
    }
}

impl From<&Self> for AuthorizationServer {
    fn from(server: &Self) -> Self {
        server.clone()
    }
}

impl fmt::Debug for AuthorizationServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthorizationServer")
            .field("issuer", &self.issuer())
            .finish_non_exhaustive()
    }
}

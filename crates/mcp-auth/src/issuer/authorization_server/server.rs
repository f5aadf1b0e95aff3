//! `AuthorizationServer`: an issuer that is trusted, its metadata and its keys.

use std::fmt;
use std::future::Future;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use http::header::{HeaderMap, HeaderName, HeaderValue};

use crate::issuer::authorization_server::error::FetchIssuerError;
use crate::issuer::authorization_server::remote::{Remote, VerifiedBy};
use crate::issuer::authorization_server::settings::{KeySource, Settings, Source};
use crate::issuer::introspection::{Introspection, Introspector};
use crate::issuer::issuer_keys::IssuerKeys;
use crate::model::issuer_overrides::IssuerOverrides;
use crate::net::clock::{Clock, SystemClock};
use crate::net::fetch::{Fetch, default_client};
use crate::net::refreshing_cache::RefreshError;
use crate::policy::metadata::{Document, ServerMetadata, server_metadata_urls};
use crate::verify::jwt::{Algorithm, HmacKey, JwtRules, Key, KeySet, Profile};

/// An authorization server that is trusted to issue tokens.
///
/// Clones share their metadata and their keys, so that several protected resources can trust one
/// server at the price of one. Nothing is fetched before the first token of this issuer arrives, or
/// before [`warm_up`](Self::warm_up).
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
    /// A server that is found by its issuer identifier: at
    /// `/.well-known/oauth-authorization-server` ([RFC 8414 §3](https://www.rfc-editor.org/rfc/rfc8414#section-3))
    /// or `/.well-known/openid-configuration`, in the order of the MCP specification.
    ///
    /// `issuer` is compared byte for byte with the `iss` of tokens and the `issuer` of the document: a
    /// final slash matters (Auth0 has one).
    #[must_use]
    pub fn discover(issuer: impl AsRef<str>) -> Self {
        Self::new(issuer.as_ref(), Source::Discovery)
    }

    /// A server whose metadata is at a URL of its own. Its `issuer` must still be this one.
    #[must_use]
    pub fn from_metadata_url(issuer: impl AsRef<str>, url: impl AsRef<str>) -> Self {
        Self::new(issuer.as_ref(), Source::Url(url.as_ref().into()))
    }

    /// A server whose metadata is known; only its keys are fetched.
    #[must_use]
    pub fn from_metadata(metadata: ServerMetadata) -> Self {
        let metadata = Arc::new(metadata);
        Self::new(metadata.issuer(), Source::Metadata(metadata.clone()))
    }

    /// A server whose keys are known, a JWKS ([`KeySet::parse`]) or PEM ([`KeySet::from_pem`]). No network
    /// is needed to judge its tokens. When its keys change, so must this.
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
    /// It is read when the first token of the issuer arrives, and looked at again while tokens arrive
    /// whose keys are needed, every ten seconds at most, and when one names an unknown key. If it cannot
    /// be read then, or makes no sense, that is logged, and the keys in hand stay in use for
    /// [`jwks_max_stale`](Self::jwks_max_stale).
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

    /// A server that signs its tokens with a secret known to this one: HS256, and nothing else. For
    /// tests, and for an issuer of your own beside this server.
    ///
    /// Whoever can verify such a token can also make one. The secret must have 32 bytes at least
    /// ([RFC 7518 §3.2](https://www.rfc-editor.org/rfc/rfc7518#section-3.2)), which [`build`] checks. No key
    /// is ever fetched for this issuer, and no signature of a key accepted.
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

    /// A server of which only the name matters, because a [`Verifier`](crate::Verifier) of your own
    /// judges its tokens. Clients are told to log in there; nothing is fetched from it.
    #[must_use]
    pub fn external(issuer: impl AsRef<str>) -> Self {
        Self::new(issuer.as_ref(), Source::External)
    }

    /// How long one fetch may take. 5 seconds unless set: a login page would be slow by then.
    #[must_use]
    pub fn jwks_timeout(self, timeout: Duration) -> Self {
        self.with(|settings| settings.timeout = timeout)
    }

    /// The least time between two fetches that tokens with unknown keys can cause: one, at once, when a
    /// rotated key is met, and then none for this time. 30 seconds unless set. After a failed fetch the
    /// next may come sooner: after 1 second, 2, 4, and so on up to this.
    #[must_use]
    pub fn jwks_cooldown(self, cooldown: Duration) -> Self {
        self.with(|settings| settings.cooldown = cooldown)
    }

    /// How long keys are used before they are fetched again, if the server's `Cache-Control` does not
    /// say. 10 minutes unless set, and a minute at least.
    #[must_use]
    pub fn jwks_max_age(self, max_age: Duration) -> Self {
        self.with(|settings| settings.max_age = max_age)
    }

    /// How long keys stay in use while the server is out of reach. 24 hours unless set: long enough
    /// for a bad night, short enough that a withdrawn key does not live on.
    #[must_use]
    pub fn jwks_max_stale(self, max_stale: Duration) -> Self {
        self.with(|settings| settings.max_stale = max_stale)
    }

    /// Adds a header to each fetch, for servers behind a gateway that asks for one.
    #[must_use]
    pub fn header(self, name: HeaderName, value: HeaderValue) -> Self {
        self.with(|settings| {
            settings.headers.append(name, value);
        })
    }

    /// Changes the metadata document, fetched or given, before it is used: for a server that bends the
    /// format. Its `issuer` must be this one afterwards.
    #[must_use]
    pub fn map_metadata(self, map: impl Fn(Document) -> Document + Send + Sync + 'static) -> Self {
        self.map_metadata_async(move |document| std::future::ready(map(document)))
    }

    /// The same with a function that may wait, as long as [one fetch](Self::jwks_timeout).
    #[must_use]
    pub fn map_metadata_async<F>(self, map: impl Fn(Document) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Document> + Send + 'static,
    {
        self.with(|settings| {
            settings.map_metadata = Some(Arc::new(move |document| Box::pin(map(document))))
        })
    }

    /// Accepts only these signature algorithms. All of [`Algorithm::ALL`] unless set.
    #[must_use]
    pub fn algorithms(self, algorithms: impl IntoIterator<Item = Algorithm>) -> Self {
        self.with(|settings| settings.rules.algorithms = algorithms.into_iter().collect())
    }

    /// How strictly a token must say that it is an access token.
    #[must_use]
    pub fn profile(self, profile: Profile) -> Self {
        self.with(|settings| settings.rules.profile = profile)
    }

    /// Asks this server about its opaque tokens
    /// ([RFC 7662](https://www.rfc-editor.org/rfc/rfc7662)). Its JWTs are verified with its keys as ever.
    ///
    /// A server that is only [`named`](Self::external) can be asked too, if the
    /// [endpoint](Introspection::endpoint) is given.
    #[must_use]
    pub fn introspection(self, introspection: Introspection) -> Self {
        self.with(|settings| settings.introspection = Some(introspection))
    }

    /// Uses this to fetch, instead of an [`HttpClient`](crate::HttpClient).
    #[must_use]
    pub fn fetch(self, fetch: impl Fetch) -> Self {
        self.with(|settings| settings.fetch = Some(Arc::new(fetch)))
    }

    /// Uses this clock, instead of the system's, for the age of keys.
    #[must_use]
    pub fn clock(self, clock: impl Clock) -> Self {
        self.with(|settings| settings.clock = Arc::new(clock))
    }

    /// Fetches metadata and keys now, so that the first request need not wait for them.
    ///
    /// # Errors
    ///
    /// If they cannot be had. A server may well start in spite of it: they are fetched again when a
    /// request needs them.
    pub async fn warm_up(&self) -> Result<(), FetchIssuerError> {
        if self.introspects().is_some() && self.has_keys() {
            self.metadata().await?; // which may well name no keys
        }
        if self.introspector().is_some_and(Introspector::is_ready) && !self.may_have_keys() {
            return Ok(());
        }
        self.issuer_keys().warm_up().await.map_err(|error| self.out_of_reach(error))
    }

    /// The metadata, fetched if need be.
    ///
    /// # Errors
    ///
    /// If it cannot be had.
    pub async fn metadata(&self) -> Result<Arc<ServerMetadata>, FetchIssuerError> {
        self.remote().metadata.current().await.map_err(|error| self.out_of_reach(error))
    }

    /// The issuer identifier; the [template](Self::template) of the issuers where it has several tenants.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.settings.rules.issuer
    }

    /// Whether it issues the tokens of this issuer, and there are keys to verify them.
    pub(crate) fn issues(&self, issuer: &str) -> bool {
        self.settings.rules.are_for(issuer) && self.has_keys()
    }

    pub(crate) fn rules(&self) -> &JwtRules {
        &self.settings.rules
    }

    pub(crate) fn issuer_keys(&self) -> &IssuerKeys {
        &self.remote().issuer_keys
    }

    /// What a token stands on that this key of it signed.
    pub(crate) fn verified_by(&self, key: Arc<Key>) -> Arc<VerifiedBy> {
        self.remote().verified_by(key)
    }

    /// The secret with which it signs, if it has no keys.
    pub(crate) fn hmac_key(&self) -> Option<&HmacKey> {
        match &self.settings.keys {
            KeySource::Hmac(secret) => Some(secret),
            _ => None,
        }
    }

    /// Whether there is a client to fetch with.
    pub(crate) fn can_fetch(&self) -> bool {
        self.settings.fetch.is_some()
    }

    /// Whether its keys come over the network.
    pub(crate) fn has_remote_keys(&self) -> bool {
        matches!(self.settings.keys, KeySource::Metadata)
    }

    /// What asks it about opaque tokens, if it is asked.
    pub(crate) fn introspector(&self) -> Option<&Introspector> {
        self.remote().introspector.as_ref()
    }

    pub(crate) fn introspects(&self) -> Option<&Introspection> {
        self.settings.introspection.as_ref()
    }

    /// Whether there may be keys of it: of a server that is only named there are none.
    pub(crate) fn has_keys(&self) -> bool {
        match self.settings.keys {
            KeySource::None => false,
            KeySource::Metadata => !matches!(self.settings.source, Source::External),
            KeySource::File(_) | KeySource::Static(_) | KeySource::Hmac(_) => true,
        }
    }

    /// Whether tokens cannot be judged without it: for its keys, or because it is asked.
    pub(crate) fn is_needed(&self) -> bool {
        self.has_keys() || self.introspects().is_some()
    }

    /// Whether there may be keys of it, as far as the metadata in hand tells.
    pub(crate) fn may_have_keys(&self) -> bool {
        let metadata = self.remote().metadata.peek();
        let is_named = metadata.is_none_or(|metadata| metadata.jwks_uri().is_some());
        self.has_keys() && (is_named || !self.has_remote_keys())
    }

    /// Where the first document would be fetched from. Nothing if there is no such place.
    pub(crate) fn first_url(&self) -> Option<String> {
        match &self.settings.source {
            Source::Discovery => server_metadata_urls(self.issuer()).into_iter().next(),
            Source::Metadata(metadata) => metadata.jwks_uri().map(str::to_owned),
            Source::External => None,
            Source::Url(url) => Some(url.to_string()),
        }
    }

    fn out_of_reach(&self, error: RefreshError) -> FetchIssuerError {
        FetchIssuerError::of(self.issuer(), error)
    }

    pub(super) fn with_keys_from(issuer: &str, keys: KeySource) -> Self {
        Self::new(issuer, Source::Discovery).with(|settings| settings.keys = keys)
    }

    pub(super) fn new(issuer: &str, source: Source) -> Self {
        let settings = Settings {
            source,
            keys: KeySource::Metadata,
            rules: JwtRules::new(issuer),
            timeout: Duration::from_secs(5),
            cooldown: Duration::from_secs(30),
            max_age: Duration::from_secs(10 * 60),
            max_stale: Duration::from_secs(24 * 60 * 60),
            headers: HeaderMap::new(),
            map_metadata: None,
            introspection: None,
            advertise_as: None,
            fetch: default_client(),
            clock: Arc::new(SystemClock),
        };
        Self { settings: Arc::new(settings), remote: Arc::default() }
    }

    /// A changed copy shares nothing with the original.
    pub(super) fn with(mut self, change: impl FnOnce(&mut Settings)) -> Self {
        change(Arc::make_mut(&mut self.settings));
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

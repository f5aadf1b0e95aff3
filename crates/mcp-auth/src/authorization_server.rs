//! Whom we trust: an authorization server, its metadata and its keys.

use std::fmt;
use std::future::Future;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use http::header::{HeaderMap, HeaderName, HeaderValue};

use crate::clock::{Clock, SystemClock};
use crate::fetch::{BoxFuture, Fetch, FetchError, HttpClient, Limits, get_document};
use crate::fresh::{Fresh, Lacking, Timing};
use crate::jwt::{Algorithm, JwtRules, KeySet, Profile};
use crate::keyring::{self, Keyring};
use crate::metadata::{Document, ServerMetadata, Severity, server_metadata_urls, validate};
use crate::meter;
use crate::url;

/// No metadata document and no key set met in the field is a tenth as long.
const MAX_DOCUMENT_BYTES: usize = 512 * 1024;

/// How long metadata is used before another look: it names the place of the keys, which rarely moves.
const METADATA_LIFETIME: Duration = Duration::from_secs(60 * 60);

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
    settings: Arc<Settings>,
    live: Arc<OnceLock<Live>>,
}

#[derive(Clone)]
struct Settings {
    source: Source,
    rules: JwtRules,
    timeout: Duration,
    cooldown: Duration,
    max_age: Duration,
    max_stale: Duration,
    headers: HeaderMap,
    map_metadata: Option<MapMetadata>,
    fetch: Arc<dyn Fetch>,
    clock: Arc<dyn Clock>,
}

/// Where the metadata comes from.
#[derive(Clone)]
enum Source {
    Discovery,
    Given(Arc<ServerMetadata>),
    Named,
    Url(Arc<str>),
}

type MapMetadata = Arc<dyn Fn(Document) -> BoxFuture<'static, Document> + Send + Sync>;

/// What is fetched, shared by all clones.
struct Live {
    metadata: Arc<Fresh<ServerMetadata>>,
    keyring: Keyring,
}

/// Metadata or keys could not be had.
#[derive(Clone, Debug, thiserror::Error)]
#[error("metadata or keys of the issuer {issuer:?} are out of reach")]
pub struct OutOfReach {
    issuer: Arc<str>,
    #[source]
    why: Option<Arc<FetchError>>,
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
    pub fn given(metadata: ServerMetadata) -> Self {
        Self::new(&metadata.issuer().to_owned(), Source::Given(metadata.into()))
    }

    /// A server of which only the name matters, because a [`Verifier`](crate::Verifier) of your own
    /// judges its tokens. Clients are told to log in there; nothing is fetched from it.
    #[must_use]
    pub fn named(issuer: impl AsRef<str>) -> Self {
        Self::new(issuer.as_ref(), Source::Named)
    }

    /// How long one fetch may take. 5 seconds unless set: a login page would be slow by then.
    #[must_use]
    pub fn jwks_timeout(self, timeout: Duration) -> Self {
        self.with(|settings| settings.timeout = timeout)
    }

    /// The least time between two fetches that tokens with unknown keys can cause: one, at once, when a
    /// rotated key is met, and then none for this time. 30 seconds unless set. After a failed fetch the next may come sooner: after 1 second, 2, 4, and so on up to this.
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

    /// Changes the fetched metadata document before it is used, for a server that bends the format.
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

    /// Uses this to fetch, instead of an [`HttpClient`] of its own.
    #[must_use]
    pub fn fetch(self, fetch: impl Fetch) -> Self {
        self.with(|settings| settings.fetch = Arc::new(fetch))
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
    pub async fn warm_up(&self) -> Result<(), OutOfReach> {
        let keys = self.keyring().keys.current().await;
        keys.map(|_| ()).map_err(|lacking| self.out_of_reach(lacking))
    }

    /// The metadata, fetched if need be.
    ///
    /// # Errors
    ///
    /// If it cannot be had.
    pub async fn metadata(&self) -> Result<Arc<ServerMetadata>, OutOfReach> {
        self.live().metadata.current().await.map_err(|lacking| self.out_of_reach(lacking))
    }

    /// The issuer identifier.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.settings.rules.issuer
    }

    pub(crate) fn rules(&self) -> &JwtRules {
        &self.settings.rules
    }

    pub(crate) fn keyring(&self) -> &Keyring {
        &self.live().keyring
    }

    /// Where the first document would be fetched from. Nothing if there is no such place.
    pub(crate) fn first_url(&self) -> Option<String> {
        match &self.settings.source {
            Source::Discovery => server_metadata_urls(self.issuer()).into_iter().next(),
            Source::Given(metadata) => metadata.jwks_uri().map(str::to_owned),
            Source::Named => None,
            Source::Url(url) => Some(url.to_string()),
        }
    }

    fn out_of_reach(&self, lacking: Lacking) -> OutOfReach {
        let why = match lacking {
            Lacking::OutOfReach { why, .. } => why,
            Lacking::TooSoon => None,
        };
        OutOfReach { issuer: self.settings.rules.issuer.clone(), why }
    }

    fn new(issuer: &str, source: Source) -> Self {
        let settings = Settings {
            source,
            rules: JwtRules::new(issuer),
            timeout: Duration::from_secs(5),
            cooldown: Duration::from_secs(30),
            max_age: Duration::from_secs(10 * 60),
            max_stale: Duration::from_secs(24 * 60 * 60),
            headers: HeaderMap::new(),
            map_metadata: None,
            fetch: Arc::new(HttpClient::new()),
            clock: Arc::new(SystemClock),
        };
        Self { settings: Arc::new(settings), live: Arc::default() }
    }

    /// A changed copy shares nothing with the original.
    fn with(mut self, change: impl FnOnce(&mut Settings)) -> Self {
        change(Arc::make_mut(&mut self.settings));
        self.live = Arc::default();
        self
    }

    fn live(&self) -> &Live {
        self.live.get_or_init(|| self.settings.clone().live())
    }
}

impl Settings {
    fn live(self: Arc<Self>) -> Live {
        let timing = Timing { cooldown: self.cooldown, max_stale: self.max_stale };
        let settings = self.clone();
        let metadata = Arc::new(Fresh::new(
            self.clock.clone(),
            timing,
            Box::new(move |_| {
                let settings = settings.clone();
                Box::pin(async move {
                    let metadata = settings.load_metadata().await;
                    settings.report("metadata", metadata.as_ref().err());
                    Ok((metadata?, METADATA_LIFETIME))
                })
            }),
        ));
        let (settings, place) = (self.clone(), metadata.clone());
        let keys = Fresh::new(
            self.clock.clone(),
            timing,
            Box::new(move |in_hand: Option<Arc<KeySet>>| {
                let (settings, place) = (settings.clone(), place.clone());
                Box::pin(async move {
                    // Without metadata there is nothing to try, and nothing more to report.
                    let metadata = place.current().await.map_err(metadata_lacking)?;
                    let keys = settings.load_keys(&metadata).await;
                    settings.report("keys", keys.as_ref().err());
                    let (keys, lifetime) = keys?;
                    Ok((keys.succeed(in_hand.as_deref()), lifetime))
                })
            }),
        );
        Live { metadata, keyring: Keyring { issuer: self.rules.issuer.clone(), keys } }
    }

    async fn load_metadata(&self) -> Result<ServerMetadata, FetchError> {
        let urls = match &self.source {
            Source::Discovery => server_metadata_urls(&self.rules.issuer),
            Source::Given(metadata) => {
                return self.accept(&self.rules.issuer, ServerMetadata::clone(metadata)).await;
            }
            Source::Named => Vec::new(),
            Source::Url(url) => vec![url.to_string()],
        };
        let mut told = None;
        for url in urls {
            match self.load_metadata_at(&url).await {
                Ok(metadata) => return Ok(metadata),
                // Not there, or not that document: the next place may have it.
                Err(error @ FetchError::Nonsense { .. }) => told = Some(error),
                Err(error @ FetchError::Status { status: 300..=499, .. }) => {
                    told = told.or(Some(error))
                }
                Err(error) => return Err(error),
            }
        }
        Err(told
            .unwrap_or_else(|| FetchError::Transport("there is no place to fetch it from".into())))
    }

    async fn load_metadata_at(&self, url: &str) -> Result<ServerMetadata, FetchError> {
        let response = self.get(url).await?;
        let nonsense = |why: &str| FetchError::Nonsense { url: url.to_owned(), why: why.into() };
        let metadata = ServerMetadata::parse(response.body()).map_err(nonsense)?;
        // Plain http is for this machine, and what is published elsewhere must not send us there.
        if url::is_https(url) && !metadata.jwks_uri().is_none_or(url::is_https) {
            return Err(nonsense("its `jwks_uri` is not https, as it is itself"));
        }
        self.accept(url, metadata).await
    }

    /// Maps a document, and accepts it if it is this issuer's own
    /// ([RFC 8414 §3.3](https://www.rfc-editor.org/rfc/rfc8414#section-3.3)).
    async fn accept(
        &self,
        url: &str,
        metadata: ServerMetadata,
    ) -> Result<ServerMetadata, FetchError> {
        let metadata = match &self.map_metadata {
            Some(map) => tokio::time::timeout(self.timeout, map(metadata.document().clone()))
                .await
                .map_err(|_| FetchError::Timeout(self.timeout))?
                .into(),
            None => metadata,
        };
        let issuer = &*self.rules.issuer;
        if metadata.issuer() != issuer {
            let why = format!(
                "its issuer is {:?}, not {issuer:?}: use the issuer as the document writes it",
                metadata.issuer()
            );
            return Err(FetchError::Nonsense { url: url.to_owned(), why });
        }
        for finding in
            validate(&metadata).iter().filter(|finding| finding.severity > Severity::Pass)
        {
            tracing::debug!(target: "mcp_auth", issuer, code = finding.code, "{}", finding.message);
        }
        Ok(metadata)
    }

    async fn load_keys(&self, metadata: &ServerMetadata) -> Result<(KeySet, Duration), FetchError> {
        let missing = || FetchError::Nonsense {
            url: self.rules.issuer.to_string(),
            why: "its metadata has no `jwks_uri`".into(),
        };
        let url = metadata.jwks_uri().ok_or_else(missing)?;
        let response = self.get(url).await?;
        let keys = KeySet::parse(response.body())
            .map_err(|why| FetchError::Nonsense { url: url.to_owned(), why: why.to_string() })?;
        Ok((keys, keyring::lifetime(response.headers(), self.max_age)))
    }

    async fn get(&self, url: &str) -> Result<http::Response<Bytes>, FetchError> {
        let limits = Limits { timeout: self.timeout, max_bytes: MAX_DOCUMENT_BYTES };
        get_document(&*self.fetch, url, &self.headers, limits).await
    }

    fn report(&self, document: &'static str, failure: Option<&FetchError>) {
        let issuer = &*self.rules.issuer;
        meter::refresh(document, issuer, failure.is_none());
        match failure {
            None => tracing::debug!(target: "mcp_auth", issuer, "fetched the {document}"),
            Some(error) => {
                let error = error as &dyn std::error::Error;
                tracing::warn!(target: "mcp_auth", issuer, error, "could not fetch the {document} of the issuer");
            }
        }
    }
}

fn metadata_lacking(lacking: Lacking) -> FetchError {
    match lacking {
        Lacking::OutOfReach { why: Some(why), .. } => {
            FetchError::Transport(Box::new(Metadata(why)))
        }
        _ => FetchError::Transport("the metadata is out of reach".into()),
    }
}

/// The metadata failed, and so the keys.
#[derive(Debug, thiserror::Error)]
#[error("the metadata is out of reach")]
struct Metadata(#[source] Arc<FetchError>);

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

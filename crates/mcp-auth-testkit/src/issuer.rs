//! The test issuer: its state, and how a test controls it.

use std::fmt;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use mcp_auth::{Clock, Fetch, ManualClock};
use tokio::sync::watch;

use crate::document::{self, MetadataPath};
use crate::introspection::Introspection;
use crate::keys::Keys;
use crate::time::Time;
use crate::trouble::Troubles;
use crate::{Endpoint, SigningAlgorithm, TestIssuerBuilder, TokenBuilder, Trouble};

/// A development authorization server. Clones are the same issuer.
///
/// ```
/// use mcp_auth_testkit::TestIssuer;
///
/// let issuer = TestIssuer::new();
/// assert_eq!(issuer.url(), "https://issuer.test");
/// assert_eq!(issuer.requests(), 0);
/// ```
#[derive(Clone)]
pub struct TestIssuer(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) settings: Settings,
    pub(crate) counters: Counters,
    pub(crate) troubles: watch::Sender<Troubles>,
    pub(crate) token_numbers: AtomicU64,
    state: Mutex<State>,
}

/// What does not change after the issuer was built.
#[derive(Clone)]
pub(crate) struct Settings {
    pub(crate) issuer: String,
    pub(crate) algorithm: SigningAlgorithm,
    pub(crate) metadata_at: Vec<MetadataPath>,
    pub(crate) users: Vec<String>,
    pub(crate) auto_approve: Option<String>,
    pub(crate) clients: Vec<(String, String)>,
    pub(crate) fetch: Arc<dyn Fetch>,
    pub(crate) time: Time,
}

#[derive(Default)]
pub(crate) struct Counters {
    pub(crate) all: AtomicUsize,
    pub(crate) introspection: AtomicUsize,
    pub(crate) metadata: AtomicUsize,
    pub(crate) jwks: AtomicUsize,
}

/// What can change during the life of the issuer.
#[derive(Clone)]
pub(crate) struct State {
    pub(crate) introspection: Introspection,
    pub(crate) keys: Keys,
    pub(crate) jwks_max_age: Option<u64>,
    /// The resources that tokens may be issued for, each with its scopes, in the order in which they were added.
    pub(crate) resources: Vec<(String, Vec<String>)>,
}

impl TestIssuer {
    /// Creates the default issuer: `https://issuer.test`, with one ES256 key and a [`ManualClock`].
    ///
    /// ```
    /// let issuer = mcp_auth_testkit::TestIssuer::new();
    /// assert_eq!(issuer.kid(), "es256-1");
    /// ```
    #[must_use]
    pub fn new() -> Self {
        Self::builder().build()
    }

    /// Returns a builder for an issuer that differs from the default.
    ///
    /// ```
    /// use mcp_auth_testkit::TestIssuer;
    ///
    /// let issuer = TestIssuer::builder().issuer("https://auth.example.com").build();
    /// assert_eq!(issuer.url(), "https://auth.example.com");
    /// ```
    pub fn builder() -> TestIssuerBuilder {
        TestIssuerBuilder::new()
    }

    /// Returns the issuer identifier ([RFC 8414 §2](https://www.rfc-editor.org/rfc/rfc8414#section-2)).
    ///
    /// ```
    /// assert_eq!(mcp_auth_testkit::TestIssuer::new().url(), "https://issuer.test");
    /// ```
    #[must_use]
    pub fn url(&self) -> &str {
        &self.0.settings.issuer
    }

    /// Returns the URL of the key set ([RFC 7517 §5](https://www.rfc-editor.org/rfc/rfc7517#section-5)).
    ///
    /// ```
    /// assert_eq!(mcp_auth_testkit::TestIssuer::new().jwks_uri(), "https://issuer.test/jwks");
    /// ```
    #[must_use]
    pub fn jwks_uri(&self) -> String {
        document::jwks_uri(self.url())
    }

    /// Returns the metadata document as JSON text
    /// ([RFC 8414 §2](https://www.rfc-editor.org/rfc/rfc8414#section-2)). [`Trouble`] does not affect it,
    /// and it does not count as a request.
    ///
    /// ```
    /// assert!(mcp_auth_testkit::TestIssuer::new().metadata().contains("https://issuer.test/jwks"));
    /// ```
    #[must_use]
    pub fn metadata(&self) -> String {
        document::metadata(self.url(), &self.state().scopes()).to_string()
    }

    /// Returns the key set as JSON text ([RFC 7517 §5](https://www.rfc-editor.org/rfc/rfc7517#section-5)).
    /// [`Trouble`] does not affect it, and it does not count as a request.
    ///
    /// ```
    /// let issuer = mcp_auth_testkit::TestIssuer::new();
    /// assert!(issuer.jwks().contains(&issuer.kid()));
    /// ```
    #[must_use]
    pub fn jwks(&self) -> String {
        self.state().keys.jwks().to_string()
    }

    /// Returns the public half of the active signing key, in PEM
    /// ([RFC 7468 §13](https://www.rfc-editor.org/rfc/rfc7468#section-13)).
    ///
    /// ```
    /// let issuer = mcp_auth_testkit::TestIssuer::new();
    /// assert!(issuer.pem().starts_with("-----BEGIN PUBLIC KEY-----"));
    /// ```
    #[must_use]
    pub fn pem(&self) -> String {
        self.state().keys.active().pem()
    }

    /// Returns the clock of this issuer, which a test can move.
    ///
    /// # Panics
    ///
    /// Panics if the issuer is served, since it then uses the system clock, as its clients do. Code for
    /// both forms can use the issuer itself, which implements [`Clock`].
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// mcp_auth_testkit::TestIssuer::new().clock().advance(Duration::from_secs(60));
    /// ```
    #[must_use]
    pub fn clock(&self) -> ManualClock {
        match &self.0.settings.time {
            Time::Manual(clock) => clock.clone(),
            Time::System => panic!("a served issuer lives by the clock of the system"),
        }
    }

    /// Returns the number of all requests so far.
    ///
    /// ```
    /// assert_eq!(mcp_auth_testkit::TestIssuer::new().requests(), 0);
    /// ```
    #[must_use]
    pub fn requests(&self) -> usize {
        self.0.counters.all.load(Ordering::SeqCst)
    }

    /// Returns the number of requests for the metadata so far, at any of its URLs.
    ///
    /// ```
    /// assert_eq!(mcp_auth_testkit::TestIssuer::new().metadata_requests(), 0);
    /// ```
    #[must_use]
    pub fn metadata_requests(&self) -> usize {
        self.0.counters.metadata.load(Ordering::SeqCst)
    }

    /// Returns the number of requests for the key set so far.
    ///
    /// ```
    /// assert_eq!(mcp_auth_testkit::TestIssuer::new().jwks_requests(), 0);
    /// ```
    #[must_use]
    pub fn jwks_requests(&self) -> usize {
        self.0.counters.jwks.load(Ordering::SeqCst)
    }

    /// Returns the `kid` of the active signing key
    /// ([RFC 7517 §4.5](https://www.rfc-editor.org/rfc/rfc7517#section-4.5)).
    ///
    /// ```
    /// assert_eq!(mcp_auth_testkit::TestIssuer::new().kid(), "es256-1");
    /// ```
    #[must_use]
    pub fn kid(&self) -> String {
        self.state().keys.active().kid.clone()
    }

    /// Replaces the signing key by a new one, and returns its `kid`. The old keys stay published.
    ///
    /// ```
    /// assert_eq!(mcp_auth_testkit::TestIssuer::new().rotate(), "es256-2");
    /// ```
    pub fn rotate(&self) -> String {
        self.state().keys.rotate()
    }

    /// Removes a key from the key set. Tests can still sign with it, as a thief could.
    ///
    /// ```
    /// let issuer = mcp_auth_testkit::TestIssuer::new();
    /// issuer.rotate();
    /// issuer.withdraw("es256-1");
    /// assert!(!issuer.jwks().contains("es256-1"));
    /// ```
    pub fn withdraw(&self, kid: &str) {
        self.state().keys.withdraw(kid);
    }

    /// Removes every key except the active signing key from the key set.
    ///
    /// ```
    /// let issuer = mcp_auth_testkit::TestIssuer::new();
    /// issuer.rotate();
    /// issuer.withdraw_old_keys();
    /// assert!(!issuer.jwks().contains("es256-1"));
    /// ```
    pub fn withdraw_old_keys(&self) {
        self.state().keys.withdraw_old();
    }

    /// Sends the key set with `Cache-Control: max-age=<seconds>` from now on
    /// ([RFC 9111 §5.2.2.1](https://www.rfc-editor.org/rfc/rfc9111#section-5.2.2.1)).
    ///
    /// ```
    /// mcp_auth_testkit::TestIssuer::new().jwks_max_age(600);
    /// ```
    pub fn jwks_max_age(&self, seconds: u64) {
        self.state().jwks_max_age = Some(seconds);
    }

    /// Makes `endpoint` fail in this way until [`recover`](Self::recover). It replaces earlier trouble there.
    ///
    /// ```
    /// use mcp_auth_testkit::{Endpoint, TestIssuer, Trouble};
    ///
    /// TestIssuer::new().trouble(Endpoint::Jwks, Trouble::Down);
    /// ```
    pub fn trouble(&self, endpoint: Endpoint, trouble: Trouble) {
        self.0.troubles.send_modify(|troubles| troubles.set(endpoint, trouble));
    }

    /// Ends all trouble, and answers requests that [hang](Trouble::Hang).
    ///
    /// ```
    /// mcp_auth_testkit::TestIssuer::new().recover();
    /// ```
    pub fn recover(&self) {
        self.0.troubles.send_replace(Troubles::default());
    }

    /// Adds a resource that tokens may be issued for
    /// ([RFC 8707](https://www.rfc-editor.org/rfc/rfc8707)), and its scopes. It becomes the default
    /// audience of tokens that tests create.
    ///
    /// Clients that registered before keep the scopes that existed then.
    ///
    /// ```
    /// use mcp_auth_testkit::TestIssuer;
    ///
    /// TestIssuer::new().resource("https://api.example.com/mcp", ["read", "write"]);
    /// ```
    pub fn resource<S: Into<String>>(
        &self,
        url: impl Into<String>,
        scopes: impl IntoIterator<Item = S>,
    ) {
        let (url, scopes) = (url.into(), scopes.into_iter().map(Into::into).collect());
        let mut state = self.state();
        state.resources.retain(|(known, _)| *known != url);
        state.resources.push((url, scopes));
    }

    /// Starts an access token ([RFC 9068](https://www.rfc-editor.org/rfc/rfc9068)).
    ///
    /// ```
    /// let token = mcp_auth_testkit::TestIssuer::new().token().subject("alice").sign();
    /// ```
    pub fn token(&self) -> TokenBuilder {
        TokenBuilder::new(self.clone())
    }

    /// Starts a logout token for a client, with the subject `alice`
    /// ([OpenID Connect Back-Channel Logout 1.0 §2.4](https://openid.net/specs/openid-connect-backchannel-1_0.html#LogoutToken)).
    ///
    /// ```
    /// # let issuer = mcp_auth_testkit::TestIssuer::new();
    /// let token = issuer.logout_token("my-client").claim("sid", "session-1").sign();
    /// ```
    pub fn logout_token(&self, client_id: &str) -> TokenBuilder {
        self.event_token(
            "logout+jwt",
            client_id,
            "http://schemas.openid.net/event/backchannel-logout",
        )
    }

    /// Starts a security event token for a receiver
    /// ([RFC 8417](https://www.rfc-editor.org/rfc/rfc8417)), with one event of this type about a
    /// subject, which is a JSON object as in [RFC 9493](https://www.rfc-editor.org/rfc/rfc9493).
    ///
    /// ```
    /// # let issuer = mcp_auth_testkit::TestIssuer::new();
    /// let event = "https://schemas.openid.net/secevent/caep/event-type/session-revoked";
    /// let alice = serde_json::json!({ "format": "iss_sub", "iss": issuer.url(), "sub": "alice" });
    /// let token = issuer.security_event("my-receiver", event, alice).sign();
    /// ```
    pub fn security_event(
        &self,
        audience: &str,
        event: &str,
        subject: impl Into<serde_json::Value>,
    ) -> TokenBuilder {
        let token = self.event_token("secevent+jwt", audience, event).without("sub").without("exp");
        token.claim("sub_id", subject)
    }

    fn event_token(&self, typ: &str, audience: &str, event: &str) -> TokenBuilder {
        let token = self.token().typ(typ).audience(audience).without("client_id");
        token.claim("events", serde_json::json!({ event: {} }))
    }

    pub(crate) fn from_settings(settings: Settings) -> Self {
        let state = State {
            introspection: Introspection::default(),
            keys: Keys::new(settings.algorithm),
            jwks_max_age: None,
            resources: Vec::new(),
        };
        Self::with_state(settings, state)
    }

    pub(crate) fn with_state(settings: Settings, state: State) -> Self {
        Self(Arc::new(Inner {
            settings,
            counters: Counters::default(),
            troubles: watch::Sender::default(),
            token_numbers: AtomicU64::new(1),
            state: Mutex::new(state),
        }))
    }

    pub(crate) fn count(&self) {
        self.0.counters.all.fetch_add(1, Ordering::SeqCst);
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// The audience of tokens that name no resource.
    pub(crate) fn default_audience(&self) -> String {
        let last = self.resources.last().map(|(url, _)| url.as_str());
        last.unwrap_or("https://api.example.com/mcp").to_owned()
    }

    /// Every scope of every resource, once.
    pub(crate) fn scopes(&self) -> Vec<String> {
        let mut scopes: Vec<String> = Vec::new();
        for scope in self.resources.iter().flat_map(|(_, scopes)| scopes) {
            if !scopes.contains(scope) {
                scopes.push(scope.clone());
            }
        }
        scopes
    }
}

impl Clock for TestIssuer {
    fn now(&self) -> SystemTime {
        self.0.settings.time.now()
    }
}

impl Default for TestIssuer {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for TestIssuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestIssuer").field("url", &self.url()).finish_non_exhaustive()
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("issuer", &self.issuer)
            .field("algorithm", &self.algorithm)
            .finish_non_exhaustive()
    }
}

//! How an authorization server is asked: how often, with which headers and secrets, over which network.

use std::sync::Arc;
use std::time::Duration;

use http::header::{HeaderName, HeaderValue};

use crate::issuer::authorization_server::server::AuthorizationServer;
use crate::issuer::authorization_server::settings::KeySource;
use crate::issuer::internal_url::InternalUrl;
use crate::net::clock::Clock;
use crate::net::fetch::{Fetch, Secret};
use crate::util::private_host;

impl AuthorizationServer {
    /// Timeout of one fetch: 5 seconds unless set, since even a login page would be slow by then. If metadata is not at
    /// the first well-known URL, each further one has this time too.
    #[must_use]
    pub fn jwks_timeout(self, timeout: Duration) -> Self {
        self.with(|settings| settings.timeout = timeout)
    }

    /// Minimum interval between two fetches that are caused by tokens with unknown keys: 30 seconds unless set. A
    /// rotated key causes one fetch at once, and then none for this time, or for 2 seconds if the fetch brought a new
    /// key. In this time, a token that may be signed with a newer key gets a 503. After a failed fetch the next one
    /// may come sooner: after 1 second, 2, 4, and so on up to this interval; while no keys are cached, up to 2 seconds.
    #[must_use]
    pub fn jwks_cooldown(self, cooldown: Duration) -> Self {
        self.with(|settings| settings.cooldown = cooldown)
    }

    /// How long keys are used before they are fetched again, if the server's `Cache-Control` does not say: 10
    /// minutes unless set, and at least one minute.
    #[must_use]
    pub fn jwks_max_age(self, max_age: Duration) -> Self {
        self.with(|settings| settings.max_age = max_age)
    }

    /// How long keys stay in use while the server is unavailable: 24 hours unless set. That is long enough for an
    /// outage overnight, and short enough that a withdrawn key is not accepted for long.
    #[must_use]
    pub fn jwks_max_stale(self, max_stale: Duration) -> Self {
        self.with(|settings| settings.max_stale = max_stale)
    }

    /// Adds a header to each request to this server, for servers behind a gateway that requires one.
    #[must_use]
    pub fn header(self, name: HeaderName, value: HeaderValue) -> Self {
        self.with(|settings| {
            settings.outbound.headers.append(name, value);
        })
    }

    /// Reaches the server at this address, instead of at the host of its issuer: scheme, host and port, such as
    /// `https://keycloak.internal:8443`.
    ///
    /// It applies to each request to a URL with the scheme, host and port of the issuer: for metadata, and for the keys,
    /// introspection and token exchange that its metadata names. Paths stay the same. URLs on other hosts, and endpoints
    /// that you set yourself, stay as they are. The issuer that tokens and metadata must name does not change, and the
    /// server must write its public URL into its metadata also if it is asked here (Keycloak: `KC_HOSTNAME`). The
    /// TLS certificate must be for the internal host.
    ///
    /// Anything but scheme, host and port is a [`ConfigError::Provider`](crate::ConfigError::Provider), and so is plain
    /// `http`, except for a loopback address and for [named hosts](Self::insecure_http_hosts) of a private network.
    ///
    /// ```
    /// use mcp_auth::{AuthorizationServer, McpAuth};
    ///
    /// let login = AuthorizationServer::keycloak("https://login.example.com", "mcp")
    ///     .internal_url("https://keycloak.internal:8443");
    /// assert_eq!(login.issuer(), "https://login.example.com/realms/mcp");
    /// let auth = McpAuth::builder("https://api.example.com/mcp").authorization_server(login).build()?;
    /// # Ok::<(), mcp_auth::ConfigError>(())
    /// ```
    #[must_use]
    pub fn internal_url(self, origin: impl AsRef<str>) -> Self {
        self.with(|settings| {
            let internal = InternalUrl::new(&settings.rules.issuer, origin.as_ref());
            settings.internal_url = Some(internal);
        })
    }

    /// Sends this as `Authorization: Bearer` with each request to this server, also to its `jwks_uri` on another host:
    /// for servers that publish their metadata and keys to those who are known, such as Kubernetes. Introspection
    /// [authenticates itself](crate::Introspection) where it uses that header.
    ///
    /// For a token that expires, see [`Secret::from_fn`].
    ///
    /// ```
    /// use mcp_auth::{AuthorizationServer, Secret};
    ///
    /// // Kubernetes renews the token in this small file.
    /// let token = Secret::from_fn(|| async {
    ///     std::fs::read_to_string("/var/run/secrets/kubernetes.io/serviceaccount/token")
    /// });
    /// let cluster = AuthorizationServer::discover("https://kubernetes.default.svc.cluster.local").bearer(token);
    /// ```
    #[must_use]
    pub fn bearer(self, token: impl Into<Secret>) -> Self {
        self.with(|settings| settings.outbound.bearer = Some(token.into()))
    }

    /// Allows plain `http` to these hosts of a private network, such as `keycloak` in a compose file, for requests to
    /// this server. A name covers every port, and no other name.
    ///
    /// Insecure: whoever can read or change what is sent between this server and the host can issue tokens for any
    /// user, and reads the secrets with which this server authenticates. `build()` refuses hosts with a public name or
    /// address, and logs a warning.
    ///
    /// ```
    /// use mcp_auth::{AuthorizationServer, McpAuth};
    ///
    /// let login = AuthorizationServer::discover("http://keycloak:8080/realms/mcp").insecure_http_hosts(["keycloak"]);
    /// let auth = McpAuth::builder("http://localhost:3000/mcp").authorization_server(login).build()?;
    /// # Ok::<(), mcp_auth::ConfigError>(())
    /// ```
    #[must_use]
    pub fn insecure_http_hosts<S: AsRef<str>>(self, hosts: impl IntoIterator<Item = S>) -> Self {
        self.with(|settings| {
            settings.outbound.http_hosts =
                hosts.into_iter().map(|host| host.as_ref().into()).collect();
        })
    }

    /// Fetches with this client instead of an [`HttpClient`](crate::HttpClient).
    #[must_use]
    pub fn fetch(self, fetch: impl Fetch) -> Self {
        self.with(|settings| settings.outbound.fetch = Some(Arc::new(fetch)))
    }

    /// Uses this clock, instead of the system's, for the age of keys.
    #[must_use]
    pub fn clock(self, clock: impl Clock) -> Self {
        self.with(|settings| settings.clock = Arc::new(clock))
    }

    /// Whether requests may be sent to this URL.
    pub(crate) fn may_fetch(&self, url: &str) -> bool {
        self.settings.outbound.allows(url)
    }

    /// A host to which plain `http` must not be allowed, if one is named.
    pub(crate) fn public_http_host(&self) -> Option<&str> {
        let mut hosts = self.settings.outbound.http_hosts.iter().map(|host| &**host);
        hosts.find(|host| !private_host::is_private(host))
    }

    /// Whether plain `http` is allowed to other machines.
    pub(crate) fn is_insecure(&self) -> bool {
        !self.settings.outbound.http_hosts.is_empty()
    }

    /// Whether nothing is ever fetched from it, so that its name need not be a URL: its keys are given, and so is its
    /// introspection endpoint, if there is one.
    pub(crate) fn is_offline(&self) -> bool {
        let is_given = matches!(
            self.settings.keys,
            KeySource::File(_) | KeySource::Static(_) | KeySource::Hmac(_)
        );
        is_given && self.introspects().is_none_or(|it| it.configured_endpoint().is_some())
    }
}

//! How an authorization server is asked about tokens: settings.

use std::sync::Arc;
use std::time::Duration;

use crate::issuer::introspection::client_authentication::ClientAuthentication;
use crate::issuer::introspection::secret::Secret;
use crate::model::provider::Api;
use crate::util::url;
use crate::verify::jwt::Algorithm;

/// How to ask an authorization server about its tokens: who this server says it is, where it asks, and
/// what it remembers.
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
/// What is answered is judged like the claims of a JWT: issuer, audience, expiry, scopes. `active:
/// false` is a 401; a server that fails, hangs, or refuses this server's credentials is a 503.
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
    /// The API that is asked instead, of a provider that knows no introspection.
    pub(super) api: Option<&'static Api>,
}

impl Introspection {
    /// Asks with a client id and a secret in the `Authorization` header: `client_secret_basic`, which
    /// every server knows ([RFC 6749 §2.3.1](https://www.rfc-editor.org/rfc/rfc6749#section-2.3.1)).
    #[must_use]
    pub fn basic(client_id: impl AsRef<str>, secret: impl Into<Secret>) -> Self {
        Self::new(ClientAuthentication::Basic(client_id.as_ref().into(), secret.into()))
    }

    /// Asks with a client id and a secret in the form: `client_secret_post`.
    #[must_use]
    pub fn post(client_id: impl AsRef<str>, secret: impl Into<Secret>) -> Self {
        Self::new(ClientAuthentication::Post(client_id.as_ref().into(), secret.into()))
    }

    /// Asks with a signed assertion: `private_key_jwt`
    /// ([RFC 7523 §2.2](https://www.rfc-editor.org/rfc/rfc7523#section-2.2)). The key is PEM, not
    /// encrypted; the algorithm is ES256, ES384, Ed25519, PS256 or RS256.
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

    /// Asks with an access token of this server's own.
    #[must_use]
    pub fn bearer(token: impl Into<Secret>) -> Self {
        Self::new(ClientAuthentication::Bearer(token.into()))
    }

    /// Names the key of [`private_key_jwt`](Self::private_key_jwt), for servers that know several.
    #[must_use]
    pub fn kid(mut self, name: impl AsRef<str>) -> Self {
        if let ClientAuthentication::PrivateKeyJwt { kid, .. } = &mut self.authentication {
            *kid = Some(name.as_ref().into());
        }
        self
    }

    /// Asks there, and not where the server's metadata says (`introspection_endpoint`).
    #[must_use]
    pub fn endpoint(self, url: impl AsRef<str>) -> Self {
        Self { endpoint: Some(url.as_ref().into()), ..self }
    }

    /// How long a good answer is believed, at most: 60 seconds unless set, and never past `exp`. A
    /// revoked token may pass for so long, and a stream that was opened with it ends some ten seconds later.
    /// With zero the server is asked about each request, and every ten seconds about an open stream.
    #[must_use]
    pub fn cache_for(self, time: Duration) -> Self {
        Self { cache_for: time, ..self }
    }

    /// How long a token that was refused is refused without asking: 10 seconds unless set.
    #[must_use]
    pub fn negative_cache_for(self, time: Duration) -> Self {
        Self { negative_cache_for: time, ..self }
    }

    /// How many answers are remembered: 10,000 unless set. A token with more than 1 KiB of claims
    /// counts as several.
    #[must_use]
    pub fn cached_tokens(self, number: usize) -> Self {
        Self { cached_tokens: number, ..self }
    }

    /// How many questions are under way at once: 64 unless set. Beyond it requests get a 503, and a
    /// quarter is kept for tokens that were good before, so that a stranger's inventions cannot take
    /// all.
    #[must_use]
    pub fn max_in_flight(self, number: usize) -> Self {
        Self { max_in_flight: number, ..self }
    }

    /// How long one question may take: 5 seconds unless set.
    #[must_use]
    pub fn timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    /// Takes only answers that the server has signed, for this client
    /// ([RFC 9701](https://www.rfc-editor.org/rfc/rfc9701)). They are verified with the issuer's keys.
    #[must_use]
    pub fn signed_responses(self) -> Self {
        Self { has_signed_responses: true, ..self }
    }

    /// Asks about this issuer's JWTs too, once their signature is verified: a revoked one is then
    /// refused before it expires. What counts otherwise is what the token says, but for `cnf`: an answer
    /// with it binds the token.
    ///
    /// For servers with keys, those with [tenants](crate::AuthorizationServer::template) and those that are
    /// [found at run time](crate::McpAuthBuilder::issuer_resolver) too. Tokens that are signed with a secret
    /// are not asked about, and `build()` says so.
    #[must_use]
    pub fn introspect_jwts(self) -> Self {
        Self { introspects_jwts: true, ..self }
    }

    /// Takes a token whose answer has no `aud` for one issued for this audience.
    ///
    /// # Danger
    ///
    /// Any token of this server then passes, whichever resource it was issued for, and perhaps refresh
    /// tokens too. Right only for a server that answers no one but the resource that a token is for.
    #[must_use]
    pub fn dangerous_audience_if_absent(self, audience: impl AsRef<str>) -> Self {
        Self { audience_if_absent: Some(audience.as_ref().into()), ..self }
    }

    /// Takes the `username` of an answer for the subject, and never its `sub`
    /// ([RFC 7662 §2.2](https://www.rfc-editor.org/rfc/rfc7662#section-2.2)). A token without a user is
    /// then refused: a user could have the name of a client.
    ///
    /// # Danger
    ///
    /// Whoever is given a name inherits what belongs to it. Right only for a server that never gives
    /// anybody a name that was somebody else's.
    ///
    /// Its JWTs are verified no more, as their subject is `sub`: they are asked about like its other tokens, or
    /// refused where another server of the resource has keys.
    #[must_use]
    pub fn dangerous_subject_is_username(self) -> Self {
        Self { subject_is_username: true, ..self }
    }

    /// Asks the API of a provider, at this endpoint. Without a client it is one that answers everybody.
    pub(crate) fn of_api(
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

    /// Whether the API of a provider is asked.
    pub(crate) fn asks_api(&self) -> bool {
        self.api.is_some()
    }

    /// Where is asked, if that is known without the server's metadata.
    pub(crate) fn given_endpoint(&self) -> Option<&str> {
        self.endpoint.as_deref()
    }

    /// Whether the issuer's JWTs are asked about too.
    pub(crate) fn introspects_jwts(&self) -> bool {
        self.introspects_jwts
    }

    pub(crate) fn subject_is_username(&self) -> bool {
        self.subject_is_username
    }

    /// What is wrong with it, if anything is.
    pub(crate) fn config_error(&self) -> Option<&'static str> {
        if self.endpoint.as_ref().is_some_and(|url| !url::is_secure(url)) {
            return Some("its endpoint must be an https URL (http only on this machine)");
        }
        if self.has_signed_responses && self.authentication.client_id().is_none() {
            return Some("signed answers are for a client: authenticate with a client id");
        }
        let has_rfc7662_only =
            self.has_signed_responses || self.introspects_jwts || self.audience_if_absent.is_some();
        if self.api.is_some() && has_rfc7662_only {
            return Some(
                "signed answers, questions about JWTs and an absent audience are of RFC 7662, and this provider has an API of its own",
            );
        }
        if self.introspects_jwts && self.subject_is_username {
            return Some(
                "the subject of JWTs is `sub`, and so they are no tokens where it is `username`: leave `.introspect_jwts()` out",
            );
        }
        if self.max_in_flight == 0 {
            return Some("with no question in flight none is answered");
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

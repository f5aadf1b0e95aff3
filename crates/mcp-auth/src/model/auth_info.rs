//! The caller of an admitted request.

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::de::DeserializeOwned;

use crate::model::confirmation::Confirmation;
use crate::model::credentials::{AccessToken, Credentials};
use crate::model::denial::Denial;
use crate::model::require::Require;
use crate::model::resource_context::ResourceContext;
use crate::model::scheme::Scheme;
use crate::model::scope::Scopes;
use crate::model::verified_token::{TokenData, VerifiedToken};

/// The caller of an admitted request. Whoever holds one holds the proof that everything was checked.
///
/// It is in the extensions of the request, and an extractor: an argument of axum handlers, and of
/// rmcp's `#[tool]` and `#[prompt]` functions. It belongs to one request, never to a session. Clones
/// are cheap.
///
/// ```
/// use mcp_auth::AuthInfo;
///
/// #[derive(serde::Deserialize)]
/// struct Team { team: String }
///
/// fn greet(auth: &AuthInfo) -> Result<String, serde_json::Error> {
///     let Team { team } = auth.claims()?;
///     Ok(format!("{} of {team}, via {}", auth.subject(), auth.client_id().unwrap_or("an unknown client")))
/// }
/// ```
#[derive(Clone)]
pub struct AuthInfo(Arc<Admission>);

/// A subject of one issuer. Subjects of two issuers are never the same, whatever their names are.
///
/// Its text is unambiguous, for a log or a key of a database.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Principal {
    issuer: Arc<str>,
    subject: Box<str>,
}

impl Principal {
    /// Who speaks for the subject: `iss`.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Who it is, to its issuer: `sub`.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.subject
    }
}

impl fmt::Display for Principal {
    /// Both quoted, so that no name can look like another pair.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} of {:?}", self.subject, self.issuer)
    }
}

/// What the clones of one `AuthInfo` share: they belong to one request.
struct Admission {
    token: VerifiedToken,
    /// By which the token came.
    scheme: Scheme,
    access_token: AccessToken,
    resource: Arc<ResourceContext>,
    /// What a handler required in vain: the layer answers with it.
    denied: OnceLock<Denial>,
}

impl AuthInfo {
    /// For `Policy::authorize` alone.
    pub(crate) fn admitted(
        token: VerifiedToken,
        credentials: Credentials,
        resource: Arc<ResourceContext>,
    ) -> Self {
        let (scheme, access_token) = (credentials.scheme(), credentials.into_token());
        let denied = OnceLock::new();
        Self(Arc::new(Admission { token, scheme, access_token, resource, denied }))
    }

    /// Requires more than the request needed to come here, depending on its arguments or on what they
    /// name: `auth.require(["notes:write"])?`.
    ///
    /// If it is not granted, the layer answers 403 with a challenge that names what to ask for, whatever
    /// else the handler answers. Once the head of the response is on its way (that of a stream: after its
    /// first message, or after 100 ms), the error is all there is: return it.
    ///
    /// # Errors
    ///
    /// [`InsufficientScope`](crate::DenialKind::InsufficientScope). To ask without consequences, see
    /// [`has`](Self::has).
    pub fn require(&self, scopes: impl Into<Require>) -> Result<(), Denial> {
        let known = &self.0.resource.scopes;
        let required = scopes.into().under(&known.hierarchy);
        if required.is_met_by(self.scopes()) {
            return Ok(());
        }
        let needed = known.to_challenge(&required.to_request(), self.scopes());
        let denial = Denial::insufficient_scope(needed).detail(format!(
            "the token grants {:?}, and the handler requires {:?}: the client may ask for it, if the user and the issuer allow it to",
            self.scopes().as_str(),
            required.to_request().as_str(),
        ));
        Err(self.0.denied.get_or_init(|| denial).clone())
    }

    /// Whether the token grants scopes, as the resource understands them: what implies what.
    #[must_use]
    pub fn has(&self, scopes: impl Into<Require>) -> bool {
        scopes.into().under(&self.0.resource.scopes.hierarchy).is_met_by(self.scopes())
    }

    pub(crate) fn data(&self) -> &TokenData {
        self.0.token.data()
    }

    /// The names of the resource that admitted the caller.
    pub(crate) fn accepted_audiences(&self) -> &[String] {
        &self.0.resource.audiences
    }

    /// What a handler required in vain.
    pub(crate) fn denied(&self) -> Option<&Denial> {
        self.0.denied.get()
    }

    /// The access token itself, redacted unless exposed. It must not be sent to any other server
    /// (MCP authorization, *Access Token Privilege Restriction*).
    #[must_use]
    pub fn token(&self) -> &AccessToken {
        &self.0.access_token
    }

    /// The scheme by which the token came: by [`Scheme::Dpop`] its sender has proven to hold its key
    /// ([RFC 9449](https://www.rfc-editor.org/rfc/rfc9449)).
    ///
    /// ```
    /// use mcp_auth::{AuthInfo, Scheme};
    ///
    /// fn is_proven(auth: &AuthInfo) -> bool {
    ///     auth.scheme() == Scheme::Dpop
    /// }
    /// ```
    #[must_use]
    pub fn scheme(&self) -> Scheme {
        self.0.scheme
    }

    /// Who issued the token: `iss`.
    #[must_use]
    pub fn issuer(&self) -> &str {
        self.0.token.issuer()
    }

    /// Who the token speaks for: `sub`. Unique only together with the [`issuer`](Self::issuer).
    #[must_use]
    pub fn subject(&self) -> &str {
        self.0.token.subject()
    }

    /// Who the caller is, by issuer and subject: what to bind a session or a record to. Where the
    /// [provider](crate::Provider) says that another claim is the stable one, bind to that and the issuer.
    #[must_use]
    pub fn principal(&self) -> Principal {
        let data = self.0.token.data();
        Principal { issuer: data.issuer.clone(), subject: self.subject().into() }
    }

    /// The client to which the token was issued: `client_id`, else `azp`, `appid` or `cid`.
    #[must_use]
    pub fn client_id(&self) -> Option<&str> {
        let data = self.0.token.data();
        data.client_id.as_ref().map(|id| id.of(&data.claims))
    }

    /// The resources for which the token was issued: `aud`. This one is among them.
    pub fn audience(&self) -> impl Iterator<Item = &str> {
        self.0.token.audiences()
    }

    /// The scopes that the token grants, as its issuer wrote them.
    #[must_use]
    pub fn scopes(&self) -> &Scopes {
        &self.0.token.data().scopes
    }

    /// When the token expires. Always there for a JWT, unless this system's clock does not reach that far.
    #[must_use]
    pub fn expires_at(&self) -> Option<SystemTime> {
        let seconds = self.0.token.data().expires_at?.get();
        UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
    }

    /// What the token is bound to, and its sender has shown to hold: nothing for a plain bearer token.
    #[must_use]
    pub fn confirmation(&self) -> Option<&Confirmation> {
        self.0.token.data().confirmation.as_deref()
    }

    /// All claims, or those that `T` names.
    ///
    /// # Errors
    ///
    /// If a claim that `T` requires is missing, or has another type.
    pub fn claims<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        serde_json::from_str(self.claims_json())
    }

    /// All claims as the JSON text that was signed, or with which the issuer answered.
    #[must_use]
    pub fn claims_json(&self) -> &str {
        &self.0.token.data().claims
    }
}

impl fmt::Debug for AuthInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthInfo")
            .field("issuer", &self.issuer())
            .field("subject", &self.subject())
            .field("client_id", &self.client_id())
            .field("scopes", self.scopes())
            .finish_non_exhaustive()
    }
}

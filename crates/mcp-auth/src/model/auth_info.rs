//! The caller of an admitted request.

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::de::DeserializeOwned;

use crate::model::confirmation::Confirmation;
use crate::model::credentials::{AccessToken, Credentials};
use crate::model::denial::Denial;
use crate::model::resource_context::ResourceContext;
use crate::model::scheme::Scheme;
use crate::model::scope::Scopes;
use crate::model::scope_hint::scope_hint;
use crate::model::scope_requirement::Require;
use crate::model::verified_token::{TokenData, VerifiedToken};
use crate::util::shown;

/// The caller of an admitted request. An `AuthInfo` is proof that every check has passed.
///
/// The layer puts it into the extensions of the request. It is also an extractor for axum handlers, and for
/// rmcp's `#[tool]` and `#[prompt]` functions. It belongs to one request, never to a session. Clones are cheap.
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

/// A subject of one issuer. Subjects of different issuers are never equal, even if they have the same name.
///
/// Its text ([`Display`](fmt::Display)) is unambiguous, so it can be used in a log or as a database key.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Principal {
    issuer: Arc<str>,
    subject: Box<str>,
}

impl Principal {
    /// The issuer of the subject: `iss`.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// The subject, as its issuer names it: `sub`.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.subject
    }
}

impl fmt::Display for Principal {
    /// Quotes both parts, so that different principals never have the same text.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} of {:?}", self.subject, self.issuer)
    }
}

/// The data that the clones of one `AuthInfo` share. All of them belong to one request.
struct Admission {
    token: VerifiedToken,
    /// The scheme of the request.
    scheme: Scheme,
    access_token: AccessToken,
    resource: Arc<ResourceContext>,
    /// The denial of a failed [`AuthInfo::require`]. The layer answers with it.
    denied: OnceLock<Denial>,
}

impl AuthInfo {
    /// Only `Policy::authorize` may call this.
    pub(crate) fn admitted(
        token: VerifiedToken,
        credentials: Credentials,
        resource: Arc<ResourceContext>,
    ) -> Self {
        let (scheme, access_token) = (credentials.scheme(), credentials.into_token());
        let denied = OnceLock::new();
        Self(Arc::new(Admission { token, scheme, access_token, resource, denied }))
    }

    /// Requires more scopes than the request needed to reach the handler, for example depending on its
    /// arguments: `auth.require(["notes:write"])?`.
    ///
    /// If they are not granted, the layer answers 403 with a challenge that names the scopes to request,
    /// whatever the handler answers. This is possible only until the head of the response is sent. For a
    /// stream, that is after its first message, or after 100 ms. After that, only the returned error is left:
    /// return it to the client.
    ///
    /// # Errors
    ///
    /// [`InsufficientScope`](crate::DenialKind::InsufficientScope). To check scopes without this effect, use
    /// [`has`](Self::has).
    pub fn require(&self, scopes: impl Into<Require>) -> Result<(), Denial> {
        let known = &self.0.resource.scopes;
        let required = scopes.into().under(&known.hierarchy);
        if required.is_met_by(self.scopes()) {
            return Ok(());
        }
        let needed = known.to_challenge(&required.to_request(), self.scopes());
        let missing = required.missing_from(self.scopes());
        let hint = scope_hint(self.data(), &missing, known);
        let denial = Denial::insufficient_scope(needed).lacks(missing).detail(format!(
            "the token grants \"{}\", and the handler requires {:?}: the client may ask for it, if the user and the issuer allow it to{}",
            shown::names(self.scopes().as_str()),
            required.to_request().as_str(),
            hint.map(|hint| format!("; {hint}")).unwrap_or_default(),
        ));
        Err(self.0.denied.get_or_init(|| denial).clone())
    }

    /// Whether the token grants these scopes, directly or through the scope hierarchy of the resource.
    #[must_use]
    pub fn has(&self, scopes: impl Into<Require>) -> bool {
        scopes.into().under(&self.0.resource.scopes.hierarchy).is_met_by(self.scopes())
    }

    pub(crate) fn verified(&self) -> &VerifiedToken {
        &self.0.token
    }

    pub(crate) fn data(&self) -> &TokenData {
        self.0.token.data()
    }

    /// The accepted audiences of the resource that admitted the caller.
    pub(crate) fn accepted_audiences(&self) -> &[String] {
        &self.0.resource.audiences
    }

    /// The denial of the first failed [`require`](Self::require).
    pub(crate) fn denied(&self) -> Option<&Denial> {
        self.0.denied.get()
    }

    /// The access token. It is redacted unless it is [exposed](AccessToken::expose). It must not be sent to any
    /// other server (MCP authorization, *Access Token Privilege Restriction*).
    #[must_use]
    pub fn token(&self) -> &AccessToken {
        &self.0.access_token
    }

    /// The scheme of the request. With [`Scheme::Dpop`], the sender has proven possession of the token's key
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

    /// The issuer of the token: `iss`.
    #[must_use]
    pub fn issuer(&self) -> &str {
        self.0.token.issuer()
    }

    /// The subject of the token: `sub`. Unique only together with the [`issuer`](Self::issuer).
    #[must_use]
    pub fn subject(&self) -> &str {
        self.0.token.subject()
    }

    /// The caller's issuer and subject. Bind sessions and records to it. If the [provider](crate::Provider) has
    /// a stable claim other than `sub`, bind to that claim and the issuer instead.
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

    /// The audiences of the token: `aud`. This resource is among them, unless the issuer has another audience
    /// rule.
    pub fn audience(&self) -> impl Iterator<Item = &str> {
        self.0.token.audiences()
    }

    /// The scopes that the token grants, as its issuer wrote them.
    #[must_use]
    pub fn scopes(&self) -> &Scopes {
        &self.0.token.data().scopes
    }

    /// When the token expires. A JWT always has an expiry; `None` then means that this system's clock cannot
    /// represent it.
    #[must_use]
    pub fn expires_at(&self) -> Option<SystemTime> {
        let seconds = self.0.token.data().expires_at?.get();
        UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
    }

    /// The key or certificate that the token is bound to. The sender has proven possession of it. Returns
    /// `None` for a plain bearer token.
    #[must_use]
    pub fn confirmation(&self) -> Option<&Confirmation> {
        self.0.token.data().confirmation.as_deref()
    }

    /// Deserializes all claims, or those that `T` names.
    ///
    /// # Errors
    ///
    /// If a claim that `T` requires is missing, or has another type.
    pub fn claims<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        serde_json::from_str(self.claims_json())
    }

    /// All claims as JSON text: the signed text of a JWT, or the issuer's answer about the token.
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

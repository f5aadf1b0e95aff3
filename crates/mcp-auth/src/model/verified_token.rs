//! `VerifiedToken`: an authentic token and its data.

use std::fmt;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::SystemTime;

use serde::Serialize;

use crate::model::confirmation::Confirmation;
use crate::model::issuer_overrides::IssuerOverrides;
use crate::model::scope::Scopes;
use crate::util::json::{self, ObjectError, Raw};
use crate::util::str_span::{StrSpan, StrSpans, copied};
use crate::util::unix_time::{nonzero_secs, unix_secs};

/// The issuer of callers with an API key. `build()` refuses an issuer of tokens that has this name.
pub(crate) const API_KEY_ISSUER: &str = "urn:mcp-auth:api-key";

/// An authentic token: its signature was verified, its issuer confirmed it, or your own
/// [`Verifier`](crate::Verifier) vouches for it.
///
/// A verified token is not yet admitted. [`Policy::authorize`](crate::Policy::authorize) then checks issuer,
/// audience, expiry and scopes, whatever the verifier.
///
/// ```
/// use mcp_auth::VerifiedToken;
///
/// let token = VerifiedToken::assert("https://keys.example.com", "alice")
///     .audience("https://api.example.com/mcp")
///     .scopes(["read"]);
/// assert_eq!(token.subject(), "alice");
/// ```
#[derive(Clone)]
pub struct VerifiedToken(Arc<TokenData>);

/// Everything that a verifier found out about a token. Kept small, since each cached token has one.
#[derive(Clone)]
pub(crate) struct TokenData {
    pub(crate) issuer: Arc<str>,
    pub(crate) subject: StrSpan,
    pub(crate) client_id: Option<StrSpan>,
    pub(crate) audience: StrSpans,
    pub(crate) scopes: Scopes,
    /// In seconds since 1970, like all times in a token.
    pub(crate) expires_at: Option<NonZeroU64>,
    /// The later of `nbf` and `iat`, in seconds since 1970. 0 if the token has neither.
    pub(crate) not_before: u64,
    /// `iat`. `None` if the token does not say when it was issued.
    pub(crate) issued_at: Option<NonZeroU64>,
    /// What the sender must prove possession of. Boxed, since few tokens have it.
    pub(crate) confirmation: Option<Box<Confirmation>>,
    /// The digest of the token, as DPoP proofs contain it (`ath`), if it is known already.
    pub(crate) ath: Option<Box<str>>,
    /// The claims as they were signed or received, a JSON object.
    pub(crate) claims: Box<str>,
    /// How the claims of this issuer differ from the standards, if they do.
    pub(crate) overrides: Option<Arc<IssuerOverrides>>,
    /// Whether a claim says what the scopes are.
    pub(crate) names_scopes: bool,
    /// Whether its issuer is asked about it (introspection). The answer is valid only for a limited time.
    pub(crate) is_introspected: bool,
    /// Whether a verifier of the application vouches for it.
    pub(crate) is_asserted: bool,
}

impl TokenData {
    /// A claim. Returns `None` if it is absent or null. Each call parses the claims, so do not call this for
    /// every request.
    pub(crate) fn claim(&self, name: &str) -> Option<Raw<'_>> {
        let [claim] = json::pick(&self.claims, [name]).ok()?;
        claim.filter(|value| !value.is_null())
    }

    /// Replaces the text of the claims. The values that were read from the old text stay the same.
    fn replace_claims(&mut self, claims: String) {
        let texts = std::iter::once(&mut self.subject)
            .chain(&mut self.client_id)
            .chain(&mut *self.audience);
        for text in texts {
            *text = copied(text.of(&self.claims));
        }
        self.claims = claims.into();
    }
}

impl VerifiedToken {
    /// Creates a token that a verifier of your own vouches for: it was issued by `issuer` for `subject`.
    ///
    /// The protected resource must trust the issuer: it is one of the authorization servers, or named with
    /// [`McpAuthBuilder::trusted_issuer`](crate::McpAuthBuilder::trusted_issuer). A token without an
    /// [`audience`](Self::audience) is refused.
    #[must_use]
    pub fn assert(issuer: impl AsRef<str>, subject: impl Into<String>) -> Self {
        Self(Arc::new(TokenData {
            issuer: issuer.as_ref().into(),
            subject: copied(subject),
            client_id: None,
            audience: StrSpans::default(),
            scopes: Scopes::default(),
            expires_at: None,
            not_before: 0,
            issued_at: None,
            confirmation: None,
            ath: None,
            claims: "{}".into(),
            overrides: None,
            names_scopes: false,
            is_introspected: false,
            is_asserted: true,
        }))
    }

    /// Adds a resource for which the token was issued.
    #[must_use]
    pub fn audience(self, audience: impl Into<String>) -> Self {
        self.with(|data| {
            let all = data.audience.iter().cloned().chain([copied(audience)]);
            data.audience = StrSpans::Several(all.collect());
        })
    }

    /// Sets the client to which the token was issued.
    #[must_use]
    pub fn client_id(self, client_id: impl Into<String>) -> Self {
        self.with(|data| data.client_id = Some(copied(client_id)))
    }

    /// Sets the scopes that the token grants.
    #[must_use]
    pub fn scopes(self, scopes: impl Into<Scopes>) -> Self {
        self.with(|data| data.scopes = scopes.into())
    }

    /// Sets when the token expires. It is refused after that, once the leeway of the resource has passed too. A
    /// token without an expiry does not expire.
    #[must_use]
    pub fn expires_at(self, moment: SystemTime) -> Self {
        self.with(|data| data.expires_at = Some(nonzero_secs(unix_secs(moment))))
    }

    /// Sets the claims that [`AuthInfo::claims`](crate::AuthInfo::claims) returns: anything that serializes to
    /// a JSON object. The other values of the token stay as they are. `cnf` binds the token to its sender.
    /// Revocations look at `iat`, `jti`, `sid` and `sub`, and rules at the claims that they name.
    ///
    /// # Errors
    ///
    /// If `claims` does not serialize to a JSON object, or a claim occurs twice.
    pub fn with_claims(self, claims: &impl Serialize) -> Result<Self, serde_json::Error> {
        let claims = serde_json::to_string(claims)?;
        json::check_distinct(&claims).map_err(not_claims)?;
        let [cnf, iat] = json::pick(&claims, ["cnf", "iat"]).map_err(not_claims)?;
        let cnf = cnf.filter(|cnf| !cnf.is_null());
        let confirmation = cnf.map(|cnf| Box::new(Confirmation::read(cnf.get())));
        let issued_at = iat.and_then(Raw::numeric_date).map(|time| nonzero_secs(time as u64));
        Ok(self.with(|data| {
            data.confirmation = confirmation;
            data.issued_at = issued_at;
            data.replace_claims(claims);
        }))
    }

    /// The subject of the token: `sub`. Unique only together with the [`issuer`](Self::issuer).
    #[must_use]
    pub fn subject(&self) -> &str {
        self.0.subject.of(&self.0.claims)
    }

    /// The issuer of the token: `iss`.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.0.issuer
    }

    /// The client to which the token was issued: `client_id`, else `azp`, `appid` or `cid`.
    #[must_use]
    pub fn issued_to(&self) -> Option<&str> {
        self.0.client_id.as_ref().map(|id| id.of(&self.0.claims))
    }

    /// All claims as JSON text.
    #[must_use]
    pub fn claims_json(&self) -> &str {
        &self.0.claims
    }

    /// Binds the token to its sender.
    pub(crate) fn with_confirmation(self, confirmation: Box<Confirmation>) -> Self {
        self.with(|data| data.confirmation = Some(confirmation))
    }

    /// Marks the token as one that its issuer is asked about (introspection).
    pub(crate) fn introspected(self) -> Self {
        self.with(|data| data.is_introspected = true)
    }

    pub(crate) fn data(&self) -> &TokenData {
        &self.0
    }

    pub(crate) fn audiences(&self) -> impl Iterator<Item = &str> {
        self.0.audience.iter().map(|audience| audience.of(&self.0.claims))
    }

    pub(crate) fn with(mut self, change: impl FnOnce(&mut TokenData)) -> Self {
        change(Arc::make_mut(&mut self.0));
        self
    }
}

fn not_claims(error: ObjectError) -> serde_json::Error {
    serde::ser::Error::custom(match error {
        ObjectError::Duplicate => "a claim occurs twice",
        ObjectError::Malformed => "the claims are not a JSON object",
    })
}

impl From<TokenData> for VerifiedToken {
    fn from(data: TokenData) -> Self {
        Self(Arc::new(data))
    }
}

impl fmt::Debug for VerifiedToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifiedToken")
            .field("issuer", &self.issuer())
            .field("subject", &self.subject())
            .finish_non_exhaustive()
    }
}

//! What is known of a verified token.

use std::fmt;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::SystemTime;

use serde::Serialize;

use crate::model::confirmation::Confirmation;
use crate::model::issuer_overrides::IssuerOverrides;
use crate::model::scope::Scopes;
use crate::util::json::{Object, Raw};
use crate::util::str_span::{StrSpan, StrSpans, copied};
use crate::util::unix_time::{expiry_secs, unix_secs};

/// The issuer of callers with an API key. No issuer of tokens has this name: those are https URLs.
pub(crate) const API_KEY_ISSUER: &str = "urn:mcp-auth:api-key";

/// A token whose statements are true: its signature was verified, or its issuer was asked, or your
/// own [`Verifier`](crate::Verifier) vouches for it.
///
/// True is not yet admitted: issuer, audience, expiry and scopes are judged after this, by
/// [`Policy::authorize`](crate::Policy::authorize), whoever the verifier is.
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

/// Everything a verifier found out. Kept small: each cached token has one.
#[derive(Clone)]
pub(crate) struct TokenData {
    pub(crate) issuer: Arc<str>,
    pub(crate) subject: StrSpan,
    pub(crate) client_id: Option<StrSpan>,
    pub(crate) audience: StrSpans,
    pub(crate) scopes: Scopes,
    /// Seconds since 1970, as all times in a token.
    pub(crate) expires_at: Option<NonZeroU64>,
    /// 0 if the token does not say.
    pub(crate) not_before: u64,
    /// What its sender must show to hold. Boxed, since few tokens have it.
    pub(crate) confirmation: Option<Box<Confirmation>>,
    /// The token's digest as proofs name it (`ath`), where it is known already.
    pub(crate) ath: Option<Box<str>>,
    /// The claims as they were signed, a JSON object.
    pub(crate) claims: Box<str>,
    /// What the issuer means by them, where that is not the usual.
    pub(crate) overrides: Option<Arc<IssuerOverrides>>,
    /// Whether its issuer is asked about it: what it answered holds for a time.
    pub(crate) is_introspected: bool,
}

impl TokenData {
    /// A claim, unless it is null. It is looked for in the text each time: not for every request.
    pub(crate) fn claim(&self, name: &str) -> Option<Raw<'_>> {
        Object::of(&self.claims).ok()?.get(name).filter(|value| value.get() != "null")
    }

    /// When the token was issued, in seconds since 1970, if it says so. Read as [`claim`](Self::claim) is.
    pub(crate) fn issued_at(&self) -> Option<u64> {
        self.claim("iat").and_then(Raw::numeric_date).map(|time| time as u64)
    }

    /// Replaces the text of the claims, and keeps what was read from it.
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
    /// Vouches for a token of `subject`, issued by `issuer`. For verifiers of your own.
    ///
    /// The issuer must be one that the protected resource trusts: one of its authorization servers,
    /// or named with [`McpAuthBuilder::trusted_issuer`](crate::McpAuthBuilder::trusted_issuer).
    /// Without an [`audience`](Self::audience) it will be refused.
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
            confirmation: None,
            ath: None,
            claims: "{}".into(),
            overrides: None,
            is_introspected: false,
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

    /// Sets the moment at which the token expires. It is refused once the leeway of the resource has passed too.
    /// A token without one does not expire.
    #[must_use]
    pub fn expires_at(self, moment: SystemTime) -> Self {
        self.with(|data| data.expires_at = Some(expiry_secs(unix_secs(moment))))
    }

    /// Sets what [`claims`](AuthInfo::claims) gives: anything that serializes to a JSON object. What
    /// the token says otherwise stays as it is, but for `cnf`: with it, the token is bound to its sender.
    ///
    /// # Errors
    ///
    /// If `claims` cannot be written as a JSON object.
    pub fn with_claims(self, claims: &impl Serialize) -> Result<Self, serde_json::Error> {
        let claims: serde_json::Map<_, _> = serde_json::from_value(serde_json::to_value(claims)?)?;
        let cnf = claims.get("cnf").filter(|cnf| !cnf.is_null());
        let cnf = cnf.map(serde_json::to_string).transpose()?;
        let confirmation = cnf.map(|cnf| Box::new(Confirmation::read(&cnf)));
        let claims = serde_json::to_string(&claims)?;
        Ok(self.with(|data| {
            data.confirmation = confirmation;
            data.replace_claims(claims);
        }))
    }

    /// Who the token speaks for: `sub`. Unique only together with the [`issuer`](Self::issuer).
    #[must_use]
    pub fn subject(&self) -> &str {
        self.0.subject.of(&self.0.claims)
    }

    /// Who issued the token: `iss`.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.0.issuer
    }

    /// Binds the token to its sender.
    pub(crate) fn bound(self, confirmation: Box<Confirmation>) -> Self {
        self.with(|data| data.confirmation = Some(confirmation))
    }

    /// A token about which its issuer is asked.
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

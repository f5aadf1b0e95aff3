//! What is true of a token, and what is admitted.

use std::borrow::Cow;
use std::fmt;
use std::num::NonZeroU64;
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::model::confirmation::Binding;
use crate::model::credentials::{AccessToken, Credentials};
use crate::model::denial::Denial;
use crate::model::issuer_overrides::Dialect;
use crate::model::scheme::Scheme;
use crate::model::scope::{Require, Scopes, Vocabulary};
use crate::util::json::{Members, Raw};

/// The issuer of callers with an API key. No issuer of tokens has this name: those are https URLs.
pub(crate) const API_KEY_ISSUER: &str = "urn:mcp-auth:api-key";

/// A token whose statements are true: its signature was verified, or its issuer was asked, or your
/// own [`Verifier`](crate::Verifier) vouches for it.
///
/// True is not yet admitted: issuer, audience, expiry and scopes are judged after this, by
/// [`Policy::permit`](crate::Policy::permit), whoever the verifier is.
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
pub struct VerifiedToken(Arc<Facts>);

/// Everything a verifier found out. Kept small: each cached token has one.
#[derive(Clone)]
pub(crate) struct Facts {
    pub(crate) issuer: Arc<str>,
    pub(crate) subject: Text,
    pub(crate) client_id: Option<Text>,
    pub(crate) audience: Texts,
    pub(crate) scopes: Scopes,
    /// Seconds since 1970, as all times in a token.
    pub(crate) expires_at: Option<NonZeroU64>,
    /// 0 if the token does not say.
    pub(crate) not_before: u64,
    /// What its sender must show to hold. Boxed, since few tokens have it.
    pub(crate) binding: Option<Box<Binding>>,
    /// The token's digest as proofs name it (`ath`), where it is known already.
    pub(crate) digest: Option<Box<str>>,
    /// The claims as they were signed, a JSON object.
    pub(crate) claims: Box<str>,
    /// What the issuer means by them, where that is not the usual.
    pub(crate) dialect: Option<Arc<Dialect>>,
    /// Whether its issuer is asked about it: what it answered holds for a time.
    pub(crate) is_asked_about: bool,
}

/// A string of a JSON text: a place in the text, or a copy where it is written with escapes.
#[derive(Clone)]
pub(crate) enum Text {
    Copied(Box<str>),
    Within { start: u32, end: u32 },
}

/// Some strings of one text: mostly one, which then lies here and not somewhere else.
#[derive(Clone)]
pub(crate) enum Texts {
    One(Text),
    Several(Box<[Text]>),
}

impl Text {
    /// The place in `text` of a string that was read from it.
    #[inline(never)]
    pub(crate) fn place(text: &str, value: Raw<'_>) -> Option<Self> {
        Self::within(text, value.string()?)
    }

    /// The place in `text` of a string that was read from it, as far as it was not copied.
    pub(crate) fn within(text: &str, string: Cow<'_, str>) -> Option<Self> {
        match string {
            Cow::Owned(copy) => Some(Self::Copied(copy.into())),
            Cow::Borrowed(inner) => {
                let start = inner.as_ptr() as usize - text.as_ptr() as usize;
                Some(Self::Within {
                    start: start.try_into().ok()?,
                    end: (start + inner.len()).try_into().ok()?,
                })
            }
        }
    }

    /// The place in `text` of any value that was read from it, as it is written.
    pub(crate) fn raw_place(text: &str, value: Raw<'_>) -> Option<Self> {
        let start = value.get().as_ptr() as usize - text.as_ptr() as usize;
        let end = start + value.get().len();
        Some(Self::Within { start: start.try_into().ok()?, end: end.try_into().ok()? })
    }

    pub(crate) fn of<'a>(&'a self, claims: &'a str) -> &'a str {
        match self {
            Self::Copied(text) => text,
            Self::Within { start, end } => {
                claims.get(*start as usize..*end as usize).unwrap_or_default()
            }
        }
    }
}

impl Deref for Texts {
    type Target = [Text];

    fn deref(&self) -> &[Text] {
        match self {
            Self::One(text) => std::slice::from_ref(text),
            Self::Several(texts) => texts,
        }
    }
}

impl DerefMut for Texts {
    fn deref_mut(&mut self) -> &mut [Text] {
        match self {
            Self::One(text) => std::slice::from_mut(text),
            Self::Several(texts) => texts,
        }
    }
}

impl Default for Texts {
    fn default() -> Self {
        Self::Several(Box::default())
    }
}

impl Facts {
    /// A claim, unless it is null. It is looked for in the text each time: not for every request.
    pub(crate) fn claim(&self, name: &str) -> Option<Raw<'_>> {
        Members::of(&self.claims).ok()?.get(name).filter(|value| value.get() != "null")
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
        Self(Arc::new(Facts {
            issuer: issuer.as_ref().into(),
            subject: copied(subject),
            client_id: None,
            audience: Texts::default(),
            scopes: Scopes::default(),
            expires_at: None,
            not_before: 0,
            binding: None,
            digest: None,
            claims: "{}".into(),
            dialect: None,
            is_asked_about: false,
        }))
    }

    /// Adds a resource for which the token was issued.
    #[must_use]
    pub fn audience(self, audience: impl Into<String>) -> Self {
        self.with(|facts| {
            let all = facts.audience.iter().cloned().chain([copied(audience)]);
            facts.audience = Texts::Several(all.collect());
        })
    }

    /// Sets the client to which the token was issued.
    #[must_use]
    pub fn client_id(self, client_id: impl Into<String>) -> Self {
        self.with(|facts| facts.client_id = Some(copied(client_id)))
    }

    /// Sets the scopes that the token grants.
    #[must_use]
    pub fn scopes(self, scopes: impl Into<Scopes>) -> Self {
        self.with(|facts| facts.scopes = scopes.into())
    }

    /// Sets the moment at which the token expires. It is refused once the leeway of the resource has passed too.
    /// A token without one does not expire.
    #[must_use]
    pub fn expires_at(self, moment: SystemTime) -> Self {
        self.with(|facts| facts.expires_at = Some(an_end(seconds(moment))))
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
        let binding = cnf.map(|cnf| Box::new(Binding::read(&cnf)));
        let claims = serde_json::to_string(&claims)?;
        Ok(self.with(|facts| {
            facts.binding = binding;
            facts.replace_claims(claims);
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
    pub(crate) fn bound(self, binding: Box<Binding>) -> Self {
        self.with(|facts| facts.binding = Some(binding))
    }

    /// A token about which its issuer is asked.
    pub(crate) fn asked_about(self) -> Self {
        self.with(|facts| facts.is_asked_about = true)
    }

    pub(crate) fn facts(&self) -> &Facts {
        &self.0
    }

    pub(crate) fn audiences(&self) -> impl Iterator<Item = &str> {
        self.0.audience.iter().map(|audience| audience.of(&self.0.claims))
    }

    pub(crate) fn with(mut self, change: impl FnOnce(&mut Facts)) -> Self {
        change(Arc::make_mut(&mut self.0));
        self
    }
}

impl From<Facts> for VerifiedToken {
    fn from(facts: Facts) -> Self {
        Self(Arc::new(facts))
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
    vocabulary: Arc<Vocabulary>,
    /// What a handler required in vain: the layer answers with it.
    denied: OnceLock<Denial>,
}

impl AuthInfo {
    /// For `Policy::permit` alone.
    pub(crate) fn admitted(
        token: VerifiedToken,
        credentials: Credentials,
        vocabulary: Arc<Vocabulary>,
    ) -> Self {
        let (scheme, access_token) = (credentials.scheme(), credentials.into_token());
        let denied = OnceLock::new();
        Self(Arc::new(Admission { token, scheme, access_token, vocabulary, denied }))
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
    /// [`InsufficientScope`](crate::Refusal::InsufficientScope). To ask without consequences, see
    /// [`has`](Self::has).
    pub fn require(&self, scopes: impl Into<Require>) -> Result<(), Denial> {
        let vocabulary = &self.0.vocabulary;
        let required = scopes.into().under(&vocabulary.hierarchy);
        if required.is_met_by(self.scopes()) {
            return Ok(());
        }
        let needed = vocabulary.to_challenge(&required.to_request(), self.scopes());
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
        scopes.into().under(&self.0.vocabulary.hierarchy).is_met_by(self.scopes())
    }

    pub(crate) fn facts(&self) -> &Facts {
        self.0.token.facts()
    }

    /// The names of the resource that admitted the caller.
    pub(crate) fn accepted_audiences(&self) -> &[String] {
        &self.0.vocabulary.audiences
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
        let facts = self.0.token.facts();
        Principal { issuer: facts.issuer.clone(), subject: self.subject().into() }
    }

    /// The client to which the token was issued: `client_id`, else `azp`, `appid` or `cid`.
    #[must_use]
    pub fn client_id(&self) -> Option<&str> {
        let facts = self.0.token.facts();
        facts.client_id.as_ref().map(|id| id.of(&facts.claims))
    }

    /// The resources for which the token was issued: `aud`. This one is among them.
    pub fn audience(&self) -> impl Iterator<Item = &str> {
        self.0.token.audiences()
    }

    /// The scopes that the token grants, as its issuer wrote them.
    #[must_use]
    pub fn scopes(&self) -> &Scopes {
        &self.0.token.facts().scopes
    }

    /// When the token expires. Always there for a JWT, unless this system's clock does not reach that far.
    #[must_use]
    pub fn expires_at(&self) -> Option<SystemTime> {
        let seconds = self.0.token.facts().expires_at?.get();
        UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
    }

    /// What the token is bound to, and its sender has shown to hold: nothing for a plain bearer token.
    #[must_use]
    pub fn binding(&self) -> Option<&Binding> {
        self.0.token.facts().binding.as_deref()
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
        &self.0.token.facts().claims
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

/// Whom a session or an event belongs to: issuer, subject and client, or anyone who is anonymous. Never a
/// token, so that it stays the same when the token is renewed. Two different principals are different bytes.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Owner(Box<[u8]>);

impl Owner {
    pub(crate) fn of(caller: Option<&AuthInfo>) -> Self {
        let Some(caller) = caller else { return Self(Box::default()) };
        let (issuer, subject) = (caller.issuer().as_bytes(), caller.subject().as_bytes());
        let length = |part: &[u8]| (part.len() as u64).to_be_bytes();
        let (mark, client) = match caller.client_id() {
            Some(client) => (&b"c"[..], client.as_bytes()),
            None => (&b""[..], &b""[..]),
        };
        let parts = [&length(issuer), issuer, &length(subject), subject, mark, client];
        Self(parts.concat().into())
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// The second from which on a token is refused. Small, since each remembered token has one; what ended in the
/// first second of 1970 has ended.
pub(crate) fn an_end(seconds: u64) -> NonZeroU64 {
    NonZeroU64::new(seconds).unwrap_or(NonZeroU64::MIN)
}

/// Whole seconds since 1970; 0 for anything before.
pub(crate) fn seconds(moment: SystemTime) -> u64 {
    moment.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

fn copied(text: impl Into<String>) -> Text {
    Text::Copied(text.into().into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::credentials::Credentials;

    #[test]
    fn different_principals_are_different_bytes() {
        let bearer = http::HeaderValue::from_static("Bearer abc");
        let headers = [(http::header::AUTHORIZATION, bearer)].into_iter().collect();
        let credentials = Credentials::from_headers(&headers).expect("credentials");
        let of = |issuer: &str, subject: &str, client: Option<&str>| {
            let token = VerifiedToken::assert(issuer, subject);
            let token = match client {
                Some(client) => token.client_id(client),
                None => token,
            };
            Owner::of(Some(&AuthInfo::admitted(token, credentials.clone(), Arc::default())))
        };
        let all = [
            Owner::of(None),
            of("", "", None),
            of("", "", Some("")),
            of("ab", "c", None),
            of("a", "bc", None),
            of("a", "b", Some("c")),
            of("a", "bcc", None),
            of("a", "b", None),
            of("a", "b", Some("")),
            of("a", "", Some("b")),
            of("", "ab", None),
        ];
        for (i, one) in all.iter().enumerate() {
            for (j, other) in all.iter().enumerate() {
                assert_eq!(one == other, i == j, "{i} {j}");
            }
        }
        let renewed = VerifiedToken::assert("a", "b").client_id("c").scopes(["more"]);
        let renewed = AuthInfo::admitted(renewed, credentials.clone(), Arc::default());
        assert!(Owner::of(Some(&renewed)) == of("a", "b", Some("c")));
    }
}

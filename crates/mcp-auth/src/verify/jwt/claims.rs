//! The claims of a token, in the different forms that issuers use.

use crate::model::confirmation::Confirmation;
use crate::model::denial::Denial;
use crate::model::error_codes::Reason;
use crate::model::scope::{Scopes, is_scope_token};
use crate::model::verified_token::{TokenData, VerifiedToken};
use crate::util::json::{Object, Raw};
use crate::util::str_span::{StrSpan, StrSpans};
use crate::util::unix_time::nonzero_secs;
use crate::verify::jwt::base64url;
use crate::verify::jwt::claim_names::{CLIENT_ID, REGISTERED, RawClaims, SCOPE};
use crate::verify::jwt::jwt_rules::JwtRules;

/// The claims of a token. They are not verified yet.
pub(crate) struct Claims {
    text: Box<str>,
    issuer: Option<StrSpan>,
    subject: Option<StrSpan>,
    client_id: Option<StrSpan>,
    audience: StrSpans,
    scopes: Option<Scopes>,
    expires_at: Option<u64>,
    not_before: u64,
    pub(crate) issued_at: Option<u64>,
    /// The key or the certificate to which the token is bound.
    pub(crate) confirmation: Option<Box<Confirmation>>,
    /// What kind of token this is, if its claims show that it is not an access token.
    pub(crate) non_access_token_kind: Option<&'static str>,
    /// Whether `client_id` itself and `jti` are present, as RFC 9068 requires.
    pub(crate) has_client_id: bool,
    pub(crate) has_token_id: bool,
}

impl Claims {
    /// Parses the claims of a JWT. `iss`, `sub` and `exp` are required.
    pub(crate) fn parse(payload: Vec<u8>) -> Result<Self, Denial> {
        let claims = Self::read(payload)?;
        required("iss", claims.issuer.as_ref())?;
        required("sub", claims.subject.as_ref())?;
        required("exp", claims.expires_at)?;
        Ok(claims)
    }

    /// Parses claims. Any claim may be absent, but none may have the wrong type.
    pub(crate) fn read(payload: Vec<u8>) -> Result<Self, Denial> {
        let payload = String::from_utf8(payload).map_err(|_| Denial::invalid(Reason::Malformed))?;
        let text = &*payload;
        let found = RawClaims::read(text)?;
        let place = |value| StrSpan::from_value(text, value);

        let filled = |value| place(value).filter(|it: &StrSpan| !it.of(text).is_empty());
        let positive = |value: Raw<'_>| value.numeric_date().filter(|time| *time > 0.0);
        let issuer = optional("iss", found.iss, place)?;
        let subject = optional("sub", found.sub, filled)?;
        let expires_at = optional("exp", found.exp, positive)?.map(|time| time as u64);
        let audience = optional("aud", found.aud, |value| places(text, value))?.unwrap_or_default();
        let issued_at = optional("iat", found.iat, Raw::numeric_date)?;
        let not_before = optional("nbf", found.nbf, Raw::numeric_date)?;
        let mut client_id = None;
        for (name, &value) in CLIENT_ID.iter().zip(&found.client_id) {
            let id = optional_named(name, value, place)?.filter(|id| !id.of(text).is_empty());
            client_id = client_id.or(id);
        }
        let scopes = SCOPE.iter().zip(&found.scope).map(|(name, &value)| (*name, value));
        let scopes = first_scopes(scopes)?;

        Ok(Self {
            issuer,
            subject,
            client_id,
            audience,
            scopes,
            expires_at,
            // Rounded up, so that the token is not accepted a fraction of a second too early.
            not_before: not_before
                .into_iter()
                .chain(issued_at)
                .map(|time| time.ceil() as u64)
                .max()
                .unwrap_or(0),
            confirmation: found
                .cnf
                .filter(is_present)
                .map(|cnf| Box::new(Confirmation::read(cnf.get()))),
            non_access_token_kind: found.non_access_token_kind(),
            has_client_id: found.client_id[0].is_some_and(is_text),
            issued_at: issued_at.map(|time| time as u64),
            has_token_id: found.jti.is_some_and(is_text),
            text: payload.into(),
        })
    }

    /// What kind of token this text is, if its claims show that it is not an access token. Nothing in it is verified.
    pub(crate) fn kind_of(token: &str) -> Option<&'static str> {
        let payload = base64url::decode(token.split('.').nth(1)?)?;
        Self::read(payload).ok()?.non_access_token_kind
    }

    /// The `exp` in this text, if it is a JWT. Nothing in it is verified.
    pub(crate) fn unverified_end(token: &str) -> Option<u64> {
        let payload = base64url::decode(token.split('.').nth(1)?)?;
        let members = Object::read(&payload).ok()?;
        members.get("exp")?.numeric_date().map(|end| end as u64)
    }

    /// The issuer. Empty if there is none, which is impossible for a JWT.
    pub(crate) fn issuer(&self) -> &str {
        self.issuer.as_ref().map_or("", |issuer| issuer.of(&self.text))
    }

    pub(crate) fn expires_at(&self) -> Option<u64> {
        self.expires_at
    }

    pub(crate) fn has_subject(&self) -> bool {
        self.subject.is_some()
    }

    /// The same claims with this user name as the subject.
    ///
    /// Returns `None` if the name is empty or that of the client: such a user would be taken for the client
    /// (see [`CallerKind`](crate::CallerKind)).
    pub(crate) fn with_username_as_subject(self, name: &str) -> Option<Self> {
        let is_client = self.client_id() == Some(name.strip_suffix("@clients").unwrap_or(name));
        let subject = Some(StrSpan::Copied(name.into()));
        (!name.is_empty() && !is_client).then_some(Self { subject, ..self })
    }

    pub(crate) fn client_id(&self) -> Option<&str> {
        self.client_id.as_ref().map(|id| id.of(&self.text))
    }

    pub(crate) fn has_audience(&self) -> bool {
        !self.audience.is_empty()
    }

    /// Parses all claims again, for those that only some issuers use.
    pub(crate) fn members(&self) -> Result<Object<'_>, Denial> {
        Ok(Object::of(&self.text)?)
    }

    /// Converts the claims into a token. The caller must have verified them. A token without a subject acts for its
    /// client, which becomes the subject ([RFC 9068 §2.2](https://www.rfc-editor.org/rfc/rfc9068#section-2.2)).
    pub(crate) fn into_token(self, rules: &JwtRules) -> Result<VerifiedToken, Denial> {
        let issuer = rules.issuer_of(self.issuer());
        let scope_claims = rules.overrides.iter().flat_map(|overrides| &overrides.scope_claims);
        let scopes = match scope_claims.collect::<Vec<_>>() {
            usual if usual.is_empty() => self.scopes,
            names => {
                let members = self.members()?;
                first_scopes(names.into_iter().map(|name| (&**name, members.get(name))))?
            }
        };
        let client = || self.client_id.clone().unwrap_or(StrSpan::Copied("".into()));
        Ok(TokenData {
            issuer,
            subject: self.subject.unwrap_or_else(client),
            client_id: self.client_id,
            audience: self.audience,
            names_scopes: scopes.is_some(),
            scopes: scopes.unwrap_or_default(),
            expires_at: self.expires_at.map(nonzero_secs),
            not_before: self.not_before,
            issued_at: self.issued_at.map(nonzero_secs),
            confirmation: self.confirmation,
            ath: None,
            claims: self.text,
            overrides: rules.overrides.clone(),
            is_introspected: false,
            is_asserted: false,
        }
        .into())
    }
}

/// The scopes in the first of these claims that has any.
fn first_scopes<'n, 'v>(
    claims: impl Iterator<Item = (&'n str, Option<Raw<'v>>)>,
) -> Result<Option<Scopes>, Denial> {
    for (name, value) in claims {
        let read = if SCOPE.contains(&name) { scopes } else { names };
        if let Some(scopes) = optional_named(name, value, read)? {
            return Ok(Some(scopes));
        }
    }
    Ok(None)
}

fn required<T>(name: &str, value: Option<T>) -> Result<T, Denial> {
    value.ok_or_else(|| missing_claim(name))
}

#[cold]
fn missing_claim(name: &str) -> Denial {
    Denial::invalid(Reason::Claims)
        .detail(format!("the claim `{name}` is missing or not of its type: let the issuer put it into its access tokens"))
}

/// The value of a claim that may be absent, but must not have the wrong type.
fn optional<'v, T>(
    name: &str,
    value: Option<Raw<'v>>,
    read: impl FnOnce(Raw<'v>) -> Option<T>,
) -> Result<Option<T>, Denial> {
    value.filter(is_present).map(|value| required(name, read(value))).transpose()
}

/// Like [`optional`], but a claim whose name is not registered may mean anything: its value is used if it has the type,
/// and never refuses a token.
fn optional_named<'v, T>(
    name: &str,
    value: Option<Raw<'v>>,
    read: impl FnOnce(Raw<'v>) -> Option<T>,
) -> Result<Option<T>, Denial> {
    match REGISTERED.contains(&name) {
        true => optional(name, value, read),
        false => Ok(value.and_then(read)),
    }
}

/// Whether a claim is present. `null` counts as absent.
fn is_present(value: &Raw<'_>) -> bool {
    !value.is_null()
}

fn is_text(value: Raw<'_>) -> bool {
    value.string().is_some_and(|text| !text.is_empty())
}

/// The spans of one string, or of an array of strings.
fn places(text: &str, value: Raw<'_>) -> Option<StrSpans> {
    if let Some(one) = StrSpan::from_value(text, value) {
        return Some(StrSpans::One(one));
    }
    let places = value.array()?.into_iter().map(|element| StrSpan::from_value(text, element));
    places.collect::<Option<_>>().map(StrSpans::Several)
}

/// Scopes as one string separated by spaces, or as an array of strings.
fn scopes(value: Raw<'_>) -> Option<Scopes> {
    value.string().map(|list| Scopes::from(&*list)).or_else(|| value.strings().map(Scopes::from))
}

/// Scopes in a claim that may also have names which people chose, such as those of groups: an element of an array with a
/// space in it is one name and no scope. Otherwise a group `Friends of admin` would grant `admin`.
fn names(value: Raw<'_>) -> Option<Scopes> {
    let Some(elements) = value.strings() else { return scopes(value) };
    Some(elements.into_iter().filter(|name| is_scope_token(name)).collect())
}

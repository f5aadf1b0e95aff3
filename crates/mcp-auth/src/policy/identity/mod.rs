//! What an admitted token says besides who its subject is, read from the claims when it is asked for.

mod actor;
mod authorization_details;
mod caller_kind;

use std::borrow::Cow;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::model::token::AuthInfo;
use crate::util::json::{Members, Raw};

pub use actor::Actor;
pub use authorization_details::AuthorizationDetail;
pub use caller_kind::CallerKind;

impl AuthInfo {
    /// The roles of the subject: `roles`, an array of strings or of SCIM values
    /// ([RFC 9068 §2.2.3.1](https://www.rfc-editor.org/rfc/rfc9068#section-2.2.3.1)).
    ///
    /// A provider that keeps them elsewhere (Keycloak: `realm_access.roles`) is read with
    /// [`claims`](Self::claims), or judged with [`Rule::claim`](crate::Rule::claim).
    ///
    /// ```
    /// fn is_editor(auth: &mcp_auth::AuthInfo) -> bool {
    ///     auth.roles().iter().any(|role| role == "editor")
    /// }
    /// ```
    #[must_use]
    pub fn roles(&self) -> Vec<Cow<'_, str>> {
        self.values("roles")
    }

    /// The groups that the subject belongs to: `groups`, as [`roles`](Self::roles) are written.
    #[must_use]
    pub fn groups(&self) -> Vec<Cow<'_, str>> {
        self.values("groups")
    }

    /// What the subject is entitled to: `entitlements`, as [`roles`](Self::roles) are written.
    #[must_use]
    pub fn entitlements(&self) -> Vec<Cow<'_, str>> {
        self.values("entitlements")
    }

    /// In which way the user logged in: `acr`, the authentication context class
    /// ([RFC 9068 §2.2.1](https://www.rfc-editor.org/rfc/rfc9068#section-2.2.1)). To demand one, see
    /// [`Rule::acr_values`](crate::Rule::acr_values).
    #[must_use]
    pub fn acr(&self) -> Option<Cow<'_, str>> {
        self.facts().claim("acr").and_then(Raw::string)
    }

    /// By which means the user logged in: `amr`, words of
    /// [RFC 8176](https://www.rfc-editor.org/rfc/rfc8176#section-2) like `pwd`, `otp`, `hwk`.
    #[must_use]
    pub fn amr(&self) -> Vec<Cow<'_, str>> {
        self.values("amr")
    }

    /// When the user logged in: `auth_time`
    /// ([RFC 9068 §2.2.1](https://www.rfc-editor.org/rfc/rfc9068#section-2.2.1)). To demand a recent
    /// login, see [`Rule::max_age`](crate::Rule::max_age).
    #[must_use]
    pub fn auth_time(&self) -> Option<SystemTime> {
        let seconds = self.facts().claim("auth_time").and_then(Raw::numeric_date)?;
        UNIX_EPOCH.checked_add(Duration::from_secs(seconds as u64))
    }

    fn values(&self, claim: &str) -> Vec<Cow<'_, str>> {
        self.facts().claim(claim).map(values).unwrap_or_default()
    }
}

/// Strings in an array, or the `value` of each object there (SCIM, RFC 7643 §2.4); or one string alone.
/// Anything else is left out: it grants nothing.
fn values<'c>(claim: Raw<'c>) -> Vec<Cow<'c, str>> {
    let value = |one: Raw<'c>| one.string().or_else(|| member(one, "value").and_then(Raw::string));
    match claim.array() {
        Some(list) => list.into_iter().filter_map(value).collect(),
        None => claim.string().into_iter().collect(),
    }
}

/// A member of an object that has each member once, unless it is null.
fn member<'c>(object: Raw<'c>, name: &str) -> Option<Raw<'c>> {
    Members::of(object.get()).ok()?.get(name).filter(|value| value.get() != "null")
}

#[cfg(test)]
mod tests;

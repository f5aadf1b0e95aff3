//! Claims of an admitted token beyond its subject, such as roles, login and actor. Each call parses the claims.

use std::borrow::Cow;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::model::auth_info::AuthInfo;
use crate::policy::identity::claim_values::values;
use crate::util::json::Raw;

mod claim_values;
mod actor;
mod authorization_details;
mod caller_kind;

pub use actor::Actor;
pub use authorization_details::AuthorizationDetail;
pub use caller_kind::CallerKind;

impl AuthInfo {
    /// The roles of the subject: `roles`, an array of strings or of SCIM values
    /// ([RFC 9068 §2.2.3.1](https://www.rfc-editor.org/rfc/rfc9068#section-2.2.3.1)).
    ///
    /// If a provider keeps them elsewhere (Keycloak: `realm_access.roles`), read them with
    /// [`claims`](Self::claims), or require them with [`Rule::claim`](crate::Rule::claim).
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

    /// The groups that the subject belongs to: `groups`, in the same forms as [`roles`](Self::roles).
    #[must_use]
    pub fn groups(&self) -> Vec<Cow<'_, str>> {
        self.values("groups")
    }

    /// What the subject is entitled to: `entitlements`, in the same forms as [`roles`](Self::roles).
    #[must_use]
    pub fn entitlements(&self) -> Vec<Cow<'_, str>> {
        self.values("entitlements")
    }

    /// How the user logged in: `acr`, the authentication context class
    /// ([RFC 9068 §2.2.1](https://www.rfc-editor.org/rfc/rfc9068#section-2.2.1)). To require one, see
    /// [`Rule::acr_values`](crate::Rule::acr_values).
    #[must_use]
    pub fn acr(&self) -> Option<Cow<'_, str>> {
        self.data().claim("acr").and_then(Raw::string)
    }

    /// The authentication methods of the login: `amr`, values of
    /// [RFC 8176](https://www.rfc-editor.org/rfc/rfc8176#section-2) such as `pwd`, `otp`, `hwk`.
    #[must_use]
    pub fn amr(&self) -> Vec<Cow<'_, str>> {
        self.values("amr")
    }

    /// When the user logged in: `auth_time`
    /// ([RFC 9068 §2.2.1](https://www.rfc-editor.org/rfc/rfc9068#section-2.2.1)). To require a recent login,
    /// see [`Rule::max_age`](crate::Rule::max_age).
    #[must_use]
    pub fn auth_time(&self) -> Option<SystemTime> {
        let seconds = self.data().claim("auth_time").and_then(Raw::numeric_date)?;
        UNIX_EPOCH.checked_add(Duration::from_secs(seconds as u64))
    }

    fn values(&self, claim: &str) -> Vec<Cow<'_, str>> {
        self.data().claim(claim).map(values).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests;

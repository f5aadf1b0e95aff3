//! `AuthorizationDetail`: fine-grained permissions of a token ([RFC 9396](https://www.rfc-editor.org/rfc/rfc9396)).

use std::borrow::Cow;
use std::fmt;

use serde::de::DeserializeOwned;

use crate::model::auth_info::AuthInfo;
use crate::policy::audience::is_same_resource;
use crate::policy::identity::claim_values::{member, values};
use crate::util::json::Raw;

/// One element of `authorization_details`.
#[derive(Clone, Copy)]
pub struct AuthorizationDetail<'a>(Raw<'a>);

impl AuthInfo {
    /// The authorization details of one `type` that were granted for this resource
    /// ([RFC 9396 §9](https://www.rfc-editor.org/rfc/rfc9396#section-9)).
    ///
    /// An element with `locations` is left out unless this resource is among them. So is an element that is not
    /// an object with a `type`.
    ///
    /// ```
    /// #[derive(serde::Deserialize)]
    /// struct Payment { max_amount: u64 }
    ///
    /// fn may_pay(auth: &mcp_auth::AuthInfo, amount: u64) -> bool {
    ///     let payments = auth.authorization_details("payment_initiation");
    ///     payments.iter().filter_map(|it| it.read::<Payment>().ok()).any(|it| amount <= it.max_amount)
    /// }
    /// ```
    #[must_use]
    pub fn authorization_details(&self, kind: &str) -> Vec<AuthorizationDetail<'_>> {
        let details = self.data().claim("authorization_details").and_then(Raw::array);
        let details = details.into_iter().flatten().map(AuthorizationDetail);
        details.filter(|one| one.kind().is_some_and(|it| it == kind) && one.is_for(self)).collect()
    }
}

impl<'a> AuthorizationDetail<'a> {
    /// The permitted `actions` ([RFC 9396 §2.2](https://www.rfc-editor.org/rfc/rfc9396#section-2.2)).
    #[must_use]
    pub fn actions(&self) -> Vec<Cow<'a, str>> {
        member(self.0, "actions").map(values).unwrap_or_default()
    }

    /// The `identifier` of the specific resource that the actions are permitted on, if the element has one.
    #[must_use]
    pub fn identifier(&self) -> Option<Cow<'a, str>> {
        member(self.0, "identifier").and_then(Raw::string)
    }

    /// Deserializes the whole element, or the members that `T` names.
    ///
    /// # Errors
    ///
    /// If a member that `T` requires is missing, or has another type.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        serde_json::from_str(self.0.get())
    }

    fn kind(&self) -> Option<Cow<'a, str>> {
        member(self.0, "type").and_then(Raw::string)
    }

    fn is_for(&self, caller: &AuthInfo) -> bool {
        let Some(locations) = member(self.0, "locations") else { return true };
        // The same names that the policy accepts: those of the resource, and those that the token's issuer uses
        // for it.
        let of_issuer = caller.data().overrides.as_ref().map_or(&[][..], |it| &it.audiences);
        let is_ours = |place: Cow<'_, str>| {
            caller.accepted_audiences().iter().any(|ours| is_same_resource(ours, &place))
                || of_issuer.iter().any(|ours| *ours == place)
        };
        locations.strings().into_iter().flatten().any(is_ours)
    }
}

impl fmt::Debug for AuthorizationDetail<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthorizationDetail").field("type", &self.kind()).finish_non_exhaustive()
    }
}

//! `CallerKind`: whether the caller is a user, a client, the holder of an API key, or unknown.

use crate::model::auth_info::AuthInfo;
use crate::model::provider::Provider;
use crate::model::verified_token::{API_KEY_ISSUER, TokenData};
use crate::policy::identity::claim_values::values;
use crate::util::json::Raw;

/// The kind of caller, as far as the token shows it.
///
/// No standard claim states it. It is derived as follows:
///
/// | kind | shown by | reliability |
/// |---|---|---|
/// | [`ApiKey`](Self::ApiKey) | the API key itself | certain |
/// | [`Client`](Self::Client) | Entra: `idtyp` is `app` | certain, if the provider is configured to send it |
/// | | Auth0: `gty` is `client-credentials`, or `sub` is the client's identifier followed by `@clients` | certain |
/// | | `sub` is the client's identifier ([RFC 9068 §2.2](https://www.rfc-editor.org/rfc/rfc9068#section-2.2): Okta, Cognito, Logto and most others) | reliable if no user can choose such a `sub` ([§5](https://www.rfc-editor.org/rfc/rfc9068#section-5)) |
/// | [`User`](Self::User) | Entra: `idtyp` is `user` | certain |
/// | | `auth_time` or `amr` is not empty: a user logged in ([RFC 9068 §2.2.1](https://www.rfc-editor.org/rfc/rfc9068#section-2.2.1)); Okta: also `uid`; Authentik: only `amr`, since its service accounts have an `auth_time` | reliable if the issuer follows the RFC, or is configured as its [provider](crate::Provider) |
/// | [`Unknown`](Self::Unknown) | none of the above: Keycloak's service accounts, and users of issuers that send few claims | - |
///
/// If the kind matters to a server, it must treat `Unknown` as the kind that it trusts less.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CallerKind {
    /// A holder of an [API key](crate::ApiKeys).
    ApiKey,
    /// A client that acts on its own behalf, without a user
    /// ([RFC 6749 §4.4](https://www.rfc-editor.org/rfc/rfc6749#section-4.4)).
    Client,
    /// The token does not show the kind.
    Unknown,
    /// A user, through a client.
    User,
}

impl AuthInfo {
    /// Whether the caller is a user, a client that acts on its own behalf, or the holder of an API key, as far
    /// as the token shows it.
    ///
    /// ```
    /// use mcp_auth::{AuthInfo, CallerKind};
    ///
    /// fn may_approve(auth: &AuthInfo) -> bool {
    ///     auth.kind() == CallerKind::User // not `!= CallerKind::Client`: it may be unknown
    /// }
    /// ```
    #[must_use]
    pub fn kind(&self) -> CallerKind {
        kind(self.data())
    }
}

fn kind(data: &TokenData) -> CallerKind {
    if *data.issuer == *API_KEY_ISSUER {
        return CallerKind::ApiKey;
    }
    let claim = |name| data.claim(name);
    let is = |name, word| claim(name).and_then(Raw::string).is_some_and(|text| text == word);
    let subject = data.subject.of(&data.claims);
    let client = data.client_id.as_ref().map(|id| id.of(&data.claims));
    let is_client =
        client.is_some_and(|client| subject.strip_suffix("@clients").unwrap_or(subject) == client);
    let provider = data.overrides.as_ref().and_then(|overrides| overrides.provider);
    let logins = provider.unwrap_or(&Provider::DEFAULT).login_claims;
    let has_logged_in = logins.iter().any(|name| claim(name).is_some_and(has_meaningful_value));

    if is("idtyp", "user") {
        CallerKind::User
    } else if is("idtyp", "app") || is("gty", "client-credentials") || is_client {
        CallerKind::Client
    } else if has_logged_in {
        CallerKind::User
    } else {
        CallerKind::Unknown
    }
}

/// Whether a claim has a meaningful value. The first second of 1970, an empty list and empty strings do not
/// count.
fn has_meaningful_value(claim: Raw<'_>) -> bool {
    match claim.numeric_date() {
        Some(second) => second >= 1.0,
        None => values(claim).iter().any(|word| !word.is_empty()),
    }
}

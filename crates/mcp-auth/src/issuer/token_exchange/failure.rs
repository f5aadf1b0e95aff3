//! Why an exchange gave no token: the issuer refuses it, or could not be asked.

use std::time::Duration;

use http::StatusCode;

use crate::issuer::authorization_server::FetchIssuerError;
use crate::issuer::token_exchange::target::Target;
use crate::model::denial::Denial;
use crate::net::fetch::FetchError;
use crate::util::shown;

/// Why there is no token.
pub(super) enum Failure {
    /// The issuer refuses to issue such a token for this caller, with this error code.
    Refused(String),
    /// The issuer refuses this server, with this error code and HTTP status.
    Misconfigured(&'static str, StatusCode),
    /// There is no usable response, or only one that says that there are too many requests.
    Exchange(FetchError, Option<Duration>),
    Metadata(FetchIssuerError),
    /// Nothing was asked, or the request broke off.
    Unavailable(&'static str),
}

/// Whose exchanges a failure affects.
#[derive(Clone, Copy, Debug)]
pub(super) enum FailureScope {
    /// Those of this token for this target.
    ThisToken,
    /// Those of this caller: the issuer refuses them because there are too many.
    TooMany { retry_after: Option<Duration> },
    /// Those of all callers.
    AllCallers,
}

/// The errors that are about this server and not about the caller, and what to change.
const ABOUT_THIS_SERVER: [(&str, &str); 5] = [
    (
        "invalid_client",
        "the issuer refuses this server's credentials: check the client id and its secret, and whether it wants them by `TokenExchange::basic`, `post` or `private_key_jwt`; or (Keycloak, with status 400) it does not know the audience",
    ),
    ("server_error", "the issuer has a problem of its own: see its log"),
    ("temporarily_unavailable", "the issuer has a problem of its own: see its log"),
    (
        "unauthorized_client",
        "the issuer does not let this client exchange tokens: allow the grant type for it; or (Keycloak, with status 401) the client id or its secret is wrong",
    ),
    (
        "unsupported_grant_type",
        "the issuer does not support token exchange (RFC 8693), or does not have it enabled",
    ),
];

/// What to change for the errors that are about the caller or the target.
const ABOUT_THE_CALLER: [(&str, &str); 9] = [
    (
        "access_denied",
        "the issuer does not allow this caller, or this client, to get such a token: this client must perhaps be among the audiences of the caller's token (Keycloak)",
    ),
    ("consent_required", "the user must first consent at the issuer"),
    ("interaction_required", "the user must first log in or consent at the issuer"),
    (
        "invalid_grant",
        "the issuer does not accept the caller's token: it expired or was revoked there, or this client must be among its audiences (Keycloak)",
    ),
    (
        "invalid_request",
        "the issuer does not accept the caller's token, or not for this exchange (RFC 8693, 2.2.2); or (Keycloak) Standard Token Exchange is not enabled for this client, or none of its scopes has the audience",
    ),
    (
        "invalid_scope",
        "one of the scopes is unknown to the issuer, or the caller or this client may not have it",
    ),
    (
        "invalid_target",
        "the issuer does not know the target, or this client may not call it: compare the name with the issuer's settings, and try `.to_resource(..)` in place of `.to_audience(..)`, or the reverse",
    ),
    ("invalid_token", "the issuer does not accept the caller's token"),
    ("login_required", "the user must first log in at the issuer"),
];

impl Failure {
    /// The failure that an error response with this code is.
    pub(super) fn of_code(code: String, status: StatusCode) -> Self {
        match ABOUT_THIS_SERVER.iter().find(|(known, _)| *known == code) {
            Some((known, _)) => Self::Misconfigured(known, status),
            None => Self::Refused(code),
        }
    }

    /// Whose exchanges it affects. What the token of one caller may have caused must not stop the others.
    pub(super) fn scope(&self) -> FailureScope {
        match self {
            // Of other statuses, such a code may be about one target only.
            Self::Misconfigured(_, StatusCode::UNAUTHORIZED) => FailureScope::AllCallers,
            // No caller can change which grants the issuer supports.
            Self::Misconfigured("unsupported_grant_type", _) => FailureScope::AllCallers,
            Self::Metadata(_) => FailureScope::AllCallers,
            Self::Exchange(
                FetchError::Unreachable(_) | FetchError::Insecure(_) | FetchError::Secret(_),
                _,
            ) => FailureScope::AllCallers,
            Self::Exchange(FetchError::Status { status: 429, .. }, retry_after) => {
                FailureScope::TooMany { retry_after: *retry_after }
            }
            _ => FailureScope::ThisToken,
        }
    }

    /// The denial of the call for which a token was needed.
    pub(super) fn into_denial(
        self,
        issuer: &str,
        target: &Target,
        retry_after: Duration,
    ) -> Denial {
        let detail = |why: &str| {
            let (parameter, name) = target.described();
            let (issuer, name) = (shown::field(issuer), shown::field(name));
            format!("no token of {issuer:?} for the {parameter} {name:?}: {why}")
        };
        let unavailable = |why: &str| Denial::unavailable(retry_after).detail(detail(why));
        match self {
            Self::Refused(code) => {
                let known = ABOUT_THE_CALLER.iter().find(|(known, _)| *known == code);
                let (code, why) = known.copied().unwrap_or((
                    "another error",
                    "the issuer refuses the exchange with an error of its own (logged at debug)",
                ));
                Denial::forbidden().detail(detail(&format!("`{code}`: {why}")))
            }
            Self::Misconfigured(code, _) => {
                let known = ABOUT_THIS_SERVER.iter().find(|(known, _)| *known == code);
                let why = known.map_or("", |(_, why)| *why);
                unavailable(&format!("`{code}`: {why}"))
            }
            Self::Exchange(error, _) => unavailable(advice(&error)).caused_by(error),
            Self::Metadata(error) => {
                unavailable("the metadata that names the token endpoint is out of reach")
                    .caused_by(error)
            }
            Self::Unavailable(why) => unavailable(why),
        }
    }
}

fn advice(error: &FetchError) -> &'static str {
    match error {
        FetchError::Status { status: 300..=399, .. } => {
            "the token endpoint answers with a redirect, which is not followed: set `.endpoint(..)` to where it leads, if that is right"
        }
        FetchError::Status { status: 429, .. } => "the token endpoint gets too many requests",
        FetchError::Status { status: 400..=499, .. } | FetchError::InvalidDocument { .. } => {
            "the token endpoint does not answer as RFC 8693 says: is it the right URL?"
        }
        FetchError::Insecure(_) => "the token endpoint is not https",
        FetchError::Secret(_) => "this server cannot get its own secret",
        FetchError::Panicked => {
            "the token endpoint was not asked: the client given with `.fetch(..)` panicked"
        }
        _ => {
            "the token endpoint does not answer: check that it is up, and that this machine may connect to it"
        }
    }
}

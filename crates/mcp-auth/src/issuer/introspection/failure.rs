//! Why an introspection request failed, which tokens that affects, and what to change.

use std::sync::Arc;
use std::time::Duration;

use http::header::{HeaderMap, RETRY_AFTER};

use crate::model::denial::Denial;
use crate::model::provider::Api;
use crate::net::fetch::{FetchError, SharedFetchError};

/// Why there is no response.
pub(super) enum Failure {
    Interrupted,
    /// With the `Retry-After` of the response, if there is one.
    Exchange(FetchError, Option<Duration>),
    /// The metadata that says where the endpoint is could not be fetched. It has a backoff of its own.
    NoMetadata(Option<Arc<FetchError>>),
    /// The endpoint, this server's credentials, or the keys for a signed response are unavailable.
    Unavailable(&'static str, Option<Arc<FetchError>>),
}

/// Which tokens a failure affects: those whose requests would have failed too.
#[derive(Clone, Copy, Debug)]
pub(super) enum FailureScope {
    /// Only the token of the request.
    ThisToken,
    /// All tokens of its class: known ones, or unknown ones.
    Class,
    /// The server gets too many requests, or is down. Servers and proxies use the same statuses for both.
    TooMany { retry_after: Option<Duration> },
}

impl From<FetchError> for Failure {
    fn from(error: FetchError) -> Self {
        Self::Exchange(error, None)
    }
}

impl Failure {
    /// Which tokens it affects. A failure that the token itself may have caused must not affect others: an attacker who
    /// knows a token that makes the server fail, or a firewall in front of it, could stop introspection for all unknown
    /// tokens. A known token is not such a token: `is_known` says whether the token of the request was one.
    pub(super) fn scope(&self, api: Option<&Api>, is_known: bool) -> FailureScope {
        let (error, retry_after) = match self {
            Self::Interrupted | Self::NoMetadata(_) => return FailureScope::ThisToken,
            Self::Unavailable(..) => return FailureScope::Class,
            Self::Exchange(error, retry_after) => (error, *retry_after),
        };
        match error {
            FetchError::Insecure(_) | FetchError::Secret(_) | FetchError::Unreachable(_) => {
                FailureScope::Class
            }
            FetchError::Status { status: 401, .. } => FailureScope::Class,
            FetchError::Status { status: 429, .. } => FailureScope::TooMany { retry_after },
            // How long an outage will last is a guess: one request in two seconds finds out.
            FetchError::Status { status: 503, .. } => FailureScope::TooMany { retry_after: None },
            // A provider's API answers so when it is asked too often.
            FetchError::Status { status: 403, .. } if api.is_some() => {
                FailureScope::TooMany { retry_after }
            }
            // As far as is known, the next request would time out too.
            FetchError::Timeout(_) => FailureScope::Class,
            FetchError::Transport(_) if is_known => FailureScope::Class,
            _ => FailureScope::ThisToken,
        }
    }

    pub(super) fn into_denial(
        self,
        issuer: &str,
        api: Option<&Api>,
        retry_after: Duration,
    ) -> Denial {
        let denial = Denial::unavailable(retry_after);
        let detail = |why: &str| format!("the introspection endpoint of {issuer:?} {why}");
        match self {
            Self::Interrupted => denial.detail(detail("did not answer: the request was cancelled")),
            Self::NoMetadata(cause) => {
                Self::Unavailable("the metadata is out of reach that says where it is", cause)
                    .into_denial(issuer, api, retry_after)
            }
            Self::Unavailable(why, cause) => {
                let denial = denial.detail(detail(&format!("cannot be asked: {why}")));
                match cause {
                    Some(cause) => denial.caused_by(SharedFetchError(cause)),
                    None => denial,
                }
            }
            Self::Exchange(error, _) => {
                let why = advice(&error, api);
                denial.detail(detail(why)).caused_by(error)
            }
        }
    }
}

/// The `Retry-After` of a response in seconds. A date counts as absent.
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}

/// What the endpoint did instead of answering, and what to change.
fn advice(error: &FetchError, api: Option<&Api>) -> &'static str {
    let provider_api = api.and_then(|api| match error {
        FetchError::Status { status, .. } => api.advice(*status),
        FetchError::InvalidDocument { .. } => {
            Some("does not answer as its documentation says: is it the right URL?")
        }
        _ => None,
    });
    provider_api.unwrap_or(match error {
        FetchError::Status { status: 401 | 403, .. } => {
            "refuses this server's credentials: check the client id and its secret, whether the server wants them by `Introspection::basic`, `post`, `private_key_jwt` or `bearer`, and whether this client may introspect"
        }
        FetchError::Status { status: 400, .. } => {
            "refuses the question: check the client id and its secret, and how the server wants them; some servers answer so about JWTs (`.introspect_jwts()`)"
        }
        FetchError::Status { status: 300..=399, .. } => {
            "answers with a redirect, which is not followed: set `.endpoint(..)` to where it leads, if that is right"
        }
        FetchError::InvalidDocument { .. } => {
            "does not answer as RFC 7662 says: is it the right URL?"
        }
        FetchError::Insecure(_) => "cannot be asked at its URL: set `.endpoint(..)`",
        FetchError::Panicked => "was not asked: the client given with `.fetch(..)` panicked",
        FetchError::Secret(_) => {
            "cannot be asked: the function given to `Secret::from_fn` returned no secret"
        }
        _ => {
            "does not answer: check that it is up, and that this machine may connect to it"
        }
    })
}

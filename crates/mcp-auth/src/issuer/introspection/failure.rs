//! Why an introspection endpoint did not answer, whom that concerns, and what to change.

use std::sync::Arc;
use std::time::Duration;

use crate::model::denial::Denial;
use crate::model::provider::Api;
use crate::net::fetch::{FetchError, SharedFetchError};

/// Why there is no answer.
pub(super) enum Failure {
    Interrupted,
    Exchange(FetchError),
    /// The metadata, or the keys for a signed answer, cannot be had.
    Unavailable(&'static str, Option<Arc<FetchError>>),
}

/// Whom a failure concerns: for whom it would have been the same.
pub(super) enum FailureScope {
    All,
    /// Tokens of which nobody knows whether they are any.
    Unverified,
    /// The token that was asked about.
    ThisToken,
}

impl Failure {
    /// Whom it concerns, when it was about a token that was good before, or not. What may be due to the token
    /// must not count for others: somebody who knows one that the server, or a firewall before it, chokes on
    /// could silence it for all. A token that was good is no such one.
    pub(super) fn scope(&self, api: Option<&Api>, is_known: bool) -> FailureScope {
        let error = match self {
            Self::Interrupted => return FailureScope::ThisToken,
            Self::Unavailable(..) => return FailureScope::All,
            Self::Exchange(error) => error,
        };
        match error {
            FetchError::Insecure(_) | FetchError::Unreachable(_) => FailureScope::All,
            FetchError::Status { status: 401 | 429 | 503, .. } => FailureScope::All,
            // An API of a provider says so when it is asked too often.
            FetchError::Status { status: 403, .. } if api.is_some() => FailureScope::All,
            FetchError::Timeout(_) | FetchError::Transport(_) if is_known => FailureScope::All,
            // It would be the same with the next one, as far as anybody knows, and take as long.
            FetchError::Timeout(_) => FailureScope::Unverified,
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
            Self::Interrupted => denial.detail(detail("was not asked to the end")),
            Self::Unavailable(why, cause) => {
                let denial = denial.detail(detail(&format!("cannot be asked: {why}")));
                match cause {
                    Some(cause) => denial.caused_by(SharedFetchError(cause)),
                    None => denial,
                }
            }
            Self::Exchange(error) => {
                let why = advice(&error, api);
                denial.detail(detail(why)).caused_by(error)
            }
        }
    }
}

/// What an endpoint did instead of answering, and what to change.
fn advice(error: &FetchError, api: Option<&Api>) -> &'static str {
    let of_api = api.and_then(|api| match error {
        FetchError::Status { status, .. } => api.advice(*status),
        FetchError::InvalidDocument { .. } => {
            Some("does not answer as its documentation says: is it the right URL?")
        }
        _ => None,
    });
    of_api.unwrap_or(match error {
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
        _ => {
            "does not answer: check that it is up, and that this machine may connect to it"
        }
    })
}

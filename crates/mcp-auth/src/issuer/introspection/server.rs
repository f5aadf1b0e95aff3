//! One question to the server, and its answer, or why there is none.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::Response;
use http::header::{CONTENT_TYPE, HeaderMap};

use crate::issuer::introspection::question::SIGNED;
use crate::issuer::introspection::settings::Introspection;
use crate::issuer::introspection::signed_answer;
use crate::issuer::issuer_keys::Keyring;
use crate::model::denial::Denial;
use crate::model::error_codes::Reason;
use crate::model::provider::Api;
use crate::model::verified_token::VerifiedToken;
use crate::net::clock::Clock;
use crate::net::fetch::{Fetch, FetchError, Limits, only_ok, post};
use crate::net::refreshing_cache::{Fresh, Lacking};
use crate::policy::metadata::ServerMetadata;
use crate::util::url;
use crate::verify::jwt::{JwtRules, judge_answer, judge_api_answer, knows_no_such_token};

/// Claims of a user in very many groups; a JWT could not say as much.
const MAX_ANSWER_BYTES: usize = 64 * 1024;

/// What has to be known of a server to ask it.
pub(crate) struct Server {
    pub(crate) rules: JwtRules,
    pub(crate) metadata: Arc<Fresh<ServerMetadata>>,
    pub(crate) keyring: Arc<Keyring>,
    pub(crate) headers: HeaderMap,
    pub(crate) fetch: Option<Arc<dyn Fetch>>,
    pub(crate) clock: Arc<dyn Clock>,
}

/// Why there is no answer.
pub(super) enum Failure {
    BrokenOff,
    Exchange(FetchError),
    /// The metadata, or the keys for a signed answer, cannot be had.
    OutOfReach(&'static str, Option<Arc<FetchError>>),
}

/// Whom a failure concerns: for whom it would have been the same.
pub(super) enum Concerns {
    Everybody,
    /// Tokens of which nobody knows whether they are any.
    Unknown,
    /// The token that was asked about.
    One,
}

impl Server {
    pub(super) fn issuer(&self) -> &str {
        &self.rules.issuer
    }

    pub(super) fn now(&self) -> SystemTime {
        self.clock.now()
    }

    pub(super) async fn ask(
        &self,
        settings: &Introspection,
        token: &str,
    ) -> Result<Result<VerifiedToken, Denial>, Failure> {
        let url = self.endpoint(settings).await?;
        let mut headers = self.headers.clone();
        let question = settings.question(token, self.issuer(), self.now(), &mut headers);
        let question =
            question.ok_or(Failure::OutOfReach("this server cannot say who it is", None))?;

        let limits = Limits { timeout: settings.timeout, max_bytes: MAX_ANSWER_BYTES };
        let response = post(self.fetch.as_deref(), &url, headers, question, limits).await;
        let response = response.map_err(Failure::Exchange)?;
        if let Some(api) = settings.api {
            return self.judge_by(api, &url, response).map_err(Failure::Exchange);
        }
        let response = only_ok(&url, response).map_err(Failure::Exchange)?;
        let nonsense = |why: &str| {
            Failure::Exchange(FetchError::Nonsense { url: url.clone(), why: why.to_owned() })
        };
        let audience = settings.audience_if_absent.as_deref();
        let by_name = settings.subject_is_username;
        let judge =
            |json: &[u8]| judge_answer(json, &self.rules, audience, by_name).map_err(nonsense);
        if !settings.has_signed_answers {
            return judge(response.body());
        }
        if !is_signed(response.headers()) {
            return Err(nonsense(
                "the answer is not signed (RFC 9701): let the server sign for this client, or leave `.signed_answers()` out",
            ));
        }
        let client_id = settings.authentication.client_id().unwrap_or_default();
        let (body, now) = (response.body(), self.now());
        match signed_answer::open(body, client_id, &self.rules, &self.keyring, now).await {
            Ok(json) => judge(json.as_bytes()),
            Err(signed_answer::NotTaken::Forged(why)) => Err(nonsense(why)),
            Err(signed_answer::NotTaken::KeysOutOfReach) => Err(Failure::OutOfReach(
                "the keys are out of reach by which its answers are verified",
                None,
            )),
        }
    }

    /// What the API of a provider says of a token, if this is its answer.
    fn judge_by(
        &self,
        api: &Api,
        url: &str,
        response: Response<Bytes>,
    ) -> Result<Result<VerifiedToken, Denial>, FetchError> {
        let nonsense =
            |why: &str| FetchError::Nonsense { url: url.to_owned(), why: why.to_owned() };
        if knows_no_such_token(api, response.status().as_u16(), response.body()) {
            return Ok(Err(Denial::invalid(Reason::Inactive).detail(api.about_unknown)));
        }
        if matches!(response.status().as_u16(), 400 | 404 | 422) {
            return Err(nonsense("it refuses the question, and not in the words of its API"));
        }
        let response = only_ok(url, response)?;
        judge_api_answer(api, response.body(), &self.rules).map_err(nonsense)
    }

    /// Where to ask, if that is known without waiting.
    pub(super) fn endpoint_in_hand(&self, settings: &Introspection) -> Option<String> {
        let given = settings.endpoint.as_deref().map(str::to_owned);
        given.or_else(|| {
            let metadata = self.metadata.peek()?;
            metadata.text("introspection_endpoint").map(str::to_owned)
        })
    }

    async fn endpoint(&self, settings: &Introspection) -> Result<String, Failure> {
        if let Some(given) = &settings.endpoint {
            return Ok(given.to_string());
        }
        let metadata = self.metadata.current().await.map_err(|lacking| {
            let why = match lacking {
                Lacking::OutOfReach { why, .. } => why,
                Lacking::TooSoon => None,
            };
            Failure::OutOfReach("the metadata is out of reach that says where it is", why)
        })?;
        let url = metadata.text("introspection_endpoint").ok_or(Failure::OutOfReach(
            "the metadata has no `introspection_endpoint`: set `.endpoint(..)`, if the server has one",
            None,
        ))?;
        // Plain http is for this machine, and what is published elsewhere must not send us there.
        if url::is_https(self.issuer()) && !url::is_https(url) {
            return Err(Failure::Exchange(FetchError::Insecure(url.to_owned())));
        }
        Ok(url.to_owned())
    }
}

impl Failure {
    /// Whom it concerns, when it was about a token that was good before, or not. What may be due to the token
    /// must not count for others: somebody who knows one that the server, or a firewall before it, chokes on
    /// could silence it for all. A token that was good is no such one.
    pub(super) fn concerns(&self, api: Option<&Api>, is_known: bool) -> Concerns {
        let error = match self {
            Self::BrokenOff => return Concerns::One,
            Self::OutOfReach(..) => return Concerns::Everybody,
            Self::Exchange(error) => error,
        };
        match error {
            FetchError::Insecure(_) | FetchError::Unreachable(_) => Concerns::Everybody,
            FetchError::Status { status: 401 | 429 | 503, .. } => Concerns::Everybody,
            // An API of a provider says so when it is asked too often.
            FetchError::Status { status: 403, .. } if api.is_some() => Concerns::Everybody,
            FetchError::Timeout(_) | FetchError::Transport(_) if is_known => Concerns::Everybody,
            // It would be the same with the next one, as far as anybody knows, and take as long.
            FetchError::Timeout(_) => Concerns::Unknown,
            _ => Concerns::One,
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
            Self::BrokenOff => denial.detail(detail("was not asked to the end")),
            Self::OutOfReach(why, cause) => {
                let denial = denial.detail(detail(&format!("cannot be asked: {why}")));
                match cause {
                    Some(cause) => denial.caused_by(Shared(cause)),
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
        FetchError::Nonsense { .. } => {
            Some("does not answer as its documentation says: is it the right URL?")
        }
        _ => None,
    });
    of_api.unwrap_or(match error {
        FetchError::Status { status: 401 | 403, .. } => {
            "refuses this server's credentials: check the client id and its secret, whether the server wants them by `Introspection::basic`, `post`, `private_key_jwt` or `bearer`, and whether this client may introspect"
        }
        FetchError::Status { status: 400, .. } => {
            "refuses the question: check the client id and its secret, and how the server wants them; some servers answer so about JWTs (`.also_jwts()`)"
        }
        FetchError::Status { status: 300..=399, .. } => {
            "answers with a redirect, which is not followed: set `.endpoint(..)` to where it leads, if that is right"
        }
        FetchError::Nonsense { .. } => {
            "does not answer as RFC 7662 says: is it the right URL?"
        }
        _ => {
            "does not answer: check that it is up, and that this machine may connect to it"
        }
    })
}

fn is_signed(headers: &HeaderMap) -> bool {
    let media_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let media_type = media_type.and_then(|value| value.split(';').next()).unwrap_or_default();
    media_type.trim().eq_ignore_ascii_case(SIGNED)
}

/// An error that several questions have in common.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
struct Shared(Arc<FetchError>);

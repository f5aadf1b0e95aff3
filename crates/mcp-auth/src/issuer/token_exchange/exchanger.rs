//! Token exchange at one server: cached, single-flight per token and target, and limited in concurrency.

use std::collections::HashMap;
use std::num::NonZeroU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::sync::watch;

use crate::issuer::token_cache::TokenCache;
use crate::issuer::token_exchange::budgets::{Budgets, SHARES};
use crate::issuer::token_exchange::failure::Failure;
use crate::issuer::token_exchange::settings::Settings;
use crate::issuer::token_exchange::target::Target;
use crate::issuer::token_exchange::token::ExchangedToken;
use crate::model::auth_info::{AuthInfo, Principal};
use crate::model::denial::{Denial, DenialKind};
use crate::model::error_codes::Reason;
use crate::net::backoff::FIRST_DELAY;
use crate::net::metrics;
use crate::util::shown;
use crate::util::unix_time::unix_secs;
use crate::verify::jwt::{HmacSha256, TokenHash, random};

/// How long a refusal is cached: a tool that is called again does not ask again, and a user who has just been given the
/// right does not wait long.
const REFUSED_FOR: Duration = Duration::from_secs(10);

/// Maximum number of cached refusals. They are small, and evicting one does no harm.
const MAX_CACHED_REFUSALS: usize = 1_000;

type Outcome = Result<ExchangedToken, Denial>;

/// Exchanges tokens at one server. Clones share their state.
#[derive(Clone)]
pub(crate) struct Exchanger(Arc<Shared>);

struct Shared {
    settings: Arc<Settings>,
    /// Makes the keys of the caches. `None` if the system provides no random numbers.
    keys: Option<HmacSha256>,
    tokens: TokenCache<ExchangedToken>,
    refused: TokenCache<Denial>,
    requests: Mutex<Requests>,
}

#[derive(Default)]
struct Requests {
    in_flight: HashMap<TokenHash, InFlight>,
    budgets: Budgets,
}

struct InFlight {
    caller: Principal,
    outcome: watch::Receiver<Option<Outcome>>,
}

impl Exchanger {
    pub(super) fn new(settings: Arc<Settings>) -> Self {
        let tokens = TokenCache::new(settings.cached_tokens, settings.cache_for);
        let refused = TokenCache::new(MAX_CACHED_REFUSALS, REFUSED_FOR);
        let keys = random::<32>().map(|secret| HmacSha256::new(&secret));
        let requests = Mutex::default();
        Self(Arc::new(Shared { settings, keys, tokens, refused, requests }))
    }

    /// The token for this caller and target: cached, or from the server.
    pub(super) async fn exchange(&self, caller: &AuthInfo, target: &Arc<Target>) -> Outcome {
        let shared = &self.0;
        let now = shared.now();
        if !shared.settings.server.rules().apply_to(caller.issuer()) {
            return Err(Denial::forbidden().detail(format!(
                "the caller's token is one of {:?}, and tokens are exchanged at {:?}, which must not see it",
                shown::field(caller.issuer()),
                shared.issuer(),
            )));
        }
        if has_ended(caller.data().expires_at, now) {
            return Err(Denial::invalid(Reason::Expired));
        }
        let key = shared.key(caller, target).ok_or_else(|| {
            let why = Failure::Unavailable("this system gave no random numbers");
            why.into_denial(shared.issuer(), target, FIRST_DELAY)
        })?;
        let mut outcome = match shared.join_or_start(caller, target, key, now) {
            Ok(outcome) => outcome,
            Err(known) => return known,
        };
        let answered = outcome.wait_for(Option::is_some).await;
        let outcome = answered.ok().and_then(|outcome| outcome.clone());
        let outcome = outcome.unwrap_or_else(|| {
            Err(shared.denial(Failure::Unavailable("the request broke off"), target, FIRST_DELAY))
        })?;
        // It may have taken a while.
        let now = shared.now();
        if has_ended(caller.data().expires_at, now) {
            return Err(Denial::invalid(Reason::Expired));
        }
        if outcome.has_expired(unix_secs(now)) {
            let why = Failure::Unavailable("it had expired when it arrived");
            return Err(shared.denial(why, target, FIRST_DELAY));
        }
        Ok(outcome)
    }
}

/// Whether a time has come, without leeway: the issuer decides about the token by its own clock.
fn has_ended(end: Option<NonZeroU64>, now: SystemTime) -> bool {
    end.is_some_and(|end| end.get() <= unix_secs(now))
}

impl Shared {
    fn issuer(&self) -> &str {
        self.settings.server.issuer()
    }

    fn now(&self) -> SystemTime {
        self.settings.server.used_clock().now()
    }

    fn denial(&self, failure: Failure, target: &Target, retry_after: Duration) -> Denial {
        failure.into_denial(self.issuer(), target, retry_after)
    }

    /// The key of the caches: everything that the request depends on, each part with its length.
    fn key(&self, caller: &AuthInfo, target: &Target) -> Option<TokenHash> {
        let parts = [
            caller.token().as_bytes(),
            target.parameter.as_bytes(),
            target.name.as_bytes(),
            target.scopes.as_str().as_bytes(),
        ];
        let lengths = parts.map(|part| (part.len() as u64).to_be_bytes());
        let [token, parameter, name, scopes] = parts;
        let [length, parameter_length, name_length, scopes_length] = &lengths;
        let all: [&[u8]; 8] =
            [length, token, parameter_length, parameter, name_length, name, scopes_length, scopes];
        let tag = self.keys.as_ref()?.tag(&all);
        tag.first_chunk::<16>().copied().map(TokenHash::from)
    }

    fn cached(&self, key: &TokenHash, now: SystemTime) -> Option<Outcome> {
        let token = self.tokens.get(key, now).map(Ok);
        token.or_else(|| self.refused.get(key, now).map(Err))
    }

    /// Joins the request in flight, or starts one unless the backoff or a limit forbids it.
    fn join_or_start(
        self: &Arc<Self>,
        caller: &AuthInfo,
        target: &Arc<Target>,
        key: TokenHash,
        now: SystemTime,
    ) -> Result<watch::Receiver<Option<Outcome>>, Outcome> {
        if let Some(known) = self.cached(&key, now) {
            return Err(known);
        }
        let refuse = |retry_after, why| {
            Err(Err(self.denial(Failure::Unavailable(why), target, retry_after)))
        };
        let mut requests = self.requests();
        if let Some(request) = requests.in_flight.get(&key) {
            return Ok(request.outcome.clone());
        }
        // A response may have arrived since the look-up; responses are cached under this lock.
        if let Some(known) = self.cached(&key, now) {
            return Err(known);
        }
        let (most, principal) = (self.settings.max_in_flight, caller.principal());
        if let Some((left, why)) = requests.budgets.left(&principal, now) {
            return refuse(left, why);
        }
        let own = requests.in_flight.values().filter(|other| other.caller == principal).count();
        if requests.in_flight.len() >= most || own >= most.div_ceil(SHARES) {
            drop(requests);
            metrics::token_exchange(self.settings.server.metrics_label(), "crowded");
            return refuse(
                FIRST_DELAY,
                "too many requests are in flight: the issuer is slow, or one caller sends very many",
            );
        }
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return refuse(FIRST_DELAY, "there is no tokio runtime to ask the issuer from");
        };
        let (sender, outcome) = watch::channel(None);
        requests.budgets.sent(&principal, now);
        let in_flight = InFlight { caller: principal, outcome: outcome.clone() };
        requests.in_flight.insert(key, in_flight);
        let request = ExchangeRequest {
            shared: self.clone(),
            target: target.clone(),
            key,
            caller: caller.clone(),
            sent_at: now,
            sender,
            outcome: None,
        };
        drop(requests); // a runtime that shuts down drops the request at once, and its `Drop` takes this lock
        runtime.spawn(request.send());
        Ok(outcome)
    }

    fn requests(&self) -> MutexGuard<'_, Requests> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records the outcome of a request: in the caches, in the backoff, in metrics and the log.
    fn record(
        &self,
        request: &ExchangeRequest,
        answer: Result<ExchangedToken, Failure>,
    ) -> Outcome {
        let (key, now, caller) = (request.key, self.now(), request.caller.principal());
        let mut requests = self.requests();
        let (outcome, metric_outcome, should_warn) = match answer {
            Ok(token) => {
                requests.budgets.answered(&caller, now);
                let own = request.caller.data().expires_at.map_or(u64::MAX, NonZeroU64::get);
                let end = token.end_in_cache(unix_secs(now)).min(own);
                self.tokens.insert(key, token.clone(), now, Some(end));
                (Ok(token), "issued", false)
            }
            Err(failure) => {
                match &failure {
                    Failure::Refused(_) => requests.budgets.answered(&caller, now),
                    _ => requests.budgets.failed(&caller, failure.scope(), request.sent_at, now),
                }
                let left =
                    requests.budgets.left(&caller, now).map_or(FIRST_DELAY, |(left, _)| left);
                let denial = self.denial(failure, &request.target, left);
                let is_refused = *denial.kind() == DenialKind::Forbidden;
                let time = if is_refused { REFUSED_FOR } else { FIRST_DELAY };
                let end = now.checked_add(time).map(unix_secs);
                self.refused.insert(key, denial.clone(), now, end);
                let should_warn = !is_refused && requests.budgets.should_log(now);
                (Err(denial), if is_refused { "refused" } else { "failed" }, should_warn)
            }
        };
        requests.in_flight.remove(&key);
        drop(requests);
        metrics::token_exchange(self.settings.server.metrics_label(), metric_outcome);
        if let Err(denial) = &outcome {
            log(denial, should_warn);
        }
        outcome
    }
}

/// Logs why there is no token. Callers can cause refusals, so they are not warnings.
fn log(denial: &Denial, should_warn: bool) {
    let error = std::error::Error::source(denial).map(shown::error);
    let detail = shown::sentence(denial.operator_detail().unwrap_or_default());
    match should_warn {
        true => tracing::warn!(target: "mcp_auth", error, "{detail}"),
        false => tracing::debug!(target: "mcp_auth", error, "{detail}"),
    }
}

/// One request. Its outcome is recorded when it is dropped, so that even a panic completes it.
struct ExchangeRequest {
    shared: Arc<Shared>,
    target: Arc<Target>,
    key: TokenHash,
    caller: AuthInfo,
    sent_at: SystemTime,
    sender: watch::Sender<Option<Outcome>>,
    outcome: Option<Result<ExchangedToken, Failure>>,
}

impl ExchangeRequest {
    async fn send(mut self) {
        let shared = self.shared.clone();
        let asked = shared.settings.ask(Some(&self.caller), &self.target, self.sent_at);
        self.outcome = Some(asked.await);
    }
}

impl Drop for ExchangeRequest {
    fn drop(&mut self) {
        let interrupted = || Err(Failure::Unavailable("the request was cancelled"));
        let answer = self.outcome.take().unwrap_or_else(interrupted);
        let outcome = self.shared.record(self, answer);
        self.sender.send_replace(Some(outcome));
    }
}

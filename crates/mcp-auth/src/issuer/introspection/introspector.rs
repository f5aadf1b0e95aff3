//! Introspection at one server: cached, single-flight per token, and limited in concurrency.

use std::collections::HashMap;
use std::num::NonZeroU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::sync::watch;

use crate::issuer::introspection::budgets::{Budgets, TokenClass};
use crate::issuer::introspection::endpoint::IntrospectionEndpoint;
use crate::issuer::introspection::failure::Failure;
use crate::issuer::introspection::settings::Introspection;
use crate::issuer::token_cache::{CacheWeight, TokenCache};
use crate::model::denial::Denial;
use crate::model::provider::Shape;
use crate::model::verified_token::VerifiedToken;
use crate::net::backoff::FIRST_DELAY;
use crate::net::metrics;
use crate::util::shown;
use crate::util::unix_time::unix_secs;
use crate::verify::jwt::{self, TokenHash, TokenHasher};

/// Maximum number of cached refusals. They are small, and evicting one does no harm.
const MAX_CACHED_REFUSALS: usize = 1_000;

/// The outcome of an introspection request, for all callers that wait for it.
type Outcome = Result<VerifiedToken, Denial>;

/// What a caller finds that needs an introspection.
enum Lookup {
    Cached(Outcome),
    InFlight(watch::Receiver<Option<Outcome>>),
}

/// Introspects tokens at one server. Clones share their state.
#[derive(Clone)]
pub(crate) struct Introspector(Arc<Shared>);

struct Shared {
    settings: Introspection,
    server: IntrospectionEndpoint,
    /// Hashes the tokens for the caches. `None` if the system provides no random numbers.
    token_hasher: Option<Arc<TokenHasher>>,
    active: TokenCache<ActiveToken>,
    /// A separate cache, so that invented tokens cannot evict active ones.
    refused: TokenCache<Denial>,
    requests: Mutex<Requests>,
}

/// An active token, as its issuer described it.
#[derive(Clone)]
pub(crate) struct ActiveToken {
    pub(crate) token: VerifiedToken,
    /// Whether it has the form of a JWT.
    pub(crate) is_compact: bool,
}

#[derive(Default)]
struct Requests {
    in_flight: HashMap<TokenHash, watch::Receiver<Option<Outcome>>>,
    budgets: Budgets,
}

impl Introspector {
    pub(crate) fn new(settings: Introspection, server: IntrospectionEndpoint) -> Self {
        let active = TokenCache::new(settings.cached_tokens, settings.cache_for);
        // The denial for a failed request is cached too, for `FIRST_DELAY`.
        let longest = settings.negative_cache_for.max(FIRST_DELAY);
        let refused = TokenCache::new(MAX_CACHED_REFUSALS, longest);
        let (token_hasher, requests) = (TokenHasher::random().map(Arc::new), Mutex::default());
        Self(Arc::new(Shared { settings, server, token_hasher, active, refused, requests }))
    }

    /// Hashes all tokens of a resource whose first introspector this is. Resources share cached responses if they
    /// have the same first introspector: a token then has one hash for all of them.
    pub(crate) fn token_hasher(&self) -> Option<Arc<TokenHasher>> {
        self.0.token_hasher.clone()
    }

    /// Whether the issuer's JWTs are introspected too.
    pub(crate) fn introspects_jwts(&self) -> bool {
        self.0.settings.introspects_jwts
    }

    /// Whether the token can be one of this server, as far as its form shows.
    pub(crate) fn shape_of(&self, token: &str) -> Shape {
        self.0.settings.api.map_or(Shape::Possible, |api| api.shape_of(token))
    }

    /// The denial's detail for a token that cannot be one of this server.
    pub(crate) fn shape_detail(&self) -> Option<&'static str> {
        self.0.settings.api.map(|api| api.shape_detail)
    }

    /// Whether the URL of the endpoint is known.
    pub(crate) fn is_ready(&self) -> bool {
        self.0.server.known_endpoint(&self.0.settings).is_some()
    }

    /// The cached response about an active token.
    pub(crate) fn get(&self, token_hash: &TokenHash, now: SystemTime) -> Option<ActiveToken> {
        self.0.active.get(token_hash, now)
    }

    /// Introspects a token, unless the outcome is cached. `is_signed` says whether it is a JWT whose signature was
    /// verified.
    pub(crate) async fn verify(
        &self,
        token: &str,
        token_hash: TokenHash,
        is_signed: bool,
        now: SystemTime,
    ) -> Outcome {
        if let Some(known) = self.0.cached(&token_hash, now) {
            return known;
        }
        let mut outcome = match self.0.join_or_start(token, token_hash, is_signed, now) {
            Lookup::Cached(outcome) => return outcome,
            Lookup::InFlight(outcome) => outcome,
        };
        let answered = outcome.wait_for(Option::is_some).await;
        let outcome = answered.ok().and_then(|outcome| outcome.clone());
        outcome.unwrap_or_else(|| Err(self.0.unavailable(FIRST_DELAY, "the request broke off")))
    }
}

impl Shared {
    fn cached(&self, token_hash: &TokenHash, now: SystemTime) -> Option<Outcome> {
        let active = self.active.get(token_hash, now).map(|known| Ok(known.token));
        active.or_else(|| self.refused.get(token_hash, now).map(Err))
    }

    /// Joins the request in flight for this token, or starts one unless the backoff or the limit forbids it.
    fn join_or_start(
        self: &Arc<Self>,
        token: &str,
        token_hash: TokenHash,
        is_signed: bool,
        now: SystemTime,
    ) -> Lookup {
        let refuse = |retry_after, why| Lookup::Cached(Err(self.unavailable(retry_after, why)));
        let mut requests = self.requests();
        if let Some(outcome) = requests.in_flight.get(&token_hash) {
            return Lookup::InFlight(outcome.clone());
        }
        // A response may have arrived since the caller's lookup; responses are cached under this lock.
        if let Some(known) = self.cached(&token_hash, now) {
            return Lookup::Cached(known);
        }
        let class = match is_signed || self.active.contains(&token_hash) {
            true => TokenClass::Known,
            false => TokenClass::Unknown,
        };
        if let Some(left) = requests.budgets.left(class, now) {
            return refuse(
                left,
                "it is out of reach or gets too many requests, and is asked again after a delay",
            );
        }
        if requests.in_flight.len() >= self.limit_for(class) {
            drop(requests);
            metrics::introspection(&self.server.metrics_label, "crowded");
            return refuse(
                FIRST_DELAY,
                "too many requests are in flight: it is slow, or someone sends invented tokens",
            );
        }
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return refuse(FIRST_DELAY, "there is no tokio runtime to ask it from");
        };
        let (sender, outcome) = watch::channel(None);
        requests.in_flight.insert(token_hash, outcome.clone());
        requests.budgets.sent(class, now);
        let request = IntrospectionRequest {
            shared: self.clone(),
            token_hash,
            is_compact: jwt::is_compact(token),
            class,
            sent_at: now,
            sender,
            outcome: None,
        };
        drop(requests); // a runtime that shuts down drops the request at once, and its `Drop` takes this lock
        runtime.spawn(request.send(token.to_owned()));
        Lookup::InFlight(outcome)
    }

    /// A quarter is reserved for known tokens, so that invented tokens cannot take all.
    fn limit_for(&self, class: TokenClass) -> usize {
        let most = self.settings.max_in_flight;
        match class {
            TokenClass::Known => most,
            TokenClass::Unknown => most - most / 4,
        }
    }

    fn unavailable(&self, retry_after: Duration, why: &str) -> Denial {
        Denial::unavailable(retry_after).detail(format!(
            "the introspection endpoint of {:?} cannot be asked: {why}",
            self.server.issuer(),
        ))
    }

    fn requests(&self) -> MutexGuard<'_, Requests> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records the outcome of a request: in the caches, in the backoff, in metrics and the log.
    fn record(&self, request: &IntrospectionRequest, answer: Result<Outcome, Failure>) -> Outcome {
        let (token_hash, class, now) = (request.token_hash, request.class, self.server.now());
        let mut requests = self.requests();
        if answer.is_ok() {
            requests.budgets.answered(class, now);
        }
        let (outcome, metric_outcome, should_log) = match answer {
            Ok(Ok(token)) => {
                let token = token.introspected();
                let end = token.data().expires_at.map(NonZeroU64::get);
                let answered = ActiveToken { token: token.clone(), is_compact: request.is_compact };
                self.active.insert(token_hash, answered, now, end);
                (Ok(token), "active", false)
            }
            Ok(Err(denial)) => {
                self.active.remove(&token_hash);
                self.refuse(&token_hash, &denial, self.settings.negative_cache_for, now);
                (Err(denial), "refused", false)
            }
            Err(failure) => {
                let scope = failure.scope(self.settings.api, class == TokenClass::Known);
                requests.budgets.failed(class, scope, request.sent_at, now);
                let left = requests.budgets.left(class, now).unwrap_or(FIRST_DELAY);
                let denial = failure.into_denial(self.server.issuer(), self.settings.api, left);
                self.refuse(&token_hash, &denial, FIRST_DELAY, now);
                (Err(denial), "failed", requests.budgets.should_log(class, now))
            }
        };
        requests.in_flight.remove(&token_hash);
        drop(requests);
        metrics::introspection(&self.server.metrics_label, metric_outcome);
        if let (Err(denial), true) = (&outcome, should_log) {
            self.log_failure(denial);
        }
        outcome
    }

    fn refuse(&self, token_hash: &TokenHash, denial: &Denial, time: Duration, now: SystemTime) {
        let end = now.checked_add(time).map(unix_secs);
        self.refused.insert(*token_hash, denial.clone(), now, end);
    }

    fn log_failure(&self, denial: &Denial) {
        let error = std::error::Error::source(denial).map(shown::error);
        let issuer = &*shown::field(self.server.issuer());
        let detail = shown::sentence(denial.operator_detail().unwrap_or_default());
        tracing::warn!(target: "mcp_auth", issuer, error, "{detail}");
    }
}

/// One introspection request. Its outcome is recorded when it is dropped, so that even a panic completes it.
struct IntrospectionRequest {
    shared: Arc<Shared>,
    token_hash: TokenHash,
    is_compact: bool,
    class: TokenClass,
    sent_at: SystemTime,
    sender: watch::Sender<Option<Outcome>>,
    outcome: Option<Result<Outcome, Failure>>,
}

impl IntrospectionRequest {
    async fn send(mut self, token: String) {
        let shared = self.shared.clone();
        self.outcome = Some(shared.server.introspect(&shared.settings, &token).await);
    }
}

impl Drop for IntrospectionRequest {
    fn drop(&mut self) {
        let answer = self.outcome.take().unwrap_or(Err(Failure::Interrupted));
        let outcome = self.shared.record(self, answer);
        self.sender.send_replace(Some(outcome));
    }
}

impl CacheWeight for ActiveToken {
    fn weight(&self) -> u64 {
        self.token.weight()
    }
}

impl CacheWeight for Denial {
    fn weight(&self) -> u64 {
        1
    }
}

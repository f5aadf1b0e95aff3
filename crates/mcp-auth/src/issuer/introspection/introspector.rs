//! Questions to one server: remembered, shared by all who wait for the same, and never too many.

use std::collections::HashMap;
use std::num::NonZeroU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::sync::watch;

use crate::issuer::introspection::endpoint::IntrospectionEndpoint;
use crate::issuer::introspection::failure::{Failure, FailureScope};
use crate::issuer::introspection::settings::Introspection;
use crate::issuer::token_cache::{CacheWeight, TokenCache};
use crate::model::denial::Denial;
use crate::model::provider::Shape;
use crate::model::verified_token::VerifiedToken;
use crate::net::backoff::{Backoff, FIRST_DELAY};
use crate::net::metrics;
use crate::util::unix_time::unix_secs;
use crate::verify::jwt::{self, TokenHash, TokenHasher};

/// How many refusals are remembered. They are small, and there is no harm in forgetting one.
const MAX_CACHED_REFUSALS: usize = 1_000;

/// What a question comes to, for all who wait for it.
type Outcome = Result<VerifiedToken, Denial>;

/// What there is when somebody wishes to ask.
enum Lookup {
    Cached(Outcome),
    InFlight(watch::Receiver<Option<Outcome>>),
}

/// Asks one server about its tokens. Clones are the same.
#[derive(Clone)]
pub(crate) struct Introspector(Arc<Shared>);

struct Shared {
    settings: Introspection,
    server: IntrospectionEndpoint,
    /// By which tokens are known here; nothing if the system has no randomness.
    token_hasher: Option<Arc<TokenHasher>>,
    active: TokenCache<ActiveToken>,
    /// Apart, so that whoever can send anything cannot push out what is good.
    refused: TokenCache<Denial>,
    requests: Mutex<Requests>,
}

/// A good token, as its issuer answered about it.
#[derive(Clone)]
pub(crate) struct ActiveToken {
    pub(crate) token: VerifiedToken,
    /// Whether it has the form of a JWT.
    pub(crate) is_compact: bool,
}

#[derive(Default)]
struct Requests {
    in_flight: HashMap<TokenHash, watch::Receiver<Option<Outcome>>>,
    backoff: Backoff,
    /// For tokens that were not good before.
    backoff_for_unverified: Backoff,
}

impl Introspector {
    pub(crate) fn new(settings: Introspection, server: IntrospectionEndpoint) -> Self {
        let active = TokenCache::new(settings.cached_tokens, settings.cache_for);
        // A question that failed is remembered too, for the first pause.
        let longest = settings.negative_cache_for.max(FIRST_DELAY);
        let refused = TokenCache::new(MAX_CACHED_REFUSALS, longest);
        let (token_hasher, requests) = (TokenHasher::random().map(Arc::new), Mutex::default());
        Self(Arc::new(Shared { settings, server, token_hasher, active, refused, requests }))
    }

    /// What takes the fingerprints of tokens in a resource that asks it first. Resources share what it answered
    /// if it is the first that each of them asks: there is but one fingerprint of a token.
    pub(crate) fn token_hasher(&self) -> Option<Arc<TokenHasher>> {
        self.0.token_hasher.clone()
    }

    /// Whether the issuer's JWTs are asked about too.
    pub(crate) fn introspects_jwts(&self) -> bool {
        self.0.settings.introspects_jwts
    }

    /// What a token shows of whether it is this server's.
    pub(crate) fn shape_of(&self, token: &str) -> Shape {
        self.0.settings.api.map_or(Shape::Possible, |api| api.shape_of(token))
    }

    /// What to say of a token that cannot be this server's.
    pub(crate) fn about_shape(&self) -> Option<&'static str> {
        self.0.settings.api.map(|api| api.about_shape)
    }

    /// Whether it is known where to ask.
    pub(crate) fn is_ready(&self) -> bool {
        self.0.server.known_endpoint(&self.0.settings).is_some()
    }

    /// What is remembered of a good token.
    pub(crate) fn get(&self, token_hash: &TokenHash, now: SystemTime) -> Option<ActiveToken> {
        self.0.active.get(token_hash, now)
    }

    /// What the server says of a token, now or a moment ago.
    pub(crate) async fn verify(
        &self,
        token: &str,
        token_hash: TokenHash,
        now: SystemTime,
    ) -> Outcome {
        if let Some(known) = self.0.cache(&token_hash, now) {
            return known;
        }
        let mut request = match self.0.ask(token, token_hash, now) {
            Lookup::Cached(outcome) => return outcome,
            Lookup::InFlight(request) => request,
        };
        let answered = request.wait_for(Option::is_some).await;
        let outcome = answered.ok().and_then(|outcome| outcome.clone());
        outcome.unwrap_or_else(|| Err(self.0.unavailable(FIRST_DELAY, "the question broke off")))
    }
}

impl Shared {
    fn cache(&self, token_hash: &TokenHash, now: SystemTime) -> Option<Outcome> {
        let active = self.active.get(token_hash, now).map(|known| Ok(known.token));
        active.or_else(|| self.refused.get(token_hash, now).map(Err))
    }

    /// Joins the question under way, or asks it, if there are not too many already.
    fn ask(self: &Arc<Self>, token: &str, token_hash: TokenHash, now: SystemTime) -> Lookup {
        let refuse = |retry_after, why| Lookup::Cached(Err(self.unavailable(retry_after, why)));
        let mut requests = self.requests();
        if let Some(request) = requests.in_flight.get(&token_hash) {
            return Lookup::InFlight(request.clone());
        }
        // It may have been answered since the caller looked; answers are entered under this lock.
        if let Some(known) = self.cache(&token_hash, now) {
            return Lookup::Cached(known);
        }
        let is_known = self.active.contains(&token_hash);
        if let Some(left) = requests.backoff_left(is_known, now) {
            return refuse(left, "it is out of reach, and is asked again after a pause");
        }
        if requests.in_flight.len() >= self.most_under_way(is_known) {
            drop(requests);
            metrics::introspection(self.server.issuer(), "crowded");
            return refuse(
                FIRST_DELAY,
                "too many questions are under way: it is slow, or a stranger sends invented tokens",
            );
        }
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return refuse(FIRST_DELAY, "there is no tokio runtime to ask it from");
        };
        let (answer, request) = watch::channel(None);
        requests.in_flight.insert(token_hash, request.clone());
        let asked = IntrospectionRequest {
            shared: self.clone(),
            token_hash,
            is_compact: jwt::is_compact(token),
            is_known,
            asked: now,
            answer,
            outcome: None,
        };
        drop(requests); // a runtime that shuts down drops the request at once, which enters its end
        runtime.spawn(asked.ask(token.to_owned()));
        Lookup::InFlight(request)
    }

    /// A quarter is kept for tokens that were good before, so that strangers cannot have all.
    fn most_under_way(&self, is_known: bool) -> usize {
        let most = self.settings.max_in_flight;
        if is_known { most } else { most - most / 4 }
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

    /// Enters what a question has come to, for those who come later.
    fn enter(&self, request: &IntrospectionRequest, answer: Result<Outcome, Failure>) -> Outcome {
        let (token_hash, now) = (request.token_hash, self.server.now());
        let mut requests = self.requests();
        let (outcome, word, should_log) = match answer {
            Ok(Ok(token)) => {
                requests.answered();
                let token = token.asked_about();
                let end = token.data().expires_at.map(NonZeroU64::get);
                let answered = ActiveToken { token: token.clone(), is_compact: request.is_compact };
                self.active.insert(token_hash, answered, now, end);
                (Ok(token), "active", false)
            }
            Ok(Err(denial)) => {
                requests.answered();
                self.active.remove(&token_hash);
                self.refuse(&token_hash, &denial, self.settings.negative_cache_for, now);
                (Err(denial), "refused", false)
            }
            Err(failure) => {
                match failure.scope(self.settings.api, request.is_known) {
                    FailureScope::All => requests.backoff.failed(request.asked, now),
                    FailureScope::Unverified => {
                        requests.backoff_for_unverified.failed(request.asked, now)
                    }
                    FailureScope::ThisToken => {}
                }
                let left = requests.backoff_left(request.is_known, now).unwrap_or(FIRST_DELAY);
                let denial = failure.into_denial(self.server.issuer(), self.settings.api, left);
                self.refuse(&token_hash, &denial, FIRST_DELAY, now);
                (Err(denial), "failed", requests.backoff.should_log(now))
            }
        };
        requests.in_flight.remove(&token_hash);
        drop(requests);
        metrics::introspection(self.server.issuer(), word);
        if let (Err(denial), true) = (&outcome, should_log) {
            self.tell(denial);
        }
        outcome
    }

    fn refuse(&self, token_hash: &TokenHash, denial: &Denial, time: Duration, now: SystemTime) {
        let end = now.checked_add(time).map(unix_secs);
        self.refused.insert(*token_hash, denial.clone(), now, end);
    }

    fn tell(&self, denial: &Denial) {
        let (issuer, error) = (self.server.issuer(), std::error::Error::source(denial));
        let detail = denial.operator_detail().unwrap_or_default();
        tracing::warn!(target: "mcp_auth", issuer, error, "{detail}");
    }
}

impl Requests {
    /// How long there is to wait, with a token that was good before, or not.
    fn backoff_left(&self, is_known: bool, now: SystemTime) -> Option<Duration> {
        let for_unknown = self.backoff_for_unverified.left(now).filter(|_| !is_known);
        self.backoff.left(now).max(for_unknown)
    }

    fn answered(&mut self) {
        self.backoff.reset();
        self.backoff_for_unverified.reset();
    }
}

/// One question. What it comes to is entered when it is dropped, so that even a panic ends it.
struct IntrospectionRequest {
    shared: Arc<Shared>,
    token_hash: TokenHash,
    is_compact: bool,
    /// Whether the token was good before.
    is_known: bool,
    asked: SystemTime,
    answer: watch::Sender<Option<Outcome>>,
    outcome: Option<Result<Outcome, Failure>>,
}

impl IntrospectionRequest {
    async fn ask(mut self, token: String) {
        let shared = self.shared.clone();
        self.outcome = Some(shared.server.ask(&shared.settings, &token).await);
    }
}

impl Drop for IntrospectionRequest {
    fn drop(&mut self) {
        let answer = self.outcome.take().unwrap_or(Err(Failure::Interrupted));
        let outcome = self.shared.enter(self, answer);
        self.answer.send_replace(Some(outcome));
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

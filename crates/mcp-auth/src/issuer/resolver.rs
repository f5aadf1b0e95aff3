//! Issuers that are known only at run time: somebody is asked, seldom, and his answers are kept.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;

use crate::issuer::authorization_server::AuthorizationServer;
use crate::model::denial::Denial;
use crate::model::issuer_pattern::IssuerSet;
use crate::net::box_future::BoxFuture;
use crate::net::clock::Clock;
use crate::net::fetch::FetchError;
use crate::net::refreshing_cache::{RefreshError, RefreshingCache, Timing};

/// How long an issuer is trusted before the next question. Withdrawn, it is refused at the latest after
/// this time and that for which a verified token is remembered, 5 minutes each.
const POSITIVE_TTL: Duration = Duration::from_secs(5 * 60);

/// How long an issuer is refused before the next question: a new tenant waits so long at most.
const NEGATIVE_TTL: Duration = Duration::from_secs(60);

/// How long an issuer stays trusted while there is no answer.
const MAX_STALE: Duration = Duration::from_secs(60 * 60);

/// How long an answer may take.
const RESOLVE_TIMEOUT: Duration = Duration::from_secs(5);

/// How many questions about strangers are under way at once. Trusted issuers are not counted.
const MAX_CONCURRENT: usize = 16;

/// How many issuers that are not trusted are remembered: the oldest are forgotten.
const MAX_NEGATIVE: usize = 1000;

/// How many trusted issuers are remembered, should the resolver trust whatever it is asked for. Beyond, one of
/// them is forgotten for each new one, and asked for again when it comes back.
const MAX_POSITIVE: usize = 10_000;

/// Asks which authorization server an issuer is.
pub(crate) type ResolveFn = Arc<
    dyn Fn(
            String,
        ) -> BoxFuture<
            'static,
            Result<Option<AuthorizationServer>, Box<dyn std::error::Error + Send + Sync>>,
        > + Send
        + Sync,
>;

/// Knows the authorization servers of a family of issuers by asking for each.
pub(crate) struct IssuerResolver {
    issuer_set: IssuerSet,
    ask: ResolveFn,
    clock: Arc<dyn Clock>,
    questions: Arc<Semaphore>,
    known: Mutex<Known>,
}

type Answer = Arc<RefreshingCache<Option<AuthorizationServer>>>;

/// Two lists, so that a crowd of strangers displaces nobody who is trusted.
#[derive(Default)]
struct Known {
    trusted: HashMap<Arc<str>, Answer>,
    refused: HashMap<Arc<str>, Answer>,
    /// The strangers, the oldest first.
    order: VecDeque<Arc<str>>,
}

impl IssuerResolver {
    pub(crate) fn new(issuer_set: IssuerSet, ask: ResolveFn, clock: Arc<dyn Clock>) -> Self {
        let questions = Arc::new(Semaphore::new(MAX_CONCURRENT));
        Self { issuer_set, ask, clock, questions, known: Mutex::default() }
    }

    /// Whether an issuer is of the form that is asked for.
    pub(crate) fn contains(&self, issuer: &str) -> bool {
        self.issuer_set.contains(issuer)
    }

    /// The authorization server of an issuer; nothing if it is not trusted.
    pub(crate) async fn resolve(
        &self,
        issuer: &str,
    ) -> Result<Option<AuthorizationServer>, Denial> {
        let answer = self.known().answer(issuer, || self.question(issuer));
        let server = answer.current().await.map_err(unavailable)?;
        self.known().enter(issuer, answer, server.is_some());
        Ok(Option::clone(&server))
    }

    fn question(&self, issuer: &str) -> Answer {
        let (issuer, ask, questions): (Arc<str>, _, _) =
            (issuer.into(), self.ask.clone(), self.questions.clone());
        let load = move |cached: Option<Arc<Option<AuthorizationServer>>>| {
            let (issuer, ask, questions) = (issuer.clone(), ask.clone(), questions.clone());
            let load: BoxFuture<'static, _> = Box::pin(async move {
                let is_trusted = cached.is_some_and(|server| server.is_some());
                let permit = questions.try_acquire();
                if permit.is_err() && !is_trusted {
                    return Err(failed("too many unknown issuers at once"));
                }
                let answer = tokio::time::timeout(RESOLVE_TIMEOUT, ask(issuer.to_string())).await;
                let answer = answer.map_err(|_| FetchError::Timeout(RESOLVE_TIMEOUT))?;
                let server = answer.map_err(FetchError::Transport)?;
                let server = server.filter(|server| is_acceptable(server, &issuer));
                let lifetime = if server.is_some() { POSITIVE_TTL } else { NEGATIVE_TTL };
                Ok((server, lifetime))
            });
            load
        };
        let timing = Timing { cooldown: NEGATIVE_TTL, max_stale: MAX_STALE };
        Arc::new(RefreshingCache::new(self.clock.clone(), timing, Box::new(load)))
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    /// The answer about an issuer, perhaps one that is still waited for.
    fn answer(&mut self, issuer: &str, question: impl FnOnce() -> Answer) -> Answer {
        if let Some(known) = self.trusted.get(issuer).or_else(|| self.refused.get(issuer)) {
            return known.clone();
        }
        let answer = question();
        self.insert_refused(issuer.into(), answer.clone());
        answer
    }

    /// Puts an issuer where it belongs by the answer.
    fn enter(&mut self, issuer: &str, answer: Answer, is_trusted: bool) {
        if is_trusted == self.trusted.contains_key(issuer) {
            return;
        }
        if is_trusted {
            let issuer = self.refused.remove_entry(issuer).map_or_else(|| issuer.into(), |it| it.0);
            self.order.retain(|refused| *refused != issuer);
            if self.trusted.len() >= MAX_POSITIVE
                && let Some(any) = self.trusted.keys().next().cloned()
            {
                self.trusted.remove(&any);
            }
            self.trusted.insert(issuer, answer);
        } else if let Some((issuer, answer)) = self.trusted.remove_entry(issuer) {
            self.insert_refused(issuer, answer);
        }
    }

    fn insert_refused(&mut self, issuer: Arc<str>, answer: Answer) {
        if self.order.len() >= MAX_NEGATIVE
            && let Some(oldest) = self.order.pop_front()
        {
            self.refused.remove(&oldest);
        }
        self.order.push_back(issuer.clone());
        self.refused.insert(issuer, answer);
    }
}

/// The authorization server of an issuer, by the first of these that trusts it.
pub(crate) async fn resolve(
    resolvers: &[IssuerResolver],
    issuer: &str,
) -> Result<Option<AuthorizationServer>, Denial> {
    for resolver in resolvers.iter().filter(|resolver| resolver.contains(issuer)) {
        if let Some(server) = resolver.resolve(issuer).await? {
            return Ok(Some(server));
        }
    }
    Ok(None)
}

/// Whether the answer is the server of this very issuer, so that no other can speak in its name, and is
/// described as `build()` would have it.
fn is_acceptable(server: &AuthorizationServer, issuer: &str) -> bool {
    let is_its_own = server.issuer() == issuer && server.issues(issuer);
    let config_error = match server.introspects() {
        _ if !is_its_own => Some("it is another server, or one without keys"),
        Some(asking) if !asking.introspects_jwts() => Some(
            "it is to be asked about opaque tokens, which name no issuer: say `.introspect_jwts()`, or leave `.introspection(..)` out",
        ),
        Some(asking) => asking.config_error(),
        None => None,
    };
    if let Some(why) = config_error {
        tracing::warn!(
            target: "mcp_auth",
            asked_for = issuer,
            answered = server.issuer(),
            "the issuer is refused for what the issuer resolver answered: {why}",
        );
    }
    config_error.is_none()
}

fn unavailable(error: RefreshError) -> Denial {
    error.into_denial(
        "it cannot be found out whether the token's issuer is trusted: the issuer resolver failed, or is asked for too many unknown issuers at once",
    )
}

fn failed(why: &'static str) -> FetchError {
    FetchError::Transport(why.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::issuer_pattern::IssuerPattern;
    use crate::net::clock::ManualClock;

    #[test]
    fn a_hundred_thousand_issuers_leave_memory_bounded() {
        let template = IssuerPattern::parse("https://{t}.example.com").expect("a template");
        let ask: ResolveFn = Arc::new(|_| Box::pin(std::future::pending()));
        let issuer_set = IssuerSet { template, tenants: None };
        let resolver = IssuerResolver::new(issuer_set, ask, Arc::new(ManualClock::new()));
        let answer = resolver.question("https://t.example.com");
        let mut known = Known::default();
        for i in 0..100_000 {
            let issuer = format!("https://t{i}.example.com");
            known.answer(&issuer, || answer.clone());
            if i % 2 == 0 {
                known.enter(&issuer, answer.clone(), true);
            }
        }
        assert_eq!(known.trusted.len(), MAX_POSITIVE);
        assert_eq!(known.refused.len(), MAX_NEGATIVE);
        assert_eq!(known.order.len(), MAX_NEGATIVE);
    }

    #[test]
    fn who_is_no_longer_trusted_is_a_stranger_again() {
        let template = IssuerPattern::parse("https://{t}.example.com").expect("a template");
        let ask: ResolveFn = Arc::new(|_| Box::pin(std::future::pending()));
        let issuer_set = IssuerSet { template, tenants: None };
        let resolver = IssuerResolver::new(issuer_set, ask, Arc::new(ManualClock::new()));
        let issuer = "https://t.example.com";
        let answer = resolver.question(issuer);
        let mut known = Known::default();
        for is_trusted in [false, true, true, false, false, true] {
            let same = known.answer(issuer, || answer.clone());
            assert!(Arc::ptr_eq(&same, &answer));
            known.enter(issuer, same, is_trusted);
            assert_eq!(known.trusted.contains_key(issuer), is_trusted);
            assert_eq!(known.refused.contains_key(issuer), !is_trusted);
            assert_eq!(known.order.len(), known.refused.len());
        }
    }
}

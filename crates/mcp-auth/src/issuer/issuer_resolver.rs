//! Issuers that are known only at run time: the application's resolver is called, and its answers are cached.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::issuer::authorization_server::AuthorizationServer;
use crate::model::denial::Denial;
use crate::model::issuer_pattern::IssuerSet;
use crate::net::backoff::MAX_DELAY;
use crate::net::box_future::BoxFuture;
use crate::net::catch_panic::catch_panic;
use crate::net::clock::Clock;
use crate::net::fetch::FetchError;
use crate::net::places::Places;
use crate::net::refresh::{Fetched, LoadError, Loaded, RefreshError};
use crate::net::refreshing_cache::{RefreshingCache, Timing};
use crate::util::shown;

/// How long an issuer is trusted before it is resolved again. If the resolver withdraws it, it is refused at the
/// latest after this time plus the time that a verified token is cached, 5 minutes each.
const POSITIVE_TTL: Duration = Duration::from_secs(5 * 60);

/// How long an issuer is refused before it is resolved again: a new tenant waits no longer than this.
const NEGATIVE_TTL: Duration = Duration::from_secs(60);

/// How long an issuer stays trusted while the resolver fails.
const MAX_STALE: Duration = Duration::from_secs(60 * 60);

/// Timeout of one call of the resolver.
const RESOLVE_TIMEOUT: Duration = Duration::from_secs(5);

/// Maximum number of concurrent calls about issuers that are not trusted yet. Calls about trusted issuers are not
/// limited.
const MAX_CONCURRENT: usize = 16;

/// Maximum number of issuers that wait for such a call. It is more than 16 calls of 5 s can serve in the time that they
/// wait, so more would only cost memory.
const MAX_WAITING: usize = 256;

/// How long an issuer waits. In this time each place becomes free at least twice.
const MAX_WAIT: Duration = Duration::from_secs(10);

/// Maximum number of cached issuers that are not trusted; beyond it the oldest is evicted. It is more than can be
/// asked about or wait, and those are not evicted.
const MAX_NEGATIVE: usize = 1000;

/// Maximum number of cached trusted issuers, in case the resolver trusts every issuer. Beyond it each new issuer
/// evicts another one, which is resolved again when it is next needed.
const MAX_POSITIVE: usize = 10_000;

/// The application's function that returns the authorization server of an issuer.
pub(crate) type ResolveFn = Arc<
    dyn Fn(
            String,
        ) -> BoxFuture<
            'static,
            Result<Option<AuthorizationServer>, Box<dyn std::error::Error + Send + Sync>>,
        > + Send
        + Sync,
>;

/// Resolves the authorization servers of a family of issuers, and caches the answers.
pub(crate) struct IssuerResolver {
    issuer_set: IssuerSet,
    resolve_fn: ResolveFn,
    clock: Arc<dyn Clock>,
    places: Places,
    known: Mutex<ResolvedIssuers>,
}

type CacheEntry = Arc<RefreshingCache<Option<AuthorizationServer>>>;

/// Two maps, so that many untrusted issuers cannot evict a trusted one.
#[derive(Default)]
struct ResolvedIssuers {
    trusted: HashMap<Arc<str>, CacheEntry>,
    untrusted: HashMap<Arc<str>, CacheEntry>,
    /// The issuers in `untrusted`, the oldest first.
    untrusted_order: VecDeque<Arc<str>>,
}

impl IssuerResolver {
    pub(crate) fn new(issuer_set: IssuerSet, resolve_fn: ResolveFn, clock: Arc<dyn Clock>) -> Self {
        let places = Places::new(MAX_CONCURRENT, MAX_WAITING);
        Self { issuer_set, resolve_fn, clock, places, known: Mutex::default() }
    }

    /// Whether the issuer is one of the family.
    pub(crate) fn contains(&self, issuer: &str) -> bool {
        self.issuer_set.contains(issuer)
    }

    /// Returns the authorization server of an issuer, or `None` if the issuer is not trusted.
    pub(crate) async fn resolve(
        &self,
        issuer: &str,
    ) -> Result<Option<AuthorizationServer>, Denial> {
        let entry = self.known().entry(issuer, || self.new_entry(issuer));
        let mut server = entry.current().await.map_err(unavailable)?;
        if server.is_none() && server.lifetime_left(self.clock.now()).is_zero() {
            // Only trust outlasts an outage of the resolver: the issuer may have become a tenant since.
            server = entry.refresh_after_miss(&server).await.map_err(unavailable)?;
        }
        self.known().file_under(issuer, entry, server.is_some());
        Ok(Option::clone(&server))
    }

    fn new_entry(&self, issuer: &str) -> CacheEntry {
        let (issuer, resolve_fn, places): (Arc<str>, _, _) =
            (issuer.into(), self.resolve_fn.clone(), self.places.clone());
        let pattern: Arc<str> = self.issuer_set.template.as_str().into();
        let load = move |cached: Option<Arc<Fetched<Option<AuthorizationServer>>>>| {
            let (issuer, resolve_fn, places) = (issuer.clone(), resolve_fn.clone(), places.clone());
            let pattern = pattern.clone();
            let loading: BoxFuture<'static, _> = Box::pin(async move {
                let is_trusted = cached.is_some_and(|server| server.is_some());
                let _place = match is_trusted {
                    true => None,
                    false => Some(places.get(MAX_WAIT).await.ok_or(LoadError::NotAsked(None))?),
                };
                let answer = catch_panic(|| resolve_fn(issuer.to_string()));
                let answer = tokio::time::timeout(RESOLVE_TIMEOUT, answer).await;
                let answer = answer.map_err(|_| FetchError::Timeout(RESOLVE_TIMEOUT))?;
                let answer = answer.map_err(|_| failed("the issuer resolver panicked"))?;
                // The error itself is not logged: it may contain the issuer that the caller named, or a secret.
                let server = answer.map_err(|_| failed("the issuer resolver returned an error"))?;
                let server = server.filter(|server| is_acceptable(server, &issuer));
                if let Some(server) = &server {
                    server.metrics_label().set_pattern(&pattern);
                }
                let lifetime = if server.is_some() { POSITIVE_TTL } else { NEGATIVE_TTL };
                Ok(Loaded::new(server, lifetime))
            });
            loading
        };
        let timing = Timing { cooldown: NEGATIVE_TTL, max_delay: MAX_DELAY, max_stale: MAX_STALE };
        Arc::new(RefreshingCache::new(self.clock.clone(), timing, Box::new(load)))
    }

    fn known(&self) -> MutexGuard<'_, ResolvedIssuers> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ResolvedIssuers {
    /// The cache entry of an issuer, or a new one that is still to be loaded.
    fn entry(&mut self, issuer: &str, new_entry: impl FnOnce() -> CacheEntry) -> CacheEntry {
        if let Some(known) = self.trusted.get(issuer).or_else(|| self.untrusted.get(issuer)) {
            return known.clone();
        }
        let entry = new_entry();
        self.insert_untrusted(issuer.into(), entry.clone());
        entry
    }

    /// Moves an issuer to the map of its answer.
    fn file_under(&mut self, issuer: &str, entry: CacheEntry, is_trusted: bool) {
        if is_trusted == self.trusted.contains_key(issuer) {
            return;
        }
        if is_trusted {
            let issuer =
                self.untrusted.remove_entry(issuer).map_or_else(|| issuer.into(), |it| it.0);
            self.untrusted_order.retain(|untrusted| *untrusted != issuer);
            if self.trusted.len() >= MAX_POSITIVE
                && let Some(any) = self.trusted.keys().next().cloned()
            {
                self.trusted.remove(&any);
            }
            self.trusted.insert(issuer, entry);
        } else if let Some((issuer, entry)) = self.trusted.remove_entry(issuer) {
            self.insert_untrusted(issuer, entry);
        }
    }

    fn insert_untrusted(&mut self, issuer: Arc<str>, entry: CacheEntry) {
        while self.untrusted_order.len() >= MAX_NEGATIVE && self.evict_untrusted() {}
        self.untrusted_order.push_back(issuer.clone());
        self.untrusted.insert(issuer, entry);
    }

    /// Evicts the oldest issuer that is not being asked about, if there is one: whoever invents issuers must not make
    /// another's answer get lost. As many are being asked about, or wait, as the limits above allow.
    fn evict_untrusted(&mut self) -> bool {
        let is_idle =
            |issuer: &Arc<str>| self.untrusted.get(issuer).is_none_or(|it| !it.is_refreshing());
        let oldest = self.untrusted_order.iter().position(is_idle);
        let oldest = oldest.and_then(|index| self.untrusted_order.remove(index));
        oldest.map(|issuer| self.untrusted.remove(&issuer)).is_some()
    }
}

/// The authorization server of an issuer, from the first of these resolvers that trusts it.
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

/// Whether the answer is the server of exactly this issuer, so that no server can issue tokens in another's name,
/// and whether `build()` would accept its configuration.
fn is_acceptable(server: &AuthorizationServer, issuer: &str) -> bool {
    let is_its_own = server.issuer() == issuer && server.issues(issuer);
    let config_error = match server.introspects() {
        _ if !is_its_own => Some("it is another server, or one without keys"),
        _ if !server.can_fetch()
            && (server.has_remote_keys() || server.introspects().is_some()) =>
        {
            Some(
                "it has no HTTP client: enable the feature `reqwest`, or give it one with `.fetch(..)`",
            )
        }
        _ if server.fetch_config_error().is_some() => server.fetch_config_error(),
        Some(asking) if !asking.introspects_jwts() => Some(
            "it is to be asked about opaque tokens, which name no issuer: say `.introspect_jwts()`, or leave `.introspection(..)` out",
        ),
        _ if server.public_http_host().is_some() => {
            Some("it allows plain http to a host that is not of a private network")
        }
        _ => server.introspection_error(),
    };
    if let Some(why) = config_error {
        // The issuer that was asked for is untrusted text, and the answer may repeat it.
        tracing::debug!(target: "mcp_auth", asked_for = &*shown::field(issuer), answered = &*shown::field(server.issuer()), "refused by its resolver's answer");
        tracing::warn!(
            target: "mcp_auth",
            "an issuer (logged at debug) is refused for what the issuer resolver answered: {why}",
        );
    }
    config_error.is_none()
}

const CANNOT_ASK: &str = "it cannot be found out whether the token's issuer is trusted: the issuer resolver failed, or is asked for too many unknown issuers at once";

fn unavailable(error: RefreshError) -> Denial {
    error.into_denial(CANNOT_ASK)
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
        let resolve_fn: ResolveFn = Arc::new(|_| Box::pin(std::future::pending()));
        let issuer_set = IssuerSet { template, tenants: None };
        let resolver = IssuerResolver::new(issuer_set, resolve_fn, Arc::new(ManualClock::new()));
        let entry = resolver.new_entry("https://t.example.com");
        let mut known = ResolvedIssuers::default();
        for i in 0..100_000 {
            let issuer = format!("https://t{i}.example.com");
            known.entry(&issuer, || entry.clone());
            if i % 2 == 0 {
                known.file_under(&issuer, entry.clone(), true);
            }
        }
        assert_eq!(known.trusted.len(), MAX_POSITIVE);
        assert_eq!(known.untrusted.len(), MAX_NEGATIVE);
        assert_eq!(known.untrusted_order.len(), MAX_NEGATIVE);
    }

    #[test]
    fn an_issuer_moves_between_trusted_and_refused() {
        let template = IssuerPattern::parse("https://{t}.example.com").expect("a template");
        let resolve_fn: ResolveFn = Arc::new(|_| Box::pin(std::future::pending()));
        let issuer_set = IssuerSet { template, tenants: None };
        let resolver = IssuerResolver::new(issuer_set, resolve_fn, Arc::new(ManualClock::new()));
        let issuer = "https://t.example.com";
        let entry = resolver.new_entry(issuer);
        let mut known = ResolvedIssuers::default();
        for is_trusted in [false, true, true, false, false, true] {
            let same = known.entry(issuer, || entry.clone());
            assert!(Arc::ptr_eq(&same, &entry));
            known.file_under(issuer, same, is_trusted);
            assert_eq!(known.trusted.contains_key(issuer), is_trusted);
            assert_eq!(known.untrusted.contains_key(issuer), !is_trusted);
            assert_eq!(known.untrusted_order.len(), known.untrusted.len());
        }
    }
}

//! `ServiceToken`: a token of this server's own, for another server.

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::issuer::token_exchange::failure::Failure;
use crate::issuer::token_exchange::settings::Settings;
use crate::issuer::token_exchange::target::Target;
use crate::issuer::token_exchange::token::ExchangedToken;
use crate::model::denial::Denial;
use crate::net::backoff::{FIRST_DELAY, MAX_DELAY};
use crate::net::fetch::FetchError;
use crate::net::log_limiter::LogLimiter;
use crate::net::metrics;
use crate::net::refresh::{LoadError, Loaded};
use crate::net::refreshing_cache::{RefreshingCache, Timing};
use crate::util::shown;
use crate::util::unix_time::unix_secs;

/// How long before its expiry a token is not used anymore, in seconds: the request that is made with it must arrive, and
/// clocks differ. Of a token that lives for less than twice that, half of its time.
const HEADROOM: u64 = 10;

/// How long a token is used whose issuer does not say when it expires.
const UNKNOWN_LIFETIME: Duration = Duration::from_secs(30);

/// No token is used past its lifetime.
const TIMING: Timing =
    Timing { cooldown: FIRST_DELAY, max_delay: MAX_DELAY, max_stale: Duration::ZERO };

/// A token of this server's own, for another server: the client credentials grant
/// ([RFC 6749 §4.4](https://www.rfc-editor.org/rfc/rfc6749#section-4.4)).
///
/// Created by [`TokenExchange::client_credentials`](crate::TokenExchange::client_credentials). Whoever causes a request with
/// it acts with the rights of this server: use it only after the caller was admitted. Clones share the token.
#[derive(Clone)]
pub struct ServiceToken {
    cache: Arc<RefreshingCache<ExchangedToken>>,
    settings: Arc<Settings>,
}

impl ServiceToken {
    pub(super) fn new(settings: Arc<Settings>, target: Target) -> Self {
        let clock = settings.server.shared_clock();
        let (target, limiter) = (Arc::new(target), Arc::new(Mutex::new(LogLimiter::default())));
        let used = settings.clone();
        let load = move |_| {
            let (settings, target, limiter) = (used.clone(), target.clone(), limiter.clone());
            let load = async move { settings.load(&target, &limiter).await };
            Box::pin(load) as _
        };
        let cache = Arc::new(RefreshingCache::new(clock, TIMING, Box::new(load)));
        Self { cache, settings }
    }

    /// The current token. It is requested at the first call, and again before it expires; concurrent calls share one request.
    ///
    /// ```
    /// use mcp_auth::{Denial, ServiceToken};
    ///
    /// async fn authorization(notes: &ServiceToken) -> Result<http::HeaderValue, Denial> {
    ///     Ok(notes.current().await?.authorization())
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Unavailable`](crate::DenialKind::Unavailable) (503) if the issuer refuses this server, or cannot be asked. The
    /// [detail](Denial::operator_detail) says what to change.
    pub async fn current(&self) -> Result<ExchangedToken, Denial> {
        let token = self.cache.current().await.map_err(|error| {
            let issuer = self.settings.server.issuer();
            error.into_denial(format!("this server has no token of its own from {issuer:?}"))
        })?;
        Ok(ExchangedToken::clone(&token))
    }
}

impl fmt::Debug for ServiceToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServiceToken")
            .field("issuer", &self.settings.server.issuer())
            .finish_non_exhaustive()
    }
}

impl Settings {
    async fn load(
        &self,
        target: &Target,
        limiter: &Mutex<LogLimiter>,
    ) -> Result<Loaded<ExchangedToken>, LoadError> {
        let sent_at = self.server.used_clock().now();
        let label = self.server.metrics_label();
        match self.ask(None, target, sent_at).await {
            Ok(token) => {
                metrics::token_exchange(label, "issued");
                let lifetime = token.0.expires_at.map_or(UNKNOWN_LIFETIME, |end| {
                    let seconds = end.get().saturating_sub(unix_secs(sent_at));
                    Duration::from_secs(seconds.saturating_sub(HEADROOM).max(seconds / 2))
                });
                Ok(Loaded::new(token, lifetime.min(self.cache_for)))
            }
            Err(failure) => {
                let is_refused = matches!(failure, Failure::Refused(_));
                metrics::token_exchange(label, if is_refused { "refused" } else { "failed" });
                let denial = failure.into_denial(self.server.issuer(), target, FIRST_DELAY);
                let error = std::error::Error::source(&denial).map(shown::error);
                let why = denial.operator_detail().unwrap_or_default().to_owned();
                if limiter.lock().is_ok_and(|mut limiter| limiter.should_log()) {
                    tracing::warn!(target: "mcp_auth", error, "{}", shown::sentence(&why));
                }
                Err(FetchError::InvalidDocument { url: self.server.issuer().into(), why }.into())
            }
        }
    }
}

//! The metrics of this crate, recorded through the `metrics` facade.
//!
//! Label values are constants of this crate or configured strings, so that untrusted input cannot create new ones.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// The label `issuer` of an authorization server: its issuer, or the pattern of the issuer resolver that returned the
/// server. Which issuers a resolver is asked for is untrusted input, and it may trust all of them.
#[derive(Clone, Debug)]
pub(crate) struct IssuerLabel {
    issuer: Arc<str>,
    /// Shared by clones.
    pattern: Arc<OnceLock<Arc<str>>>,
}

impl IssuerLabel {
    pub(crate) fn new(issuer: Arc<str>) -> Self {
        Self { issuer, pattern: Arc::default() }
    }

    /// Sets the pattern of the resolver that returned the server. Later calls have no effect.
    pub(crate) fn set_pattern(&self, pattern: &Arc<str>) {
        let _ = self.pattern.set(pattern.clone());
    }

    /// The pattern of the resolver that returned the server, if one did. Then an issuer that a token names is not
    /// verified before the token is.
    pub(crate) fn pattern(&self) -> Option<&str> {
        self.pattern.get().map(|pattern| &**pattern)
    }

    fn value(&self) -> Arc<str> {
        self.pattern.get().unwrap_or(&self.issuer).clone()
    }
}

/// `mcp_auth_decisions_total{decision}`: requests, by `admitted`, `anonymous` or the code of the denial.
pub(crate) fn decision(code: &'static str) {
    match code {
        // Literal labels need no allocation, and most requests are admitted.
        "admitted" => metrics::counter!("mcp_auth_decisions_total", "decision" => "admitted"),
        code => metrics::counter!("mcp_auth_decisions_total", "decision" => code),
    }
    .increment(1);
}

/// `mcp_auth_token_cache_total{outcome}`: token look-ups, by `hit` or `miss`.
pub(crate) fn token_cache(is_hit: bool) {
    match is_hit {
        true => metrics::counter!("mcp_auth_token_cache_total", "outcome" => "hit"),
        false => metrics::counter!("mcp_auth_token_cache_total", "outcome" => "miss"),
    }
    .increment(1);
}

/// `mcp_auth_foreign_ids_total{kind}`: presented `session` or `event` ids that were not issued to the caller.
pub(crate) fn foreign_id(kind: &'static str) {
    metrics::counter!("mcp_auth_foreign_ids_total", "kind" => kind).increment(1);
}

/// `mcp_auth_streams_ended_total{reason}`: listening streams whose token has `expired`, that were `closed`, or of anonymous
/// callers whose session a caller has `claimed`; and event streams whose token was `revoked`.
pub(crate) fn stream_ended(reason: &'static str) {
    metrics::counter!("mcp_auth_streams_ended_total", "reason" => reason).increment(1);
}

/// `mcp_auth_bad_gateway_total{reason}`: responses that are `broken` off before their first message, or whose lists could
/// not be filtered, because they are `encoded`, `too_long` or `unreadable`.
pub(crate) fn bad_gateway(reason: &'static str) {
    metrics::counter!("mcp_auth_bad_gateway_total", "reason" => reason).increment(1);
}

/// `mcp_auth_refreshes_total{document, issuer, outcome}`: fetches of `keys` and `metadata`, and reads of the file of
/// API keys (`api_keys`), by `ok` or `failed`.
pub(crate) fn refresh(document: &'static str, issuer: &IssuerLabel, is_ok: bool) {
    let outcome = if is_ok { "ok" } else { "failed" };
    metrics::counter!("mcp_auth_refreshes_total", "document" => document, "issuer" => issuer.value(), "outcome" => outcome).increment(1);
}

/// `mcp_auth_keys_age_seconds{issuer}`: the age of the keys in use, recorded at each look-up that needs them.
pub(crate) fn keys_age(issuer: &IssuerLabel, age: impl FnOnce() -> Option<Duration>) {
    if let Some(age) = age() {
        metrics::gauge!("mcp_auth_keys_age_seconds", "issuer" => issuer.value())
            .set(age.as_secs_f64());
    }
}

/// `mcp_auth_introspections_total{issuer, outcome}`: introspections, by `active`, `refused`, `failed`, or `crowded`
/// if too many requests were in flight.
pub(crate) fn introspection(issuer: &IssuerLabel, outcome: &'static str) {
    metrics::counter!("mcp_auth_introspections_total", "issuer" => issuer.value(), "outcome" => outcome).increment(1);
}

/// `mcp_auth_token_exchanges_total{issuer, outcome}`: token exchanges, by `issued`, `refused`, `failed`, or `crowded` if
/// too many requests were in flight. Cached tokens are not counted.
pub(crate) fn token_exchange(issuer: &IssuerLabel, outcome: &'static str) {
    metrics::counter!("mcp_auth_token_exchanges_total", "issuer" => issuer.value(), "outcome" => outcome).increment(1);
}

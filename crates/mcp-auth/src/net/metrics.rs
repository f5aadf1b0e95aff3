//! The metrics of this crate, recorded through the `metrics` facade.
//!
//! Label values are constants of this crate, configured strings, and issuers that the application's issuer resolver
//! trusts. A resolver that trusts every issuer lets untrusted tokens create new ones.

use std::sync::Arc;
use std::time::Duration;

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

/// `mcp_auth_streams_ended_total`: streams that ended because their token expired or is no longer accepted.
pub(crate) fn stream_ended() {
    metrics::counter!("mcp_auth_streams_ended_total").increment(1);
}

/// `mcp_auth_bad_gateway_total{reason}`: responses that broke off before their first message, or whose lists could
/// not be filtered.
pub(crate) fn bad_gateway(reason: &'static str) {
    metrics::counter!("mcp_auth_bad_gateway_total", "reason" => reason).increment(1);
}

/// `mcp_auth_refreshes_total{document, issuer, outcome}`: fetches of keys and metadata, and reads of the file of API keys, by `ok` or `failed`.
pub(crate) fn refresh(document: &'static str, issuer: &str, is_ok: bool) {
    let outcome = if is_ok { "ok" } else { "failed" };
    metrics::counter!("mcp_auth_refreshes_total", "document" => document, "issuer" => issuer.to_owned(), "outcome" => outcome).increment(1);
}

/// `mcp_auth_keys_age_seconds{issuer}`: the age of the keys in use, recorded at each look-up that needs them.
pub(crate) fn keys_age(issuer: &Arc<str>, age: impl FnOnce() -> Option<Duration>) {
    if let Some(age) = age() {
        metrics::gauge!("mcp_auth_keys_age_seconds", "issuer" => issuer.clone())
            .set(age.as_secs_f64());
    }
}

/// `mcp_auth_introspections_total{issuer, outcome}`: introspections, by `active`, `refused`, `failed`, or `crowded`
/// if too many requests were in flight.
pub(crate) fn introspection(issuer: &str, outcome: &'static str) {
    metrics::counter!("mcp_auth_introspections_total", "issuer" => issuer.to_owned(), "outcome" => outcome).increment(1);
}

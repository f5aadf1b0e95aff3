//! What the gateway counts and measures, in addition to the library. Labels are constants or configured.

use std::sync::Arc;
use std::time::Duration;

use mcp_auth::McpAuth;

/// `mcp_auth_gateway_decision_seconds{outcome}`: the time until a request is `passed_on` or `refused`.
pub(crate) fn decision(outcome: &'static str, time: Duration) {
    metrics::histogram!("mcp_auth_gateway_decision_seconds", "outcome" => outcome)
        .record(time.as_secs_f64());
}

/// `mcp_auth_gateway_requests_total{outcome}`: requests that reached no resource: `unknown_host`, `unknown_path`,
/// `too_many_headers`, `buffers_full`, `busy`, `not_asked_properly`, `asked_elsewhere`.
pub(crate) fn request(outcome: &'static str) {
    metrics::counter!("mcp_auth_gateway_requests_total", "outcome" => outcome).increment(1);
}

/// `mcp_auth_gateway_upstream_seconds{resource}`: the time until the head of an upstream's response.
pub(crate) fn upstream(resource: &Arc<str>, time: Duration) {
    metrics::histogram!("mcp_auth_gateway_upstream_seconds", "resource" => Arc::clone(resource))
        .record(time.as_secs_f64());
}

/// `mcp_auth_gateway_upstream_failures_total{resource, kind}`: `unreachable`, `closed`, `redirected`, `refused`, `upgraded`.
pub(crate) fn upstream_failure(resource: &Arc<str>, kind: &'static str) {
    metrics::counter!("mcp_auth_gateway_upstream_failures_total", "resource" => Arc::clone(resource), "kind" => kind).increment(1);
}

/// `mcp_auth_gateway_stdio_lines_skipped_total`: lines of servers that speak stdio that were no messages.
pub(crate) fn stdio_line_skipped() {
    metrics::counter!("mcp_auth_gateway_stdio_lines_skipped_total").increment(1);
}

/// `mcp_auth_gateway_connections`: the open connections of clients.
pub(crate) fn connections(number: usize) {
    metrics::gauge!("mcp_auth_gateway_connections").set(as_f64(number));
}

/// `mcp_auth_gateway_connections_refused_total`: connections for which there was no place.
pub(crate) fn connection_refused() {
    metrics::counter!("mcp_auth_gateway_connections_refused_total").increment(1);
}

/// `mcp_auth_gateway_buffered_bytes{callers}`: bytes of bodies that are held.
pub(crate) fn buffered(callers: &'static str, bytes: usize) {
    metrics::gauge!("mcp_auth_gateway_buffered_bytes", "callers" => callers).set(as_f64(bytes));
}

/// `mcp_auth_gateway_spans_total{outcome}`: spans that were `exported` or `lost`.
pub(crate) fn spans(outcome: &'static str, number: usize) {
    let number = u64::try_from(number).unwrap_or(u64::MAX);
    metrics::counter!("mcp_auth_gateway_spans_total", "outcome" => outcome).increment(number);
}

/// `mcp_auth_gateway_limited_total{limit}`: requests over a limit: `address`, `principal`, `client`, `tools`.
pub(crate) fn limited(limit: &'static str) {
    metrics::counter!("mcp_auth_gateway_limited_total", "limit" => limit).increment(1);
}

/// `mcp_auth_gateway_reloads_total{outcome}`: how often the configuration file was `used` or `refused`.
pub(crate) fn reload(outcome: &'static str) {
    metrics::counter!("mcp_auth_gateway_reloads_total", "outcome" => outcome).increment(1);
}

/// `mcp_auth_gateway_configuration_valid`: 1 unless the file, as it is now, cannot be used.
pub(crate) fn configuration(is_valid: bool) {
    metrics::gauge!("mcp_auth_gateway_configuration_valid").set(u8::from(is_valid));
}

/// What is known at any time and is recorded when it is asked for.
pub(crate) fn state(auths: &[McpAuth], is_draining: bool) {
    let mut is_ready = true;
    for auth in auths {
        let readiness = auth.readiness();
        is_ready &= readiness.is_ready();
        for issuer in &readiness.issuers {
            let label: Arc<str> = issuer.issuer.as_str().into();
            metrics::gauge!("mcp_auth_keys", "issuer" => Arc::clone(&label))
                .set(as_f64(issuer.keys));
            if let Some(age) = issuer.age {
                metrics::gauge!("mcp_auth_keys_age_seconds", "issuer" => label)
                    .set(age.as_secs_f64());
            }
        }
    }
    // All resources share one list.
    let revocations = auths.first().map_or(0, |auth| auth.revocations().len());
    metrics::gauge!("mcp_auth_revocations").set(as_f64(revocations));
    metrics::gauge!("mcp_auth_gateway_ready").set(f64::from(u8::from(is_ready)));
    metrics::gauge!("mcp_auth_gateway_draining").set(f64::from(u8::from(is_draining)));
    metrics::gauge!("mcp_auth_gateway_info", "version" => env!("CARGO_PKG_VERSION")).set(1.0);
}

/// Exact up to 2^32, which no number here exceeds.
fn as_f64(number: usize) -> f64 {
    f64::from(u32::try_from(number).unwrap_or(u32::MAX))
}

//! Metrics in the text format 0.0.4 of Prometheus.

use std::fmt::Write as _;
use std::sync::atomic::Ordering;

use metrics::Key;

use crate::recorder::{BUCKETS, Buckets, Metrics};

/// The media type of the format.
pub(crate) const MEDIA_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What each metric is.
const HELP: [(&str, &str); 28] = [
    (
        "mcp_auth_bad_gateway_total",
        "Responses that broke off before their first message, or whose lists could not be filtered.",
    ),
    ("mcp_auth_decisions_total", "Requests, by admitted, anonymous, or the code of the denial."),
    ("mcp_auth_foreign_ids_total", "Session and event ids that were not issued to the caller."),
    (
        "mcp_auth_gateway_buffered_bytes",
        "Bytes of request bodies that are held until it is decided whether they pass.",
    ),
    (
        "mcp_auth_gateway_configuration_valid",
        "1 unless the configuration file, as it is now, cannot be used.",
    ),
    ("mcp_auth_gateway_connections", "Open connections of clients."),
    (
        "mcp_auth_gateway_connections_refused_total",
        "Connections of clients for which there was no place.",
    ),
    ("mcp_auth_gateway_decision_seconds", "The time until a request was passed on or refused."),
    ("mcp_auth_gateway_draining", "1 while the gateway is about to end."),
    ("mcp_auth_gateway_info", "The version of the gateway; always 1."),
    ("mcp_auth_gateway_limited_total", "Requests over a limit of how often they may come."),
    ("mcp_auth_gateway_ready", "1 if every resource can verify tokens."),
    ("mcp_auth_gateway_reloads_total", "How often the configuration file was used or refused."),
    (
        "mcp_auth_gateway_requests_total",
        "Requests that were not for a resource, or were over a limit of the gateway.",
    ),
    ("mcp_auth_gateway_spans_total", "Spans of traces that were exported or lost."),
    (
        "mcp_auth_gateway_stdio_lines_skipped_total",
        "Lines of servers that speak stdio that were no messages.",
    ),
    (
        "mcp_auth_gateway_upstream_failures_total",
        "Requests that an upstream did not answer as it should.",
    ),
    ("mcp_auth_gateway_upstream_seconds", "The time until the head of an upstream's response."),
    ("mcp_auth_introspections_total", "Introspections, by active, refused, failed or crowded."),
    ("mcp_auth_keys", "The number of keys of an issuer."),
    ("mcp_auth_keys_age_seconds", "The age of the keys in use."),
    ("mcp_auth_redis_connected", "1 while Redis answers."),
    (
        "mcp_auth_redis_operations_total",
        "Commands for a proof, a limit or revocations, by ok, failed, timeout or skipped.",
    ),
    (
        "mcp_auth_refreshes_total",
        "Fetches of keys and metadata, and reads of the file of API keys, by ok or failed.",
    ),
    ("mcp_auth_revocations", "The number of revocations that are kept."),
    (
        "mcp_auth_streams_ended_total",
        "Listening streams that ended because their token expired or was revoked.",
    ),
    ("mcp_auth_token_cache_total", "Token look-ups, by hit or miss."),
    ("mcp_auth_token_exchanges_total", "Token exchanges, by issued, refused, failed or crowded."),
];

/// All metrics.
pub(crate) fn text(metrics: &Metrics) -> String {
    let mut text = String::new();
    let mut last = String::new();
    for (key, value) in metrics.counters.sorted() {
        head(&mut text, &mut last, &key, "counter");
        line(&mut text, key.name(), &labels(&key, None), value.load(Ordering::Relaxed));
    }
    for (key, value) in metrics.gauges.sorted() {
        head(&mut text, &mut last, &key, "gauge");
        let value = f64::from_bits(value.load(Ordering::Relaxed));
        line(&mut text, key.name(), &labels(&key, None), value);
    }
    for (key, buckets) in metrics.histograms.sorted() {
        head(&mut text, &mut last, &key, "histogram");
        histogram(&mut text, &key, &buckets);
    }
    text
}

/// Writes what a metric is, before its first series.
fn head(text: &mut String, last: &mut String, key: &Key, kind: &str) {
    let name = key.name();
    if last != name {
        name.clone_into(last);
        if let Some((_, help)) = HELP.iter().find(|(known, _)| *known == name) {
            _ = writeln!(text, "# HELP {name} {help}");
        }
        _ = writeln!(text, "# TYPE {name} {kind}");
    }
}

fn line(text: &mut String, name: &str, labels: &str, value: impl std::fmt::Display) {
    _ = writeln!(text, "{name}{labels} {value}");
}

fn histogram(text: &mut String, key: &Key, buckets: &Buckets) {
    let name = key.name();
    let mut so_far = 0;
    let bounds = BUCKETS.iter().map(f64::to_string).chain(["+Inf".to_owned()]);
    for (count, bound) in buckets.counts.iter().zip(bounds) {
        so_far += count.load(Ordering::Relaxed);
        line(text, &format!("{name}_bucket"), &labels(key, Some(&bound)), so_far);
    }
    let seconds = std::time::Duration::from_nanos(buckets.nanoseconds.load(Ordering::Relaxed));
    line(text, &format!("{name}_sum"), &labels(key, None), seconds.as_secs_f64());
    line(text, &format!("{name}_count"), &labels(key, None), so_far);
}

/// `{name="value",..}`, with the bound of a bucket if there is one.
fn labels(key: &Key, bound: Option<&str>) -> String {
    let own = key.labels().map(|label| (label.key(), label.value()));
    let all: Vec<_> = own
        .chain(bound.map(|bound| ("le", bound)))
        .map(|(name, value)| format!("{name}=\"{}\"", escaped(value)))
        .collect();
    if all.is_empty() { String::new() } else { format!("{{{}}}", all.join(",")) }
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use metrics::{Level, Metadata, Recorder as _};

    use super::*;

    const ABOUT: Metadata<'static> = Metadata::new("test", Level::INFO, None);

    #[test]
    fn metrics_are_written_with_what_they_are() {
        let metrics = Metrics::default();
        let key = |name: &'static str, labels: &[(&'static str, &'static str)]| {
            Key::from_parts(name, labels)
        };
        let admitted = key("mcp_auth_decisions_total", &[("decision", "admitted")]);
        metrics.register_counter(&admitted, &ABOUT).increment(2);
        let strange = key("mcp_auth_decisions_total", &[("decision", "a\"b\\c\nd")]);
        metrics.register_counter(&strange, &ABOUT).increment(1);
        let ready = key("mcp_auth_gateway_ready", &[]);
        metrics.register_gauge(&ready, &ABOUT).set(1.0);
        let upstream = key("mcp_auth_gateway_upstream_seconds", &[("resource", "https://a/mcp")]);
        for seconds in [0.000_05, 0.002, 400.0] {
            metrics.register_histogram(&upstream, &ABOUT).record(seconds);
        }
        let text = text(&metrics);
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(
            &lines[..8],
            [
                "# HELP mcp_auth_decisions_total Requests, by admitted, anonymous, or the code of the denial.",
                "# TYPE mcp_auth_decisions_total counter",
                "mcp_auth_decisions_total{decision=\"a\\\"b\\\\c\\nd\"} 1",
                "mcp_auth_decisions_total{decision=\"admitted\"} 2",
                "# HELP mcp_auth_gateway_ready 1 if every resource can verify tokens.",
                "# TYPE mcp_auth_gateway_ready gauge",
                "mcp_auth_gateway_ready 1",
                "# HELP mcp_auth_gateway_upstream_seconds The time until the head of an upstream's response.",
            ]
        );
        for expected in [
            "mcp_auth_gateway_upstream_seconds_bucket{resource=\"https://a/mcp\",le=\"0.00005\"} 1",
            "mcp_auth_gateway_upstream_seconds_bucket{resource=\"https://a/mcp\",le=\"0.001\"} 1",
            "mcp_auth_gateway_upstream_seconds_bucket{resource=\"https://a/mcp\",le=\"0.005\"} 2",
            "mcp_auth_gateway_upstream_seconds_bucket{resource=\"https://a/mcp\",le=\"300\"} 2",
            "mcp_auth_gateway_upstream_seconds_bucket{resource=\"https://a/mcp\",le=\"+Inf\"} 3",
            "mcp_auth_gateway_upstream_seconds_sum{resource=\"https://a/mcp\"} 400.00205",
            "mcp_auth_gateway_upstream_seconds_count{resource=\"https://a/mcp\"} 3",
        ] {
            assert!(lines.contains(&expected), "{expected}\n{text}");
        }
    }

    /// The names in the sources of the library, of what it shares, and of the gateway.
    #[test]
    fn every_metric_has_a_sentence() {
        let own = include_str!("telemetry.rs");
        let crates = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let read = |path: &str| std::fs::read_to_string(crates.join(path)).expect(path);
        let library = read("mcp-auth/src/net/metrics.rs");
        let sources = library + own + &read("mcp-auth-redis/src/telemetry.rs");
        let macros = ["counter!(\"", "gauge!(\"", "histogram!(\""];
        let mut names: Vec<_> = macros
            .iter()
            .flat_map(|macro_| sources.split(macro_).skip(1))
            .filter_map(|rest| rest.split('"').next())
            .collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names, HELP.map(|(name, _)| name));
    }
}

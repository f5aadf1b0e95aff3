//! The page for the operator: what the gateway does at the moment, and what it refused.
//!
//! It has no script and loads nothing. The style sheet is allowed by its hash, so that nothing else would be applied either.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use aws_lc_rs::digest;
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Response, header};
use http_body_util::Full;
use mcp_auth::IssuerReadiness;
use mcp_auth_config::in_keys;

use crate::audit_line::rfc3339;
use crate::backend::ServerState;
use crate::chart;
use crate::history::Counts;
use crate::html::Html;
use crate::refusals::Refusal;
use crate::summary::Summary;

const STYLE: &str = include_str!("status_page.css");

/// The most resources that are shown. A page of more is not read.
const MAX_RESOURCES: usize = 100;

/// What the page shows.
pub(crate) struct Status {
    pub(crate) now: SystemTime,
    pub(crate) is_ready: bool,
    pub(crate) is_draining: bool,
    pub(crate) configuration_age: Duration,
    pub(crate) configuration_error: Option<String>,
    pub(crate) connections: usize,
    pub(crate) issuers: Vec<IssuerReadiness>,
    pub(crate) resources: Vec<ResourceStatus>,
    /// `None` if the program records its metrics itself.
    pub(crate) minutes: Option<Vec<Counts>>,
    pub(crate) refusals: Vec<Refusal>,
    /// Whether only this machine can read the page: then it says who was refused.
    pub(crate) is_local: bool,
}

/// One resource.
pub(crate) struct ResourceStatus {
    pub(crate) url: String,
    pub(crate) summary: Arc<Summary>,
    pub(crate) servers: Vec<ServerState>,
}

/// The page, with headers that let a browser do nothing but show it.
pub(crate) fn page(status: &Status) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(written(status))));
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
        (header::CONTENT_SECURITY_POLICY, content_security_policy()),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (
            HeaderName::from_static("cross-origin-resource-policy"),
            HeaderValue::from_static("same-origin"),
        ),
    ];
    response.headers_mut().extend(headers);
    response
}

fn content_security_policy() -> HeaderValue {
    static POLICY: OnceLock<HeaderValue> = OnceLock::new();
    let policy = || {
        let hash = digest::digest(&digest::SHA256, STYLE.as_bytes());
        let hash = base64_simd::STANDARD.encode_to_string(hash);
        let policy = format!(
            "default-src 'none'; style-src 'sha256-{hash}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        );
        HeaderValue::try_from(policy).unwrap_or(HeaderValue::from_static("default-src 'none'"))
    };
    POLICY.get_or_init(policy).clone()
}

fn written(status: &Status) -> String {
    let mut html = Html::default();
    html.markup("<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width,initial-scale=1\"><meta http-equiv=\"refresh\" content=\"30\"><title>MCP Auth gateway</title><style>");
    html.markup(STYLE).markup("</style></head><body><main>");
    head(&mut html, status);
    decisions(&mut html, status);
    issuers(&mut html, &status.issuers);
    resources(&mut html, &status.resources);
    refusals(&mut html, status);
    html.markup("</main></body></html>\n");
    html.into_string()
}

fn head(html: &mut Html, status: &Status) {
    html.markup("<header><h1>MCP Auth gateway</h1>");
    match (status.is_draining, status.is_ready) {
        (true, _) => html.markup("<span class=\"state bad\">is ending</span>"),
        (false, true) => html.markup("<span class=\"state\">ready</span>"),
        (false, false) => html.markup("<span class=\"state bad\">not ready</span>"),
    };
    html.markup(
        "<nav><a href=\"/readyz\">readyz</a><a href=\"/metrics\">metrics</a></nav></header>",
    );
    html.element("<p class=\"quiet\">Version ", env!("CARGO_PKG_VERSION"), "");
    html.element(" · ", status.connections, " connections of clients");
    html.element(" · configuration read ", ago(status.configuration_age), "");
    html.element(" · this page ", rfc3339(status.now), ", again every 30 s</p>");
    if let Some(error) = &status.configuration_error {
        html.markup(
            "<div class=\"card\"><h3>The configuration file, as it is now, is not used</h3>",
        );
        html.element("<p><code>", error, "</code></p></div>");
    }
}

fn decisions(html: &mut Html, status: &Status) {
    html.markup("<h2>Decisions of the last hour</h2>");
    let Some(minutes) = &status.minutes else {
        html.markup("<p class=\"quiet\">This program records its metrics itself.</p>");
        return;
    };
    html.markup("<div class=\"card\">");
    chart::draw(html, minutes);
    chart::list(html, minutes);
    html.markup("</div>");
}

fn issuers(html: &mut Html, issuers: &[IssuerReadiness]) {
    html.markup("<h2>Issuers</h2><section class=\"cards\">");
    for issuer in issuers {
        html.element("<div class=\"card\"><h3>", &issuer.issuer, "</h3>");
        match issuer.keys > 0 || issuer.can_introspect {
            true => html.markup("<p><span class=\"state\">can be verified</span></p>"),
            false => html.markup("<p><span class=\"state bad\">no keys</span></p><p class=\"quiet\">Its tokens get a 503 until its keys can be fetched. The log says what is wrong.</p>"),
        };
        html.element("<dl><dt>Keys<dd>", issuer.keys, "");
        match issuer.age {
            Some(age) => html.element(", fetched ", ago(age), ""),
            None if issuer.keys > 0 => html.markup(", configured"),
            None => html,
        };
        html.markup("<dt>Introspection<dd>");
        html.markup(if issuer.can_introspect { "yes" } else { "no" }).markup("</dl></div>");
    }
    html.markup("</section>");
}

fn resources(html: &mut Html, resources: &[ResourceStatus]) {
    html.markup("<h2>Resources</h2><section class=\"cards\">");
    for ResourceStatus { url, summary, servers } in resources.iter().take(MAX_RESOURCES) {
        html.element("<div class=\"card\"><h3>", url, "</h3><dl><dt>Needs<dd>");
        match (summary.needs.as_str(), summary.is_optional) {
            (_, true) => html.markup("no token (<code>optional</code>)"),
            ("", false) => html.markup("a token"),
            (needs, false) => html.element("<code>", needs, "</code>"),
        };
        for server in servers {
            html.element("<dt>Server<dd>", &server.name, "<br>");
            html.markup(if server.is_well {
                "<span class=\"quiet\">"
            } else {
                "<span class=\"state bad\">"
            });
            html.text(&server.says).markup("</span>");
        }
        html.markup("</dl>");
        rules(html, summary);
        html.markup("</div>");
    }
    html.markup("</section>");
    if resources.len() > MAX_RESOURCES {
        html.element("<p class=\"quiet\">and ", resources.len() - MAX_RESOURCES, " more</p>");
    }
}

fn rules(html: &mut Html, summary: &Summary) {
    if summary.rule_count == 0 {
        html.markup("<p class=\"quiet\">No rules: every tool is open to whoever is admitted.</p>");
        return;
    }
    html.element("<details><summary>Rules: ", summary.rule_count, "</summary><dl>");
    for (kind, name, needs) in &summary.rules {
        html.element("<dt>", kind, " ").element("<code>", name, "</code>");
        html.element("<dd>", needs, "");
    }
    html.markup("</dl>");
    if summary.rule_count > summary.rules.len() {
        html.markup("<p class=\"quiet\">The rest are in the file.</p>");
    }
    html.markup("</details>");
}

fn refusals(html: &mut Html, status: &Status) {
    html.markup("<h2>The last refusals and failures</h2>");
    html.markup("<p class=\"quiet\">Requests without a token are not here: every client begins so. Those that are alike share a line.</p>");
    if status.refusals.is_empty() {
        html.markup("<p>None.</p>");
        return;
    }
    html.markup("<ol class=\"refusals\">");
    for Refusal { time, number, about } in &status.refusals {
        html.markup("<li><div class=\"head\"><span><span class=\"key ");
        html.markup(chart::kind_of(about.code)).markup("\"></span>");
        html.element("<b>", about.code, "</b></span>");
        html.element("<span class=\"quiet\">", about.status, "</span>");
        if *number > 1 {
            html.element("<span class=\"quiet\">", number, " times</span>");
        }
        let since = status.now.duration_since(*time).unwrap_or_default();
        html.markup("<time class=\"quiet\" datetime=\"").text(rfc3339(*time)).markup("\">");
        html.text(ago(since)).markup("</time></div>");
        if let Some(advice) = &about.advice {
            html.element("<p>", in_keys(advice), "</p>");
        }
        html.element("<p class=\"quiet\"><code>", &about.request, "</code>");
        if let Some(resource) = &about.resource {
            html.element(" at ", resource, "");
        }
        if let Some(agent) = &about.user_agent {
            html.element(" · client <code>", agent, "</code>");
        }
        html.markup("</p>");
        match &about.caller {
            Some(caller) if status.is_local => {
                html.element("<p class=\"quiet\">Token of <code>", &caller.subject, "</code>");
                html.element(" from ", &caller.issuer, "");
                if let Some(client) = &caller.client {
                    html.element(" · issued to <code>", client, "</code>");
                }
                html.markup("</p>");
            }
            Some(_) => {
                html.markup("<p class=\"quiet\">The token was verified. Whose it was is in the log: other machines can read this page.</p>");
            }
            None => {}
        }
        html.markup("</li>");
    }
    html.markup("</ol>");
}

/// A time in the past, in a unit that fits.
fn ago(time: Duration) -> String {
    match time.as_secs() {
        seconds @ 0..120 => format!("{seconds} s ago"),
        seconds @ 120..7200 => format!("{} min ago", seconds / 60),
        seconds @ 7200..172_800 => format!("{} h ago", seconds / 3600),
        seconds => format!("{} days ago", seconds / 86_400),
    }
}

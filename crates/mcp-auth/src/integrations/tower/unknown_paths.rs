//! Requests for a resource that arrive at another path: something in front has changed it, or clients use another URL.

use http::Method;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderName};
use http::request::Parts;

use crate::integrations::tower::content_headers::says;
use crate::resource::mcp_auth::McpAuth;
use crate::resource::names::{Name, path_of};
use crate::resource::unknown_paths::Misrouted;
use crate::util::shown;

const MCP_SESSION_ID: HeaderName = HeaderName::from_static("mcp-session-id");
const MCP_PROTOCOL_VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");

const METADATA: &str = "/.well-known/oauth-protected-resource";

/// How the path of a request and one at which something is differ.
struct Difference<'p> {
    kind: Misrouted,
    expected: &'p str,
}

impl McpAuth {
    /// Logs a request that arrived at a path at which there is nothing, if it looks like one for a resource: at most one
    /// line in 5 minutes for each kind of difference.
    ///
    /// It says what a proxy in front must do. The routers of [`protect`](Self::protect) and
    /// [`metadata_routes`](Self::metadata_routes), and [`MetadataService`](crate::MetadataService), log such requests.
    /// Call it where a router of your own answers 404.
    ///
    /// ```
    /// use mcp_auth::McpAuth;
    ///
    /// fn not_found(resources: &[McpAuth], request: &http::request::Parts) -> http::StatusCode {
    ///     McpAuth::report_unknown_path(resources, request);
    ///     http::StatusCode::NOT_FOUND
    /// }
    /// ```
    pub fn report_unknown_path<'a>(resources: impl IntoIterator<Item = &'a Self>, request: &Parts) {
        let arrived = request.uri.path();
        let is_metadata = arrived.contains(METADATA);
        if !is_metadata && !is_for_mcp(request) {
            return;
        }
        let mut nearest: Option<(&Self, Difference<'_>)> = None;
        for auth in resources {
            for name in auth.names().iter() {
                let difference = Difference::of(name, arrived, is_metadata);
                if nearest.as_ref().is_none_or(|(_, known)| difference.kind < known.kind) {
                    nearest = Some((auth, difference));
                }
            }
        }
        if let Some((auth, difference)) = nearest {
            auth.log_unknown_path(arrived, &difference);
        }
    }

    fn log_unknown_path(&self, arrived: &str, Difference { kind, expected }: &Difference<'_>) {
        if !self.unknown_paths().should_log(*kind) {
            return;
        }
        let (arrived, resource) = (shown::name(arrived).to_string(), self.resource());
        match kind {
            // What is left of the path of the resource is not text of others.
            Misrouted::Removed => tracing::warn!(
                target: "mcp_auth",
                resource, arrived, expected,
                "answered 404, because the beginning of the path is missing: the proxy in front removes it; pass the path on (nginx: write `proxy_pass` without a path, not even a slash)"
            ),
            Misrouted::Added => tracing::info!(
                target: "mcp_auth",
                resource, arrived, expected,
                "answered 404, because the path has more than that of the resource: let the proxy in front remove what it adds, or use one URL everywhere, in `McpAuth::builder` and in clients"
            ),
            Misrouted::Other => tracing::info!(
                target: "mcp_auth",
                resource, arrived, expected,
                "answered 404, because no resource is at this path: clients must use the URL of the resource, and a proxy in front must pass its path on"
            ),
        }
    }
}

impl<'p> Difference<'p> {
    fn of(name: &'p Name, arrived: &str, is_metadata: bool) -> Self {
        let url = if is_metadata { &name.metadata_url } else { &name.url };
        let (expected, arrived) = (path_of(url), arrived.trim_end_matches('/'));
        let is_part = |whole: &str, end: &str| {
            (end.is_empty() || end.starts_with('/'))
                && whole.strip_suffix(end).is_some_and(|begin| !begin.is_empty())
        };
        let kind = match () {
            () if is_part(expected, arrived) => Misrouted::Removed,
            () if !expected.is_empty() && is_part(arrived, expected) => Misrouted::Added,
            () => Misrouted::Other,
        };
        Self { kind, expected: if expected.is_empty() { "/" } else { expected } }
    }
}

/// Whether a request looks like one of an MCP client: others, such as those of scanners, are not worth a line.
fn is_for_mcp(request: &Parts) -> bool {
    let headers = &request.headers;
    let names = [&AUTHORIZATION, &MCP_SESSION_ID, &MCP_PROTOCOL_VERSION];
    names.into_iter().any(|name| headers.contains_key(name))
        || (request.method == Method::POST && says(headers, CONTENT_TYPE, "json"))
        || (request.method == Method::GET && says(headers, ACCEPT, "text/event-stream"))
}

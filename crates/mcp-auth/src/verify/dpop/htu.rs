//! The `htu` check: whether a DPoP proof was made for the URL of this request.

use http::Uri;
use http::request::Parts;

use crate::util::url;

/// The URI of a request before a router removed a part of its path. Stored in the extensions of the request.
#[derive(Clone)]
pub(crate) struct RequestedUri(pub(crate) Uri);

/// Compares `htu` with the configured URL of the resource.
pub(super) struct HtuMatcher {
    configured: String,
    origin: String,
    /// Without trailing slashes.
    path: String,
}

impl HtuMatcher {
    pub(super) fn new(resource: &str) -> Option<Self> {
        let normal = url::normal(resource)?;
        let (scheme, authority, path) = url::split(&normal)?;
        Some(Self {
            configured: resource.to_owned(),
            origin: format!("{scheme}://{authority}"),
            path: path.trim_end_matches('/').to_owned(),
        })
    }

    /// Whether `htu` is the URL that the client used for this request
    /// ([RFC 9449 §4.3](https://www.rfc-editor.org/rfc/rfc9449#section-4.3), check 9).
    ///
    /// Scheme, host and port must be those of the configured URL. The `Host` and `Forwarded` headers of the
    /// request are ignored. The path of the request only determines the part below the resource:
    ///
    /// - A path at or below that of the resource is the whole path, and `htu` must have the same path.
    /// - Any other path was changed before the request arrived here. Either a router removed the path of the
    ///   resource, and `htu` has it in front of the path of the request. Or a proxy maps the resource to another
    ///   path, and `htu` is the URL of the resource.
    pub(super) fn matches(&self, htu: &str, parts: &Parts) -> bool {
        let requested = parts.extensions.get().map_or(&parts.uri, |RequestedUri(uri)| uri).path();
        let below = requested.strip_prefix(&*self.path);
        if htu == self.configured && below.is_some_and(str::is_empty) {
            return true; // the common case
        }
        let (Some(htu), Some(requested)) = (url::normal(htu), url::normal_path(requested)) else {
            return false;
        };
        let Some(htu) = htu.strip_prefix(&*self.origin) else { return false };
        let is_resource = |path: &str| path.trim_end_matches('/') == self.path;
        match requested.strip_prefix(&*self.path) {
            Some("" | "/") => is_resource(htu) && is_same(htu, &requested),
            Some(below) if below.starts_with('/') => htu == requested,
            _ => is_resource(htu) || htu.strip_prefix(&*self.path) == Some(&*requested),
        }
    }
}

/// Whether two paths are equal. `/` and the empty path are.
fn is_same(one: &str, other: &str) -> bool {
    one == other || (one.len() <= 1 && other.len() <= 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn htu_must_match_the_request_url() {
        const MCP: &str = "https://api.example.com/mcp";
        let rows = [
            // The resource itself: equivalent spellings match, other URLs do not.
            (MCP, "/mcp", "https://api.example.com/mcp", true),
            (MCP, "/mcp?x=1", "https://api.example.com/mcp", true),
            (MCP, "/mcp", "https://api.example.com/mcp?y=2#z", true),
            (MCP, "/mcp", "HTTPS://API.example.com:443/%6dcp", true),
            (MCP, "/%6Dcp", "https://api.example.com/mcp", true),
            (MCP, "/mcp", "https://api.example.com/x/../mcp", true),
            (MCP, "/mcp", "https://api.example.com/mcp/", false),
            (MCP, "/mcp/", "https://api.example.com/mcp/", true),
            (MCP, "/mcp/", "https://api.example.com/mcp", false),
            (MCP, "/mcp", "https://api.example.com/MCP", false),
            (MCP, "/mcp", "https://api.example.com/mcp2", false),
            (MCP, "/mcp", "https://api.example.com/", false),
            (MCP, "/mcp", "https://api.example.com/mcp/x", false),
            (MCP, "/mcp", "http://api.example.com/mcp", false),
            (MCP, "/mcp", "https://api.example.com:8443/mcp", false),
            (MCP, "/mcp", "https://evil.example/mcp", false),
            (MCP, "/mcp", "https://api.example.com.evil.example/mcp", false),
            (MCP, "/mcp", "https://alice@api.example.com/mcp", false),
            (MCP, "/mcp", "/mcp", false),
            (MCP, "/mcp", "", false),
            (MCP, "/mcp", "https://api.example.com/mcp%", false),
            // Below the resource.
            (MCP, "/mcp/x", "https://api.example.com/mcp/x", true),
            (MCP, "/mcp/x?y", "https://api.example.com/mcp/x", true),
            (MCP, "/mcp/x", "https://api.example.com/mcp", false),
            (MCP, "/mcp/x", "https://api.example.com/mcp/y", false),
            (MCP, "/mcp/x", "https://api.example.com/mcp/x/y", false),
            (MCP, "/mcp/x", "https://api.example.com/mcp/mcp/x", false),
            // A router removed the path, or a proxy maps it.
            (MCP, "/", "https://api.example.com/mcp", true),
            (MCP, "/", "https://api.example.com/mcp/", true),
            (MCP, "/x", "https://api.example.com/mcp/x", true),
            (MCP, "/x", "https://api.example.com/mcp", true),
            (MCP, "/x", "https://api.example.com/x", false),
            (MCP, "/x", "https://api.example.com/mcp/y", false),
            (MCP, "/internal/7", "https://api.example.com/mcp", true),
            (MCP, "/mcpx", "https://api.example.com/mcpx", false),
            // Resources at the root, with a trailing slash, a query or a port.
            ("https://h", "/", "https://h", true),
            ("https://h", "/", "https://h/", true),
            ("https://h/", "/", "https://h", true),
            ("https://h", "/x", "https://h/x", true),
            ("https://h", "/x", "https://h", false),
            ("https://h/mcp/", "/mcp", "https://h/mcp", true),
            ("https://h/mcp/", "/mcp/", "https://h/mcp/", true),
            ("https://h/mcp?tenant=1", "/mcp?tenant=1", "https://h/mcp", true),
            ("http://localhost:3000/mcp", "/mcp", "http://localhost:3000/mcp", true),
            ("http://localhost:3000/mcp", "/mcp", "http://localhost/mcp", false),
        ];
        for (resource, uri, htu, expected) in rows {
            let endpoint = HtuMatcher::new(resource).expect("a URL");
            let (mut parts, ()) = http::Request::new(()).into_parts();
            parts.uri = uri.parse().expect("a URI");
            parts.headers.insert("host", http::HeaderValue::from_static("evil.example"));
            assert_eq!(endpoint.matches(htu, &parts), expected, "{resource} {uri} {htu}");
        }
    }

    #[test]
    fn htu_is_compared_with_the_full_path_from_the_router() {
        let endpoint = HtuMatcher::new("https://h/mcp").expect("a URL");
        for (whole, htu, expected) in [
            ("/mcp/x", "https://h/mcp/x", true),
            ("/mcp/x", "https://h/mcp", false),
            ("/mcp", "https://h/mcp", true),
            ("/mcp/mcp/x", "https://h/mcp/mcp/x", true),
        ] {
            let (mut parts, ()) = http::Request::new(()).into_parts();
            parts.uri = "/x".parse().expect("a URI");
            parts.extensions.insert(RequestedUri(whole.parse().expect("a URI")));
            assert_eq!(endpoint.matches(htu, &parts), expected, "{whole} {htu}");
        }
    }
}

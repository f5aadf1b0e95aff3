//! Well-known URLs of metadata ([RFC 8615](https://www.rfc-editor.org/rfc/rfc8615)). URLs are handled as text.

use crate::util::url::split;

/// The URL of a resource's metadata: the well-known path is inserted between host and path
/// ([RFC 9728 §3.1](https://www.rfc-editor.org/rfc/rfc9728#section-3.1)).
pub(crate) fn resource_metadata_url(resource: &str) -> Option<String> {
    let (scheme, authority, rest) = split(resource)?;
    let rest = match rest.strip_prefix('/') {
        Some(after) if after.is_empty() || after.starts_with('?') => after,
        _ => rest,
    };
    Some(format!("{scheme}://{authority}/.well-known/oauth-protected-resource{rest}"))
}

/// The URLs at which an issuer's metadata may be, in the order of the MCP specification (*Authorization Server
/// Metadata Discovery*).
pub(crate) fn server_metadata_urls(issuer: &str) -> Vec<String> {
    let Some((scheme, authority, path)) = split(issuer) else { return Vec::new() };
    let path = path.trim_end_matches('/');
    let insert = |document: &str| format!("{scheme}://{authority}/.well-known/{document}{path}");
    let mut urls = vec![insert("oauth-authorization-server"), insert("openid-configuration")];
    if !path.is_empty() {
        urls.push(format!("{scheme}://{authority}{path}/.well-known/openid-configuration"));
    }
    urls
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_metadata_of_a_resource_is_at_the_inserted_path() {
        for (resource, url) in [
            ("https://h/mcp", "https://h/.well-known/oauth-protected-resource/mcp"),
            ("https://h:8443/a/b", "https://h:8443/.well-known/oauth-protected-resource/a/b"),
            ("https://h", "https://h/.well-known/oauth-protected-resource"),
            ("https://h/", "https://h/.well-known/oauth-protected-resource"),
            ("https://h/a?x=1", "https://h/.well-known/oauth-protected-resource/a?x=1"),
            ("https://h/?x=1", "https://h/.well-known/oauth-protected-resource?x=1"),
            ("HTTPS://H/mcp/", "HTTPS://H/.well-known/oauth-protected-resource/mcp/"),
        ] {
            assert_eq!(resource_metadata_url(resource).as_deref(), Some(url));
        }
    }

    #[test]
    fn an_issuers_metadata_is_looked_for_in_the_order_of_mcp() {
        assert_eq!(
            server_metadata_urls("https://h/tenant1"),
            [
                "https://h/.well-known/oauth-authorization-server/tenant1",
                "https://h/.well-known/openid-configuration/tenant1",
                "https://h/tenant1/.well-known/openid-configuration",
            ]
        );
        for issuer in ["https://h", "https://h/"] {
            assert_eq!(
                server_metadata_urls(issuer),
                [
                    "https://h/.well-known/oauth-authorization-server",
                    "https://h/.well-known/openid-configuration"
                ]
            );
        }
        assert_eq!(server_metadata_urls("https://h/t/"), server_metadata_urls("https://h/t"));
    }
}

//! The metadata document of an issuer, and its URLs.

use serde_json::{Value, json};

/// One of the three URLs at which clients look for the metadata of an authorization server
/// ([RFC 8414 §5](https://www.rfc-editor.org/rfc/rfc8414#section-5)).
///
/// ```
/// use mcp_auth_testkit::MetadataPath;
///
/// let url = MetadataPath::OidcAppended.url("https://auth.example.com/tenant");
/// assert_eq!(url, "https://auth.example.com/tenant/.well-known/openid-configuration");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum MetadataPath {
    /// `/.well-known/oauth-authorization-server` before the issuer's path (RFC 8414 §3.1).
    OAuth,
    /// `/.well-known/openid-configuration` before the issuer's path (RFC 8414 §5).
    OidcInserted,
    /// `/.well-known/openid-configuration` after the issuer's path (OpenID Connect Discovery §4).
    OidcAppended,
}

impl MetadataPath {
    /// All three paths.
    pub const ALL: [Self; 3] = [Self::OAuth, Self::OidcInserted, Self::OidcAppended];

    /// Returns the metadata URL for `issuer`.
    ///
    /// ```
    /// use mcp_auth_testkit::MetadataPath;
    ///
    /// let url = MetadataPath::OAuth.url("https://auth.example.com/tenant");
    /// assert_eq!(url, "https://auth.example.com/.well-known/oauth-authorization-server/tenant");
    /// ```
    #[must_use]
    pub fn url(self, issuer: &str) -> String {
        let (origin, path) = origin_and_path(issuer);
        match self {
            Self::OAuth => format!("{origin}/.well-known/oauth-authorization-server{path}"),
            Self::OidcInserted => format!("{origin}/.well-known/openid-configuration{path}"),
            Self::OidcAppended => format!("{origin}{path}/.well-known/openid-configuration"),
        }
    }
}

pub(crate) fn jwks_uri(issuer: &str) -> String {
    under(issuer, "jwks")
}

pub(crate) fn under(issuer: &str, endpoint: &str) -> String {
    format!("{}/{endpoint}", issuer.trim_end_matches('/'))
}

/// The metadata of RFC 8414 §2. It serves as the document of OpenID Connect Discovery too, but is incomplete as such.
pub(crate) fn metadata(issuer: &str, scopes: &[String]) -> Value {
    json!({
        "issuer": issuer,
        "authorization_endpoint": under(issuer, "authorize"),
        "token_endpoint": under(issuer, "token"),
        "jwks_uri": jwks_uri(issuer),
        "registration_endpoint": under(issuer, "register"),
        "introspection_endpoint": under(issuer, "introspect"),
        "revocation_endpoint": under(issuer, "revoke"),
        "scopes_supported": scopes,
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": ["authorization_code", "refresh_token", "client_credentials"],
        "token_endpoint_auth_methods_supported":
            ["client_secret_basic", "client_secret_post", "none"],
        "code_challenge_methods_supported": ["S256"],
        "authorization_response_iss_parameter_supported": true,
        "client_id_metadata_document_supported": true,
    })
}

fn origin_and_path(issuer: &str) -> (&str, &str) {
    let issuer = issuer.trim_end_matches('/');
    let authority = issuer.find("://").map_or(0, |scheme| scheme + 3);
    let path = issuer[authority..].find('/');
    issuer.split_at(path.map_or(issuer.len(), |slash| authority + slash))
}

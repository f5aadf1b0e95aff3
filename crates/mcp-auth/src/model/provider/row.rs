//! `Provider`: one row of the provider table.

use crate::model::provider::api::Api;

/// What is known about an identity provider. It is data only: one row of a table. The
/// [guide](https://github.com/mcp-auth/rust/blob/main/docs/guide/providers.md) is generated from the same
/// table.
///
/// ```
/// use mcp_auth::Provider;
///
/// let auth0 = Provider::find("auth0").expect("a row of the table");
/// assert_eq!(auth0.issuer, "https://{domain}/");
/// assert!(auth0.advice.contains("identifier"));
/// ```
#[derive(Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Provider {
    /// The identifier. The constructor of [`AuthorizationServer`](crate::AuthorizationServer) has the same
    /// name: `auth0`.
    pub id: &'static str,
    /// The name of the product.
    pub name: &'static str,
    /// The issuer, byte for byte, with placeholders for the parts that differ. Empty if there is none.
    pub issuer: &'static str,
    /// What to fill into the placeholders.
    pub placeholders: &'static str,
    /// Which metadata documents it publishes.
    pub documents: &'static [MetadataKind],
    /// The URL of its metadata document, if it is not derived from the issuer.
    pub metadata_url: Option<&'static str>,
    /// The `typ` in the header of its access tokens.
    pub typ: &'static str,
    /// How its tokens name their audience.
    pub audience: Audience,
    /// The claims that contain the scopes; the first one present counts. Empty if there is none.
    pub scopes: &'static [&'static str],
    /// Notes about scopes. May be empty.
    pub about_scopes: &'static str,
    /// The claim that contains the client's identifier. Empty if there is none.
    pub client_id: &'static str,
    /// The claim that identifies a user permanently, if it is not `sub`, with notes about it.
    pub subject: &'static str,
    /// The claims that its access tokens have and its ID tokens do not have, if `typ` does not distinguish
    /// them.
    pub markers: &'static [TokenMarker],
    /// The claims whose presence with a meaningful value shows that a user logged in.
    pub(crate) login_claims: &'static [&'static str],
    /// What to configure at the provider, so that its tokens are for this resource. Without a full stop at the
    /// end.
    pub advice: &'static str,
    /// Why its token may not be a JWT, and what to do then. Empty if that does not happen.
    pub opaque: &'static str,
    /// Why introspection may call a token inactive that is not, and what to do then. May be empty.
    pub(crate) inactive: &'static str,
    /// Why a token may come from an issuer of this provider that is not the trusted one. May be empty.
    pub(crate) about_issuer: &'static str,
    /// Whether the values of the placeholders are GUIDs.
    pub(crate) has_guids: bool,
    /// Whether all its access tokens follow RFC 9068, so that no others need to be accepted.
    pub(crate) is_rfc9068: bool,
    /// Suffixes of host names that belong to this provider only.
    pub(crate) hosts: &'static [&'static str],
    /// Audiences that only this provider writes and that do not name a resource.
    pub(crate) known_audiences: &'static [&'static str],
    /// The API that describes its tokens, if they are opaque and it has no introspection endpoint.
    pub(crate) api: Option<Api>,
    /// How reliable this row is.
    pub evidence: Evidence,
    /// The source of this row.
    pub source: &'static str,
}

/// A metadata document that a provider publishes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MetadataKind {
    /// `/.well-known/oauth-authorization-server` ([RFC 8414](https://www.rfc-editor.org/rfc/rfc8414)).
    OAuth,
    /// `/.well-known/openid-configuration` (OpenID Connect Discovery 1.0).
    Oidc,
}

/// How a provider's tokens name their audience.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Audience {
    /// `aud` is the resource, once it is configured at the provider.
    Resource,
    /// `aud` is always this value, whatever the resource. Placeholders are filled in as in the issuer.
    Fixed(&'static str),
    /// `aud` is a name that the provider chooses, such as a client's identifier: set it with
    /// `AuthorizationServer::audience`.
    ProviderChosen,
    /// There is no `aud`. `client_id` must be one of the configured clients.
    Clients,
    /// The token is opaque. The provider's API names the client that it was issued to, which must be one of the
    /// configured clients.
    FromApi,
}

/// A claim by which access tokens differ from ID tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TokenMarker {
    /// The claim is present.
    Has(&'static str),
    /// The claim has this value.
    Is(&'static str, &'static str),
}

/// How reliable a row is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Evidence {
    /// Documents and tokens of a running instance were examined.
    SeenLive,
    /// The vendor's documentation or source code says so.
    Vendor,
    /// Users of the product say so.
    Others,
}

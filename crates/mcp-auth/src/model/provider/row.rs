//! A provider: one row of the table.

use crate::model::provider::api::Api;

/// What is known of an identity provider. Nothing here is code: a provider is a row of one table, of
/// which the [guide](https://github.com/mcp-auth/rust/blob/main/docs/guide/providers.md) is printed too.
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
    /// The name of the row, which is also that of the constructor of
    /// [`AuthorizationServer`](crate::AuthorizationServer): `auth0`.
    pub id: &'static str,
    /// The name of the product.
    pub name: &'static str,
    /// The issuer, byte for byte, with a placeholder for what differs. Empty if there is none.
    pub issuer: &'static str,
    /// What belongs into the placeholders.
    pub placeholders: &'static str,
    /// Which metadata documents it publishes.
    pub documents: &'static [MetadataKind],
    /// Where its document is, if not where the issuer says.
    pub metadata_url: Option<&'static str>,
    /// The `typ` in the header of its access tokens.
    pub typ: &'static str,
    /// How its tokens say for whom they are.
    pub audience: Audience,
    /// The claims that hold the scopes; the first that is there counts. Empty if there is none.
    pub scopes: &'static [&'static str],
    /// What to know about scopes; may be empty.
    pub about_scopes: &'static str,
    /// The claim that holds the client's identifier. Empty if there is none.
    pub client_id: &'static str,
    /// The claim by which to know a user again, if it is not `sub`, and what to know about it.
    pub subject: &'static str,
    /// What its access tokens have, and its ID tokens have not, where `typ` does not tell.
    pub markers: &'static [TokenMarker],
    /// The claims that say that a user logged in, where they say anything.
    pub(crate) login_claims: &'static [&'static str],
    /// What to set on its side, so that tokens are for this resource. Ends in no full stop.
    pub advice: &'static str,
    /// Why its token is no JWT, and what to do. Empty if that does not happen.
    pub opaque: &'static str,
    /// Why tokens may come from an issuer of this provider that is not the one that is trusted. May be empty.
    pub(crate) about_issuer: &'static str,
    /// Whether what belongs into the placeholders are GUIDs.
    pub(crate) has_guids: bool,
    /// Whether all its access tokens are those of RFC 9068, so that nothing else need be taken.
    pub(crate) is_rfc9068: bool,
    /// Ends of host names that are this provider's own.
    pub(crate) hosts: &'static [&'static str],
    /// Audiences that only this provider writes, and that stand for no resource.
    pub(crate) known_audiences: &'static [&'static str],
    /// The API that tells of its tokens, if they are opaque and it knows no introspection.
    pub(crate) api: Option<Api>,
    /// How sure this row is.
    pub evidence: Evidence,
    /// Where it was read.
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

/// How a provider's tokens say for whom they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Audience {
    /// `aud` is the resource, once the provider is told of it.
    Resource,
    /// `aud` is this, whatever the resource; filled in as the issuer is.
    Fixed(&'static str),
    /// `aud` is a name that the provider chooses, such as a client's identifier: say so with
    /// `AuthorizationServer::audience`.
    Own,
    /// There is no `aud`: `client_id` must be one of some clients.
    Clients,
    /// The token is opaque, and the provider's API tells to which client it was issued: it must be one of some.
    Asked,
}

/// A claim by which access tokens differ from ID tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TokenMarker {
    /// The claim is there.
    Has(&'static str),
    /// The claim has this value.
    Is(&'static str, &'static str),
}

/// How sure a row is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Evidence {
    /// Documents and tokens of a running one were seen.
    SeenLive,
    /// The vendor's documentation or source code says so.
    Vendor,
    /// Others say so, who use it.
    Others,
}

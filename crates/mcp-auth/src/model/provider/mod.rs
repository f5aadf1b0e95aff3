//! Identity providers by name, as data: what their issuers look like, and what they put into a token.

mod api;
mod table;

pub(crate) use api::{Api, Shape, Words};

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
    pub places: &'static str,
    /// Which metadata documents it publishes.
    pub documents: &'static [Document],
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
    pub marks: &'static [Mark],
    /// The claims that say that a user logged in, where they say anything.
    pub(crate) logins: &'static [&'static str],
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
    pub(crate) telling_audiences: &'static [&'static str],
    /// The API that tells of its tokens, if they are opaque and it knows no introspection.
    pub(crate) api: Option<Api>,
    /// How sure this row is.
    pub certainty: Certainty,
    /// Where it was read.
    pub source: &'static str,
}

/// A metadata document that a provider publishes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Document {
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
pub enum Mark {
    /// The claim is there.
    Has(&'static str),
    /// The claim has this value.
    Is(&'static str, &'static str),
}

/// How sure a row is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Certainty {
    /// Documents and tokens of a running one were seen.
    SeenLive,
    /// The vendor's documentation or source code says so.
    Vendor,
    /// Others say so, who use it.
    Others,
}

impl Provider {
    /// Every row, in the order of the guide.
    pub const ALL: &'static [&'static Self] = table::ALL;

    /// What is so unless a row says otherwise.
    pub(crate) const USUAL: Self = table::USUAL;

    /// The row of this name.
    #[must_use]
    pub fn find(id: &str) -> Option<&'static Self> {
        Self::ALL.iter().copied().find(|provider| provider.id == id)
    }

    /// The provider whose issuer this is, as far as its host shows it, or else the one that writes such
    /// an audience.
    pub(crate) fn recognize(issuer: &str, audience: Option<&str>) -> Option<&'static Self> {
        let host = crate::util::url::split(issuer).map_or("", |(_, host, _)| host);
        let is_of = |provider: &&&Self| {
            provider.hosts.iter().any(|end| {
                host == *end || host.strip_suffix(end).is_some_and(|rest| rest.ends_with('.'))
            })
        };
        let writes = |provider: &&&Self| {
            audience.is_some_and(|audience| provider.telling_audiences.contains(&audience))
        };
        let by_host = Self::ALL.iter().find(is_of);
        by_host.or_else(|| Self::ALL.iter().find(writes)).copied()
    }

    /// Fills a form of this provider with what is to stand in its placeholders, one after the other. A
    /// place stays open if nothing that could stand there is given: no issuer looks like that.
    pub(crate) fn fill(&self, form: &str, given: &[(&str, &str)]) -> String {
        let mut filled = form.to_owned();
        for (place, value) in given {
            let placeholder = format!("{{{place}}}");
            let value = value.trim_end_matches('/');
            // `https://tenant.auth0.com/` for `tenant.auth0.com`: as it is copied from a browser.
            let value = match value.strip_prefix("https://") {
                Some(host) if form.contains(&format!("https://{placeholder}")) => host,
                _ => value,
            };
            let value = if self.has_guids { value.to_ascii_lowercase() } else { value.to_owned() };
            if !value.is_empty() && (!self.has_guids || is_guid(&value)) {
                filled = filled.replace(&placeholder, &value);
            }
        }
        filled
    }
}

/// Whether this is a GUID as `iss` writes it, in lower case.
fn is_guid(text: &str) -> bool {
    let groups: Vec<_> = text.split('-').collect();
    let is_hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
    groups.iter().map(|group| group.len()).eq([8, 4, 4, 4, 12])
        && groups.concat().bytes().all(is_hex)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GUID: &str = "22222222-2222-2222-2222-22222222222a";

    fn filled(id: &str, given: &[(&str, &str)]) -> String {
        let provider = Provider::find(id).expect(id);
        provider.fill(provider.issuer, given)
    }

    #[test]
    fn issuers_are_filled_in_by_table() {
        for (id, given, issuer) in [
            ("auth0", &[("domain", "t.eu.auth0.com")][..], "https://t.eu.auth0.com/"),
            ("auth0", &[("domain", "https://t.eu.auth0.com/")], "https://t.eu.auth0.com/"),
            ("auth0", &[("domain", "")], "https://{domain}/"),
            (
                "keycloak",
                &[("url", "https://sso.example.com/"), ("realm", "mcp")],
                "https://sso.example.com/realms/mcp",
            ),
            (
                "keycloak",
                &[("url", "https://sso.example.com"), ("realm", "")],
                "https://sso.example.com/realms/{realm}",
            ),
            (
                "entra",
                &[("tenantid", "22222222-2222-2222-2222-22222222222A")],
                "https://login.microsoftonline.com/22222222-2222-2222-2222-22222222222a/v2.0",
            ),
            (
                "entra",
                &[("tenantid", "contoso.onmicrosoft.com")],
                "https://login.microsoftonline.com/{tenantid}/v2.0",
            ),
            (
                "entra_external_id",
                &[("tenantid", GUID)],
                "https://22222222-2222-2222-2222-22222222222a.ciamlogin.com/22222222-2222-2222-2222-22222222222a/v2.0",
            ),
        ] {
            assert_eq!(filled(id, given), issuer);
        }
    }

    #[test]
    fn guids_are_told_from_names() {
        assert!(is_guid(GUID));
        for text in ["common", "", "22222222222222222222222222222222", &GUID.replace('a', "g")] {
            assert!(!is_guid(text), "{text}");
        }
    }

    #[test]
    fn a_provider_is_recognized_by_its_host_or_its_audience() {
        let name = |issuer, audience| Provider::recognize(issuer, audience).map(|it| it.id);
        assert_eq!(name("https://t.eu.auth0.com/", None), Some("auth0"));
        assert_eq!(name("https://notauth0.com/", None), None);
        assert_eq!(name("https://auth0.com.evil.example/", None), None);
        assert_eq!(name("https://sso.example.com/realms/r", Some("account")), Some("keycloak"));
        assert_eq!(name("https://sso.example.com/realms/r", Some("other")), None);
    }
}

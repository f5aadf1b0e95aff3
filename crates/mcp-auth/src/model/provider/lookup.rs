//! Finds a provider, and fills in its placeholders.

use crate::model::provider::row::Provider;
use crate::model::provider::table;

impl Provider {
    /// All providers, in the order of the guide.
    pub const ALL: &'static [&'static Self] = table::ALL;

    /// The defaults of all rows.
    pub(crate) const DEFAULT: Self = table::DEFAULT;

    /// The provider with this `id`. Returns `None` if there is none.
    #[must_use]
    pub fn find(id: &str) -> Option<&'static Self> {
        Self::ALL.iter().copied().find(|provider| provider.id == id)
    }

    /// The provider of an issuer, recognized by the host, or else by an audience that only this provider
    /// writes. Returns `None` if neither is known.
    pub(crate) fn recognize(issuer: &str, audience: Option<&str>) -> Option<&'static Self> {
        let host = crate::util::url::split(issuer).map_or("", |(_, host, _)| host);
        let is_of = |provider: &&&Self| {
            provider.hosts.iter().any(|end| {
                host == *end || host.strip_suffix(end).is_some_and(|rest| rest.ends_with('.'))
            })
        };
        let writes = |provider: &&&Self| {
            audience.is_some_and(|audience| provider.known_audiences.contains(&audience))
        };
        let by_host = Self::ALL.iter().find(is_of);
        by_host.or_else(|| Self::ALL.iter().find(writes)).copied()
    }

    /// Replaces the placeholders in `template` with the given values, one after the other. A placeholder stays if
    /// its value is empty or invalid: no issuer looks like that.
    pub(crate) fn fill_placeholders(&self, template: &str, given: &[(&str, &str)]) -> String {
        let mut filled = template.to_owned();
        for (place, value) in given {
            let placeholder = format!("{{{place}}}");
            let value = value.trim_end_matches('/');
            // Accept `https://tenant.auth0.com/` for `tenant.auth0.com`, since users copy it from a browser.
            let value = match value.strip_prefix("https://") {
                Some(host) if template.contains(&format!("https://{placeholder}")) => host,
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

/// Whether the text is a GUID in lower case, as in `iss`.
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
        provider.fill_placeholders(provider.issuer, given)
    }

    #[test]
    fn issuer_placeholders_are_filled_in() {
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
    fn guids_are_distinguished_from_names() {
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

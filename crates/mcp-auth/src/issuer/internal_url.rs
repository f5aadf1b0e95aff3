//! Where this machine reaches an issuer that has another URL in public.

use std::borrow::Cow;

use crate::net::fetch::FetchError;
use crate::util::url;

/// The origin that stands for the public one of an issuer in each request to it.
///
/// Only the address of requests changes. The issuer's identifier stays what `iss` and `issuer` are compared with.
#[derive(Clone, Debug)]
pub(crate) struct InternalUrl {
    /// Scheme and authority in their normal form. `None` if there is a placeholder, or it is not a URL.
    public: Option<String>,
    internal: Box<str>,
}

impl InternalUrl {
    pub(crate) fn new(issuer: &str, internal: &str) -> Self {
        // The placeholder of a tenant may be in the path.
        let host_ends = issuer.match_indices('/').nth(2).map_or(issuer.len(), |(at, _)| at);
        let public = issuer.get(..host_ends).and_then(origin);
        Self { public, internal: internal.strip_suffix('/').unwrap_or(internal).into() }
    }

    /// Returns what is wrong with it, if anything.
    pub(crate) fn config_error(&self, http_hosts: &[Box<str>]) -> Option<&'static str> {
        let is_origin = url::split(&self.internal).is_some_and(|(_, _, rest)| rest.is_empty());
        if !is_origin || url::problem(&self.internal, http_hosts).is_some() {
            return Some(
                "must be like https://keycloak.internal:8443: https (http only on this machine, and on hosts that `.insecure_http_hosts(..)` names; for a private CA see `HttpClient::root_certificates`), and without a path, since paths stay the same",
            );
        }
        self.public
            .is_none()
            .then_some("stands for the host of one issuer, and this one has a placeholder there")
    }

    /// The address of a URL of the issuer. Any other URL stays as it is.
    fn address_of<'u>(&self, url: &'u str) -> Cow<'u, str> {
        match url::split(url) {
            Some((_, _, rest)) if self.public.is_some() && origin(url) == self.public => {
                format!("{}{rest}", self.internal).into()
            }
            _ => url.into(),
        }
    }

    pub(crate) fn is_internal(&self, url: &str) -> bool {
        origin(url).is_some() && origin(url) == origin(&self.internal)
    }
}

/// The address of a URL that was configured.
pub(crate) fn address_of<'u>(internal: Option<&InternalUrl>, url: &'u str) -> Cow<'u, str> {
    internal.map_or(url.into(), |internal| internal.address_of(url))
}

/// The address of a URL that the metadata of an issuer names.
///
/// Plain http is for loopback addresses, and metadata of a remote server must not send requests there, except to the
/// address that was set for this issuer.
pub(crate) fn address_in_metadata<'u>(
    internal: Option<&InternalUrl>,
    issuer: &str,
    url: &'u str,
) -> Result<Cow<'u, str>, FetchError> {
    let is_internal = internal.is_some_and(|internal| internal.is_internal(url));
    if url::is_https(issuer) && !url::is_https(url) && !is_internal {
        return Err(FetchError::Insecure(url.to_owned()));
    }
    Ok(address_of(internal, url))
}

fn origin(url: &str) -> Option<String> {
    let (scheme, _, _) = url::split(url)?;
    Some(format!("{}://{}", scheme.to_ascii_lowercase(), url::authority(url)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ISSUER: &str = "https://login.example.com/realms/mcp";

    #[test]
    fn only_urls_of_the_issuers_own_origin_have_another_address() {
        let internal = InternalUrl::new(ISSUER, "https://kc.internal:8443/");
        for (url, address) in [
            ("https://login.example.com", "https://kc.internal:8443"),
            (
                "https://login.example.com/realms/mcp/certs",
                "https://kc.internal:8443/realms/mcp/certs",
            ),
            ("https://LOGIN.example.com:443/x?y=1", "https://kc.internal:8443/x?y=1"),
            ("https://kc.internal:8443/x", "https://kc.internal:8443/x"),
            ("https://login.example.com:8443/x", "https://login.example.com:8443/x"),
            (
                "https://login.example.com.evil.example/x",
                "https://login.example.com.evil.example/x",
            ),
            (
                "https://login.example.com@evil.example/x",
                "https://login.example.com@evil.example/x",
            ),
            (
                "https://evil.example/?https://login.example.com/",
                "https://evil.example/?https://login.example.com/",
            ),
            ("http://login.example.com/x", "http://login.example.com/x"),
            ("login.example.com", "login.example.com"),
            ("", ""),
        ] {
            assert_eq!(internal.address_of(url), address, "{url}");
            assert_eq!(address_of(None, url), url, "{url}");
        }
    }

    #[test]
    fn metadata_leads_to_plain_http_only_where_the_issuer_itself_is() {
        let local = InternalUrl::new(ISSUER, "http://127.0.0.1:8080");
        for (internal, url, address) in [
            (Some(&local), "https://login.example.com/jwks", Some("http://127.0.0.1:8080/jwks")),
            (Some(&local), "http://127.0.0.1:8080/jwks", Some("http://127.0.0.1:8080/jwks")),
            (Some(&local), "https://keys.example.com/", Some("https://keys.example.com/")),
            (Some(&local), "http://127.0.0.1:9090/jwks", None),
            (Some(&local), "http://localhost:8080/jwks", None),
            (Some(&local), "http://login.example.com/jwks", None),
            (Some(&local), "", None),
            (None, "http://127.0.0.1:8080/jwks", None),
            (None, "https://login.example.com/jwks", Some("https://login.example.com/jwks")),
        ] {
            let found = address_in_metadata(internal, ISSUER, url);
            assert_eq!(found.ok().as_deref(), address, "{url}");
        }
    }

    #[test]
    fn an_internal_url_is_an_origin() {
        for (issuer, internal, is_fine) in [
            (ISSUER, "https://kc.internal:8443", true),
            (ISSUER, "https://kc.internal/", true),
            (ISSUER, "http://127.0.0.1:8080", true),
            ("https://login.example.com/{tenant}", "https://kc.internal", true),
            ("https://{tenant}.example.com", "https://kc.internal", false),
            (ISSUER, "", false),
            (ISSUER, "kc.internal:8443", false),
            (ISSUER, "http://keycloak:8080", false),
            (ISSUER, "http://named:8080", true),
            (ISSUER, "https://kc.internal/realms/mcp", false),
            (ISSUER, "https://kc.internal?x", false),
            (ISSUER, "https://user:pass@kc.internal", false),
        ] {
            let config_error = InternalUrl::new(issuer, internal).config_error(&["named".into()]);
            assert_eq!(config_error.is_none(), is_fine, "{issuer} {internal}");
        }
    }
}

//! Tells the upstream who calls, in headers or in a token of the gateway's own.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::SystemTime;

use http::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use mcp_auth::{AuthInfo, McpAuth};
use mcp_auth_config::{IdentityMode, ResourceConfig};

use crate::headers::{is_reserved, remove_spellings};
use crate::identity_token::{IdentityToken, SigningKey, claims_of};

/// The headers about every caller. [`strip_request`](crate::headers::strip_request) removes them from what clients send.
const SUBJECT: HeaderName = HeaderName::from_static("x-auth-subject");
const ISSUER: HeaderName = HeaderName::from_static("x-auth-issuer");
const CLIENT_ID: HeaderName = HeaderName::from_static("x-auth-client-id");
const SCOPES: HeaderName = HeaderName::from_static("x-auth-scopes");

/// What an upstream gets from the gateway, besides the request of the client.
#[derive(Debug, Default)]
pub(crate) struct Identity {
    told: Told,
    /// Headers that the upstream demands of the gateway.
    fixed: Vec<(HeaderName, HeaderValue)>,
}

/// How it learns who calls.
#[derive(Debug, Default)]
enum Told {
    #[default]
    Nothing,
    /// In headers. These claims too, if the token has them.
    Headers(Vec<(String, HeaderName)>),
    Token(IdentityToken),
}

impl Identity {
    /// What the description of a resource says. `key` signs the tokens of `identity = "jwt"`.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub(crate) fn new(
        auth: &McpAuth,
        resource: &ResourceConfig,
        upstream: &str,
        key: Option<&Arc<SigningKey>>,
    ) -> Result<Self, String> {
        let claims = &resource.identity_claims;
        let told = match (resource.identity.unwrap_or_default(), key) {
            (IdentityMode::None, _) if !claims.is_empty() => {
                return Err(
                    "`identity_claims` needs `identity = \"headers\"` or `identity = \"jwt\"`"
                        .into(),
                );
            }
            (IdentityMode::None, _) => Told::Nothing,
            (IdentityMode::Headers, _) => Told::Headers(
                claims
                    .iter()
                    .map(|(claim, name)| claim_header(claim, name))
                    .collect::<Result<_, _>>()?,
            ),
            (IdentityMode::Jwt, Some(key)) => {
                Told::Token(IdentityToken::new(auth, resource, upstream, Arc::clone(key))?)
            }
            (IdentityMode::Jwt, None) => {
                return Err("`identity = \"jwt\"` needs `admin`, where the upstream finds the keys: /jwks.json".into());
            }
        };
        let mut fixed = Vec::new();
        for (name, source) in &resource.upstream_headers {
            let header = header_name("upstream_headers", name)?;
            if header == AUTHORIZATION && matches!(told, Told::Token(_)) {
                return Err("`identity = \"jwt\"` uses the header `Authorization`, which `upstream_headers` sets too".into());
            }
            if told.headers().any(|told| *told == header) {
                return Err(format!("`upstream_headers` and `identity` both set {name:?}"));
            }
            let secret = source.read().map_err(|error| error.to_string())?;
            let mut value = HeaderValue::from_str(&secret).map_err(|_| {
                format!("`upstream_headers`: {source} cannot be the value of a header")
            })?;
            value.set_sensitive(true);
            fixed.push((header, value));
        }
        Ok(Self { told, fixed })
    }

    /// Whether it sets the header in which the upstream gets a token.
    pub(crate) fn writes_authorization(&self) -> bool {
        matches!(self.told, Told::Token(_))
            || self.fixed.iter().any(|(name, _)| name == AUTHORIZATION)
    }

    /// Adds the headers to a request of which the client's credentials were removed. Without a caller, none says who
    /// calls.
    ///
    /// # Errors
    ///
    /// Why the caller cannot be told. The request must not be passed on then.
    pub(crate) fn add(
        &self,
        caller: Option<&AuthInfo>,
        headers: &mut HeaderMap,
    ) -> Result<(), String> {
        let ours = self.told.headers().chain(self.fixed.iter().map(|(name, _)| name));
        ours.for_each(|name| remove_spellings(headers, name));
        match (&self.told, caller) {
            (Told::Headers(claims), Some(caller)) => add_headers(caller, claims, headers)?,
            (Told::Token(token), Some(caller)) => {
                headers.insert(AUTHORIZATION, token.bearer(caller, SystemTime::now())?);
            }
            (Told::Nothing, _) | (_, None) => {}
        }
        for (name, value) in &self.fixed {
            headers.insert(name, value.clone());
        }
        Ok(())
    }
}

impl Identity {
    /// The headers for a proxy that passes the request on. Each is there, and is empty if there is nothing to tell, so that it
    /// takes the place of one that the client has sent.
    ///
    /// # Errors
    ///
    /// As [`add`](Self::add).
    pub(crate) fn for_proxy(&self, caller: Option<&AuthInfo>) -> Result<HeaderMap, String> {
        let mut headers = HeaderMap::new();
        self.add(caller, &mut headers)?;
        for name in self.told_names() {
            headers.entry(name).or_insert(HeaderValue::from_static(""));
        }
        Ok(headers)
    }

    /// The names of all headers that say who calls.
    pub(crate) fn told_names(&self) -> impl Iterator<Item = &HeaderName> {
        static ALWAYS: [HeaderName; 4] = [SUBJECT, ISSUER, CLIENT_ID, SCOPES];
        static TOKEN: [HeaderName; 1] = [AUTHORIZATION];
        let always: &[HeaderName] = match self.told {
            Told::Nothing => &[],
            Told::Headers(_) => &ALWAYS,
            Told::Token(_) => &TOKEN,
        };
        always.iter().chain(self.told.headers())
    }
}

impl Told {
    /// The headers whose names the description chooses.
    fn headers(&self) -> impl Iterator<Item = &HeaderName> {
        let claims = match self {
            Self::Headers(claims) => claims.as_slice(),
            Self::Nothing | Self::Token(_) => &[],
        };
        claims.iter().map(|(_, name)| name)
    }
}

fn claim_header(claim: &str, name: &str) -> Result<(String, HeaderName), String> {
    let header = header_name("identity_claims", name)?;
    match [SUBJECT, ISSUER, CLIENT_ID, SCOPES, AUTHORIZATION].contains(&header) {
        true => Err(format!("`identity_claims`: {name:?} is the name of another header")),
        false => Ok((claim.to_owned(), header)),
    }
}

fn header_name(key: &str, name: &str) -> Result<HeaderName, String> {
    let header: HeaderName =
        name.parse().map_err(|_| format!("`{key}`: {name:?} is not the name of a header"))?;
    match is_reserved(&header) {
        true => Err(format!("`{key}`: {name:?} is a header of the message itself")),
        false => Ok(header),
    }
}

fn add_headers(
    caller: &AuthInfo,
    claims: &[(String, HeaderName)],
    headers: &mut HeaderMap,
) -> Result<(), String> {
    let mut told = vec![(SUBJECT, caller.subject()), (ISSUER, caller.issuer())];
    told.extend(caller.client_id().map(|client| (CLIENT_ID, client)));
    told.push((SCOPES, caller.scopes().as_str()));
    for (name, value) in told {
        headers.insert(name, header_value(value));
    }
    if claims.is_empty() {
        return Ok(());
    }
    let all = claims_of(caller)?;
    for (claim, name) in claims {
        if let Some(value) = all.get(claim.as_str()) {
            let text = serde_json::from_str::<String>(value.get());
            headers.insert(name, header_value(text.as_deref().unwrap_or(value.get())));
        }
    }
    Ok(())
}

/// A text as the value of a header. What a header cannot hold, and `%`, is percent-encoded, so that decoding always
/// gives the text.
fn header_value(text: &str) -> HeaderValue {
    let mut value = String::with_capacity(text.len());
    let last = text.len().saturating_sub(1);
    for (i, byte) in text.bytes().enumerate() {
        let is_plain = matches!(byte, b'!'..=b'~') && byte != b'%';
        // A space at the end of a value is lost on the way.
        if is_plain || byte == b' ' && (1..last).contains(&i) {
            value.push(char::from(byte));
        } else {
            _ = write!(value, "%{byte:02X}");
        }
    }
    HeaderValue::try_from(value).unwrap_or_else(|_| HeaderValue::from_static(""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_text_can_be_the_value_of_a_header() {
        for (text, expected) in [
            ("auth0|123", "auth0|123"),
            ("", ""),
            ("read write", "read write"),
            (" a ", "%20a%20"),
            (" ", "%20"),
            ("100%", "100%25"),
            ("jos\u{e9}", "jos%C3%A9"),
            ("a\r\nX-Auth-Subject: root", "a%0D%0AX-Auth-Subject: root"),
            ("a\0b\t", "a%00b%09"),
            (r#"["a","b"]"#, r#"["a","b"]"#),
        ] {
            assert_eq!(header_value(text), expected, "{text:?}");
        }
    }
}

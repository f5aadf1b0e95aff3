//! How this server authenticates at an introspection or token endpoint: four OAuth client methods, or a bearer token.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use base64_simd::STANDARD;
use http::header::{AUTHORIZATION, HeaderMap};
use serde_json::Value;

use crate::issuer::introspection::form::{Form, encode};
use crate::net::fetch::{FetchError, Secret, sensitive_header};
use crate::util::unix_time::unix_secs;
use crate::verify::jwt::{self, Algorithm, PrivateKey, to_base64url};

/// Lifetime of an assertion in seconds: enough for one request and for clock skew.
const ASSERTION_SECONDS: u64 = 60;

const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

#[derive(Clone)]
pub(crate) enum ClientAuthentication {
    Basic(Arc<str>, Secret),
    Bearer(Secret),
    /// The endpoint requires no authentication.
    None,
    Post(Arc<str>, Secret),
    PrivateKeyJwt {
        client_id: Arc<str>,
        key: Result<Arc<PrivateKey>, &'static str>,
        kid: Option<Arc<str>>,
    },
    /// The certificate of the connection authenticates this client.
    TlsClientAuth(Arc<str>),
}

impl ClientAuthentication {
    pub(crate) fn private_key_jwt(client_id: &str, pem: &str, algorithm: Algorithm) -> Self {
        let key = PrivateKey::from_pem(pem, algorithm).map(Arc::new);
        Self::PrivateKeyJwt { client_id: client_id.into(), key, kid: None }
    }

    pub(crate) fn set_kid(&mut self, name: &str) {
        if let Self::PrivateKeyJwt { kid, .. } = self {
            *kid = Some(name.into());
        }
    }

    pub(crate) fn client_id(&self) -> Option<&str> {
        match self {
            Self::Bearer(_) | Self::None => None,
            Self::Basic(id, _) | Self::Post(id, _) | Self::TlsClientAuth(id) => Some(id),
            Self::PrivateKeyJwt { client_id, .. } => Some(client_id),
        }
    }

    /// Whether the connection must have a client certificate, so that an
    /// [alias](https://www.rfc-editor.org/rfc/rfc8705#section-5) of the endpoint comes first.
    pub(crate) fn is_mtls(&self) -> bool {
        matches!(self, Self::TlsClientAuth(_))
    }

    /// Returns what is wrong with the configuration, if anything.
    pub(crate) fn config_error(&self) -> Option<&'static str> {
        if self.client_id().is_some_and(str::is_empty) {
            return Some("the client id is empty: is an environment variable unset?");
        }
        match self {
            Self::Basic(_, secret) | Self::Post(_, secret)
                if secret.fixed().is_some_and(str::is_empty) =>
            {
                Some("the secret is empty: is an environment variable unset?")
            }
            Self::Bearer(token) => token.bearer_error(),
            Self::PrivateKeyJwt { key, .. } => key.as_ref().err().copied(),
            _ => None,
        }
    }

    /// The current secret, if this method has one.
    pub(crate) async fn secret(&self, timeout: Duration) -> Result<Option<Arc<str>>, FetchError> {
        match self {
            Self::Basic(_, secret) | Self::Post(_, secret) => {
                secret.current(timeout).await.map(Some)
            }
            Self::Bearer(token) => token.current_bearer(timeout).await.map(Some),
            Self::None | Self::PrivateKeyJwt { .. } | Self::TlsClientAuth(_) => Ok(None),
        }
    }

    /// Adds the client authentication to a request, with the current `secret`. Returns `None` if that is impossible;
    /// `build()` has already reported what is misconfigured.
    pub(crate) fn authenticate(
        &self,
        secret: Option<&str>,
        issuer: &str,
        now: SystemTime,
        headers: &mut HeaderMap,
        form: &mut Form,
    ) -> Option<()> {
        match self {
            Self::Basic(id, _) => {
                let pair = format!("{}:{}", encode(id), encode(secret?));
                headers.insert(
                    AUTHORIZATION,
                    sensitive_header("Basic", &STANDARD.encode_to_string(pair))?,
                );
            }
            Self::Bearer(_) => {
                headers.insert(AUTHORIZATION, sensitive_header("Bearer", secret?)?);
            }
            Self::None => {}
            Self::Post(id, _) => {
                form.add("client_id", id);
                form.add("client_secret", secret?);
            }
            Self::TlsClientAuth(id) => form.add("client_id", id),
            Self::PrivateKeyJwt { client_id, key, kid } => {
                let key = key.as_ref().ok()?;
                form.add("client_assertion_type", JWT_BEARER);
                form.add(
                    "client_assertion",
                    &assertion(client_id, issuer, key, kid.as_deref(), now)?,
                );
            }
        }
        Some(())
    }
}

/// A signed client assertion ([RFC 7523 §3](https://www.rfc-editor.org/rfc/rfc7523#section-3)).
///
/// Its audience is the issuer alone, as FAPI 2.0 and the successor of RFC 7523 demand. The URL of an endpoint can
/// be shared, or chosen by an attacker: an assertion for one server could then be used at another.
fn assertion(
    client_id: &str,
    issuer: &str,
    key: &PrivateKey,
    kid: Option<&str>,
    now: SystemTime,
) -> Option<String> {
    // The deprecated name `EdDSA` is the one that every server of today understands.
    let alg = if key.algorithm == Algorithm::Ed25519 { "EdDSA" } else { key.algorithm.name() };
    let header = Value::from_iter([("alg", alg)].into_iter().chain(kid.map(|kid| ("kid", kid))));
    let now = unix_secs(now);
    let claims = Value::from_iter([
        ("iss", Value::from(client_id)),
        ("sub", client_id.into()),
        ("aud", issuer.into()),
        ("iat", now.into()),
        ("exp", now.saturating_add(ASSERTION_SECONDS).into()),
        ("jti", to_base64url(&jwt::random::<16>()?).into()),
    ]);
    let encode = |json: Value| to_base64url(json.to_string().as_bytes());
    let input = format!("{}.{}", encode(header), encode(claims));
    let signature = key.sign(input.as_bytes())?;
    Some(format!("{input}.{}", to_base64url(&signature)))
}

impl fmt::Debug for ClientAuthentication {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let method = match self {
            Self::Basic(..) => "client_secret_basic",
            Self::Bearer(_) => "bearer",
            Self::None => "none",
            Self::Post(..) => "client_secret_post",
            Self::PrivateKeyJwt { .. } => "private_key_jwt",
            Self::TlsClientAuth(_) => "tls_client_auth",
        };
        write!(f, "{method}({:?}, redacted)", self.client_id().unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signed(authentication: &ClientAuthentication) -> (String, String) {
        let (mut headers, mut form) = (HeaderMap::new(), Form::default());
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1000);
        let secret = match authentication {
            ClientAuthentication::Basic(_, secret)
            | ClientAuthentication::Post(_, secret)
            | ClientAuthentication::Bearer(secret) => secret.fixed(),
            _ => None,
        };
        let done =
            authentication.authenticate(secret, "https://issuer", now, &mut headers, &mut form);
        assert!(done.is_some());
        let header = headers.get(AUTHORIZATION).map_or("", |it| it.to_str().expect("ASCII"));
        assert!(headers.get(AUTHORIZATION).is_none_or(http::HeaderValue::is_sensitive));
        (header.to_owned(), form.into_text())
    }

    /// The example of RFC 6749 §2.3.1, and a pair that needs encoding: a URL as client id, a secret with special
    /// characters.
    #[test]
    fn client_secret_basic_is_encoded_twice() {
        for (id, secret, header) in [
            (
                "s6BhdRkqt3",
                "7Fjfp0ZBr1KtDRbnfVdmIw",
                "Basic czZCaGRSa3F0Mzo3RmpmcDBaQnIxS3REUmJuZlZkbUl3",
            ),
            // https%3A%2F%2Fapi.example.com%2Fmcp:a+%25%26%2B%C2%A3%3A
            (
                "https://api.example.com/mcp",
                "a %&+£:",
                "Basic aHR0cHMlM0ElMkYlMkZhcGkuZXhhbXBsZS5jb20lMkZtY3A6YSslMjUlMjYlMkIlQzIlQTMlM0E=",
            ),
        ] {
            let basic = ClientAuthentication::Basic(id.into(), secret.into());
            assert_eq!(signed(&basic), (header.to_owned(), String::new()));
        }
    }

    #[test]
    fn client_secret_post_and_bearer_are_encoded() {
        let post = ClientAuthentication::Post("a b".into(), "c&d".into());
        assert_eq!(signed(&post), (String::new(), "client_id=a+b&client_secret=c%26d".into()));
        let certificate = ClientAuthentication::TlsClientAuth("a b".into());
        assert_eq!(signed(&certificate), (String::new(), "client_id=a+b".into()));
        let bearer = ClientAuthentication::Bearer("mF_9".into());
        assert_eq!(signed(&bearer), ("Bearer mF_9".into(), String::new()));
    }

    #[test]
    fn invalid_credentials_are_config_errors_and_debug_shows_no_secret() {
        let basic = |id: &str, secret: &str| ClientAuthentication::Basic(id.into(), secret.into());
        for (authentication, is_fine) in [
            (basic("id", "hush"), true),
            (basic("", "hush"), false),
            (basic("id", ""), false),
            (ClientAuthentication::TlsClientAuth("id".into()), true),
            (ClientAuthentication::TlsClientAuth("".into()), false),
            (ClientAuthentication::Bearer("".into()), false),
            (ClientAuthentication::Bearer("hush\n".into()), false),
            (ClientAuthentication::private_key_jwt("id", "hush", Algorithm::Es256), false),
        ] {
            assert_eq!(authentication.config_error().is_none(), is_fine, "{authentication:?}");
            assert!(!format!("{authentication:?}").contains("hush"));
        }
    }
}

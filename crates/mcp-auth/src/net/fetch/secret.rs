//! `Secret`: a secret that `Debug` does not show, or a function that returns the current one.

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use http::header::HeaderValue;

use crate::net::box_future::BoxFuture;
use crate::net::catch_panic::catch_panic;
use crate::net::fetch::error::FetchError;

/// A secret with which this server authenticates, such as a client secret or a token. `Debug` does not show it.
///
/// ```
/// use mcp_auth::Secret;
///
/// let secret = Secret::from("correct horse battery staple");
/// assert_eq!(format!("{secret:?}"), "Secret(redacted)");
/// ```
#[derive(Clone)]
pub struct Secret(Source);

#[derive(Clone)]
enum Source {
    Fixed(Arc<str>),
    Function(Arc<SecretFn>),
}

type SecretError = Box<dyn Error + Send + Sync>;

type SecretFn = dyn Fn() -> BoxFuture<'static, Result<String, SecretError>> + Send + Sync;

impl Secret {
    /// A secret that changes, such as an access token that expires, or a password that is rotated.
    ///
    /// `current` is called for each request that needs the secret, several times at once if there are several requests.
    /// So it should return the same secret until that expires. A call may take as long as its request. A
    /// panic counts as an error. The error is logged; make sure that it does not contain the secret.
    ///
    /// ```
    /// use mcp_auth::{Introspection, Secret};
    ///
    /// // Kubernetes renews the token in this file.
    /// let token = Secret::from_fn(|| async {
    ///     let token = std::fs::read_to_string("/var/run/secrets/tokens/introspection")?; // small and local
    ///     Ok::<_, std::io::Error>(token.trim().to_owned())
    /// });
    /// let introspection = Introspection::bearer(token);
    /// ```
    pub fn from_fn<F, E>(current: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<String, E>> + Send + 'static,
        E: Into<Box<dyn Error + Send + Sync>>,
    {
        let current = move || {
            let secret = current();
            let secret = async { secret.await.map_err(Into::into) };
            Box::pin(secret) as BoxFuture<'static, _>
        };
        Self(Source::Function(Arc::new(current)))
    }

    /// The secret, if it does not change.
    pub(crate) fn fixed(&self) -> Option<&str> {
        match &self.0 {
            Source::Fixed(secret) => Some(secret),
            Source::Function(_) => None,
        }
    }

    /// The current secret, which is not empty.
    pub(crate) async fn current(&self, timeout: Duration) -> Result<Arc<str>, FetchError> {
        let current = match &self.0 {
            Source::Fixed(secret) => return Ok(secret.clone()),
            Source::Function(current) => catch_panic(|| current()),
        };
        let current = tokio::time::timeout(timeout, current).await;
        let secret = current.map_err(|_| FetchError::Timeout(timeout))?;
        let secret = secret.map_err(|panicked| FetchError::Secret(panicked.into()))?;
        match secret.map_err(FetchError::Secret)? {
            empty if empty.is_empty() => Err(FetchError::Secret("it is empty".into())),
            secret => Ok(secret.into()),
        }
    }

    /// The current secret as a bearer token, which can be sent in a header.
    pub(crate) async fn current_bearer(&self, timeout: Duration) -> Result<Arc<str>, FetchError> {
        let token = self.current(timeout).await?;
        match sensitive_header("Bearer", &token) {
            Some(_) => Ok(token),
            None => Err(FetchError::Secret(NO_HEADER.into())),
        }
    }

    /// Returns what is wrong with the secret as a bearer token, if that is known yet.
    pub(crate) fn bearer_error(&self) -> Option<&'static str> {
        let secret = self.fixed()?;
        if secret.is_empty() {
            return Some("the bearer token is empty: is an environment variable unset?");
        }
        sensitive_header("Bearer", secret).is_none().then_some(NO_HEADER)
    }
}

const NO_HEADER: &str =
    "the bearer token has characters that no header has: is there a line break at its end?";

/// A header value that is marked as sensitive, so that logs do not show it, including those of HTTP clients.
pub(crate) fn sensitive_header(scheme: &str, credentials: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::try_from(format!("{scheme} {credentials}")).ok()?;
    value.set_sensitive(true);
    Some(value)
}

impl From<&str> for Secret {
    fn from(secret: &str) -> Self {
        Self(Source::Fixed(secret.into()))
    }
}

impl From<&String> for Secret {
    fn from(secret: &String) -> Self {
        Self::from(secret.as_str())
    }
}

impl From<String> for Secret {
    fn from(secret: String) -> Self {
        Self(Source::Fixed(secret.into()))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(redacted)")
    }
}

//! `Verifier`: finds out whether a token is genuine.

use std::future::Future;

use crate::model::credentials::Credentials;
use crate::model::denial::Denial;
use crate::model::verified_token::VerifiedToken;
use crate::net::box_future::BoxFuture;

/// Finds out whether a token is true. Any async function of [`Credentials`] is one.
///
/// A verifier says what is true of a token, not whether it may pass: issuer, audience, expiry and
/// scopes are judged after it, by the policy of the resource.
///
/// ```
/// use mcp_auth::{AuthorizationServer, Credentials, Denial, McpAuth, Reason, VerifiedToken};
///
/// async fn api_key(credentials: Credentials) -> Result<VerifiedToken, Denial> {
///     match credentials.token().expose() {
///         "a-very-secret-key" => Ok(VerifiedToken::assert("https://keys.example.com", "alice")
///             .audience("https://api.example.com/mcp")
///             .scopes(["read"])),
///         _ => Err(Denial::invalid(Reason::Inactive)),
///     }
/// }
///
/// let auth = McpAuth::builder("https://api.example.com/mcp")
///     .authorization_server(AuthorizationServer::external("https://keys.example.com"))
///     .verifier(api_key)
///     .build()?;
/// # Ok::<(), mcp_auth::ConfigError>(())
/// ```
pub trait Verifier: Send + Sync + 'static {
    /// Verifies the credentials of one request.
    ///
    /// # Errors
    ///
    /// [`Denial::invalid`] if the token is not true, [`Denial::unavailable`] if that cannot be found
    /// out at the moment.
    fn verify<'a>(
        &'a self,
        credentials: &'a Credentials,
    ) -> BoxFuture<'a, Result<VerifiedToken, Denial>>;
}

impl<F, Answer> Verifier for F
where
    F: Fn(Credentials) -> Answer + Send + Sync + 'static,
    Answer: Future<Output = Result<VerifiedToken, Denial>> + Send + 'static,
{
    fn verify<'a>(
        &'a self,
        credentials: &'a Credentials,
    ) -> BoxFuture<'a, Result<VerifiedToken, Denial>> {
        Box::pin(self(credentials.clone()))
    }
}

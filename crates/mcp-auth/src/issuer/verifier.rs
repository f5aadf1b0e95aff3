//! `Verifier`: the trait of access token verifiers.

use std::future::Future;

use crate::model::credentials::Credentials;
use crate::model::denial::Denial;
use crate::model::verified_token::VerifiedToken;
use crate::net::box_future::BoxFuture;

/// Verifies that a token is authentic. Any async function of [`Credentials`] is a verifier.
///
/// A verifier establishes what a token says, not whether the request is allowed: issuer, audience, expiry and
/// scopes are checked afterwards, by the policy of the resource. So it must say for which resource the token was issued, with
/// [`audience`](VerifiedToken::audience).
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
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not verify tokens",
    label = "not a `Verifier`",
    note = "a verifier is an async function `async fn(Credentials) -> Result<VerifiedToken, Denial>`, whose future is `Send`, or a type that implements `mcp_auth::Verifier`"
)]
pub trait Verifier: Send + Sync + 'static {
    /// Verifies the credentials of one request.
    ///
    /// # Errors
    ///
    /// [`Denial::invalid`] if the token is not valid, [`Denial::unavailable`] if that cannot be determined at the
    /// moment.
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

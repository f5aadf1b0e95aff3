//! The verifier of tokens that are signed with a shared secret; it runs before the default verifier.

use std::future::ready;

use crate::issuer::authorization_server::AuthorizationServer;
use crate::issuer::verifier::Verifier;
use crate::model::credentials::Credentials;
use crate::model::denial::Denial;
use crate::model::verified_token::VerifiedToken;
use crate::net::box_future::BoxFuture;
use crate::verify::jwt::HmacJwt;

/// Verifies tokens that are signed with a shared secret, and leaves all others to the next verifier. Results are
/// not cached: a cache lookup takes as long as the verification.
pub(crate) struct HmacVerifier<V> {
    /// Each has a shared secret.
    servers: Vec<AuthorizationServer>,
    next: V,
}

impl<V> HmacVerifier<V> {
    pub(crate) fn new(servers: Vec<AuthorizationServer>, next: V) -> Self {
        Self { servers, next }
    }

    /// Returns `None` if the token is not an HS256 JWT of one of these issuers: it is left to the next verifier.
    fn verify_if_hmac(&self, token: &str) -> Option<Result<VerifiedToken, Denial>> {
        let token = HmacJwt::parse(token)?;
        let server = self.servers.iter().find(|server| server.issuer() == token.issuer())?;
        Some(token.verify(server.hmac_key()?, server.rules()))
    }
}

impl<V: Verifier> Verifier for HmacVerifier<V> {
    fn verify<'a>(
        &'a self,
        credentials: &'a Credentials,
    ) -> BoxFuture<'a, Result<VerifiedToken, Denial>> {
        match self.verify_if_hmac(credentials.token().expose()) {
            Some(verified) => Box::pin(ready(verified)),
            None => self.next.verify(credentials),
        }
    }
}

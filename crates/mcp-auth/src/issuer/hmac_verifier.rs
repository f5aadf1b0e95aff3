//! Tokens that are signed with a secret, before all others.

use std::future::ready;

use crate::issuer::authorization_server::AuthorizationServer;
use crate::issuer::verifier::Verifier;
use crate::model::credentials::Credentials;
use crate::model::denial::Denial;
use crate::model::verified_token::VerifiedToken;
use crate::net::box_future::BoxFuture;
use crate::verify::jwt::HmacJwt;

/// Verifies what is signed with a secret, and leaves everything else to another verifier. Nothing is
/// remembered: a look into a memory takes as long.
pub(crate) struct HmacVerifier<V> {
    /// Each with a secret.
    servers: Vec<AuthorizationServer>,
    others: V,
}

impl<V> HmacVerifier<V> {
    pub(crate) fn new(servers: Vec<AuthorizationServer>, others: V) -> Self {
        Self { servers, others }
    }

    /// Nothing if no secret is meant: it is not for this verifier to judge.
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
            None => self.others.verify(credentials),
        }
    }
}

//! Tokens that are signed with a secret, before all others.

use std::future::ready;

use crate::issuer::authorization_server::AuthorizationServer;
use crate::issuer::verifier::Verifier;
use crate::model::credentials::Credentials;
use crate::model::denial::Denial;
use crate::model::verified_token::VerifiedToken;
use crate::net::box_future::BoxFuture;
use crate::verify::jwt::BySecret;

/// Verifies what is signed with a secret, and leaves everything else to another verifier. Nothing is
/// remembered: a look into a memory takes as long.
pub(crate) struct SecretVerifier<V> {
    /// Each with a secret.
    servers: Vec<AuthorizationServer>,
    others: V,
}

impl<V> SecretVerifier<V> {
    pub(crate) fn new(servers: Vec<AuthorizationServer>, others: V) -> Self {
        Self { servers, others }
    }

    /// Nothing if no secret is meant: it is not for this verifier to judge.
    fn judge(&self, token: &str) -> Option<Result<VerifiedToken, Denial>> {
        let token = BySecret::parse(token)?;
        let server = self.servers.iter().find(|server| server.issuer() == token.issuer())?;
        Some(token.verify(server.secret()?, server.rules()))
    }
}

impl<V: Verifier> Verifier for SecretVerifier<V> {
    fn verify<'a>(
        &'a self,
        credentials: &'a Credentials,
    ) -> BoxFuture<'a, Result<VerifiedToken, Denial>> {
        match self.judge(credentials.token().expose()) {
            Some(judged) => Box::pin(ready(judged)),
            None => self.others.verify(credentials),
        }
    }
}

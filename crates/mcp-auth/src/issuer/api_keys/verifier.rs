//! The verifier of API keys, which passes all other tokens to the next verifier.

use std::future::ready;

use crate::issuer::api_keys::file::KeysFile;
use crate::issuer::api_keys::key::{MAX_KEY_BYTES, is_like_jwt};
use crate::issuer::api_keys::prepared_key::{PreparedKey, find};
use crate::issuer::verifier::Verifier;
use crate::model::credentials::Credentials;
use crate::model::denial::Denial;
use crate::model::error_codes::Reason;
use crate::model::verified_token::VerifiedToken;
use crate::net::box_future::BoxFuture;
use crate::verify::jwt::sha256;

pub(super) struct ApiKeyVerifier {
    pub(super) prefix: Box<str>,
    pub(super) configured: Vec<PreparedKey>,
    pub(super) file: Option<KeysFile>,
    pub(super) next: Box<dyn Verifier>,
}

impl ApiKeyVerifier {
    /// Looks the key up in the file, which may have to be read first.
    async fn verify_with_file(
        &self,
        file: &KeysFile,
        digest: [u8; 32],
        credentials: &Credentials,
    ) -> Result<VerifiedToken, Denial> {
        match file.find(&digest, self.has_prefix(credentials)).await? {
            Some(token) => Ok(token),
            None => self.delegate(credentials).await,
        }
    }

    /// Passes a token that is not a known key to the other verifiers, unless it starts with the prefix of keys: a
    /// value that is nearly a key must not be sent to an issuer.
    fn delegate<'a>(
        &'a self,
        credentials: &'a Credentials,
    ) -> BoxFuture<'a, Result<VerifiedToken, Denial>> {
        if self.has_prefix(credentials) {
            return Box::pin(ready(Err(unknown())));
        }
        self.next.verify(credentials)
    }

    fn has_prefix(&self, credentials: &Credentials) -> bool {
        !self.prefix.is_empty() && credentials.token().expose().starts_with(&*self.prefix)
    }
}

impl Verifier for ApiKeyVerifier {
    fn verify<'a>(
        &'a self,
        credentials: &'a Credentials,
    ) -> BoxFuture<'a, Result<VerifiedToken, Denial>> {
        let token = credentials.token().expose();
        if token.len() > MAX_KEY_BYTES || is_like_jwt(token) {
            return self.delegate(credentials);
        }
        let digest = sha256(token.as_bytes());
        match (find(&self.configured, &digest), &self.file) {
            (Some(token), _) => Box::pin(ready(Ok(token))),
            (None, Some(file)) => Box::pin(self.verify_with_file(file, digest, credentials)),
            (None, None) => self.delegate(credentials),
        }
    }
}

fn unknown() -> Denial {
    Denial::invalid(Reason::Inactive)
        .detail("it has the prefix of API keys, and is not in the list")
}

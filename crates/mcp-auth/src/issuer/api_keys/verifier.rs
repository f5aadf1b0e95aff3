//! Is the token an API key, and whose?

use std::future::ready;

use crate::issuer::api_keys::file::KeysFile;
use crate::issuer::api_keys::key::{MAX_KEY_BYTES, is_like_jwt};
use crate::issuer::api_keys::known_key::{Known, find};
use crate::issuer::verifier::Verifier;
use crate::model::credentials::Credentials;
use crate::model::denial::Denial;
use crate::model::error_codes::Reason;
use crate::model::verified_token::VerifiedToken;
use crate::net::box_future::BoxFuture;
use crate::verify::jwt::sha256;

pub(super) struct ApiKeyVerifier {
    pub(super) prefix: Box<str>,
    pub(super) given: Vec<Known>,
    pub(super) file: Option<KeysFile>,
    pub(super) others: Box<dyn Verifier>,
}

impl ApiKeyVerifier {
    /// Looks into the file too, which may have to be read.
    async fn look_further(
        &self,
        file: &KeysFile,
        digest: [u8; 32],
        credentials: &Credentials,
    ) -> Result<VerifiedToken, Denial> {
        match file.find(&digest, self.is_ours(credentials)).await? {
            Some(token) => Ok(token),
            None => self.pass_on(credentials).await,
        }
    }

    /// Lets the others judge what is no key of the lists, unless it begins as keys do here: what is nearly a
    /// key must not be told to an issuer.
    fn pass_on<'a>(
        &'a self,
        credentials: &'a Credentials,
    ) -> BoxFuture<'a, Result<VerifiedToken, Denial>> {
        if self.is_ours(credentials) {
            return Box::pin(ready(Err(unknown())));
        }
        self.others.verify(credentials)
    }

    fn is_ours(&self, credentials: &Credentials) -> bool {
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
            return self.pass_on(credentials);
        }
        let digest = sha256(token.as_bytes());
        match (find(&self.given, &digest), &self.file) {
            (Some(token), _) => Box::pin(ready(Ok(token))),
            (None, Some(file)) => Box::pin(self.look_further(file, digest, credentials)),
            (None, None) => self.pass_on(credentials),
        }
    }
}

fn unknown() -> Denial {
    Denial::invalid(Reason::Inactive)
        .detail("it begins as API keys do here, and is none of the list")
}

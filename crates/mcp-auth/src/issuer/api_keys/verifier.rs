//! Whether a token is an API key, and whose.

use std::future::ready;

use super::file::KeysFile;
use super::{ApiKey, LONGEST_KEY, is_like_jwt};
use crate::issuer::verifier::Verifier;
use crate::model::credentials::Credentials;
use crate::model::denial::{Denial, Reason};
use crate::model::token::{API_KEY_ISSUER, VerifiedToken};
use crate::net::box_future::BoxFuture;
use crate::verify::jwt::{is_same_secret, sha256};

/// A key of a list, and whom it admits.
pub(super) struct Known {
    pub(super) digest: [u8; 32],
    token: VerifiedToken,
}

impl Known {
    /// A key that is good for one resource, or what is wrong with it.
    pub(super) fn new(key: ApiKey, resource: &str) -> Result<Self, &'static str> {
        let digest = key.digest?;
        let token = VerifiedToken::assert(API_KEY_ISSUER, key.name).audience(resource);
        let token = token.scopes(key.scopes);
        let token = key.expires_at.into_iter().fold(token, VerifiedToken::expires_at);
        Ok(Self { digest, token })
    }
}

/// Whom the key of this digest admits. All are compared, so that the time does not tell which it is.
pub(super) fn find(list: &[Known], digest: &[u8; 32]) -> Option<VerifiedToken> {
    let mut found = None;
    for known in list {
        if is_same_secret(&known.digest, digest) {
            found = Some(&known.token);
        }
    }
    found.cloned()
}

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
        if token.len() > LONGEST_KEY || is_like_jwt(token) {
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

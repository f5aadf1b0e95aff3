//! A key of a list, made ready for one resource.

use crate::issuer::api_keys::key::ApiKey;
use crate::model::verified_token::{API_KEY_ISSUER, VerifiedToken};
use crate::verify::jwt::is_same_secret;

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

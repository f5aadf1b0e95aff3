//! An API key, prepared for one resource.

use crate::issuer::api_keys::key::ApiKey;
use crate::model::verified_token::{API_KEY_ISSUER, VerifiedToken};
use crate::verify::jwt::is_same_secret;

/// The digest of a key, and the verified token of its holder.
pub(super) struct PreparedKey {
    pub(super) digest: [u8; 32],
    token: VerifiedToken,
}

impl PreparedKey {
    /// Prepares a key for one resource, or returns what is wrong with the key.
    pub(super) fn new(key: ApiKey, resource: &str) -> Result<Self, &'static str> {
        let digest = key.digest?;
        let token = VerifiedToken::assert(API_KEY_ISSUER, key.name).audience(resource);
        let token = token.scopes(key.scopes);
        let token = key.expires_at.into_iter().fold(token, VerifiedToken::expires_at);
        Ok(Self { digest, token })
    }
}

/// Returns the token of the key with this digest. All keys are compared, so that the time does not reveal which one
/// it is.
pub(super) fn find(list: &[PreparedKey], digest: &[u8; 32]) -> Option<VerifiedToken> {
    let mut found = None;
    for known in list {
        if is_same_secret(&known.digest, digest) {
            found = Some(&known.token);
        }
    }
    found.cloned()
}

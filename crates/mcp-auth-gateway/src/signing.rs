//! The key of the gateway's own tokens, which stays the same while its description does.

use std::sync::Arc;

use mcp_auth_config::{Config, IdentityMode, ResourceConfig};

use crate::identity_token::SigningKey;
use crate::start_error::StartError;

/// The key for `identity = "jwt"`.
#[derive(Clone)]
pub(crate) struct Signing {
    /// What it was read from. `None` if it was made.
    pem: Option<String>,
    pub(crate) key: Arc<SigningKey>,
}

impl Signing {
    /// The key that a configuration describes: `earlier`, if that is it. Returns `None` if no resource has such an identity, or
    /// upstreams could not get the public key.
    ///
    /// # Errors
    ///
    /// If it cannot be read, or is not one.
    pub(crate) fn of(config: &Config, earlier: Option<&Self>) -> Result<Option<Self>, StartError> {
        let is_jwt = |resource: &ResourceConfig| resource.identity == Some(IdentityMode::Jwt);
        if config.admin.is_none() || !config.resources.iter().any(is_jwt) {
            return Ok(None);
        }
        let pem = config.signing_key.as_ref().map(|source| source.read()).transpose()?;
        if let Some(same) = earlier.filter(|earlier| earlier.pem == pem) {
            return Ok(Some(same.clone()));
        }
        let key = match &pem {
            Some(pem) => SigningKey::from_pem(pem),
            None => SigningKey::generate(),
        };
        let key = Arc::new(key.map_err(StartError::SigningKey)?);
        Ok(Some(Self { pem, key }))
    }
}

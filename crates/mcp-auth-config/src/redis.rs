//! Where state is that replicas share, as data.

use std::fs;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::secret::SecretSource;

/// Redis or Valkey, through which replicas share used DPoP proofs, revocations and `limits`.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields)]
pub struct RedisConfig {
    /// `redis://127.0.0.1:6379/0`, or `rediss://` for TLS, with the number of a database; or `env:NAME` or `file:PATH` if it has
    /// a password.
    pub url: String,
    /// The user name, if it is not in the URL.
    pub username: Option<String>,
    /// The password, if it is not in the URL.
    pub password: Option<SecretSource>,
    /// A PEM file with certification authorities that are trusted in addition to those of the system.
    pub ca: Option<PathBuf>,
    /// What all keys begin with: gateways with the same prefix share their state. Default: `mcp-auth`.
    pub prefix: Option<String>,
    /// What becomes of a DPoP proof while Redis does not answer: `refuse` (503, default), or `accept` if this gateway has not
    /// seen it.
    pub unchecked_proofs: Option<UncheckedProofs>,
}

/// What becomes of a proof that other replicas may have accepted.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum UncheckedProofs {
    /// The request gets a 503.
    Refuse,
    /// It is accepted once by each replica.
    Accept,
}

impl RedisConfig {
    /// The URL, with the password that it may have.
    ///
    /// # Errors
    ///
    /// If it is a secret that cannot be read, or has a password and is none.
    pub fn url(&self) -> Result<String, Error> {
        match SecretSource::parse(&self.url) {
            Some(source) => source.read(),
            None if self.url.contains('@') => Err(Error::new(
                "`redis`: a URL with a password is not written here: set `url` to `env:NAME` or `file:PATH`, or set `password`",
            )),
            None => Ok(self.url.clone()),
        }
    }

    /// The password.
    ///
    /// # Errors
    ///
    /// If it cannot be read.
    pub fn password(&self) -> Result<Option<String>, Error> {
        self.password.as_ref().map(SecretSource::read).transpose()
    }

    /// The certification authorities, in PEM.
    ///
    /// # Errors
    ///
    /// If they cannot be read.
    pub fn ca(&self) -> Result<Option<Vec<u8>>, Error> {
        let Some(file) = &self.ca else { return Ok(None) };
        let cannot = |error| {
            Error::new(format!("`redis`: the file {} cannot be read: {error}", file.display()))
        };
        fs::read(file).map(Some).map_err(cannot)
    }
}

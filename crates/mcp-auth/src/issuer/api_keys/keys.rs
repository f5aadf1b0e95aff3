//! `ApiKeys`: API keys that are accepted in addition to OAuth tokens.

use std::io;
use std::path::Path;
use std::sync::Arc;

use crate::issuer::api_keys::file::KeysFile;
use crate::issuer::api_keys::key::{ApiKey, GeneratedKey};
use crate::issuer::api_keys::prepared_key::PreparedKey;
use crate::issuer::api_keys::verifier::ApiKeyVerifier;
use crate::issuer::verifier::Verifier;
use crate::model::verified_token::API_KEY_ISSUER;
use crate::net::clock::Clock;
use crate::util::hex;
use crate::verify::jwt::{random, sha256, to_base64url};

/// API keys that are accepted as bearer tokens, in addition to the tokens of authorization servers.
///
/// They are for callers that cannot log in: scripts, jobs, servers. A key is sent as `Authorization: Bearer <key>`,
/// and nowhere else. Its holder is a caller of a separate kind ([`CallerKind::ApiKey`](crate::CallerKind)): the
/// issuer is [`ISSUER`](Self::ISSUER), and the subject is the name of the key. Rules and scopes apply as they do to
/// tokens.
///
/// Only SHA-256 digests are stored. The digest of a received key is compared with all of them in constant time. A
/// token with the form of a JWT (three parts separated by dots) is never treated as a key; it is refused if it
/// starts with the [`prefix`](Self::prefix) of keys.
///
/// Two keys may have the same name. To replace a key, add the new one, let its holders change to it, and remove the
/// old one.
///
/// ```
/// use mcp_auth::{ApiKey, ApiKeys, McpAuth};
///
/// # let (ci_digest, old_key) = ("09e53dd0c0c3af54439bcfd59e744fa44b29ba591726f7276f8584449f6756e2", "mcpk_2aVvwqjTq0dVz4yHcJkLmNoPqRsTuVwXyZ012345678");
/// let keys = ApiKeys::new()
///     .key(ApiKey::of_digest("ci", ci_digest).scopes(["notes:read"]))
///     .key(ApiKey::new("importer", old_key).scopes(["notes:write"]));
/// let auth = McpAuth::builder("https://api.example.com/mcp")
///     .authorization_server("https://auth.example.com")
///     .api_keys(keys)
///     .build()?;
/// # Ok::<(), mcp_auth::ConfigError>(())
/// ```
#[derive(Clone, Debug)]
pub struct ApiKeys {
    pub(super) prefix: Box<str>,
    pub(super) keys: Vec<ApiKey>,
    pub(super) file: Option<Arc<Path>>,
}

/// The verifier of a resource, and the file of keys that it uses.
pub(crate) type Installed = (Box<dyn Verifier>, Option<KeysFile>);

impl ApiKeys {
    /// The issuer of callers with an API key.
    pub const ISSUER: &'static str = API_KEY_ISSUER;

    /// An empty list.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a key.
    #[must_use]
    pub fn key(mut self, key: ApiKey) -> Self {
        self.keys.push(key);
        self
    }

    /// Sets the prefix of keys: `mcpk_` unless set. A token that starts with it and is not a known key is refused
    /// at once, whatever its form, and is never sent to an introspection endpoint. Choose a prefix with which no
    /// token of your issuers starts. Keys that you add may start differently.
    #[must_use]
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into().into();
        self
    }

    /// Adds the keys of a file, which can be changed while the server runs.
    ///
    /// ```json
    /// {
    ///   "keys": [
    ///     {
    ///       "name": "ci",
    ///       "sha256": "09e53dd0c0c3af54439bcfd59e744fa44b29ba591726f7276f8584449f6756e2",
    ///       "scopes": ["notes:read"],
    ///       "expires_at": "2027-01-31T00:00:00Z"
    ///     }
    ///   ]
    /// }
    /// ```
    ///
    /// `scopes` and `expires_at` may be left out. To replace a key, let its `sha256` be an array of both digests
    /// for a while. Each name may occur only once.
    ///
    /// The file is read when the first token arrives that may be a key. It is read again while such tokens arrive
    /// (every ten seconds at most), and when a token that starts with the [`prefix`](Self::prefix) is unknown. If
    /// it cannot be read then, or has an error, that is logged, and the cached keys stay in use for a day; an
    /// unknown key gets a 503 meanwhile. Until the file has been read once, every token that may be a key gets a
    /// 503; JWTs are verified as usual. [`warm_up`](crate::McpAuth::warm_up) reads the file too, and returns what
    /// is wrong with it.
    ///
    /// ```
    /// use mcp_auth::{ApiKeys, McpAuth};
    ///
    /// let auth = McpAuth::builder("https://api.example.com/mcp")
    ///     .authorization_server("https://auth.example.com")
    ///     .api_keys(ApiKeys::new().file("/etc/mcp/api-keys.json"))
    ///     .build()?; // reads nothing yet
    /// # Ok::<(), mcp_auth::ConfigError>(())
    /// ```
    #[must_use]
    pub fn file(mut self, path: impl AsRef<Path>) -> Self {
        self.file = Some(path.as_ref().into());
        self
    }

    /// Generates a key: `mcpk_` and 256 bits of the system's random number generator.
    ///
    /// ```
    /// let new = mcp_auth::ApiKeys::generate()?;
    /// println!("{} is for its owner, and {} for the configuration", new.key, new.digest);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// If the system provides no random numbers.
    pub fn generate() -> io::Result<GeneratedKey> {
        let random = random::<32>().ok_or_else(|| io::Error::other("no random numbers"))?;
        let key = format!("{}{}", Self::default().prefix, to_base64url(&random));
        let digest = hex::encode(&sha256(key.as_bytes()));
        Ok(GeneratedKey { key, digest })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.keys.is_empty() && self.file.is_none()
    }

    /// Puts a verifier of these keys, prepared for one resource, before `next`. Otherwise returns the name of an
    /// invalid key, and what is wrong with it.
    pub(crate) fn wrap(
        self,
        next: Box<dyn Verifier>,
        resource: &str,
        clock: &Arc<dyn Clock>,
    ) -> Result<Installed, (String, &'static str)> {
        let mut configured: Vec<PreparedKey> = Vec::with_capacity(self.keys.len());
        for key in self.keys {
            let name = key.name.clone();
            let wrong = |why| (name.to_string(), why);
            if name.is_empty() {
                return Err(wrong("it has no name"));
            }
            let known = PreparedKey::new(key, resource).map_err(wrong)?;
            if configured.iter().any(|other| other.digest == known.digest) {
                return Err(wrong("it comes twice"));
            }
            configured.push(known);
        }
        let digests = configured.iter().map(|known| known.digest).collect();
        let file = KeysFile::of(self.file, digests, resource, clock);
        let verifier = ApiKeyVerifier { prefix: self.prefix, configured, file: file.clone(), next };
        Ok((Box::new(verifier), file))
    }
}

impl Default for ApiKeys {
    fn default() -> Self {
        Self { prefix: "mcpk_".into(), keys: Vec::new(), file: None }
    }
}

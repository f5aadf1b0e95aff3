//! `ApiKeys`: the keys that are accepted beside OAuth.

use std::io;
use std::path::Path;
use std::sync::Arc;

use crate::issuer::api_keys::file::KeysFile;
use crate::issuer::api_keys::key::{ApiKey, GeneratedKey};
use crate::issuer::api_keys::known_key::Known;
use crate::issuer::api_keys::verifier::ApiKeyVerifier;
use crate::issuer::verifier::Verifier;
use crate::model::verified_token::API_KEY_ISSUER;
use crate::net::clock::Clock;
use crate::util::hex;
use crate::verify::jwt::{random, sha256, to_base64url};

/// API keys that are accepted as bearer tokens, beside those of authorization servers.
///
/// For the callers that cannot log in: scripts, jobs, servers. A key is sent as
/// `Authorization: Bearer <key>`, and nowhere else. Its holder is admitted as a caller of its own kind
/// ([`CallerKind::ApiKey`](crate::CallerKind)): the issuer is [`ISSUER`](Self::ISSUER), the subject the name
/// of the key. Rules and scopes apply as to tokens.
///
/// Only SHA-256 digests are kept, and a key that arrives is compared with all of them, in a time that does
/// not tell how alike they are. What has the form of a JWT (three parts with dots between them) is never
/// taken for a key; it is refused if it begins as keys do here.
///
/// Two keys may have one name: add the new one, let its holders change to it, remove the old one.
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

/// What judges tokens, and the file that it looks into.
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

    /// How keys begin here, `mcpk_` unless set. What begins so and is no key of the list is refused at once,
    /// whatever its form, and never sent to an introspection endpoint: take a word with which no token of your
    /// issuers begins. Keys of the list may begin otherwise.
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
    /// for a while. A name comes once.
    ///
    /// It is read when the first token arrives that may be a key, and looked at again while such tokens arrive,
    /// every ten seconds at most, and when one begins as keys do here and is unknown. If it cannot be read then, or
    /// has a mistake, that is logged, and the keys in hand stay in use for a day; an unknown key gets a 503 then. As long
    /// as it never was read, all tokens get one that may be keys; JWTs are verified as ever.
    /// [`warm_up`](crate::McpAuth::warm_up) reads it too, and says what is wrong with it.
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

    /// Makes a key: `mcpk_` and 256 bits of the system's random generator.
    ///
    /// ```
    /// let new = mcp_auth::ApiKeys::generate()?;
    /// println!("{} is for its owner, and {} for the configuration", new.key, new.digest);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// If the system has no random numbers.
    pub fn generate() -> io::Result<GeneratedKey> {
        let random = random::<32>().ok_or_else(|| io::Error::other("no random numbers"))?;
        let key = format!("{}{}", Self::default().prefix, to_base64url(&random));
        let digest = hex::encode(&sha256(key.as_bytes()));
        Ok(GeneratedKey { key, digest })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.keys.is_empty() && self.file.is_none()
    }

    /// Puts the keys of this list, made for one resource, before another verifier. Or says the name of the
    /// key that cannot be one, and why.
    pub(crate) fn wrap(
        self,
        others: Box<dyn Verifier>,
        resource: &str,
        clock: &Arc<dyn Clock>,
    ) -> Result<Installed, (String, &'static str)> {
        let mut given: Vec<Known> = Vec::with_capacity(self.keys.len());
        for key in self.keys {
            let name = key.name.clone();
            let wrong = |why| (name.to_string(), why);
            if name.is_empty() {
                return Err(wrong("it has no name"));
            }
            let known = Known::new(key, resource).map_err(wrong)?;
            if given.iter().any(|other| other.digest == known.digest) {
                return Err(wrong("it comes twice"));
            }
            given.push(known);
        }
        let digests = given.iter().map(|known| known.digest).collect();
        let file = KeysFile::of(self.file, digests, resource, clock);
        let verifier = ApiKeyVerifier { prefix: self.prefix, given, file: file.clone(), others };
        Ok((Box::new(verifier), file))
    }
}

impl Default for ApiKeys {
    fn default() -> Self {
        Self { prefix: "mcpk_".into(), keys: Vec::new(), file: None }
    }
}

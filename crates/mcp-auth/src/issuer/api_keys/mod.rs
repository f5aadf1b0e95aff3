//! API keys beside OAuth: a short list, kept as digests.

mod file;
mod verifier;

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use crate::issuer::verifier::Verifier;
use crate::model::scope::Scopes;
use crate::model::token::API_KEY_ISSUER;
use crate::net::clock::Clock;
use crate::verify::jwt::{random, sha256, to_base64url};
use verifier::{ApiKeyVerifier, Known};

pub(crate) use file::KeysFile;

/// 22 characters of base64url are 132 bits; no text of less holds 128.
const SHORTEST_KEY: usize = 22;

/// Longer ones are not looked at, and so not hashed for strangers.
const LONGEST_KEY: usize = 256;

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
    prefix: Box<str>,
    keys: Vec<ApiKey>,
    file: Option<Arc<Path>>,
}

/// One API key: who holds it, and what it is good for.
#[derive(Clone)]
pub struct ApiKey {
    name: Box<str>,
    /// Or what is wrong with what was given.
    digest: Result<[u8; 32], &'static str>,
    scopes: Scopes,
    expires_at: Option<SystemTime>,
}

/// A new key, and the digest to keep of it.
#[derive(Clone)]
#[non_exhaustive]
pub struct GeneratedKey {
    /// The key. Whoever holds it is its owner: hand it over, and forget it.
    pub key: String,
    /// Its SHA-256 in hexadecimal, for [`ApiKey::of_digest`].
    pub digest: String,
}

/// What judges tokens, and the file that it looks into.
pub(crate) type Placed = (Box<dyn Verifier>, Option<KeysFile>);

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
        let digest = sha256(key.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(GeneratedKey { key, digest })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.keys.is_empty() && self.file.is_none()
    }

    /// Puts the keys of this list, made for one resource, before another verifier. Or says the name of the
    /// key that cannot be one, and why.
    pub(crate) fn before(
        self,
        others: Box<dyn Verifier>,
        resource: &str,
        clock: &Arc<dyn Clock>,
    ) -> Result<Placed, (String, &'static str)> {
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

impl ApiKey {
    /// A key as it is sent. It is hashed at once, and not kept.
    ///
    /// It must have 22 characters at least, which 128 bits need; that they are random, nobody can check:
    /// see [`ApiKeys::generate`].
    #[must_use]
    pub fn new(name: impl Into<String>, key: impl AsRef<str>) -> Self {
        let key = key.as_ref();
        Self::with(name.into(), fault(key).map_or_else(|| Ok(sha256(key.as_bytes())), Err))
    }

    /// A key of which only the SHA-256 is known, in hexadecimal: what `printf %s "$KEY" | sha256sum` says.
    #[must_use]
    pub fn of_digest(name: impl Into<String>, sha256: impl AsRef<str>) -> Self {
        let digest = hexadecimal(sha256.as_ref());
        Self::with(name.into(), digest.ok_or("its digest must be 64 hexadecimal digits (SHA-256)"))
    }

    /// Sets the scopes that the key grants. None unless set.
    #[must_use]
    pub fn scopes(mut self, scopes: impl Into<Scopes>) -> Self {
        self.scopes = scopes.into();
        self
    }

    /// Sets the moment from which on the key is refused, without the leeway that tokens have. Never unless set.
    #[must_use]
    pub fn expires_at(mut self, moment: SystemTime) -> Self {
        self.expires_at = Some(moment);
        self
    }

    fn with(name: String, digest: Result<[u8; 32], &'static str>) -> Self {
        Self { name: name.into(), digest, scopes: Scopes::default(), expires_at: None }
    }
}

/// Three parts with dots between them.
fn is_like_jwt(token: &str) -> bool {
    token.bytes().filter(|byte| *byte == b'.').count() == 2
}

/// What is wrong with a text as a key.
fn fault(key: &str) -> Option<&'static str> {
    if key.len() < SHORTEST_KEY {
        Some(
            "it is shorter than 22 characters, and so than 128 bits: take one of `ApiKeys::generate()`",
        )
    } else if key.len() > LONGEST_KEY {
        Some("it is longer than 256 characters")
    } else if is_like_jwt(key) {
        Some("it has two dots, and would be taken for a JWT")
    } else if !key.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~+/=".contains(&b)) {
        Some(
            "it has a character that cannot be sent as a bearer token: letters, digits and -._~+/= can",
        )
    } else {
        None
    }
}

fn hexadecimal(text: &str) -> Option<[u8; 32]> {
    let digits: Vec<u8> =
        text.chars().map(|c| Some(c.to_digit(16)? as u8)).collect::<Option<_>>()?;
    let bytes: Vec<u8> = digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect();
    (digits.len() == 64).then(|| bytes.try_into().ok()).flatten()
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiKey")
            .field("name", &self.name)
            .field("scopes", &self.scopes)
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for GeneratedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GeneratedKey").field("digest", &self.digest).finish_non_exhaustive()
    }
}

//! Where Redis is, and how it is used.

use std::fmt;

use mcp_auth::Revocations;
use redis::{ConnectionAddr, ConnectionInfo, IntoConnectionInfo as _};

use crate::tls::Tls;

/// The first part of each key unless set.
const DEFAULT_PREFIX: &str = "mcp-auth";

/// Keys are kept short: each takes memory in Redis.
const MAX_PREFIX_BYTES: usize = 64;

/// Where Redis or Valkey is, and what is shared through it.
///
/// ```no_run
/// # async fn run() -> Result<(), mcp_auth_redis::RedisSettingsError> {
/// use mcp_auth_redis::RedisSettings;
///
/// let redis = RedisSettings::at("redis://127.0.0.1:6379/1").prefix("notes").connect()?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[must_use = "nothing is shared before `connect()`"]
pub struct RedisSettings {
    pub(crate) url: String,
    pub(crate) username: Option<String>,
    pub(crate) password: Option<String>,
    pub(crate) ca: Option<Vec<u8>>,
    pub(crate) prefix: String,
    pub(crate) accepts_unchecked_proofs: bool,
    pub(crate) revocations: Option<Revocations>,
}

/// Why Redis cannot be used as it is described.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RedisSettingsError {
    /// The URL is wrong. It is not repeated, since it may have a password.
    #[error(
        "the URL of Redis must be `redis://host:6379`, or `rediss://..` for TLS, perhaps with a user name, a password and the number of a database: {0}"
    )]
    Url(&'static str),
    /// The prefix is empty, too long, or has other characters.
    #[error(
        "the prefix {0:?} of keys in Redis must have 1 to 64 characters: ASCII letters, digits, `-`, `_`, `.` and `:`"
    )]
    Prefix(String),
    /// The certification authorities cannot be read, or TLS is not used.
    #[error("the certification authorities for Redis: {0}")]
    Ca(String),
    /// There is no tokio runtime, in which the connection is kept.
    #[error("Redis needs a tokio runtime: call `connect` in one")]
    NoRuntime,
}

impl RedisSettings {
    /// Redis at a URL: `redis://127.0.0.1:6379`, or `rediss://user:password@cache.internal:6379/1` with TLS, a user name, a
    /// password and the number of a database.
    pub fn at(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            username: None,
            password: None,
            ca: None,
            prefix: DEFAULT_PREFIX.to_owned(),
            accepts_unchecked_proofs: false,
            revocations: None,
        }
    }

    /// The user name, if it is not in the URL.
    pub fn username(mut self, name: impl Into<String>) -> Self {
        self.username = Some(name.into());
        self
    }

    /// The password, if it is not in the URL.
    pub fn password(mut self, password: impl Into<String>) -> Self {
        self.password = Some(password.into());
        self
    }

    /// Trusts these certification authorities (PEM), in addition to those of the system.
    pub fn root_certificates(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.ca = Some(pem.into());
        self
    }

    /// What all keys begin with. Default: `mcp-auth`. Processes with the same prefix share their state.
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// Accepts a DPoP proof that this process has not seen while Redis does not answer, although another process may have
    /// accepted it. Then a proof can be used once at each process, for the minutes in which it is valid.
    ///
    /// By default, such a request gets a 503. Requests without a proof are not affected.
    pub fn accept_unchecked_proofs(mut self) -> Self {
        self.accepts_unchecked_proofs = true;
        self
    }

    /// Shares this list of revocations. Until those of the other processes have been read once, each token is answered with a
    /// 503. After that, the list is used as it is while Redis does not answer.
    pub fn revocations(mut self, revocations: &Revocations) -> Self {
        self.revocations = Some(revocations.clone());
        self
    }

    /// Checks the settings, and connects to nothing.
    ///
    /// # Errors
    ///
    /// If they are wrong.
    pub fn check(&self) -> Result<(), RedisSettingsError> {
        self.target().map(drop)
    }

    /// Where Redis is.
    pub(crate) fn target(&self) -> Result<Target, RedisSettingsError> {
        let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte);
        let is_prefix = (1..=MAX_PREFIX_BYTES).contains(&self.prefix.len());
        if !is_prefix || !self.prefix.bytes().all(is_part) {
            return Err(RedisSettingsError::Prefix(self.prefix.clone()));
        }
        let (scheme, rest) =
            self.url.split_once("://").ok_or(RedisSettingsError::Url("it has no scheme"))?;
        let is_tls = match scheme {
            "redis" | "valkey" => false,
            "rediss" | "valkeys" => true,
            _ => return Err(RedisSettingsError::Url("its scheme is another one")),
        };
        // `#insecure` would turn off the check of the certificate.
        if rest.contains(['#', '?']) {
            return Err(RedisSettingsError::Url(
                "it has a query or a fragment, which are not supported",
            ));
        }
        let info = format!("redis://{rest}").into_connection_info();
        let info = info.map_err(|_| RedisSettingsError::Url("it cannot be read"))?;
        let ConnectionAddr::Tcp(host, port) = info.addr().clone() else {
            return Err(RedisSettingsError::Url("it has no host"));
        };
        let tls = match (is_tls, &self.ca) {
            (false, None) => None,
            (false, Some(_)) => {
                return Err(RedisSettingsError::Ca("they need TLS: use `rediss://`".to_owned()));
            }
            (true, ca) => Some(Tls::new(&host, ca.as_deref()).map_err(RedisSettingsError::Ca)?),
        };
        Ok(Target { info: self.with_credentials(info), host, port, tls })
    }

    fn with_credentials(&self, info: ConnectionInfo) -> ConnectionInfo {
        let mut redis = info.redis_settings().clone().set_skip_set_lib_name();
        if let Some(name) = &self.username {
            redis = redis.set_username(name);
        }
        if let Some(password) = &self.password {
            redis = redis.set_password(password);
        }
        info.set_redis_settings(redis)
    }
}

/// Where Redis is, as it was checked.
pub(crate) struct Target {
    pub(crate) info: ConnectionInfo,
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) tls: Option<Tls>,
}

/// Without the URL and the password.
impl fmt::Debug for RedisSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisSettings").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_and_prefixes_are_checked_and_passwords_are_not_shown() {
        for (url, prefix, expected) in [
            ("redis://127.0.0.1", "a", ""),
            ("redis://127.0.0.1:6380/3", "a:b-c_d.e", ""),
            ("rediss://user:hunter2@cache.internal:6379/1", "a", ""),
            ("valkey://[::1]:6379", "a", ""),
            ("valkeys://cache.internal", "a", ""),
            ("127.0.0.1:6379", "a", "no scheme"),
            ("http://127.0.0.1:6379", "a", "another one"),
            ("redis+unix:///run/redis.sock?db=hunter2", "a", "another one"),
            ("rediss://:hunter2@cache.internal#insecure", "a", "fragment"),
            ("redis://cache.internal?protocol=resp3", "a", "query"),
            ("redis://:hunter2@cache.internal/x", "a", "cannot be read"),
            ("redis://", "a", "cannot be read"),
            ("redis://0.0.0.0", "a", "cannot be read"),
            ("redis://h", "", "1 to 64"),
            ("redis://h", "{a}", "1 to 64"),
            ("redis://h", "a b", "1 to 64"),
            ("redis://h", &"a".repeat(65), "1 to 64"),
        ] {
            let settings = RedisSettings::at(url).prefix(prefix);
            let checked = settings.check().err().map(|error| error.to_string());
            let message = checked.clone().unwrap_or_default();
            assert_eq!(expected.is_empty(), checked.is_none(), "{url} {message}");
            assert!(message.contains(expected) && !message.contains("hunter2"), "{url} {message}");
            assert!(!format!("{settings:?}").contains("hunter2"));
        }
        let with_ca = |url: &str, pem: &str| RedisSettings::at(url).root_certificates(pem).check();
        assert!(
            with_ca("redis://h", "x").is_err_and(|error| error.to_string().contains("rediss://"))
        );
        assert!(with_ca("rediss://h", "x").is_err());
    }
}

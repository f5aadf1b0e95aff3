//! Where a secret comes from. It is never in the file itself.

use std::borrow::Cow;
use std::path::PathBuf;
use std::{env, fmt, fs};

use mcp_auth::Secret;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, Deserializer, Error as _};
use serde::ser::{Serialize, Serializer};

use crate::error::Error;

/// Where a secret comes from: `env:NAME`, an environment variable; or `file:PATH`, a file, whose line end does not
/// count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretSource {
    /// An environment variable.
    Env(String),
    /// A file.
    File(PathBuf),
}

impl SecretSource {
    /// Parses `env:NAME` or `file:PATH`. Returns `None` for any other text.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text.split_once(':')? {
            (_, "") => None,
            ("env", name) => Some(Self::Env(name.into())),
            ("file", path) => Some(Self::File(path.into())),
            _ => None,
        }
    }

    /// Reads the secret.
    ///
    /// # Errors
    ///
    /// If the variable is not set, the file cannot be read, or the secret is empty.
    pub fn read(&self) -> Result<String, Error> {
        let secret = match self {
            Self::Env(name) => env::var(name)
                .map_err(|_| Error::new(format!("the environment variable {name} is not set"))),
            Self::File(path) => fs::read_to_string(path).map_err(|error| {
                Error::new(format!("the file {} cannot be read: {error}", path.display()))
            }),
        }?;
        let secret = secret.trim_end_matches(['\r', '\n']);
        if secret.is_empty() {
            return Err(Error::new(format!("the secret {self} is empty")));
        }
        Ok(secret.into())
    }
}

impl SecretSource {
    /// The secret, as the library takes it. A file is read again whenever the secret is needed, since it may be renewed.
    ///
    /// # Errors
    ///
    /// If it cannot be read now.
    pub(crate) fn to_secret(&self) -> Result<Secret, Error> {
        let now = self.read()?;
        Ok(match self {
            Self::Env(_) => Secret::from(now),
            Self::File(_) => {
                let source = self.clone();
                Secret::from_fn(move || std::future::ready(source.read())) // small and local
            }
        })
    }
}

/// Only where it comes from.
impl Serialize for SecretSource {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl fmt::Display for SecretSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Env(name) => write!(f, "env:{name}"),
            Self::File(path) => write!(f, "file:{}", path.display()),
        }
    }
}

impl<'de> Deserialize<'de> for SecretSource {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<str>::deserialize(deserializer)?;
        // The text could be the secret itself: it is not repeated.
        Self::parse(&text).ok_or_else(|| {
            D::Error::custom("a secret is not written here: set `env:NAME` or `file:PATH`")
        })
    }
}

impl JsonSchema for SecretSource {
    fn schema_name() -> Cow<'static, str> {
        "Secret".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "Where a secret comes from: `env:NAME` or `file:PATH`.",
            "type": "string",
            "pattern": "^(env|file):.+$",
        })
    }
}

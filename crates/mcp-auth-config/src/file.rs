//! A configuration file, and what has changed in it since it was read before.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use crate::config::Config;
use crate::error::Error;
use crate::secret::SecretSource;

/// The keys that say nothing about a resource. A resource is built again if any other key of the file changes.
const NOT_ABOUT_RESOURCES: [&str; 15] = [
    "admin",
    "audit",
    "drain",
    "issuers",
    "listen",
    "max_anonymous_buffered_bytes",
    "max_buffered_bytes",
    "max_connections",
    "max_connections_per_address",
    "redis",
    "resources",
    "revocations",
    "signing_key",
    "tls",
    "traces",
];

/// A configuration file as it was read, with the secrets that it names as they were then. Two that are equal describe the
/// same.
#[derive(Clone, PartialEq)]
pub struct ConfigFile {
    path: PathBuf,
    written: Value,
    secrets: Secrets,
}

/// The secrets that are named somewhere, by where they come from. `None` if one cannot be read.
type Secrets = BTreeMap<String, Option<String>>;

/// A part of a file, with the secrets that it names. Two parts that are equal describe the same.
#[derive(Clone, PartialEq)]
pub(crate) struct Description {
    written: Vec<Value>,
    secrets: Secrets,
}

impl ConfigFile {
    /// Reads a file: JSON if its name ends in `.json`, TOML otherwise.
    ///
    /// # Errors
    ///
    /// If it cannot be read, or is not a configuration, with its name and the line.
    pub fn read(path: impl Into<PathBuf>) -> Result<(Self, Config), Error> {
        let path = path.into();
        let read = read(&path).map_err(|error| Error::new(format!("{}: {error}", path.display())));
        let (written, config) = read?;
        let secrets = secrets_of([&written]);
        Ok((Self { path, written, secrets }, config))
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The keys outside of issuers and resources whose values differ from those of another file.
    #[must_use]
    pub fn changed_keys<'k>(&self, other: &Self, among: &[&'k str]) -> Vec<&'k str> {
        let differs = |key: &&&str| self.written.get(**key) != other.written.get(**key);
        among.iter().filter(differs).copied().collect()
    }

    pub(crate) fn issuer(&self, name: &str) -> Description {
        Description::of(self.written.get("issuers").and_then(|all| all.get(name)))
    }

    /// A resource, with its issuers and with what the file says about all resources.
    pub(crate) fn resource<'n>(
        &self,
        index: usize,
        issuers: impl IntoIterator<Item = &'n str>,
    ) -> Description {
        let own = self.written.get("resources").and_then(|all| all.get(index));
        let all = self.written.as_object().into_iter().flatten();
        let common = all.filter(|(key, _)| !NOT_ABOUT_RESOURCES.contains(&key.as_str()));
        let common = Value::Object(common.map(|(k, v)| (k.clone(), v.clone())).collect());
        let issuers = issuers.into_iter();
        let issuers = issuers.filter_map(|name| self.written.get("issuers")?.get(name));
        Description::of([&common].into_iter().chain(own).chain(issuers))
    }

    /// What a resource says about its upstream: every key but those that are known to say something else.
    pub(crate) fn upstream(&self, index: usize) -> Description {
        const OF_POLICY: [&str; 16] = [
            "audiences",
            "documentation",
            "identity",
            "identity_claims",
            "implies",
            "initial_scopes",
            "limits",
            "methods",
            "name",
            "prompts",
            "required",
            "resources",
            "scopes",
            "tools",
            "unknown_methods",
            "upstream_headers",
        ];
        let own = self.written.get("resources").and_then(|all| all.get(index));
        let keys = own.and_then(Value::as_object).into_iter().flatten();
        let keys = keys.filter(|(key, _)| !OF_POLICY.contains(&key.as_str()));
        let keys: Map<_, _> = keys.map(|(key, value)| (key.clone(), value.clone())).collect();
        Description::of([&Value::Object(keys)])
    }
}

fn read(path: &Path) -> Result<(Value, Config), Error> {
    let text = fs::read_to_string(path).map_err(|error| Error::new(error.to_string()))?;
    if path.extension().is_some_and(|extension| extension == "json") {
        let config = Config::from_json(&text)?;
        let written = serde_json::from_str(&text).map_err(|error| Error::in_json(&error))?;
        Ok((written, config))
    } else {
        let config = Config::from_toml(&text)?;
        let written = toml::from_str(&text).map_err(|error| Error::in_toml(&error, &text))?;
        Ok((written, config))
    }
}

impl Description {
    fn of<'v>(parts: impl IntoIterator<Item = &'v Value>) -> Self {
        let written: Vec<_> = parts.into_iter().cloned().collect();
        let secrets = secrets_of(&written);
        Self { written, secrets }
    }
}

/// The secrets that values name. Other texts may look like one, such as a URI in a rule: they are not there, and do not
/// change.
fn secrets_of<'v>(values: impl IntoIterator<Item = &'v Value>) -> Secrets {
    let mut secrets = Secrets::new();
    let mut left: Vec<_> = values.into_iter().collect();
    while let Some(value) = left.pop() {
        match value {
            Value::String(text) => {
                if let Some(source) = SecretSource::parse(text) {
                    secrets.insert(text.clone(), source.read().ok());
                }
            }
            Value::Array(values) => left.extend(values),
            Value::Object(members) => left.extend(members.values()),
            _ => {}
        }
    }
    secrets
}

/// Shows no secret.
impl fmt::Debug for ConfigFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConfigFile").field("path", &self.path).finish_non_exhaustive()
    }
}

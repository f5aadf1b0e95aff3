//! MCP servers that speak stdio: what is started, for whom, and with which environment.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, Deserializer, Error as _};
use serde::ser::{Serialize, Serializer};

use crate::error::Error;
use crate::secret::SecretSource;

/// The default limit of processes of a resource. A server in Node takes about 60 MiB, so these take 4 GiB.
const DEFAULT_MAX_PROCESSES: usize = 64;

/// The default limit of processes of one caller. A person has a few clients, with a few windows each.
const DEFAULT_MAX_PROCESSES_PER_PRINCIPAL: usize = 8;

/// How long a process without requests and streams is kept by default. Longer than a pause in a conversation, and what
/// is lost after it is what the server keeps in its memory.
const DEFAULT_IDLE_TIMEOUT: Duration = Duration::from_secs(600);

/// A shorter time would end a process between two requests.
const MIN_IDLE_TIMEOUT: Duration = Duration::from_secs(1);

/// A longer time is one that cannot be computed with everywhere.
const MAX_IDLE_TIMEOUT: Duration = Duration::from_secs(365 * 86_400);

/// For whom a process is started.
#[derive(
    Clone, Copy, Debug, Default, serde::Deserialize, JsonSchema, PartialEq, Eq, serde::Serialize,
)]
#[serde(rename_all = "lowercase")]
pub enum ProcessScope {
    /// One for each session. Callers of 2026-07-28, which has no sessions, have one each.
    #[default]
    Session,
    /// One for each caller: issuer and subject.
    Principal,
    /// One for all. Only for servers that keep nothing of a caller.
    Shared,
}

/// The value of an environment variable: a text in which `{sub}` is replaced by that claim of the caller (`{{` is a
/// brace), or a secret, `env:NAME` or `file:PATH`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EnvValue {
    /// A secret, which is read when a process is started.
    Secret(SecretSource),
    /// A text with claims.
    Template(Template),
}

/// A text with the names of claims in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Template(Vec<Piece>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    Claim(String),
}

/// An MCP server that speaks stdio.
#[derive(Clone, Debug)]
pub struct StdioServer {
    /// The program.
    pub program: String,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// For whom a process is started.
    pub scope: ProcessScope,
    /// What its environment has in addition.
    pub env: BTreeMap<String, EnvValue>,
    /// The most processes at a time.
    pub max_processes: usize,
    /// The most processes of one caller at a time.
    pub max_processes_per_principal: usize,
    /// How long a process is kept that is not used.
    pub idle_timeout: Duration,
}

/// The keys of a resource that describe such a server, as they are written.
pub(crate) struct StdioKeys<'k> {
    pub(crate) command: Option<&'k [String]>,
    pub(crate) process: Option<ProcessScope>,
    pub(crate) env: &'k BTreeMap<String, EnvValue>,
    pub(crate) max_processes: Option<usize>,
    pub(crate) max_processes_per_principal: Option<usize>,
    pub(crate) idle_timeout: Option<Duration>,
}

impl StdioKeys<'_> {
    /// The server that is described. Returns `None` if there is no `command`.
    ///
    /// # Errors
    ///
    /// If keys contradict each other, or a secret cannot be read.
    pub(crate) fn to_server(&self) -> Result<Option<StdioServer>, Error> {
        let Some(command) = self.command else { return self.check_unused().map(|()| None) };
        let Some((program, arguments)) =
            command.split_first().filter(|(program, _)| !program.is_empty())
        else {
            return Err(Error::new(
                "`command` is empty: write the program and its arguments, such as `[\"npx\", \"-y\", \"@modelcontextprotocol/server-everything\"]`",
            ));
        };
        if let Some(word) = command.iter().find(|word| word.contains('\0')) {
            return Err(Error::new(format!("`command` has a NUL in {word:?}")));
        }
        let scope = self.process.unwrap_or_default();
        for (name, value) in self.env {
            check_variable(name, value, scope).map_err(|error| Error::of("env", name, error))?;
        }
        let max_processes = self.max_processes.unwrap_or(DEFAULT_MAX_PROCESSES);
        // Half of a small limit, so that one caller does not take all places.
        let own = self
            .max_processes_per_principal
            .unwrap_or_else(|| DEFAULT_MAX_PROCESSES_PER_PRINCIPAL.min(max_processes.div_ceil(2)));
        if max_processes == 0 || own == 0 {
            return Err(Error::new(
                "`max_processes` and `max_processes_per_principal` are at least 1",
            ));
        }
        let idle_timeout = self.idle_timeout.unwrap_or(DEFAULT_IDLE_TIMEOUT);
        if !(MIN_IDLE_TIMEOUT..=MAX_IDLE_TIMEOUT).contains(&idle_timeout) {
            return Err(Error::new("`process_idle_timeout` is between 1 second and 365 days"));
        }
        Ok(Some(StdioServer {
            program: program.clone(),
            arguments: arguments.to_vec(),
            scope,
            env: self.env.clone(),
            max_processes,
            max_processes_per_principal: own.min(max_processes),
            idle_timeout,
        }))
    }

    /// Keys that say nothing without `command` would not do what they say.
    fn check_unused(&self) -> Result<(), Error> {
        let unused = [
            ("process", self.process.is_some()),
            ("env", !self.env.is_empty()),
            ("max_processes", self.max_processes.is_some()),
            ("max_processes_per_principal", self.max_processes_per_principal.is_some()),
            ("process_idle_timeout", self.idle_timeout.is_some()),
        ];
        match unused.iter().find(|(_, is_set)| *is_set) {
            Some((key, _)) => Err(Error::new(format!(
                "`{key}` says something about a server that is started: set `command` too"
            ))),
            None => Ok(()),
        }
    }
}

fn check_variable(name: &str, value: &EnvValue, scope: ProcessScope) -> Result<(), Error> {
    if name.is_empty() || name.contains(['=', '\0']) {
        return Err(Error::new("this is not a name of an environment variable"));
    }
    match value {
        EnvValue::Secret(source) => source.read().map(drop),
        EnvValue::Template(template) if template.has_nul() => Err(Error::new("it has a NUL")),
        EnvValue::Template(template) => match template.claims().next() {
            Some(claim) if scope == ProcessScope::Shared => Err(Error::new(format!(
                "a process that is shared has no caller, so there is no `{{{claim}}}`: set `process = \"session\"` or \"principal\""
            ))),
            _ => Ok(()),
        },
    }
}

impl Template {
    /// Parses a text. Returns `None` if a brace is not closed, or has no partner.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some(brace) = rest.find(['{', '}']) {
            let (before, after) = rest.split_at(brace);
            push_text(&mut pieces, before);
            rest = if let Some(after) = after.strip_prefix("{{") {
                push_text(&mut pieces, "{");
                after
            } else if let Some(after) = after.strip_prefix("}}") {
                push_text(&mut pieces, "}");
                after
            } else {
                let (claim, after) = after.strip_prefix('{')?.split_once('}')?;
                if claim.is_empty() || claim.contains('{') {
                    return None;
                }
                pieces.push(Piece::Claim(claim.to_owned()));
                after
            };
        }
        push_text(&mut pieces, rest);
        Some(Self(pieces))
    }

    /// A text without claims, as it is.
    #[must_use]
    pub fn text(text: impl Into<String>) -> Self {
        Self(vec![Piece::Text(text.into())])
    }

    /// The names of its claims.
    pub fn claims(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|piece| match piece {
            Piece::Claim(claim) => Some(&**claim),
            Piece::Text(_) => None,
        })
    }

    /// The text with its claims.
    ///
    /// # Errors
    ///
    /// What `value_of` says about a claim.
    pub fn fill<E>(
        &self,
        mut value_of: impl FnMut(&str) -> Result<String, E>,
    ) -> Result<String, E> {
        self.0.iter().try_fold(String::new(), |text, piece| match piece {
            Piece::Text(piece) => Ok(text + piece),
            Piece::Claim(claim) => value_of(claim).map(|value| text + &value),
        })
    }

    fn has_nul(&self) -> bool {
        self.0.iter().any(|piece| matches!(piece, Piece::Text(text) if text.contains('\0')))
    }
}

fn push_text(pieces: &mut Vec<Piece>, text: &str) {
    match pieces.last_mut() {
        _ if text.is_empty() => {}
        Some(Piece::Text(before)) => before.push_str(text),
        _ => pieces.push(Piece::Text(text.to_owned())),
    }
}

impl fmt::Display for Template {
    /// The text that [`parse`](Self::parse) reads.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|piece| match piece {
            Piece::Text(text) => f.write_str(&text.replace('{', "{{").replace('}', "}}")),
            Piece::Claim(claim) => write!(f, "{{{claim}}}"),
        })
    }
}

/// What is printed in place of a text without claims: it may be a key, above all if it comes from the file of another
/// client.
const NOT_SHOWN: &str = "(not shown)";

impl Serialize for EnvValue {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Secret(source) => serializer.collect_str(source),
            Self::Template(template) if template.claims().next().is_none() => {
                serializer.serialize_str(NOT_SHOWN)
            }
            Self::Template(template) => serializer.collect_str(template),
        }
    }
}

impl<'de> Deserialize<'de> for EnvValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<str>::deserialize(deserializer)?;
        if let Some(source) = SecretSource::parse(&text) {
            return Ok(Self::Secret(source));
        }
        // The text could be a secret: it is not repeated.
        Template::parse(&text).map(Self::Template).ok_or_else(|| {
            D::Error::custom(
                "a brace has no partner: a claim is `{sub}`, and a brace is `{{` or `}}`",
            )
        })
    }
}

impl JsonSchema for EnvValue {
    fn schema_name() -> Cow<'static, str> {
        "EnvValue".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A text in which `{sub}` is replaced by that claim of the caller, or a secret: `env:NAME` or `file:PATH`.",
            "type": "string",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn claims_are_filled_in() {
        for (text, expected) in [
            ("", Some("")),
            ("eu", Some("eu")),
            ("{sub}", Some("<sub>")),
            ("user-{sub}@{tenant}", Some("user-<sub>@<tenant>")),
            ("{{sub}}", Some("{sub}")),
            ("{{{sub}}}", Some("{<sub>}")),
            ("{https://example.com/role}", Some("<https://example.com/role>")),
            ("{", None),
            ("}", None),
            ("{}", None),
            ("{sub", None),
            ("sub}", None),
            ("{a{b}", None),
        ] {
            let filled = Template::parse(text).map(|template| {
                template.fill(|claim| Ok::<_, std::convert::Infallible>(format!("<{claim}>")))
            });
            assert_eq!(filled, expected.map(|text| Ok(text.to_owned())), "{text}");
            let printed = Template::parse(text).map(|template| template.to_string());
            assert_eq!(printed, expected.map(|_| text.to_owned()));
        }
    }
}

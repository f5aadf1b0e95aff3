//! Rules for operations, as data.

use std::collections::BTreeMap;

use mcp_auth::{AnyOf, Require, Rule, ToolScopes};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::duration::Seconds;
use crate::error::Error;

/// One text, or several.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Eq, Serialize)]
#[serde(untagged, expecting = "this is a text, or a list of texts")]
pub enum Strings {
    /// One text.
    One(String),
    /// Several texts.
    Many(Vec<String>),
}

impl Strings {
    /// All texts.
    #[must_use]
    pub fn to_vec(&self) -> Vec<String> {
        match self {
            Self::One(text) => vec![text.clone()],
            Self::Many(texts) => texts.clone(),
        }
    }
}

/// What an operation needs: a list of scopes, all of them; `[]`, nothing more than any request; `"deny"`; or a table.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(
    untagged,
    expecting = "a rule is a list of scopes, \"deny\", or a table with `scopes`, `any_of`, `claims`, `clients`, `acr_values` or `max_age`; claims are texts in quotes. A key of the resource must be above the tables of its rules"
)]
pub enum RuleConfig {
    /// All these scopes.
    Scopes(Vec<String>),
    /// `"deny"`: nobody.
    Word(Deny),
    /// Scopes, claims and how the user logged in.
    Table(RuleTable),
}

/// The word for a rule that nobody meets.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Deny {
    /// Nobody.
    Deny,
}

/// A rule with several conditions. All of them must be met.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct RuleTable {
    /// All these scopes.
    #[serde(default)]
    pub scopes: Vec<String>,
    /// One of these scopes.
    pub any_of: Option<Vec<String>>,
    /// Claims of the token: each has one of these values.
    #[serde(default)]
    pub claims: BTreeMap<String, Strings>,
    /// One of these OAuth clients.
    pub clients: Option<Strings>,
    /// One of these authentication context classes (RFC 9470).
    pub acr_values: Option<Vec<String>>,
    /// The user logged in no longer ago than this (RFC 9470).
    pub max_age: Option<Seconds>,
}

impl RuleConfig {
    pub(crate) fn to_rule(&self) -> Result<Rule, Error> {
        match self {
            Self::Scopes(scopes) => Ok(Require::from_iter(scopes.clone()).into()),
            Self::Word(Deny::Deny) => Ok(Rule::never()),
            Self::Table(table) => table.to_rule(),
        }
    }
}

impl RuleTable {
    fn to_rule(&self) -> Result<Rule, Error> {
        // An empty list is a mistake, perhaps of a template, and must not open what the rule is for.
        let is_empty = |values: &Option<Vec<String>>| values.as_ref().is_some_and(Vec::is_empty);
        if *self == Self::default() || is_empty(&self.any_of) || is_empty(&self.acr_values) {
            return Err(Error::new(
                "a rule has an empty table or list: write `[]` for what every admitted caller may use, or `\"deny\"`",
            ));
        }
        let mut require = Require::from_iter(self.scopes.clone());
        if let Some(scopes) = &self.any_of {
            require = require.and(AnyOf(scopes.clone()));
        }
        let mut rule = Rule::from(require);
        for (claim, values) in &self.claims {
            rule = rule.claim(claim, AnyOf(values.to_vec()));
        }
        if let Some(clients) = &self.clients {
            rule = rule.client(AnyOf(clients.to_vec()));
        }
        if let Some(values) = &self.acr_values {
            rule = rule.acr_values(values.clone());
        }
        if let Some(Seconds(age)) = self.max_age {
            rule = rule.max_age(age);
        }
        Ok(rule)
    }
}

/// Rules by name or pattern.
pub(crate) type Rules = BTreeMap<String, RuleConfig>;

/// Keys of a resource with lists. In TOML, one that is written below `[resources.tools]` is a rule there, and the resource
/// would be open without it.
const NOT_NAMES: [&str; 7] = [
    "aliases",
    "allowed_origins",
    "audiences",
    "initial_scopes",
    "issuers",
    "scopes",
    "session_keys",
];

/// How a rule is added to a kind of operations.
type Add = fn(ToolScopes, &str, Rule) -> ToolScopes;

/// Adds the rules of one kind. Where there are rules, one must say what holds for the rest: an operation that nobody
/// thought of is otherwise open, and nobody sees it.
pub(crate) fn add_rules(
    all: ToolScopes,
    kind: &str,
    rules: &Rules,
    must_name_rest: bool,
    add: Add,
) -> Result<ToolScopes, Error> {
    if must_name_rest && !rules.is_empty() && !rules.contains_key("*") {
        return Err(Error::new(format!(
            "there are rules for {kind}, and none for the rest: add `\"*\" = []` (open to every admitted caller) or `\"*\" = \"deny\"`"
        )));
    }
    let is_misplaced = |(name, rule): &(&String, &RuleConfig)| {
        matches!(rule, RuleConfig::Scopes(_)) && NOT_NAMES.contains(&name.as_str())
    };
    if let Some((name, _)) = rules.iter().find(is_misplaced) {
        return Err(Error::new(format!(
            "`{name}` is a key of the resource, and is in its table of {kind}: write it above `[resources.{kind}]`; if that is really a name there, write `{name} = {{ scopes = [..] }}`"
        )));
    }
    rules.iter().try_fold(all, |all, (name, rule)| {
        let rule = rule.to_rule().map_err(|error| Error::of(kind, name, error))?;
        Ok(add(all, name, rule))
    })
}

//! `ToolScopes`: which rules apply to an operation, by exact names and by patterns.

mod pattern;
mod uri;

use std::collections::{BTreeMap, BTreeSet};

use pattern::Pattern;

use crate::model::error_codes::BadMessage;
use crate::model::scope_requirement::Hierarchy;
use crate::policy::operation::{Call, Target, is_known_method};
use crate::policy::rule::Rule;

/// The rules for tools, prompts, resources and methods. An operation without a rule needs only what the
/// resource requires of every token.
///
/// A name is exact, or a pattern: `*` matches anything, and in URIs `{name}` matches one segment
/// ([RFC 6570](https://www.rfc-editor.org/rfc/rfc6570)). An exact name takes precedence over patterns. Among
/// patterns, the one with the most literal characters applies. If several have equally many, all of them apply.
///
/// ```
/// use mcp_auth::{AnyOf, McpAuth, ToolScopes};
///
/// let auth = McpAuth::builder("https://api.example.com/mcp")
///     .authorization_server("https://auth.example.com")
///     .tools(
///         ToolScopes::new()
///             .tool("delete_*", ["notes:write"])
///             .tool("admin", AnyOf(["root", "admin"]))
///             .resource("notes://{owner}/*", ["notes:read"]),
///     )
///     .implies("admin", ["notes:read", "notes:write"])
///     .build()?;
/// # Ok::<(), mcp_auth::ConfigError>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct ToolScopes {
    tools: Table,
    prompts: Table,
    resources: Table,
    methods: Table,
    unknown_methods: Rule,
}

/// The rules for one kind of target.
#[derive(Clone, Debug, Default)]
struct Table {
    exact: BTreeMap<Box<str>, Rule>,
    /// The patterns by their literal prefixes, so that a name is compared with few of them.
    patterns: BTreeMap<Box<str>, Vec<(Pattern, Rule)>>,
    /// The lengths of these prefixes.
    prefix_lengths: BTreeSet<usize>,
}

impl ToolScopes {
    /// Creates an empty set of rules.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a rule for calls of a tool: `add_note`, or a pattern, `delete_*`.
    #[must_use]
    pub fn tool(mut self, name: impl AsRef<str>, rule: impl Into<Rule>) -> Self {
        self.tools.add(name.as_ref(), rule.into());
        self
    }

    /// Adds a rule for a prompt, and for the completion of its arguments.
    #[must_use]
    pub fn prompt(mut self, name: impl AsRef<str>, rule: impl Into<Rule>) -> Self {
        self.prompts.add(name.as_ref(), rule.into());
        self
    }

    /// Adds a rule for reading a resource and subscribing to it: a URI, or a pattern.
    ///
    /// If there are such rules, a URI that is not in its normal form is refused, since the server could take it
    /// for another one ([RFC 3986 §6.2.2](https://www.rfc-editor.org/rfc/rfc3986#section-6.2.2)). A character
    /// that is not allowed in a URI (`é`, a space) is equal to its percent-encoding, in rules and in requests.
    #[must_use]
    pub fn resource(mut self, uri: impl AsRef<str>, rule: impl Into<Rule>) -> Self {
        self.resources.add(&uri::encoded(uri.as_ref()), rule.into());
        self
    }

    /// Adds a rule for a method, in addition to the rules for its target: `completion/complete`, `tasks/*`.
    #[must_use]
    pub fn method(mut self, method: impl AsRef<str>, rule: impl Into<Rule>) -> Self {
        self.methods.add(method.as_ref(), rule.into());
        self
    }

    /// Adds a rule for methods that the protocol does not define and no rule names. [`Rule::never`] forbids
    /// them. Without such a rule, they need only what every request needs.
    #[must_use]
    pub fn unknown_methods(mut self, rule: impl Into<Rule>) -> Self {
        self.unknown_methods = rule.into();
        self
    }

    /// Adds a rule for a tool by its exact name, even if it looks like a pattern.
    pub(crate) fn exact_tool(mut self, name: &str, rule: Rule) -> Self {
        self.tools.add_exact(name.into(), rule);
        self
    }

    /// Adds a rule for a prompt by its exact name, even if it looks like a pattern.
    pub(crate) fn exact_prompt(mut self, name: &str, rule: Rule) -> Self {
        self.prompts.add_exact(name.into(), rule);
        self
    }

    /// Combines these rules with others.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.tools.append(other.tools);
        self.prompts.append(other.prompts);
        self.resources.append(other.resources);
        self.methods.append(other.methods);
        self.unknown_methods = self.unknown_methods.and(other.unknown_methods);
        self
    }

    /// Whether there is no rule, so that nothing depends on the body of a request.
    pub(crate) fn is_empty(&self) -> bool {
        self.unknown_methods.is_empty() && self.tables().all(Table::is_empty)
    }

    /// The same rules, with scopes that are also met by those that imply them.
    pub(crate) fn under(mut self, hierarchy: &Hierarchy) -> Self {
        for rule in self.rules_mut() {
            *rule = std::mem::take(rule).under(hierarchy);
        }
        self
    }

    /// Every scope that a rule names.
    pub(crate) fn named(&self) -> impl Iterator<Item = &str> {
        let rules = self.tables().flat_map(Table::rules).chain([&self.unknown_methods]);
        rules.flat_map(|rule| rule.scopes.named())
    }

    /// Whether a rule has an empty name, perhaps from an unset variable. It would never apply.
    pub(crate) fn has_empty_name(&self) -> bool {
        self.tables().any(|table| table.exact.contains_key(""))
    }

    /// The URI of a rule that would never apply, because a request with this URI is refused.
    pub(crate) fn non_normal_uri(&self) -> Option<&str> {
        self.resources.exact.keys().map(|uri| &**uri).find(|uri| !uri::is_normal(uri))
    }

    /// Calls `found` for each rule that a call must meet.
    ///
    /// # Errors
    ///
    /// [`BadMessage::Uri`] if the server could take a URI for another one.
    pub(crate) fn find<'r>(
        &'r self,
        call: &Call<'_>,
        found: &mut impl FnMut(&'r Rule),
    ) -> Result<(), BadMessage> {
        let Some(method) = &call.method else { return Ok(()) };
        if !self.methods.find(method, found) && !is_known_method(method) {
            found(&self.unknown_methods);
        }
        let table = match call.target {
            Target::None | Target::Task(_) => return Ok(()),
            Target::Tool(_) => &self.tools,
            Target::Prompt(_) => &self.prompts,
            Target::Resources(_) => &self.resources,
        };
        let is_uri = matches!(call.target, Target::Resources(_)) && !table.is_empty();
        for name in call.target.names() {
            if is_uri && !uri::is_normal(name) {
                return Err(BadMessage::Uri);
            }
            let name = if is_uri { uri::encoded(name) } else { name.into() };
            table.find(&name, found);
            // Some servers decode a slash in a template variable, others do not. The caller must be allowed
            // both readings.
            if is_uri && name.contains("%2F") {
                table.find(&name.replace("%2F", "/"), found);
            }
        }
        Ok(())
    }

    fn tables(&self) -> impl Iterator<Item = &Table> {
        [&self.methods, &self.tools, &self.prompts, &self.resources].into_iter()
    }

    fn rules_mut(&mut self) -> impl Iterator<Item = &mut Rule> {
        let tables = [&mut self.tools, &mut self.prompts, &mut self.resources, &mut self.methods];
        tables.into_iter().flat_map(Table::rules_mut).chain([&mut self.unknown_methods])
    }
}

impl Table {
    fn add(&mut self, name: &str, rule: Rule) {
        match Pattern::of(name) {
            None => self.add_exact(name.into(), rule),
            Some(pattern) => self.add_pattern(pattern, rule),
        }
    }

    fn add_exact(&mut self, name: Box<str>, rule: Rule) {
        let slot = self.exact.entry(name).or_default();
        *slot = std::mem::take(slot).and(rule);
    }

    fn add_pattern(&mut self, pattern: Pattern, rule: Rule) {
        self.prefix_lengths.insert(pattern.prefix().len());
        self.patterns.entry(pattern.prefix().into()).or_default().push((pattern, rule));
    }

    fn append(&mut self, other: Self) {
        other.exact.into_iter().for_each(|(name, rule)| self.add_exact(name, rule));
        let patterns = other.patterns.into_values().flatten();
        patterns.for_each(|(pattern, rule)| self.add_pattern(pattern, rule));
    }

    /// Calls `found` for each rule that applies to a name. Returns whether there is one.
    fn find<'r>(&'r self, name: &str, found: &mut impl FnMut(&'r Rule)) -> bool {
        if let Some(rule) = self.exact.get(name) {
            found(rule);
            return true;
        }
        if self.patterns.is_empty() {
            return false;
        }
        let most = self.matching(name, None).map(|(pattern, _)| pattern.literal_len()).max();
        if most.is_some() {
            self.matching(name, most).for_each(|(_, rule)| found(rule));
        }
        most.is_some()
    }

    /// The patterns that match a name: all, or those with this number of literal characters.
    fn matching(
        &self,
        name: &str,
        literal_len: Option<usize>,
    ) -> impl Iterator<Item = &(Pattern, Rule)> {
        let prefix_lengths =
            self.prefix_lengths.iter().filter_map(move |length| name.split_at_checked(*length));
        prefix_lengths.flat_map(move |(prefix, rest)| {
            let patterns = self.patterns.get(prefix).into_iter().flatten();
            patterns.filter(move |(pattern, _)| {
                literal_len.is_none_or(|literal_len| literal_len == pattern.literal_len())
                    && pattern.matches(rest)
            })
        })
    }

    fn is_empty(&self) -> bool {
        self.exact.is_empty() && self.patterns.is_empty()
    }

    fn rules(&self) -> impl Iterator<Item = &Rule> {
        self.exact.values().chain(self.patterns.values().flatten().map(|(_, rule)| rule))
    }

    fn rules_mut(&mut self) -> impl Iterator<Item = &mut Rule> {
        let patterns = self.patterns.values_mut().flatten();
        self.exact.values_mut().chain(patterns.map(|(_, rule)| rule))
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, Method};

    use super::*;
    use crate::policy::operation::Operation;

    fn scopes_for(rules: &ToolScopes, body: &str) -> Result<String, BadMessage> {
        let operation =
            Operation::read(&Method::POST, &HeaderMap::new(), body.as_bytes()).expect(body);
        let mut found = Vec::new();
        let mut find = |call| rules.find(call, &mut |rule| found.push(rule));
        operation.calls().iter().try_for_each(&mut find)?;
        let all = found.into_iter().cloned().fold(Rule::default(), Rule::and);
        Ok(all.scopes.to_request().to_string())
    }

    #[test]
    fn the_most_specific_rule_applies() {
        let rules = ToolScopes::new()
            .tool("*", ["any"])
            .tool("delete_*", ["delete"])
            .tool("*_note", ["note"])
            .tool("x_*_note", ["long"])
            .tool("add_note", ["add"])
            .tool("twice_*", ["one"])
            .tool("twice_*", ["two"])
            .prompt("review", ["review"])
            .resource("notes://{owner}/*", ["notes"])
            .resource("notes://{owner}", ["owner"])
            .resource("notes://alice/secret", ["secret"])
            .method("tasks/*", ["tasks"])
            .method("vendor/known", ["vendor"])
            .unknown_methods(["unknown"]);
        let rows = [
            ("tools/call", r#""name":"add_note""#, "add"),
            ("tools/call", r#""name":"delete_x""#, "delete"),
            ("tools/call", r#""name":"delete_""#, "delete"),
            ("tools/call", r#""name":"del_note""#, "note"),
            ("tools/call", r#""name":"delete_note""#, "delete"),
            ("tools/call", r#""name":"x_1_note""#, "long"),
            ("tools/call", r#""name":"twice_""#, "one two"),
            ("tools/call", r#""name":"Add_note""#, "note"),
            ("tools/call", r#""name":"else""#, "any"),
            ("tools/call", r#""name":"add_note""#, "add"),
            ("tools/list", "", ""),
            ("prompts/get", r#""name":"review""#, "review"),
            ("prompts/get", r#""name":"add_note""#, ""),
            ("completion/complete", r#""ref":{"type":"ref/prompt","name":"review"}"#, "review"),
            (
                "completion/complete",
                r#""ref":{"type":"ref/resource","uri":"notes://{owner}"}"#,
                "owner",
            ),
            ("resources/read", r#""uri":"notes://alice/secret""#, "secret"),
            ("resources/read", r#""uri":"notes://alice/other""#, "notes"),
            ("resources/subscribe", r#""uri":"notes://bob""#, "owner"),
            ("resources/read", r#""uri":"other://bob""#, ""),
            (
                "subscriptions/listen",
                r#""notifications":{"resourceSubscriptions":["notes://a","notes://alice/secret"]}"#,
                "owner secret",
            ),
            ("tasks/get", r#""taskId":"t1""#, "tasks"),
            ("vendor/known", "", "vendor"),
            ("vendor/other", "", "unknown"),
        ];
        for (method, params, scopes) in rows {
            let body =
                format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{{{params}}}}}"#);
            assert_eq!(scopes_for(&rules, &body).as_deref(), Ok(scopes), "{body}");
        }
        let hidden =
            r#"{"id":1,"method":"resources/read","params":{"uri":"notes://bob/../alice/secret"}}"#;
        assert_eq!(scopes_for(&rules, hidden), Err(BadMessage::Uri));
        assert_eq!(scopes_for(&ToolScopes::new(), hidden).as_deref(), Ok(""));
    }
}

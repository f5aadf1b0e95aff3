//! `ToolScopes`: which rules apply to an operation, by exact names and by patterns.

mod pattern;
mod table;
mod fold;
mod uri;
mod rule_uri;
mod resources;

use resources::ResourceRules;
use table::Table;

use crate::model::denial::Denial;
use crate::model::error_codes::BadMessage;
use crate::model::scope_requirement::Hierarchy;
use crate::policy::operation::{Call, Operation, Target, TargetKind, is_known_method};
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
    resources: ResourceRules,
    methods: Table,
    unknown_methods: Rule,
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

    /// Adds a rule for reading a resource, subscribing to it, and whatever else a method does with it: a URI, or
    /// a pattern.
    ///
    /// If there are such rules, a request for a URI that is not in canonical form is refused, since the server
    /// could take it for another one: a URI with empty segments or dot segments, a fragment, needless
    /// percent-encoding, or characters that must be percent-encoded (`é`, a space). The exception is a URI that a
    /// rule names, byte for byte.
    ///
    /// A rule applies if some server could read the URI so that it matches: without regard to case, without its
    /// query, its port, its `;parameters` or the slash at its end, and with characters encoded or decoded. A rule
    /// takes precedence over a less specific one only if it matches for every server.
    #[must_use]
    pub fn resource(mut self, uri: impl AsRef<str>, rule: impl Into<Rule>) -> Self {
        self.resources.add(uri.as_ref(), rule.into());
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
        self.tools.add_exact_rule(name, rule);
        self
    }

    /// Adds a rule for a prompt by its exact name, even if it looks like a pattern.
    pub(crate) fn exact_prompt(mut self, name: &str, rule: Rule) -> Self {
        self.prompts.add_exact_rule(name, rule);
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

    /// The rules that apply to an operation, by the names and patterns that they were added for: once for each message that
    /// they apply to.
    ///
    /// It is empty if none applies, and if the operation is one that is refused whatever the rules.
    ///
    /// ```
    /// use mcp_auth::{Operation, ToolScopes};
    ///
    /// let rules = ToolScopes::new().tool("delete_*", ["notes:write"]).tool("*", ["notes:read"]);
    /// assert_eq!(rules.names_for(&Operation::of_tool("delete_note")), ["delete_*"]);
    /// ```
    #[must_use]
    pub fn names_for(&self, operation: &Operation<'_>) -> Vec<&str> {
        let mut names = Vec::new();
        let mut find = |call| self.find(call, &mut |name, _| names.push(name));
        match operation.calls().iter().try_for_each(&mut find) {
            Ok(()) => names,
            Err(_) => Vec::new(),
        }
    }

    /// Whether there is no rule, so that nothing depends on the body of a request.
    pub(crate) fn is_empty(&self) -> bool {
        self.unknown_methods.is_empty()
            && self.resources.is_empty()
            && self.tables().all(Table::is_empty)
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
        let rules = self.tables().flat_map(Table::rules).chain(self.resources.rules());
        let rules = rules.chain([&self.unknown_methods]);
        rules.flat_map(|rule| rule.scopes.named())
    }

    /// Whether a rule has an empty name, perhaps from an unset variable. It would never apply.
    pub(crate) fn has_empty_name(&self) -> bool {
        self.resources.has_empty_name() || self.tables().any(Table::has_empty_name)
    }

    /// The URI of a rule that would never apply, because a request for such a URI is refused.
    pub(crate) fn non_normal_uri(&self) -> Option<&str> {
        self.resources.never_matching()
    }

    /// Calls `found` for each rule that a call must meet, with the name or pattern that it was written for.
    ///
    /// # Errors
    ///
    /// A [`BadMessage`] if the server could take a name for another one.
    pub(crate) fn find<'r>(
        &'r self,
        call: &Call<'_>,
        found: &mut impl FnMut(&'r str, &'r Rule),
    ) -> Result<(), Denial> {
        let Some(method) = &call.method else { return Ok(()) };
        if !self.methods.find(method, found) && !is_known_method(method) {
            found("unknown_methods", &self.unknown_methods);
        }
        call.targets().try_for_each(|target| self.find_for(target, found))
    }

    fn find_for<'r>(
        &'r self,
        target: &Target<'_>,
        found: &mut impl FnMut(&'r str, &'r Rule),
    ) -> Result<(), Denial> {
        let (tables, has_uri): (&[&Table], bool) = match target.kind {
            TargetKind::Task => (&[], false),
            TargetKind::Tool => (&[&self.tools], false),
            TargetKind::Prompt => (&[&self.prompts], false),
            TargetKind::ToolOrPrompt => (&[&self.tools, &self.prompts], false),
            TargetKind::Resource | TargetKind::Template => (&[], !self.resources.is_empty()),
        };
        let has_rules = has_uri || tables.iter().any(|table| !table.is_empty());
        match &target.name {
            None if has_rules => return Err(Denial::bad_message(BadMessage::Target)),
            None => {}
            Some(uri) if has_uri => {
                self.resources.find(uri, target.kind == TargetKind::Template, found)?;
            }
            Some(name) => {
                for table in tables {
                    table.find(name, found);
                }
            }
        }
        Ok(())
    }

    fn tables(&self) -> impl Iterator<Item = &Table> {
        [&self.methods, &self.tools, &self.prompts].into_iter()
    }

    fn rules_mut(&mut self) -> impl Iterator<Item = &mut Rule> {
        let tables = [&mut self.tools, &mut self.prompts, &mut self.methods];
        let rules = tables.into_iter().flat_map(Table::rules_mut);
        rules.chain(self.resources.rules_mut()).chain([&mut self.unknown_methods])
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, Method};

    use super::*;

    fn scopes_for(rules: &ToolScopes, body: &str) -> Result<String, Denial> {
        let operation =
            Operation::read(&Method::POST, &HeaderMap::new(), body.as_bytes()).expect(body);
        let mut found = Vec::new();
        let mut find = |call| rules.find(call, &mut |_, rule| found.push(rule));
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
                "notes owner",
            ),
            ("resources/read", r#""uri":"notes://alice/secret""#, "secret"),
            ("resources/read", r#""uri":"notes://alice/other""#, "notes"),
            ("resources/subscribe", r#""uri":"notes://bob""#, "notes owner"), // as `notes://bob/`
            ("resources/read", r#""uri":"other://bob""#, ""),
            (
                "subscriptions/listen",
                r#""notifications":{"resourceSubscriptions":["notes://a","notes://alice/secret"]}"#,
                "notes owner secret",
            ),
            ("skills/get", r#""uri":"notes://alice/secret""#, "secret"),
            ("resources/directory/read", r#""uri":"notes://alice/other""#, "notes"),
            ("tasks/get", r#""taskId":"t1""#, "tasks"),
            ("vendor/known", "", "vendor"),
            ("vendor/other", "", "unknown"),
        ];
        for (method, params, scopes) in rows {
            let body =
                format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{{{params}}}}}"#);
            assert_eq!(scopes_for(&rules, &body).ok().as_deref(), Some(scopes), "{body}");
        }
        let hidden =
            r#"{"id":1,"method":"resources/read","params":{"uri":"notes://bob/../alice/secret"}}"#;
        assert_eq!(scopes_for(&rules, hidden).map_err(|denial| denial.code()), Err("uri_form"));
        assert_eq!(scopes_for(&ToolScopes::new(), hidden).ok().as_deref(), Some(""));
    }
}

//! What the operator's page says about a resource: made once, from its configuration.

use mcp_auth_config::{Deny, ResourceConfig, RuleConfig, RuleTable, Seconds, Strings};

/// The most rules of one resource that are shown. The rest are in the file.
pub(crate) const MAX_RULES: usize = 100;

/// What the page says about a resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Summary {
    /// What every caller needs.
    pub(crate) needs: String,
    pub(crate) is_optional: bool,
    /// The first rules: what for, the name or pattern, and what it needs.
    pub(crate) rules: Vec<(&'static str, String, String)>,
    pub(crate) rule_count: usize,
}

impl Summary {
    pub(crate) fn of(resource: &ResourceConfig) -> Self {
        let kinds = [
            ("tool", &resource.tools),
            ("prompt", &resource.prompts),
            ("resource", &resource.resources),
            ("method", &resource.methods),
        ];
        let rules = kinds.into_iter().flat_map(|(kind, rules)| {
            rules.iter().map(move |(name, rule)| (kind, name.clone(), needs_of(rule)))
        });
        let required = resource.required.as_ref().map(needs_of);
        let scopes = (!resource.scopes.is_empty()).then(|| resource.scopes.join(" "));
        let needs: Vec<_> = scopes.into_iter().chain(required).collect();
        Self {
            needs: needs.join("; "),
            is_optional: resource.optional,
            rules: rules.take(MAX_RULES).collect(),
            rule_count: resource.rule_count(),
        }
    }
}

fn needs_of(rule: &RuleConfig) -> String {
    match rule {
        RuleConfig::Scopes(scopes) if scopes.is_empty() => "open to every admitted caller".into(),
        RuleConfig::Scopes(scopes) => scopes.join(" "),
        RuleConfig::Word(Deny::Deny) => "nobody".into(),
        RuleConfig::Table(table) => needs_of_table(table),
    }
}

fn needs_of_table(table: &RuleTable) -> String {
    let one_of = |values: &[String]| values.join(" or ");
    let mut needs = Vec::new();
    if !table.scopes.is_empty() {
        needs.push(table.scopes.join(" "));
    }
    needs.extend(table.any_of.as_deref().map(one_of));
    let claims = table.claims.iter();
    needs.extend(claims.map(|(name, values)| format!("{name}: {}", one_of(&values.to_vec()))));
    needs.extend(
        table.clients.as_ref().map(|it: &Strings| format!("client: {}", one_of(&it.to_vec()))),
    );
    needs.extend(table.acr_values.as_deref().map(|it| format!("acr: {}", one_of(it))));
    needs.extend(table.max_age.map(|Seconds(age)| format!("login within {} s", age.as_secs())));
    needs.join("; ")
}

#[cfg(test)]
mod tests {
    use mcp_auth_config::Config;

    use super::*;

    #[test]
    fn rules_are_said_in_a_few_words() {
        let config = Config::from_toml(
            r#"
            [[resources]]
            url = "https://mcp.example.com/mcp"
            scopes = ["a", "b"]
            [resources.tools]
            "*" = []
            delete = "deny"
            list = ["files:read", "files:list"]
            purge = { scopes = ["x"], any_of = ["root", "admin"], claims = { dept = ["it", "ops"] }, clients = "c", acr_values = ["mfa"], max_age = "5m" }
            "#,
        );
        let summary = Summary::of(&config.expect("a configuration").resources[0]);
        assert_eq!(summary.needs, "a b");
        let rules: Vec<_> =
            summary.rules.iter().map(|(_, name, needs)| (name.as_str(), needs.as_str())).collect();
        assert_eq!(
            rules,
            [
                ("*", "open to every admitted caller"),
                ("delete", "nobody"),
                ("list", "files:read files:list"),
                (
                    "purge",
                    "x; root or admin; dept: it or ops; client: c; acr: mfa; login within 300 s"
                ),
            ]
        );
    }
}

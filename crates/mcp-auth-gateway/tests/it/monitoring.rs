//! The dashboard and the alert rules name metrics and labels that exist, and the guide has all of them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The metrics and their labels, from the sources.
fn metrics() -> BTreeMap<String, BTreeSet<String>> {
    let mut all: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let crates = [
        "mcp-auth/src/net/metrics.rs",
        "mcp-auth-gateway/src/telemetry.rs",
        "mcp-auth-redis/src/telemetry.rs",
    ];
    for path in crates.map(|path| format!("crates/{path}")) {
        for call in read(&path).split("!(\"").skip(1) {
            let call = call.split(';').next().unwrap_or_default();
            let name = call.split('"').next().expect("a name").to_owned();
            if !name.starts_with("mcp_auth_") {
                continue;
            }
            let labels = all.entry(name).or_default();
            // `"label" => value`, where a value may be a text too.
            let parts: Vec<_> = call.split('"').collect();
            for pair in parts.windows(2) {
                if pair[1].trim_start().starts_with("=>") {
                    labels.insert(pair[0].to_owned());
                }
            }
        }
    }
    assert!(all.len() > 20, "{all:?}");
    all
}

/// The metrics of an expression, each with the labels of its selector. Labels of `by (..)` belong to all of them.
fn used(expression: &str) -> Vec<(String, BTreeSet<String>)> {
    let is_word = |char: char| char.is_ascii_alphanumeric() || char == '_';
    let mut grouped = BTreeSet::new();
    for group in expression.split("by (").skip(1) {
        let (labels, _) = group.split_once(')').expect("a list");
        grouped.extend(labels.split(',').map(|label| label.trim().to_owned()));
    }
    let mut found = Vec::new();
    for (at, _) in expression.match_indices("mcp_auth_") {
        if expression[..at].ends_with(is_word) {
            continue;
        }
        let rest = &expression[at..];
        let end = rest.find(|char| !is_word(char)).unwrap_or(rest.len());
        let mut labels = grouped.clone();
        if let Some(selector) = rest[end..].strip_prefix('{') {
            let (selector, _) = selector.split_once('}').expect("a selector");
            let mut quoted = selector.split('"');
            // What is between the values: `,name=~`.
            while let Some(name) = quoted.next() {
                let name: String = name.chars().filter(|char| is_word(*char)).collect();
                labels.extend(Some(name).filter(|name| !name.is_empty()));
                quoted.next();
            }
        }
        found.push((rest[..end].to_owned(), labels));
    }
    found
}

fn expressions() -> Vec<String> {
    let dashboard: serde_json::Value =
        serde_json::from_str(&read("examples/gateway/grafana.json")).expect("JSON");
    let panels = dashboard["panels"].as_array().expect("panels").clone();
    let targets = panels.iter().flat_map(|panel| panel["targets"].as_array().expect("targets"));
    let mut all: Vec<_> =
        targets.map(|target| target["expr"].as_str().expect("a text").to_owned()).collect();
    let rules = read("examples/gateway/alerts.yaml");
    for rule in rules.split("expr:").skip(1) {
        let (expression, _) = rule.split_once("\n        for:").expect("a duration");
        all.push(expression.trim_start_matches([' ', '>', '-']).to_owned());
    }
    all
}

#[test]
fn the_dashboard_and_the_alerts_name_what_exists() {
    let metrics = metrics();
    let expressions = expressions();
    assert!(expressions.len() > 20, "{expressions:?}");
    for expression in &expressions {
        let used = used(expression);
        assert!(!used.is_empty(), "{expression}");
        for (name, labels) in used {
            let known = metrics.get(name.strip_suffix("_bucket").unwrap_or(&name));
            let known = known.unwrap_or_else(|| panic!("{name} is not a metric: {expression}"));
            // Prometheus adds `instance`, and a histogram has `le`.
            let is_known =
                |label: &String| known.contains(label) || ["instance", "le"].contains(&&**label);
            let unknown: Vec<_> = labels.iter().filter(|label| !is_known(label)).collect();
            assert!(unknown.is_empty(), "{name} has no {unknown:?}: {expression}");
        }
    }
}

#[test]
fn the_guide_names_every_metric_of_the_gateway_and_each_of_its_codes() {
    let guide = ["gateway", "bearer-auth", "replicas"]
        .map(|page| read(&format!("docs/guide/{page}.md")))
        .concat();
    for name in metrics().keys() {
        assert!(guide.contains(&format!("`{name}")), "{name}");
    }
    let src = root().join("crates/mcp-auth-gateway/src");
    let sources = ["because.rs", "limits.rs"];
    let sources = sources.map(|name| fs::read_to_string(src.join(name)).expect(name)).concat();
    let mut codes: Vec<_> = sources.split("code: \"").skip(1).collect();
    codes.extend(sources.split("=> \"limits").skip(1));
    assert!(codes.len() > 15);
    for rest in codes {
        let code = rest.split('"').next().expect("a code");
        assert!(guide.contains(&format!("{code}`")), "{code}");
    }
}

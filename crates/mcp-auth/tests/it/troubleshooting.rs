//! The page of the guide about troubles: it has every code of the source, and no other.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use mcp_auth::{BadMessage, BadProof, BadRequest, Denial, Reason};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).expect(path)
}

/// What stands between two marks, wherever they are.
fn between<'t>(text: &'t str, begin: &str, end: &str) -> Vec<&'t str> {
    text.split(begin).skip(1).filter_map(|rest| Some(rest.split_once(end)?.0)).collect()
}

/// The code in a text of the page: what stands in backticks.
fn codes(text: &str) -> BTreeSet<String> {
    let parts = text.split('`').enumerate().filter(|(i, _)| i % 2 == 1);
    parts.map(|(_, code)| code.to_owned()).collect()
}

/// The cells of each row below a heading, without those of the head.
fn rows(heading: &str) -> Vec<Vec<String>> {
    let page = read("docs/guide/troubleshooting.md");
    let (_, section) = page.split_once(&format!("\n## {heading}\n")).expect(heading);
    let section = section.split("\n## ").next().unwrap_or_default();
    let rows = section.lines().filter(|line| line.starts_with("| ")).skip(1);
    rows.map(|row| row.trim_matches('|').split('|').map(|it| it.trim().to_owned()).collect())
        .collect()
}

fn column(rows: &[Vec<String>], number: usize) -> BTreeSet<String> {
    rows.iter().flat_map(|row| codes(&row[number])).collect()
}

fn decisions() -> BTreeSet<String> {
    let mut all: BTreeSet<&str> = Reason::ALL.iter().map(|it| it.code()).collect();
    all.extend(BadMessage::ALL.iter().map(|it| it.code()));
    all.extend(BadRequest::ALL.iter().map(|it| it.code()));
    all.extend(BadProof::ALL.iter().map(|it| it.code()));
    let source = read("crates/mcp-auth/src/model/denial.rs");
    let (_, code) = source.split_once("pub fn code(&self)").expect("the function");
    let (code, _) = code.split_once("\n    }\n").expect("its end");
    all.extend(between(code, "=> \"", "\""));
    assert!(all.contains(Denial::unavailable(Duration::ZERO).code()));
    let log = read("crates/mcp-auth/src/integrations/tower/decision_log.rs");
    all.extend(between(&log, "metrics::decision(\"", "\""));
    all.into_iter().map(str::to_owned).collect()
}

#[test]
fn the_page_has_every_decision_and_no_other() {
    assert_eq!(column(&rows("By decision"), 0), decisions());
}

#[test]
fn the_page_has_every_error_and_no_other() {
    let challenge = read("crates/mcp-auth/src/policy/challenge.rs");
    let (challenge, _) = challenge.split_once("#[cfg(test)]").unwrap_or((&challenge, ""));
    let mut sources = vec![challenge.to_owned()];
    for file in ["denial_response.rs", "json_list_filter.rs"] {
        sources.push(read(&format!("crates/mcp-auth/src/integrations/tower/{file}")));
    }
    let text = sources.concat();
    let code: String = text.lines().filter(|it| !it.trim_start().starts_with("//")).collect();
    let is_error =
        |it: &&str| it.contains('_') && it.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
    let quoted =
        between(&code, "Some(\"", "\"").into_iter().chain(between(&code, "{\"error\":\"", "\""));
    let mut errors: BTreeSet<String> = quoted.filter(is_error).map(str::to_owned).collect();
    errors.extend(["use_dpop_nonce", "invalid_dpop_proof"].map(str::to_owned));
    assert!(code.contains("\"use_dpop_nonce\"") && code.contains("\"invalid_dpop_proof\""));
    let rows = rows("By `error`");
    assert_eq!(column(&rows, 0), errors);
    let named = column(&rows, 1);
    let known = decisions();
    let unknown: Vec<_> = named.difference(&known).filter(|it| *it != "proof_...").collect();
    assert!(unknown.is_empty(), "{unknown:?}");
}

#[test]
fn the_page_has_every_metric_with_its_labels_and_values_and_no_other() {
    let source = read("crates/mcp-auth/src/net/metrics.rs");
    let mut expected = BTreeSet::new();
    // The comment of each function: the metric with its labels, and the values of those that are constants.
    for comment in
        source.split("pub(crate) fn").filter_map(|it| it.rsplit_once("\n}\n").map(|it| it.1))
    {
        let comment: Vec<_> = comment.lines().filter_map(|it| it.strip_prefix("/// ")).collect();
        let comment = comment.join(" ");
        let Some((name, labels)) = comment.strip_prefix('`').and_then(|it| {
            let (metric, _) = it.split_once('`')?;
            metric.strip_suffix('}')?.split_once('{')
        }) else {
            continue;
        };
        let labels: BTreeSet<String> = labels.split(", ").map(str::to_owned).collect();
        let mut values = codes(&comment);
        values.retain(|value| !value.contains('{'));
        if name == "mcp_auth_decisions_total" {
            values.clear(); // they have a table of their own
        }
        expected.insert((name.to_owned(), labels, values));
    }
    assert_eq!(expected.len(), between(&source, "/// `mcp_auth_", "`").len());
    let rows = rows("By metric").into_iter().map(|row| {
        let name = codes(&row[0]).pop_first().expect("a name");
        (name, codes(&row[1]), codes(&row[2]))
    });
    assert_eq!(rows.collect::<BTreeSet<_>>(), expected);

    let filter = read("crates/mcp-auth/src/integrations/tower/json_list_filter.rs");
    let (_, code) = filter.split_once("fn code(self)").expect("the function");
    let reasons: BTreeSet<String> =
        between(code.split_once("\n    }\n").expect("its end").0, "=> \"", "\"")
            .into_iter()
            .map(str::to_owned)
            .collect();
    let bad_gateway = expected.iter().find(|(name, ..)| name == "mcp_auth_bad_gateway_total");
    assert_eq!(bad_gateway.map(|(.., values)| values), Some(&reasons));
}

#[test]
fn the_page_is_short_and_its_links_lead_somewhere() {
    let page = read("docs/guide/troubleshooting.md");
    assert!(page.lines().count() < 250);
    let anchor = |heading: &str| {
        let kept = heading
            .to_lowercase()
            .chars()
            .filter(|c| c.is_alphanumeric() || " -_".contains(*c))
            .collect::<String>();
        kept.trim().replace(' ', "-")
    };
    for link in between(&page, "](", ")") {
        let (file, place) = link.split_once('#').unwrap_or((link, ""));
        let file = if file.is_empty() { "troubleshooting.md" } else { file };
        let target = read(&format!("docs/guide/{file}"));
        let headings = target.lines().filter(|line| line.starts_with('#'));
        let mut anchors = headings.map(|line| anchor(line.trim_start_matches('#')));
        assert!(place.is_empty() || anchors.any(|it| it == place), "{link}");
    }
}

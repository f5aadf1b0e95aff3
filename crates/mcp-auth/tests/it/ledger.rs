//! The list of requirements in `docs/spec`: every row is complete, and every test that it names exists.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use toml::{Table, Value};

const FIELDS: [&str; 6] = ["id", "level", "text", "link", "status", "tests"];
const LEVELS: [&str; 4] = ["MUST", "SHOULD", "MAY", "client"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Every row of every document, with the name of its file.
fn rows() -> Vec<(String, Table)> {
    let mut rows = Vec::new();
    for entry in fs::read_dir(root().join("docs/spec")).expect("the ledger").flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if !name.ends_with(".toml") {
            continue;
        }
        let text = fs::read_to_string(entry.path()).expect("a document");
        let document: Table = text.parse().unwrap_or_else(|error| panic!("{name}: {error}"));
        let Some(Value::Array(requirements)) = document.get("requirement") else {
            panic!("{name} has no requirement")
        };
        rows.extend(
            requirements.iter().map(|row| {
                (name.clone(), row.as_table().expect("a requirement is a table").clone())
            }),
        );
    }
    assert!(rows.len() > 100, "the ledger was found");
    rows
}

fn text<'r>(row: &'r Table, field: &str) -> &'r str {
    row.get(field).and_then(Value::as_str).unwrap_or_default()
}

fn tests(row: &Table) -> Vec<&str> {
    let tests = row.get("tests").and_then(Value::as_array);
    tests.into_iter().flatten().filter_map(Value::as_str).collect()
}

#[test]
fn every_row_is_complete_and_has_an_id_of_its_own() {
    let mut ids = BTreeSet::new();
    for (file, row) in rows() {
        let id = text(&row, "id");
        assert!(ids.insert(id.to_owned()), "{file}: the id {id:?} comes twice");
        let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-.".contains(c);
        assert!(!id.is_empty() && id.chars().all(is_plain), "{file}: the id {id:?}");
        let fields: Vec<_> = row.keys().map(String::as_str).collect();
        for field in &fields {
            assert!(FIELDS.contains(field), "{file}: {id} has an unknown field {field:?}");
        }
        assert!(LEVELS.contains(&text(&row, "level")), "{file}: the level of {id}");
        assert!(text(&row, "text").len() > 20, "{file}: the text of {id}");
        assert!(text(&row, "link").starts_with("https://"), "{file}: the link of {id}");
        match text(&row, "status") {
            "tested" => assert!(!tests(&row).is_empty(), "{file}: {id} is tested by nothing"),
            "later" => assert!(tests(&row).is_empty(), "{file}: {id} comes later, but has tests"),
            other => panic!("{file}: {id} has the status {other:?}"),
        }
    }
}

#[test]
fn every_test_that_is_named_is_there() {
    let mut missing = BTreeSet::new();
    for (file, row) in rows() {
        for test in tests(&row) {
            if !is_there(test) {
                missing.insert(format!("{file}: {} names {test}", text(&row, "id")));
            }
        }
    }
    assert!(missing.is_empty(), "{missing:#?}");
}

/// Whether a test with this name exists: `it::file::name`, `lib::path::of::module::tests::name`,
/// `testkit::file::name`, `gateway::file::name`, or `e2e::` and the name of a scenario.
pub(crate) fn is_there(test: &str) -> bool {
    let Some((kind, name)) = test.split_once("::") else { return false };
    if kind == "e2e" {
        return is_scenario(name);
    }
    let Some((path, name)) = name.rsplit_once("::") else { return false };
    let path = path.replace("::", "/");
    let files = match kind {
        "it" => vec![format!("crates/mcp-auth/tests/it/{path}.rs")],
        "testkit" => vec![format!("crates/mcp-auth-testkit/tests/{path}.rs")],
        "gateway" => vec![format!("crates/mcp-auth-gateway/tests/{path}.rs")],
        // `a::tests::name` is at the end of `a.rs` or in `a/tests.rs`, `a::tests::b::name` in `a/tests/b.rs`.
        "lib" => {
            let file = path.strip_suffix("/tests");
            let file = file.or(Some(path.as_str()).filter(|path| path.contains("/tests/")));
            let places = |path: &str| {
                [".rs", "/mod.rs", "/tests.rs"]
                    .map(|end| format!("crates/mcp-auth/src/{path}{end}"))
            };
            file.into_iter().flat_map(places).collect()
        }
        _ => return false,
    };
    files.iter().any(|file| {
        let source = fs::read_to_string(root().join(file)).unwrap_or_default();
        let mut lines = source.lines().map(str::trim_start);
        let mut is_test = false;
        lines.any(|line| {
            let function = line.strip_prefix("async ").unwrap_or(line).strip_prefix("fn ");
            let is_it = function.is_some_and(|rest| rest.starts_with(&format!("{name}(")));
            let found = is_test && is_it;
            is_test = line.starts_with("#[test]")
                || line.starts_with("#[tokio::test")
                || (is_test && line.starts_with("#["));
            found
        })
    })
}

/// A scenario is a row of a table, `['name', world, proof]`, or its name is composed: of a beginning, a place, a client and
/// an end. The place and the client are in tables too.
fn is_scenario(name: &str) -> bool {
    let read = |file| fs::read_to_string(root().join("e2e/node").join(file)).expect("scenarios");
    let files = [
        "run.mjs",
        "introspection.mjs",
        "better_auth.mjs",
        "keycloak.mjs",
        "spring.mjs",
        "hydra.mjs",
        "slow.mjs",
        "resources.mjs",
        "first_login.mjs",
        "gateway.mjs",
        "codex.mjs",
    ];
    let script = files.map(read).concat();
    let composed = [
        ("", " signs in and calls a tool", "flow('"),
        ("", " asks for notes:write by itself", "step('"),
        ("gateway in front of ", " signs in and asks for notes:write by itself", "['"),
        ("gateway in front of ", " sees progress as it comes, and cancels", "['"),
        (
            "a call longer than its token, ",
            " gets the result, and an error when the token is revoked",
            "['",
        ),
    ];
    composed.iter().any(|(begin, end, row)| {
        let middle = name.strip_prefix(begin).and_then(|name| name.strip_suffix(end));
        middle.and_then(|middle| middle.split_once(": ")).is_some_and(|(place, client)| {
            script.contains(&format!("{row}{place}',"))
                && script.contains(&format!("{{ name: '{client}',"))
        })
    }) || script.contains(&format!("['{name}',"))
}

#[test]
fn a_test_that_is_not_there_is_noticed() {
    for name in [
        "it::ledger::a_test_that_is_not_there_is_noticed",
        "lib::policy::audience::tests::audiences_are_compared_with_the_resource",
        "lib::verify::jwt::tests::wycheproof::ed25519",
        "lib::policy::identity::tests::acr_and_auth_time_are_read",
        "testkit::world::the_metadata_can_lie",
        "e2e::a good token: 200",
        "e2e::RS256: Python signs in and calls a tool",
        "e2e::step-up, sessions: rmcp asks for notes:write by itself",
        "e2e::gateway in front of FastMCP, 2026-07-28: Go signs in and asks for notes:write by itself",
        "e2e::a call longer than its token, 2026-07-28, JSON: Go gets the result, and an error when the token is revoked",
    ] {
        assert!(is_there(name), "{name}");
    }
    for name in [
        "it::ledger::is_there",
        "it::ledger::no_such_test",
        "it::nowhere::a_test_that_is_not_there_is_noticed",
        "lib::policy::audience::audiences_are_compared_with_the_resource",
        "e2e::a good token",
        "e2e::RS256: nobody signs in and calls a tool",
        "e2e::a call longer than its token, by post: Go gets the result, and an error when the token is revoked",
        "a_test_that_is_not_there_is_noticed",
    ] {
        assert!(!is_there(name), "{name}");
    }
}

#[test]
fn every_test_of_an_invariant_is_there() {
    let page = fs::read_to_string(root().join("docs/invariants.md")).expect("the page");
    let names = page
        .split('`')
        .filter(|name| ["it::", "lib::", "gateway::"].iter().any(|it| name.starts_with(it)));
    // A file of tests is named as a whole where all of it proves the invariant.
    let is_file = |name: &str| {
        let path = name.replacen("it::", "crates/mcp-auth/tests/it/", 1);
        let path = path.replacen("lib::", "crates/mcp-auth/src/", 1).replace("::", "/");
        root().join(path + ".rs").exists()
    };
    let missing: Vec<_> = names
        .filter(|name| *name != "it::" && *name != "lib::")
        .filter(|name| !is_there(name) && !is_file(name))
        .collect();
    assert!(missing.is_empty(), "{missing:#?}");
    let rows = page.lines().filter(|line| line.starts_with("| ") && line.contains("::"));
    assert!(rows.count() >= 29);
}

//! Reads the sources of a crate, and checks the order of its modules. Other crates of this repository include this file.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// A source file: its path below `src`, its module, and its lines before its tests, without comments.
pub(crate) struct Source {
    pub(crate) path: String,
    pub(crate) module: Vec<String>,
    pub(crate) code: Vec<String>,
}

/// The sources of a crate, without tests.
pub(crate) fn sources(src: &Path) -> Vec<Source> {
    let mut found = Vec::new();
    let mut folders = vec![src.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder").flatten() {
            if entry.path().is_dir() {
                folders.push(entry.path());
            } else {
                found.push(read(src, entry.path()));
            }
        }
    }
    found.retain(|source| {
        let is_tests = |part: &str| ["tests", "tests.rs", "randomized_tests.rs"].contains(&part);
        !source.path.split('/').any(is_tests)
    });
    assert!(!found.is_empty(), "{}", src.display());
    found
}

fn read(src: &Path, file: PathBuf) -> Source {
    let path = file.strip_prefix(src).expect("below src").to_string_lossy().replace('\\', "/");
    let module = path.trim_end_matches(".rs").split('/');
    let module = module.filter(|part| !["lib", "mod"].contains(part)).map(str::to_owned).collect();
    let text = fs::read_to_string(&file).expect("a source");
    let code = text.lines().take_while(|line| *line != "#[cfg(test)]");
    let code = code.filter(|line| !line.trim_start().starts_with("//")).map(str::to_owned);
    Source { module, code: code.collect(), path }
}

/// The modules that each module declares, in order.
pub(crate) fn declared(src: &Path) -> BTreeMap<Vec<String>, Vec<String>> {
    let declared = |line: &String| {
        let line = line.trim_start_matches("pub ").trim_start_matches("pub(crate) ");
        line.strip_prefix("mod ").and_then(|rest| rest.strip_suffix(';')).map(str::to_owned)
    };
    let of = |source: Source| (source.module, source.code.iter().filter_map(declared).collect());
    sources(src).into_iter().map(of).collect()
}

/// The paths below `crate::` that a text names, with every `{..}` expanded.
fn crate_paths(text: &str) -> Vec<Vec<String>> {
    let mut paths = Vec::new();
    for rest in text.split("crate::").skip(1) {
        expand(rest, &mut Vec::new(), &mut paths);
    }
    paths
}

/// Reads one path, or the list in braces at its end. Returns what follows.
fn expand<'t>(text: &'t str, before: &mut Vec<String>, paths: &mut Vec<Vec<String>>) -> &'t str {
    let depth = before.len();
    let mut rest = text;
    loop {
        if let Some(mut list) = rest.strip_prefix('{') {
            while !list.starts_with('}') {
                list = expand(list.trim_start(), before, paths);
                list = list.trim_start().trim_start_matches(',').trim_start();
            }
            rest = &list[1..];
            break;
        }
        let is_name = |c: char| c.is_alphanumeric() || c == '_';
        let (name, after) = rest.split_at(rest.find(|c| !is_name(c)).unwrap_or(rest.len()));
        before.push(name.to_owned());
        match after.strip_prefix("::") {
            Some(more) if more.starts_with(|c| is_name(c) || c == '{') => rest = more,
            _ => {
                paths.push(before.clone());
                // `as` gives another name to the same thing.
                rest = after
                    .trim_start()
                    .strip_prefix("as ")
                    .map_or(after, |alias| alias.trim_start_matches(is_name));
                break;
            }
        }
    }
    before.truncate(depth);
    rest
}

/// Each module uses only those above it, in the order of `lib.rs` and of each `mod.rs`.
pub(crate) fn check_order(src: &Path) {
    let declared = declared(src);
    for source in sources(src).iter().filter(|source| source.path != "lib.rs") {
        for line in source.code.iter().filter(|line| !line.contains("pub(in super")) {
            let is_used = line.replace("pub(super)", "").contains("super::");
            assert!(!is_used, "{}: `{line}`: name it from `crate` on", source.path);
        }
        let code = source.code.join("\n");
        assert!(!code.contains("use crate as"), "{}", source.path);
        for path in crate_paths(&code) {
            // The part of the path that consists of modules.
            let mut used: Vec<String> = Vec::new();
            for name in path {
                if !declared.get(&used).is_some_and(|modules| modules.contains(&name)) {
                    break;
                }
                used.push(name);
            }
            assert!(!used.is_empty(), "{}: a name of the crate's root", source.path);
            let own = &source.module;
            let common = own.iter().zip(&used).take_while(|(one, other)| one == other).count();
            let Some(used_name) = used.get(common) else {
                assert!(own.len() <= common, "{} uses the module it is in, {used:?}", source.path);
                continue;
            };
            let Some(own_name) = own.get(common) else { continue }; // a submodule of its own
            let order = &declared[&own[..common]];
            let place = |name: &String| order.iter().position(|module| module == name);
            assert!(
                place(used_name) < place(own_name),
                "{} uses {used:?}, which is declared below {own_name}",
                source.path
            );
        }
    }
}

/// Nothing unwraps or panics.
pub(crate) fn check_no_panics(src: &Path) {
    for source in sources(src) {
        for line in source.code.iter().filter(|line| !line.contains("const {")) {
            for word in [
                ".unwrap()",
                ".expect(",
                "panic!(",
                "unreachable!(",
                "todo!(",
                "assert!(",
                "assert_eq!(",
                "json!(", // it unwraps what it cannot serialize, such as the number 1e999
            ] {
                assert!(!line.contains(word), "{}: `{line}`", source.path);
            }
        }
    }
}

#[test]
fn crate_paths_are_parsed() {
    for (text, expected) in [
        ("use crate::a;", &["a"][..]),
        ("use crate::a::b::C;", &["a::b::C"]),
        (
            "use crate::a::{b, c::{self, D as E}, f::G};",
            &["a::b", "a::c::self", "a::c::D", "a::f::G"],
        ),
        ("crate::a::b(x)?; crate::c::d::<E>()", &["a::b", "c::d"]),
    ] {
        let found: Vec<_> = crate_paths(text).iter().map(|path| path.join("::")).collect();
        assert_eq!(found, expected, "{text}");
    }
}

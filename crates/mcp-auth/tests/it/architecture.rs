//! The invariants of ARCHITECTURE.md that can be read off the source.

use std::fs;
use std::path::{Path, PathBuf};

/// A source file: its path below `src`, its module, and its lines before its tests.
struct Source {
    path: String,
    module: String,
    code: Vec<String>,
}

fn sources() -> Vec<Source> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    let mut folders = vec![src.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder").flatten() {
            if entry.path().is_dir() {
                folders.push(entry.path());
            } else {
                found.push(read(&src, entry.path()));
            }
        }
    }
    found.retain(|source| !source.path.contains("/tests"));
    assert!(found.len() > 30, "the sources were found");
    found
}

fn read(src: &Path, file: PathBuf) -> Source {
    let path = file.strip_prefix(src).expect("below src").to_string_lossy().replace('\\', "/");
    let module = path.split(['/', '.']).next().unwrap_or_default();
    // Files of twins have names of their own: `meter_disabled.rs` is the module `meter`.
    let module =
        module.strip_suffix("_disabled").or(module.strip_suffix("_named")).unwrap_or(module);
    let text = fs::read_to_string(&file).expect("a source");
    let code = text.lines().take_while(|line| *line != "#[cfg(test)]");
    let code = code.filter(|line| !line.trim_start().starts_with("//")).map(str::to_owned);
    Source { module: module.to_owned(), code: code.collect(), path }
}

/// The modules in the order of `lib.rs`, each once.
fn modules() -> Vec<String> {
    let lib = sources().into_iter().find(|source| source.path == "lib.rs").expect("lib.rs");
    let mut modules: Vec<String> = Vec::new();
    for line in &lib.code {
        let line = line.strip_prefix("pub ").unwrap_or(line);
        let module = line.strip_prefix("mod ").and_then(|rest| rest.strip_suffix(';'));
        modules.extend(module.map(str::to_owned));
    }
    modules.dedup();
    modules
}

#[test]
fn modules_use_only_modules_above_them() {
    let modules = modules();
    let place = |module: &str| modules.iter().position(|one| one == module);
    for source in sources().iter().filter(|source| source.path != "lib.rs") {
        let own = place(&source.module).unwrap_or_else(|| panic!("{} is in lib.rs", source.path));
        for line in &source.code {
            for used in line.split("crate::").skip(1) {
                let used = used
                    .split(|c: char| !c.is_alphanumeric() && c != '_')
                    .next()
                    .unwrap_or_default();
                let Some(used_place) = place(used) else { continue };
                assert!(used_place <= own, "{}: `{line}` uses a module below it", source.path);
            }
        }
    }
}

#[test]
fn what_stands_above_the_clock_neither_waits_nor_looks_at_it() {
    let modules = modules();
    let above: Vec<_> = modules.iter().take_while(|module| *module != "clock").collect();
    assert!(above.len() > 5);
    for source in sources().iter().filter(|source| above.contains(&&source.module)) {
        for line in &source.code {
            for word in
                ["async ", ".await", "SystemTime::now", "Instant::now", "tokio::", "reqwest::"]
            {
                assert!(!line.contains(word), "{}: `{line}`", source.path);
            }
        }
    }
}

#[test]
fn each_foreign_world_has_one_door() {
    let doors = [
        // What others sign is verified in the one, what is ours is sealed in the other.
        ("aws_lc_rs", &["jwt/signature.rs", "seal.rs"][..]),
        ("reqwest::", &["fetch/http_client.rs"]),
        ("axum::", &["axum.rs", "axum/served.rs"]),
        ("rmcp::", &["axum/served.rs", "rmcp.rs", "rmcp/declared.rs"]),
        ("metrics::", &["meter.rs"]),
        ("quick_cache", &["memory.rs"]),
        ("AuthInfo::admitted(", &["policy.rs"]),
        ("pub(crate) fn admitted(", &["token.rs"]),
        ("extensions.insert(caller)", &["tower.rs"]),
    ];
    for (word, doors) in doors {
        let mut users: Vec<_> = sources()
            .into_iter()
            .filter(|source| source.path != "lib.rs") // names modules of the same names
            .filter(|source| source.code.iter().any(|line| line.contains(word)))
            .map(|source| source.path)
            .collect();
        users.sort();
        assert_eq!(users, doors, "`{word}`");
    }
}

#[test]
fn features_choose_modules_and_never_lines() {
    for source in sources() {
        let mut lines = source.code.iter().map(|line| line.trim());
        while let Some(line) = lines.next() {
            if line.starts_with("#[cfg(") {
                let next = lines.by_ref().find(|line| !line.starts_with("#["));
                let chosen = next.unwrap_or_default();
                let is_fine = ["mod ", "use "].iter().any(|word| {
                    chosen
                        .trim_start_matches("pub ")
                        .trim_start_matches("pub(crate) ")
                        .starts_with(word)
                });
                assert!(is_fine, "{}: `{line}` stands on `{chosen}`", source.path);
            }
        }
    }
}

#[test]
fn nothing_foreign_is_unwrapped() {
    for source in sources() {
        for line in &source.code {
            for word in [".unwrap()", ".expect(", "panic!(", "unreachable!("] {
                assert!(!line.contains(word), "{}: `{line}`", source.path);
            }
        }
    }
}

#[test]
fn tokens_are_remembered_by_their_fingerprints_only() {
    let code = |path: &str| {
        let source = sources().into_iter().find(|one| one.path == path);
        source.unwrap_or_else(|| panic!("{path}")).code
    };
    let types_in = |path: &str, name: &str| -> Vec<String> {
        let code = code(path);
        let start = code.iter().position(|line| line.starts_with(name)).expect(name);
        let fields = code.iter().skip(start + 1).take_while(|line| *line != "}");
        fields.filter_map(|line| Some(line.split_once(": ")?.1.to_owned())).collect()
    };
    let memory = types_in("memory.rs", "pub(crate) struct Memory<V>");
    assert_eq!(memory, ["Cache<Fingerprint, Entry<V>, BySize, RandomState>,", "Duration,"]);
    assert_eq!(types_in("memory.rs", "struct Entry<V>"), ["V,", "u64,"]);
    let jwts = types_in("verifier/jwt_verifier.rs", "pub(super) struct Remembered");
    assert_eq!(jwts, ["VerifiedToken,", "Arc<Footing>,"]);
    let footing = types_in("authorization_server/live.rs", "pub(crate) struct Footing");
    assert_eq!(footing, ["Arc<Key>,", "Option<Introspector>,"]);
    let asked = types_in("introspection/introspector.rs", "struct Shared");
    assert_eq!(asked[3..5], ["Memory<Answered>,", "Memory<Denial>,"]);
    let answered = types_in("introspection/introspector.rs", "pub(crate) struct Answered");
    assert_eq!(answered, ["VerifiedToken,", "bool,"]);
    let token = sources().into_iter().find(|one| one.path == "token.rs").expect("token.rs");
    let facts = token.code.iter().skip_while(|line| !line.contains("struct Facts"));
    let facts: String = facts.take_while(|line| *line != "}").cloned().collect();
    assert!(!facts.contains("AccessToken"), "{facts}");
}

/// Whoever saw two fingerprints could make a third.
#[test]
fn fingerprints_are_compared_and_looked_up_only() {
    let is_about =
        |line: &str| line.split(|c: char| !c.is_alphanumeric()).any(|word| word == "Fingerprint");
    let (mut traits, mut maps) = (vec![], vec![]);
    for source in sources() {
        for line in source.code.iter().map(|line| line.trim()).filter(|line| is_about(line)) {
            if line.starts_with("impl") {
                traits.push(line.to_owned());
            }
            if ["Map<", "Set<", "Cache<"].iter().any(|map| line.contains(map)) {
                maps.push(line.to_owned());
            }
        }
        if source.path == "jwt/fingerprint.rs" {
            let code = source.code.join("\n");
            assert!(code.contains("#[derive(Clone, Copy, PartialEq, Eq)]\npub(crate) struct"));
            assert_eq!(code.matches("self.0").count(), 1, "for the hash of a map alone");
        }
    }
    traits.sort();
    assert_eq!(
        traits,
        [
            "impl From<[u8; 16]> for Fingerprint {",
            "impl Hash for Fingerprint {",
            "impl<V: Weigh> Weighter<Fingerprint, Entry<V>> for BySize {",
        ]
    );
    maps.sort();
    assert_eq!(
        maps,
        [
            "entries: Cache<Fingerprint, Entry<V>, BySize, RandomState>,",
            "under_way: HashMap<Fingerprint, watch::Receiver<Option<Outcome>>>,",
        ]
    );
}

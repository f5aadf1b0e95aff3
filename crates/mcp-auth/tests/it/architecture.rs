//! The invariants of ARCHITECTURE.md that can be checked in the source code.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// A source file: its path below `src`, its module, and its lines before its tests, without comments.
struct Source {
    path: String,
    module: Vec<String>,
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
    found.retain(|source| {
        let is_tests = |part: &str| ["tests", "tests.rs", "randomized_tests.rs"].contains(&part);
        !source.path.split('/').any(is_tests)
    });
    assert!(found.len() > 100, "the sources were found");
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
fn declared() -> BTreeMap<Vec<String>, Vec<String>> {
    let declared = |line: &String| {
        let line = line.trim_start_matches("pub ").trim_start_matches("pub(crate) ");
        line.strip_prefix("mod ").and_then(|rest| rest.strip_suffix(';')).map(str::to_owned)
    };
    let of = |source: Source| (source.module, source.code.iter().filter_map(declared).collect());
    sources().into_iter().map(of).collect()
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

#[test]
fn there_are_at_most_eight_folders_and_each_is_documented_in_lib() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let entries = fs::read_dir(&src).expect("src").flatten();
    let names: BTreeSet<String> =
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    let folders = declared().remove(&Vec::new()).expect("lib.rs");
    assert!(folders.len() <= 8, "{folders:?}");
    assert_eq!(names, folders.iter().cloned().chain(["lib.rs".to_owned()]).collect());
    let text = fs::read_to_string(src.join("lib.rs")).expect("lib.rs");
    let lines: Vec<_> = text.lines().collect();
    for folder in folders {
        let place = lines.iter().position(|line| *line == format!("mod {folder};"));
        let sentence = lines[place.expect(&folder) - 1];
        assert!(sentence.starts_with("/// ") && sentence.ends_with('.'), "{folder}: {sentence}");
    }
}

#[test]
fn a_module_uses_only_modules_above_it() {
    let declared = declared();
    for source in sources().iter().filter(|source| source.path != "lib.rs") {
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

#[test]
fn pure_folders_are_not_async_and_read_no_clock() {
    let folders = declared().remove(&Vec::new()).expect("lib.rs");
    let pure: Vec<_> = folders.iter().take_while(|folder| *folder != "net").collect();
    assert_eq!(pure, ["util", "model", "policy", "verify"]);
    for source in
        sources().iter().filter(|source| source.module.first().is_some_and(|it| pure.contains(&it)))
    {
        for line in &source.code {
            for word in [
                "async ",
                ".await",
                "SystemTime::now",
                "Instant::now",
                "tokio::",
                "reqwest::",
                "fs::",
                "env::",
                "thread::",
                "use std::{",
                "std::net::Tcp",
                ".elapsed()",
            ] {
                assert!(!line.contains(word), "{}: `{line}`", source.path);
            }
        }
    }
}

#[test]
fn each_external_crate_is_used_in_one_place() {
    let places = [
        ("aws_lc_rs", &["verify/jwt/crypto.rs"][..]),
        ("reqwest::", &["net/fetch/http_client.rs"]),
        (
            "axum::",
            &[
                "integrations/axum/connection_info.rs",
                "integrations/axum/extractors.rs",
                "integrations/axum/mcp_service.rs",
                "integrations/axum/routes.rs",
            ],
        ),
        (
            "rmcp::",
            &[
                "integrations/axum/mcp_service.rs",
                "integrations/rmcp/caller.rs",
                "integrations/rmcp/declared_scopes.rs",
                "integrations/rmcp/extractors.rs",
            ],
        ),
        ("metrics::counter", &["net/metrics.rs"]),
        ("metrics::gauge", &["net/metrics.rs"]),
        ("metrics::histogram", &[]),
        ("quick_cache", &["issuer/token_cache.rs", "verify/claimed_sessions.rs"]),
        ("AuthInfo::admitted(", &["policy/authorization.rs"]),
        ("AuthInfo as", &[]),
        ("pub(crate) fn admitted(", &["model/auth_info.rs"]),
        ("doc(hidden)", &["integrations/missing_features.rs"]), // not in the list of the public API
        ("extensions.insert(caller)", &["integrations/tower/bearer_auth.rs"]),
    ];
    for (word, places) in places {
        let names = |line: &String| {
            line.replace("integrations::axum::", "")
                .replace("integrations::rmcp::", "")
                .contains(word)
        };
        let mut users: Vec<_> = sources()
            .into_iter()
            .filter(|source| source.path != "lib.rs") // declares modules of the same names
            .filter(|source| source.code.iter().any(names))
            .map(|source| source.path)
            .collect();
        users.sort();
        assert_eq!(users, places, "`{word}`");
    }
}

#[test]
fn features_choose_modules_and_never_lines() {
    for source in sources() {
        for line in source.code.iter().filter(|_| source.path != "lib.rs") {
            for word in ["#[path", "#![cfg", "cfg!(", "cfg_attr"] {
                assert!(!line.contains(word), "{}: `{line}`", source.path);
            }
        }
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
fn the_library_never_unwraps_or_panics() {
    for source in sources() {
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
fn tokens_are_cached_by_their_hashes_only() {
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
    let cache = types_in("issuer/token_cache.rs", "pub(crate) struct TokenCache<V>");
    assert_eq!(cache, ["Cache<TokenHash, Entry<V>, BySize, RandomState>,", "Duration,"]);
    assert_eq!(types_in("issuer/token_cache.rs", "struct Entry<V>"), ["V,", "u64,"]);
    let jwts = types_in("issuer/jwt_verifier.rs", "pub(super) struct CachedJwt");
    assert_eq!(jwts, ["VerifiedToken,", "Arc<VerifiedBy>,"]);
    let remote = "issuer/authorization_server/remote.rs";
    let verified_by = types_in(remote, "pub(crate) struct VerifiedBy");
    assert_eq!(verified_by, ["Arc<Key>,", "Option<Introspector>,"]);
    let introspector = "issuer/introspection/introspector.rs";
    let shared = types_in(introspector, "struct Shared");
    assert_eq!(shared[3..5], ["TokenCache<ActiveToken>,", "TokenCache<Denial>,"]);
    let active = types_in(introspector, "pub(crate) struct ActiveToken");
    assert_eq!(active, ["VerifiedToken,", "bool,"]);
    let data = types_in("model/verified_token.rs", "pub(crate) struct TokenData");
    assert!(!data.concat().contains("AccessToken"), "{data:?}");
}

/// An attacker who sees two hashes could compute a third.
#[test]
fn token_hashes_are_compared_and_looked_up_only() {
    let is_about =
        |line: &str| line.split(|c: char| !c.is_alphanumeric()).any(|word| word == "TokenHash");
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
        if source.path == "verify/jwt/token_hash.rs" {
            let code = source.code.join("\n");
            assert!(code.contains("#[derive(Clone, Copy, PartialEq, Eq)]\npub(crate) struct"));
            assert_eq!(code.matches("self.0").count(), 1, "for the hash of a map alone");
        }
    }
    traits.sort();
    assert_eq!(
        traits,
        [
            "impl From<[u8; 16]> for TokenHash {",
            "impl Hash for TokenHash {",
            "impl<V: CacheWeight> Weighter<TokenHash, Entry<V>> for BySize {",
        ]
    );
    maps.sort();
    assert_eq!(
        maps,
        [
            "entries: Cache<TokenHash, Entry<V>, BySize, RandomState>,",
            "in_flight: HashMap<TokenHash, InFlight>,",
            "in_flight: HashMap<TokenHash, watch::Receiver<Option<Outcome>>>,",
        ]
    );
}

//! The invariants of ARCHITECTURE.md that can be checked in the source code.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::modules::{self, Source};

fn src() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

fn sources() -> Vec<Source> {
    let found = modules::sources(&src());
    assert!(found.len() > 100, "the sources were found");
    found
}

#[test]
fn a_module_uses_only_modules_above_it() {
    modules::check_order(&src());
}

#[test]
fn the_library_never_unwraps_or_panics() {
    modules::check_no_panics(&src());
}

#[test]
fn there_are_at_most_eight_folders_and_each_is_documented_in_lib() {
    let src = src();
    let entries = fs::read_dir(&src).expect("src").flatten();
    let names: BTreeSet<String> =
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    let folders = modules::declared(&src).remove(&Vec::new()).expect("lib.rs");
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
fn pure_folders_are_not_async_and_read_no_clock() {
    let folders = modules::declared(&src()).remove(&Vec::new()).expect("lib.rs");
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
                "integrations/axum/unknown_paths.rs",
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
        ("quick_cache", &["issuer/token_cache.rs", "resource/claimed_sessions.rs"]),
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

//! The rules of structure, for the gateway, its configuration, and what it shares.

use std::fs;
use std::path::{Path, PathBuf};

#[path = "../../../mcp-auth/tests/it/modules.rs"]
mod modules;

fn crates() -> [PathBuf; 3] {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    ["src", "../mcp-auth-config/src", "../mcp-auth-redis/src"].map(|src| own.join(src))
}

#[test]
fn a_module_uses_only_modules_above_it() {
    for src in crates() {
        assert!(modules::sources(&src).len() > 5, "{}", src.display());
        modules::check_order(&src);
    }
}

#[test]
fn nothing_unwraps_or_panics() {
    for src in crates() {
        modules::check_no_panics(&src);
    }
}

#[test]
fn files_are_short() {
    for src in crates() {
        for source in modules::sources(&src) {
            let text = fs::read_to_string(src.join(&source.path)).expect("a source");
            let lines = text.lines().count();
            assert!(lines <= 330, "{} has {lines} lines: divide it", source.path);
        }
    }
}

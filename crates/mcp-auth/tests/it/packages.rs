//! What a registry shows of the crates: their READMEs and licences.

use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

#[test]
fn the_readmes_have_no_relative_links() {
    // The first one is also that of the library's package.
    let crates = [
        "mcp-auth-cli",
        "mcp-auth-config",
        "mcp-auth-gateway",
        "mcp-auth-redis",
        "mcp-auth-testkit",
    ];
    let pages = crates.map(|name| format!("crates/{name}/README.md"));
    let pages = pages.iter().map(String::as_str).chain(["README.md"]);
    for page in pages {
        let text = fs::read_to_string(root().join(page)).expect(page);
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            assert!(link.starts_with("https://") || link.starts_with('#'), "{page}: {link}");
        }
    }
}

#[test]
fn the_links_of_the_readme_into_the_repository_lead_somewhere() {
    let text = fs::read_to_string(root().join("README.md")).expect("the README");
    let links: Vec<_> = text.split("](https://github.com/mcp-auth/rust/").skip(1).collect();
    assert!(links.len() > 10);
    for link in links.iter().filter_map(|rest| rest.split([')', '#']).next()) {
        let path = link.trim_start_matches("blob/main/").trim_start_matches("tree/main/");
        assert!(root().join(path).exists(), "{link}");
    }
}

#[test]
fn each_crate_has_its_licences() {
    for name in [
        "mcp-auth",
        "mcp-auth-cli",
        "mcp-auth-config",
        "mcp-auth-gateway",
        "mcp-auth-redis",
        "mcp-auth-testkit",
    ] {
        for licence in ["LICENSE-MIT", "LICENSE-APACHE"] {
            let file = root().join("crates").join(name).join(licence);
            let text = fs::read_to_string(&file).expect("a licence");
            assert_eq!(text, fs::read_to_string(root().join(licence)).expect(licence), "{file:?}");
        }
    }
}

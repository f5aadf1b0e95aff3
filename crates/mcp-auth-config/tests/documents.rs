//! The configurations in the guide and in the examples are read without errors.

use std::fs;
use std::path::{Path, PathBuf};

use mcp_auth_config::Config;

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn text(path: &str) -> String {
    let path = repository().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn each_configuration_in_the_guide_is_read() {
    let mut read = 0;
    for entry in fs::read_dir(repository().join("docs/guide")).expect("a folder") {
        let path = entry.expect("a file").path();
        if path.extension().is_none_or(|extension| extension != "md") {
            continue;
        }
        let page = fs::read_to_string(&path).expect("a page");
        for block in page.split("```toml\n").skip(1) {
            let block = block.split("```").next().unwrap_or_default();
            if block.contains("[[resources]]") {
                let config = Config::from_toml(block);
                config.unwrap_or_else(|error| panic!("{}: {error}\n{block}", path.display()));
                read += 1;
            }
        }
    }
    assert!(read >= 2, "{read}");
}

#[test]
fn each_configuration_in_the_examples_is_valid() {
    let example = text("examples/gateway/gateway.toml");
    let kubernetes = text("examples/gateway/kubernetes.yaml");
    let block = kubernetes.split("gateway.toml: |\n").nth(1).expect("a configuration");
    let lines = block.lines().take_while(|line| line.is_empty() || line.starts_with("    "));
    let in_pod = lines.map(str::trim_start).collect::<Vec<_>>().join("\n");
    let asked = text("examples/gateway/gateway-forward-auth.toml");
    for file in [example, asked, in_pod] {
        let config = Config::from_toml(&file).unwrap_or_else(|error| panic!("{error}\n{file}"));
        let mut config = config;
        // Their secrets are not here.
        config.resources.iter_mut().for_each(|resource| resource.session_keys.clear());
        let resources = config.protected_resources();
        resources.unwrap_or_else(|error| panic!("{error}\n{file}"));
    }
}

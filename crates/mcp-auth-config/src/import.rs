//! The stdio servers that another MCP client has configured: `.mcp.json`, `claude_desktop_config.json`,
//! `.cursor/mcp.json` (`mcpServers`), `.vscode/mcp.json` (`servers`).

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::error::Error;
use crate::stdio::{EnvValue, Template};

/// A server of such a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportedServer {
    /// Its name.
    pub name: String,
    /// The program, and its arguments.
    pub command: Vec<String>,
    /// What its environment has in addition.
    pub env: BTreeMap<String, EnvValue>,
}

/// Such a file. Clients have further keys in it, which are for them.
#[derive(Deserialize)]
struct McpJson {
    #[serde(default, rename = "mcpServers", alias = "servers")]
    servers: BTreeMap<String, Server>,
}

#[derive(Deserialize)]
struct Server {
    command: Option<String>,
    #[serde(default)]
    args: Vec<String>,
    #[serde(default)]
    env: BTreeMap<String, String>,
}

/// Reads the stdio servers of such a file, in the order of their names. Those that are reached over HTTP are left out:
/// they have an authorization of their own. `${NAME}` and `${NAME:-default}` are replaced by `variable`.
///
/// # Errors
///
/// If it is not such a file, has no stdio server, or has a name or a variable that cannot be used, with the server's name.
///
/// ```
/// let file = r#"{"mcpServers":{"files":{"command":"npx","args":["-y","server-files","${DIR:-.}"]}}}"#;
/// let servers = mcp_auth_config::import_mcp_json(file, |_| None)?;
/// assert_eq!(servers[0].command, ["npx", "-y", "server-files", "."]);
/// # Ok::<(), mcp_auth_config::Error>(())
/// ```
pub fn import_mcp_json(
    text: &str,
    variable: impl Fn(&str) -> Option<String>,
) -> Result<Vec<ImportedServer>, Error> {
    let file: McpJson = serde_json::from_str(text).map_err(|error| Error::in_json(&error))?;
    let mut servers = Vec::new();
    for (name, server) in file.servers {
        let Some(command) = &server.command else { continue };
        let import = || {
            // The name becomes a part of a URL.
            let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
            if !name.chars().all(is_plain) || name.trim_matches('.').is_empty() {
                return Err(Error::new(
                    "the name becomes a part of the URL: letters, digits, `-`, `_` and `.`",
                ));
            }
            let words = [command].into_iter().chain(&server.args);
            let command = words.map(|word| expanded(word, &variable)).collect::<Result<_, _>>()?;
            let env = server.env.iter().map(|(key, value)| {
                let value = Template::text(expanded(value, &variable)?);
                Ok((key.clone(), EnvValue::Template(value)))
            });
            let env = env.collect::<Result<_, Error>>()?;
            Ok(ImportedServer { name: name.clone(), command, env })
        };
        servers.push(import().map_err(|error: Error| Error::of("server", &name, error))?);
    }
    if servers.is_empty() {
        return Err(Error::new("there is no server with a `command` in `mcpServers` or `servers`"));
    }
    Ok(servers)
}

/// A text with its variables.
fn expanded(text: &str, variable: impl Fn(&str) -> Option<String>) -> Result<String, Error> {
    let (mut expanded, mut rest) = (String::new(), text);
    while let Some((before, after)) = rest.split_once("${") {
        let (inside, after) = after.split_once('}').ok_or_else(|| Error::new("`${` has no `}`"))?;
        let (name, default) = match inside.split_once(":-") {
            Some((name, default)) => (name, Some(default.to_owned())),
            None => (inside, None),
        };
        let value = variable(name).or(default).ok_or_else(|| {
            Error::new(format!("`${{{inside}}}`: this environment variable is not set"))
        })?;
        expanded = expanded + before + &value;
        rest = after;
    }
    Ok(expanded + rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_of_other_clients_are_read() {
        let file = r#"{
            "inputs": [],
            "mcpServers": {
                "notes": {"type": "stdio", "command": "${BIN}/notes", "env": {"KEY": "{${KEY:-none}}", "OTHER": "env:HOME"}},
                "files": {"command": "npx", "args": ["-y", "files", "${DIR:-.}"], "disabled": false},
                "remote": {"type": "http", "url": "https://mcp.example.com"}
            }
        }"#;
        let variable = |name: &str| (name == "BIN").then(|| "/opt".to_owned());
        let text = |text: &str| EnvValue::Template(Template::text(text));
        let server = |name: &str, command: &[&str], env: &[(&str, &str)]| ImportedServer {
            name: name.into(),
            command: command.iter().copied().map(str::to_owned).collect(),
            env: env.iter().map(|(name, value)| ((*name).to_owned(), text(value))).collect(),
        };
        let expected = [
            server("files", &["npx", "-y", "files", "."], &[]),
            server("notes", &["/opt/notes"], &[("KEY", "{none}"), ("OTHER", "env:HOME")]),
        ];
        assert_eq!(import_mcp_json(file, variable).as_deref(), Ok(&expected[..]));
        let vs_code = r#"{"servers":{"a":{"command":"a"}}}"#;
        assert_eq!(
            import_mcp_json(vs_code, variable).as_deref(),
            Ok(&[server("a", &["a"], &[])][..])
        );
    }

    #[test]
    fn what_cannot_be_imported_is_named() {
        for (file, expected) in [
            ("{", "line 1"),
            ("{}", "there is no server with a `command`"),
            (
                r#"{"mcpServers":{"a":{"url":"https://a.example"}}}"#,
                "there is no server with a `command`",
            ),
            (
                r#"{"mcpServers":{"a/b":{"command":"a"}}}"#,
                "server \"a/b\": the name becomes a part of the URL",
            ),
            (
                r#"{"mcpServers":{"..":{"command":"a"}}}"#,
                "server \"..\": the name becomes a part of the URL",
            ),
            (
                r#"{"mcpServers":{"a":{"command":"${X}"}}}"#,
                "server \"a\": `${X}`: this environment variable is not set",
            ),
            (
                r#"{"mcpServers":{"a":{"command":"a","args":["${X"]}}}"#,
                "server \"a\": `${` has no `}`",
            ),
        ] {
            let error = import_mcp_json(file, |_| None).expect_err(file).to_string();
            assert!(error.contains(expected), "{file}: {error}");
        }
    }
}

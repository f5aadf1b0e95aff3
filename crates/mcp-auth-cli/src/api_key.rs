//! `mcp-auth api-key`: keys for programs that cannot log in.

use mcp_auth::{ApiKeys, GeneratedKey};
use serde_json::{Map, Value};

/// Any error, for a program that can only print it.
type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Prints a new key, and its entry in the file of hashes (`api_keys_file`)
    New(New),
}

#[derive(clap::Args)]
pub(crate) struct New {
    /// Who gets the key: the subject of its requests
    name: String,

    /// The scopes that it grants, separated by spaces [default: none]
    #[arg(long, value_name = "SCOPES", default_value = "", value_parser = scopes)]
    scopes: String,

    /// When it expires: 2027-01-31T00:00:00Z [default: never]
    #[arg(long, value_name = "TIME", value_parser = time)]
    expires_at: Option<String>,
}

/// Scopes as they are in the file. A comma is a character of a scope, and hardly ever meant as one.
fn scopes(text: &str) -> std::result::Result<String, String> {
    match text.contains(',') {
        true => Err("scopes are separated by spaces, not by commas".into()),
        false => Ok(text.to_owned()),
    }
}

/// A time in the form that the file has.
fn time(text: &str) -> std::result::Result<String, String> {
    let form = "0000-00-00T00:00:00Z".chars();
    let is_form = |(char, form): (char, char)| match form {
        '0' => char.is_ascii_digit(),
        form => char == form,
    };
    let is_right = text.len() == form.clone().count() && text.chars().zip(form).all(is_form);
    is_right.then(|| text.to_owned()).ok_or_else(|| "write it like 2027-01-31T00:00:00Z".into())
}

pub(crate) fn run(command: Command) -> Result {
    let Command::New(new) = command;
    let GeneratedKey { key, digest, .. } = ApiKeys::generate()?;
    eprintln!("The key, for its owner. It is shown only now:");
    println!("{key}");
    eprintln!("\nIts entry in `keys` of the file: {{\"keys\": [ .. ]}}");
    println!("{}", entry(&new, digest));
    Ok(())
}

fn entry(new: &New, digest: String) -> Value {
    let scopes: Value = new.scopes.split_whitespace().collect();
    let mut entry = Map::new();
    entry.insert("name".into(), new.name.as_str().into());
    entry.insert("sha256".into(), digest.into());
    entry.insert("scopes".into(), scopes);
    if let Some(moment) = &new.expires_at {
        entry.insert("expires_at".into(), moment.as_str().into());
    }
    Value::Object(entry)
}

#[cfg(test)]
mod tests {
    use mcp_auth::McpAuth;

    use super::*;

    #[test]
    fn what_the_file_would_not_mean_is_refused() {
        assert!(scopes("files:read files:write").is_ok() && scopes("a,b").is_err());
        assert!(time("2027-01-31T00:00:00Z").is_ok());
        for wrong in ["2027-01-31", "2027-01-31T00:00:00", "2027-01-31 00:00:00Z", "tomorrow", ""] {
            assert!(time(wrong).is_err(), "{wrong}");
        }
    }

    #[tokio::test]
    async fn the_library_reads_the_printed_entry() {
        for (scopes, expires_at, is_right) in [
            ("", None, true),
            ("a  b", Some("2027-01-31T00:00:00Z"), true),
            ("a", Some("tomorrow"), false),
        ] {
            let new = New {
                name: "ci".into(),
                scopes: scopes.into(),
                expires_at: expires_at.map(str::to_owned),
            };
            let digest = ApiKeys::generate().expect("a key").digest;
            let file = std::env::temp_dir().join(format!("mcp-auth-new-{}", std::process::id()));
            let text = format!("{{\"keys\":[{}]}}", entry(&new, digest));
            std::fs::write(&file, text).expect("written");
            let auth = McpAuth::builder("https://api.example.com/mcp")
                .authorization_server(mcp_auth::AuthorizationServer::with_secret(
                    "https://a.example",
                    "s".repeat(32),
                ))
                .api_keys(ApiKeys::new().file(&file))
                .build()
                .expect("a description");
            assert_eq!(auth.warm_up().await.is_ok(), is_right, "{scopes} {expires_at:?}");
            std::fs::remove_file(file).expect("removed");
        }
    }
}

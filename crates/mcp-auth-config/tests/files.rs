//! Files as operators write them, and what they are told about mistakes.

use std::path::PathBuf;

use mcp_auth_config::{Config, Error, IssuerConfig, SecretSource};

const MINIMAL: &str = r#"
[issuers.login]
url = "https://login.example.com"

[[resources]]
url = "https://mcp.example.com/mcp"
"#;

fn error_of(file: &str) -> String {
    let built = Config::from_toml(file).and_then(|config| config.protected_resources());
    built.err().map(|error| error.to_string()).unwrap_or_default()
}

#[test]
fn a_file_with_every_key_of_a_resource_is_read() -> Result<(), Error> {
    let file = r#"
listen = "127.0.0.1:8080"
admin = "127.0.0.1:9090"
max_connections = 1000

[issuers.login]
url = "https://login.example.com"
audiences = ["api://mcp"]
advertise_as = "https://auth.example.com"
algorithms = ["ES256", "RS256"]
rfc9068 = true
metadata_url = "https://login.example.com/.well-known/openid-configuration"
jwks_max_age = "10m"
jwks_max_stale = "24h"
jwks_cooldown = 30
jwks_timeout = "5s"

[issuers.realm]
provider = "keycloak"
url = "https://sso.example.com"
realm = "mcp"

[issuers.directory]
provider = "entra"
tenant = "22222222-2222-2222-2222-222222222222"

[[resources]]
url = "https://mcp.example.com/files"
issuers = ["login", "realm"]
upstream = "http://127.0.0.1:3000/mcp"
scopes = ["files:read"]
initial_scopes = ["files:write"]
insufficient_scope_as_tool_error = true
insufficient_scope_hint = "Sign in again."
audiences = ["files"]
required = { claims = { tenant = "acme", group = ["a", "b"] }, clients = "agent", acr_values = ["gold"], max_age = "1h" }
optional = false
filter_lists = true
security_schemes = true
strict_challenges = true
streams_outlive_tokens = true
requested_as = { "files:read" = "api://mcp/files:read" }
requested_with_prefix = "api://mcp/"
allowed_origins = ["https://app.example.com"]
max_message_bytes = 1048576
leeway = "30s"
max_token_age = "8h"
cached_tokens = 100
dpop = "optional"
client_certificates = { header = "client-cert", proxies = ["10.0.0.0/8"] }
name = "Files"
documentation = "https://docs.example.com/files"
unknown_methods = "deny"

[resources.tools]
"delete_*" = ["files:write"]
admin = { any_of = ["root", "admin"] }
"*" = []

[resources.prompts]
"*" = "deny"

[resources.resources]
"file:///public/*" = []
"*" = { scopes = ["files:all"] }

[resources.methods]
"tasks/*" = ["files:tasks"]

[resources.implies]
"files:all" = ["files:read", "files:write"]

[[resources]]
url = "https://mcp.example.com/open"
"#;
    let auths = Config::from_toml(file)?.protected_resources()?;
    let issuers = |i: usize| -> Vec<_> {
        auths[i].authorization_servers().iter().map(|server| server.issuer().to_owned()).collect()
    };
    assert_eq!(issuers(0), ["https://login.example.com", "https://sso.example.com/realms/mcp"]);
    assert_eq!(issuers(1).len(), 3, "all that are described");
    assert!(auths[0].metadata_json().contains("\"resource_name\":\"Files\""));
    Ok(())
}

#[test]
fn json_has_the_same_keys() -> Result<(), Error> {
    let file = r#"{"issuers":{"login":{"url":"https://login.example.com"}},"resources":[{"url":"https://mcp.example.com/mcp"}]}"#;
    assert_eq!(Config::from_json(file)?.protected_resources()?.len(), 1);
    let error = Config::from_json("{\n  \"isuers\": {}\n}").expect_err("an unknown key");
    assert_eq!(
        error.to_string(),
        "line 2, column 10: unknown key `isuers`; did you mean `issuers`?"
    );
    Ok(())
}

#[test]
fn mistakes_are_named_with_what_to_change() {
    let minimal = |changed: &str, by: &str| MINIMAL.replace(changed, by);
    let rows = [
        ("", "there is no resource: add `[[resources]]` with `url` and `upstream`"),
        (
            &minimal("[[resources]]", "[[resources]]\nscope = [\"read\"]"),
            "line 6, column 1: unknown key `scope`; did you mean `scopes`?",
        ),
        (
            &minimal("url = \"https://login", "isuer = \"https://login"),
            "line 3, column 1: unknown key `isuer`; the keys here are: url, provider, ",
        ),
        (
            &minimal("[[resources]]", "[[resources]]\nissuers = [\"other\"]"),
            "resource \"https://mcp.example.com/mcp\": the issuer \"other\" is not described; described are: login",
        ),
        (
            &minimal("[[resources]]", "[[resources]]\ntools = { admin = [\"admin\"] }"),
            "resource \"https://mcp.example.com/mcp\": there are rules for tools, and none for the rest: add `\"*\" = []` (open to every admitted caller) or `\"*\" = \"deny\"`",
        ),
        (
            &minimal("[[resources]]", "[[resources]]\ntools = { admin = \"never\" }"),
            "line 6, column 19: a rule is a list of scopes, \"deny\", or a table with `scopes`, `any_of`, `claims`, `clients`, `acr_values` or `max_age`",
        ),
        (
            &minimal("[[resources]]", "[[resources]]\nleeway = \"soon\""),
            "line 6, column 10: a duration is a number of seconds, or a text like \"500ms\", \"30s\", \"5m\", \"1h\" or \"7d\"",
        ),
        (
            &minimal("[[resources]]", "[[resources]]\nsession_keys = [\"hunter2\"]"),
            "line 6, column 16: a secret is not written here: set `env:NAME` or `file:PATH`",
        ),
        (
            &minimal(
                "[[resources]]",
                "[[resources]]\ntools = { admin = { any_of = [] }, \"*\" = [] }",
            ),
            "resource \"https://mcp.example.com/mcp\": tools \"admin\": a rule has an empty table or list",
        ),
        (
            &minimal("[[resources]]", "[[resources]]\ntools = { admin = {}, \"*\" = [] }"),
            "resource \"https://mcp.example.com/mcp\": tools \"admin\": a rule has an empty table or list",
        ),
        (
            &minimal("[[resources]]", "[[resources]]\nrequired = { acr_values = [] }"),
            "resource \"https://mcp.example.com/mcp\": a rule has an empty table or list",
        ),
        (&format!("{MINIMAL}\n[[resources]]\nurl = \"https://MCP.example.com:443/mcp\"\n"), ""),
        (
            &minimal(
                "url = \"https://login.example.com\"",
                "url = \"https://login.example.com\"\nclients = [\"a\"]",
            ),
            "issuer \"login\": `clients` says something about a provider: set `provider` too",
        ),
        (
            &minimal(
                "url = \"https://login.example.com\"",
                "provider = \"auth0\"\ndomain = \"a.auth0.com\"\nkeys_file = \"k\"",
            ),
            "issuer \"login\": `keys_file` has no meaning for the provider \"auth0\"",
        ),
        (
            &minimal(
                "url = \"https://login.example.com\"",
                "provider = \"auth0\"\ndomain = \"a.auth0.com\"\nurl = \"https://b\"",
            ),
            "issuer \"login\": `url` has no meaning for the provider \"auth0\"",
        ),
        (
            &format!("{MINIMAL}\n[[resources]]\nurl = \"https://mcp.example.com/mcp\"\n"),
            "resource \"https://mcp.example.com/mcp\": it is there twice",
        ),
        (
            &minimal(
                "url = \"https://login.example.com\"",
                "provider = \"keycloak\"\nrealm = \"mcp\"",
            ),
            "issuer \"login\": the provider \"keycloak\" needs `url`: ",
        ),
        (
            &minimal("url = \"https://login.example.com\"", "realm = \"mcp\""),
            "issuer \"login\": `realm` says something about a provider: set `provider` too",
        ),
        (
            &minimal("url = \"https://login.example.com\"", ""),
            "issuer \"login\": set `url`, the issuer, or `provider`, one of those that are known by name",
        ),
        (
            &minimal(
                "[[resources]]",
                "keys_file = \"keys.json\"\nhmac_secret = \"env:X\"\n[[resources]]",
            ),
            "issuer \"login\": set only one of `metadata_url`, `keys_file` and `hmac_secret`",
        ),
        (
            &minimal("https://mcp.example.com/mcp", "mcp.example.com"),
            "resource \"mcp.example.com\": ",
        ),
    ];
    for (file, expected) in rows {
        let error = error_of(file);
        assert!(
            !error.is_empty() && error.starts_with(expected),
            "{file}\n{error}\nexpected: {expected}"
        );
    }
}

#[test]
fn a_provider_is_named_in_one_word() -> Result<(), Error> {
    for (text, issuer) in [
        ("keycloak:https://sso.example.com,mcp", "https://sso.example.com/realms/mcp"),
        (
            "entra:22222222-2222-2222-2222-222222222222",
            "https://login.microsoftonline.com/22222222-2222-2222-2222-222222222222/v2.0",
        ),
        ("auth0:acme.eu.auth0.com", "https://acme.eu.auth0.com/"),
    ] {
        assert_eq!(IssuerConfig::of_provider(text)?.to_server()?.issuer(), issuer, "{text}");
    }
    for (text, expected) in [
        ("nobody:x", "the provider \"nobody\" is not known; known are: "),
        ("keycloak:mcp", "the provider \"keycloak\" is set as `keycloak:url,realm`: "),
        ("entra", "the provider \"entra\" is set as `entra:tenant`: "),
    ] {
        let error = IssuerConfig::of_provider(text).err().map(|error| error.to_string());
        assert!(error.is_some_and(|error| error.starts_with(expected)), "{text}");
    }
    Ok(())
}

#[test]
fn a_secret_is_read_from_where_the_file_says() {
    for (text, source) in [
        ("env:KEY", Some(SecretSource::Env("KEY".into()))),
        ("file:/run/secrets/key", Some(SecretSource::File(PathBuf::from("/run/secrets/key")))),
        ("env:", None),
        ("hunter2", None),
        ("https://x", None),
    ] {
        assert_eq!(SecretSource::parse(text), source, "{text}");
    }
    let path = std::env::temp_dir().join(format!("mcp-auth-secret-{}", std::process::id()));
    std::fs::write(&path, "correct horse\r\n").expect("written");
    let source = SecretSource::File(path.clone());
    assert_eq!(source.read().as_deref(), Ok("correct horse"));
    std::fs::write(&path, "\n").expect("written");
    assert!(source.read().is_err_and(|error| error.to_string().ends_with("is empty")));
    std::fs::remove_file(&path).expect("removed");
    assert!(source.read().is_err_and(|error| error.to_string().contains("cannot be read")));
}

#[test]
fn the_schema_names_every_key() {
    let schema = serde_json::to_value(Config::schema()).expect("JSON");
    let keys = schema["$defs"]["ResourceConfig"]["properties"].as_object().expect("keys");
    assert!(keys.contains_key("upstream") && keys.contains_key("tools"), "{keys:?}");
    assert_eq!(schema["additionalProperties"], false);
}

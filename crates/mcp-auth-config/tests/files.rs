//! Files as operators write them, and what they are told about mistakes.

use std::path::PathBuf;

use mcp_auth_config::{Config, Error, IssuerConfig, SecretSource};

#[test]
fn a_file_with_every_key_of_a_resource_is_read() -> Result<(), Error> {
    let file = r#"
listen = "127.0.0.1:8080"
admin = "127.0.0.1:9090"
max_connections = 1000
max_buffered_bytes = 100000000
max_anonymous_buffered_bytes = 1000000
forwarded_host_from = ["10.0.7.0/24"]
revocations = { capacity = 1000, retention = "24h" }
drain = { pause = "5s", timeout = "30s" }
audit = { file = "audit.jsonl", caller = "email", arguments = ["path"], required = true }

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
typ = ["acme-access+jwt"]
required_claims = { token_use = "access", scp = true }
scope_claims = ["scp"]
internal_url = "https://login.internal:8443"
http = { proxy = "http://proxy.example.com:3128" }
dangerous_clients_instead_of_audience = ["cli"]

[issuers.compose]
url = "http://keycloak:8080/realms/mcp"
insecure_http_hosts = ["keycloak"]
bearer = "env:PATH"
headers = { "x-key" = "env:PATH" }

[issuers.compose.introspection]
client_id = "gateway"
secret = "env:PATH"
method = "post"
endpoint = "https://keycloak.example.com/introspect"
cache_for = "10s"
negative_cache_for = "5s"
cached_tokens = 10
max_in_flight = 4
timeout = "2s"

[issuers.tenants]
url = "https://login.example.org/{tenant}/v2.0"
metadata_url = "https://login.example.org/common/v2.0/.well-known/openid-configuration"
tenants = ["acme", "globex"]
tenant_claim = "tid"

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
aliases = ["https://files.example.org/mcp"]
metadata_url = "https://mcp.example.com/files/metadata"
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
dpop = { mode = "optional", nonces = true, replay_cache_capacity = 1000 }
security_events = { audiences = ["gateway"] }
event_polls = [{ url = "https://login.example.com/events", audiences = ["gateway"], bearer = "env:PATH", max_events = 10, timeout = "60s", interval = "5s" }]
serve_issuer_metadata = true
api_keys_file = "keys.toml"
api_keys_prefix = "acme_"
metadata = { resource_policy_uri = "https://docs.example.com/policy", "resource_name#de" = "Dateien" }
client_certificates = { header = "client-cert", proxies = ["10.0.0.0/8"] }
name = "Files"
limits = { address = "600/m", principal = "120/m", client = "5000/h", tools = { "search_*" = "10/m" } }
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

[[resources]]
url = "https://mcp.example.com/stdio"
command = ["npx", "-y", "server"]
process = "principal"
env = { USER_ID = "{sub}", TEAM = "<{team}>", REGION = "eu" }
max_processes = 10
max_processes_per_principal = 2
process_idle_timeout = "5m"
"#;
    let config = Config::from_toml(file)?;
    let auths = config.protected_resources()?;
    let issuers = |i: usize| -> Vec<_> {
        auths[i].authorization_servers().iter().map(|server| server.issuer().to_owned()).collect()
    };
    assert_eq!(issuers(0), ["https://login.example.com", "https://sso.example.com/realms/mcp"]);
    assert_eq!(issuers(1).len(), 5, "all that are described");
    for member in
        ["\"resource_name\":\"Files\"", "\"resource_name#de\":\"Dateien\"", "resource_policy_uri"]
    {
        assert!(auths[0].metadata_json().contains(member), "{member}");
    }
    assert_eq!(auths[0].metadata_url(), "https://mcp.example.com/files/metadata");
    config.resources[0].event_polls[0].to_poll()?;

    // What is printed is the same configuration.
    let printed = config.to_toml()?;
    let again = Config::from_toml(&printed)?;
    assert_eq!(again.to_toml()?, printed);
    assert_eq!(again.protected_resources()?.len(), 3);
    for line in [
        "bearer = \"env:PATH\"",
        "\"*\" = []",
        "leeway = \"30s\"",
        "unknown_methods = \"deny\"",
        "REGION = \"(not shown)\"",
        "USER_ID = \"{sub}\"",
    ] {
        assert!(printed.contains(line), "{line}: {printed}");
    }
    assert!(
        !printed.contains("admin = false")
            && !printed.contains("optional = false")
            && !printed.contains("also_jwts"),
        "{printed}"
    );
    let path = std::env::var("PATH").expect("a path");
    assert!(!printed.contains(&path), "a secret is printed");
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

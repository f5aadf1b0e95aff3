//! Every option of the library has a key in the file, or a reason why only code can say it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use mcp_auth::Provider;
use mcp_auth_config::{Config, IssuerConfig};

/// A method of the library, and the key that does the same: a definition of the schema, and a key in it.
const KEYS: &[(&str, &str)] = &[
    ("ApiKeys::file", "ResourceConfig.api_keys_file"),
    ("ApiKeys::new", "ResourceConfig.api_keys_file"),
    ("ApiKeys::prefix", "ResourceConfig.api_keys_prefix"),
    ("AuthorizationServer::advertise_as", "IssuerConfig.advertise_as"),
    ("AuthorizationServer::algorithms", "IssuerConfig.algorithms"),
    ("AuthorizationServer::audience", "IssuerConfig.audiences"),
    ("AuthorizationServer::bearer", "IssuerConfig.bearer"),
    ("AuthorizationServer::dangerous_any_audience", "IssuerConfig.dangerous_any_audience"),
    (
        "AuthorizationServer::dangerous_clients_instead_of_audience",
        "IssuerConfig.dangerous_clients_instead_of_audience",
    ),
    ("AuthorizationServer::discover", "IssuerConfig.url"),
    ("AuthorizationServer::fetch", "IssuerConfig.http"),
    ("AuthorizationServer::from_metadata", "IssuerConfig.metadata_file"),
    ("AuthorizationServer::from_metadata_url", "IssuerConfig.metadata_url"),
    ("AuthorizationServer::header", "IssuerConfig.headers"),
    ("AuthorizationServer::insecure_http_hosts", "IssuerConfig.insecure_http_hosts"),
    ("AuthorizationServer::internal_url", "IssuerConfig.internal_url"),
    ("AuthorizationServer::introspection", "IssuerConfig.introspection"),
    ("AuthorizationServer::jwks_cooldown", "IssuerConfig.jwks_cooldown"),
    ("AuthorizationServer::jwks_max_age", "IssuerConfig.jwks_max_age"),
    ("AuthorizationServer::jwks_max_stale", "IssuerConfig.jwks_max_stale"),
    ("AuthorizationServer::jwks_timeout", "IssuerConfig.jwks_timeout"),
    ("AuthorizationServer::map_introspection", "IssuerConfig.introspection"),
    ("AuthorizationServer::profile", "IssuerConfig.rfc9068"),
    ("AuthorizationServer::provider", "IssuerConfig.provider"),
    ("AuthorizationServer::required_claim", "IssuerConfig.required_claims"),
    ("AuthorizationServer::required_claim_value", "IssuerConfig.required_claims"),
    ("AuthorizationServer::scope_claims", "IssuerConfig.scope_claims"),
    ("AuthorizationServer::template", "IssuerConfig.tenants"),
    ("AuthorizationServer::typ", "IssuerConfig.typ"),
    ("AuthorizationServer::with_keys", "IssuerConfig.keys_file"),
    ("AuthorizationServer::with_keys_file", "IssuerConfig.keys_file"),
    ("AuthorizationServer::with_secret", "IssuerConfig.hmac_secret"),
    ("Dpop::nonce_keys", "DpopTable.nonce_keys"),
    ("Dpop::nonces", "DpopTable.nonces"),
    ("Dpop::optional", "DpopTable.mode"),
    ("Dpop::replay_cache_capacity", "DpopTable.replay_cache_capacity"),
    ("Dpop::required", "DpopTable.mode"),
    ("EventPoll::at", "EventPollConfig.url"),
    ("EventPoll::bearer", "EventPollConfig.bearer"),
    ("EventPoll::fetch", "EventPollConfig.http"),
    ("EventPoll::header", "EventPollConfig.headers"),
    ("EventPoll::interval", "EventPollConfig.interval"),
    ("EventPoll::max_events", "EventPollConfig.max_events"),
    ("EventPoll::timeout", "EventPollConfig.timeout"),
    ("HttpClient::client_certificate", "HttpConfig.certificate"),
    ("HttpClient::new", "IssuerConfig.http"),
    ("HttpClient::proxy", "HttpConfig.proxy"),
    ("HttpClient::root_certificates", "HttpConfig.ca"),
    ("Introspection::basic", "IntrospectionConfig.method"),
    ("Introspection::bearer", "IntrospectionConfig.method"),
    ("Introspection::cache_for", "IntrospectionConfig.cache_for"),
    ("Introspection::cached_tokens", "IntrospectionConfig.cached_tokens"),
    (
        "Introspection::dangerous_audience_if_absent",
        "IntrospectionConfig.dangerous_audience_if_absent",
    ),
    (
        "Introspection::dangerous_subject_is_username",
        "IntrospectionConfig.dangerous_subject_is_username",
    ),
    ("Introspection::endpoint", "IntrospectionConfig.endpoint"),
    ("Introspection::introspect_jwts", "IntrospectionConfig.also_jwts"),
    ("Introspection::kid", "IntrospectionConfig.kid"),
    ("Introspection::max_in_flight", "IntrospectionConfig.max_in_flight"),
    ("Introspection::negative_cache_for", "IntrospectionConfig.negative_cache_for"),
    ("Introspection::post", "IntrospectionConfig.method"),
    ("Introspection::private_key_jwt", "IntrospectionConfig.method"),
    ("Introspection::signed_responses", "IntrospectionConfig.signed_responses"),
    ("Introspection::timeout", "IntrospectionConfig.timeout"),
    ("Introspection::tls_client_auth", "IntrospectionConfig.method"),
    ("IssuerTemplate::tenant_claim", "IssuerConfig.tenant_claim"),
    ("IssuerTemplate::tenants", "IssuerConfig.tenants"),
    ("McpAuthBuilder::alias", "ResourceConfig.aliases"),
    ("McpAuthBuilder::allowed_origins", "ResourceConfig.allowed_origins"),
    ("McpAuthBuilder::api_keys", "ResourceConfig.api_keys_file"),
    ("McpAuthBuilder::audience", "ResourceConfig.audiences"),
    ("McpAuthBuilder::authorization_server", "ResourceConfig.issuers"),
    ("McpAuthBuilder::authorization_servers", "ResourceConfig.issuers"),
    ("McpAuthBuilder::cached_tokens", "ResourceConfig.cached_tokens"),
    (
        "McpAuthBuilder::certificate_bound_tokens_required",
        "ResourceConfig.certificate_bound_tokens_required",
    ),
    ("McpAuthBuilder::client_certificates_from", "ResourceConfig.client_certificates"),
    ("McpAuthBuilder::dpop", "ResourceConfig.dpop"),
    ("McpAuthBuilder::filter_lists", "ResourceConfig.filter_lists"),
    ("McpAuthBuilder::forwarded_host_from", "Config.forwarded_host_from"),
    ("McpAuthBuilder::implies", "ResourceConfig.implies"),
    ("McpAuthBuilder::initial_scopes", "ResourceConfig.initial_scopes"),
    (
        "McpAuthBuilder::insufficient_scope_as_tool_error",
        "ResourceConfig.insufficient_scope_as_tool_error",
    ),
    ("McpAuthBuilder::insufficient_scope_hint", "ResourceConfig.insufficient_scope_hint"),
    ("McpAuthBuilder::introspect", "IssuerConfig.introspection"),
    ("McpAuthBuilder::leeway", "ResourceConfig.leeway"),
    ("McpAuthBuilder::max_message_bytes", "ResourceConfig.max_message_bytes"),
    ("McpAuthBuilder::max_token_age", "ResourceConfig.max_token_age"),
    ("McpAuthBuilder::metadata", "ResourceConfig.metadata"),
    ("McpAuthBuilder::metadata_url", "ResourceConfig.metadata_url"),
    ("McpAuthBuilder::optional", "ResourceConfig.optional"),
    ("McpAuthBuilder::replay_store", "Config.redis"),
    ("McpAuthBuilder::requested_as", "ResourceConfig.requested_as"),
    ("McpAuthBuilder::requested_with_prefix", "ResourceConfig.requested_with_prefix"),
    ("McpAuthBuilder::required", "ResourceConfig.required"),
    ("McpAuthBuilder::required_scopes", "ResourceConfig.scopes"),
    ("McpAuthBuilder::revocations", "Config.revocations"),
    ("McpAuthBuilder::security_schemes", "ResourceConfig.security_schemes"),
    ("McpAuthBuilder::session_keys", "ResourceConfig.session_keys"),
    ("McpAuthBuilder::streams_outlive_tokens", "ResourceConfig.streams_outlive_tokens"),
    ("McpAuthBuilder::strict_challenges", "ResourceConfig.strict_challenges"),
    ("McpAuthBuilder::tools", "ResourceConfig.tools"),
    ("Require::and", "RuleTable.any_of"),
    ("Require::from_iter", "RuleTable.scopes"),
    ("Revocations::capacity", "RevocationsConfig.capacity"),
    ("Revocations::new", "Config.revocations"),
    ("Revocations::retention", "RevocationsConfig.retention"),
    ("Rule::acr_values", "RuleTable.acr_values"),
    ("Rule::claim", "RuleTable.claims"),
    ("Rule::client", "RuleTable.clients"),
    ("Rule::max_age", "RuleTable.max_age"),
    ("Rule::never", "ResourceConfig.tools"),
    ("TokenExchange::basic", "ExchangeConfig.method"),
    ("TokenExchange::cache_for", "ExchangeConfig.cache_for"),
    ("TokenExchange::cached_tokens", "ExchangeConfig.cached_tokens"),
    ("TokenExchange::endpoint", "ExchangeConfig.endpoint"),
    ("TokenExchange::kid", "ExchangeConfig.kid"),
    ("TokenExchange::max_in_flight", "ExchangeConfig.max_in_flight"),
    ("TokenExchange::post", "ExchangeConfig.method"),
    ("TokenExchange::private_key_jwt", "ExchangeConfig.method"),
    ("TokenExchange::timeout", "ExchangeConfig.timeout"),
    ("TokenExchange::tls_client_auth", "ExchangeConfig.method"),
    ("ToolScopes::method", "ResourceConfig.methods"),
    ("ToolScopes::new", "ResourceConfig.tools"),
    ("ToolScopes::prompt", "ResourceConfig.prompts"),
    ("ToolScopes::resource", "ResourceConfig.resources"),
    ("ToolScopes::tool", "ResourceConfig.tools"),
    ("ToolScopes::unknown_methods", "ResourceConfig.unknown_methods"),
];

/// What only code can say, or needs no key, and why.
const ONLY_CODE: &[(&str, &str)] = &[
    ("ApiKey::", "the keys are in `api_keys_file`, which is read again when it changes"),
    ("ApiKeys::key", "the keys are in `api_keys_file`, which is read again when it changes"),
    ("AuthorizationServer::clock", "a clock is for tests"),
    (
        "McpAuthBuilder::successor_of",
        "the file is read again: each resource succeeds its earlier value",
    ),
    ("AuthorizationServer::external", "its tokens need a verifier, which is a function"),
    ("AuthorizationServer::map_metadata", "a function; `metadata_file` has a changed document"),
    ("AuthorizationServer::map_metadata_async", "a function"),
    ("McpAuthBuilder::clock", "a clock is for tests"),
    ("McpAuthBuilder::issuer_resolver", "a function"),
    ("McpAuthBuilder::list_only", "a function; `filter_lists` filters by the rules"),
    ("McpAuthBuilder::trusted_issuer", "says what a verifier vouches for"),
    ("McpAuthBuilder::verifier", "a function, and its time limit"),
    ("Require::under", "what `implies` does is done for every rule"),
    ("ToolScopes::and", "the rules of a file are one set"),
    ("ToolScopes::declared_by_", "reads the tools of a server in the same program"),
];

/// Methods in advice about the functions of a program, which nobody with a file gets.
const OF_FUNCTIONS: [&str; 4] = ["caused_by(", "detail(", "list_only(", "verifier_timeout("];

/// Types with methods of that form that are no settings.
const NO_SETTINGS: [&str; 2] = ["Denial", "VerifiedToken"];

/// The methods of the public API that make settings, or change them: `(type, method)`.
fn options() -> BTreeSet<String> {
    let listing = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/public-api.txt");
    let listing = fs::read_to_string(listing).expect("the listing of the public API");
    let methods: Vec<_> = listing
        .lines()
        .filter_map(|line| line.strip_prefix("pub fn mcp_auth::"))
        .filter_map(|line| {
            let (path, rest) = line.split_once('(')?;
            let path = path.split('<').next()?.trim_start_matches("metadata::");
            let (of, method) = path.split_once("::")?;
            let is_derived = ["clone", "default", "from", "eq", "fmt"].contains(&method);
            (!method.contains("::") && !is_derived).then_some((of, method, rest))
        })
        .collect();
    let changes = |rest: &str| rest.starts_with("self, ") || rest.starts_with("self)");
    let settings: BTreeSet<_> = methods
        .iter()
        .filter(|(_, _, rest)| changes(rest) && rest.contains("-> Self"))
        .map(|(of, _, _)| *of)
        .filter(|of| !NO_SETTINGS.contains(of))
        .collect();
    assert!(settings.contains("McpAuthBuilder") && settings.contains("HttpClient"));
    methods
        .iter()
        .filter(|(of, _, rest)| {
            let makes =
                ["-> Self", "-> mcp_auth::AuthorizationServer", "-> mcp_auth::IssuerTemplate"];
            let is_option = makes.iter().any(|made| rest.contains(made));
            is_option
                && settings.contains(of)
                && !rest.starts_with("&self")
                && !rest.starts_with("&mut self")
        })
        .map(|(of, method, _)| format!("{of}::{method}"))
        .collect()
}

#[test]
fn every_option_of_the_library_has_a_key_or_a_reason() {
    let providers: BTreeSet<_> = Provider::ALL.iter().map(|provider| provider.id).collect();
    let is_provider = |option: &str| {
        let id = option.strip_prefix("AuthorizationServer::");
        id.is_some_and(|id| providers.contains(id))
    };
    let is_only_code = |option: &str| {
        ONLY_CODE.iter().any(|(known, _)| {
            let rest = option.strip_prefix(known);
            rest.is_some_and(|rest| {
                rest.is_empty() || known.ends_with([':', '_']) || rest.starts_with('_')
            })
        })
    };
    let keys: BTreeMap<_, _> = KEYS.iter().copied().collect();
    let options = options();
    for option in &options {
        // Each member of the metadata of a resource is a key of `[resources.metadata]`.
        let is_known = keys.contains_key(&**option)
            || is_provider(option)
            || is_only_code(option)
            || option.starts_with("ResourceMetadata::");
        assert!(is_known, "{option} has no key: add one, or say why only code can set it");
    }
    let schema = serde_json::to_value(Config::schema()).expect("JSON");
    for (option, key) in keys {
        assert!(options.contains(option), "{option} is not in the public API any more");
        let (of, key) = key.split_once('.').expect("a definition and a key");
        let definition = if of == "Config" { &schema } else { &schema["$defs"][of] };
        let sentence = definition["properties"][key].to_string();
        assert!(sentence.contains("\"description\""), "{of}.{key}: {sentence}");
    }
    for (known, reason) in ONLY_CODE {
        assert!(
            !reason.is_empty() && options.iter().any(|option| option.starts_with(known)),
            "{known}"
        );
    }
}

#[test]
fn every_provider_of_the_table_is_set_by_its_name() {
    let guid = "22222222-2222-2222-2222-222222222222";
    let values = [
        ("url", "https://login.example.com"),
        ("application", "mcp"),
        ("client", "mcp"),
        ("domain", "login.example.com"),
        ("environment", guid),
        ("organization", "acme"),
        ("pool", "eu-west-1_AbCdEf"),
        ("project", "p"),
        ("realm", "mcp"),
        ("resource", "res_1"),
        ("server", "default"),
        ("tenant", guid),
    ];
    let own = |id: &str| match id {
        "cognito" | "google" => "clients = [\"a.apps.googleusercontent.com\"]",
        "entra_tenants" => "tenants = [\"22222222-2222-2222-2222-222222222222\"]",
        "github" | "github_enterprise" => {
            "client_id = \"Iv1.8a61f9b3a7aba766\"\nsecret = \"env:PATH\""
        }
        _ => "",
    };
    for provider in Provider::ALL {
        let id = provider.id;
        let needs = |key: &str| match key {
            "tenant" => id != "entra_tenants" && provider.issuer.contains("{tenantid}"),
            "url" => provider.issuer.contains("{url}"),
            key => provider.issuer.contains(&format!("{{{key}}}")),
        };
        let places: String = values
            .iter()
            .filter(|(key, _)| needs(key))
            .map(|(key, value)| format!("{key} = {value:?}\n"))
            .collect();
        let file = format!(
            "[issuers.login]\nprovider = {id:?}\n{places}{}\n[[resources]]\nurl = \"https://mcp.example.com/mcp\"\n",
            own(id)
        );
        let built = Config::from_toml(&file).and_then(|config| config.protected_resources());
        assert!(built.is_ok(), "{file}{:?}", built.err());
    }
    assert!(IssuerConfig::of_provider("cognito:eu-west-1_AbCdEf").is_ok());
}

/// Advice with the name of a method is of no use to who has a file.
#[test]
fn methods_that_advice_names_are_keys() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("../mcp-auth/src");
    let mut folders = vec![src];
    let mut found = 0;
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder").flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let text = fs::read_to_string(&path).expect("a source");
            let code = text.split("#[cfg(test)]").next().unwrap_or_default();
            let lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
            for line in
                lines.filter(|line| line.contains("`.") || line.contains("`AuthorizationServer::"))
            {
                let line =
                    line.replace("\\\"", "\"").replace("{name}", "x").replace("{id}", "github");
                let in_keys = mcp_auth_config::in_keys(&line);
                let is_method = |rest: &str| {
                    let is_of_functions =
                        OF_FUNCTIONS.iter().any(|method| rest.starts_with(method));
                    rest.starts_with(|c: char| c.is_ascii_lowercase()) && !is_of_functions
                };
                let is_rust = in_keys.split("`.").skip(1).any(is_method)
                    || in_keys.contains("`AuthorizationServer::");
                assert!(!is_rust, "{}: {in_keys}", path.display());
                found += 1;
            }
        }
    }
    assert!(found > 30, "the sources were found");
}

//! What an operator is told about a file that cannot be used: the whole text.

use mcp_auth_config::Config;

/// What comes before the resources in most rows.
const LOGIN: &str = "[issuers.login]\nurl = \"https://login.example.com\"\n";

/// A resource, without the keys of the row.
const RESOURCE: &str = "[[resources]]\nurl = \"https://mcp.example.com/mcp\"\n";

const FORWARD_AUTH: &str = "mode = \"forward-auth\"\nstreams_outlive_tokens = true\n";

const NGINX_ASKS: &str = "forward_auth = { proxy = \"nginx\", from = [\"127.0.0.1\"] }\n";

/// Each row: what it is about, the file, and the message.
const ROWS: &[(&str, &[&str], &str)] = &[
    ("nothing", &[], "there is no resource: add `[[resources]]` with `url` and `upstream`"),
    (
        "a rate without a unit",
        &[LOGIN, RESOURCE, "limits = { principal = \"100\" }"],
        "line 5, column 24: a rate is a text like \"10/s\", \"100/m\", \"1000/h\" or \"5000/d\", and more than 0",
    ),
    (
        "a limit that is not known",
        &[LOGIN, RESOURCE, "limits = { user = \"1/s\" }"],
        "line 5, column 12: unknown key `user`; the keys here are: address, principal, client, tools",
    ),
    (
        "a limit for no tool",
        &[LOGIN, RESOURCE, "limits = { tools = { \"\" = \"1/s\" } }"],
        "resource \"https://mcp.example.com/mcp\": `limits.tools` has a limit without a name: set it to a tool, or to `\"*\"`",
    ),
    (
        "a mode that is not known",
        &[LOGIN, RESOURCE, "mode = \"forward_auth\""],
        "line 5, column 8: \"forward_auth\" is not known here; known are: proxy, forward-auth",
    ),
    (
        "forward-auth without a proxy",
        &[LOGIN, RESOURCE, "mode = \"forward-auth\""],
        "resource \"https://mcp.example.com/mcp\": `mode = \"forward-auth\"` needs `forward_auth`, the proxy that asks: `forward_auth = { proxy = \"nginx\", from = [\"127.0.0.1\"] }`",
    ),
    (
        "a proxy that asks, without the mode",
        &[LOGIN, RESOURCE, NGINX_ASKS],
        "resource \"https://mcp.example.com/mcp\": `forward_auth` needs `mode = \"forward-auth\"`",
    ),
    (
        "a proxy from nowhere",
        &[LOGIN, RESOURCE, FORWARD_AUTH, "forward_auth = { proxy = \"nginx\", from = [] }"],
        "resource \"https://mcp.example.com/mcp\": `forward_auth.from` is empty: name the addresses of the proxy, such as \"127.0.0.1\"",
    ),
    (
        "a proxy from everywhere",
        &[
            LOGIN,
            RESOURCE,
            FORWARD_AUTH,
            "forward_auth = { proxy = \"nginx\", from = [\"0.0.0.0/0\"] }",
        ],
        "resource \"https://mcp.example.com/mcp\": `forward_auth.from`: \"0.0.0.0/0\" is not an address or a network, such as \"10.0.7.0/24\"",
    ),
    (
        "a path with a question",
        &[
            LOGIN,
            RESOURCE,
            FORWARD_AUTH,
            "forward_auth = { proxy = \"nginx\", from = [\"::1\"], path = \"/ask?a\" }",
        ],
        "resource \"https://mcp.example.com/mcp\": `forward_auth.path`: \"/ask?a\" is not a path of letters, digits, `-`, `_` and `.`, such as \"/forward-auth\"",
    ),
    (
        "a proxy that sends no bodies",
        &[
            LOGIN,
            RESOURCE,
            FORWARD_AUTH,
            "forward_auth = { proxy = \"caddy\", from = [\"::1\"], body = true }",
        ],
        "resource \"https://mcp.example.com/mcp\": `forward_auth.body`: only Envoy (`with_request_body`) and Traefik (`forwardBody`) send the body when they ask",
    ),
    (
        "rules for tools without bodies",
        &[LOGIN, RESOURCE, FORWARD_AUTH, NGINX_ASKS, "tools = { \"*\" = [] }"],
        "resource \"https://mcp.example.com/mcp\": `tools` needs the body of requests, which the proxy does not send: let the gateway pass requests on itself (`upstream`), or use Envoy or Traefik with bodies and set `forward_auth.body`",
    ),
    (
        "lists that are filtered elsewhere",
        &[LOGIN, RESOURCE, FORWARD_AUTH, NGINX_ASKS, "filter_lists = true"],
        "resource \"https://mcp.example.com/mcp\": `filter_lists` cannot be set with `mode = \"forward-auth\"`: the gateway does not see the responses of the MCP server; let it pass requests on itself (`upstream`)",
    ),
    (
        "an upstream of a proxy that asks",
        &[LOGIN, RESOURCE, FORWARD_AUTH, NGINX_ASKS, "upstream = \"http://127.0.0.1:3000\""],
        "resource \"https://mcp.example.com/mcp\": `upstream` cannot be set with `mode = \"forward-auth\"`: the proxy that asks reaches the MCP server, and the gateway does not",
    ),
    (
        "streams that end with their tokens elsewhere",
        &[LOGIN, RESOURCE, "mode = \"forward-auth\"\n", NGINX_ASKS],
        "resource \"https://mcp.example.com/mcp\": `mode = \"forward-auth\"` cannot end streams when their tokens expire or are revoked: accept that with `streams_outlive_tokens = true`, or let the gateway pass requests on itself (`upstream`)",
    ),
    (
        "an audit log by another name",
        &["audit = { path = \"a\" }"],
        "line 1, column 11: unknown key `path`, which belongs to `[resources.forward_auth]` or `[resources.security_events]`; the keys here are: file, caller, arguments, required",
    ),
    (
        "a pause that is a word",
        &["drain = { pause = \"soon\" }"],
        "line 1, column 19: a duration is a number of seconds, or a text like \"500ms\", \"30s\", \"5m\", \"1h\" or \"7d\"",
    ),
    (
        "one bracket",
        &[LOGIN, "[resources]\nurl = \"https://mcp.example.com/mcp\""],
        "line 3, column 1: `resources` is a list: write `[[resources]]`, with two brackets, for each",
    ),
    (
        "a list of issuers",
        &["[[issuers]]\nurl = \"https://login.example.com\""],
        "line 1, column 1: each issuer has a name of your choice: write `[issuers.login]`",
    ),
    (
        "issuers by name only",
        &["issuers = [\"login\"]"],
        "line 1, column 11: each issuer has a name of your choice: write `[issuers.login]`",
    ),
    (
        "an issuer that is a text",
        &["[issuers]\nlogin = \"https://login.example.com\""],
        "line 2, column 9: this is the text \"https://login.example.com\", and should be a table",
    ),
    (
        "a port",
        &["listen = 8080"],
        "line 1, column 10: \"8080\" is not an address to listen at: write \"127.0.0.1:8080\" (for this machine only) or \"0.0.0.0:8080\" (for every network)",
    ),
    (
        "a port in quotes",
        &["listen = \"8080\""],
        "line 1, column 10: \"8080\" is not an address to listen at: write \"127.0.0.1:8080\" (for this machine only) or \"0.0.0.0:8080\" (for every network)",
    ),
    (
        "a name",
        &["listen = \"mcp.example.com:80\""],
        "line 1, column 10: \"mcp.example.com:80\" is not an address to listen at: write \"127.0.0.1:80\" (for this machine only) or \"0.0.0.0:80\" (for every network)",
    ),
    (
        "an address without a port",
        &["admin = \"127.0.0.1\""],
        "line 1, column 9: \"127.0.0.1\" is not an address to listen at: write \"127.0.0.1:8080\" (for this machine only) or \"0.0.0.0:8080\" (for every network)",
    ),
    (
        "an address that is a list",
        &["admin = [\"127.0.0.1:80\"]"],
        "line 1, column 9: an address is a text, such as \"127.0.0.1:8080\"",
    ),
    (
        "a resource without url",
        &[LOGIN, "[[resources]]\nupstream = \"http://127.0.0.1:3000\""],
        "the resource number 1 has no `url`: set it to the URL that users give to their clients",
    ),
    (
        "no issuer at all",
        &[RESOURCE],
        "there is no issuer: add `[issuers.login]` with `url`, the issuer of your tokens, or with `provider`",
    ),
    (
        "an issuer without url",
        &["[issuers.login]\n", RESOURCE],
        "issuer \"login\": set `url`, the issuer, or `provider`, one of those that are known by name",
    ),
    (
        "an issuer that is no URL",
        &["[issuers.login]\nurl = \"login.example.com\"\n", RESOURCE],
        "issuer \"login\": `url` is \"login.example.com\", which is not a URL: it begins with https://",
    ),
    (
        "an issuer without TLS",
        &["[issuers.login]\nurl = \"http://keycloak:8080/realms/mcp\"\n", RESOURCE],
        "resource \"https://mcp.example.com/mcp\": the issuer \"http://keycloak:8080/realms/mcp\" must be an https URL (http only on this machine, and where `insecure_http_hosts` allows it), without query or fragment, and be listed once; one whose keys are given may have any name",
    ),
    (
        "an unknown issuer",
        &[LOGIN, RESOURCE, "issuers = [\"other\"]"],
        "resource \"https://mcp.example.com/mcp\": the issuer \"other\" is not described; described are: login",
    ),
    (
        "two resources at one place",
        &[LOGIN, RESOURCE, RESOURCE],
        "resource \"https://mcp.example.com/mcp\": it is there twice: each resource needs a URL of its own",
    ),
    (
        "two resources at one place, spelled differently",
        &[LOGIN, RESOURCE, "[[resources]]\nurl = \"https://MCP.example.com:443/mcp\""],
        "\"https://MCP.example.com:443/mcp\" is a name of two resources: a token for one would be accepted at the other",
    ),
    (
        "an alias of another resource",
        &[
            LOGIN,
            RESOURCE,
            "[[resources]]\nurl = \"https://mcp.example.com/b\"\naliases = [\"https://mcp.example.com/mcp\"]",
        ],
        "\"https://mcp.example.com/mcp\" is a name of two resources: a token for one would be accepted at the other",
    ),
    (
        "a resource that is no URL",
        &[LOGIN, "[[resources]]\nurl = \"mcp.example.com\""],
        "resource \"mcp.example.com\": the resource \"mcp.example.com\" must be the https URL that clients connect to (http only on this machine), without a fragment, without braces, and with a number for a port if it has one",
    ),
    (
        "a key that is nearly right",
        &[LOGIN, RESOURCE, "scope = [\"read\"]"],
        "line 5, column 1: unknown key `scope`; did you mean `scopes`?",
    ),
    (
        "scopes of the resource below its rules",
        &[LOGIN, RESOURCE, "[resources.tools]\n\"*\" = []\nscopes = [\"read\"]"],
        "resource \"https://mcp.example.com/mcp\": `scopes` is a key of the resource, and is in its table of tools: write it above `[resources.tools]`; if that is really a name there, write `scopes = { scopes = [..] }`",
    ),
    (
        "a key of the top in a resource",
        &[LOGIN, RESOURCE, "listen = \"127.0.0.1:80\""],
        "line 5, column 1: unknown key `listen`, which belongs to the top of the file, before the first table",
    ),
    (
        "a key of a resource at the top",
        &["upstream = \"http://127.0.0.1:3000\""],
        "line 1, column 1: unknown key `upstream`, which belongs to `[[resources]]`",
    ),
    (
        "a key of an inner table at the top",
        &["principal = \"10/m\""],
        "line 1, column 1: unknown key `principal`, which belongs to `[resources.limits]`; the keys here are: listen, admin, tls, max_connections, max_connections_per_address, signing_key, max_buffered_bytes, max_anonymous_buffered_bytes, forwarded_host_from, drain, audit, traces, issuers, resources, revocations, redis",
    ),
    (
        "a key of issuers at the top",
        &["client_id = \"a\""],
        "line 1, column 1: unknown key `client_id`, which belongs to `[issuers.NAME]`",
    ),
    (
        "a key that is not near",
        &["[tls]\nzzzzz = 1"],
        "line 2, column 1: unknown key `zzzzz`; the keys here are: certificate, key, client_ca",
    ),
    (
        "a missing key",
        &["[tls]\ncertificate = \"tls.crt\""],
        "line 1, column 1: the key `key` is missing",
    ),
    (
        "scopes in one text",
        &[LOGIN, RESOURCE, "scopes = \"read write\""],
        "line 5, column 10: this is the text \"read write\", and should be a list, such as [\"a\", \"b\"]",
    ),
    (
        "a flag in quotes",
        &[LOGIN, RESOURCE, "optional = \"yes\""],
        "line 5, column 12: this is the text \"yes\", and should be `true` or `false`",
    ),
    (
        "a number in quotes",
        &["max_connections = \"100\""],
        "line 1, column 19: this is the text \"100\", and should be a whole number, 0 or more",
    ),
    (
        "a negative number",
        &["max_connections = -1"],
        "line 1, column 19: this is the number -1, and should be a whole number, 0 or more",
    ),
    (
        "a table that is a text",
        &["tls = \"tls.crt\""],
        "line 1, column 7: this is the text \"tls.crt\", and should be a table",
    ),
    (
        "a text that is a number",
        &[LOGIN, RESOURCE, "upstream = 3000"],
        "line 5, column 12: this is a text, or a list of texts",
    ),
    (
        "a duration without unit",
        &[LOGIN, RESOURCE, "leeway = \"soon\""],
        "line 5, column 10: a duration is a number of seconds, or a text like \"500ms\", \"30s\", \"5m\", \"1h\" or \"7d\"",
    ),
    (
        "a negative duration",
        &[LOGIN, RESOURCE, "leeway = -1"],
        "line 5, column 10: a duration is a number of seconds, or a text like \"500ms\", \"30s\", \"5m\", \"1h\" or \"7d\"",
    ),
    (
        "a duration that is a fraction",
        &[LOGIN, RESOURCE, "leeway = 1.5"],
        "line 5, column 10: a duration is a number of seconds, or a text like \"500ms\", \"30s\", \"5m\", \"1h\" or \"7d\"",
    ),
    (
        "too much leeway",
        &[LOGIN, RESOURCE, "leeway = \"1h\""],
        "resource \"https://mcp.example.com/mcp\": a leeway of 3600s is longer than 5 minutes: set the clock instead",
    ),
    (
        "a secret in the file",
        &[LOGIN, RESOURCE, "session_keys = [\"hunter2\"]"],
        "line 5, column 16: a secret is not written here: set `env:NAME` or `file:PATH`",
    ),
    (
        "a variable that is not set",
        &[LOGIN, RESOURCE, "session_keys = [\"env:MCP_AUTH_NOT_SET\"]"],
        "resource \"https://mcp.example.com/mcp\": the environment variable MCP_AUTH_NOT_SET is not set",
    ),
    (
        "a short secret",
        &[LOGIN, RESOURCE, "session_keys = [\"env:CARGO_PKG_NAME\"]"],
        "resource \"https://mcp.example.com/mcp\": a session key of 15 bytes can be guessed: give at least 32 random bytes, such as `openssl rand -base64 32` makes",
    ),
    (
        "a word that is not known",
        &[LOGIN, RESOURCE, "dpop = \"always\""],
        "line 5, column 8: `dpop` is \"optional\", \"required\", or a table with `mode`, `nonces`, `nonce_keys` or `replay_cache_capacity`",
    ),
    (
        "a header that is not known",
        &[LOGIN, RESOURCE, "client_certificates = { header = \"x-cert\", proxies = [] }"],
        "line 5, column 34: \"x-cert\" is not known here; known are: client-cert, x-forwarded-client-cert",
    ),
    (
        "rules without the rest",
        &[LOGIN, RESOURCE, "tools = { admin = [\"admin\"] }"],
        "resource \"https://mcp.example.com/mcp\": there are rules for tools, and none for the rest: add `\"*\" = []` (open to every admitted caller) or `\"*\" = \"deny\"`",
    ),
    (
        "a rule that is a word",
        &[LOGIN, RESOURCE, "tools = { admin = \"never\" }"],
        "line 5, column 19: a rule is a list of scopes, \"deny\", or a table with `scopes`, `any_of`, `claims`, `clients`, `acr_values` or `max_age`; claims are texts in quotes. A key of the resource must be above the tables of its rules",
    ),
    (
        "a rule with a key that is not known",
        &[LOGIN, RESOURCE, "tools = { admin = { scope = [\"a\"] }, \"*\" = [] }"],
        "line 5, column 19: a rule is a list of scopes, \"deny\", or a table with `scopes`, `any_of`, `claims`, `clients`, `acr_values` or `max_age`; claims are texts in quotes. A key of the resource must be above the tables of its rules",
    ),
    (
        "a rule with an empty list",
        &[LOGIN, RESOURCE, "tools = { admin = { any_of = [] }, \"*\" = [] }"],
        "resource \"https://mcp.example.com/mcp\": tools \"admin\": a rule has an empty table or list: write `[]` for what every admitted caller may use, or `\"deny\"`",
    ),
    (
        "a rule with nothing in it",
        &[LOGIN, RESOURCE, "tools = { admin = {}, \"*\" = [] }"],
        "resource \"https://mcp.example.com/mcp\": tools \"admin\": a rule has an empty table or list: write `[]` for what every admitted caller may use, or `\"deny\"`",
    ),
    (
        "a rule with an empty scope",
        &[LOGIN, RESOURCE, "tools = { admin = [\"\"], \"*\" = [] }"],
        "resource \"https://mcp.example.com/mcp\": \"\" is not a scope: scopes are visible ASCII without spaces, quotes and backslashes",
    ),
    (
        "a claim that is a number",
        &[LOGIN, RESOURCE, "required = { claims = { level = 3 } }"],
        "line 5, column 12: a rule is a list of scopes, \"deny\", or a table with `scopes`, `any_of`, `claims`, `clients`, `acr_values` or `max_age`; claims are texts in quotes. A key of the resource must be above the tables of its rules",
    ),
    (
        "scopes in a circle",
        &[LOGIN, RESOURCE, "implies = { a = [\"b\"], b = [\"a\"] }"],
        "resource \"https://mcp.example.com/mcp\": the scope \"a\" implies itself: remove one `implies` of the cycle",
    ),
    (
        "an origin with a path",
        &[LOGIN, RESOURCE, "allowed_origins = [\"https://app.example.com/\"]"],
        "resource \"https://mcp.example.com/mcp\": the origin \"https://app.example.com/\" must be like https://app.example.com or chrome-extension://id, without path, or http://localhost:* for any port",
    ),
    (
        "proxies everywhere",
        &["forwarded_host_from = [\"0.0.0.0/0\"]\n", LOGIN, RESOURCE],
        "resource \"https://mcp.example.com/mcp\": \"0.0.0.0/0\" is not a network of trusted proxies: it must be like 10.0.0.0/8, fd00::/8 or 127.0.0.1, and not all addresses. Is an environment variable unset?",
    ),
    (
        "url and provider",
        &[
            "[issuers.login]\nprovider = \"auth0\"\ndomain = \"a.auth0.com\"\nurl = \"https://b\"\n",
            RESOURCE,
        ],
        "issuer \"login\": `url` has no meaning for the provider \"auth0\": leave it out",
    ),
    (
        "a provider without its tenant",
        &[
            "[issuers.login]\nprovider = \"keycloak\"\nurl = \"https://sso.example.com\"\n",
            RESOURCE,
        ],
        "issuer \"login\": the provider \"keycloak\" needs `realm`: `url`: of the server, with `/auth` where it has that; `realm`: its name",
    ),
    (
        "a tenant without its provider",
        &["[issuers.login]\nrealm = \"mcp\"\n", RESOURCE],
        "issuer \"login\": `realm` says something about a provider: set `provider` too",
    ),
    (
        "clients without a provider",
        &["[issuers.login]\nurl = \"https://login.example.com\"\nclients = [\"a\"]\n", RESOURCE],
        "issuer \"login\": `clients` says something about a provider: set `provider` too",
    ),
    (
        "tenants without a placeholder",
        &["[issuers.login]\nurl = \"https://login.example.com\"\ntenants = [\"a\"]\n", RESOURCE],
        "issuer \"login\": `tenants` needs a `url` with a placeholder, \"https://login.example.com/{tenant}\", and `metadata_url`, the metadata that they share",
    ),
    (
        "a key without meaning for the provider",
        &[
            "[issuers.login]\nprovider = \"auth0\"\ndomain = \"a.auth0.com\"\nkeys_file = \"k\"\n",
            RESOURCE,
        ],
        "issuer \"login\": `keys_file` has no meaning for the provider \"auth0\": leave it out",
    ),
    (
        "GitHub without an app",
        &["[issuers.login]\nprovider = \"github\"\n", RESOURCE],
        "issuer \"login\": the provider \"github\" needs `client_id` and `secret`: of an OAuth app or a GitHub App of your own",
    ),
    (
        "Google without clients",
        &["[issuers.login]\nprovider = \"google\"\n", RESOURCE],
        "issuer \"login\": the provider \"google\" needs `clients`: the IDs of your OAuth clients",
    ),
    (
        "GitHub with another introspection",
        &[
            "[issuers.login]\nprovider = \"github\"\nclient_id = \"Iv1.8\"\nsecret = \"env:PATH\"\nintrospection = { method = \"post\" }\n",
            RESOURCE,
        ],
        "issuer \"login\": this provider has an API of its own, which is asked: of `introspection`, only `cache_for`, `negative_cache_for`, `cached_tokens`, `max_in_flight` and `timeout` have a meaning",
    ),
    (
        "two sources of keys",
        &[
            "[issuers.login]\nurl = \"https://login.example.com\"\nkeys_file = \"k\"\nhmac_secret = \"env:PATH\"\n",
            RESOURCE,
        ],
        "issuer \"login\": `keys_file` and `hmac_secret` are two sources of the same keys: leave one out",
    ),
    (
        "an algorithm that is not known",
        &[
            "[issuers.login]\nurl = \"https://login.example.com\"\nalgorithms = [\"none\"]\n",
            RESOURCE,
        ],
        "issuer \"login\": the algorithm \"none\" is not known; known are: Ed25519, ES256, ES384, ES512, ML-DSA-44, ML-DSA-65, ML-DSA-87, PS256, PS384, PS512, RS256, RS384, RS512",
    ),
    (
        "introspection without a client",
        &[
            "[issuers.login]\nurl = \"https://login.example.com\"\nintrospection = { secret = \"env:PATH\" }\n",
            RESOURCE,
        ],
        "issuer \"login\": the introspection needs `client_id`, the client of this resource at the issuer",
    ),
    (
        "introspection without a secret",
        &[
            "[issuers.login]\nurl = \"https://login.example.com\"\nintrospection = { client_id = \"a\" }\n",
            RESOURCE,
        ],
        "issuer \"login\": the introspection needs `secret`: `env:NAME` or `file:PATH`",
    ),
    (
        "introspection with a key and no algorithm",
        &[
            "[issuers.login]\nurl = \"https://login.example.com\"\nintrospection = { client_id = \"a\", secret = \"env:PATH\", method = \"private_key_jwt\" }\n",
            RESOURCE,
        ],
        "issuer \"login\": the introspection needs `algorithm`, that of the private key, such as \"ES256\"",
    ),
    (
        "introspection with a certificate and a secret",
        &[
            "[issuers.login]\nurl = \"https://login.example.com\"\nintrospection = { client_id = \"a\", secret = \"env:PATH\", method = \"tls_client_auth\" }\n",
            RESOURCE,
        ],
        "issuer \"login\": with `method = \"tls_client_auth\"` the introspection needs no `secret`: the certificate is `http.certificate` of the issuer",
    ),
    (
        "introspection with a certificate that is not there",
        &[
            "[issuers.login]\nurl = \"https://login.example.com\"\nintrospection = { client_id = \"a\", method = \"tls_client_auth\" }\n",
            RESOURCE,
        ],
        "issuer \"login\": `introspection` has `method = \"tls_client_auth\"`, and the issuer no certificate to show: set `http = { certificate = \"..\", key = \"..\" }` at the issuer",
    ),
    (
        "introspection of HMAC tokens",
        &[
            "[issuers.login]\nurl = \"https://login.example.com\"\nhmac_secret = \"env:PATH\"\nintrospection = { client_id = \"a\", secret = \"env:PATH\", also_jwts = true }\n",
            RESOURCE,
        ],
        "resource \"https://mcp.example.com/mcp\": the introspection of \"https://login.example.com\": its tokens are signed with a secret, and it is not asked about those: leave `also_jwts` out",
    ),
    (
        "a claim that is `false`",
        &[
            "[issuers.login]\nurl = \"https://login.example.com\"\nrequired_claims = { scp = false }\n",
            RESOURCE,
        ],
        "issuer \"login\": `required_claims`: \"scp\" is `false`, and should be `true` (it must be there) or the text that it must be",
    ),
    (
        "a certificate without its key",
        &[
            "[issuers.login]\nurl = \"https://login.example.com\"\nhttp = { certificate = \"/none\" }\n",
            RESOURCE,
        ],
        "issuer \"login\": `http`: set both `certificate` and `key`, or none",
    ),
    (
        "a proxy with a password",
        &[
            "[issuers.login]\nurl = \"https://login.example.com\"\nhttp = { proxy = \"http://a:b@proxy:3128\" }\n",
            RESOURCE,
        ],
        "issuer \"login\": `http`: a proxy with a password is not written here: set `proxy` to `env:NAME` or `file:PATH`",
    ),
    (
        "a public host without TLS",
        &[
            "[issuers.login]\nurl = \"http://login.example.com\"\ninsecure_http_hosts = [\"login.example.com\"]\n",
            RESOURCE,
        ],
        "resource \"https://mcp.example.com/mcp\": \"login.example.com\" is not a host of a private network, so it is not asked over plain http: name a host without a dot, one of a private domain such as `internal`, or a private address, without port",
    ),
    (
        "security events without an audience",
        &[LOGIN, RESOURCE, "security_events = { audiences = [] }"],
        "resource \"https://mcp.example.com/mcp\": `security_events` needs `audiences`: the client IDs of the gateway at the issuer, none of them empty",
    ),
    (
        "a prefix of no keys",
        &[LOGIN, RESOURCE, "api_keys_prefix = \"acme_\""],
        "resource \"https://mcp.example.com/mcp\": `api_keys_prefix` says something about API keys: set `api_keys_file` too",
    ),
    (
        "a key twice",
        &["listen = \"127.0.0.1:1\"\nlisten = \"127.0.0.1:2\""],
        "line 2, column 1: this key is there twice: leave one out",
    ),
    (
        "a text without quotes",
        &["listen = localhost:8080"],
        "line 1, column 10: a text must be in quotes",
    ),
    (
        "a bracket that is missing",
        &["[issuers.login\nurl = 1"],
        "line 1, column 15: unclosed table, expected `]`",
    ),
    ("YAML", &["listen: 127.0.0.1:8080"], "line 1, column 9: key with no value, expected `=`"),
];

#[test]
fn each_message_says_what_to_change() {
    let mut wrong = String::new();
    for (about, parts, expected) in ROWS {
        let file = parts.concat();
        let built = Config::from_toml(&file).and_then(|config| config.protected_resources());
        let message = built.err().map(|error| error.to_string()).unwrap_or_default();
        if message != *expected {
            wrong += &format!("{about}\n  {message}\n  expected: {expected}\n");
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

/// What a proxy that asks cannot have, and what else it can. A key that comes later must be put into one of the two.
#[test]
fn each_key_that_needs_a_body_or_the_response_is_refused_where_a_proxy_asks() {
    let file = |keys: &str| format!("{LOGIN}{RESOURCE}{FORWARD_AUTH}{keys}");
    for keys in [
        "tools = { \"*\" = [] }",
        "prompts = { \"*\" = [] }",
        "resources = { \"*\" = [] }",
        "methods = { \"tools/list\" = [] }",
        "unknown_methods = \"deny\"",
        "limits = { tools = { \"*\" = \"1/s\" } }",
        "max_message_bytes = 1",
    ] {
        let error = |asks| {
            let config = Config::from_toml(&file(&format!("{asks}{keys}"))).expect(keys);
            config.protected_resources().err().map(|error| error.to_string())
        };
        let nginx = error(NGINX_ASKS).unwrap_or_default();
        assert!(nginx.contains("needs the body of requests"), "{keys}: {nginx}");
        let envoy = "forward_auth = { proxy = \"envoy\", from = [\"127.0.0.1\"], body = true }\n";
        assert_eq!(error(envoy), None, "{keys}");
    }
    for keys in [
        "filter_lists = true",
        "security_schemes = true",
        "session_keys = [\"env:KEY\"]",
        "security_events = { audiences = [\"a\"] }",
        "event_polls = [{ url = \"https://login.example.com/poll\", audiences = [\"a\"] }]",
        "insufficient_scope_as_tool_error = true",
        "insufficient_scope_hint = \"ask\"",
        "allowed_origins = [\"https://a.example\"]",
        "command = [\"server\"]",
        "process = \"shared\"",
        "env = { A = \"{sub}\" }",
        "max_processes = 1",
        "max_processes_per_principal = 1",
        "process_idle_timeout = 1",
        "upstream_headers = { A = \"env:A\" }",
        "exchange = { client_id = \"a\", secret = \"env:A\", audience = \"b\" }",
        "limits = { address = \"1/s\" }",
    ] {
        for asks in [
            NGINX_ASKS,
            "forward_auth = { proxy = \"envoy\", from = [\"127.0.0.1\"], body = true }\n",
        ] {
            let config = Config::from_toml(&file(&format!("{asks}{keys}"))).expect(keys);
            let error = config.protected_resources().err().map(|error| error.to_string());
            let error = error.unwrap_or_default();
            assert!(
                error.contains("cannot be set with `mode = \"forward-auth\"`"),
                "{keys}: {error}"
            );
        }
    }
}

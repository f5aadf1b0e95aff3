//! Providers by name: each row of the table with a metadata document and decoded tokens, signed by a test key.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use mcp_auth::{
    Audience, AuthorizationServer, CallerKind, ConfigError, Evidence, McpAuth, MetadataKind,
    Provider, Reason,
};
use mcp_auth_testkit::TestIssuer;
use serde_json::{Map, Value, json};

use crate::guide_table;
use crate::world::{RESOURCE, Web, admit, bearer};

const TENANT: &str = "22222222-2222-2222-2222-222222222222";
const OTHER_TENANT: &str = "33333333-3333-3333-3333-333333333333";
const OTHER_RESOURCE: &str = "https://other.example.com/mcp";

/// Each provider as a user configures it. Where the audience is `Own`, it is set, as the advice says.
fn server(id: &str) -> Option<AuthorizationServer> {
    type Server = AuthorizationServer;
    let app_id = "11111111-1111-1111-1111-111111111111";
    Some(match id {
        "auth0" => Server::auth0("acme.eu.auth0.com"),
        "okta" => Server::okta("acme.okta.com", "default"),
        "entra" => Server::entra(TENANT).audience(app_id),
        "entra_tenants" => Server::entra_tenants([OTHER_TENANT, TENANT]).audience(app_id),
        "entra_v1" => Server::entra_v1(TENANT).audience(format!("api://{app_id}")).audience(app_id),
        "entra_external_id" => Server::entra_external_id(TENANT).audience(app_id),
        "cognito" => Server::cognito("us-west-2_example", ["1example23456789"]),
        "keycloak" => Server::keycloak("https://sso.example.com", "mcp"),
        "logto" => Server::logto("acme.logto.app"),
        "authkit" => Server::authkit("acme.authkit.app"),
        "descope" => Server::descope("P2abc", "MS1"),
        "stytch" => Server::stytch("brave-fox-1234.customers.stytch.dev"),
        "clerk" => Server::clerk("well-hagfish-71.clerk.accounts.dev"),
        "supabase" => Server::supabase("abcdefgh"),
        "ory" => Server::ory("https://hydra.example.com/"),
        "zitadel" => Server::zitadel("acme.zitadel.cloud").audience("268900000000000000"),
        "authentik" => Server::authentik("https://auth.example.com", "mcp").audience("client1"),
        "authelia" => Server::authelia("https://auth.example.com"),
        "kanidm" => Server::kanidm("https://idm.example.com", "mcp"),
        "rauthy" => Server::rauthy("https://iam.example.com"),
        "dex" => Server::dex("https://dex.example.com").audience("mcp-api"),
        "pingone" => Server::pingone("auth.pingone.eu", "5caa81af-0000-4000-8000-000000000001"),
        "spring" => Server::spring("https://spring.example.com").audience("client"),
        "duende" => Server::duende("https://ids.example.com"),
        "better_auth" => Server::better_auth("https://app.example.com"),
        "scalekit" => Server::scalekit("https://acme.scalekit.com", "res_123"),
        "asgardeo" => Server::asgardeo("acme"),
        "github" => Server::github("Iv1.8a61f9b3a7aba766", "secret"),
        "github_enterprise" => Server::github_enterprise(
            "https://github.example.com",
            "Iv1.8a61f9b3a7aba766",
            "secret",
        ),
        "google" => Server::google(["123-abc.apps.googleusercontent.com"]),
        _ => return None,
    })
}

/// Whether only the provider's own API can validate its tokens: see `provider_apis.rs`.
fn can_introspect(provider: &Provider) -> bool {
    provider.audience == Audience::FromApi
}

/// A metadata document and two decoded tokens of one provider.
struct Fixture {
    provider: &'static Provider,
    document: Value,
    issuer: TestIssuer,
}

impl Fixture {
    fn of(provider: &'static Provider) -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/providers");
        let text = fs::read(folder.join(format!("{}.json", provider.id)));
        let text = text.unwrap_or_else(|_| panic!("{} has a fixture", provider.id));
        let document = serde_json::from_slice(&text).expect("JSON");
        Self { provider, document, issuer: TestIssuer::new() }
    }

    /// Serves what the provider publishes, and nothing else.
    fn web(&self) -> Web {
        let metadata = &self.document["metadata"];
        let (issuer, web) = (metadata["issuer"].as_str().expect("an issuer"), Web::default());
        let (origin, path) =
            issuer.split_at(issuer[8..].find('/').map_or(issuer.len(), |at| at + 8));
        let url = match (self.provider.metadata_url, self.provider.documents) {
            (Some(url), _) => url.replace("{tenantid}", TENANT),
            (None, [MetadataKind::OAuth, ..]) => {
                format!(
                    "{origin}/.well-known/oauth-authorization-server{}",
                    path.trim_end_matches('/')
                )
            }
            (None, _) => {
                format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'))
            }
        };
        let jwks_uri = metadata["jwks_uri"].as_str().expect("a URL");
        web.serve(&url, metadata.to_string()).serve(jwks_uri, self.issuer.jwks())
    }

    fn auth(&self) -> McpAuth {
        let server = server(self.provider.id).expect("a constructor").fetch(self.web());
        let auth =
            McpAuth::builder(RESOURCE).authorization_server(server.clock(self.issuer.clock()));
        auth.clock(self.issuer.clock()).build().expect("a description")
    }

    fn claims(&self, kind: &Value) -> Map<String, Value> {
        let mut claims = kind["claims"].as_object().expect("claims").clone();
        claims.insert("iat".into(), json!(1_700_000_000));
        claims.insert("exp".into(), json!(99_999_999_999_u64));
        claims
    }

    fn sign(&self, kind: &Value, claims: Map<String, Value>) -> String {
        let header = kind["header"].as_object().expect("a header");
        let token =
            self.issuer.token().without_header("typ").payload(Value::Object(claims).to_string());
        header.iter().fold(token, |token, (name, value)| token.header(name, value.clone())).sign()
    }

    async fn refusal(&self, auth: &McpAuth, token: &str) -> (Option<Reason>, String) {
        let denial = admit(auth, &bearer(token)).await.expect_err(self.provider.id);
        (denial.reason(), denial.operator_detail().unwrap_or_default().to_owned())
    }
}

fn with_fixture() -> impl Iterator<Item = Fixture> {
    Provider::ALL.iter().filter(|it| !can_introspect(it)).map(|it| Fixture::of(it))
}

#[tokio::test]
async fn each_providers_access_token_is_understood() {
    for fixture in with_fixture() {
        let (id, document) = (fixture.provider.id, &fixture.document);
        let token = fixture.sign(document, fixture.claims(document));
        let caller = admit(&fixture.auth(), &bearer(&token)).await;
        let caller = caller.unwrap_or_else(|denial| panic!("{id}: {denial}"));
        let expected = &document["caller"];
        assert_eq!(caller.subject(), expected["subject"], "{id}");
        assert_eq!(json!(caller.client_id()), expected["client_id"], "{id}");
        assert_eq!(caller.scopes().as_str(), expected["scopes"], "{id}");
        assert_eq!(caller.issuer(), document["claims"]["iss"], "{id}");
    }
}

#[tokio::test]
async fn id_tokens_and_tokens_of_other_tenants_or_resources_are_refused() {
    for fixture in with_fixture() {
        let (id, document, auth) = (fixture.provider.id, &fixture.document, fixture.auth());
        let of_id = &document["id_token"];
        let (reason, _) = fixture.refusal(&auth, &fixture.sign(of_id, fixture.claims(of_id))).await;
        let is_of_kind = matches!(reason, Some(Reason::Type | Reason::Audience | Reason::Claims));
        assert!(is_of_kind, "{id}: an ID token is {reason:?}");
        let is_marked = !fixture.provider.markers.is_empty();
        assert!(
            !is_marked || reason == Some(Reason::Type),
            "{id}: its marks tell, not its audience"
        );

        let mut elsewhere = fixture.claims(document);
        elsewhere.insert("iss".into(), document["other_issuer"].clone());
        let (reason, _) = fixture.refusal(&auth, &fixture.sign(document, elsewhere)).await;
        assert_eq!(reason, Some(Reason::Issuer), "{id}: another tenant");

        let mut for_another = fixture.claims(document);
        for_another.insert("aud".into(), json!(OTHER_RESOURCE));
        let (reason, detail) = fixture.refusal(&auth, &fixture.sign(document, for_another)).await;
        assert_eq!(reason, Some(Reason::Audience), "{id}: another resource");
        assert!(detail.contains(fixture.provider.advice), "{id}: {detail}");

        let mut for_nobody = fixture.claims(document);
        for_nobody.remove("aud");
        for_nobody.insert("client_id".into(), json!("somebody-else"));
        let (reason, _) = fixture.refusal(&auth, &fixture.sign(document, for_nobody)).await;
        assert_eq!(reason, Some(Reason::Audience), "{id}: no audience, and a foreign client");
    }
}

#[tokio::test]
async fn a_providers_audience_rule_applies_to_that_issuer_only() {
    // The audience rule of one provider does not admit a token of another issuer.
    let issuer = TestIssuer::new();
    let auth = McpAuth::builder(RESOURCE)
        .authorization_server(AuthorizationServer::supabase("abcdefgh"))
        .authorization_server(issuer.authorization_server())
        .clock(issuer.clock())
        .build()
        .expect("a description");
    let token = issuer.token().audience("authenticated").sign();
    let denial = admit(&auth, &bearer(&token)).await.expect_err("refused");
    assert_eq!(denial.reason(), Some(Reason::Audience));
}

#[tokio::test]
async fn dangerous_settings_apply_to_one_issuer_only() {
    let (issuer, other) =
        (TestIssuer::new(), TestIssuer::builder().issuer("https://other.test").build());
    type Change = fn(AuthorizationServer) -> AuthorizationServer;
    let by_client: Change = |server| server.dangerous_clients_instead_of_audience(["ours"]);
    let any: Change = |server| server.dangerous_any_audience();
    let alias: Change = |server| server.audience("ours");
    let permissions: Change = |server| server.scope_claims(["permissions"]);
    let (ours, theirs) =
        (|| issuer.token().client_id("ours"), || issuer.token().client_id("theirs"));
    let rows = [
        (by_client, ours().without("aud"), true),
        (by_client, theirs().without("aud"), false),
        (by_client, ours().audience(OTHER_RESOURCE), false),
        (by_client, other.token().client_id("ours").without("aud"), false),
        (any, theirs().audience(OTHER_RESOURCE), true),
        (any, theirs().without("aud"), true),
        (any, other.token().audience(OTHER_RESOURCE), false),
        (alias, theirs().audience("ours"), true),
        (alias, theirs().audience("OURS"), false),
        (alias, other.token().audience("ours"), false),
        (permissions, ours().claim("permissions", json!(["a", "b"])).scopes(["c"]), true),
    ];
    for (i, (change, token, is_admitted)) in rows.into_iter().enumerate() {
        let auth = McpAuth::builder(RESOURCE)
            .authorization_server(change(issuer.authorization_server()))
            .authorization_server(other.authorization_server())
            .clock(issuer.clock())
            .build()
            .expect("a description");
        let admitted = admit(&auth, &bearer(&token.sign())).await;
        assert_eq!(admitted.is_ok(), is_admitted, "row {i}: {admitted:?}");
        if i == 10 {
            assert_eq!(admitted.expect("admitted").scopes().as_str(), "a b");
        }
    }
}

#[tokio::test]
async fn authorization_details_may_name_the_resource_as_their_issuer_does() {
    let (issuer, other) =
        (TestIssuer::new(), TestIssuer::builder().issuer("https://other.test").build());
    let auth = McpAuth::builder(RESOURCE)
        .authorization_server(issuer.authorization_server().audience("api://orders"))
        .authorization_server(other.authorization_server())
        .clock(issuer.clock())
        .build()
        .expect("a description");
    let detail = |place: &str| json!([{ "type": "pay", "locations": [place] }]);
    let rows = [
        (issuer.token().audience("api://orders"), "api://orders", 1),
        (issuer.token(), "api://orders", 1),
        (issuer.token().audience("api://orders"), RESOURCE, 1),
        (issuer.token().audience("api://orders"), "api://ORDERS", 0),
        (issuer.token().audience("api://orders"), "api://mail", 0),
        (other.token(), "api://orders", 0),
        (other.token(), RESOURCE, 1),
    ];
    for (token, place, number) in rows {
        let token = token.claim("authorization_details", detail(place)).sign();
        let caller = admit(&auth, &bearer(&token)).await.expect("admitted");
        assert_eq!(caller.authorization_details("pay").len(), number, "{place} {caller:?}");
    }
}

#[tokio::test]
async fn entra_scopes_come_from_scp_for_users_and_roles_for_applications() {
    let fixture = Fixture::of(Provider::find("entra").expect("a row"));
    let auth = fixture.auth();
    for (scp, roles, scopes) in [
        (Some("mcp.read"), Some(json!(["mcp.admin"])), "mcp.read"),
        (Some(""), Some(json!(["mcp.admin"])), ""),
        (None, Some(json!(["mcp.invoke", "mcp.read"])), "mcp.invoke mcp.read"),
        (None, None, ""),
    ] {
        let mut claims = fixture.claims(&fixture.document);
        claims.remove("scp");
        scp.map(|scp| claims.insert("scp".into(), json!(scp)));
        roles.map(|roles| claims.insert("roles".into(), roles));
        let token = fixture.sign(&fixture.document, claims);
        let caller = admit(&auth, &bearer(&token)).await.expect("admitted");
        assert_eq!(caller.scopes().as_str(), scopes);
    }
}

/// Which claims show that a user logged in depends on the provider.
#[tokio::test]
async fn users_are_recognized_by_provider_specific_claims() {
    use CallerKind::{Unknown, User};
    let rows = [
        ("okta", &["auth_time"][..], User),
        ("okta", &["uid"], User),
        ("okta", &["auth_time", "uid"], Unknown),
        ("authentik", &["auth_time"], User),
        ("authentik", &["amr"], Unknown), // a service account: its `auth_time` is the current time
        ("keycloak", &["auth_time"], Unknown),
    ];
    for (id, without, kind) in rows {
        let fixture = Fixture::of(Provider::find(id).expect("a row"));
        let mut claims = fixture.claims(&fixture.document);
        claims.retain(|name, _| !without.contains(&&**name));
        let token = fixture.sign(&fixture.document, claims);
        let caller = admit(&fixture.auth(), &bearer(&token)).await.expect("admitted");
        assert_eq!(caller.kind(), kind, "{id} without {without:?}");
    }
}

#[tokio::test]
async fn a_token_of_microsoft_graph_is_named_to_the_operator() {
    let fixture = Fixture::of(Provider::find("entra").expect("a row"));
    let thief = TestIssuer::new();
    let claims = Value::Object(fixture.claims(&fixture.document)).to_string();
    let token = thief.token().typ("JWT").header("nonce", "abc").payload(claims).sign();
    let (reason, detail) = fixture.refusal(&fixture.auth(), &token).await;
    assert_eq!(reason, Some(Reason::Signature));
    assert!(detail.contains("Graph"), "{detail}");
}

#[tokio::test]
async fn an_issuer_that_is_nearly_right_is_explained_by_its_provider() {
    for (id, iss, word) in [
        (
            "entra",
            "https://sts.windows.net/22222222-2222-2222-2222-222222222222/",
            "requestedAccessTokenVersion",
        ),
        ("okta", "https://acme.okta.com", "custom authorization server"),
        ("auth0", "https://acme.eu.auth0.com", "slash"),
    ] {
        let fixture = Fixture::of(Provider::find(id).expect("a row"));
        let mut claims = fixture.claims(&fixture.document);
        claims.insert("iss".into(), json!(iss));
        let token = fixture.sign(&fixture.document, claims);
        let (reason, detail) = fixture.refusal(&fixture.auth(), &token).await;
        assert_eq!(reason, Some(Reason::Issuer));
        assert!(detail.contains(word), "{detail}");
    }
}

#[tokio::test]
async fn an_opaque_token_is_explained_by_its_provider() {
    for (id, token) in [("auth0", "opaque"), ("auth0", "a.b.c.d.e"), ("logto", "x.y")] {
        let fixture = Fixture::of(Provider::find(id).expect("a row"));
        let (_, detail) = fixture.refusal(&fixture.auth(), token).await;
        assert!(detail.contains(fixture.provider.opaque), "{id}: {detail}");
    }
}

/// The tokens of the application's own pages are signed with the same keys, and the plugin that signs them can be
/// configured with any issuer and audience.
#[tokio::test]
async fn a_better_auth_session_token_is_not_an_access_token() {
    let fixture = Fixture::of(Provider::find("better_auth").expect("a row"));
    let (auth, session) = (fixture.auth(), &fixture.document["session_token"]);
    let as_it_is = fixture.claims(session);
    let mut as_told = as_it_is.clone();
    as_told.insert("iss".into(), fixture.document["claims"]["iss"].clone());
    as_told.insert("aud".into(), json!(RESOURCE));
    for (claims, expected) in [(as_it_is, Reason::Issuer), (as_told, Reason::Type)] {
        let (reason, _) = fixture.refusal(&auth, &fixture.sign(session, claims)).await;
        assert_eq!(reason, Some(expected));
    }
}

#[tokio::test]
async fn cognito_tokens_are_checked_by_client_id_and_token_use() {
    let fixture = Fixture::of(Provider::find("cognito").expect("a row"));
    let auth = fixture.auth();
    for (claim, value, expected) in [
        ("aud", json!(RESOURCE), Ok(())),
        ("aud", json!([]), Ok(())),
        ("aud", json!("1example23456789"), Err(Reason::Audience)),
        ("client_id", json!("another"), Err(Reason::Audience)),
        ("client_id", Value::Null, Err(Reason::Audience)),
        ("token_use", json!("id"), Err(Reason::Type)),
        ("token_use", Value::Null, Err(Reason::Type)),
    ] {
        let mut claims = fixture.claims(&fixture.document);
        claims.insert(claim.into(), value.clone());
        let admitted = admit(&auth, &bearer(&fixture.sign(&fixture.document, claims))).await;
        let outcome = admitted.map(drop).map_err(|denial| denial.reason());
        assert_eq!(outcome, expected.map_err(Some), "{claim} {value}");
    }
}

#[test]
fn missing_provider_parameters_are_errors_of_build() {
    type Server = AuthorizationServer;
    for (server, word) in [
        (Server::entra("contoso.onmicrosoft.com"), "GUID"),
        (Server::entra("common"), "GUID"),
        (Server::entra_tenants(["contoso.onmicrosoft.com"]), "GUID"),
        (Server::entra_tenants([TENANT, "organizations"]), "GUID"),
        (Server::entra_tenants([""; 0]), "GUID"),
        (Server::auth0(""), "domain"),
        (Server::keycloak("https://sso.example.com", ""), "realm"),
        (Server::cognito("us-west-2_example", [""; 0]), "Cognito"),
        (Server::cognito("us-west-2_example", [""]), "environment variable"),
        (Server::cognito("example", ["client"]), "pool"),
        (Server::supabase("abc").audience(""), "environment variable"),
        (Server::provider("auth0", [("realm", "x")]), "domain"),
        (Server::template("https://h.example/{t}", "https://h.example/m").tenants([""; 0]), "list"),
        (
            Server::template("https://h.example/t", "https://h.example/m").tenants(["t"]),
            "placeholder",
        ),
        (
            Server::template("https://h.example/{a}/{b}", "https://h.example/m").tenants(["t"]),
            "placeholder",
        ),
        (
            Server::template("https://h.example/{t}", "https://h.example/m").tenants(["a/b"]),
            "tenants",
        ),
    ] {
        let built = McpAuth::builder(RESOURCE).authorization_server(&server).build();
        let Err(ConfigError::Provider(message)) = built else { panic!("{server:?}: {built:?}") };
        assert!(message.contains(word), "{message}");
    }
    let unknown = McpAuth::builder(RESOURCE).authorization_server(Server::provider("auth00", []));
    assert_eq!(unknown.build().err(), Some(ConfigError::Issuer("auth00".into())));
}

#[test]
fn every_row_has_a_constructor_a_fixture_and_a_source() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/providers");
    let seen = fs::read_to_string(folder.join("../../../../../e2e/README.md")).expect("it");
    let mut ids = BTreeSet::new();
    for row in Provider::ALL {
        assert!(ids.insert(row.id), "{} comes twice", row.id);
        assert!(row.source.starts_with("https://"), "{}: a source", row.id);
        assert!(!row.advice.is_empty() && !row.advice.ends_with('.'), "{}: advice", row.id);
        let is_seen = row.evidence == Evidence::SeenLive;
        assert!(!is_seen || seen.contains(row.id), "{}: say by which scenario", row.id);
        let server = server(row.id).unwrap_or_else(|| panic!("{} has a constructor", row.id));
        assert!(row.id == "entra_tenants" || !server.issuer().contains('{'), "{}", row.id);
        assert!(folder.join(format!("{}.json", row.id)).exists(), "{} has a fixture", row.id);
    }
    for file in fs::read_dir(folder).expect("the fixtures").flatten() {
        let name = file.file_name().to_string_lossy().replace(".json", "");
        assert!(ids.contains(&*name), "{name} is in the table");
    }
}

#[test]
fn the_readme_says_how_many_there_are() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let number = Provider::ALL.len();
    for (file, words) in [
        ("README.md", format!("[{number} providers by name]")),
        ("CHANGELOG.md", format!("**Providers by name**: {number} of them")),
    ] {
        let text = fs::read_to_string(root.join(file)).expect("the page");
        assert!(text.contains(&words), "{file} does not say {words:?}");
    }
}

#[test]
fn the_guide_page_matches_the_provider_table() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/guide/providers.md");
    let found = fs::read_to_string(&page).expect("the page");
    let expected = guide_table::written_into(&found);
    if found != expected && std::env::var_os("UPDATE_GUIDE").is_some() {
        fs::write(&page, expected).expect("the page can be written");
        return;
    }
    assert!(found == expected, "run it with UPDATE_GUIDE=1 to write the table again");
}

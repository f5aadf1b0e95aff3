//! Configuration errors are reported by `build()`, with what to change.

use std::time::Duration;

use mcp_auth::metadata::ServerMetadata;
use mcp_auth::{
    AnyOf, AuthorizationServer, ConfigError, Credentials, Denial, McpAuth, McpAuthBuilder, Reason,
};
use mcp_auth_testkit::{Endpoint, TestIssuer, Trouble};

use crate::world::{RESOURCE, admit, bearer, status};

const ISSUER: &str = "https://auth.example.com";

fn builder() -> McpAuthBuilder {
    McpAuth::builder(RESOURCE).authorization_server(ISSUER)
}

#[test]
fn each_invalid_setting_has_its_config_error() {
    use ConfigError as E;
    let text = str::to_owned;
    let resource =
        |url: &str| (McpAuth::builder(url).authorization_server(ISSUER), E::Resource(text(url)));
    let issuer =
        |url: &str| (McpAuth::builder(RESOURCE).authorization_server(url), E::Issuer(text(url)));
    let origin = |origin: &str| (builder().allowed_origins([origin]), E::Origin(text(origin)));
    let keyless: mcp_auth::metadata::MetadataDocument =
        serde_json::from_value(serde_json::json!({"issuer": ISSUER})).expect("an object");
    let rows = vec![
        resource(""),
        resource("api.example.com/mcp"),
        resource("http://api.example.com/mcp"),
        resource("https://api.example.com/mcp#part"),
        resource("https://api.example.com/{mcp}"),
        resource("urn:mcp"),
        resource("http://localhost:*/mcp"),
        resource("https://api.example.com::80/mcp"),
        resource("https://api.example.com:70000/mcp"),
        resource("https://api.example.com:https/mcp"),
        resource("https://api.example.com/.well-known/oauth-protected-resource"),
        (McpAuth::builder(RESOURCE), E::NoAuthorizationServer),
        issuer(""),
        issuer("http://auth.example.com"),
        issuer("https://auth.example.com?x=1"),
        issuer("https://auth.example.com#x"),
        issuer("https://auth.example.com::80"),
        (builder().authorization_server(ISSUER), E::Issuer(text(ISSUER))),
        (builder().trusted_issuer(""), E::Issuer(String::new())),
        (builder().audience(""), E::Audience),
        (builder().leeway(Duration::from_secs(301)), E::Leeway(Duration::from_secs(301))),
        (builder().required_scopes(["a\"b"]), E::Scope(text("a\"b"))),
        (builder().required_scopes(AnyOf(["a", "ü"])), E::Scope(text("ü"))),
        (builder().implies("a", ["b\n"]), E::Scope(text("b\n"))),
        (builder().metadata(|it| it.scopes_supported(["\\"])), E::Scope(text("\\"))),
        (builder().implies("a", ["b"]).implies("b", ["a"]), E::CircularScopes(text("a"))),
        (builder().session_keys([""; 0]), E::NoSessionKeys),
        (builder().session_keys(["k".repeat(32), "k".repeat(31)]), E::ShortSessionKey(31)),
        origin("example.com"),
        origin("https://example.com:x"),
        origin("https://example.com:70000"),
        origin("https://example.com/"),
        origin("https://*.example.com"),
        origin("*"),
        origin("null"),
        (
            McpAuth::builder(RESOURCE).authorization_server(
                AuthorizationServer::from_metadata_url(ISSUER, "http://evil.example/x"),
            ),
            E::Url(text("http://evil.example/x")),
        ),
        (
            McpAuth::builder(RESOURCE).authorization_server(AuthorizationServer::from_metadata(
                ServerMetadata::new(ISSUER, "ftp://x"),
            )),
            E::Url(text("ftp://x")),
        ),
        (
            McpAuth::builder(RESOURCE)
                .authorization_server(AuthorizationServer::from_metadata(keyless.into())),
            E::NoKeys(text(ISSUER)),
        ),
        (
            McpAuth::builder(RESOURCE).authorization_server(AuthorizationServer::external(ISSUER)),
            E::NoKeys(text(ISSUER)),
        ),
    ];
    for (i, (builder, expected)) in rows.into_iter().enumerate() {
        let error = builder.build().err();
        assert_eq!(error, Some(expected), "row {i}");
        assert!(error.is_some_and(|error| error.to_string().len() > 40), "it says what to change");
    }
}

#[test]
fn valid_settings_are_accepted() {
    for url in [
        "https://h",
        "https://h/",
        "https://h:8443/a/b?x=1",
        "http://localhost:3000/mcp",
        "http://[::1]:3000/mcp",
    ] {
        assert!(McpAuth::builder(url).authorization_server(ISSUER).build().is_ok(), "{url}");
    }
    let issuers = builder()
        .authorization_server("https://tenant.auth0.com/")
        .authorization_server("http://127.0.0.1:9000/o");
    assert!(issuers.build().is_ok());
    assert!(builder().session_keys([[7; 32], [8; 32]]).build().is_ok());
}

#[test]
fn every_member_of_the_metadata_can_be_set_and_ours_cannot_be_changed() {
    let auth = builder()
        .required_scopes("read")
        .metadata(|it| {
            it.resource_name("Notes")
                .resource_name_in("fr", "Carnet")
                .resource_documentation("https://example.com/docs")
                .resource_documentation_in("fr", "https://example.com/fr/docs")
                .resource_policy_uri("https://example.com/policy")
                .resource_tos_uri("https://example.com/tos")
                .jwks_uri("https://example.com/jwks".into())
                .resource_signing_alg_values_supported(vec!["ES256".into()])
                .tls_client_certificate_bound_access_tokens(false)
                .authorization_details_types_supported(vec!["notes".into()])
                .dpop_signing_alg_values_supported(Vec::new())
                .dpop_bound_access_tokens_required(false)
                .signed_metadata("a.b.c".into())
                .member("x-team", "blue")
                .member("resource", "https://evil.example")
                .member("authorization_servers", vec!["https://evil.example"])
        })
        .build()
        .expect("a description");
    insta::assert_snapshot!(auth.metadata_json());
}

#[test]
fn issuers_are_published_byte_for_byte_and_in_their_order() {
    let auth = McpAuth::builder("https://API.example.com/mcp")
        .authorization_server("https://tenant.auth0.com/")
        .authorization_server("https://Auth.example.com:443/o")
        .build()
        .expect("a description");
    let document: serde_json::Value = serde_json::from_str(auth.metadata_json()).expect("JSON");
    assert_eq!(document["resource"], "https://API.example.com/mcp");
    assert_eq!(
        document["authorization_servers"],
        serde_json::json!(["https://tenant.auth0.com/", "https://Auth.example.com:443/o"])
    );
}

#[test]
fn scopes_supported_may_differ_from_the_required_scopes() {
    let parts = |auth: Result<McpAuth, ConfigError>| {
        let auth = auth.expect("a description");
        let challenge = auth.challenge(&Denial::no_credentials()).expect("a challenge");
        let document: serde_json::Value = serde_json::from_str(auth.metadata_json()).expect("JSON");
        let published = document.get("scopes_supported").map(serde_json::Value::to_string);
        (published, challenge.scope.map(|scope| scope.to_string()))
    };
    let text = |text: &str| Some(text.to_owned());
    assert_eq!(parts(builder().build()), (None, None), "an empty list is left out");
    assert_eq!(
        parts(builder().required_scopes("read write").build()),
        (text(r#"["read","write"]"#), text("read write"))
    );
    let basic = |builder: McpAuthBuilder| builder.metadata(|it| it.scopes_supported(["basic"]));
    assert_eq!(parts(basic(builder()).build()), (text(r#"["basic"]"#), text("basic")));
    assert_eq!(
        parts(basic(builder().required_scopes("read write")).build()),
        (text(r#"["basic"]"#), text("read write"))
    );
}

#[tokio::test]
async fn polling_readiness_triggers_the_key_fetch() {
    let issuer = TestIssuer::new();
    issuer.trouble(Endpoint::Jwks, Trouble::Down);
    let auth = issuer.protects(RESOURCE).build().expect("a description");
    let probe = || async {
        let readiness = auth.readiness();
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        readiness.is_ready()
    };
    assert!(!probe().await && !probe().await);
    assert_eq!(issuer.jwks_requests(), 1, "the backoff after the failure is kept");
    issuer.recover();
    issuer.clock().advance(Duration::from_secs(1));
    assert!(!probe().await && probe().await);

    let mine = |_: Credentials| async { Err(Denial::invalid(Reason::Inactive)) };
    let auth = builder().verifier(mine).build().expect("a description");
    assert!(auth.readiness().is_ready() && auth.warm_up().await.is_ok(), "no keys are needed");
}

#[tokio::test]
async fn cached_tokens_zero_disables_the_token_cache() {
    let issuer = TestIssuer::new();
    let auth = issuer.protects(RESOURCE).cached_tokens(0).build().expect("a description");
    let token = issuer.token().sign();
    assert_eq!((status(&auth, &token).await, status(&auth, &token).await), (200, 200));
}

#[tokio::test]
async fn with_claims_does_not_change_subject_client_or_audience() {
    let issuer = TestIssuer::new();
    let keys = mcp_auth::jwt::KeySet::parse(issuer.jwks().as_bytes()).expect("keys");
    let rules = mcp_auth::jwt::JwtRules::new(issuer.url());
    let reworded = move |credentials: Credentials| {
        let token = mcp_auth::jwt::verify(credentials.token().expose(), &keys, &rules);
        async move {
            let claims =
                serde_json::json!({"a-name-long-enough-to-reach-over": "everything that was read"});
            token?.with_claims(&claims).map_err(|_| Denial::invalid(Reason::Claims))
        }
    };
    let auth = issuer.protects(RESOURCE).verifier(reworded).build().expect("a description");
    let caller = admit(&auth, &bearer(&issuer.token().sign())).await.expect("admitted");
    assert_eq!((caller.subject(), caller.client_id()), ("alice", Some("test-client")));
    assert_eq!(caller.audience().collect::<Vec<_>>(), [RESOURCE]);
    assert!(
        mcp_auth::VerifiedToken::assert("https://a.example", "a").with_claims(&[1, 2]).is_err()
    );
}

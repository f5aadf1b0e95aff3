//! Settings of one issuer: an internal URL, `typ`, and the claims that mark its access tokens.

use std::time::Duration;

use mcp_auth::jwt::Profile;
use mcp_auth::metadata::ServerMetadata;
use mcp_auth::{AuthorizationServer, ConfigError, Introspection, McpAuth, Reason};
use mcp_auth_testkit::TestIssuer;
use serde_json::json;

use crate::world::{RESOURCE, Web, admit, bearer};

const ISSUER: &str = "https://login.example.com/realms/mcp";
const INTERNAL: &str = "https://keycloak.internal:8443";
const AS_METADATA: &str = "/.well-known/oauth-authorization-server/realms/mcp";

/// An issuer whose URLs are public, and the same documents at an internal address.
struct World {
    issuer: TestIssuer,
    web: Web,
}

impl World {
    /// `base` is where the documents are served, `named` the origin that the metadata names in its `jwks_uri`.
    fn new(base: &str, named: &str) -> Self {
        let issuer = TestIssuer::builder().issuer(ISSUER).build();
        issuer.resource(RESOURCE, [""; 0]);
        let metadata = json!({
            "issuer": ISSUER,
            "jwks_uri": format!("{named}/realms/mcp/certs"),
            "introspection_endpoint": format!("{named}/realms/mcp/introspect"),
        });
        let web = Web::default()
            .serve(&format!("{base}{AS_METADATA}"), metadata.to_string())
            .serve(&format!("{base}/realms/mcp/certs"), issuer.jwks());
        Self { issuer, web }
    }

    fn server(&self) -> AuthorizationServer {
        let server = AuthorizationServer::discover(ISSUER).internal_url(INTERNAL);
        server.fetch(self.web.clone()).clock(self.issuer.clone())
    }

    fn auth(&self, server: AuthorizationServer) -> McpAuth {
        let auth = McpAuth::builder(RESOURCE).authorization_server(server);
        auth.clock(self.issuer.clone()).build().expect("a configuration")
    }
}

#[tokio::test]
async fn documents_of_a_public_issuer_are_fetched_at_its_internal_url_only() {
    for named in ["https://login.example.com", INTERNAL] {
        let world = World::new(INTERNAL, named);
        let auth = world.auth(world.server());
        let token = world.issuer.token().sign();
        let caller = admit(&auth, &bearer(&token)).await.expect("admitted");
        assert_eq!(caller.issuer(), ISSUER);
        let asked = [AS_METADATA, "/realms/mcp/certs"].map(|path| format!("{INTERNAL}{path}"));
        assert_eq!(world.web.asked_for(), asked);
        assert!(
            auth.metadata_json().contains(ISSUER) && !auth.metadata_json().contains("internal")
        );
    }
}

#[tokio::test]
async fn the_issuer_that_tokens_and_metadata_must_name_stays_the_public_one() {
    let world = World::new(INTERNAL, INTERNAL);
    let auth = world.auth(world.server());
    for issuer in
        [&format!("{INTERNAL}/realms/mcp"), "https://login.example.com/realms/mcp/", INTERNAL]
    {
        let token = world.issuer.token().claim("iss", issuer.to_owned()).sign();
        let denial = admit(&auth, &bearer(&token)).await.expect_err("refused");
        assert_eq!(denial.reason(), Some(Reason::Issuer), "{issuer}");
    }
    assert!(world.web.asked_for().is_empty());
    // A server that writes its internal URL into the metadata is not the issuer that was configured.
    let metadata = json!({"issuer": format!("{INTERNAL}/realms/mcp"), "jwks_uri": format!("{INTERNAL}/realms/mcp/certs")});
    let web = Web::default().serve(&format!("{INTERNAL}{AS_METADATA}"), metadata.to_string());
    let server = AuthorizationServer::discover(ISSUER).internal_url(INTERNAL).fetch(web);
    let error = server.metadata().await.expect_err("another issuer");
    let cause = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
    assert!(cause.contains("KC_HOSTNAME"), "{cause}");
    // Keys that were not asked for have the cause of the metadata, and no other sentence: no connection has failed.
    let error = server.warm_up().await.expect_err("another issuer");
    let cause = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
    assert!(cause.contains("KC_HOSTNAME"), "{cause}");
}

#[tokio::test]
async fn what_other_metadata_names_is_not_sent_to_the_internal_url() {
    // Another issuer names the public issuer's URLs: they are fetched where they say.
    let stranger = "https://stranger.example.com";
    let metadata =
        json!({"issuer": stranger, "jwks_uri": "https://login.example.com/realms/mcp/certs"});
    let web = Web::default()
        .serve(&format!("{stranger}/.well-known/oauth-authorization-server"), metadata.to_string());
    let ours = AuthorizationServer::discover(ISSUER).internal_url(INTERNAL).fetch(web.clone());
    let theirs = AuthorizationServer::discover(stranger).fetch(web.clone());
    let auth = McpAuth::builder(RESOURCE).authorization_server(ours).authorization_server(&theirs);
    auth.build().expect("a configuration");
    theirs.warm_up().await.expect_err("there are no keys");
    let asked = web.asked_for();
    assert_eq!(
        asked.last().map(String::as_str),
        Some("https://login.example.com/realms/mcp/certs")
    );
    assert!(asked.iter().all(|url| !url.contains("internal")), "{asked:?}");
    // The issuer's own metadata names URLs that look like its own.
    for (jwks_uri, asked) in [
        (
            "https://login.example.com.evil.example/certs",
            Some("https://login.example.com.evil.example/certs"),
        ),
        ("https://login.example.com:444/certs", Some("https://login.example.com:444/certs")),
        ("https://login.example.com@evil.example/certs", None),
        ("http://login.example.com/certs", None),
        ("http://127.0.0.1:9090/certs", None),
    ] {
        let metadata = json!({"issuer": ISSUER, "jwks_uri": jwks_uri});
        let web = Web::default().serve(&format!("{INTERNAL}{AS_METADATA}"), metadata.to_string());
        let server =
            AuthorizationServer::discover(ISSUER).internal_url(INTERNAL).fetch(web.clone());
        server.warm_up().await.expect_err("there are no keys");
        let fetched = web.asked_for().into_iter().find(|url| url.ends_with("/certs"));
        assert_eq!(fetched.as_deref(), asked, "{jwks_uri}");
    }
}

#[tokio::test]
async fn a_local_internal_url_may_be_plain_http_and_opens_no_other_port() {
    let local = "http://127.0.0.1:8080";
    let world = World::new(local, "https://login.example.com");
    let server = AuthorizationServer::discover(ISSUER).internal_url(local).fetch(world.web.clone());
    let auth = world.auth(server.clock(world.issuer.clone()));
    admit(&auth, &bearer(&world.issuer.token().sign())).await.expect("admitted");
    assert!(world.web.asked_for().iter().all(|url| url.starts_with(local)));
    let metadata = json!({"issuer": ISSUER, "jwks_uri": "http://127.0.0.1:6379/"});
    let web = Web::default().serve(&format!("{local}{AS_METADATA}"), metadata.to_string());
    let server = AuthorizationServer::discover(ISSUER).internal_url(local).fetch(web.clone());
    server.warm_up().await.expect_err("another port");
    assert!(web.asked_for().iter().all(|url| url.starts_with(local)), "{:?}", web.asked_for());
}

#[tokio::test]
async fn introspection_named_by_the_metadata_is_at_the_internal_url_and_a_given_endpoint_where_it_says()
 {
    for (endpoint, asked) in [
        (None, format!("{INTERNAL}/realms/mcp/introspect")),
        (Some("https://login.example.com/other"), "https://login.example.com/other".to_owned()),
    ] {
        let world = World::new(INTERNAL, "https://login.example.com");
        let introspection = Introspection::basic("id", "hush");
        let introspection = match endpoint {
            Some(endpoint) => introspection.endpoint(endpoint),
            None => introspection,
        };
        let auth = world.auth(world.server().introspection(introspection));
        admit(&auth, &bearer("opaque")).await.expect_err("404");
        assert_eq!(world.web.asked_for().last(), Some(&asked));
    }
}

#[tokio::test]
async fn an_issuers_own_types_are_accepted_and_only_those() {
    let issuer = TestIssuer::new();
    let server = || issuer.authorization_server();
    let id_token = |typ: &str| issuer.token().typ(typ).claim("nonce", "n");
    let auth = |server: AuthorizationServer| {
        issuer.resource(RESOURCE, [""; 0]);
        let auth = McpAuth::builder(RESOURCE).authorization_server(server);
        auth.clock(issuer.clone()).build().expect("a configuration")
    };
    for (types, typ, is_admitted) in [
        (&["acme+jwt"][..], Some("acme+jwt"), true),
        (&["acme+jwt"], Some("ACME+JWT"), true),
        (&["acme+jwt"], Some("application/acme+jwt"), true),
        (&["application/acme+jwt"], Some("acme+jwt"), true),
        (&["acme+jwt"], Some("at+jwt"), false),
        (&["acme+jwt"], Some("JWT"), false),
        (&["acme+jwt"], None, false),
        (&["acme+jwt"], Some("acme"), false),
        (&["acme+jwt"], Some("acme+jwt2"), false),
        (&["acme+jwt"], Some("logout+jwt"), false),
        (&["acme+jwt", "at+jwt"], Some("at+jwt"), true),
        (&["JWT"], None, true),
        (&["JWT"], Some("at+jwt"), false),
    ] {
        let token = issuer.token();
        let token = match typ {
            Some(typ) => token.typ(typ).sign(),
            None => token.without_header("typ").sign(),
        };
        let outcome = admit(&auth(server().typ(types)), &bearer(&token)).await;
        assert_eq!(outcome.is_ok(), is_admitted, "{types:?} {typ:?}");
        if let Err(denial) = outcome {
            assert_eq!(denial.reason(), Some(Reason::Type));
        }
    }
    // The claims of other tokens are still refused, and the profile still requires its own.
    for typ in ["acme+jwt", "JWT"] {
        let outcome = admit(&auth(server().typ([typ])), &bearer(&id_token(typ).sign())).await;
        assert_eq!(outcome.err().and_then(|denial| denial.reason()), Some(Reason::Type), "{typ}");
    }
    let strict = || auth(server().typ(["acme+jwt"]).profile(Profile::Rfc9068));
    let token = || issuer.token().typ("acme+jwt");
    admit(&strict(), &bearer(&token().sign())).await.expect("admitted");
    let denial =
        admit(&strict(), &bearer(&token().without("jti").sign())).await.expect_err("no jti");
    assert_eq!(denial.reason(), Some(Reason::Claims));
    let denial =
        admit(&strict(), &bearer(&id_token("acme+jwt").sign())).await.expect_err("an ID token");
    assert_eq!(denial.reason(), Some(Reason::Type));
    // Another issuer of the same resource keeps its own rule.
    let other = TestIssuer::builder().issuer("https://other.test").build();
    other.resource(RESOURCE, [""; 0]);
    let both = McpAuth::builder(RESOURCE)
        .authorization_server(server().typ(["acme+jwt"]))
        .authorization_server(other.authorization_server())
        .clock(issuer.clone())
        .build()
        .expect("a configuration");
    admit(&both, &bearer(&other.token().sign())).await.expect("admitted");
    admit(&both, &bearer(&other.token().typ("acme+jwt").sign())).await.expect_err("not its type");
    admit(&both, &bearer(&issuer.token().sign())).await.expect_err("not its type");
}

#[tokio::test]
async fn a_required_claim_marks_access_tokens_of_its_issuer() {
    let issuer = TestIssuer::new();
    issuer.resource(RESOURCE, [""; 0]);
    let auth = |server: AuthorizationServer| {
        let auth = McpAuth::builder(RESOURCE).authorization_server(server);
        auth.clock(issuer.clone()).build().expect("a configuration")
    };
    let has = || auth(issuer.authorization_server().required_claim("scp"));
    let is = || auth(issuer.authorization_server().required_claim_value("token_use", "access"));
    let both = || {
        let server = issuer.authorization_server().required_claim("scp");
        auth(server.required_claim_value("token_use", "access"))
    };
    let token = || issuer.token();
    for (auth, token, is_admitted) in [
        (has(), token().claim("scp", "a"), true),
        (has(), token().claim("scp", json!([])), true),
        (has(), token().claim("scp", json!(null)), false),
        (has(), token(), false),
        (is(), token().claim("token_use", "access"), true),
        (is(), token().claim("token_use", "id"), false),
        (is(), token().claim("token_use", "Access"), false),
        (is(), token().claim("token_use", json!(["access"])), false),
        (is(), token(), false),
        (both(), token().claim("scp", "a").claim("token_use", "access"), true),
        (both(), token().claim("scp", "a"), false),
        (both(), token().claim("token_use", "access"), false),
    ] {
        let outcome =
            admit(&auth, &bearer(&token.expires_in(Duration::from_secs(60)).sign())).await;
        assert_eq!(outcome.is_ok(), is_admitted);
        if let Err(denial) = outcome {
            assert_eq!(denial.reason(), Some(Reason::Type));
        }
    }
    // In addition to the provider's own.
    let pool = AuthorizationServer::cognito("eu-west-1_AbCdEf", ["client"]).required_claim("scp");
    assert!(McpAuth::builder(RESOURCE).authorization_server(pool).build().is_ok());
}

/// People name groups and roles. What a name contains is not what it grants.
#[tokio::test]
async fn a_name_with_spaces_grants_none_of_its_words() {
    let issuer = TestIssuer::new();
    issuer.resource(RESOURCE, [""; 0]);
    for (claims, value, scopes) in [
        (&["groups"][..], json!(["Friends of admin"]), ""),
        (&["groups"], json!(["read", "Friends of admin", "write"]), "read write"),
        (&["groups"], json!(["admin\tx", "\"admin\"", "", "admin"]), "admin"),
        (&["groups"], json!("read write"), "read write"),
        (&["none", "groups"], json!(["a b"]), ""),
        // Scopes have no spaces, so this is a list that was written oddly.
        (&["scp", "groups"], json!(["read write"]), "read write"),
    ] {
        let server = issuer.authorization_server().scope_claims(claims);
        let auth = McpAuth::builder(RESOURCE).authorization_server(server).clock(issuer.clone());
        let claim = if claims.contains(&"scp") { "scp" } else { "groups" };
        let token = issuer.token().without("scope").claim(claim, value.clone()).sign();
        let caller = admit(&auth.build().expect("it"), &bearer(&token)).await.expect("admitted");
        assert_eq!(caller.scopes().as_str(), scopes, "{claims:?} {value}");
    }
}

#[test]
fn settings_that_mean_nothing_are_config_errors() {
    let server = || AuthorizationServer::discover(ISSUER);
    let template = AuthorizationServer::template(
        "https://{tenant}.example.com",
        "https://example.com/metadata",
    );
    for (server, named) in [
        (server().internal_url(""), "the internal URL"),
        (server().internal_url("keycloak:8080"), "the internal URL"),
        (server().internal_url("http://keycloak:8080"), "root_certificates"),
        (server().internal_url("https://keycloak.internal/realms/mcp"), "without a path"),
        (template.tenants(["a"]).internal_url(INTERNAL), "placeholder"),
        (server().typ([""; 0]), "`typ`"),
        (server().typ([""]), "`typ`"),
        (server().typ(["a b"]), "`typ`"),
        (server().typ(["at+jwt", "logout+jwt"]), "other tokens"),
        (server().typ(["application/ID_TOKEN+jwt"]), "other tokens"),
        (server().typ(["dpop+jwt"]), "other tokens"),
        (server().required_claim(""), "is empty"),
        (server().required_claim_value("token_use", ""), "is empty"),
    ] {
        match McpAuth::builder(RESOURCE).authorization_server(server).build() {
            Err(ConfigError::Provider(why)) => assert!(why.contains(named), "{named}: {why}"),
            other => panic!("{named}: {other:?}"),
        }
    }
    let given =
        AuthorizationServer::from_metadata(ServerMetadata::new(ISSUER, format!("{ISSUER}/jwks")));
    assert!(
        McpAuth::builder(RESOURCE)
            .authorization_server(given.internal_url(INTERNAL))
            .build()
            .is_ok()
    );
}

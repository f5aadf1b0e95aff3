//! Several public names of one resource, the place of its metadata, and `X-Forwarded-Host` of named proxies.

use std::net::IpAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::routing::get;
use bytes::Bytes;
use http::header::{AUTHORIZATION, HOST, VARY, WWW_AUTHENTICATE};
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use mcp_auth::{AuthInfo, ConfigError, McpAuth, McpAuthBuilder, PeerAddr, Reason};
use mcp_auth_testkit::{DpopKey, TestIssuer};
use rmcp::transport::streamable_http_server::StreamableHttpService;
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use tower::ServiceExt as _;

use crate::world::{admit, answer, bearer, request};

const FILES: &str = "https://mcp.example.com/files";
const ALIAS: &str = "https://files.internal.example:8443/mcp";
const SECOND: &str = "https://mcp.example.com/v2/files";
const MAIL: &str = "https://mcp.example.com/mail";
const METADATA: &str = "https://mcp.example.com/.well-known/oauth-protected-resource/files";
const ALIAS_METADATA: &str =
    "https://files.internal.example:8443/.well-known/oauth-protected-resource/mcp";
const PROXY: &str = "10.0.7.9";

fn files(issuer: &TestIssuer) -> McpAuthBuilder {
    issuer.protects(FILES).alias(ALIAS).forwarded_host_from(["10.0.7.0/24"])
}

/// The `resource_metadata` of the challenge to a request with these headers from this peer.
async fn challenged(auth: &McpAuth, uri: &str, headers: &[(&str, &str)], peer: &str) -> String {
    let mut request = Request::post(uri);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let mut request = request.body(Full::<Bytes>::default()).expect("a request");
    request.extensions_mut().insert(PeerAddr(peer.parse::<IpAddr>().expect("an address")));
    let response = answer(auth, request).await;
    assert_eq!(response.status(), 401);
    let challenge = response.headers()[WWW_AUTHENTICATE].to_str().expect("text");
    let url = mcp_auth::Challenge::parse(challenge).expect("a challenge").resource_metadata;
    let url = url.expect("a URL");
    // The body names the same place.
    assert!(String::from_utf8_lossy(response.body()).contains(&url));
    url
}

#[tokio::test]
async fn a_token_for_an_alias_is_for_this_resource_and_for_no_other() {
    let issuer = TestIssuer::new();
    let files = files(&issuer).build().expect("a configuration");
    let mail = issuer.protects(MAIL).build().expect("a configuration");
    let token = |audience: &str| bearer(&issuer.token().audience(audience).sign());
    for (auth, audience, is_admitted) in [
        (&files, FILES, true),
        (&files, ALIAS, true),
        (&files, "https://FILES.internal.example:8443/mcp", true),
        (&files, MAIL, false),
        (&files, "https://files.internal.example/mcp", false),
        (&files, "https://files.internal.example:8443/mcp/", false),
        (&files, "https://files.internal.example:8443", false),
        (&files, "https://files.internal.example:8443/files", false),
        (&files, "https://mcp.example.com/mcp", false),
        (&mail, MAIL, true),
        (&mail, FILES, false),
        (&mail, ALIAS, false),
    ] {
        let outcome = admit(auth, &token(audience)).await;
        assert_eq!(outcome.is_ok(), is_admitted, "{} {audience}", auth.resource());
        if let Err(denial) = outcome {
            assert_eq!(denial.reason(), Some(Reason::Audience));
        }
    }
    // The host of a request does not change which tokens are accepted.
    let mut headers = token(FILES);
    headers.insert(HOST, "files.internal.example:8443".parse().expect("a value"));
    assert!(admit(&mail, &headers).await.is_err());
    headers.insert("x-forwarded-host", "mcp.example.com".parse().expect("a value"));
    assert!(admit(&mail, &headers).await.is_err());
}

#[tokio::test]
async fn a_proof_may_be_for_any_name_of_the_resource_and_for_nothing_else() {
    let issuer = TestIssuer::new();
    let files = files(&issuer).build().expect("a configuration");
    let key = DpopKey::generate(issuer.clone());
    let token = issuer.token().audience(FILES).dpop_bound(&key).sign();
    for (uri, htu, is_admitted) in [
        ("/files", FILES, true),
        ("/mcp", ALIAS, true),
        ("/mcp", FILES, true), // a proxy maps one to the other
        ("/files", MAIL, false),
        ("/files", "https://files.internal.example/mcp", false),
        ("/files", "https://files.internal.example:8443/other", false),
        ("/mcp/x", "https://files.internal.example:8443/mcp/y", false),
    ] {
        let proof = key.proof("POST", htu).token(&token).sign();
        let request = Request::post(uri)
            .header(AUTHORIZATION, format!("DPoP {token}"))
            .header("dpop", proof)
            .body(Full::<Bytes>::default());
        let response = answer(&files, request.expect("a request")).await;
        assert_eq!(response.status() == 200, is_admitted, "{uri} {htu}");
    }
    // One proof is accepted once, whatever the name.
    let proof = key.proof("POST", ALIAS).token(&token).sign();
    let mut statuses = Vec::new();
    for uri in ["/mcp", "/files"] {
        let request = Request::post(uri)
            .header(AUTHORIZATION, format!("DPoP {token}"))
            .header("dpop", &proof)
            .body(Full::<Bytes>::default());
        statuses.push(answer(&files, request.expect("a request")).await.status().as_u16());
    }
    assert_eq!(statuses, [200, 401]);
}

#[tokio::test]
async fn the_challenge_names_the_metadata_of_the_host_that_the_client_named() {
    let issuer = TestIssuer::new();
    let auth = files(&issuer).build().expect("a configuration");
    let alias = "files.internal.example:8443";
    for (headers, peer, expected) in [
        (&[("host", "mcp.example.com")][..], "192.0.2.1", METADATA),
        (&[("host", "mcp.example.com:443")], "192.0.2.1", METADATA),
        (&[("host", alias)], "192.0.2.1", ALIAS_METADATA),
        (&[("host", "FILES.internal.example:8443")], "192.0.2.1", ALIAS_METADATA),
        // A proxy may leave the port out.
        (&[("host", "files.internal.example")], "192.0.2.1", ALIAS_METADATA),
        (&[("host", "evil.example")], "192.0.2.1", METADATA),
        (&[("host", "evil.example\" x=\"")], "192.0.2.1", METADATA),
        (&[], "192.0.2.1", METADATA),
        // `X-Forwarded-Host` counts from named proxies only, and nothing else is a reason to believe it.
        (&[("host", "app:3000"), ("x-forwarded-host", alias)], PROXY, ALIAS_METADATA),
        (&[("host", alias), ("x-forwarded-host", "mcp.example.com")], PROXY, METADATA),
        (&[("host", "mcp.example.com"), ("x-forwarded-host", alias)], "192.0.2.1", METADATA),
        (&[("host", "mcp.example.com"), ("x-forwarded-host", alias)], "10.0.8.9", METADATA),
        (
            &[("host", "mcp.example.com"), ("x-forwarded-host", alias), ("x-forwarded-for", PROXY)],
            "192.0.2.1",
            METADATA,
        ),
        (&[("host", alias), ("forwarded", "host=mcp.example.com")], PROXY, ALIAS_METADATA),
        (&[("host", alias)], PROXY, ALIAS_METADATA),
        // Several hosts: the client may have written the first, or the last.
        (
            &[("host", "app"), ("x-forwarded-host", "files.internal.example:8443, x")],
            PROXY,
            METADATA,
        ),
        (&[("x-forwarded-host", alias), ("x-forwarded-host", alias)], PROXY, METADATA),
        (&[("x-forwarded-host", "evil.example")], PROXY, METADATA),
        (&[("x-forwarded-host", "")], PROXY, METADATA),
    ] {
        assert_eq!(challenged(&auth, "/", headers, peer).await, expected, "{headers:?} {peer}");
    }
    // Without the setting no proxy is trusted.
    let auth = issuer.protects(FILES).alias(ALIAS).build().expect("a configuration");
    let headers = [("host", "mcp.example.com"), ("x-forwarded-host", alias)];
    assert_eq!(challenged(&auth, "/", &headers, PROXY).await, METADATA);
}

#[tokio::test]
async fn of_names_with_one_host_the_path_decides() {
    let issuer = TestIssuer::new();
    let auth = issuer.protects(FILES).alias(SECOND).build().expect("a configuration");
    let second = "https://mcp.example.com/.well-known/oauth-protected-resource/v2/files";
    for (uri, expected) in [
        ("/files", METADATA),
        ("/files/below", METADATA),
        ("/v2/files", second),
        ("/v2/files/below", second),
        ("/v2/filesystem", METADATA),
        ("/", METADATA),
    ] {
        let headers = [("host", "mcp.example.com")];
        assert_eq!(challenged(&auth, uri, &headers, "192.0.2.1").await, expected, "{uri}");
    }
}

/// The answer of a router to a GET, from this peer.
async fn get_from(
    app: &Router,
    uri: &str,
    headers: &[(&str, &str)],
    peer: &str,
) -> Response<Bytes> {
    let mut request = Request::get(uri);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let mut request = request.body(Body::empty()).expect("a request");
    let peer: IpAddr = peer.parse().expect("an address");
    request.extensions_mut().insert(ConnectInfo(std::net::SocketAddr::new(peer, 4711)));
    let (parts, body) = app.clone().oneshot(request).await.expect("an answer").into_parts();
    Response::from_parts(parts, body.collect().await.expect("a body").to_bytes())
}

async fn whoami(caller: AuthInfo) -> String {
    caller.subject().to_owned()
}

#[tokio::test]
async fn each_name_has_its_route_and_its_metadata() {
    let issuer = TestIssuer::new();
    let auth = files(&issuer).alias(SECOND).alias("https://mcp.example.com/files/");
    let auth = auth.alias("https://mcp.example.com/files/v3").build();
    let app = auth.expect("a configuration").protect(get(whoami));
    let authorization =
        format!("Bearer {}", issuer.token().subject("alice").audience(ALIAS).sign());
    for uri in ["/files", "/files/v3", "/files/v3/x", "/mcp", "/v2/files", "/v2/files/"] {
        let response = get_from(&app, uri, &[("authorization", &authorization)], "192.0.2.1").await;
        assert_eq!(response.body(), "alice", "{uri}");
        assert_eq!(get_from(&app, uri, &[], "192.0.2.1").await.status(), 401, "{uri}");
    }
    let (ours, alias) = ("mcp.example.com", "files.internal.example:8443");
    let root = "/.well-known/oauth-protected-resource";
    for (path, host, peer, resource) in [
        ("/files", ours, "192.0.2.1", FILES),
        ("/files", alias, "192.0.2.1", FILES), // only one name has this path
        ("/files/", ours, "192.0.2.1", "https://mcp.example.com/files/"),
        ("/mcp", alias, "192.0.2.1", ALIAS),
        ("/mcp/", alias, "192.0.2.1", ALIAS),
        ("/mcp", "app:3000", "192.0.2.1", ALIAS),
        ("/v2/files", ours, "192.0.2.1", SECOND),
        ("", ours, "192.0.2.1", FILES),
        ("", alias, "192.0.2.1", ALIAS),
        ("", "evil.example", "192.0.2.1", FILES),
    ] {
        let response = get_from(&app, &format!("{root}{path}"), &[("host", host)], peer).await;
        let document: serde_json::Value = serde_json::from_slice(response.body()).expect("JSON");
        assert_eq!(document["resource"], resource, "{path} {host}");
        assert_eq!(response.headers().contains_key(VARY), path.is_empty(), "{path} {host}");
    }
    // The name that a proxy says, and that a stranger says.
    for (peer, resource) in [(PROXY, ALIAS), ("192.0.2.1", FILES)] {
        let headers = [("host", ours), ("x-forwarded-host", alias)];
        let response = get_from(&app, root, &headers, peer).await;
        let document: serde_json::Value = serde_json::from_slice(response.body()).expect("JSON");
        assert_eq!(document["resource"], resource, "{peer}");
    }
}

#[tokio::test]
async fn names_with_one_path_share_a_route_and_keep_their_metadata() {
    let issuer = TestIssuer::new();
    let (one, other) = ("https://a.example.com/mcp", "https://b.example.com/mcp");
    let auth = issuer.protects(one).alias(other).build().expect("a configuration");
    let app = auth.protect(get(whoami));
    for (host, resource) in [("a.example.com", one), ("b.example.com", other), ("c", one)] {
        let path = "/.well-known/oauth-protected-resource/mcp";
        let response = get_from(&app, path, &[("host", host)], "192.0.2.1").await;
        let document: serde_json::Value = serde_json::from_slice(response.body()).expect("JSON");
        assert_eq!(document["resource"], resource, "{host}");
        assert!(response.headers().contains_key(VARY));
        let refused = get_from(&app, "/mcp", &[("host", host)], "192.0.2.1").await;
        let challenge = refused.headers()[WWW_AUTHENTICATE].to_str().expect("text");
        let host = if host == "c" { "a.example.com" } else { host };
        assert!(challenge.contains(&format!("https://{host}/.well-known/")), "{challenge}");
    }
}

#[tokio::test]
async fn protect_mcp_allows_the_hosts_of_all_names_and_those_that_named_proxies_forward() {
    struct Server;
    impl rmcp::ServerHandler for Server {}
    let issuer = TestIssuer::new();
    let sessions = Arc::<LocalSessionManager>::default();
    let mcp = StreamableHttpService::new(|| Ok(Server), sessions, Default::default());
    let app = files(&issuer).build().expect("a configuration").protect_mcp(mcp);
    for (uri, headers, peer, status) in [
        ("/files", &[("host", "mcp.example.com")][..], "192.0.2.1", 401),
        ("/files", &[("host", "files.internal.example:8443")], "192.0.2.1", 401),
        ("/mcp", &[("host", "files.internal.example:8443")], "192.0.2.1", 401),
        ("/mcp/below", &[("host", "files.internal.example")], "192.0.2.1", 401),
        ("/mcp", &[("host", "evil.example")], "192.0.2.1", 403),
        ("/mcp", &[("host", "app:3000")], PROXY, 403),
        ("/mcp", &[("host", "app:3000"), ("x-forwarded-host", "mcp.example.com")], PROXY, 401),
        (
            "/mcp",
            &[("host", "app:3000"), ("x-forwarded-host", "mcp.example.com")],
            "192.0.2.1",
            403,
        ),
        ("/mcp", &[("host", "localhost"), ("x-forwarded-host", "evil.example")], PROXY, 403),
        (
            "/mcp",
            &[("host", "localhost"), ("x-forwarded-host", "localhost, evil.example")],
            PROXY,
            403,
        ),
        ("/mcp", &[("host", "localhost"), ("x-forwarded-host", "evil.example")], "192.0.2.1", 401),
        (
            "/mcp",
            &[("x-forwarded-host", "mcp.example.com"), ("x-forwarded-host", "mcp.example.com")],
            PROXY,
            403,
        ),
    ] {
        let response = get_from(&app, uri, headers, peer).await;
        assert_eq!(response.status(), status, "{uri} {headers:?} {peer}");
    }
}

#[tokio::test]
async fn the_place_of_the_metadata_is_in_the_challenge_and_is_served() {
    let issuer = TestIssuer::new();
    let place = "https://mcp.example.com/files/metadata";
    let auth = files(&issuer).metadata_url(place).build().expect("a configuration");
    assert_eq!(auth.metadata_url(), place);
    let host = [("host", "mcp.example.com")];
    assert_eq!(challenged(&auth, "/", &host, "192.0.2.1").await, place);
    let alias = [("host", "files.internal.example:8443")];
    assert_eq!(challenged(&auth, "/", &alias, "192.0.2.1").await, ALIAS_METADATA);
    let app = auth.protect(get(whoami));
    let well_known = "/.well-known/oauth-protected-resource/files";
    for path in ["/files/metadata", well_known, "/.well-known/oauth-protected-resource"] {
        let response = get_from(&app, path, &host, "192.0.2.1").await;
        let document: serde_json::Value = serde_json::from_slice(response.body()).expect("JSON");
        assert_eq!(document["resource"], FILES, "{path}");
    }
    // What is next to it still needs a token.
    for path in ["/files", "/files/metadat", "/files/metadata/x", "/files/metadata2"] {
        assert_eq!(get_from(&app, path, &host, "192.0.2.1").await.status(), 401, "{path}");
    }
    // Elsewhere: this server serves nothing there.
    let elsewhere = "https://static.example.com/files.json";
    let auth = files(&issuer).metadata_url(elsewhere).build().expect("a configuration");
    assert_eq!(challenged(&auth, "/", &host, "192.0.2.1").await, elsewhere);
    let app = auth.protect(get(whoami));
    assert_eq!(get_from(&app, "/files.json", &host, "192.0.2.1").await.status(), 404);
    assert_eq!(get_from(&app, well_known, &host, "192.0.2.1").await.status(), 200);
}

#[tokio::test]
async fn pages_of_an_alias_are_allowed_origins() {
    let issuer = TestIssuer::new();
    let auth = files(&issuer).build().expect("a configuration");
    let token = issuer.token().audience(FILES).sign();
    for (origin, status) in [
        ("https://mcp.example.com", 200),
        ("https://files.internal.example:8443", 200),
        ("https://files.internal.example", 403),
        ("http://files.internal.example:8443", 403),
    ] {
        let mut headers = bearer(&token);
        headers.insert("origin", origin.parse().expect("a value"));
        assert_eq!(answer(&auth, request(headers)).await.status(), status, "{origin}");
    }
}

#[test]
fn names_that_cannot_be_names_are_config_errors() {
    let issuer = TestIssuer::new();
    for alias in [
        "",
        "files.internal",
        "http://files.internal/mcp",
        "https://files.internal/mcp#x",
        "https://files.internal/{mcp}",
        "https://files.internal/.well-known/oauth-protected-resource",
        "https://user@files.internal/mcp",
        "https://files.internal:x/mcp",
        "https://*.internal/mcp",
        "urn:files",
        FILES,
        "HTTPS://MCP.example.com:443/files",
        "https://mcp.example.com/x/../files",
        ALIAS,
    ] {
        let built = files(&issuer).alias(alias).build();
        match built {
            Err(ConfigError::Alias { alias: named, why }) => {
                assert!(named == alias && why.len() > 20, "{alias}: {why}");
            }
            other => panic!("{alias}: {other:?}"),
        }
    }
    for place in [
        "",
        "/metadata",
        "http://mcp.example.com/x",
        "https://h/x#y",
        FILES,
        "https://MCP.example.com:443/files/",
        "https://mcp.example.com/mcp",
    ] {
        let built = files(&issuer).metadata_url(place).build();
        assert_eq!(built.err(), Some(ConfigError::MetadataUrl(place.to_owned())));
    }
    for peers in [&[][..], &[""], &["*"], &["0.0.0.0/0"], &["10.0.0.0/8", "proxy"]] {
        let built = files(&issuer).forwarded_host_from(peers.iter().copied()).build();
        assert!(matches!(built, Err(ConfigError::Network(_))), "{peers:?}");
    }
}

#[test]
fn a_name_of_two_resources_is_a_config_error() {
    let issuer = TestIssuer::new();
    let build = |builder: McpAuthBuilder| builder.build().expect("a configuration");
    let (files, mail) = (build(files(&issuer)), build(issuer.protects(MAIL)));
    assert_eq!(McpAuth::check_distinct([&files, &mail]), Ok(()));
    assert_eq!(McpAuth::check_distinct([&files]), Ok(()));
    for other in [
        build(issuer.protects(FILES)),
        build(issuer.protects(ALIAS)),
        build(issuer.protects(MAIL).alias(FILES)),
        build(issuer.protects(MAIL).alias("https://FILES.internal.example:8443/mcp")),
        build(issuer.protects(MAIL).alias("https://notes.example.com/").alias(ALIAS)),
    ] {
        for pair in [[&files, &other], [&other, &files]] {
            let error = McpAuth::check_distinct(pair);
            assert!(matches!(error, Err(ConfigError::Alias { .. })), "{}", other.resource());
        }
    }
}

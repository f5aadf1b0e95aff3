//! What real issuers answer: other media types, other places, byte order marks, large key sets, unusual claims.

use std::time::Duration;

use bytes::Bytes;
use http::header::{
    ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_ENCODING, HeaderMap, HeaderValue, ORIGIN,
};
use http::{Request, Response};
use mcp_auth::jwt::KeySet;
use mcp_auth::{
    AuthorizationServer, ConfigError, EventPoll, FetchError, Introspection, McpAuth, Reason,
};
use mcp_auth_testkit::{SigningAlgorithm, TestIssuer};
use serde_json::{Value, json};
use tracing::Level;

use crate::logs::Log;
use crate::world::{Answering, RESOURCE, admit, answer, bearer, request, response, status};

const ISSUER: &str = "https://auth.example.com/tenant";
const FIRST: &str = "https://auth.example.com/.well-known/oauth-authorization-server/tenant";
const SECOND: &str = "https://auth.example.com/.well-known/openid-configuration/tenant";
const THIRD: &str = "https://auth.example.com/tenant/.well-known/openid-configuration";
const JWKS: &str = "https://auth.example.com/jwks";
const INTROSPECTION: &str = "https://auth.example.com/introspect";

fn issuer() -> TestIssuer {
    TestIssuer::builder().issuer(ISSUER).build()
}

fn metadata() -> Value {
    json!({ "issuer": ISSUER, "jwks_uri": JWKS, "introspection_endpoint": INTROSPECTION })
}

/// Answers as the issuer does, with its metadata at `place`.
fn usual(issuer: &TestIssuer, place: &str, request: &Request<Bytes>) -> Response<Bytes> {
    match &*request.uri().to_string() {
        JWKS => response(200, issuer.jwks()),
        INTROSPECTION => response(200, good().to_string()),
        url if url == place => response(200, metadata().to_string()),
        _ => response(404, ""),
    }
}

fn good() -> Value {
    json!({ "active": true, "sub": "alice", "aud": RESOURCE, "scope": "read" })
}

fn server(issuer: &TestIssuer, web: &Answering) -> AuthorizationServer {
    AuthorizationServer::discover(ISSUER).fetch(web.clone()).clock(issuer.clock())
}

fn protected(issuer: &TestIssuer, server: impl Into<AuthorizationServer>) -> McpAuth {
    let auth = McpAuth::builder(RESOURCE).authorization_server(server).clock(issuer.clock());
    auth.build().expect("a description")
}

fn token(issuer: &TestIssuer) -> String {
    issuer.token().audience(RESOURCE).expires_in(Duration::from_secs(86_400)).sign()
}

/// The answer of a server that has its documents in the registered type only, and compresses where it may.
fn picky(issuer: &TestIssuer, request: &Request<Bytes>) -> Response<Bytes> {
    let header = |name| request.headers().get(name).map_or("", |it| it.to_str().expect("ASCII"));
    let wanted = match &*request.uri().to_string() {
        JWKS => "application/jwk-set+json",
        _ => "application/json",
    };
    if !header(ACCEPT).contains(wanted) {
        return response(406, "");
    }
    if !header(ACCEPT_ENCODING).split(',').any(|it| it.trim() == "identity") {
        let mut compressed = response(200, &b"\x1f\x8b\x08\x00"[..]);
        compressed.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        return compressed;
    }
    usual(issuer, FIRST, request)
}

#[tokio::test]
async fn each_fetch_asks_for_the_types_of_its_document_without_compression() {
    let issuer = issuer();
    let of_issuer = issuer.clone();
    let web = Answering::new(move |request| {
        let is_poll = request.uri().path() == "/poll";
        match is_poll {
            true => Ok(response(200, r#"{"sets":{}}"#)),
            false => Ok(picky(&of_issuer, request)),
        }
    });
    let asking = Introspection::basic("notes", "a secret");
    let auth = protected(&issuer, server(&issuer, &web).introspection(asking));
    assert_eq!(status(&auth, &token(&issuer)).await, 200);
    assert_eq!(status(&auth, "an-opaque-token").await, 200);
    let poll = EventPoll::at("https://auth.example.com/poll", ["notes"]).fetch(web.clone());
    let polling = auth.poll_security_events(poll).expect("a description");
    let _ = tokio::time::timeout(Duration::from_millis(1), polling).await;

    let accept = |request: &Request<Bytes>| {
        assert_eq!(request.headers()[ACCEPT_ENCODING], "identity", "{}", request.uri());
        let accept = request.headers()[ACCEPT].to_str().expect("ASCII").to_owned();
        (request.uri().path().to_owned(), accept)
    };
    let mut asked: Vec<_> = web.asked().iter().map(accept).collect();
    asked.sort();
    asked.dedup();
    let row = |path: &str, accept: &str| (path.to_owned(), accept.to_owned());
    let expected = [
        row("/.well-known/oauth-authorization-server/tenant", "application/json"),
        row("/introspect", "application/json"),
        row("/jwks", "application/jwk-set+json, application/json"),
        row("/poll", "application/json"),
    ];
    assert_eq!(asked, expected);
}

#[tokio::test]
async fn a_compressed_answer_is_named() {
    let (log, _guard) = Log::at(Level::WARN);
    let issuer = issuer();
    let web = Answering::new(|_| {
        let mut compressed = response(200, &b"\x1f\x8b\x08\x00"[..]);
        compressed.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        Ok(compressed)
    });
    assert_eq!(status(&protected(&issuer, server(&issuer, &web)), &token(&issuer)).await, 503);
    assert!(log.text().contains("it is compressed (`Content-Encoding: gzip`)"), "{}", log.text());
}

type Trouble = fn() -> Result<Response<Bytes>, FetchError>;

/// What a well-known URL may answer instead of metadata.
fn troubles() -> Vec<(&'static str, Trouble)> {
    vec![
        ("200 and no document", || Ok(response(200, "<html>"))),
        ("200 and other metadata", || Ok(response(200, r#"{"issuer":"https://other.example"}"#))),
        ("200 and nothing", || Ok(response(200, ""))),
        ("204", || Ok(response(204, ""))),
        ("302", || Ok(response(302, ""))),
        ("400", || Ok(response(400, ""))),
        ("401", || Ok(response(401, ""))),
        ("403", || Ok(response(403, ""))),
        ("404", || Ok(response(404, ""))),
        ("406", || Ok(response(406, ""))),
        ("429", || Ok(response(429, ""))),
        ("500", || Ok(response(500, ""))),
        ("501", || Ok(response(501, ""))),
        ("502", || Ok(response(502, ""))),
        ("503", || Ok(response(503, ""))),
        ("504", || Ok(response(504, ""))),
        ("time-out", || Err(FetchError::Timeout(Duration::from_secs(5)))),
        ("a broken connection", || Err(FetchError::Transport("reset".into()))),
        ("too much", || Err(FetchError::TooLarge(1))),
    ]
}

#[tokio::test]
async fn whatever_one_place_answers_the_next_one_is_asked() {
    for (name, trouble) in troubles() {
        for (place, number) in [(SECOND, 2), (THIRD, 3)] {
            let issuer = issuer();
            let of_issuer = issuer.clone();
            let web = Answering::new(move |request| {
                match request.uri().path().contains(".well-known") && request.uri() != place {
                    true => trouble(),
                    false => Ok(usual(&of_issuer, place, request)),
                }
            });
            let auth = protected(&issuer, server(&issuer, &web));
            assert_eq!(status(&auth, &token(&issuer)).await, 200, "{name}");
            assert_eq!(web.asked().len(), number + 1, "{name}");
        }
        let web = Answering::new(move |_| trouble());
        let issuer = issuer();
        let auth = protected(&issuer, server(&issuer, &web));
        assert_eq!(status(&auth, &token(&issuer)).await, 503, "{name}");
        assert_eq!(web.asked().len(), 3, "{name}: no place has it");
    }
    let web = Answering::new(|_| Err(FetchError::Unreachable("refused".into())));
    let issuer = issuer();
    assert_eq!(status(&protected(&issuer, server(&issuer, &web)), &token(&issuer)).await, 503);
    assert_eq!(web.asked().len(), 1, "all places are on the host that cannot be reached");
}

#[tokio::test]
async fn a_byte_order_mark_is_skipped_in_every_document() {
    let issuer = issuer();
    let of_issuer = issuer.clone();
    let web = Answering::new(move |request| {
        let plain = usual(&of_issuer, FIRST, request);
        Ok(plain.map(|body| [b"\xef\xbb\xbf", &*body].concat().into()))
    });
    let asking = Introspection::basic("notes", "a secret");
    let auth = protected(&issuer, server(&issuer, &web).introspection(asking));
    assert_eq!(status(&auth, &token(&issuer)).await, 200);
    assert_eq!(status(&auth, "an-opaque-token").await, 200);

    for keys in [issuer.jwks(), issuer.pem()] {
        let path = std::env::temp_dir().join(format!("bom-{}.json", std::process::id()));
        std::fs::write(&path, format!("\u{feff}{keys}")).expect("a file");
        let server = AuthorizationServer::with_keys_file(ISSUER, &path).clock(issuer.clock());
        assert_eq!(status(&protected(&issuer, server), &token(&issuer)).await, 200);
        std::fs::remove_file(&path).expect("a file");
    }
}

/// A key of nobody.
fn other_key(kid: &str) -> Value {
    let other = TestIssuer::builder().algorithm(SigningAlgorithm::Es256).build();
    let set: Value = serde_json::from_str(&other.jwks()).expect("JSON");
    let mut key = set["keys"][0].clone();
    key["kid"] = kid.into();
    key
}

#[tokio::test]
async fn a_key_is_found_wherever_it_is_in_a_large_set() {
    let issuer = issuer();
    let set: Value = serde_json::from_str(&issuer.jwks()).expect("JSON");
    let (own, filler) = (set["keys"][0].clone(), other_key("other"));
    for (before, after) in [(0, 300), (100, 200), (300, 0), (2000, 0)] {
        let others = |number| std::iter::repeat_n(&filler, number).cloned();
        let keys: Vec<_> = others(before).chain([own.clone()]).chain(others(after)).collect();
        let (jwks, of_issuer) = (json!({ "keys": keys }).to_string(), issuer.clone());
        let web = Answering::new(move |request| match &*request.uri().to_string() {
            JWKS => Ok(response(200, jwks.clone())),
            _ => Ok(usual(&of_issuer, FIRST, request)),
        });
        let auth = protected(&issuer, server(&issuer, &web));
        assert_eq!(status(&auth, &token(&issuer)).await, 200, "{before} keys before it");
    }
}

#[tokio::test]
async fn documents_and_tokens_may_have_any_number_of_members() {
    let issuer = issuer();
    let of_issuer = issuer.clone();
    let web = Answering::new(move |request| {
        let mut answer = usual(&of_issuer, FIRST, request);
        let mut document: Value = serde_json::from_slice(answer.body()).expect("JSON");
        for i in 0..1000 {
            document[format!("member-{i}")] = i.into();
        }
        *answer.body_mut() = document.to_string().into();
        Ok(answer)
    });
    let asking = Introspection::basic("notes", "a secret");
    let auth = protected(&issuer, server(&issuer, &web).introspection(asking));
    let token = issuer.token().audience(RESOURCE);
    let token = (0..500).fold(token, |token, i| token.claim(format!("m{i}"), i));
    assert_eq!(status(&auth, &token.sign()).await, 200);
    assert_eq!(status(&auth, "an-opaque-token").await, 200);
}

#[tokio::test]
async fn keys_that_are_never_tried_are_a_warning_or_a_config_error() {
    let (log, _guard) = Log::at(Level::WARN);
    let issuer = issuer();
    let set: Value = serde_json::from_str(&issuer.jwks()).expect("JSON");
    for (others, answer, warnings) in [(7, 200, 0), (8, 401, 1)] {
        let own = &set["keys"][0];
        let kid = own["kid"].as_str().expect("a name");
        let keys: Vec<_> = (0..others).map(|_| other_key(kid)).chain([own.clone()]).collect();
        let (jwks, of_issuer) = (json!({ "keys": keys }).to_string(), issuer.clone());
        let given = KeySet::parse(jwks.as_bytes()).expect("keys");
        let web = Answering::new(move |request| match &*request.uri().to_string() {
            JWKS => Ok(response(200, jwks.clone())),
            _ => Ok(usual(&of_issuer, FIRST, request)),
        });
        assert_eq!(
            status(&protected(&issuer, server(&issuer, &web)), &token(&issuer)).await,
            answer
        );
        assert_eq!(log.text().matches("more than eight keys").count(), warnings, "{}", log.text());
        let with_keys = McpAuth::builder(RESOURCE)
            .authorization_server(AuthorizationServer::with_keys(ISSUER, given));
        let error = with_keys.build().err();
        assert_eq!(matches!(error, Some(ConfigError::Provider(_))), warnings == 1, "{error:?}");
    }
}

#[tokio::test]
async fn metadata_that_is_not_usable_says_what_it_is() {
    let row = |change: Value, said: &'static str| (change, said);
    for (change, said) in [
        row(json!({ "jwks_uri": "/jwks" }), "it is relative"),
        row(json!({ "jwks_uri": "jwks.json" }), "it is relative"),
        row(json!({ "jwks_uri": "https://schlüssel.example/jwks" }), "`xn--`"),
        row(json!({ "jwks_uri": "http://auth.example.com/jwks" }), "https is required"),
        row(json!({ "jwks_uri": "http://localhost/jwks" }), "https is required"),
        row(json!({ "jwks_uri": "https://me@auth.example.com/jwks" }), "a user name"),
        row(json!({ "jwks_uri": null }), "has no `jwks_uri`"),
        row(json!({ "issuer": null }), "not the metadata of an authorization server"),
        row(json!({ "issuer": "https://auth.example.com/tenant/" }), "as the document writes it"),
        row(
            json!({ "issuer": "https://login.microsoftonline.com/{tenantid}/v2.0" }),
            "`AuthorizationServer::entra(..)` or `entra_tenants(..)`",
        ),
    ] {
        let (log, _guard) = Log::at(Level::WARN);
        let issuer = issuer();
        let (of_issuer, mut document) = (issuer.clone(), metadata());
        for (name, value) in change.as_object().expect("an object") {
            document[name] = value.clone();
        }
        let web = Answering::new(move |request| match &*request.uri().to_string() {
            FIRST => Ok(response(200, document.to_string())),
            _ => Ok(usual(&of_issuer, FIRST, request)),
        });
        let auth = protected(&issuer, server(&issuer, &web));
        assert_eq!(status(&auth, &token(&issuer)).await, 503, "{change}");
        assert!(log.text().contains(said), "{change}: {}", log.text());
    }
    for status_of_keys in [301, 302, 307, 308] {
        let (log, _guard) = Log::at(Level::WARN);
        let issuer = issuer();
        let of_issuer = issuer.clone();
        let web = Answering::new(move |request| match &*request.uri().to_string() {
            JWKS => Ok(response(status_of_keys, "")),
            _ => Ok(usual(&of_issuer, FIRST, request)),
        });
        assert_eq!(status(&protected(&issuer, server(&issuer, &web)), &token(&issuer)).await, 503);
        assert!(log.text().contains("a redirect, which is not followed"), "{}", log.text());
    }
}

#[test]
fn a_tenant_placeholder_as_issuer_is_told_what_to_use() {
    let issuer = "https://login.microsoftonline.com/{tenantid}/v2.0";
    let error = McpAuth::builder(RESOURCE).authorization_server(issuer).build().err();
    let text = error.expect("a config error").to_string();
    assert!(text.contains("entra_tenants") && text.contains("template"), "{text}");
}

#[tokio::test]
async fn claims_whose_names_are_not_registered_help_and_never_refuse() {
    let issuer = issuer();
    let of_issuer = issuer.clone();
    let web = Answering::new(move |request| Ok(usual(&of_issuer, FIRST, request)));
    let auth = protected(&issuer, server(&issuer, &web));
    for (claims, client, scopes) in [
        (json!({ "client_id": "app", "cid": 42 }), Some("app"), ""),
        (json!({ "client_id": "app", "appid": 1001 }), Some("app"), ""),
        (json!({ "appid": 1001, "cid": "app" }), Some("app"), ""),
        (json!({ "appid": "", "cid": "app" }), Some("app"), ""),
        (json!({ "cid": { "a": 1 } }), None, ""),
        (json!({ "scope": "read", "scp": 7 }), None, "read"),
        (json!({ "scp": 7, "scopes": ["read"] }), None, "read"),
        (json!({ "scp": null, "scopes": [7] }), None, ""),
    ] {
        let token = issuer.token().audience(RESOURCE).without("client_id").without("scope");
        let claims_of = claims.as_object().expect("an object").clone();
        let token = claims_of.into_iter().fold(token, |token, (name, it)| token.claim(name, it));
        let caller = admit(&auth, &bearer(&token.sign())).await.expect("admitted");
        let found = (caller.client_id(), caller.scopes().to_string());
        assert_eq!(found, (client, scopes.to_owned()), "{claims}");
    }
    for registered in ["client_id", "azp", "scope"] {
        let token = issuer.token().audience(RESOURCE).claim(registered, 42).sign();
        let denial = admit(&auth, &bearer(&token)).await.expect_err(registered);
        assert_eq!(denial.reason(), Some(Reason::Claims), "{registered}");
    }
}

#[tokio::test]
async fn an_access_token_of_keycloak_may_have_a_nonce() {
    let issuer = issuer();
    let of_issuer = issuer.clone();
    let web = Answering::new(move |request| match &*request.uri().to_string() {
        INTROSPECTION => {
            let mut answer = good();
            answer["typ"] = "Bearer".into();
            answer["nonce"] = "n-0S6_WzA2Mj".into();
            Ok(response(200, answer.to_string()))
        }
        _ => Ok(usual(&of_issuer, FIRST, request)),
    });
    let asking = Introspection::basic("notes", "a secret");
    let auth = protected(&issuer, server(&issuer, &web).introspection(asking));
    let token = || issuer.token().audience(RESOURCE).typ("JWT").claim("nonce", "n-0S6_WzA2Mj");
    assert_eq!(status(&auth, &token().claim("typ", "Bearer").sign()).await, 200);
    assert_eq!(status(&auth, "an-opaque-token").await, 200);
    for typ in [json!("ID"), json!("Refresh"), json!("bearer"), Value::Null] {
        assert_eq!(status(&auth, &token().claim("typ", typ.clone()).sign()).await, 401, "{typ}");
    }
}

#[tokio::test]
async fn web_pages_of_any_scheme_can_be_allowed() {
    let issuer = issuer();
    let of_issuer = issuer.clone();
    let web = Answering::new(move |request| Ok(usual(&of_issuer, FIRST, request)));
    let extension = "chrome-extension://aapbdbdomjkkjkaonfhkkikfgjllcleb";
    let auth = McpAuth::builder(RESOURCE)
        .authorization_server(server(&issuer, &web))
        .allowed_origins([extension, "vscode-webview://1abc", "app://obsidian.md", "file://"])
        .clock(issuer.clock())
        .build()
        .expect("a description");
    for (origin, expected) in [
        (extension, 200),
        ("vscode-webview://1abc", 200),
        ("app://obsidian.md", 200),
        ("file://", 200),
        ("chrome-extension://aapbdbdomjkkjkaonfhkkikfgjllclec", 403),
        ("moz-extension://aapbdbdomjkkjkaonfhkkikfgjllcleb", 403),
        ("VSCODE-WEBVIEW://1abc", 403),
        ("vscode-webview://1ABC", 403),
        ("app://obsidian.md/", 403),
        ("null", 403),
    ] {
        let mut headers: HeaderMap = bearer(&token(&issuer));
        headers.insert(ORIGIN, origin.parse().expect("a header value"));
        assert!(headers.contains_key(AUTHORIZATION));
        assert_eq!(answer(&auth, request(headers)).await.status(), expected, "{origin}");
    }
}

#[tokio::test]
async fn a_refresh_token_is_named_although_it_is_signed_with_a_secret() {
    let issuer = issuer();
    let of_issuer = issuer.clone();
    let web = Answering::new(move |request| Ok(usual(&of_issuer, FIRST, request)));
    let auth = protected(&issuer, server(&issuer, &web));
    for (claim, value, said) in [
        ("typ", "Refresh", "the client's refresh token (Keycloak)"),
        ("typ", "Offline", "the client's refresh token (Keycloak)"),
        ("token_use", "refresh_token", "the client's refresh token (Ory Hydra)"),
        ("typ", "ID", "an ID token (Keycloak)"),
        ("typ", "Bearer", "asymmetric algorithm"),
    ] {
        let token = issuer.token().audience(RESOURCE).claim(claim, value).sign_with_secret([7; 64]);
        let denial = admit(&auth, &bearer(&token)).await.expect_err("refused");
        assert_eq!(denial.reason(), Some(Reason::Algorithm));
        let detail = denial.operator_detail().expect("a detail");
        assert!(detail.contains(said), "{value}: {detail}");
    }
    assert!(web.asked().is_empty(), "such a token costs no request");
}

#[tokio::test]
async fn an_inactive_token_of_keycloak_may_be_one_of_another_client() {
    let web = Answering::new(|_| Ok(response(200, r#"{"active":false}"#)));
    let asking = || Introspection::basic("notes", "a secret").endpoint(INTROSPECTION);
    let issuer = issuer();
    let keycloak = AuthorizationServer::keycloak("https://sso.example.com", "mcp");
    for (server, said) in [
        (keycloak, "a confidential client whose ID is the URL of this resource"),
        (AuthorizationServer::discover(ISSUER), "not in the token's audience"),
    ] {
        let server = server.introspection(asking()).fetch(web.clone()).clock(issuer.clock());
        let auth = protected(&issuer, server);
        let denial = admit(&auth, &bearer("an-opaque-token")).await.expect_err("inactive");
        let detail = denial.operator_detail().expect("a detail");
        assert!(detail.contains(said), "{detail}");
    }
}

#[test]
fn the_table_of_providers_says_what_was_seen() {
    use mcp_auth::{MetadataKind, Provider};
    let row = |id| Provider::find(id).expect(id);
    assert_eq!(row("ory").documents, [MetadataKind::Oidc]);
    assert_eq!(row("spring").client_id, "", "no claim of its JWTs names the client");
    assert!(row("keycloak").advice.contains("*Add to lightweight access token*"));
}

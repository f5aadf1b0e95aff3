//! The served issuer, as its clients use it over HTTP.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use aws_lc_rs::digest;
use axum::Router;
use axum::routing::get;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use mcp_auth_testkit::{
    Endpoint, MetadataPath, ServeError, ServedIssuer, SigningAlgorithm, TestIssuer,
    TestIssuerBuilder, Trouble,
};
use reqwest::{Client, Response, Url};
use serde_json::{Value, json};

const RESOURCE: &str = "http://127.0.0.1:3000/mcp";
const REDIRECT: &str = "http://127.0.0.1:4711/callback";
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";

/// An HTTP client, and the issuer that it talks to.
struct World {
    issuer: ServedIssuer,
    http: Client,
}

async fn world(builder: TestIssuerBuilder) -> World {
    let issuer = builder.build();
    issuer.resource(RESOURCE, ["read", "write", "admin"]);
    let http = Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .build()
        .expect("a client");
    World { issuer: issuer.serve("127.0.0.1:0").await.expect("a served issuer"), http }
}

impl World {
    fn at(&self, path: &str) -> String {
        format!("{}{path}", self.issuer.url())
    }

    async fn register(&self, metadata: Value) -> Value {
        let answer = self.http.post(self.at("/register")).json(&metadata).send().await;
        let answer = answer.expect("an answer");
        assert_eq!(answer.status(), 201);
        assert_eq!(answer.headers()["access-control-allow-origin"], "*");
        answer.json().await.expect("JSON")
    }

    async fn public_client(&self, name: &str) -> String {
        let metadata = json!({
            "client_name": name,
            "redirect_uris": [REDIRECT],
            "grant_types": ["authorization_code", "refresh_token"],
            "token_endpoint_auth_method": "none",
        });
        let client = self.register(metadata).await;
        client["client_id"].as_str().expect("client_id").to_owned()
    }

    async fn ask(&self, client_id: &str, more: &[(&str, &str)]) -> Response {
        let hash = digest::digest(&digest::SHA256, VERIFIER.as_bytes());
        let challenge = URL_SAFE_NO_PAD.encode(hash);
        let mut query = vec![
            ("response_type", "code"),
            ("client_id", client_id),
            ("redirect_uri", REDIRECT),
            ("state", "xyz"),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
        ];
        for (name, value) in more {
            query.retain(|(known, _)| known != name);
            query.push((name, value));
        }
        let request = self.http.get(self.at("/authorize")).query(&query);
        request.send().await.expect("an answer")
    }

    async fn decide(&self, form: &[(&str, &str)]) -> Response {
        let request = self.http.post(self.at("/authorize")).form(form);
        request.send().await.expect("an answer")
    }

    async fn token(&self, form: &[(&str, &str)]) -> Response {
        let request = self.http.post(self.at("/token")).form(form);
        request.send().await.expect("an answer")
    }

    async fn redeem(&self, client_id: &str, code: &str) -> Value {
        let form = [
            ("grant_type", "authorization_code"),
            ("client_id", client_id),
            ("code", code),
            ("redirect_uri", REDIRECT),
            ("code_verifier", VERIFIER),
            ("resource", RESOURCE),
        ];
        let answer = self.token(&form).await;
        assert_eq!(answer.headers()["access-control-allow-origin"], "*");
        assert_eq!(answer.status(), 200);
        answer.json().await.expect("JSON")
    }

    async fn introspect(&self, token: &str) -> Value {
        let request = self.http.post(self.at("/introspect"));
        let request = request.basic_auth("robot", Some("beep")).form(&[("token", token)]);
        let answer = request.send().await.expect("an answer");
        assert_eq!(answer.status(), 200);
        answer.json().await.expect("JSON")
    }
}

/// The parameters of the redirect back to the client.
fn answer_of(response: &Response) -> HashMap<String, String> {
    assert!(response.status().is_redirection(), "{}", response.status());
    let location = response.headers()["location"].to_str().expect("text");
    assert!(location.starts_with("http://127.0.0.1:"), "{location}");
    let location = Url::parse(location).expect("a URL");
    location.query_pairs().into_owned().collect()
}

fn part(token: &str, index: usize) -> Value {
    let part = token.split('.').nth(index).expect("three parts");
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).expect("base64url")).expect("JSON")
}

fn ticket(page: &str) -> String {
    let (_, rest) = page.split_once("name=ticket value=\"").expect("a ticket");
    rest.split('"').next().expect("its end").to_owned()
}

fn scoped() -> [(&'static str, &'static str); 2] {
    [("scope", "read write"), ("resource", RESOURCE)]
}

#[tokio::test]
async fn a_client_gets_its_token_by_code() {
    let world = world(TestIssuer::builder().auto_approve("alice")).await;
    let client = world.public_client("Inspector").await;
    let answer = answer_of(&world.ask(&client, &scoped()).await);
    assert_eq!(answer["state"], "xyz");
    assert_eq!(answer["iss"], world.issuer.url());

    let tokens = world.redeem(&client, &answer["code"]).await;
    assert_eq!(tokens["token_type"], "Bearer");
    let token = tokens["access_token"].as_str().expect("a token");
    assert_eq!(part(token, 0), json!({ "alg": "ES256", "typ": "at+jwt", "kid": "es256-1" }));
    let claims = part(token, 1);
    assert_eq!(claims["iss"], world.issuer.url());
    assert_eq!(claims["sub"], "alice");
    assert_eq!(claims["aud"], RESOURCE);
    assert_eq!(claims["client_id"], client.as_str());
    assert_eq!(claims["scope"], "read write");
    assert!(claims["jti"].is_string());

    let refresh = tokens["refresh_token"].as_str().expect("a refresh token");
    let form =
        [("grant_type", "refresh_token"), ("client_id", &client), ("refresh_token", refresh)];
    let refreshed: Value = world.token(&form).await.json().await.expect("JSON");
    let token = refreshed["access_token"].as_str().expect("a token");
    assert_eq!(part(token, 1)["aud"], RESOURCE);
    assert_ne!(refreshed["refresh_token"], tokens["refresh_token"]);
}

#[tokio::test]
async fn every_served_algorithm_signs_the_tokens_of_clients() {
    for (algorithm, kid) in [
        (SigningAlgorithm::Rs256, "rs256-1"),
        (SigningAlgorithm::Ps256, "ps256-1"),
        (SigningAlgorithm::EdDsa, "eddsa-1"),
    ] {
        let builder = TestIssuer::builder().algorithm(algorithm).client("robot", "beep");
        let world = world(builder).await;
        let request = world.http.post(world.at("/token")).basic_auth("robot", Some("beep"));
        let request = request.form(&[("grant_type", "client_credentials")]);
        let tokens: Value = request.send().await.expect("an answer").json().await.expect("JSON");
        let header = part(tokens["access_token"].as_str().expect("a token"), 0);
        assert_eq!(header, json!({ "alg": algorithm.name(), "typ": "at+jwt", "kid": kid }));
    }
    let unserved = TestIssuer::builder().algorithm(SigningAlgorithm::MlDsa44).build();
    let error = unserved.serve("127.0.0.1:0").await.expect_err("it cannot sign for oauth-as");
    assert!(matches!(error, ServeError::Algorithm(SigningAlgorithm::MlDsa44)));
}

#[tokio::test]
async fn a_wrong_code_verifier_is_refused() {
    let world = world(TestIssuer::builder().auto_approve("alice")).await;
    let client = world.public_client("Inspector").await;
    let answer = answer_of(&world.ask(&client, &scoped()).await);
    let form = [
        ("grant_type", "authorization_code"),
        ("client_id", &client),
        ("code", &answer["code"]),
        ("redirect_uri", REDIRECT),
        ("code_verifier", "wrong-wrong-wrong-wrong-wrong-wrong-wrong-wrong"),
    ];
    let answer = world.token(&form).await;
    assert_eq!(answer.status(), 400);
    let error: Value = answer.json().await.expect("JSON");
    assert_eq!(error["error"], "invalid_grant");
}

#[tokio::test]
async fn an_unknown_resource_is_refused_until_it_is_known() {
    let world = world(TestIssuer::builder().auto_approve("alice")).await;
    let client = world.public_client("Inspector").await;
    let other = [("resource", "https://other.example/mcp")];
    let answer = answer_of(&world.ask(&client, &other).await);
    assert_eq!(answer["error"], "invalid_target");

    world.issuer.resource("https://other.example/mcp", ["read"]);
    let answer = answer_of(&world.ask(&client, &other).await);
    assert!(answer.contains_key("code"));
}

#[tokio::test]
async fn clients_can_use_client_credentials_and_introspect() {
    let world = world(TestIssuer::builder().auto_approve("alice").client("robot", "beep")).await;
    let request = world.http.post(world.at("/token")).basic_auth("robot", Some("beep"));
    let form = [("grant_type", "client_credentials"), ("scope", "read"), ("resource", RESOURCE)];
    let tokens: Value =
        request.form(&form).send().await.expect("an answer").json().await.expect("JSON");
    let claims = part(tokens["access_token"].as_str().expect("a token"), 1);
    assert_eq!(claims["client_id"], "robot");
    assert_eq!(claims["aud"], RESOURCE);
    assert_eq!(claims["scope"], "read");

    // The token of another client: the client `robot` is also registered as the resource server.
    let client = world.public_client("Inspector").await;
    let answer = answer_of(&world.ask(&client, &scoped()).await);
    let tokens = world.redeem(&client, &answer["code"]).await;
    let token = tokens["access_token"].as_str().expect("a token");
    let answer = world.introspect(token).await;
    assert_eq!(answer["active"], true);
    assert_eq!(answer["sub"], "alice");
    assert_eq!(answer["scope"], "read write");

    let form = [("token", token), ("client_id", &client)];
    let revoked = world.http.post(world.at("/revoke")).form(&form).send().await;
    assert_eq!(revoked.expect("an answer").status(), 200);
    assert_eq!(world.introspect(token).await, json!({ "active": false }));
}

#[tokio::test]
async fn tokens_that_a_test_creates_are_known_to_the_served_endpoint_until_they_end() {
    let world = world(TestIssuer::builder().client("robot", "beep")).await;
    let token = || world.issuer.token().subject("alice").client_id("cli").scopes(["read"]);
    for token in [token().opaque(), token().introspectable()] {
        let answer = world.introspect(&token).await;
        assert_eq!((&answer["active"], &answer["sub"]), (&json!(true), &json!("alice")));
        assert_eq!((&answer["client_id"], &answer["scope"]), (&json!("cli"), &json!("read")));
        assert_eq!(
            (&answer["aud"], &answer["iss"]),
            (&json!(RESOURCE), &json!(world.issuer.url()))
        );
        assert!(answer["exp"].is_i64(), "{answer}");
    }

    let inactive = json!({ "active": false });
    let [revoked, withdrawn, theirs] = [(); 3].map(|()| token().opaque());
    world.issuer.revoke(&revoked);
    let revoke = |token: &str, secret: &str| {
        let request = world.http.post(world.at("/revoke")).basic_auth("robot", Some(secret));
        request.form(&[("token", token)]).send()
    };
    assert_eq!(revoke(&withdrawn, "beep").await.expect("an answer").status(), 200);
    assert_ne!(revoke(&theirs, "wrong").await.expect("an answer").status(), 200);
    assert_eq!(world.introspect(&theirs).await["active"], true);
    for token in [&*revoked, &withdrawn, &token().expired().opaque(), "unknown"] {
        assert_eq!(world.introspect(token).await, inactive, "{token}");
    }

    let stranger = world.http.post(world.at("/introspect")).form(&[("token", &theirs)]).send();
    assert_eq!(stranger.await.expect("an answer").status(), 401);
}

#[tokio::test]
async fn a_registered_client_can_ask_for_every_scope_whichever_it_named() {
    let world = world(TestIssuer::builder()).await;
    let metadata = json!({ "redirect_uris": [REDIRECT], "scope": "unheard-of" });
    let client = world.register(metadata).await;
    assert_eq!(client["scope"], "admin read write");
    assert!(client["client_secret"].is_string());
}

#[tokio::test]
async fn the_user_decides_who_they_are_and_which_scopes_to_grant() {
    let world = world(TestIssuer::builder()).await;
    let client = world.public_client("Inspector").await;
    let page = world.ask(&client, &scoped()).await;
    assert_eq!(page.status(), 200);
    assert_eq!(page.headers()["x-frame-options"], "DENY");
    let policy = page.headers()["content-security-policy"].to_str().expect("text").to_owned();
    assert!(policy.contains("default-src 'none'"), "{policy}");
    assert!(policy.contains("form-action 'self' http://127.0.0.1:4711"), "{policy}");
    let page = page.text().await.expect("a page");
    for shown in ["Inspector", &client, RESOURCE, "alice", "bob", "read", "write"] {
        assert!(page.contains(shown), "{shown}");
    }
    assert!(page.contains("development issuer, not for production"));
    assert!(!page.contains("admin"), "it was not asked for");
    assert!(!page.contains("<script"));

    let ticket = ticket(&page);
    let form = [
        ("ticket", &*ticket),
        ("user", "bob"),
        ("scope", "read"),
        ("scope", "admin"),
        ("decision", "allow"),
    ];
    let answer = answer_of(&world.decide(&form).await);
    let tokens = world.redeem(&client, &answer["code"]).await;
    let claims = part(tokens["access_token"].as_str().expect("a token"), 1);
    assert_eq!(claims["sub"], "bob");
    assert_eq!(claims["scope"], "read", "`write` unticked, `admin` never asked for");
    assert_eq!(tokens["scope"], "read");

    let again = world.decide(&form).await;
    assert_eq!(again.status(), 400, "a ticket is good for one decision");
}

#[tokio::test]
async fn the_user_may_refuse() {
    let world = world(TestIssuer::builder()).await;
    let client = world.public_client("Inspector").await;
    for decision in [&[("scope", "read"), ("decision", "deny")][..], &[("decision", "allow")]] {
        let page = world.ask(&client, &scoped()).await.text().await.expect("a page");
        let ticket = ticket(&page);
        let form = [&[("ticket", &*ticket), ("user", "alice")][..], decision].concat();
        let answer = answer_of(&world.decide(&form).await);
        assert_eq!(answer["error"], "access_denied");
        assert_eq!(answer["state"], "xyz");
        assert_eq!(answer["iss"], world.issuer.url());
    }
}

#[tokio::test]
async fn no_other_site_decides_for_the_user() {
    let world = world(TestIssuer::builder()).await;
    let client = world.public_client("Inspector").await;
    let page = world.ask(&client, &scoped()).await.text().await.expect("a page");
    let ticket = ticket(&page);
    let form = [("ticket", &*ticket), ("user", "alice"), ("scope", "read"), ("decision", "allow")];
    for (name, value) in [("origin", "https://evil.example"), ("sec-fetch-site", "cross-site")] {
        let request = world.http.post(world.at("/authorize")).header(name, value).form(&form);
        assert_eq!(request.send().await.expect("an answer").status(), 400);
    }
    let mut guessed = form;
    guessed[0].1 = "guessed";
    assert_eq!(world.decide(&guessed).await.status(), 400);
    assert!(answer_of(&world.decide(&form).await).contains_key("code"));
}

#[tokio::test]
async fn client_metadata_is_escaped_in_the_consent_page() {
    let world = world(TestIssuer::builder()).await;
    let client = world.public_client("<script>alert(1)</script>\"'&").await;
    let page = world.ask(&client, &scoped()).await.text().await.expect("a page");
    assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;&quot;&#39;&amp;"));
    assert!(!page.contains("<script"));
}

#[tokio::test]
async fn an_unknown_client_gets_an_error_page_and_no_redirect() {
    let world = world(TestIssuer::builder()).await;
    let answer = world.ask("nobody", &[("redirect_uri", "https://evil.example/")]).await;
    assert_eq!(answer.status(), 400);
    assert!(!answer.headers().contains_key("location"));
}

/// Serves the metadata document of a client.
async fn client_site(document: impl Fn(SocketAddr) -> String) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let document: Arc<str> = document(address).into();
    let serve = move || {
        let document = Arc::clone(&document);
        async move { document.to_string() }
    };
    let elsewhere = || async { axum::response::Redirect::temporary("/client.json") };
    let routes =
        Router::new().route("/client.json", get(serve)).route("/moved.json", get(elsewhere));
    tokio::spawn(axum::serve(listener, routes).into_future());
    format!("http://{address}")
}

#[tokio::test]
async fn a_client_id_can_be_a_metadata_document_url() {
    let world = world(TestIssuer::builder().auto_approve("alice")).await;
    let site = client_site(|address| {
        json!({
            "client_id": format!("http://{address}/client.json"),
            "client_name": "A client on the web",
            "redirect_uris": ["http://127.0.0.1/callback"],
            "grant_types": ["authorization_code", "refresh_token"],
            "client_uri": "https://example.com",
        })
        .to_string()
    })
    .await;
    let client = format!("{site}/client.json");
    let answer = answer_of(&world.ask(&client, &scoped()).await);
    let tokens = world.redeem(&client, &answer["code"]).await;
    let claims = part(tokens["access_token"].as_str().expect("a token"), 1);
    assert_eq!(claims["client_id"], client.as_str());
    assert_eq!(claims["scope"], "read write");

    let wrong = [("redirect_uri", "https://evil.example/")];
    assert_eq!(world.ask(&client, &wrong).await.status(), 400);
    let moved = format!("{site}/moved.json");
    assert_eq!(world.ask(&moved, &[]).await.status(), 400, "redirects are not followed");
    let missing = format!("{site}/missing.json");
    assert_eq!(world.ask(&missing, &[]).await.status(), 400);
}

#[tokio::test]
async fn client_metadata_documents_must_match_be_small_and_use_https_or_loopback() {
    let world = world(TestIssuer::builder()).await;
    let liar = client_site(|_| r#"{"client_id":"https://other.example/"}"#.to_owned()).await;
    let large = client_site(|_| " ".repeat(65 << 10)).await;
    for (client, why) in [
        (format!("{liar}/client.json"), "names another client ID"),
        (format!("{large}/client.json"), "longer than"),
        ("http://example.com/client.json".to_owned(), "https is required"),
    ] {
        let answer = world.ask(&client, &[]).await;
        assert_eq!(answer.status(), 400, "{client}");
        let page = answer.text().await.expect("a page");
        assert!(page.contains(why), "{page}");
    }
}

#[tokio::test]
async fn it_is_served_to_this_machine_only() {
    for address in ["0.0.0.0:0", "[::]:0", "192.0.2.1:80"] {
        let error = TestIssuer::new().serve(address).await.expect_err("it is not loopback");
        assert!(matches!(error, ServeError::NotLoopback(_)), "{error:?}");
        assert!(error.to_string().contains("development issuer"), "{error}");
    }
}

#[tokio::test]
async fn documents_are_served_with_cors_and_counted() {
    let world = world(TestIssuer::builder()).await;
    for place in MetadataPath::ALL {
        let answer = world.http.get(place.url(world.issuer.url())).send().await;
        let answer = answer.expect("an answer");
        assert_eq!(answer.headers()["access-control-allow-origin"], "*");
        let metadata: Value = answer.json().await.expect("JSON");
        assert_eq!(metadata["issuer"], world.issuer.url());
        assert_eq!(metadata["introspection_endpoint"], world.at("/introspect"));
        assert_eq!(metadata["scopes_supported"], json!(["read", "write", "admin"]));
        assert_eq!(metadata["client_id_metadata_document_supported"], true);
    }
    let jwks = world.http.get(world.issuer.jwks_uri()).send().await.expect("an answer");
    assert_eq!(jwks.text().await.expect("JSON"), world.issuer.jwks());
    assert_eq!((world.issuer.metadata_requests(), world.issuer.jwks_requests()), (3, 1));
    let preflight = world.http.request(reqwest::Method::OPTIONS, world.at("/token"));
    let preflight = preflight.send().await.expect("an answer");
    assert_eq!(preflight.status(), 204);
    assert_eq!(preflight.headers()["access-control-allow-origin"], "*");
}

#[tokio::test]
async fn trouble_reaches_the_wire() {
    let world = world(TestIssuer::builder()).await;
    let fetch = || world.http.get(world.issuer.jwks_uri()).send();
    world.issuer.trouble(Endpoint::Jwks, Trouble::Status(503));
    assert_eq!(fetch().await.expect("an answer").status(), 503);
    world.issuer.trouble(Endpoint::Jwks, Trouble::Down);
    assert!(match fetch().await {
        Ok(answer) => answer.bytes().await.is_err(),
        Err(_) => true,
    });
    world.issuer.recover();
    assert_eq!(fetch().await.expect("an answer").status(), 200);
}

#[tokio::test]
async fn rotation_changes_the_signing_key_and_keeps_registered_clients() {
    let world = world(TestIssuer::builder().auto_approve("alice")).await;
    let client = world.public_client("Inspector").await;
    world.issuer.rotate();
    let answer = answer_of(&world.ask(&client, &scoped()).await);
    let tokens = world.redeem(&client, &answer["code"]).await;
    let token = tokens["access_token"].as_str().expect("a token");
    assert_eq!(part(token, 0)["kid"], "es256-2");
}

#[tokio::test]
async fn minted_tokens_carry_the_served_issuer_and_its_key() {
    let world = world(TestIssuer::builder()).await;
    let token = world.issuer.token().expired().sign();
    assert_eq!(part(&token, 1)["iss"], world.issuer.url());
    assert_eq!(part(&token, 1)["aud"], RESOURCE);
    assert!(world.issuer.jwks().contains(part(&token, 0)["kid"].as_str().expect("kid")));
}

#[tokio::test]
async fn it_stops_when_dropped() {
    let World { issuer, http } = world(TestIssuer::builder()).await;
    let address = issuer.address();
    drop(issuer);
    drop(http);
    // The port is free as soon as the server task has noticed, which takes a few polls.
    while tokio::net::TcpStream::connect(address).await.is_ok() {
        tokio::task::yield_now().await;
    }
}

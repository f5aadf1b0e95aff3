//! A client that authenticates with the certificate of its connection (RFC 8705 §2): only its id is sent.

use http::header::AUTHORIZATION;
use mcp_auth::{AuthorizationServer, Introspection, McpAuth, TokenExchange};
use mcp_auth_testkit::TestIssuer;

use crate::world::{Answering, RESOURCE, admit, bearer, response, status};

const ISSUER: &str = "https://issuer.test";

/// An issuer with this member in its metadata. It knows one opaque token, and exchanges tokens.
fn issuer(aliases: &'static str) -> Answering {
    Answering::new(move |request| {
        let url = request.uri().to_string();
        if url.contains("/.well-known/") {
            return Ok(response(
                200,
                format!(
                    r#"{{"issuer":"{ISSUER}","jwks_uri":"{ISSUER}/jwks","introspection_endpoint":"{ISSUER}/introspect","token_endpoint":"{ISSUER}/token"{aliases}}}"#
                ),
            ));
        }
        if url.ends_with("/token") {
            return Ok(response(
                200,
                r#"{"access_token":"t","issued_token_type":"urn:ietf:params:oauth:token-type:access_token","token_type":"Bearer","expires_in":60}"#,
            ));
        }
        let answer =
            format!(r#"{{"active":true,"sub":"alice","client_id":"c","aud":"{RESOURCE}"}}"#);
        Ok(response(200, answer))
    })
}

#[tokio::test]
async fn only_the_client_id_is_sent_and_to_the_alias_for_mutual_tls_if_there_is_one() {
    for (aliases, introspected_at, exchanged_at) in [
        ("", "https://issuer.test/introspect", "https://issuer.test/token"),
        (
            r#","mtls_endpoint_aliases":{"introspection_endpoint":"https://mtls.issuer.test/introspect","token_endpoint":"https://mtls.issuer.test/token"}"#,
            "https://mtls.issuer.test/introspect",
            "https://mtls.issuer.test/token",
        ),
        // Another endpoint's, and what is no URL.
        (
            r#","mtls_endpoint_aliases":{"revocation_endpoint":"https://mtls.issuer.test/revoke","token_endpoint":7}"#,
            "https://issuer.test/introspect",
            "https://issuer.test/token",
        ),
        (
            r#","mtls_endpoint_aliases":null"#,
            "https://issuer.test/introspect",
            "https://issuer.test/token",
        ),
    ] {
        let web = issuer(aliases);
        let server = AuthorizationServer::discover(ISSUER).fetch(web.clone());
        let server = server.introspection(Introspection::tls_client_auth("notes server"));
        let auth = McpAuth::builder(RESOURCE).authorization_server(&server).build();
        let caller = admit(&auth.expect("a description"), &bearer("opaque")).await;
        let exchange = TokenExchange::tls_client_auth(&server, "notes server");
        let target = exchange.to_audience("calendar", "").expect("a target");
        caller.expect("admitted").exchange(&target).await.expect("a token");

        for url in [introspected_at, exchanged_at] {
            let asked = web.asked().into_iter().find(|request| request.uri() == url);
            let asked = asked.unwrap_or_else(|| panic!("{url} was not asked"));
            assert!(!asked.headers().contains_key(AUTHORIZATION), "{url}");
            let form: Vec<_> = url::form_urlencoded::parse(asked.body()).into_owned().collect();
            let of = |name: &str| {
                let mut all = form.iter().filter(|(it, _)| it == name).map(|(_, value)| &**value);
                (all.next(), all.next())
            };
            assert_eq!(of("client_id"), (Some("notes server"), None), "{url}");
            assert!(
                !form.iter().any(|(name, _)| name.contains("secret") || name.contains("assertion"))
            );
        }
    }
}

/// The alias is metadata, and leads nowhere that the endpoint itself could not.
#[tokio::test]
async fn an_alias_leads_to_no_plain_http() {
    let web = issuer(
        r#","mtls_endpoint_aliases":{"introspection_endpoint":"http://127.0.0.1:9/introspect"}"#,
    );
    for (introspection, expected) in [
        (Introspection::tls_client_auth("notes"), 503),
        (Introspection::tls_client_auth("notes").endpoint("https://issuer.test/introspect"), 200),
        // Whoever authenticates otherwise does not look at it.
        (Introspection::basic("notes", "secret"), 200),
    ] {
        let server = AuthorizationServer::discover(ISSUER).fetch(web.clone());
        let server = server.introspection(introspection);
        let auth = McpAuth::builder(RESOURCE).authorization_server(server).build();
        assert_eq!(status(&auth.expect("a description"), "opaque").await, expected);
    }
    let hosts: Vec<_> =
        web.asked().iter().filter_map(|it| it.uri().host().map(str::to_owned)).collect();
    assert!(hosts.iter().all(|host| host == "issuer.test"), "{hosts:?}");
}

#[test]
fn a_client_needs_a_name() {
    let server = TestIssuer::new().authorization_server();
    let exchange = TokenExchange::tls_client_auth(&server, "");
    assert!(exchange.to_audience("calendar", "").is_err());
    let server = server.introspection(Introspection::tls_client_auth(""));
    assert!(McpAuth::builder(RESOURCE).authorization_server(server).build().is_err());
}

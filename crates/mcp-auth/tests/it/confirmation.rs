//! `cnf` (RFC 7800): what it requires of the sender, whoever says it.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::header::AUTHORIZATION;
use mcp_auth::{
    ClientCertificate, Credentials, Denial, Introspection, McpAuth, Reason, VerifiedToken,
};
use mcp_auth_testkit::{DpopKey, TestIssuer};
use serde_json::json;

use crate::world::{RESOURCE, bearer, request};

/// What `cnf` requires of the sender.
#[derive(Clone, Copy, PartialEq)]
enum Wants {
    Nothing,
    Proof,
    Certificate,
    Both,
    /// It cannot be checked.
    Refused,
}

/// RFC 7800 §3.1, in a JWT, in an introspection answer, in a signed one, and from a verifier of one's own.
#[tokio::test]
async fn each_cnf_is_met_or_refused_whoever_says_it() {
    use Wants::*;
    let issuer = TestIssuer::builder().client("notes server", "a secret of this server").build();
    issuer.resource(RESOURCE, [""; 0]);
    let key = DpopKey::generate(issuer.clone());
    let (jkt, x5t) = (key.thumbprint(), URL_SAFE_NO_PAD.encode([7; 32]));
    let certificate = ClientCertificate::from_sha256([7; 32]);
    let rows = [
        ("of Keycloak", json!({ "jkt": jkt, "kc-jkt-type": "DPoP" }), Proof),
        ("a key", json!({ "jkt": jkt }), Proof),
        ("a certificate", json!({ "x5t#S256": x5t }), Certificate),
        ("a certificate and a note", json!({ "x5t#S256": x5t, "x5t": "AQ", "": {} }), Certificate),
        ("both", json!({ "jkt": jkt, "x5t#S256": x5t }), Both),
        ("both and a note", json!({ "a": 1, "jkt": jkt, "b": null, "x5t#S256": x5t }), Both),
        ("null members are absent", json!({ "jkt": jkt, "x5t#S256": null, "kid": null }), Proof),
        ("null beside a certificate", json!({ "jkt": null, "x5t#S256": x5t }), Certificate),
        ("null is absent", json!(null), Nothing),
        ("nothing", json!({}), Refused),
        ("nothing but null", json!({ "jkt": null }), Refused),
        ("nothing known", json!({ "kc-jkt-type": "DPoP" }), Refused),
        ("in capitals", json!({ "JKT": jkt }), Refused),
        ("the SHA-1 of a certificate", json!({ "x5t": "AQ" }), Refused),
        ("a key id", json!({ "kid": "1" }), Refused),
        ("a key, and its id", json!({ "jkt": jkt, "kid": "1" }), Refused),
        ("a key by value", json!({ "jkt": jkt, "jwk": key.jwk() }), Refused),
        ("a key encrypted", json!({ "jkt": jkt, "jwe": "a.b.c.d.e" }), Refused),
        ("a key by URL", json!({ "jkt": jkt, "jku": "https://evil.example/keys" }), Refused),
        ("OSCORE", json!({ "x5t#S256": x5t, "osc": {} }), Refused),
        ("a text", json!("jkt"), Refused),
        ("an array", json!([jkt]), Refused),
        ("a number", json!(5), Refused),
        ("false", json!(false), Refused),
        ("a number as key", json!({ "jkt": 5 }), Refused),
        ("a list as key", json!({ "jkt": [jkt] }), Refused),
        ("an empty key", json!({ "jkt": "" }), Refused),
        ("a short key", json!({ "jkt": &jkt[..42] }), Refused),
        ("a padded key", json!({ "jkt": format!("{jkt}=") }), Refused),
        ("a bad key, a good certificate", json!({ "jkt": 5, "x5t#S256": x5t }), Refused),
        ("a good key, a bad certificate", json!({ "jkt": jkt, "x5t#S256": "x" }), Refused),
    ];
    let asking = || Introspection::basic("notes server", "a secret of this server");
    let behind = |asking: Introspection| {
        let server = issuer.authorization_server().introspection(asking);
        let auth = McpAuth::builder(RESOURCE).authorization_server(server).clock(issuer.clone());
        auth.build().expect("a configuration")
    };
    let by_jwt = issuer.protects(RESOURCE).build().expect("a configuration");
    let (by_answer, by_signed_answer) = (behind(asking()), behind(asking().signed_responses()));
    for (name, cnf, wants) in rows {
        // Keycloak's kind of token is the claim `typ`.
        let token = || issuer.token().claim("typ", "DPoP").claim("cnf", cnf.clone());
        let claims = json!({ "cnf": cnf });
        let asserted = move |_: Credentials| {
            let token = VerifiedToken::assert("https://issuer.test", "alice").audience(RESOURCE);
            let token = token.with_claims(&claims);
            async move { token.map_err(|_| Denial::invalid(Reason::Claims)) }
        };
        let own = issuer.protects(RESOURCE).verifier(asserted).build().expect("a configuration");
        for (said_by, auth, token) in [
            ("a JWT", &by_jwt, token().sign()),
            ("an answer", &by_answer, token().opaque()),
            ("a signed answer", &by_signed_answer, token().opaque()),
            ("a verifier", &own, "opaque".to_owned()),
        ] {
            for (has_proof, has_certificate) in
                [(false, false), (true, false), (false, true), (true, true)]
            {
                let proof = key.proof("POST", RESOURCE).token(&token).sign();
                let mut headers = bearer(&token);
                if has_proof {
                    headers.insert("dpop", proof.parse().expect("a header value"));
                    let value = format!("DPoP {token}").parse().expect("a header value");
                    headers.insert(AUTHORIZATION, value);
                }
                let mut sent = request(headers);
                if has_certificate {
                    sent.extensions_mut().insert(certificate);
                }
                let is_met = match wants {
                    Nothing => !has_proof,
                    Proof => has_proof,
                    Certificate => has_certificate && !has_proof,
                    Both => has_proof && has_certificate,
                    Refused => false,
                };
                let (parts, body) = sent.into_parts();
                let admitted = auth.admit(&parts, body).await;
                assert_eq!(
                    admitted.is_ok(),
                    is_met,
                    "{name}, {said_by}, {has_proof}, {has_certificate}: {:?}",
                    admitted.as_ref().err()
                );
                if let (Refused, Err(denial)) = (wants, &admitted) {
                    assert_eq!(denial.reason(), Some(Reason::Binding), "{name}, {said_by}");
                    let advice = denial.operator_detail().unwrap_or_default();
                    assert!(advice.contains("let the issuer"), "{name}, {said_by}: {advice}");
                }
            }
        }
    }
}

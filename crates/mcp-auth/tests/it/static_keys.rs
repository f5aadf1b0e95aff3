//! Keys that are not fetched: given in code, in a file, in PEM; and a shared secret instead of keys.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use mcp_auth::jwt::{KeySet, KeySetError};
use mcp_auth::{AuthorizationServer, ConfigError, McpAuth, Reason};
use mcp_auth_testkit::{SigningAlgorithm, TestIssuer};

use crate::world::{RESOURCE, admit, bearer, status};

/// A resource that trusts `server`. The clock is that of `issuer`, which counts any request to it.
fn trusting(issuer: &TestIssuer, server: AuthorizationServer) -> McpAuth {
    let server = server.fetch(issuer.clone()).clock(issuer.clone());
    let auth = McpAuth::builder(RESOURCE).authorization_server(server).clock(issuer.clone());
    auth.build().expect("a description")
}

async fn refused(auth: &McpAuth, token: &str) -> Option<Reason> {
    admit(auth, &bearer(token)).await.err().and_then(|denial| denial.reason())
}

#[tokio::test]
async fn given_keys_need_no_network() {
    let issuer = TestIssuer::new();
    let keys = KeySet::parse(issuer.jwks().as_bytes()).expect("a key set");
    let auth = trusting(&issuer, AuthorizationServer::with_keys(issuer.url(), keys));
    assert!(auth.readiness().is_ready());
    auth.warm_up().await.expect("nothing to fetch");
    assert_eq!(status(&auth, &issuer.token().sign()).await, 200);
    assert_eq!(refused(&auth, &issuer.token().kid("x").sign()).await, Some(Reason::UnknownKey));
    let forged = TestIssuer::new().token().sign(); // the same issuer and `kid`, a different key
    assert_eq!(refused(&auth, &forged).await, Some(Reason::Signature));
    issuer.rotate();
    assert_eq!(refused(&auth, &issuer.token().sign()).await, Some(Reason::UnknownKey));
    assert_eq!(issuer.requests(), 0);
}

#[tokio::test]
async fn pem_keys_verify_tokens_with_any_kid() {
    for algorithm in SigningAlgorithm::ALL {
        let issuer = TestIssuer::builder().algorithm(algorithm).build();
        let keys = KeySet::from_pem(&issuer.pem()).expect("a key");
        let auth = trusting(&issuer, AuthorizationServer::with_keys(issuer.url(), keys));
        assert_eq!(status(&auth, &issuer.token().sign()).await, 200, "{algorithm}");
        let nameless = issuer.token().without_header("kid").sign();
        assert_eq!(status(&auth, &nameless).await, 200, "{algorithm}");
        let mut forged = issuer.token().sign();
        // Not at the end, where an ML-DSA signature may consist of zeros.
        let signature = forged.rfind('.').expect("a signature") + 1;
        forged.replace_range(signature + 8..signature + 12, "AAAA");
        assert_eq!(refused(&auth, &forged).await, Some(Reason::Signature), "{algorithm}");
        let other = if algorithm == SigningAlgorithm::Es256 {
            SigningAlgorithm::Es384
        } else {
            SigningAlgorithm::Es256
        };
        let other = issuer.token().signed_with(other).sign();
        assert_eq!(refused(&auth, &other).await, Some(Reason::UnknownKey), "{algorithm}");
        assert_eq!(issuer.requests(), 0);
    }
}

#[tokio::test]
async fn unnamed_pem_keys_are_all_tried_and_named_ones_match_by_kid() {
    let issuer = TestIssuer::new();
    let first = issuer.pem();
    let old = issuer.token();
    issuer.rotate();
    let both = first.clone() + &issuer.pem();
    let keys = KeySet::from_pem(&both).expect("two keys");
    let auth = trusting(&issuer, AuthorizationServer::with_keys(issuer.url(), keys));
    for token in [old.clone(), issuer.token(), old.clone().without_header("kid")] {
        assert_eq!(status(&auth, &token.sign()).await, 200);
    }
    let named = KeySet::from_pem_named("es256-1", &first).expect("a key");
    let named = named.and(KeySet::from_pem_named("es256-2", &issuer.pem()).expect("a key"));
    let auth = trusting(&issuer, AuthorizationServer::with_keys(issuer.url(), named));
    assert_eq!(status(&auth, &old.clone().sign()).await, 200);
    assert_eq!(status(&auth, &issuer.token().sign()).await, 200);
    let nameless = old.clone().without_header("kid").sign();
    assert_eq!(refused(&auth, &nameless).await, Some(Reason::UnknownKey), "which of two?");
    let renamed = old.header("kid", "es256-2").sign();
    assert_eq!(refused(&auth, &renamed).await, Some(Reason::Signature));
}

#[test]
fn a_private_key_is_not_taken_for_a_public_one() {
    let pem = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----";
    assert!(matches!(KeySet::from_pem(pem), Err(KeySetError::Pem(why)) if why.contains("private")));
}

/// A temporary file, deleted at the end of the test.
pub(crate) struct KeysFile(pub(crate) PathBuf);

impl KeysFile {
    pub(crate) fn new(name: &str) -> Self {
        Self(std::env::temp_dir().join(format!("mcp-auth-{}-{name}", std::process::id())))
    }

    pub(crate) fn write(&self, text: &str) {
        fs::write(&self.0, text).expect("a file");
    }
}

impl Drop for KeysFile {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

#[tokio::test]
async fn a_file_of_keys_is_read_again_when_it_changes() {
    let (issuer, file) = (TestIssuer::new(), KeysFile::new("changes.json"));
    let look = Duration::from_secs(10);
    let lasting = || issuer.token().expires_in(Duration::from_secs(86_400));
    let auth = trusting(&issuer, AuthorizationServer::with_keys_file(issuer.url(), &file.0));
    assert_eq!(status(&auth, &lasting().sign()).await, 503, "it is not there yet");
    assert!(auth.warm_up().await.is_err() && !auth.readiness().is_ready());

    file.write(&issuer.jwks());
    issuer.clock().advance(look);
    assert_eq!(status(&auth, &lasting().sign()).await, 200);
    assert!(auth.readiness().is_ready());

    let old = lasting().sign();
    assert_eq!(status(&auth, &old).await, 200);
    issuer.rotate();
    file.write(&issuer.jwks());
    assert_eq!(status(&auth, &lasting().sign()).await, 200, "an unknown key is looked for at once");

    issuer.withdraw_old_keys();
    file.write(&issuer.jwks());
    issuer.clock().advance(look);
    assert_eq!(status(&auth, &lasting().sign()).await, 200);
    assert_eq!(status(&auth, &old).await, 401, "its key is withdrawn, though it was remembered");
    file.write(&issuer.pem());
    issuer.clock().advance(look);
    assert_eq!(status(&auth, &lasting().sign()).await, 200, "PEM is as good");
    assert_eq!(issuer.requests(), 0);
}

#[tokio::test]
async fn a_broken_key_file_keeps_the_cached_keys() {
    let (issuer, file) = (TestIssuer::new(), KeysFile::new("breaks.json"));
    file.write(&issuer.jwks());
    let auth = trusting(&issuer, AuthorizationServer::with_keys_file(issuer.url(), &file.0));
    let fresh = || issuer.token().sign();
    assert_eq!(status(&auth, &fresh()).await, 200);
    let oversize = format!("{}{}", issuer.jwks(), " ".repeat(600_000));
    for nonsense in ["", "{", r#"{"keys":[]}"#, "not PEM", &oversize] {
        file.write(nonsense);
        issuer.clock().advance(Duration::from_secs(60));
        assert_eq!(status(&auth, &fresh()).await, 200, "{:.20}", nonsense);
    }
    fs::remove_file(&file.0).expect("it was there");
    issuer.clock().advance(Duration::from_secs(60));
    assert_eq!(status(&auth, &fresh()).await, 200, "removed");
    let invented = issuer.token().kid("invented").sign();
    assert_eq!(status(&auth, &invented).await, 503, "the key might be in the next file");
    issuer.clock().advance(Duration::from_secs(86_400));
    assert_eq!(status(&auth, &fresh()).await, 503, "but not for ever");
}

const SECRET: &str = "a secret of thirty-two bytes or more";

#[tokio::test]
async fn a_secret_verifies_what_was_signed_with_it_and_nothing_else() {
    let issuer = TestIssuer::new();
    let auth = trusting(&issuer, AuthorizationServer::with_secret(issuer.url(), SECRET));
    assert!(auth.readiness().is_ready());
    let token = || issuer.token();
    let rows = [
        ("good", token().sign_with_secret(SECRET), None),
        (
            "bound to a key",
            token().claim("cnf", serde_json::json!({ "jkt": "x" })).sign_with_secret(SECRET),
            Some(Reason::Binding),
        ),
        ("another secret", token().sign_with_secret(format!("{SECRET}.")), Some(Reason::Signature)),
        ("no secret", token().sign_with_secret(""), Some(Reason::Signature)),
        ("expired", token().expired().sign_with_secret(SECRET), Some(Reason::Expired)),
        (
            "another audience",
            token().audience("urn:x").sign_with_secret(SECRET),
            Some(Reason::Audience),
        ),
        (
            "another issuer",
            token().claim("iss", "https://evil.example").sign_with_secret(SECRET),
            Some(Reason::Algorithm),
        ),
        ("a logout token", token().typ("logout+jwt").sign_with_secret(SECRET), Some(Reason::Type)),
        ("bound", token().claim("cnf", "x").sign_with_secret(SECRET), Some(Reason::Binding)),
        ("a key's signature", token().sign(), Some(Reason::Algorithm)),
        ("a key's, as HS256", token().header("alg", "HS256").sign(), Some(Reason::Signature)),
        ("HS512", token().header("alg", "HS512").sign(), Some(Reason::Algorithm)),
        ("RS256", token().signed_with(SigningAlgorithm::Rs256).sign(), Some(Reason::Algorithm)),
        ("none", token().header("alg", "none").sign(), Some(Reason::Algorithm)),
    ];
    for (name, token, reason) in rows {
        assert_eq!(refused(&auth, &token).await, reason, "{name}");
    }
    let cut = token().sign_with_secret(SECRET);
    let cut = &cut[..cut.rfind('.').expect("a dot") + 1];
    assert_eq!(refused(&auth, cut).await, Some(Reason::Signature), "no signature");
    assert_eq!(issuer.requests(), 0, "a secret is never looked for elsewhere");
}

#[tokio::test]
async fn a_public_key_is_never_an_hmac_secret_and_a_secret_serves_one_issuer_only() {
    let (inside, outside) = (
        TestIssuer::builder().issuer("https://inside.test").build(),
        TestIssuer::builder().algorithm(SigningAlgorithm::Rs256).build(),
    );
    let auth = outside
        .protects(RESOURCE)
        .authorization_server(AuthorizationServer::with_secret(inside.url(), SECRET))
        .build()
        .expect("a description");
    let now = outside.clock();
    inside.clock().set(mcp_auth::Clock::now(&now));
    assert_eq!(status(&auth, &outside.token().sign()).await, 200);
    assert_eq!(status(&auth, &inside.token().sign_with_secret(SECRET)).await, 200);
    for secret in
        [outside.pem(), outside.pem().trim_end().to_owned(), outside.jwks(), SECRET.to_owned()]
    {
        let forged = outside.token().sign_with_secret(&secret);
        assert_eq!(refused(&auth, &forged).await, Some(Reason::Algorithm), "{secret:.30}");
    }
}

#[test]
fn a_short_secret_is_refused_at_build() {
    for (length, is_fine) in [(0, false), (31, false), (32, true), (64, true)] {
        let server = AuthorizationServer::with_secret("https://auth.example.com", vec![7; length]);
        let built = McpAuth::builder(RESOURCE).authorization_server(&server).build();
        let weak = ConfigError::Secret("https://auth.example.com".to_owned());
        assert_eq!(built.err(), (!is_fine).then_some(weak), "{length}");
        assert!(!format!("{server:?}").contains('7'));
    }
}

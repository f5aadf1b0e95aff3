//! The library without its feature `reqwest`: a `Fetch` of our own serves discovery, keys and introspection.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Empty;
use mcp_auth::{
    AuthInfo, AuthorizationServer, BoxFuture, ConfigError, Fetch, FetchError, Introspection,
    Limits, McpAuth,
};

const ISSUER: &str = "https://auth.example.com";
const RESOURCE: &str = "https://api.example.com/mcp";

/// An authorization server as a function, with one Ed25519 key.
#[derive(Clone)]
struct Documents {
    key: Arc<Ed25519KeyPair>,
    fetches: Arc<AtomicUsize>,
}

impl Documents {
    fn new() -> Self {
        let key = Ed25519KeyPair::generate().expect("randomness");
        Self { key: Arc::new(key), fetches: Arc::default() }
    }

    /// A JWT for `alice`.
    fn token(&self, audience: &str, expires_at: u64, scope: &str) -> String {
        let claims = format!(
            r#"{{"iss":"{ISSUER}","sub":"alice","aud":"{audience}","exp":{expires_at},"scope":"{scope}"}}"#
        );
        let parts =
            [r#"{"alg":"EdDSA","kid":"1"}"#, &claims].map(|json| URL_SAFE_NO_PAD.encode(json));
        let input = parts.join(".");
        let signature = URL_SAFE_NO_PAD.encode(self.key.sign(input.as_bytes()));
        format!("{input}.{signature}")
    }

    fn answer(&self, path: &str, body: &[u8]) -> Option<String> {
        let x = URL_SAFE_NO_PAD.encode(self.key.public_key());
        match path {
            "/.well-known/oauth-authorization-server" => Some(format!(
                r#"{{"issuer":"{ISSUER}","jwks_uri":"{ISSUER}/jwks","introspection_endpoint":"{ISSUER}/introspect"}}"#
            )),
            "/jwks" => {
                Some(format!(r#"{{"keys":[{{"kty":"OKP","crv":"Ed25519","kid":"1","x":"{x}"}}]}}"#))
            }
            "/introspect" if body.starts_with(b"token=opaque&") => {
                Some(format!(r#"{{"active":true,"sub":"bob","aud":"{RESOURCE}","scope":"read"}}"#))
            }
            "/introspect" => Some(r#"{"active":false}"#.to_owned()),
            _ => None,
        }
    }
}

impl Fetch for Documents {
    fn fetch(
        &self,
        request: Request<Bytes>,
        _: Limits,
    ) -> BoxFuture<'_, Result<Response<Bytes>, FetchError>> {
        Box::pin(async move {
            self.fetches.fetch_add(1, Ordering::Relaxed);
            let answer = self.answer(request.uri().path(), request.body());
            let mut response = Response::new(Bytes::from(answer.clone().unwrap_or_default()));
            if answer.is_none() {
                *response.status_mut() = StatusCode::NOT_FOUND;
            }
            Ok(response)
        })
    }
}

async fn admit(auth: &McpAuth, token: &str) -> Result<AuthInfo, mcp_auth::Denial> {
    let request = Request::post("/mcp").header("authorization", format!("Bearer {token}"));
    let (parts, ()) = request.body(()).expect("a request").into_parts();
    auth.admit(&parts, Empty::<Bytes>::new()).await.map(|(caller, _)| caller)
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let without = McpAuth::builder(RESOURCE).authorization_server(ISSUER).build();
    assert_eq!(
        without.expect_err("nothing to fetch with"),
        ConfigError::NoFetch(ISSUER.to_owned())
    );

    let documents = Documents::new();
    let server = AuthorizationServer::discover(ISSUER)
        .fetch(documents.clone())
        .introspection(Introspection::basic("notes", "a secret"));
    let auth =
        McpAuth::builder(RESOURCE).authorization_server(server).required_scopes(["read"]).build();
    let auth = auth.expect("a description");
    let far = 99_999_999_999;
    let good = documents.token(RESOURCE, far, "read");
    assert_eq!(admit(&auth, &good).await.expect("a JWT").subject(), "alice");
    for (bad, code) in [
        (documents.token("https://bank.example.com", far, "read"), "audience"),
        (documents.token(RESOURCE, 1, "read"), "expired"),
        (documents.token(RESOURCE, far, "write"), "insufficient_scope"),
        (Documents::new().token(RESOURCE, far, "read"), "signature"),
    ] {
        assert_eq!(admit(&auth, &bad).await.expect_err(code).code(), code);
    }
    assert_eq!(admit(&auth, "opaque").await.expect("an opaque token").subject(), "bob");
    assert!(admit(&auth, "unknown").await.is_err());
    assert!(documents.fetches.load(Ordering::Relaxed) >= 4, "metadata, keys, two introspections");
    println!("without the feature `reqwest`, a `Fetch` of one's own serves JWTs and opaque tokens");
}

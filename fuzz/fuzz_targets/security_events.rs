//! Fuzzes logout tokens and other security events: any claims under a valid signature.
//!
//! Nothing panics. Another parser reads the same from what is accepted. What is refused revokes nothing.

#![no_main]

use std::future::Future;
use std::pin::pin;
use std::sync::LazyLock;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, UNIX_EPOCH};

use aws_lc_rs::signature::Ed25519KeyPair;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use libfuzzer_sys::fuzz_target;
use mcp_auth::jwt::KeySet;
use mcp_auth::{AuthorizationServer, Denial, ManualClock, McpAuth, Revocations};
use serde_json::Value;

const ISSUER: &str = "https://auth.example.com";
const CLIENT: &str = "client";

/// The key of RFC 8037 A.1.
const JWKS: &[u8] =
    br#"{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"ed","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;

static KEYS: LazyLock<KeySet> = LazyLock::new(|| KeySet::parse(JWKS).expect("a key set"));

static PAIR: LazyLock<Ed25519KeyPair> = LazyLock::new(|| {
    let seed = URL_SAFE_NO_PAD.decode("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A");
    Ed25519KeyPair::from_seed_unchecked(&seed.expect("base64url")).expect("a key")
});

fn sign(typ: &str, claims: &[u8]) -> String {
    let header = format!(r#"{{"alg":"EdDSA","kid":"ed","typ":"{typ}"}}"#);
    let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let input = format!("{}.{}", encode(header.as_bytes()), encode(claims));
    format!("{input}.{}", encode(PAIR.sign(input.as_bytes()).as_ref()))
}

/// The output of a future that is ready at once, since the keys are given.
fn at_once(receiving: impl Future<Output = Result<(), Denial>>) -> Result<(), Denial> {
    match pin!(receiving).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(received) => received,
        Poll::Pending => panic!("it waits"),
    }
}

fuzz_target!(|data: &[u8]| {
    let book = Revocations::new();
    let auth = McpAuth::builder("https://api.example.com/mcp")
        .authorization_server(AuthorizationServer::with_keys(ISSUER, KEYS.clone()))
        .clock(ManualClock::at(UNIX_EPOCH + Duration::from_secs(1_800_000_000)))
        .revocations(&book)
        .build()
        .expect("a description");
    let logout = at_once(auth.receive_logout_token(&sign("logout+jwt", data), &[CLIENT]));
    let logouts = book.len();
    let event = at_once(auth.receive_security_event(&sign("secevent+jwt", data), &[CLIENT]));
    assert!(logout.is_ok() || logouts == 0);
    assert!(event.is_ok() || book.len() == logouts);
    if logout.is_err() && event.is_err() {
        return;
    }
    // Nested too deeply for serde_json: there is nothing to compare with.
    let Ok(claims) = serde_json::from_slice::<Value>(data) else { return };
    assert_eq!(claims["iss"], ISSUER);
    let aud = &claims["aud"];
    assert!(aud == CLIENT || aud.as_array().is_some_and(|all| all.iter().any(|it| it == CLIENT)));
    assert!(claims["events"].is_object() && claims["jti"].is_string() && claims["iat"].is_number());
    if logout.is_ok() {
        assert!(claims.get("nonce").is_none() && claims["exp"].is_number());
        assert!(claims["sub"].is_string() || claims["sid"].is_string());
    }
});

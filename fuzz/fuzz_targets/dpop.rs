//! Fuzzes DPoP proofs: any bytes, and any header and claims under a valid signature.
//!
//! Nothing panics. A strict parser reads the same from what is accepted, and it is accepted only once.
//!
//! An input is used as a proof, and as a header on the first line and claims on the other lines, which are
//! signed. After a `#`, each letter picks a member of one of two lists instead, which is signed too.

#![no_main]

use std::collections::HashSet;
use std::fmt;
use std::future::Future;
use std::pin::pin;
use std::sync::LazyLock;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, UNIX_EPOCH};

use aws_lc_rs::signature::Ed25519KeyPair;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderValue, Request};
use libfuzzer_sys::fuzz_target;
use mcp_auth::{
    AuthorizationServer, Credentials, Denial, ManualClock, McpAuth, Reason, VerifiedToken,
};
use serde::Deserialize;
use serde::de::{Deserializer, Error, IgnoredAny, MapAccess, Visitor};

const ISSUER: &str = "https://auth.example.com";
const RESOURCE: &str = "https://api.example.com/mcp";
const NOW: u64 = 1_700_000_000;

/// Picked by the letters `A`, `B` and so on of the first line. The key is that of RFC 8037 A.1.
const HEADER_MEMBERS: &[&str] = &[
    r#""typ":"dpop+jwt""#,
    r#""alg":"EdDSA""#,
    r#""jwk":{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#,
    r#""typ":"application/DPoP+JWT""#,
    r#""alg":"Ed25519""#,
    r#""jwk":{"x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo","\u0063rv":"Ed25519","kty":"OKP","use":"sig"}"#,
    r#""jwk":{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo","d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A"}"#,
    r#""jwk":{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo","key_ops":["sign"]}"#,
    r#""jwk":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo""#,
    r#""\u006awk":{}"#,
    r#""typ":"JWT""#,
    r#""typ":null"#,
    r#""alg":"none""#,
    r#""alg":"ES256""#,
    r#""crit":["exp"]"#,
    r#""b64":true"#,
    r#""kid":"1""#,
];

/// Picked by the letters `A`, `B` and so on after the first line. The hash is that of the token `abc`.
const CLAIM_MEMBERS: &[&str] = &[
    r#""jti":"1""#,
    r#""htm":"POST""#,
    r#""htu":"https://api.example.com/mcp""#,
    r#""iat":1700000000"#,
    r#""ath":"ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0""#,
    r#""htu":"HTTPS://API.example.com:443/x/..//mcp?a#b""#,
    r#""htu":"https://api.example.com/%6Dcp""#,
    r#""htu":"https://evil.example/mcp""#,
    r#""htu":"https://api.example.com/mcp/""#,
    r#""h\u0074u":"https://api.example.com/mcp""#,
    r#""htm":"GET""#,
    r#""htm":"post""#,
    r#""iat":1.69999999e9"#,
    r#""iat":1600000000"#,
    r#""iat":1e400"#,
    r#""iat":"1700000000""#,
    r#""jti":"""#,
    r#""jti":"\ud800""#,
    r#""ath":"AAAA""#,
    r#""nonce":"n""#,
    r#""nonce":1"#,
    r#""x":{"y":[]}"#,
];

static SIGNER: LazyLock<Ed25519KeyPair> = LazyLock::new(|| {
    let [seed, public] = [
        "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A",
        "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
    ]
    .map(|part| URL_SAFE_NO_PAD.decode(part).expect("base64url"));
    Ed25519KeyPair::from_seed_and_public_key(&seed, &public).expect("a key pair")
});

/// What serde reads, for comparison.
#[derive(Deserialize)]
struct Header {
    alg: String,
    typ: String,
    jwk: Jwk,
    crit: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct Jwk {
    x: String,
    d: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct Claims {
    jti: String,
    htm: String,
    htu: String,
    iat: f64,
    ath: String,
}

/// An object without duplicate names.
struct Distinct;

impl<'de> Deserialize<'de> for Distinct {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Self)
    }
}

impl<'de> Visitor<'de> for Distinct {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self, A::Error> {
        let mut names = HashSet::new();
        while let Some((name, IgnoredAny)) = map.next_entry::<String, _>()? {
            if !names.insert(name) {
                return Err(A::Error::custom("a name twice"));
            }
        }
        Ok(Self)
    }
}

/// A resource where `abc` is a token bound to the key of RFC 8037.
fn protected() -> McpAuth {
    let verifier = |_: Credentials| {
        let cnf = serde_json::json!({"cnf": {"jkt": "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"}});
        let token = VerifiedToken::assert(ISSUER, "alice").audience(RESOURCE).with_claims(&cnf);
        std::future::ready(token.map_err(|_| Denial::invalid(Reason::Claims)))
    };
    McpAuth::builder(RESOURCE)
        .authorization_server(AuthorizationServer::external(ISSUER))
        .verifier(verifier)
        .clock(ManualClock::at(UNIX_EPOCH + Duration::from_secs(NOW)))
        .build()
        .expect("a description")
}

fn admits(auth: &McpAuth, proof: &HeaderValue) -> bool {
    let request = Request::post("/mcp").header("authorization", "DPoP abc").header("dpop", proof);
    let (parts, body) = request.body(String::new()).expect("a request").into_parts();
    let mut admission = pin!(auth.admit(&parts, body));
    match admission.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(outcome) => outcome.is_ok(),
        Poll::Pending => panic!("there is nothing to wait for"),
    }
}

fn present(proof: &[u8]) {
    let Ok(value) = HeaderValue::from_bytes(proof) else { return };
    let auth = protected();
    if admits(&auth, &value) {
        agree(value.to_str().expect("ASCII"));
        assert!(!admits(&auth, &value), "accepted twice");
    }
}

fn agree(proof: &str) {
    let parts: Vec<_> = proof.split('.').collect();
    assert_eq!(parts.len(), 3);
    let decoded = |part: &str| {
        let bytes = URL_SAFE_NO_PAD.decode(part).expect("strict base64url");
        String::from_utf8(bytes).expect("UTF-8")
    };
    let (header, claims) = (decoded(parts[0]), decoded(parts[1]));
    for object in [&header, &claims] {
        serde_json::from_str::<Distinct>(object).expect("an object without duplicate members");
    }
    let header: Header = serde_json::from_str(&header).expect("a header");
    let typ = header.typ.to_ascii_lowercase();
    assert_eq!(typ.strip_prefix("application/").unwrap_or(&typ), "dpop+jwt");
    assert!(header.alg == "EdDSA" || header.alg == "Ed25519", "{}", header.alg);
    assert!(header.jwk.d.is_none() && header.crit.is_none());
    assert_eq!(header.jwk.x, "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo");

    let claims: Claims = serde_json::from_str(&claims).expect("claims");
    assert!(!claims.jti.is_empty());
    assert_eq!(claims.htm, "POST");
    assert_eq!(claims.ath, "ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0");
    assert!((NOW - 121..=NOW + 61).contains(&(claims.iat as u64)));
    let url = claims.htu.to_ascii_lowercase();
    assert!(url.starts_with("https://api.example.com"), "{url}");
}

fn sign(header: &[u8], claims: &[u8]) -> Vec<u8> {
    let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
    let signature = URL_SAFE_NO_PAD.encode(SIGNER.sign(signed.as_bytes()));
    format!("{signed}.{signature}").into_bytes()
}

/// An object of the members that these letters pick.
fn pick(members: &[&str], letters: &[u8]) -> String {
    let member = |letter: &u8| members[usize::from(letter.wrapping_sub(b'A')) % members.len()];
    format!("{{{}}}", letters.iter().map(member).collect::<Vec<_>>().join(","))
}

fuzz_target!(|data: &[u8]| {
    let lines = data.iter().position(|byte| *byte == b'\n').map(|end| data.split_at(end));
    if let (Some(letters), Some((first, rest))) = (data.strip_prefix(b"#"), lines) {
        let first = &letters[..first.len() - 1];
        let (header, claims) = (pick(HEADER_MEMBERS, first), pick(CLAIM_MEMBERS, &rest[1..]));
        return present(&sign(header.as_bytes(), claims.as_bytes()));
    }
    if let Some((first, rest)) = lines {
        present(&sign(first, &rest[1..]));
    }
    present(data);
});

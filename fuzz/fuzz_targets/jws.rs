//! Any bytes as a token, and any header and claims under a good signature: nothing panics, and what
//! is accepted says the same to a strict parser.

#![no_main]

use std::sync::LazyLock;

use aws_lc_rs::signature::Ed25519KeyPair;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use libfuzzer_sys::fuzz_target;
use mcp_auth::VerifiedToken;
use mcp_auth::jwt::{self, JwtRules, KeySet, Profile};
use serde::Deserialize;

const ISSUER: &str = "https://auth.example.com";

/// RFC 8037 A.1 as `ed`, and RFC 7515's keys on P-256 and of RSA, which the fuzzer cannot sign with.
const JWKS: &[u8] = br#"{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"ed","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"},{"kty":"EC","crv":"P-256","kid":"ec","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"},{"kty":"RSA","kid":"rsa","e":"AQAB","n":"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ"}]}"#;

struct World {
    keys: KeySet,
    signer: Ed25519KeyPair,
    compatible: JwtRules,
    strict: JwtRules,
}

static WORLD: LazyLock<World> = LazyLock::new(|| {
    let seed = URL_SAFE_NO_PAD.decode("nWGxne_9WmC6hEr0kuwsERJxWl7MmkZcDusAxyuf2A0");
    let compatible = JwtRules::new(ISSUER);
    let mut strict = JwtRules::new(ISSUER);
    strict.profile = Profile::Rfc9068;
    World {
        keys: KeySet::parse(JWKS).expect("a key set"),
        signer: Ed25519KeyPair::from_seed_unchecked(&seed.expect("base64url")).expect("a seed"),
        compatible,
        strict,
    }
});

/// A second opinion: serde's own reading, which refuses these members if they come twice.
#[derive(Deserialize)]
struct Header {
    alg: String,
    #[serde(default)]
    kid: Option<String>,
    #[serde(default, rename = "crit")]
    critical: Option<serde::de::IgnoredAny>,
    #[serde(default, rename = "b64")]
    encoded: Option<serde::de::IgnoredAny>,
}

#[derive(Deserialize)]
struct Claims {
    iss: String,
    sub: String,
    exp: f64,
    #[serde(default)]
    cnf: Option<serde::de::IgnoredAny>,
}

fn verify(token: &str) -> Option<VerifiedToken> {
    let world = &*WORLD;
    let compatible = jwt::verify(token, &world.keys, &world.compatible).ok();
    if let Ok(strict) = jwt::verify(token, &world.keys, &world.strict) {
        let also = compatible.as_ref().expect("what is strictly good is good");
        assert_eq!(also.subject(), strict.subject());
    }
    compatible
}

fn agree(token: &str, verified: &VerifiedToken) {
    let parts: Vec<_> = token.split('.').collect();
    assert_eq!(parts.len(), 3);
    let decoded = |part: &str| {
        let bytes = URL_SAFE_NO_PAD.decode(part).expect("strict base64url");
        String::from_utf8(bytes).expect("UTF-8")
    };
    let (header, claims) = (decoded(parts[0]), decoded(parts[1]));
    // Else serde would take an array for the struct.
    assert!(header.trim_start().starts_with('{') && claims.trim_start().starts_with('{'));

    let header: Header = serde_json::from_str(&header).expect("a strict header");
    assert!(header.alg == "EdDSA" || header.alg == "Ed25519", "{}", header.alg);
    assert!(header.kid.is_none_or(|kid| kid == "ed"));
    assert!(header.critical.is_none() && header.encoded.is_none());

    let claims: Claims = serde_json::from_str(&claims).expect("strict claims");
    assert_eq!((&*claims.iss, &*claims.sub), (verified.issuer(), verified.subject()));
    assert_eq!(claims.iss, ISSUER);
    assert!(!claims.sub.is_empty() && claims.cnf.is_none());
    assert!(claims.exp > 0.0 && claims.exp < 9_007_199_254_740_992.0);
}

fuzz_target!(|data: &[u8]| {
    if let Ok(token) = std::str::from_utf8(data)
        && let Some(verified) = verify(token)
    {
        agree(token, &verified);
    }
    // The first line as the header and the rest as the claims, truly signed.
    if let Some(end) = data.iter().position(|byte| *byte == b'\n') {
        let (header, claims) = (&data[..end], &data[end + 1..]);
        let signed =
            format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
        let signature = URL_SAFE_NO_PAD.encode(WORLD.signer.sign(signed.as_bytes()));
        let token = format!("{signed}.{signature}");
        if let Some(verified) = verify(&token) {
            agree(&token, &verified);
        }
        let payload = format!("{signed}.{}", URL_SAFE_NO_PAD.encode([0; 64]));
        assert!(verify(&payload).is_none(), "a signature of zeros");
    }
});

//! Fuzzes JWTs: any bytes, and any header and claims under a valid signature.
//!
//! Nothing panics. A strict parser reads the same from what is accepted.
//!
//! An input is used as a token, and as a header on the first line and claims on the other lines, which are
//! signed. After a `#`, each letter picks a member of one of two lists instead, which is signed too. The
//! last form finds errors in validation quickly, the others errors in parsing.

#![no_main]

use std::collections::HashSet;
use std::fmt;
use std::sync::LazyLock;

use aws_lc_rs::signature::Ed25519KeyPair;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use libfuzzer_sys::fuzz_target;
use mcp_auth::VerifiedToken;
use mcp_auth::jwt::{self, JwtRules, KeySet, Profile};
use serde::Deserialize;
use serde::de::{Deserializer, Error, IgnoredAny, MapAccess, Visitor};

const ISSUER: &str = "https://auth.example.com";

/// The key of RFC 8037 A.1 as `ed`, and RFC 7515's P-256 and RSA keys, which the fuzzer cannot sign with.
const JWKS: &[u8] = br#"{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"ed","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"},{"kty":"EC","crv":"P-256","kid":"ec","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"},{"kty":"RSA","kid":"rsa","e":"AQAB","n":"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ"}]}"#;

/// Picked by the letters `A`, `B` and so on of the first line.
const HEADER_MEMBERS: &[&str] = &[
    r#""alg":"EdDSA""#,
    r#""kid":"ed""#,
    r#""typ":"JWT""#,
    r#""typ":"at+jwt""#,
    r#""alg":"Ed25519""#,
    r#""alg":"ES256""#,
    r#""alg":"none""#,
    r#""\u0061lg":"EdDSA""#,
    r#""kid":"ec""#,
    r#""\u006bid":"ed""#,
    r#""typ":"application/AT+JWT""#,
    r#""typ":"logout+jwt""#,
    r#""typ":null"#,
    r#""crit":["exp"]"#,
    r#""b64":true"#,
    r#""enc":"A128GCM""#,
    r#""zip":"DEF""#,
    r#""jku":"https://evil.example""#,
    r#""x":1"#,
    r#""\u0078":[{}]"#,
];

/// Picked by the letters `A`, `B` and so on after the first line.
const CLAIM_MEMBERS: &[&str] = &[
    r#""iss":"https://auth.example.com""#,
    r#""sub":"alice""#,
    r#""exp":2000000000"#,
    r#""client_id":"inspector""#,
    r#""iat":1700000000"#,
    r#""jti":"1""#,
    r#""aud":["https://api.example.com/mcp"]"#,
    r#""scope":"read write""#,
    r#""iss":"https://evil.example""#,
    r#""iss":["https://auth.example.com"]"#,
    r#""\u0069ss":"https://auth.example.com""#,
    r#""sub":"""#,
    r#""s\u0075b":"mallory""#,
    r#""sub":7"#,
    r#""exp":"2000000000""#,
    r#""exp":1e400"#,
    r#""exp":-1"#,
    r#""exp":1.5e9"#,
    r#""exp":null"#,
    r#""aud":"a""#,
    r#""aud":[1]"#,
    r#""nbf":4000000000"#,
    r#""nbf":"1""#,
    r#""scp":["read"]"#,
    r#""scope":{"read":true}"#,
    r#""azp":"a""#,
    r#""cnf":{}"#,
    r#""\u0063nf":{"jkt":"a"}"#,
    r#""cnf":null"#,
    r#""nonce":"n""#,
    r#""events":{}"#,
    r#""token_use":"id""#,
    r#""typ":"Logout""#,
    r#""x":"\ud800""#,
    r#""\u0078":1e999"#,
];

struct World {
    keys: KeySet,
    signer: Ed25519KeyPair,
    compatible: JwtRules,
    strict: JwtRules,
}

static WORLD: LazyLock<World> = LazyLock::new(|| {
    let [seed, public] = [
        "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A",
        "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
    ]
    .map(|part| URL_SAFE_NO_PAD.decode(part).expect("base64url"));
    let compatible = JwtRules::new(ISSUER);
    let mut strict = JwtRules::new(ISSUER);
    strict.profile = Profile::Rfc9068;
    World {
        keys: KeySet::parse(JWKS).expect("a key set"),
        signer: Ed25519KeyPair::from_seed_and_public_key(&seed, &public).expect("a key pair"),
        compatible,
        strict,
    }
});

/// What serde reads, for comparison.
#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    typ: Option<String>,
    crit: Option<IgnoredAny>,
    b64: Option<IgnoredAny>,
    enc: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct Claims {
    iss: String,
    sub: String,
    exp: f64,
    cnf: Option<IgnoredAny>,
    nonce: Option<IgnoredAny>,
    events: Option<IgnoredAny>,
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
    for object in [&header, &claims] {
        serde_json::from_str::<Distinct>(object).expect("an object without duplicate members");
    }

    let header: Header = serde_json::from_str(&header).expect("a header");
    assert!(header.alg == "EdDSA" || header.alg == "Ed25519", "{}", header.alg);
    assert!(header.kid.is_none_or(|kid| kid == "ed"));
    assert!(header.crit.is_none() && header.b64.is_none() && header.enc.is_none());
    let typ = header.typ.unwrap_or("jwt".to_owned()).to_ascii_lowercase();
    let typ = typ.strip_prefix("application/").unwrap_or(&typ);
    assert!(typ == "jwt" || typ == "at+jwt", "{typ}");

    let claims: Claims = serde_json::from_str(&claims).expect("claims");
    assert_eq!((&*claims.iss, &*claims.sub), (verified.issuer(), verified.subject()));
    assert_eq!(claims.iss, ISSUER);
    assert!(!claims.sub.is_empty() && claims.cnf.is_none());
    assert!(claims.exp > 0.0 && claims.exp < 9_007_199_254_740_992.0);
    assert!(typ == "at+jwt" || (claims.nonce.is_none() && claims.events.is_none()));
}

fn sign_and_verify(header: &[u8], claims: &[u8]) {
    let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
    let signature = URL_SAFE_NO_PAD.encode(WORLD.signer.sign(signed.as_bytes()));
    let token = format!("{signed}.{signature}");
    if let Some(verified) = verify(&token) {
        agree(&token, &verified);
        let zeros = URL_SAFE_NO_PAD.encode([0; 64]);
        assert!(verify(&format!("{signed}.{zeros}")).is_none(), "a signature of zeros");
    }
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
        return sign_and_verify(header.as_bytes(), claims.as_bytes());
    }
    if let Some((first, rest)) = lines {
        sign_and_verify(first, &rest[1..]);
    }
    if let Ok(token) = std::str::from_utf8(data)
        && let Some(verified) = verify(token)
    {
        agree(token, &verified);
    }
});

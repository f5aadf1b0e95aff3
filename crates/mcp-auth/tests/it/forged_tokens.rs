//! No forged or malformed token is accepted, and none of another issuer: one table, a row per attack.

use std::sync::LazyLock;

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{self as aws, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RsaKeyPair};
use aws_lc_rs::{hmac, rsa};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use http::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use mcp_auth::jwt::{self, Algorithm, JwtRules, KeySet, KeySetError, Profile};
use mcp_auth::{Credentials, Denial, MAX_TOKEN_BYTES, Reason};

const ISSUER: &str = "https://auth.example.com";

/// The default header, for a key whose signatures are cheap.
const HEADER: &str = r#"{"alg":"EdDSA","kid":"ed","typ":"JWT"}"#;

// ── the keys of the issuer and of an attacker ──

struct World {
    ed: Ed25519KeyPair,
    ec: EcdsaKeyPair,
    rsa: RsaKeyPair,
    attacker: Ed25519KeyPair,
    attacker_rsa: RsaKeyPair,
}

static WORLD: LazyLock<World> = LazyLock::new(|| World {
    ed: Ed25519KeyPair::generate().expect("a key"),
    ec: EcdsaKeyPair::generate(&aws::ECDSA_P256_SHA256_FIXED_SIGNING).expect("a key"),
    rsa: RsaKeyPair::generate(rsa::KeySize::Rsa2048).expect("a key"),
    attacker: Ed25519KeyPair::generate().expect("a key"),
    attacker_rsa: RsaKeyPair::generate(rsa::KeySize::Rsa2048).expect("a key"),
});

fn base64url(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// `x` of an Ed25519 key.
fn ed_x(key: &Ed25519KeyPair) -> String {
    base64url(key.public_key())
}

/// `x` and `y` of the key on P-256.
fn ec_xy() -> (String, String) {
    let point = WORLD.ec.public_key().as_ref();
    (base64url(&point[1..33]), base64url(&point[33..]))
}

/// `n` of an RSA key with 2048 bits and the exponent 65537, cut out of its PKCS #1 encoding.
fn rsa_modulus(key: &RsaKeyPair) -> &[u8] {
    let der = key.public_key().as_ref();
    &der[der.len() - 5 - 256..der.len() - 5]
}

fn rsa_n(key: &RsaKeyPair) -> String {
    base64url(rsa_modulus(key))
}

/// The members of the issuer's Ed25519 key, except `kid`.
fn ed_jwk() -> String {
    format!(r#""kty":"OKP","crv":"Ed25519","x":"{}""#, ed_x(&WORLD.ed))
}

fn ec_jwk() -> String {
    let (x, y) = ec_xy();
    format!(r#""kty":"EC","crv":"P-256","x":"{x}","y":"{y}""#)
}

fn rsa_jwk() -> String {
    format!(r#""kty":"RSA","n":"{}","e":"AQAB""#, rsa_n(&WORLD.rsa))
}

/// The issuer's key set: an Ed25519 key, an ES256 key, an RS256 key, and an RSA key without `alg`.
fn jwks() -> String {
    let (ed, ec, rsa) = (ed_jwk(), ec_jwk(), rsa_jwk());
    format!(
        r#"{{"keys":[{{{ed},"kid":"ed"}},{{{ec},"kid":"ec","alg":"ES256","use":"sig"}},{{{rsa},"kid":"rs256","alg":"RS256"}},{{{rsa},"kid":"rsa"}}]}}"#
    )
}

// ── tokens ──

/// The claims of a valid token, some replaced, some removed (`None`), some added.
fn claims(changes: &[(&str, Option<&str>)]) -> String {
    let good = [
        ("iss", r#""https://auth.example.com""#),
        ("sub", r#""alice""#),
        ("aud", r#""https://api.example.com/mcp""#),
        ("exp", "2000000000"),
        ("iat", "1700000000"),
        ("jti", r#""1""#),
        ("client_id", r#""inspector""#),
        ("scope", r#""read write""#),
    ];
    let mut members = Vec::new();
    for (name, value) in good {
        match changes.iter().find(|(changed, _)| *changed == name) {
            None => members.push(format!("{name:?}:{value}")),
            Some((_, Some(value))) => members.push(format!("{name:?}:{value}")),
            Some((_, None)) => {}
        }
    }
    for (name, value) in changes {
        if !good.iter().any(|(known, _)| known == name)
            && let Some(value) = value
        {
            members.push(format!("\"{name}\":{value}"));
        }
    }
    format!("{{{}}}", members.join(","))
}

/// Valid claims, followed by these members verbatim.
fn claims_and(members: &str) -> String {
    let good = claims(&[]);
    format!("{},{members}}}", &good[..good.len() - 1])
}

/// The first two parts of a token.
fn unsigned(header: impl AsRef<[u8]>, claims: impl AsRef<[u8]>) -> String {
    format!("{}.{}", base64url(header), base64url(claims))
}

fn with_signature(input: &str, signature: impl AsRef<[u8]>) -> String {
    format!("{input}.{}", base64url(signature))
}

fn sign(key: &Ed25519KeyPair, input: &str) -> String {
    with_signature(input, key.sign(input.as_bytes()))
}

/// A token with a valid signature by the issuer's Ed25519 key, whatever it contains.
fn signed(header: impl AsRef<[u8]>, claims: impl AsRef<[u8]>) -> String {
    sign(&WORLD.ed, &unsigned(header, claims))
}

/// The default header over these claims.
fn of(claims: impl AsRef<[u8]>) -> String {
    signed(HEADER, claims)
}

/// The default claims with one change.
fn with(name: &str, value: Option<&str>) -> String {
    of(claims(&[(name, value)]))
}

/// This header over valid claims.
fn under(header: impl AsRef<[u8]>) -> String {
    signed(header, claims(&[]))
}

/// Valid claims under a header that has this member too.
fn header_and(member: &str) -> String {
    under(format!(r#"{{"alg":"EdDSA","kid":"ed",{member}}}"#))
}

/// This header over valid claims, signed by the attacker's Ed25519 key.
fn by_attacker(header: &str) -> String {
    sign(&WORLD.attacker, &unsigned(header, claims(&[])))
}

fn ec_signature(input: &str) -> Vec<u8> {
    let signature = WORLD.ec.sign(&SystemRandom::new(), input.as_bytes()).expect("a signature");
    signature.as_ref().to_vec()
}

fn rsa_signature(key: &RsaKeyPair, padding: &'static dyn aws::RsaEncoding, input: &str) -> Vec<u8> {
    let mut signature = vec![0; key.public_modulus_len()];
    key.sign(padding, &SystemRandom::new(), input.as_bytes(), &mut signature).expect("a signature");
    signature
}

fn rsa_token(alg: &str, kid: &str, padding: &'static dyn aws::RsaEncoding) -> String {
    let input = unsigned(format!(r#"{{"alg":"{alg}","kid":"{kid}"}}"#), claims(&[]));
    let signature = rsa_signature(&WORLD.rsa, padding, &input);
    with_signature(&input, signature)
}

fn es256(change: impl FnOnce(Vec<u8>) -> Vec<u8>) -> String {
    let input = unsigned(r#"{"alg":"ES256","kid":"ec"}"#, claims(&[]));
    let signature = ec_signature(&input);
    with_signature(&input, change(signature))
}

fn eddsa(change: impl FnOnce(Vec<u8>) -> Vec<u8>) -> String {
    let input = unsigned(HEADER, claims(&[]));
    let signature = WORLD.ed.sign(input.as_bytes()).as_ref().to_vec();
    with_signature(&input, change(signature))
}

fn rs256(change: impl FnOnce(Vec<u8>) -> Vec<u8>) -> String {
    let input = unsigned(r#"{"alg":"RS256","kid":"rs256"}"#, claims(&[]));
    let signature = rsa_signature(&WORLD.rsa, &aws::RSA_PKCS1_SHA256, &input);
    with_signature(&input, change(signature))
}

fn hs256(alg: &str, kid: &str, secret: &[u8]) -> String {
    let input = unsigned(format!(r#"{{"alg":"{alg}","kid":"{kid}"}}"#), claims(&[]));
    let algorithm = match alg {
        "HS384" => hmac::HMAC_SHA384,
        "HS512" => hmac::HMAC_SHA512,
        _ => hmac::HMAC_SHA256,
    };
    let tag = hmac::sign(&hmac::Key::new(algorithm, secret), input.as_bytes());
    with_signature(&input, tag)
}

/// A valid token with one of its three parts rewritten. A rewritten header or payload is signed as it is, so
/// that only strict decoding can refuse it.
fn rewritten(part: usize, change: impl FnOnce(&str) -> String) -> String {
    let good = of(claims(&[]));
    let mut parts: Vec<_> = good.split('.').map(str::to_owned).collect();
    parts[part] = change(&parts[part]);
    if part == 2 {
        return parts.join(".");
    }
    sign(&WORLD.ed, &format!("{}.{}", parts[0], parts[1]))
}

/// Another text for the same bytes: the unused bits of the last character are changed.
fn loosened(part: usize) -> String {
    // Spaces, which JSON allows, make the length one that leaves unused bits.
    let padded = |json: &str| format!("{json}{}", " ".repeat((4 - json.len() % 3) % 3));
    let input = unsigned(padded(HEADER), padded(&claims(&[])));
    let mut parts: Vec<_> = sign(&WORLD.ed, &input).split('.').map(str::to_owned).collect();
    let last = parts[part].pop().expect("a character");
    assert!(matches!(parts[part].len() % 4, 1 | 2), "no loose bits");
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let place = alphabet.iter().position(|c| char::from(*c) == last).expect("base64url");
    parts[part].push(char::from(alphabet[place + 1]));
    if part == 2 {
        return parts.join(".");
    }
    sign(&WORLD.ed, &format!("{}.{}", parts[0], parts[1]))
}

// ── the table ──

struct Row {
    name: String,
    token: String,
    expected: Option<Reason>,
    jwks: Option<String>,
    profile: Profile,
    algorithms: &'static [Algorithm],
}

fn row(name: impl Into<String>, token: String, expected: Option<Reason>) -> Row {
    Row {
        name: name.into(),
        token,
        expected,
        jwks: None,
        profile: Profile::Compatible,
        algorithms: Algorithm::ALL,
    }
}

/// The token must be refused for this reason.
fn refused(name: impl Into<String>, reason: Reason, token: String) -> Row {
    row(name, token, Some(reason))
}

/// The token must be accepted: a guard against a table that refuses everything.
fn accepted(name: impl Into<String>, token: String) -> Row {
    row(name, token, None)
}

impl Row {
    fn strictly(mut self) -> Self {
        self.profile = Profile::Rfc9068;
        self
    }

    fn with_keys(mut self, keys: &[String]) -> Self {
        self.jwks = Some(format!(r#"{{"keys":[{}]}}"#, keys.join(",")));
        self
    }

    fn only(mut self, algorithms: &'static [Algorithm]) -> Self {
        self.algorithms = algorithms;
        self
    }

    /// Describes the failure, if the row fails.
    fn failure(&self, usual: &KeySet) -> Option<String> {
        let keys = self.jwks.as_ref().map(|jwks| KeySet::parse(jwks.as_bytes()));
        let keys = match keys {
            None => usual.clone(),
            Some(Ok(keys)) => keys,
            Some(Err(error)) => return Some(format!("{}: {error}", self.name)),
        };
        let mut rules = JwtRules::new(ISSUER);
        rules.profile = self.profile;
        rules.algorithms = self.algorithms.to_vec();
        let found = jwt::verify(&self.token, &keys, &rules);
        let right = match (&found, self.expected) {
            (Ok(token), None) => token.subject() == "alice" && token.issuer() == ISSUER,
            (Err(denial), Some(reason)) => denial.reason() == Some(reason),
            _ => false,
        };
        let expected = self.expected.map_or("accepted", Reason::code);
        let found = found.map_or_else(|denial| denial.to_string(), |_| "accepted".to_owned());
        (!right).then(|| format!("{}: expected {expected}, found {found}", self.name))
    }
}

#[test]
fn every_row_is_accepted_or_refused_as_expected() {
    let rows: Vec<Row> = [
        algorithms(),
        embedded_keys(),
        key_names(),
        critical_extensions(),
        types(),
        markers(),
        bindings(),
        duplicates(),
        json(),
        encodings(),
        parts(),
        signatures(),
        required_claims(),
        other_claims(),
        sizes(),
        keys(),
    ]
    .into_iter()
    .flatten()
    .collect();

    let mut names: Vec<_> = rows.iter().map(|row| &*row.name).collect();
    names.sort_unstable();
    for pair in names.windows(2) {
        assert_ne!(pair[0], pair[1], "two rows of one name");
    }

    let usual = KeySet::parse(jwks().as_bytes()).expect("usable keys");
    assert_eq!(usual.len(), 4);
    let failures: Vec<_> = rows.iter().filter_map(|row| row.failure(&usual)).collect();
    assert!(
        failures.is_empty(),
        "{} of {} rows:\n{}",
        failures.len(),
        rows.len(),
        failures.join("\n")
    );
    assert!(rows.len() > 900, "rows were lost: {}", rows.len());
}

fn algorithms() -> Vec<Row> {
    let spki: PublicKeyX509Der<'_> = WORLD.rsa.public_key().as_der().expect("DER");
    let base64: String = STANDARD
        .encode(spki.as_ref())
        .as_bytes()
        .chunks(64)
        .map(|line| format!("{}\n", String::from_utf8_lossy(line)))
        .collect();
    let pem = format!("-----BEGIN PUBLIC KEY-----\n{base64}-----END PUBLIC KEY-----\n");
    let no_signature =
        |alg: &str| format!("{}.", unsigned(format!(r#"{{"alg":{alg}}}"#), claims(&[])));
    let mut rows = Vec::new();

    for alg in ["none", "None", "NONE", "nOnE", "none ", ""] {
        let name = format!("alg {alg:?} without a signature");
        rows.push(refused(name, Reason::Algorithm, no_signature(&format!("{alg:?}"))));
        let kept = under(format!(r#"{{"alg":{alg:?},"kid":"ed"}}"#));
        rows.push(refused(format!("alg {alg:?}, signature kept"), Reason::Algorithm, kept));
    }
    for alg in ["null", "1", "true", r#"["EdDSA"]"#, r#"{"alg":"EdDSA"}"#] {
        let token = under(format!(r#"{{"alg":{alg},"kid":"ed"}}"#));
        rows.push(refused(format!("alg is {alg}"), Reason::Malformed, token));
    }
    rows.push(refused("no alg", Reason::Malformed, under(r#"{"kid":"ed","typ":"JWT"}"#)));
    rows.push(refused(
        "alg in other case",
        Reason::Malformed,
        under(r#"{"Alg":"EdDSA","kid":"ed"}"#),
    ));

    for (name, secret) in [
        ("the public key in PEM", pem.as_bytes()),
        ("the public key in PEM without its last newline", pem.trim_end().as_bytes()),
        ("the public key in DER", spki.as_ref()),
        ("the public key in PKCS #1", WORLD.rsa.public_key().as_ref()),
        ("the modulus", rsa_modulus(&WORLD.rsa)),
        ("the JWK", rsa_jwk().as_bytes()),
        ("the key set", jwks().as_bytes()),
        ("nothing", b""),
        ("a word", b"secret"),
    ] {
        for alg in ["HS256", "HS384", "HS512"] {
            let name = format!("{alg} with {name} as secret");
            rows.push(refused(name, Reason::Algorithm, hs256(alg, "rsa", secret)));
        }
    }
    for alg in [
        "ES256K",
        "ESP256",
        "Ed448",
        "RS1",
        "rs256",
        "RS256 ",
        "RS256\\u0000",
        "eddsa",
        "ed25519",
        "EDDSA",
        "ED25519",
        "RSA-OAEP",
        "dir",
        "A128GCM",
        "SLH-DSA-SHA2-128s",
        "ML-DSA",
        "HS1",
    ] {
        let token = under(format!(r#"{{"alg":"{alg}","kid":"ed"}}"#));
        rows.push(refused(format!("alg {alg}"), Reason::Algorithm, token));
    }

    // Each key has its own algorithm; the token cannot choose another.
    for (alg, kid) in [
        ("ES256", "ed"),
        ("ES256", "rsa"),
        ("ES256", "rs256"),
        ("ES384", "ec"),
        ("ES512", "ec"),
        ("RS256", "ec"),
        ("RS256", "ed"),
        ("PS256", "ed"),
        ("EdDSA", "ec"),
        ("EdDSA", "rsa"),
        ("Ed25519", "rs256"),
        ("ML-DSA-44", "ed"),
        ("ML-DSA-87", "rsa"),
    ] {
        let token = under(format!(r#"{{"alg":"{alg}","kid":"{kid}"}}"#));
        rows.push(refused(format!("{alg} with the key {kid}"), Reason::Algorithm, token));
    }
    let paddings: [(&str, &'static dyn aws::RsaEncoding); 6] = [
        ("RS256", &aws::RSA_PKCS1_SHA256),
        ("RS384", &aws::RSA_PKCS1_SHA384),
        ("RS512", &aws::RSA_PKCS1_SHA512),
        ("PS256", &aws::RSA_PSS_SHA256),
        ("PS384", &aws::RSA_PSS_SHA384),
        ("PS512", &aws::RSA_PSS_SHA512),
    ];
    for (alg, padding) in paddings {
        let own = rsa_token(alg, "rs256", padding);
        rows.push(if alg == "RS256" {
            accepted("RS256 with a key of alg RS256", own)
        } else {
            refused(format!("{alg} with a key of alg RS256"), Reason::Algorithm, own)
        });
        let token = rsa_token(alg, "rsa", padding);
        rows.push(accepted(format!("{alg} with an RSA key without alg"), token));
        // RFC 8725bis: a signature with another padding than the header names is not accepted.
        let other = if alg == "RS256" { "PS256" } else { "RS256" };
        let token = rsa_token(other, "rsa", padding);
        rows.push(refused(format!("{alg} that calls itself {other}"), Reason::Signature, token));
    }
    rows.push(accepted("ES256", es256(|signature| signature)));
    for (name, key) in [("EdDSA", "Ed25519"), ("Ed25519", "EdDSA"), ("Ed25519", "Ed25519")] {
        let token = under(format!(r#"{{"alg":"{name}","kid":"k"}}"#));
        let jwk = format!(r#"{{{},"kid":"k","alg":"{key}"}}"#, ed_jwk());
        rows.push(accepted(format!("{name} with a key of alg {key}"), token).with_keys(&[jwk]));
    }
    rows.push(
        refused("an algorithm that is left out", Reason::Algorithm, of(claims(&[])))
            .only(&[Algorithm::Rs256, Algorithm::Es256]),
    );
    rows.push(accepted("the only algorithm", of(claims(&[]))).only(&[Algorithm::Ed25519]));
    rows.push(refused("no algorithm at all", Reason::Algorithm, of(claims(&[]))).only(&[]));
    rows
}

fn embedded_keys() -> Vec<Row> {
    let jwk =
        format!(r#"{{"kty":"OKP","crv":"Ed25519","kid":"ed","x":"{}"}}"#, ed_x(&WORLD.attacker));
    let rsa_key = format!(r#"{{"kty":"RSA","n":"{}","e":"AQAB"}}"#, rsa_n(&WORLD.attacker_rsa));
    let mut rows = Vec::new();
    for (name, member) in [
        ("jwk", format!(r#""jwk":{jwk}"#)),
        ("jku", r#""jku":"https://evil.example/jwks.json""#.to_owned()),
        (
            "jku of the issuer, by an open redirect",
            r#""jku":"https://auth.example.com/redirect?to=https://evil.example""#.to_owned(),
        ),
        ("x5u", r#""x5u":"https://evil.example/chain.pem""#.to_owned()),
        ("x5c", r#""x5c":["MIIB"],"x5t":"AA","x5t#S256":"AA""#.to_owned()),
        ("jwks", format!(r#""jwks":{{"keys":[{jwk}]}}"#)),
        ("iss", r#""iss":"https://evil.example""#.to_owned()),
    ] {
        let attack = |kid: &str| by_attacker(&format!(r#"{{"alg":"EdDSA",{kid}{member}}}"#));
        rows.push(refused(
            format!("{name} and our kid"),
            Reason::Signature,
            attack(r#""kid":"ed","#),
        ));
        rows.push(refused(format!("{name} and no kid"), Reason::Signature, attack("")));
        rows.push(refused(
            format!("{name} and their kid"),
            Reason::UnknownKey,
            attack(r#""kid":"evil","#),
        ));
        rows.push(accepted(format!("{name} is nothing to us"), header_and(&member)));
    }
    let input =
        unsigned(format!(r#"{{"alg":"RS256","kid":"rs256","jwk":{rsa_key}}}"#), claims(&[]));
    let signature = rsa_signature(&WORLD.attacker_rsa, &aws::RSA_PKCS1_SHA256, &input);
    rows.push(refused("an RSA key as jwk", Reason::Signature, with_signature(&input, signature)));
    rows
}

fn key_names() -> Vec<Row> {
    let named = |kid: &str| under(format!(r#"{{"alg":"EdDSA","kid":{kid}}}"#));
    let long = |length: usize| named(&format!("{:?}", "k".repeat(length)));
    let ours = |rest: &str| format!("{{{}{rest}}}", ed_jwk());
    let theirs = |rest: &str| {
        format!(r#"{{"kty":"OKP","crv":"Ed25519","x":"{}"{rest}}}"#, ed_x(&WORLD.attacker))
    };
    // Keys of somebody. That nobody knows their private part does not matter.
    let other = |n: u8| {
        let x = ed_x(&Ed25519KeyPair::from_seed_unchecked(&[n; 32]).expect("a seed"));
        format!(r#"{{"kty":"OKP","crv":"Ed25519","kid":"ed","x":"{x}"}}"#)
    };
    let mut rows = vec![
        accepted("kid", named(r#""ed""#)),
        accepted("kid written with an escape", named(r#""\u0065d""#)),
        refused("kid of 256 bytes", Reason::UnknownKey, long(256)),
        refused("kid of 257 bytes", Reason::Oversize, long(257)),
        refused("kid of 300 bytes", Reason::Oversize, long(300)),
        accepted("no kid, and one key fits", under(r#"{"alg":"EdDSA"}"#)),
        refused(
            "no kid, one key fits and is another's",
            Reason::Signature,
            by_attacker(r#"{"alg":"EdDSA"}"#),
        ),
        refused("no kid, and no key fits", Reason::UnknownKey, under(r#"{"alg":"ES384"}"#)),
        refused(
            "no kid, and several keys fit: ours first",
            Reason::UnknownKey,
            under(r#"{"alg":"EdDSA"}"#),
        )
        .with_keys(&[ours(""), theirs("")]),
        refused(
            "no kid, and several keys fit: ours last",
            Reason::UnknownKey,
            under(r#"{"alg":"EdDSA"}"#),
        )
        .with_keys(&[theirs(""), ours("")]),
        accepted(
            "no kid, and the other keys are unusable or of other kinds",
            under(r#"{"alg":"EdDSA"}"#),
        )
        .with_keys(&[theirs(r#","use":"enc""#), format!("{{{}}}", rsa_jwk()), ours("")]),
        accepted("no kid in the token, one in the key", under(r#"{"alg":"EdDSA"}"#))
            .with_keys(&[ours(r#","kid":"ed""#)]),
        refused("kid in the token, none in the key", Reason::UnknownKey, named(r#""ed""#))
            .with_keys(&[ours("")]),
        accepted("kid of two keys, ours first", named(r#""ed""#))
            .with_keys(&[ours(r#","kid":"ed""#), theirs(r#","kid":"ed""#)]),
        accepted("kid of two keys, ours last", named(r#""ed""#))
            .with_keys(&[theirs(r#","kid":"ed""#), ours(r#","kid":"ed""#)]),
        accepted("kid of three keys, ours last", named(r#""ed""#)).with_keys(&[
            theirs(r#","kid":"ed""#),
            other(9),
            ours(r#","kid":"ed""#),
        ]),
        accepted("kid of eight keys, ours last", named(r#""ed""#))
            .with_keys(&[(1..8).map(other).collect(), vec![ours(r#","kid":"ed""#)]].concat()),
        refused("kid of nine keys, ours last", Reason::Signature, named(r#""ed""#))
            .with_keys(&[(1..9).map(other).collect(), vec![ours(r#","kid":"ed""#)]].concat()),
        accepted("kid of two keys, one unusable", named(r#""ed""#))
            .with_keys(&[theirs(r#","kid":"ed","use":"enc""#), ours(r#","kid":"ed""#)]),
        accepted("kid of two keys, one of another kind", named(r#""ed""#))
            .with_keys(&[format!(r#"{{{},"kid":"ed"}}"#, rsa_jwk()), ours(r#","kid":"ed""#)]),
        refused("kid of two keys, neither fits", Reason::Algorithm, named(r#""k""#)).with_keys(&[
            format!(r#"{{{},"kid":"k"}}"#, rsa_jwk()),
            format!(r#"{{{},"kid":"k"}}"#, ec_jwk()),
        ]),
    ];
    for kid in ["1", "true", r#"["ed"]"#, r#"{"kid":"ed"}"#, r#""\ud800""#] {
        rows.push(refused(format!("kid is {kid}"), Reason::Malformed, named(kid)));
    }
    rows.push(accepted("kid is null, and one key fits", named("null")));
    for kid in [
        "",
        "unknown",
        "ED",
        " ed",
        "ed ",
        "ed\\u0000",
        "e",
        "edd",
        "*",
        "0",
        "../../../../../../dev/null",
        "/proc/sys/kernel/randomize_va_space",
        "..%2f..%2fed",
        "x' UNION SELECT 'secret'--",
        "ed;sleep 10",
        "$(id)",
        "https://evil.example/key",
    ] {
        rows.push(refused(
            format!("kid {kid:?}"),
            Reason::UnknownKey,
            named(&format!("\"{kid}\"")),
        ));
    }
    rows
}

fn critical_extensions() -> Vec<Row> {
    let mut rows = Vec::new();
    for member in [
        r#""crit":[]"#,
        r#""crit":["exp"],"exp":2000000000"#,
        r#""crit":["exp"]"#,
        r#""crit":["alg"]"#,
        r#""crit":["http://example.invalid/UNDEFINED"],"http://example.invalid/UNDEFINED":true"#,
        r#""crit":["b64"],"b64":true"#,
        r#""crit":["b64"],"b64":false"#,
        r#""b64":true"#,
        r#""b64":false"#,
        r#""b64":"false""#,
        r#""crit":"exp""#,
        r#""crit":{}"#,
        r#""crit":[1]"#,
        r#""crit":["x","x"],"x":1"#,
        r#""\u0063rit":["x"]"#,
        r#""b\u00364":false"#,
    ] {
        rows.push(refused(format!("header {member}"), Reason::Critical, header_and(member)));
    }
    rows.push(refused("header enc", Reason::Encrypted, header_and(r#""enc":"A128GCM""#)));
    for member in [r#""crit":null"#, r#""b64":null"#, r#""enc":null"#] {
        rows.push(accepted(format!("header {member}"), header_and(member)));
    }
    rows.push(accepted("header zip, which means nothing in a JWS", header_and(r#""zip":"DEF""#)));
    rows.push(accepted("header Crit, another name", header_and(r#""Crit":["x"]"#)));
    rows
}

fn types() -> Vec<Row> {
    let typed = |typ: &str| header_and(&format!(r#""typ":{typ}"#));
    let complete = claims(&[]);
    let mut rows = vec![
        accepted("typ absent", under(r#"{"alg":"EdDSA","kid":"ed"}"#)),
        refused("typ absent, strictly", Reason::Type, under(r#"{"alg":"EdDSA","kid":"ed"}"#))
            .strictly(),
    ];
    for typ in
        ["at+jwt", "AT+JWT", "At+Jwt", "application/at+jwt", "APPLICATION/AT+JWT", "at\\u002bjwt"]
    {
        let token = signed(format!(r#"{{"alg":"EdDSA","kid":"ed","typ":"{typ}"}}"#), &complete);
        rows.push(accepted(format!("typ {typ}"), token.clone()));
        rows.push(accepted(format!("typ {typ}, strictly"), token).strictly());
    }
    for typ in ["JWT", "jwt", "Jwt", "application/jwt", "application/JWT"] {
        rows.push(accepted(format!("typ {typ}"), typed(&format!("{typ:?}"))));
        let name = format!("typ {typ}, strictly");
        rows.push(refused(name, Reason::Type, typed(&format!("{typ:?}"))).strictly());
    }
    for typ in [
        "",
        "dpop+jwt",
        "DPoP+JWT",
        "logout+jwt",
        "secevent+jwt",
        "oauth-id-jag+jwt",
        "token-introspection+jwt",
        "entity-statement+jwt",
        "id_token+jwt",
        "application/dpop+jwt",
        "JOSE",
        "JOSE+JSON",
        "JWE",
        "JWS",
        "at",
        "jwt+at",
        "rt+jwt",
        "at+jwt ",
        " at+jwt",
        "at+jwt;v=1",
        "at+jwt\\u0000",
        "application/",
        "application/application/at+jwt",
        "text/at+jwt",
        "vc+sd-jwt",
        "oauth-authz-req+jwt",
        "client-authentication+jwt",
        "wallet-attestation+jwt",
        "trust-mark+jwt",
        "at+cwt",
        "Bearer",
        "access_token",
    ] {
        let token = typed(&format!("\"{typ}\""));
        rows.push(refused(format!("typ {typ:?}"), Reason::Type, token.clone()));
        rows.push(refused(format!("typ {typ:?}, strictly"), Reason::Type, token).strictly());
    }
    rows.push(accepted("typ is null", typed("null")));
    rows.push(refused("typ is null, strictly", Reason::Type, typed("null")).strictly());
    for typ in ["1", "true", r#"["at+jwt"]"#, r#"{"typ":"at+jwt"}"#, r#""\ud800""#] {
        rows.push(refused(format!("typ is {typ}"), Reason::Malformed, typed(typ)));
        rows.push(
            refused(format!("typ is {typ}, strictly"), Reason::Malformed, typed(typ)).strictly(),
        );
    }
    let at_jwt = |claims: String| signed(r#"{"alg":"EdDSA","kid":"ed","typ":"at+jwt"}"#, claims);
    for (name, value) in [
        ("client_id", None),
        ("client_id", Some("null")),
        ("client_id", Some(r#""""#)),
        ("client_id", Some("1")),
        ("iat", None),
        ("iat", Some("null")),
        ("jti", None),
        ("jti", Some("null")),
        ("jti", Some("1")),
        ("jti", Some("{}")),
        ("jti", Some(r#""""#)),
    ] {
        let name_of_row = format!("{name} {}, strictly", value.unwrap_or("missing"));
        let token = at_jwt(claims(&[(name, value)]));
        rows.push(refused(name_of_row, Reason::Claims, token).strictly());
    }
    rows.push(
        refused(
            "azp in place of client_id, strictly",
            Reason::Claims,
            at_jwt(claims(&[("client_id", None), ("azp", Some(r#""inspector""#))])),
        )
        .strictly(),
    );
    for name in ["client_id", "iat", "jti"] {
        rows.push(accepted(format!("{name} missing"), at_jwt(claims(&[(name, None)]))));
    }
    rows
}

fn markers() -> Vec<Row> {
    let mut rows = Vec::new();
    for marker in [
        r#""nonce":"n-0S6_WzA2Mj""#,
        r#""n\u006fnce":"n""#,
        r#""at_hash":"77QmUPtjPfzWtF2AnpK9RQ""#,
        r#""c_hash":"LDktKdoQak3Pk0cnXxCltA""#,
        r#""s_hash":"a""#,
        r#""events":{"http://schemas.openid.net/event/backchannel-logout":{}}"#,
        r#""events":{}"#,
        r#""htm":"POST""#,
        r#""htu":"https://api.example.com/mcp""#,
        r#""token_use":"id""#,
        r#""token_use":"\u0069d""#,
        r#""typ":"ID""#,
        r#""typ":"Logout""#,
        r#""typ":"Refresh""#,
        r#""typ":"Offline""#,
        r#""token_introspection":{"active":true}"#,
    ] {
        let body = claims_and(marker);
        let untyped = signed(r#"{"alg":"EdDSA","kid":"ed"}"#, &body);
        rows.push(refused(format!("claim {marker}, no typ"), Reason::Type, untyped));
        rows.push(refused(format!("claim {marker}, typ JWT"), Reason::Type, of(&body)));
        // The issuer states by `typ` what it is.
        let typed = signed(r#"{"alg":"EdDSA","kid":"ed","typ":"at+jwt"}"#, &body);
        rows.push(accepted(format!("claim {marker}, typ at+jwt"), typed));
    }
    for harmless in [
        r#""token_use":"access""#,
        r#""typ":"Bearer""#,
        r#""sid":"1""#,
        r#""auth_time":1,"acr":"1","amr":["pwd"],"azp":"inspector""#,
        r#""Nonce":"n""#,
        r#""nonce":null,"at_hash":null,"events":null,"htm":null,"htu":null"#,
        r#""token_introspection":null,"token_use":null,"typ":null"#,
        // The provider names the kind of the token itself.
        r#""typ":"Bearer","nonce":"n""#,
        r#""nonce":"n","typ":"Bearer","at_hash":"a""#,
        r#""typ":"DPoP","nonce":"n""#,
        r#""token_use":"access","nonce":"n""#,
    ] {
        rows.push(accepted(format!("claim {harmless}"), of(claims_and(harmless))));
    }
    for marker in [
        r#""typ":"Bearer","token_use":"id""#,
        r#""typ":"ID","token_use":"access","nonce":"n""#,
        r#""typ":"Bearer","events":{}"#,
        r#""typ":"Bearer","htm":"POST""#,
        r#""typ":"bearer","nonce":"n""#,
        r#""typ":["Bearer"],"nonce":"n""#,
    ] {
        rows.push(refused(format!("claim {marker}"), Reason::Type, of(claims_and(marker))));
    }
    rows
}

fn bindings() -> Vec<Row> {
    let mut rows = vec![accepted("cnf null is none", with("cnf", Some("null")))];
    for cnf in [
        r#"{"jkt":"0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}"#,
        r#"{"x5t#S256":"bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg2"}"#,
        r#"{"jwk":{}}"#,
        r#"{"kid":"1"}"#,
        r#"{"unknown":1}"#,
        "{}",
        "[]",
        r#""""#,
        "false",
        "0",
    ] {
        rows.push(refused(format!("cnf {cnf}"), Reason::Binding, with("cnf", Some(cnf))));
        let typed =
            signed(r#"{"alg":"EdDSA","kid":"ed","typ":"at+jwt"}"#, claims(&[("cnf", Some(cnf))]));
        rows.push(refused(format!("cnf {cnf}, strictly"), Reason::Binding, typed).strictly());
    }
    rows.push(refused("cnf with an escape", Reason::Binding, of(claims_and(r#""\u0063nf":{}"#))));
    rows
}

fn duplicates() -> Vec<Row> {
    let mut rows = Vec::new();
    for member in [
        r#""alg":"EdDSA""#,
        r#""alg":"none""#,
        r#""\u0061lg":"EdDSA""#,
        r#""alg":null"#,
        r#""kid":"ed""#,
        r#""kid":"evil""#,
        r#""k\u0069d":1"#,
        r#""typ":"a","typ":"a""#,
        r#""x":1,"x":1"#,
        r#""x":1,"\u0078":2"#,
        r#""crit":["x"],"crit":["x"]"#,
        r#""":1,"":1"#,
    ] {
        rows.push(refused(
            format!("header twice: {member}"),
            Reason::Duplicate,
            header_and(member),
        ));
    }
    for members in [
        r#""iss":"https://auth.example.com""#,
        r#""iss":"https://evil.example""#,
        r#""sub":"mallory""#,
        r#""exp":4000000000"#,
        r#""\u0065xp":4000000000"#,
        r#""aud":"https://evil.example""#,
        r#""scope":"admin""#,
        r#""s\u0063ope":"admin""#,
        r#""client_id":"evil""#,
        r#""iat":1"#,
        r#""x":1,"x":1"#,
        r#""x":1,"\u0078":{}"#,
        r#""é":1,"\u00e9":1"#,
        r#""":1,"":1"#,
        r#""cnf":null,"cnf":null"#,
    ] {
        rows.push(refused(
            format!("claim twice: {members}"),
            Reason::Duplicate,
            of(claims_and(members)),
        ));
    }
    // The library does not read the contents of other claims. That is up to the user.
    rows.push(accepted("twice inside a claim", of(claims_and(r#""x":{"a":1,"a":2}"#))));
    rows.push(accepted(
        "the same in other case",
        of(claims_and(r#""Scope":"admin","SUB":"mallory""#)),
    ));
    rows
}

fn json() -> Vec<Row> {
    let good = claims(&[]);
    let body = |text: &str| text.as_bytes().to_vec();
    let mut malformed: Vec<(&str, Vec<u8>)> = vec![
        ("empty", body("")),
        ("a blank", body(" ")),
        ("a string", body(r#""alice""#)),
        ("a number", body("1")),
        ("null", body("null")),
        ("true", body("true")),
        ("an array of the object", body(&format!("[{good}]"))),
        ("an array of values in a struct's order", body(r#"["EdDSA","ed","JWT"]"#)),
        ("an array of names and values", body(r#"["alg","EdDSA","kid","ed"]"#)),
        ("an object cut short", body(&good[..good.len() - 1])),
        ("words", body("alice")),
        ("XML", body("<alg>none</alg>")),
    ];
    let of_object = |object: &str| -> Vec<(&'static str, Vec<u8>)> {
        let open = &object[..object.len() - 1];
        vec![
            ("a byte order mark", body(&format!("\u{feff}{object}"))),
            ("a second object", body(&format!("{object}{{}}"))),
            ("a letter after the end", body(&format!("{object}x"))),
            ("a NUL after the end", body(&format!("{object}\0"))),
            ("a comma after the last member", body(&format!("{open},}}"))),
            ("a comment", body(&format!("{open}/**/}}"))),
            ("a name without quotes", body(&format!("{open},x:1}}"))),
            ("single quotes", body(&format!("{open},'x':1}}"))),
            ("a leading zero", body(&format!(r#"{open},"x":01}}"#))),
            ("NaN", body(&format!(r#"{open},"x":NaN}}"#))),
            ("Infinity", body(&format!(r#"{open},"x":Infinity}}"#))),
            ("hexadecimal", body(&format!(r#"{open},"x":0x1}}"#))),
            ("a control character", body(&format!("{open},\"x\":\"\u{1}\"}}"))),
            ("a newline in a string", body(&format!("{open},\"x\":\"\n\"}}"))),
            ("an unknown escape", body(&format!(r#"{open},"x":"\x41"}}"#))),
            ("half a surrogate in a name", body(&format!(r#"{open},"\ud800":1}}"#))),
            ("invalid UTF-8 in a string", [open.as_bytes(), b",\"x\":\"\xff\"}"].concat()),
            ("invalid UTF-8 in a name", [open.as_bytes(), b",\"\xff\":1}"].concat()),
            ("an overlong slash", [open.as_bytes(), b",\"x\":\"\xc0\xaf\"}"].concat()),
            ("a surrogate in UTF-8", [open.as_bytes(), b",\"x\":\"\xed\xa0\x80\"}"].concat()),
            ("UTF-16", object.bytes().flat_map(|byte| [byte, 0]).collect()),
            ("a form feed", body(&format!("\u{c}{object}"))),
            ("a no-break space", body(&format!("\u{a0}{object}"))),
            ("an open bracket", body(&format!(r#"{open},"x":[}}"#))),
        ]
    };
    let mut rows = Vec::new();
    for (name, payload) in malformed.drain(..) {
        rows.push(refused(format!("claims are {name}"), Reason::Malformed, of(&payload)));
        rows.push(refused(format!("header is {name}"), Reason::Malformed, under(&payload)));
    }
    for (name, payload) in of_object(&good) {
        rows.push(refused(format!("claims with {name}"), Reason::Malformed, of(payload)));
    }
    for (name, header) in of_object(HEADER) {
        rows.push(refused(format!("header with {name}"), Reason::Malformed, under(header)));
    }
    rows.push(refused("claims are an empty object", Reason::Claims, of("{}")));
    rows.push(refused("header is an empty object", Reason::Malformed, under("{}")));
    rows.push(accepted("claims with blanks around", of(format!(" \t\r\n{good}\n"))));
    rows.push(accepted("header with blanks around", under(format!("\n{HEADER} "))));
    rows.push(accepted("a claim that is half a surrogate", of(claims_and(r#""x":"\ud800""#))));
    rows.push(accepted("a claim that is too large a number", of(claims_and(r#""x":1e400"#))));
    rows
}

fn encodings() -> Vec<Row> {
    let mut rows = Vec::new();
    for (part, name) in ["header", "claims", "signature"].into_iter().enumerate() {
        let mut bad = |what: &str, token: String| {
            rows.push(refused(format!("{name}: {what}"), Reason::Encoding, token));
        };
        bad("one sign of padding", rewritten(part, |text| format!("{text}=")));
        bad("two signs of padding", rewritten(part, |text| format!("{text}==")));
        bad("padding as %3D", rewritten(part, |text| format!("{text}%3D")));
        bad("a space after", rewritten(part, |text| format!("{text} ")));
        bad("a space before", rewritten(part, |text| format!(" {text}")));
        bad("a space within", rewritten(part, |text| format!("{} {}", &text[..4], &text[4..])));
        bad("a newline after", rewritten(part, |text| format!("{text}\n")));
        bad(
            "a newline within",
            rewritten(part, |text| format!("{}\r\n{}", &text[..4], &text[4..])),
        );
        bad("a tab", rewritten(part, |text| format!("{text}\t")));
        bad("a NUL", rewritten(part, |text| format!("{text}\0")));
        bad("a plus", rewritten(part, |text| format!("+{}", &text[1..])));
        bad("a slash", rewritten(part, |text| format!("/{}", &text[1..])));
        bad("a letter that is no ASCII", rewritten(part, |text| format!("é{}", &text[1..])));
        bad("a full-width letter", rewritten(part, |text| format!("Ａ{}", &text[1..])));
        bad("another sign", rewritten(part, |text| format!("!{}", &text[1..])));
        bad("loose bits", loosened(part));
        let to_one = |text: &str| format!("{text}{}", &"AAAA"[..(5 - text.len() % 4) % 4]);
        bad("one character too many", rewritten(part, to_one));
    }
    rows
}

fn parts() -> Vec<Row> {
    let good = of(claims(&[]));
    let parts: Vec<_> = good.split('.').collect();
    let (header, payload, signature) = (parts[0], parts[1], parts[2]);
    vec![
        refused("nothing", Reason::Malformed, String::new()),
        refused("one part", Reason::Malformed, "2YotnFZFEjr1zCsicMWpAA".to_owned()),
        refused("two parts", Reason::Malformed, format!("{header}.{payload}")),
        refused("two parts, one empty", Reason::Malformed, ".".to_owned()),
        refused("three empty parts", Reason::Malformed, "..".to_owned()),
        refused("no header", Reason::Malformed, format!(".{payload}.{signature}")),
        refused("no claims", Reason::Malformed, format!("{header}..{signature}")),
        refused("no header and no signature", Reason::Malformed, format!(".{payload}.")),
        refused("a fourth part", Reason::Malformed, format!("{good}.{signature}")),
        refused("a fourth part, empty", Reason::Malformed, format!("{good}.")),
        refused("a fourth part in front", Reason::Malformed, format!(".{good}")),
        refused("five parts", Reason::Encrypted, format!("{good}.{payload}.{signature}")),
        refused("five empty parts", Reason::Encrypted, "....".to_owned()),
        refused("six parts", Reason::Malformed, format!("{good}.{good}")),
        refused("a thousand dots", Reason::Malformed, ".".repeat(1000)),
        refused("the scheme too", Reason::Encoding, format!("Bearer {good}")),
        refused("quotes", Reason::Encoding, format!("\"{good}\"")),
        refused("two tokens", Reason::Encrypted, format!("{good},{good}")),
        refused(
            "JSON serialization",
            Reason::Malformed,
            format!(
                r#"{{"payload":"{payload}","protected":"{header}","signature":"{signature}"}}"#
            ),
        ),
        refused(
            "a token in a token",
            Reason::Malformed,
            signed(r#"{"alg":"EdDSA","kid":"ed","cty":"JWT"}"#, &good),
        ),
        refused(
            "header and claims swapped",
            Reason::Malformed,
            sign(&WORLD.ed, &format!("{payload}.{header}")),
        ),
    ]
}

/// The order of the P-256 group.
const P256_ORDER: [u8; 32] = [
    0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc, 0xe6,
    0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
];

fn signatures() -> Vec<Row> {
    let pair = |r: &[u8], s: &[u8]| [r, s].concat();
    let one = {
        let mut one = [0; 32];
        one[31] = 1;
        one
    };
    let der = |input: &str| {
        let pkcs8 = WORLD.ec.to_pkcs8v1().expect("PKCS #8");
        let signer = EcdsaKeyPair::from_pkcs8(&aws::ECDSA_P256_SHA256_ASN1_SIGNING, pkcs8.as_ref());
        let signature = signer.expect("a key").sign(&SystemRandom::new(), input.as_bytes());
        signature.expect("a signature").as_ref().to_vec()
    };
    let ec_input = unsigned(r#"{"alg":"ES256","kid":"ec"}"#, claims(&[]));
    let good = of(claims(&[]));
    let (input, signature) = good.rsplit_once('.').expect("three parts");
    let mut rows = vec![
        refused("ES256, psychic: r = s = 0", Reason::Signature, es256(|_| vec![0; 64])),
        refused("ES256, r = 0", Reason::Signature, es256(|s| pair(&[0; 32], &s[32..]))),
        refused("ES256, s = 0", Reason::Signature, es256(|s| pair(&s[..32], &[0; 32]))),
        refused(
            "ES256, r = s = the order",
            Reason::Signature,
            es256(|_| pair(&P256_ORDER, &P256_ORDER)),
        ),
        refused("ES256, s = the order", Reason::Signature, es256(|s| pair(&s[..32], &P256_ORDER))),
        refused("ES256, r = s = 1", Reason::Signature, es256(|_| pair(&one, &one))),
        refused("ES256, all ones", Reason::Signature, es256(|_| vec![0xff; 64])),
        refused("ES256 in DER", Reason::Signature, with_signature(&ec_input, der(&ec_input))),
        refused("ES256, r and s swapped", Reason::Signature, es256(|s| pair(&s[32..], &s[..32]))),
        refused(
            "ES256, two leading zeros",
            Reason::Signature,
            es256(|s| [&[0][..], &s[..32], &[0], &s[32..]].concat()),
        ),
        refused(
            "ES256 of the size of ES384",
            Reason::Signature,
            es256(|s| [&[0; 16][..], &s[..32], &[0; 16], &s[32..]].concat()),
        ),
        // ECDSA is malleable: the text of a token does not identify it.
        accepted("ES256, s negated", es256(|s| pair(&s[..32], &negated(&s[32..])))),
        refused("EdDSA, all zeros", Reason::Signature, eddsa(|_| vec![0; 64])),
        refused(
            "EdDSA, the neutral point and 0",
            Reason::Signature,
            eddsa(|_| [&[1][..], &[0; 63]].concat()),
        ),
        refused("EdDSA, halves swapped", Reason::Signature, eddsa(|s| pair(&s[32..], &s[..32]))),
        refused("RS256, all zeros", Reason::Signature, rs256(|_| vec![0; 256])),
        refused("RS256, one", Reason::Signature, rs256(|_| [&[0; 255][..], &[1]].concat())),
        refused("RS256, all ones", Reason::Signature, rs256(|_| vec![0xff; 256])),
        refused(
            "RS256, the modulus",
            Reason::Signature,
            rs256(|_| rsa_modulus(&WORLD.rsa).to_vec()),
        ),
        refused("RS256, a leading zero", Reason::Signature, rs256(|s| [&[0][..], &s].concat())),
        refused("RS256 by another key", Reason::Signature, {
            let input = unsigned(r#"{"alg":"RS256","kid":"rs256"}"#, claims(&[]));
            let signature = rsa_signature(&WORLD.attacker_rsa, &aws::RSA_PKCS1_SHA256, &input);
            with_signature(&input, signature)
        }),
        refused("EdDSA by another key", Reason::Signature, by_attacker(HEADER)),
        refused("the signature of another token", Reason::Signature, {
            let other = of(claims(&[("sub", Some(r#""mallory""#))]));
            format!("{input}.{}", other.rsplit('.').next().expect("a part"))
        }),
        refused("claims changed after signing", Reason::Signature, {
            let changed = unsigned(HEADER, claims(&[("scope", Some(r#""admin""#))]));
            format!("{changed}.{signature}")
        }),
        refused("header changed after signing", Reason::Signature, {
            let changed = unsigned(r#"{"alg":"EdDSA","kid":"ed"}"#, claims(&[]));
            format!("{changed}.{signature}")
        }),
        refused("header written otherwise after signing", Reason::Signature, {
            let changed = unsigned(HEADER.replace(':', ": "), claims(&[]));
            format!("{changed}.{signature}")
        }),
        refused("the claims alone signed", Reason::Signature, {
            with_signature(input, WORLD.ed.sign(claims(&[]).as_bytes()))
        }),
    ];
    type Signed = fn(&dyn Fn(Vec<u8>) -> Vec<u8>) -> String;
    let kinds: [(&str, Signed); 3] =
        [("ES256", |c| es256(c)), ("EdDSA", |c| eddsa(c)), ("RS256", |c| rs256(c))];
    for (name, token) in kinds {
        let mut bad = |what: &str, change: &dyn Fn(Vec<u8>) -> Vec<u8>| {
            rows.push(refused(format!("{name}, {what}"), Reason::Signature, token(change)));
        };
        bad("no signature", &|_| Vec::new());
        bad("one byte short", &|s| s[..s.len() - 1].to_vec());
        bad("one byte longer", &|s| [&s[..], &[0]].concat());
        bad("twice as long", &|s| s.repeat(2));
        bad("the first half", &|s| s[..s.len() / 2].to_vec());
        bad("the first bit flipped", &|mut s| {
            s[0] ^= 0x80;
            s
        });
        bad("the last bit flipped", &|mut s| {
            if let Some(last) = s.last_mut() {
                *last ^= 1;
            }
            s
        });
        bad("its own text", &|s| base64url(s).into_bytes());
    }
    rows
}

/// The group order minus this number.
fn negated(s: &[u8]) -> Vec<u8> {
    let mut borrow = 0;
    let mut difference: Vec<u8> = P256_ORDER
        .iter()
        .zip(s)
        .rev()
        .map(|(order, byte)| {
            let digit = i16::from(*order) - i16::from(*byte) - borrow;
            borrow = i16::from(digit < 0);
            digit.rem_euclid(256) as u8
        })
        .collect();
    difference.reverse();
    difference
}

fn required_claims() -> Vec<Row> {
    let mut rows = Vec::new();
    for exp in [
        "null",
        r#""2000000000""#,
        "true",
        "[]",
        "[2000000000]",
        "{}",
        "0",
        "-0",
        "0.0",
        "-1",
        "-2000000000",
        "1e400",
        "-1e400",
        "9007199254740992",
        "1e16",
        "18446744073709551616",
        r#""""#,
        r#""never""#,
    ] {
        rows.push(refused(format!("exp {exp}"), Reason::Claims, with("exp", Some(exp))));
    }
    rows.push(refused("exp missing", Reason::Claims, with("exp", None)));
    // The policy checks the time: it has the clock.
    for exp in ["2000000000.5", "2e9", "2E9", "2e+9", "1", "0.5", "9007199254740991"] {
        rows.push(accepted(format!("exp {exp}"), with("exp", Some(exp))));
    }

    for iss in [
        "null",
        "1",
        "true",
        "{}",
        "[]",
        r#"["https://auth.example.com"]"#,
        r#"["https://auth.example.com","https://evil.example"]"#,
        r#""\ud800""#,
    ] {
        rows.push(refused(format!("iss {iss}"), Reason::Claims, with("iss", Some(iss))));
    }
    rows.push(refused("iss missing", Reason::Claims, with("iss", None)));
    for iss in [
        "",
        "https://auth.example.com/",
        "https://auth.example.co",
        "https://auth.example.com.evil.example",
        "https://auth.example.com@evil.example",
        "https://auth.example.com:443",
        "https://auth.example.com/tenant",
        "https://AUTH.example.com",
        "HTTPS://auth.example.com",
        "http://auth.example.com",
        "auth.example.com",
        "https://auth.example.com ",
        " https://auth.example.com",
        "https://auth.example.com\\u0000",
        "https://auth.example.com?",
        "https://auth.example.com#",
        "https://auth.example.com,https://evil.example",
        "https://\\u0430uth.example.com",
        "https://evil.example",
        "https://auth.example.com\\n",
    ] {
        let token = with("iss", Some(&format!("\"{iss}\"")));
        rows.push(refused(format!("iss {iss:?}"), Reason::Issuer, token));
    }
    rows.push(accepted(
        "iss with escapes",
        with("iss", Some(r#""https:\/\/\u0061uth.example.com""#)),
    ));
    // The issuer is checked first, so an unknown issuer costs no signature verification.
    rows.push(refused(
        "iss foreign, signature foreign",
        Reason::Issuer,
        sign(
            &WORLD.attacker,
            &unsigned(HEADER, claims(&[("iss", Some(r#""https://evil.example""#))])),
        ),
    ));

    for sub in ["null", "1", "true", "{}", "[]", r#"["alice"]"#, r#""""#, r#""\ud800""#] {
        rows.push(refused(format!("sub {sub}"), Reason::Claims, with("sub", Some(sub))));
    }
    rows.push(refused("sub missing", Reason::Claims, with("sub", None)));
    rows.push(accepted("sub with an escape", with("sub", Some(r#""\u0061lice""#))));
    rows
}

fn other_claims() -> Vec<Row> {
    let mut rows = Vec::new();
    // The policy checks the audience: see `a_token_without_our_audience_is_verified_but_not_authorized`.
    for aud in ["null", r#""https://evil.example""#, "[]", r#"["a","b"]"#] {
        rows.push(accepted(format!("aud {aud}"), with("aud", Some(aud))));
    }
    rows.push(accepted("aud missing", with("aud", None)));
    for (name, values) in [
        (
            "aud",
            &["1", "true", "{}", r#"["https://api.example.com/mcp",1]"#, "[null]", r#"[["a"]]"#][..],
        ),
        ("nbf", &[r#""1""#, "true", "[]", "{}", "-1", "1e400", "9007199254740992"]),
        ("iat", &[r#""1700000000""#, "true", "[]", "{}", "-1", "1e400"]),
        ("scope", &["1", "true", "{}", r#"{"read":true}"#, r#"["read",1]"#]),
        ("scp", &[]),
        ("client_id", &["1", "true", "{}", r#"["inspector"]"#]),
        ("azp", &["1", r#"["inspector"]"#]),
    ] {
        for value in values {
            rows.push(refused(format!("{name} {value}"), Reason::Claims, with(name, Some(value))));
        }
    }
    for (name, value) in [
        ("nbf", "4000000000"),
        ("nbf", "null"),
        ("nbf", "0"), // as old Keycloak writes it
        ("iat", "4000000000"),
        ("iat", "1700000000.123"),
        ("scope", r#""""#),
        ("scope", "[]"),
        ("scope", r#"["read"]"#),
        ("scope", "null"),
        ("scp", r#"["read"]"#),
        ("scopes", r#"["read"]"#),
        ("azp", r#""inspector""#),
        ("jti", "1"),
    ] {
        rows.push(accepted(format!("{name} {value}"), with(name, Some(value))));
    }
    // Names that are not registered may mean anything.
    for (name, value) in [("scp", "1"), ("scp", "{}"), ("scopes", "1"), ("scopes", "[1]")] {
        let token = of(claims(&[("scope", None), (name, Some(value))]));
        rows.push(accepted(format!("{name} {value} and no scope"), token));
    }
    for (name, value) in [("appid", "1001"), ("appid", "{}"), ("cid", "42"), ("cid", "true")] {
        rows.push(accepted(format!("{name} {value}"), with(name, Some(value))));
        let token = of(claims(&[("client_id", None), (name, Some(value))]));
        rows.push(accepted(format!("{name} {value} and no client_id"), token));
    }
    rows
}

fn sizes() -> Vec<Row> {
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let objects = |depth: usize| format!("{}1{}", r#"{"a":"#.repeat(depth), "}".repeat(depth));
    // The header already has two members, and the claims have eight.
    let members = |number: usize| -> String {
        (0..number).map(|i| format!(r#""m{i}":0"#)).collect::<Vec<_>>().join(",")
    };
    // 3072 bytes are 4096 characters.
    let header = |bytes: usize| {
        let empty = r#"{"alg":"EdDSA","kid":"ed","x":""}"#;
        header_and(&format!(r#""x":"{}""#, "x".repeat(bytes - empty.len())))
    };
    vec![
        accepted("header of 4096 characters", header(3072)),
        refused("header of 4098 characters", Reason::Oversize, header(3073)),
        refused("header of 100 kB", Reason::Oversize, header(75_000)),
        refused(
            "header of 100 kB that is no JSON",
            Reason::Oversize,
            format!("{}.e30.AA", "A".repeat(100_000)),
        ),
        accepted("a claim of 10 kB", with("x", Some(&format!("{:?}", "x".repeat(10_000))))),
        accepted("a claim 5000 arrays deep", with("x", Some(&nested(5000)))),
        accepted("a claim 1000 objects deep", with("x", Some(&objects(1000)))),
        refused("a token of 100 kB", Reason::Oversize, with("x", Some(&nested(50_000)))),
        refused(
            "a claim 5000 arrays deep that never ends",
            Reason::Malformed,
            of(format!(r#"{{"x":{}"#, "[".repeat(5000))),
        ),
        refused("claims 5000 arrays deep", Reason::Malformed, of(nested(5000))),
        accepted("header 1000 arrays deep", header_and(&format!(r#""x":{}"#, nested(1000)))),
        refused("aud 5000 arrays deep", Reason::Claims, with("aud", Some(&nested(5000)))),
        refused("scope 5000 arrays deep", Reason::Claims, with("scope", Some(&nested(5000)))),
        refused(
            "kid 1000 arrays deep",
            Reason::Malformed,
            under(format!(r#"{{"alg":"EdDSA","kid":{}}}"#, nested(1000))),
        ),
        accepted("1008 claims", of(claims_and(&members(1_000)))),
        refused(
            "1008 claims, one of them twice",
            Reason::Duplicate,
            of(claims_and(&format!(r#"{},"m999":1"#, members(1_000)))),
        ),
        accepted("302 members of the header", header_and(&members(300))),
        refused(
            "302 members of the header, one of them twice",
            Reason::Duplicate,
            header_and(&format!(r#"{},"m299":1"#, members(300))),
        ),
        accepted(
            "aud of 1000 strings",
            with("aud", Some(&format!("[{}]", vec![r#""a""#; 1000].join(",")))),
        ),
    ]
}

/// Keys of the issuer that must not be used, next to a usable one.
fn keys() -> Vec<Row> {
    let good = format!(r#"{{{},"kid":"ed"}}"#, ed_jwk());
    let named = |alg: &str| under(format!(r#"{{"alg":"{alg}","kid":"k"}}"#));
    let mut rows = Vec::new();
    // The algorithm that the token names, and the members of the key in addition to `kid`.
    let (x, y) = ec_xy();
    let point = WORLD.ec.public_key().as_ref();
    let spki: PublicKeyX509Der<'_> = WORLD.ed.public_key().as_der().expect("DER");
    let ed = ed_jwk();
    let ed_of = |x: &str| format!(r#""kty":"OKP","crv":"Ed25519","x":"{x}""#);
    let rsa_of = |n: &[u8], e: &str| format!(r#""kty":"RSA","n":"{}","e":"{e}""#, base64url(n));
    let modulus = rsa_modulus(&WORLD.rsa);
    let raw = ed_x(&WORLD.ed);
    let unusable: Vec<(&str, &str, String)> = vec![
        ("use enc", "EdDSA", format!(r#"{ed},"use":"enc""#)),
        ("use SIG", "EdDSA", format!(r#"{ed},"use":"SIG""#)),
        ("use empty", "EdDSA", format!(r#"{ed},"use":"""#)),
        ("use a number", "EdDSA", format!(r#"{ed},"use":1"#)),
        ("key_ops sign", "EdDSA", format!(r#"{ed},"key_ops":["sign"]"#)),
        ("key_ops empty", "EdDSA", format!(r#"{ed},"key_ops":[]"#)),
        ("key_ops a string", "EdDSA", format!(r#"{ed},"key_ops":"verify""#)),
        ("key_ops with a number", "EdDSA", format!(r#"{ed},"key_ops":["verify",1]"#)),
        ("use sig, key_ops encrypt", "EdDSA", format!(r#"{ed},"use":"sig","key_ops":["encrypt"]"#)),
        ("a private part", "EdDSA", format!(r#"{ed},"d":"{raw}""#)),
        (
            "a private part of an RSA key",
            "RS256",
            format!(r#"{},"d":"AQ","p":"AQ","q":"AQ""#, rsa_jwk()),
        ),
        ("a private part of a key on P-256", "ES256", format!(r#"{},"d":"{x}""#, ec_jwk())),
        (
            "a private part of an ML-DSA key",
            "ML-DSA-44",
            r#""kty":"AKP","alg":"ML-DSA-44","pub":"AA","priv":"AA""#.to_owned(),
        ),
        ("oct", "EdDSA", r#""kty":"oct","k":"c2VjcmV0""#.to_owned()),
        ("oct for HS256", "RS256", r#""kty":"oct","alg":"HS256","k":"c2VjcmV0""#.to_owned()),
        ("oct for RS256", "RS256", r#""kty":"oct","alg":"RS256","k":"c2VjcmV0""#.to_owned()),
        ("an RSA key for HS256", "RS256", format!(r#"{},"alg":"HS256""#, rsa_jwk())),
        ("a key for none", "EdDSA", format!(r#"{ed},"alg":"none""#)),
        ("a key for ECDH", "EdDSA", format!(r#"{ed},"alg":"ECDH-ES""#)),
        ("alg in other case", "EdDSA", format!(r#"{ed},"alg":"eddsa""#)),
        ("alg an array", "EdDSA", format!(r#"{ed},"alg":["EdDSA"]"#)),
        ("alg of another family", "RS256", format!(r#"{ed},"alg":"RS256""#)),
        ("alg of another curve", "ES384", format!(r#"{},"alg":"ES384""#, ec_jwk())),
        ("alg ES256 of an RSA key", "ES256", format!(r#"{},"alg":"ES256""#, rsa_jwk())),
        ("no kty", "EdDSA", format!(r#""crv":"Ed25519","x":"{raw}""#)),
        ("kty in other case", "EdDSA", format!(r#""kty":"okp","crv":"Ed25519","x":"{raw}""#)),
        ("kty unknown", "EdDSA", format!(r#""kty":"X","crv":"Ed25519","x":"{raw}""#)),
        ("kty null", "EdDSA", format!(r#""kty":null,"crv":"Ed25519","x":"{raw}""#)),
        ("kty EC of an Ed25519 key", "EdDSA", format!(r#""kty":"EC","crv":"Ed25519","x":"{raw}""#)),
        (
            "kty AKP of an Ed25519 key",
            "EdDSA",
            format!(r#""kty":"AKP","alg":"EdDSA","pub":"{raw}""#),
        ),
        (
            "kty AKP of a key on P-256",
            "ES256",
            format!(r#""kty":"AKP","alg":"ES256","pub":"{}""#, base64url(point)),
        ),
        (
            "kty AKP without alg",
            "ML-DSA-44",
            format!(r#""kty":"AKP","pub":"{}""#, base64url([1; 1312])),
        ),
        (
            "kty AKP, too short",
            "ML-DSA-44",
            r#""kty":"AKP","alg":"ML-DSA-44","pub":"AA""#.to_owned(),
        ),
        ("no crv", "EdDSA", format!(r#""kty":"OKP","x":"{raw}""#)),
        ("crv X25519", "EdDSA", format!(r#""kty":"OKP","crv":"X25519","x":"{raw}""#)),
        (
            "crv Ed448",
            "EdDSA",
            format!(r#""kty":"OKP","crv":"Ed448","x":"{}""#, base64url([1; 57])),
        ),
        ("crv secp256k1", "ES256", format!(r#""kty":"EC","crv":"secp256k1","x":"{x}","y":"{y}""#)),
        (
            "crv P-384 of a key on P-256",
            "ES384",
            format!(r#""kty":"EC","crv":"P-384","x":"{x}","y":"{y}""#),
        ),
        ("x with padding", "EdDSA", ed_of(&format!("{raw}="))),
        ("x with white space", "EdDSA", ed_of(&format!("{raw}\\n"))),
        ("x a number", "EdDSA", r#""kty":"OKP","crv":"Ed25519","x":1"#.to_owned()),
        ("x missing", "EdDSA", r#""kty":"OKP","crv":"Ed25519""#.to_owned()),
        ("x empty", "EdDSA", ed_of("")),
        ("x one byte short", "EdDSA", ed_of(&base64url(&WORLD.ed.public_key().as_ref()[1..]))),
        (
            "x one byte longer",
            "EdDSA",
            ed_of(&base64url([&[0][..], WORLD.ed.public_key().as_ref()].concat())),
        ),
        ("x in DER", "EdDSA", ed_of(&base64url(spki.as_ref()))),
        ("y missing", "ES256", format!(r#""kty":"EC","crv":"P-256","x":"{x}""#)),
        ("x and y swapped", "ES256", format!(r#""kty":"EC","crv":"P-256","x":"{y}","y":"{x}""#)),
        (
            "a point that is not on the curve",
            "ES256",
            format!(r#""kty":"EC","crv":"P-256","x":"{x}","y":"{x}""#),
        ),
        (
            "the point at infinity",
            "ES256",
            format!(r#""kty":"EC","crv":"P-256","x":"{0}","y":"{0}""#, base64url([0; 32])),
        ),
        (
            "x with a leading zero",
            "ES256",
            format!(
                r#""kty":"EC","crv":"P-256","x":"{}","y":"{y}""#,
                base64url([&[0][..], &point[1..33]].concat())
            ),
        ),
        ("an RSA key of 1024 bits", "RS256", rsa_of(&modulus[128..], "AQAB")),
        (
            "an RSA key of 2047 bits",
            "RS256",
            rsa_of(
                &{
                    let mut n = modulus.to_vec();
                    n[0] = 0x7f;
                    n
                },
                "AQAB",
            ),
        ),
        (
            "an RSA key of 1024 bits behind zeros",
            "RS256",
            rsa_of(&[&[0; 128], &modulus[128..]].concat(), "AQAB"),
        ),
        (
            "an RSA key of 8200 bits",
            "RS256",
            rsa_of(&[&modulus.repeat(4)[..], &[1]].concat(), "AQAB"),
        ),
        (
            "an RSA key with an even modulus",
            "RS256",
            rsa_of(&[&modulus[..255], &[2]].concat(), "AQAB"),
        ),
        ("an RSA key with the exponent 1", "RS256", rsa_of(modulus, "AQ")),
        ("an RSA key with the exponent 0", "RS256", rsa_of(modulus, "AA")),
        ("an RSA key with the exponent 2", "RS256", rsa_of(modulus, "Ag")),
        ("an RSA key with the exponent 65536", "RS256", rsa_of(modulus, "AQAA")),
        ("an RSA key with an exponent of 2048 bits", "RS256", rsa_of(modulus, &rsa_n(&WORLD.rsa))),
        ("an RSA key without an exponent", "RS256", rsa_of(modulus, "")),
        ("an RSA key without a modulus", "RS256", rsa_of(&[], "AQAB")),
        ("a certificate in place of a key", "RS256", r#""kty":"RSA","x5c":["MIIB"]"#.to_owned()),
    ];
    for (name, alg, jwk) in unusable {
        let bad = format!(r#"{{{jwk},"kid":"k"}}"#);
        let token = named(alg);
        rows.push(
            refused(format!("a key: {name}"), Reason::Key, token)
                .with_keys(&[bad.clone(), good.clone()]),
        );
        let name = format!("a good key next to: {name}");
        rows.push(accepted(name, of(claims(&[]))).with_keys(&[bad, good.clone()]));
    }
    // Not even the `kid` of these keys is read.
    for (name, bad) in [
        ("a member twice", format!(r#"{{{ed},"kid":"k","alg":"EdDSA","alg":"EdDSA"}}"#)),
        ("kid twice", format!(r#"{{{ed},"kid":"k","\u006bid":"k"}}"#)),
        ("a number for a kid", format!(r#"{{{ed},"kid":5}}"#)),
        ("an array", "[]".to_owned()),
        ("a string", format!("{:?}", "ed")),
        ("null", "null".to_owned()),
    ] {
        let keys = [bad, good.clone()];
        rows.push(
            refused(format!("a key that is {name}"), Reason::UnknownKey, named("EdDSA"))
                .with_keys(&keys),
        );
        rows.push(
            refused(
                format!("a key that is {name}, kid 5"),
                Reason::UnknownKey,
                under(r#"{"alg":"EdDSA","kid":"5"}"#),
            )
            .with_keys(&keys),
        );
        rows.push(
            accepted(format!("a good key next to one that is {name}"), of(claims(&[])))
                .with_keys(&keys),
        );
        rows.push(
            accepted(format!("no kid, and one that is {name}"), under(r#"{"alg":"EdDSA"}"#))
                .with_keys(&keys),
        );
    }
    for (name, alg, jwk) in [
        ("use sig", "EdDSA", format!(r#"{ed},"use":"sig""#)),
        (
            "members that are null",
            "EdDSA",
            format!(
                r#"{ed},"use":null,"key_ops":null,"alg":null,"d":null,"priv":null,"issuer":null"#
            ),
        ),
        (
            "a thousand members",
            "EdDSA",
            format!(
                "{ed},{}",
                (0..1000).map(|i| format!(r#""m{i}":0"#)).collect::<Vec<_>>().join(",")
            ),
        ),
        ("key_ops verify", "EdDSA", format!(r#"{ed},"key_ops":["verify"]"#)),
        ("key_ops sign and verify", "EdDSA", format!(r#"{ed},"key_ops":["sign","verify"]"#)),
        (
            "members that mean nothing",
            "EdDSA",
            format!(r#"{ed},"ext":true,"x5t":"AA","y":1,"n":[]"#),
        ),
    ] {
        let key = format!(r#"{{{jwk},"kid":"k"}}"#);
        rows.push(accepted(format!("a key: {name}"), named(alg)).with_keys(&[key]));
    }
    let nameless = format!(r#"{{{ed},"kid":null}}"#);
    rows.push(
        accepted("no kid, and a key: null for a kid", under(r#"{"alg":"EdDSA"}"#))
            .with_keys(&[nameless]),
    );
    let zeros = format!(r#"{{{},"kid":"rs256"}}"#, rsa_of(&[&[0; 3], modulus].concat(), "AAEAAQ"));
    rows.push(accepted("a key: zeros before n and e", rs256(|s| s)).with_keys(&[zeros]));
    let number = |kid: usize| format!(r#"{{{ed},"kid":"{kid}"}}"#);
    let many: Vec<_> = (1..=3001).map(number).collect();
    let of_number = |kid: usize| under(format!(r#"{{"alg":"EdDSA","kid":"{kid}"}}"#));
    rows.push(accepted("the 301st key", of_number(301)).with_keys(&many));
    rows.push(accepted("the last key", of_number(3001)).with_keys(&many));
    rows.push(refused("one key more", Reason::UnknownKey, of_number(3002)).with_keys(&many));
    rows
}

// ── tests outside the table ──

#[test]
fn a_key_set_without_a_usable_key_is_an_error() {
    let malformed = [
        "",
        " ",
        "null",
        "[]",
        "1",
        "\"keys\"",
        "{}",
        "{\"keys\":null}",
        "{\"keys\":{}}",
        "{\"keys\":1}",
        "{\"keys\":\"\"}",
        "{\"Keys\":[]}",
        "{\"keys\":[]",
        "{\"keys\":[]}}",
        "{\"keys\":[],\"keys\":[]}",
        "{\"keys\":[],\"\\u006beys\":[]}",
        "\u{feff}{\"keys\":[]}",
        "<html><title>503</title></html>",
        "{\"keys\":[}",
        "{\"keys\":[{]}",
    ];
    for jwks in malformed {
        let error = KeySet::parse(jwks.as_bytes()).expect_err(jwks);
        assert_eq!(error, KeySetError::Malformed, "{jwks}");
    }
    assert_eq!(KeySet::parse(b"{\"keys\":[],\"x\":\"\xff\"}").err(), Some(KeySetError::Malformed));
    // A single key is not a key set.
    let alone = format!("{{{}}}", ed_jwk());
    assert_eq!(KeySet::parse(alone.as_bytes()).err(), Some(KeySetError::Malformed));

    for keys in
        ["", "1", "null", "{}", "[[]]", r#"{"kty":"oct","k":"AA"}"#, r#"{"kty":"X"},{"kty":"Y"}"#]
    {
        let error = KeySet::parse(format!(r#"{{"keys":[{keys}]}}"#).as_bytes()).expect_err(keys);
        assert!(matches!(error, KeySetError::NoUsableKey(_)), "{keys}");
    }
    assert!(KeySet::default().is_empty());
    let denial = jwt::verify(&of(claims(&[])), &KeySet::default(), &JwtRules::new(ISSUER));
    assert_eq!(denial.expect_err("no key").reason(), Some(Reason::UnknownKey));
}

#[test]
fn a_token_over_the_limit_does_not_reach_the_verifier() {
    let long = with("x", Some(&format!("{:?}", "x".repeat(MAX_TOKEN_BYTES))));
    let mut headers = HeaderMap::new();
    let field = HeaderValue::from_str(&format!("Bearer {long}")).expect("a header value");
    headers.insert(AUTHORIZATION, field);
    let denial = Credentials::from_headers(&headers).expect_err("too long");
    assert_eq!(denial.reason(), Some(Reason::Oversize));
}

#[test]
fn no_denial_repeats_untrusted_input() {
    let word = "Xyzzy7";
    let quoted = format!("{word:?}");
    let usual = KeySet::parse(jwks().as_bytes()).expect("usable keys");
    for token in [
        word.to_owned(),
        format!("{word}.{word}.{word}"),
        under(format!(r#"{{"alg":{quoted},"kid":"ed"}}"#)),
        under(format!(r#"{{"alg":"EdDSA","kid":{quoted}}}"#)),
        header_and(&format!(r#""typ":{quoted}"#)),
        header_and(&format!(r#""crit":[{quoted}]"#)),
        with("iss", Some(&quoted)),
        with("cnf", Some(&quoted)),
        with("exp", Some(&quoted)),
        of(claims_and(&format!("{quoted}:1,{quoted}:2"))),
        of(quoted.clone()),
    ] {
        let denial: Denial =
            jwt::verify(&token, &usual, &JwtRules::new(ISSUER)).expect_err("a refusal");
        let shown = format!("{denial} {denial:?}");
        assert!(!shown.contains(word), "{shown}");
    }
}

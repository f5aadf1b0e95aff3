//! Every algorithm: the issuer's tokens verify with its published keys.

use aws_lc_rs::signature::{self, ParsedPublicKey, RsaPublicKeyComponents, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use mcp_auth_testkit::{SigningAlgorithm, TestIssuer};
use serde_json::Value;

fn bytes(text: &str) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(text).expect("base64url")
}

fn member(jwk: &Value, name: &str) -> Vec<u8> {
    bytes(jwk[name].as_str().expect("a string"))
}

fn verify(jwk: &Value, message: &[u8], sig: &[u8]) -> bool {
    let rsa = |parameters| {
        let (n, e) = (member(jwk, "n"), member(jwk, "e"));
        assert_ne!(n[0], 0, "no leading zero (RFC 7518 §6.3.1.1)");
        RsaPublicKeyComponents { n, e }.verify(parameters, message, sig).is_ok()
    };
    let ec = |algorithm| {
        let point = [vec![4], member(jwk, "x"), member(jwk, "y")].concat();
        UnparsedPublicKey::new(algorithm, point).verify(message, sig).is_ok()
    };
    let raw = |algorithm: &'static dyn signature::VerificationAlgorithm, name| {
        let key = ParsedPublicKey::new(algorithm, member(jwk, name)).expect("a public key");
        key.verify_sig(message, sig).is_ok()
    };
    match jwk["alg"].as_str().expect("alg") {
        "RS256" => rsa(&signature::RSA_PKCS1_2048_8192_SHA256),
        "RS384" => rsa(&signature::RSA_PKCS1_2048_8192_SHA384),
        "RS512" => rsa(&signature::RSA_PKCS1_2048_8192_SHA512),
        "PS256" => rsa(&signature::RSA_PSS_2048_8192_SHA256),
        "PS384" => rsa(&signature::RSA_PSS_2048_8192_SHA384),
        "PS512" => rsa(&signature::RSA_PSS_2048_8192_SHA512),
        "ES256" => ec(&signature::ECDSA_P256_SHA256_FIXED),
        "ES384" => ec(&signature::ECDSA_P384_SHA384_FIXED),
        "ES512" => ec(&signature::ECDSA_P521_SHA512_FIXED),
        "EdDSA" | "Ed25519" => raw(&signature::ED25519, "x"),
        "ML-DSA-44" => raw(&signature::ML_DSA_44, "pub"),
        "ML-DSA-65" => raw(&signature::ML_DSA_65, "pub"),
        "ML-DSA-87" => raw(&signature::ML_DSA_87, "pub"),
        other => panic!("{other}"),
    }
}

fn assert_verifies(issuer: &TestIssuer, token: &str, algorithm: SigningAlgorithm) {
    let (input, signature) = token.rsplit_once('.').expect("three parts");
    let header: Value =
        serde_json::from_slice(&bytes(input.split('.').next().expect("a header"))).expect("JSON");
    assert_eq!(header["alg"], algorithm.name());
    let jwks: Value = serde_json::from_str(&issuer.jwks()).expect("JSON");
    let keys = jwks["keys"].as_array().expect("keys");
    let jwk = keys.iter().find(|jwk| jwk["kid"] == header["kid"]).expect("the key is published");
    assert_eq!(jwk["alg"], algorithm.name());
    assert_eq!(jwk["use"], "sig");
    assert!(verify(jwk, input.as_bytes(), &bytes(signature)), "{algorithm}");
    assert!(!verify(jwk, b"something else", &bytes(signature)), "{algorithm}");
}

#[test]
fn every_algorithm_verifies_as_the_only_one() {
    for algorithm in SigningAlgorithm::ALL {
        let issuer = TestIssuer::builder().algorithm(algorithm).build();
        assert_verifies(&issuer, &issuer.token().sign(), algorithm);
    }
}

#[test]
fn one_issuer_signs_with_all_of_them() {
    let issuer = TestIssuer::new();
    for algorithm in SigningAlgorithm::ALL {
        let token = issuer.token().signed_with(algorithm).sign();
        assert_verifies(&issuer, &token, algorithm);
    }
    assert_eq!(issuer.kid(), "es256-1");
}

#[test]
fn a_second_key_verifies_too() {
    for algorithm in [SigningAlgorithm::Ps256, SigningAlgorithm::MlDsa44] {
        let issuer = TestIssuer::builder().algorithm(algorithm).build();
        let old = issuer.token().sign();
        issuer.rotate();
        assert_verifies(&issuer, &old, algorithm);
        assert_verifies(&issuer, &issuer.token().sign(), algorithm);
    }
}

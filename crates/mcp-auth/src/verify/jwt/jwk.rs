//! Parses a JSON Web Key and prepares it for verification
//! ([RFC 7517 §4](https://www.rfc-editor.org/rfc/rfc7517#section-4)).

use crate::util::json::Object;
use crate::verify::jwt::algorithm::Algorithm;
use crate::verify::jwt::base64url;
use crate::verify::jwt::crypto::PublicKey;

/// Maximum length of an RSA exponent. The time of a verification is proportional to it. 65537 has three bytes.
const MAX_EXPONENT_BYTES: usize = 4;

/// Prepares a key for the algorithms that it may be used with. That is one algorithm, or all RSA algorithms for an RSA
/// key without `alg`.
pub(super) fn prepare(jwk: &Object<'_>) -> Result<Vec<(Algorithm, PublicKey)>, &'static str> {
    prepare_for(&Algorithm::RSA, jwk)
}

/// Like [`prepare`], but an RSA key without `alg` may be used with the algorithms in `rsa`.
pub(super) fn prepare_for(
    rsa: &[Algorithm],
    jwk: &Object<'_>,
) -> Result<Vec<(Algorithm, PublicKey)>, &'static str> {
    let text = |name: &str| {
        jwk.get(name)
            .map(|value| value.string().ok_or("the issuer's key has a member of the wrong type"))
            .transpose()
    };
    if jwk.get("kid").is_some_and(|kid| kid.string().is_none()) {
        return Err("the issuer's key has a `kid` that is not a string");
    }
    if text("use")?.is_some_and(|usage| usage != "sig") {
        return Err("the issuer's key is not for signatures (`use`)");
    }
    if let Some(operations) = jwk.get("key_ops") {
        let operations =
            operations.strings().ok_or("the issuer's key has `key_ops` of the wrong type")?;
        if !operations.iter().any(|operation| operation == "verify") {
            return Err("the issuer's key is not for verification (`key_ops`)");
        }
    }
    if jwk.get("d").is_some() || jwk.get("priv").is_some() {
        return Err("the issuer publishes the private part of its key: anyone can sign with it");
    }
    let own = text("alg")?
        .map(|name| {
            Algorithm::named(&name)
                .ok_or("the issuer's key is for an algorithm that is not supported")
        })
        .transpose()?;
    let bytes = |name: &str| {
        text(name)?
            .and_then(|value| base64url::decode(&value))
            .ok_or("the issuer's key lacks a part, or has one that is not base64url")
    };
    let fixed = |algorithm: Algorithm| {
        if own.is_none_or(|own| own == algorithm) {
            Ok(algorithm)
        } else {
            Err("the issuer's key is of another kind than its `alg`")
        }
    };
    let invalid = "the issuer's key is not a valid key of its kind";

    let kind = text("kty")?.ok_or("the issuer's key has no `kty`")?;
    let curve = text("crv")?;
    match (&*kind, curve.as_deref()) {
        ("RSA", _) => {
            let (n, e) = (bytes("n")?, bytes("e")?);
            let algorithms = own.map_or(rsa.to_vec(), |own| vec![own]);
            prepare_rsa(&algorithms, unpadded(&n), unpadded(&e))
        }
        ("EC", Some(curve)) => {
            let (algorithm, size) = match curve {
                "P-256" => (Algorithm::Es256, 32),
                "P-384" => (Algorithm::Es384, 48),
                "P-521" => (Algorithm::Es512, 66),
                _ => return Err("the issuer's key is on a curve that is not supported"),
            };
            let (algorithm, x, y) = (fixed(algorithm)?, bytes("x")?, bytes("y")?);
            if x.len() != size || y.len() != size {
                return Err(invalid);
            }
            let key =
                PublicKey::from_bytes(algorithm, &[&[4], &*x, &*y].concat()).ok_or(invalid)?;
            Ok(vec![(algorithm, key)])
        }
        ("OKP", Some("Ed25519")) => {
            let algorithm = fixed(Algorithm::Ed25519)?;
            Ok(vec![(algorithm, PublicKey::from_bytes(algorithm, &bytes("x")?).ok_or(invalid)?)])
        }
        ("AKP", _) => {
            let algorithm = own.ok_or("the issuer's key has no `alg`, which its kind requires")?;
            if !Algorithm::ML_DSA.contains(&algorithm) {
                return Err("the issuer's key of the kind `AKP` is not for ML-DSA");
            }
            Ok(vec![(algorithm, PublicKey::from_bytes(algorithm, &bytes("pub")?).ok_or(invalid)?)])
        }
        ("oct", _) => Err("the issuer publishes a symmetric key, which is never used"),
        _ => Err("the issuer's key is of a kind that is not supported"),
    }
}

fn prepare_rsa(
    algorithms: &[Algorithm],
    n: &[u8],
    e: &[u8],
) -> Result<Vec<(Algorithm, PublicKey)>, &'static str> {
    let bits = n.len() * 8 - n.first().map_or(0, |first| first.leading_zeros() as usize);
    if !(2048..=8192).contains(&bits) {
        return Err("the issuer's RSA key has less than 2048 or more than 8192 bits");
    }
    let is_odd = |number: &[u8]| number.last().is_some_and(|last| last % 2 == 1);
    if !is_odd(n) || !is_odd(e) || e == [1] || e.len() > MAX_EXPONENT_BYTES {
        return Err(
            "the issuer's RSA key has an even modulus, or an exponent that is even, 1 or of more than 32 bits",
        );
    }
    let ready =
        |algorithm: &Algorithm| PublicKey::rsa(*algorithm, n, e).map(|key| (*algorithm, key));
    algorithms
        .iter()
        .map(ready)
        .collect::<Option<_>>()
        .ok_or("the issuer's key is of another kind than its `alg`, or not valid")
}

/// Removes the leading zeros that some encoders add to a number.
fn unpadded(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    number.split_at(zeros).1
}

//! Converts public keys in PEM ([RFC 7468](https://www.rfc-editor.org/rfc/rfc7468)) to JWKs.
//!
//! The keys are validated as JWKs, not here.

use base64_simd::STANDARD;
use serde_json::Value;

use crate::verify::jwt::base64url;

/// Maximum length of a PEM block. Keys in use have at most 4 KiB, certificates at most 10 KiB.
const MAX_BLOCK_BYTES: usize = 64 * 1024;

/// Maximum number of PEM blocks, which is more than any rotation needs.
const MAX_BLOCKS: usize = 100;

const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const OBJECT_IDENTIFIER: u8 = 0x06;
const SEQUENCE: u8 = 0x30;
/// `[0]`, constructed: the version of a certificate.
const VERSION: u8 = 0xa0;

const NOT_DER: &str = "a PEM block in it is cut off, or holds something else than its label says";

/// The keys of all blocks, as JWKs without a `kid`.
pub(super) fn keys(pem: &str) -> Result<Vec<Value>, &'static str> {
    let mut keys = Vec::new();
    let mut rest = pem;
    while let Some((_, block)) = rest.split_once("-----BEGIN ") {
        let (label, block) = block.split_once("-----").ok_or(NOT_DER)?;
        let (text, after) = block.split_once("-----END ").ok_or(NOT_DER)?;
        rest = after.strip_prefix(label).and_then(|it| it.strip_prefix("-----")).ok_or(NOT_DER)?;
        if keys.len() == MAX_BLOCKS || text.len() > MAX_BLOCK_BYTES {
            return Err("it has too many PEM blocks, or one that is too long");
        }
        let der = decode(text).ok_or(NOT_DER)?;
        keys.push(match label {
            "PUBLIC KEY" => public_key(&der)?,
            "RSA PUBLIC KEY" => rsa(&der).ok_or(NOT_DER)?,
            "CERTIFICATE" => public_key(certified(&der).ok_or(NOT_DER)?)?,
            _ if label.ends_with("PRIVATE KEY") => {
                return Err(
                    "it has a private key: give the public one, and take care of who read this",
                );
            }
            _ => return Err("a PEM block in it is neither a public key nor a certificate"),
        });
    }
    if keys.is_empty() { Err("there is no PEM block in it") } else { Ok(keys) }
}

fn decode(text: &str) -> Option<Vec<u8>> {
    let plain: Vec<u8> = text.bytes().filter(|b| !b.is_ascii_whitespace()).collect();
    STANDARD.decode_to_vec(plain).ok()
}

/// A `SubjectPublicKeyInfo` ([RFC 5280 §4.1](https://www.rfc-editor.org/rfc/rfc5280#section-4.1)).
fn public_key(der: &[u8]) -> Result<Value, &'static str> {
    let (kind, parameters, key) = parts(der).ok_or(NOT_DER)?;
    let point = |curve: &str| {
        let coordinates = key.strip_prefix(&[4])?; // uncompressed point
        let (x, y) = coordinates.split_at(coordinates.len() / 2);
        let (x, y) = (base64url::encode(x), base64url::encode(y));
        Some(Value::from_iter([("kty", "EC"), ("crv", curve), ("x", &x), ("y", &y)]))
    };
    let compressed = "it has a key on a curve as a compressed point: write it uncompressed";
    match (kind, parameters) {
        (oid::RSA, _) => rsa(key).ok_or(NOT_DER),
        (oid::EC, oid::P256) => point("P-256").ok_or(compressed),
        (oid::EC, oid::P384) => point("P-384").ok_or(compressed),
        (oid::EC, oid::P521) => point("P-521").ok_or(compressed),
        (oid::ED25519, _) => {
            let key = base64url::encode(key);
            Ok(Value::from_iter([("kty", "OKP"), ("crv", "Ed25519"), ("x", &key)]))
        }
        (oid::ML_DSA_44, _) => Ok(ml_dsa("ML-DSA-44", key)),
        (oid::ML_DSA_65, _) => Ok(ml_dsa("ML-DSA-65", key)),
        (oid::ML_DSA_87, _) => Ok(ml_dsa("ML-DSA-87", key)),
        _ => Err("it has a key of a kind that is not supported, or on a curve that is not"),
    }
}

fn ml_dsa(algorithm: &str, key: &[u8]) -> Value {
    Value::from_iter([("kty", "AKP"), ("alg", algorithm), ("pub", &base64url::encode(key))])
}

/// Object identifiers, DER-encoded without tag and length.
mod oid {
    pub(super) const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
    pub(super) const EC: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
    pub(super) const P256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
    pub(super) const P384: &[u8] = &[0x2b, 0x81, 0x04, 0x00, 0x22];
    pub(super) const P521: &[u8] = &[0x2b, 0x81, 0x04, 0x00, 0x23];
    pub(super) const ED25519: &[u8] = &[0x2b, 0x65, 0x70];
    pub(super) const ML_DSA_44: &[u8] = &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x03, 0x11];
    pub(super) const ML_DSA_65: &[u8] = &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x03, 0x12];
    pub(super) const ML_DSA_87: &[u8] = &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x03, 0x13];
}

/// The algorithm of a key, its named curve (empty if there is none), and the key itself.
fn parts(der: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let (info, []) = value(SEQUENCE, der)? else { return None };
    let (algorithm, rest) = value(SEQUENCE, info)?;
    let (bits, []) = value(BIT_STRING, rest)? else { return None };
    let (kind, parameters) = value(OBJECT_IDENTIFIER, algorithm)?;
    let curve = value(OBJECT_IDENTIFIER, parameters).map_or(&[][..], |(curve, _)| curve);
    Some((kind, curve, bits.strip_prefix(&[0])?)) // the last byte has no unused bits
}

/// An `RSAPublicKey` ([RFC 8017 §A.1.1](https://www.rfc-editor.org/rfc/rfc8017#appendix-A.1.1)).
fn rsa(der: &[u8]) -> Option<Value> {
    let (key, []) = value(SEQUENCE, der)? else { return None };
    let (n, rest) = value(INTEGER, key)?;
    let (e, []) = value(INTEGER, rest)? else { return None };
    // A JWK has no sign, so a negative number would become another number.
    let is_negative = |integer: &[u8]| integer.first().is_none_or(|first| first & 0x80 != 0);
    let jwk = |n: &str, e: &str| Value::from_iter([("kty", "RSA"), ("n", n), ("e", e)]);
    (!is_negative(n) && !is_negative(e)).then(|| jwk(&base64url::encode(n), &base64url::encode(e)))
}

/// The `SubjectPublicKeyInfo` of a certificate. Everything else in it is ignored.
fn certified(der: &[u8]) -> Option<&[u8]> {
    let (certificate, []) = value(SEQUENCE, der)? else { return None };
    let (signed, _) = value(SEQUENCE, certificate)?;
    let rest = value(VERSION, signed).map_or(signed, |(_, rest)| rest);
    let (_, mut rest) = value(INTEGER, rest)?; // serial number
    for _ in ["signature", "issuer", "validity", "subject"] {
        (_, rest) = value(SEQUENCE, rest)?;
    }
    let (_, after) = value(SEQUENCE, rest)?;
    rest.strip_suffix(after)
}

/// The content of a value with this tag, and the bytes after it. A length must have its only valid DER encoding.
fn value(tag: u8, der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (&[found, first], rest) = der.split_first_chunk()?;
    let (length, shortest, rest) = match first {
        0x82 => {
            let (&[high, low], rest) = rest.split_first_chunk()?;
            (usize::from(high) << 8 | usize::from(low), 0x100, rest)
        }
        0x81 => {
            let (&[length], rest) = rest.split_first_chunk()?;
            (usize::from(length), 0x80, rest)
        }
        short if short < 0x80 => (usize::from(short), 0, rest),
        _ => return None,
    };
    (found == tag && length >= shortest).then(|| rest.split_at_checked(length)).flatten()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const ED25519: &str = "MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";

    /// A certificate that expired in 2026, made with `openssl req -x509`.
    const CERTIFICATE: &str = "\
MIIBgTCCASegAwIBAgIUYaVmpfqJjEt+MlGmFBEDz+K5BSAwCgYIKoZIzj0EAwIw\
FjEUMBIGA1UEAwwLaXNzdWVyLnRlc3QwHhcNMjYxMTIzMjMyMjQyWhcNMjYxMTI0\
MjMyMjQyWjAWMRQwEgYDVQQDDAtpc3N1ZXIudGVzdDBZMBMGByqGSM49AgEGCCqG\
SM49AwEHA0IABN8snuj31PgZxrmcksy9QsuqyTvN8C79u2n/9GofsmQH4zd4yu35\
N5aVuwxZrd8q+Ehz/QQM1JCy1hpReeqb9zOjUzBRMB0GA1UdDgQWBBRajEoD4znT\
oqebZCjcNHRgqXldlzAfBgNVHSMEGDAWgBRajEoD4znToqebZCjcNHRgqXldlzAP\
BgNVHRMBAf8EBTADAQH/MAoGCCqGSM49BAMCA0gAMEUCIQC9wkXxjemBfkzTZvsV\
CRTHnI1plW5BQyBAA4VTmlAw9wIgSJTlIbXC3LpAQzTLP7hHnyXatXmRuaOMF1pb\
YGXczGU=";

    const RSA: &str = "\
MIIBCgKCAQEA2cSmf90v6qiaO5/FX/we5WGnAZIqUYb00SDIBjGhDWlDo7PnaAIf\
vTIge0HcTsq2aJ/GA2LpUPpBGBJ4rWNIOIvIG6LKVi5QCd3dv38dCiPkRrfuY/B+\
et8iSJ76DgaJ2fZGIbWQ0iNbU40//Jy1pZebQjy6PgypQ6bL3KlO3chitSPkq6pu\
7IZq7QqAG/0iCl+pCwE/Pt8ZbV7aOYKUngbxZ+JirzO9ovuGRDSFQ/V0mrDW4TNX\
09NHLiZ79w5/jtfi1svQnmcl6LRAyQwt7O10eRJhhSafF7Wzui0MJVTn/TQm5/Pw\
2P7jqcskTqgXKxmmLgWj0l0bGs0FMYIGjQIDAQAB";

    fn block(label: &str, base64: &str) -> String {
        format!("-----BEGIN {label}-----\n{base64}\n-----END {label}-----\n")
    }

    #[test]
    fn keys_are_read_from_pem() {
        let good = block("PUBLIC KEY", ED25519);
        let x = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
        for (name, pem, number) in [
            ("one", good.clone(), 1),
            ("two", format!("{good}{good}"), 2),
            ("words around it", format!("subject=/CN=x\n{good}\n# the end"), 1),
            ("CRLF, and indented", good.replace('\n', "\r\n  "), 1),
        ] {
            let keys = keys(&pem).expect(name);
            assert_eq!(keys.len(), number, "{name}");
            assert!(
                keys.iter().all(|key| key["kty"] == "OKP" && key["x"] == x),
                "{name}: {keys:?}"
            );
        }
    }

    #[test]
    fn certificates_and_bare_rsa_keys_are_read() {
        let keys = keys(&(block("CERTIFICATE", CERTIFICATE) + &block("RSA PUBLIC KEY", RSA)));
        let keys = keys.expect("two keys");
        assert_eq!((&keys[0]["kty"], &keys[0]["crv"]), (&json!("EC"), &json!("P-256")));
        assert_eq!(keys[0]["x"], "3yye6PfU-BnGuZySzL1Cy6rJO83wLv27af_0ah-yZAc");
        assert_eq!((&keys[1]["kty"], &keys[1]["e"]), (&json!("RSA"), &json!("AQAB")));
        assert!(
            keys[1]["n"]
                .as_str()
                .is_some_and(|n| n.starts_with("ANnEpn_dL-qomjufxV_8HuVhpwGSKlGG"))
        );
    }

    #[test]
    fn any_other_input_is_refused() {
        let good = block("PUBLIC KEY", ED25519);
        let rows = [
            ("nothing", String::new(), "no PEM block"),
            ("a JWKS", r#"{"keys":[]}"#.to_owned(), "no PEM block"),
            ("base64 alone", ED25519.to_owned(), "no PEM block"),
            ("cut off", good[..60].to_owned(), "cut off"),
            ("another end", good.replace("END PUBLIC", "END PRIVATE"), "cut off"),
            ("no padding", good.replace('=', ""), "cut off"),
            (
                "a byte too many",
                block("PUBLIC KEY", "MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURoA"),
                "cut off",
            ),
            ("no DER", block("PUBLIC KEY", "AQID"), "cut off"),
            ("empty", block("PUBLIC KEY", ""), "cut off"),
            ("the wrong label", block("RSA PUBLIC KEY", ED25519), "cut off"),
            ("no certificate", block("CERTIFICATE", ED25519), "cut off"),
            (
                "another kind",
                block("PUBLIC KEY", "MCowBQYDK2VuAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="),
                "not supported",
            ),
            ("a private key", block("PRIVATE KEY", ED25519), "private key"),
            (
                "a good one and a private key",
                format!("{good}{}", block("EC PRIVATE KEY", "AA==")),
                "private key",
            ),
            ("a request", block("CERTIFICATE REQUEST", ED25519), "neither"),
            ("too many", good.repeat(MAX_BLOCKS + 1), "too many"),
            ("too long", block("PUBLIC KEY", &"A".repeat(MAX_BLOCK_BYTES)), "too long"),
        ];
        for (name, pem, why) in rows {
            let refused = keys(&pem).expect_err(name);
            assert!(refused.contains(why), "{name}: {refused}");
        }
    }

    #[test]
    fn der_lengths_have_one_encoding() {
        let long = |head: &[u8], n: usize| [head, &vec![7; n]].concat();
        for (der, length) in [
            (vec![0x30, 0], Some(0)),
            (vec![0x30, 1, 7], Some(1)),
            (vec![0x30, 2, 7], None),
            (vec![0x31, 1, 7], None),
            (vec![0x30], None),
            (vec![], None),
            (long(&[0x30, 0x81, 0x80], 0x80), Some(0x80)),
            (long(&[0x30, 0x81, 0x7f], 0x7f), None),
            (long(&[0x30, 0x82, 1, 0], 0x100), Some(0x100)),
            (long(&[0x30, 0x82, 0, 0xff], 0xff), None),
            (long(&[0x30, 0x80], 5), None),
            (long(&[0x30, 0x83, 0, 0, 1], 5), None),
            (long(&[0x30, 0xff], 5), None),
        ] {
            let found = value(SEQUENCE, &der).map(|(content, _)| content.len());
            assert_eq!(found, length, "{:02x?}", &der[..der.len().min(5)]);
        }
    }
}

//! A key that came with what it signed. Only DPoP proofs are verified so: anybody can make one.

use super::jwk;
use super::jws::Jws;
use super::signature::sha256;
use crate::json::{self, Members};

/// The members of a thumbprint for each kind of key, in the order of RFC 7638 §3.2; `kty` is among them.
const THUMBPRINT: [(&str, &[&str]); 3] =
    [("EC", &["crv", "kty", "x", "y"]), ("OKP", &["crv", "kty", "x"]), ("RSA", &["e", "kty", "n"])];

/// The members of private and of symmetric keys (RFC 7518 §6).
const PRIVATE: [&str; 9] = ["d", "dp", "dq", "k", "oth", "p", "priv", "q", "qi"];

/// The public key in the header of a JWS ([RFC 7515 §4.1.3](https://www.rfc-editor.org/rfc/rfc7515#section-4.1.3)).
pub(crate) struct EmbeddedKey<'j>(Members<'j>);

impl<'j> EmbeddedKey<'j> {
    /// Nothing if there is none, or if it has a private part.
    pub(crate) fn of(jws: &'j Jws<'_>) -> Option<Self> {
        let jwk = Members::of(jws.header.jwk()?).ok()?;
        let is_private = jwk.iter().any(|(name, _)| PRIVATE.contains(&name));
        (!is_private).then_some(Self(jwk))
    }

    /// Its SHA-256 thumbprint ([RFC 7638](https://www.rfc-editor.org/rfc/rfc7638)).
    pub(crate) fn thumbprint(&self) -> Option<[u8; 32]> {
        let text = |name: &str| self.0.get(name).and_then(json::string);
        let kind = text("kty")?;
        let (_, names) = THUMBPRINT.iter().find(|(kty, _)| *kty == kind)?;
        let mut members = String::with_capacity(160);
        for name in *names {
            let value = text(name)?;
            // Of base64url and of names of curves; nothing else would be the same in every JSON.
            if !value.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b)) {
                return None;
            }
            members += if members.is_empty() { "{\"" } else { ",\"" };
            members += name;
            members += "\":\"";
            members += &value;
            members += "\"";
        }
        members += "}";
        Some(sha256(members.as_bytes()))
    }

    /// Whether it may be used so and has signed the JWS.
    ///
    /// # Errors
    ///
    /// Why it must not be used.
    pub(crate) fn has_signed(&self, jws: &Jws<'_>) -> Result<bool, &'static str> {
        let algorithm = jws.header.algorithm;
        let keys = jwk::prepare_for(&[algorithm], &self.0)?;
        let (_, key) =
            keys.iter().find(|(fits, _)| *fits == algorithm).ok_or("it is for another `alg`")?;
        Ok(key.verifies(jws.signing_input.as_bytes(), &jws.signature))
    }
}

#[cfg(test)]
mod tests {
    use super::super::base64url;
    use super::*;

    fn thumbprint(jwk: &str) -> Option<String> {
        let key = EmbeddedKey(Members::of(jwk).expect("an object"));
        key.thumbprint().map(|bytes| base64url::encode(&bytes))
    }

    #[test]
    fn thumbprints_are_those_of_the_rfcs() {
        // RFC 7638 §3.1, RFC 8037 A.3, RFC 9449 §4.1 with the thumbprint of §6.1.
        let rsa = r#"{"kty":"RSA","n":"0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw","e":"AQAB","alg":"RS256","kid":"2011-04-29"}"#;
        let ed =
            r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
        let ec = r#"{"kty":"EC","x":"l8tFrhx-34tV3hRICRDY9zCkDlpBhF42UQUfWVAWBFs","y":"9VE4jf_Ok_o64zbTTlcuNJajHmt6v9TDVrU0CdvGRDA","crv":"P-256"}"#;
        for (jwk, expected) in [
            (rsa, "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"),
            (ed, "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"),
            (ec, "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"),
        ] {
            assert_eq!(thumbprint(jwk).as_deref(), Some(expected), "{jwk}");
        }
    }

    #[test]
    fn what_is_no_key_has_no_thumbprint() {
        for jwk in [
            "{}",
            r#"{"kty":"oct","k":"AQ"}"#,
            r#"{"kty":"EC","crv":"P-256","x":"AQ"}"#,
            r#"{"kty":"OKP","crv":"Ed25519","x":1}"#,
            r#"{"kty":"OKP","crv":"Ed25519","x":"a\"b"}"#,
            r#"{"kty":"AKP","pub":"AQ","alg":"ML-DSA-44"}"#,
        ] {
            assert_eq!(thumbprint(jwk), None, "{jwk}");
        }
    }
}

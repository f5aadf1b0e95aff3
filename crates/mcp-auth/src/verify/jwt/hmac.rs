//! JWTs signed with a secret that the issuer and this server share (HS256), separate from all other JWTs.

use std::fmt;

use crate::model::denial::Denial;
use crate::model::error_codes::Reason;
use crate::model::verified_token::VerifiedToken;
use crate::verify::jwt::claims::Claims;
use crate::verify::jwt::crypto::{HmacSha256, is_same_secret};
use crate::verify::jwt::issuer_checks;
use crate::verify::jwt::jws::Jws;
use crate::verify::jwt::jwt_rules::JwtRules;

/// Minimum length of a secret: the length of the digest
/// ([RFC 7518 §3.2](https://www.rfc-editor.org/rfc/rfc7518#section-3.2), a MUST).
const MIN_KEY_BYTES: usize = 32;

/// A shared secret, possibly too short to be used. Its `Debug` output does not contain the secret.
///
/// It has a separate type, and so have the tokens that it may verify (`Jws<Hs256>`). So a public key is never used as
/// a secret, nor a secret as a public key.
pub(crate) struct HmacKey {
    mac: HmacSha256,
    is_long_enough: bool,
}

/// HMAC with SHA-256. HS384 and HS512 are not supported: one secret is for one algorithm
/// ([RFC 8725 §3.1](https://www.rfc-editor.org/rfc/rfc8725#section-3.1)).
pub(crate) struct Hs256;

/// A token whose `alg` is HS256. Neither its issuer nor its signature is checked yet.
pub(crate) struct HmacJwt<'t> {
    jws: Jws<'t, Hs256>,
    claims: Claims,
}

impl Hs256 {
    fn named(name: &str) -> Option<Self> {
        (name == "HS256").then_some(Self)
    }
}

impl HmacKey {
    pub(crate) fn new(secret: &[u8]) -> Self {
        Self { mac: HmacSha256::new(secret), is_long_enough: secret.len() >= MIN_KEY_BYTES }
    }

    pub(crate) fn is_long_enough(&self) -> bool {
        self.is_long_enough
    }
}

impl<'t> HmacJwt<'t> {
    /// Parses a token. Returns `None` if it is another kind of token, or not a token.
    pub(crate) fn parse(token: &'t str) -> Option<Self> {
        let mut jws = Jws::parse_as(token, Hs256::named).ok()?;
        let claims = Claims::parse(std::mem::take(&mut jws.payload)).ok()?;
        Some(Self { jws, claims })
    }

    pub(crate) fn issuer(&self) -> &str {
        self.claims.issuer()
    }

    /// Verifies the token like [`verify`](super::verify). Its issuer must be that of the secret.
    pub(crate) fn verify(
        self,
        secret: &HmacKey,
        rules: &JwtRules,
    ) -> Result<VerifiedToken, Denial> {
        if *self.claims.issuer() != *rules.issuer {
            return Err(Denial::invalid(Reason::Issuer));
        }
        rules.check_type(&self.jws.header, &self.claims)?;
        issuer_checks::check(&self.claims, rules)?;
        let tag = secret.mac.tag(&[self.jws.signing_input.as_bytes()]);
        if !secret.is_long_enough || !is_same_secret(&tag, &self.jws.signature) {
            return Err(Denial::invalid(Reason::Signature));
        }
        self.claims.into_token(rules)
    }
}

impl fmt::Debug for HmacKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HmacKey(redacted)")
    }
}

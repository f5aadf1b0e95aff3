//! Tokens signed with a secret that their issuer and this server share: HS256, apart from all others.

use std::fmt;

use crate::model::denial::Denial;
use crate::model::error_codes::Reason;
use crate::model::verified_token::VerifiedToken;
use crate::verify::jwt::claims::Claims;
use crate::verify::jwt::crypto::{Mac, is_same_secret};
use crate::verify::jwt::issuer_checks;
use crate::verify::jwt::jws::Jws;
use crate::verify::jwt::rules::JwtRules;

/// As long as the digest ([RFC 7518 §3.2](https://www.rfc-editor.org/rfc/rfc7518#section-3.2), a MUST).
const MIN_KEY_BYTES: usize = 32;

/// A secret, or a text too short to be one. It does not show itself.
///
/// It is a type of its own, and so is a token that it may verify (`Jws<Hs256>`): a public key is never
/// used as a secret, nor a secret as a key.
pub(crate) struct HmacKey {
    mac: Mac,
    is_long_enough: bool,
}

/// HMAC with SHA-256. HS384 and HS512 are not understood: one secret, one algorithm
/// ([RFC 8725 §3.1](https://www.rfc-editor.org/rfc/rfc8725#section-3.1)).
pub(crate) struct Hs256;

/// A token that says to be signed with a secret, of an issuer that nobody has looked at yet.
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
        Self { mac: Mac::new(secret), is_long_enough: secret.len() >= MIN_KEY_BYTES }
    }

    pub(crate) fn is_long_enough(&self) -> bool {
        self.is_long_enough
    }
}

impl<'t> HmacJwt<'t> {
    /// Takes a token apart; nothing if it is another kind of token, or none.
    pub(crate) fn parse(token: &'t str) -> Option<Self> {
        let mut jws = Jws::parse_as(token, Hs256::named).ok()?;
        let claims = Claims::parse(std::mem::take(&mut jws.payload)).ok()?;
        Some(Self { jws, claims })
    }

    pub(crate) fn issuer(&self) -> &str {
        self.claims.issuer()
    }

    /// Verifies the token as [`verify`](super::verify) does. Its issuer must be that of the secret.
    pub(crate) fn verify(
        self,
        secret: &HmacKey,
        rules: &JwtRules,
    ) -> Result<VerifiedToken, Denial> {
        if *self.claims.issuer() != *rules.issuer {
            return Err(Denial::invalid(Reason::Issuer));
        }
        rules.profile.check(&self.jws.header, &self.claims)?;
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
        f.write_str("Secret(redacted)")
    }
}

//! Verifies a JWT with given keys and rules.

use crate::model::denial::Denial;
use crate::model::error_codes::Reason;
use crate::model::verified_token::VerifiedToken;
use crate::verify::jwt::claims::Claims;
use crate::verify::jwt::issuer_checks;
use crate::verify::jwt::jws::Jws;
use crate::verify::jwt::jwt_rules::JwtRules;
use crate::verify::jwt::key_set::KeySet;

/// Verifies the form, the type, the issuer and the signature of `token` with `keys`.
///
/// It does not check audience, expiry and scopes; [`Policy::authorize`](crate::Policy::authorize) does. A
/// sender-constrained token (`cnf`) is refused, because the sender is unknown here.
///
/// ```
/// use mcp_auth::jwt::{self, JwtRules, KeySet};
/// use mcp_auth::Reason;
///
/// let keys = KeySet::parse(br#"{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"1",
///     "x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#)?;
/// let denial = jwt::verify("not.a.token", &keys, &JwtRules::new("https://auth.example.com")).unwrap_err();
/// assert_eq!(denial.reason(), Some(Reason::Encoding));
/// # Ok::<(), mcp_auth::jwt::KeySetError>(())
/// ```
///
/// # Errors
///
/// [`InvalidToken`](crate::DenialKind::InvalidToken) with the [`Reason`].
pub fn verify(token: &str, keys: &KeySet, rules: &JwtRules) -> Result<VerifiedToken, Denial> {
    let mut jws = Jws::parse(token)?;
    let claims = Claims::parse(std::mem::take(&mut jws.payload))?;
    if !rules.apply_to(claims.issuer()) {
        return Err(Denial::invalid(Reason::Issuer));
    }
    check(&jws, &claims, rules)?;
    if claims.confirmation.is_some() {
        return Err(Denial::invalid(Reason::Binding));
    }
    keys.verify(&jws, claims.issuer()).map_err(Denial::from)?;
    claims.into_token(rules)
}

/// Checks everything that does not need a key: algorithm, profile and issuer-specific rules.
pub(crate) fn check(jws: &Jws<'_>, claims: &Claims, rules: &JwtRules) -> Result<(), Denial> {
    check_algorithm(jws, rules)?;
    rules.check_type(&jws.header, claims)?;
    issuer_checks::check(claims, rules)
}

/// Checks that the issuer may use the algorithm of this JWS.
pub(crate) fn check_algorithm(jws: &Jws<'_>, rules: &JwtRules) -> Result<(), Denial> {
    let algorithm = jws.header.algorithm;
    if rules.algorithms.contains(&algorithm) {
        return Ok(());
    }
    Err(Denial::invalid(Reason::Algorithm).detail(format!(
        "the token is signed with {algorithm}, which `.algorithms(..)` leaves out"
    )))
}

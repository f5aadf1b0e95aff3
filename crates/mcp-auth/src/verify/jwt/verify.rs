//! The verification of a JWT as a function of data.

use crate::model::denial::Denial;
use crate::model::error_codes::Reason;
use crate::model::verified_token::VerifiedToken;
use crate::verify::jwt::claims::Claims;
use crate::verify::jwt::issuer_checks;
use crate::verify::jwt::jws::Jws;
use crate::verify::jwt::keys::KeySet;
use crate::verify::jwt::rules::JwtRules;

/// Verifies `token` with `keys`: its form, its kind, its issuer and its signature.
///
/// Audience, expiry and scopes are judged after this, by [`Policy::authorize`](crate::Policy::authorize). A token
/// that is bound to its sender (`cnf`) is refused, since nothing here knows the sender.
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
    if !rules.are_for(claims.issuer()) {
        return Err(Denial::invalid(Reason::Issuer));
    }
    check(&jws, &claims, rules)?;
    if claims.binding.is_some() {
        return Err(Denial::invalid(Reason::Binding));
    }
    keys.verify(&jws, claims.issuer()).map_err(Denial::from)?;
    claims.into_token(rules)
}

/// Everything about a token that can be judged without a key.
pub(crate) fn check(jws: &Jws<'_>, claims: &Claims, rules: &JwtRules) -> Result<(), Denial> {
    check_algorithm(jws, rules)?;
    rules.profile.check(&jws.header, claims)?;
    issuer_checks::check(claims, rules)
}

/// Whether what an issuer signs may be signed like this.
pub(crate) fn check_algorithm(jws: &Jws<'_>, rules: &JwtRules) -> Result<(), Denial> {
    let algorithm = jws.header.algorithm;
    if rules.algorithms.contains(&algorithm) {
        return Ok(());
    }
    Err(Denial::invalid(Reason::Algorithm).detail(format!(
        "the token is signed with {algorithm}, which `.algorithms(..)` leaves out"
    )))
}

//! Issuer-specific checks: the markers of access tokens, and the tenant.

use crate::model::denial::Denial;
use crate::model::error_codes::Reason;
use crate::util::json::Raw;
use crate::verify::jwt::claims::Claims;
use crate::verify::jwt::jwt_rules::JwtRules;

/// Checks that a token has the markers of the issuer's access tokens, and that `iss` and the tenant claim name the
/// same tenant.
pub(super) fn check(claims: &Claims, rules: &JwtRules) -> Result<(), Denial> {
    let Some(overrides) = &rules.overrides else { return Ok(()) };
    let tenant_claim = overrides.tenant_claim.as_deref();
    if tenant_claim.is_none() && overrides.markers().next().is_none() {
        return Ok(());
    }
    let members = claims.members()?;
    let says = |claim: &str, value: &str| {
        members.get(claim).and_then(Raw::string).is_some_and(|said| said == value)
    };
    for (claim, value) in overrides.markers() {
        let is_there = match value {
            None => members.get(claim).is_some_and(|value| !value.is_null()),
            Some(value) => says(claim, value),
        };
        if !is_there {
            return Err(Denial::invalid(Reason::Type).detail(format!(
                "by its `{claim}`, the token is not one of this issuer's access tokens, but perhaps its ID token: the client must send its access token",
            )));
        }
    }
    let tenant = rules
        .issuer_set
        .as_ref()
        .and_then(|issuer_set| issuer_set.template.tenant_of(claims.issuer()));
    match (tenant_claim, tenant) {
        (Some(claim), Some(tenant)) if !says(claim, tenant) => {
            Err(Denial::invalid(Reason::Issuer).detail(format!(
                "the token's `iss` and `{claim}` name different tenants, or it has no `{claim}`: no issuer does that",
            )))
        }
        _ => Ok(()),
    }
}

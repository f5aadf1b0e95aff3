//! What a token of one issuer must say besides, so that it is an access token, and of a tenant that is meant.

use crate::model::denial::Denial;
use crate::model::error_codes::Reason;
use crate::model::provider::Mark;
use crate::util::json::Raw;
use crate::verify::jwt::claims::Claims;
use crate::verify::jwt::rules::JwtRules;

/// Judges by the marks of the provider's access tokens, and by the tenant that the issuer names.
pub(super) fn judge(claims: &Claims, rules: &JwtRules) -> Result<(), Denial> {
    let Some(dialect) = &rules.dialect else { return Ok(()) };
    let tenant_claim = dialect.tenant_claim.as_deref();
    if tenant_claim.is_none() && dialect.marks().is_empty() {
        return Ok(());
    }
    let members = claims.members()?;
    let says = |claim: &str, value: &str| {
        members.get(claim).and_then(Raw::string).is_some_and(|said| said == value)
    };
    for mark in dialect.marks() {
        let (claim, is_there) = match *mark {
            Mark::Has(claim) => (claim, members.get(claim).is_some()),
            Mark::Is(claim, value) => (claim, says(claim, value)),
        };
        if !is_there {
            return Err(Denial::invalid(Reason::Type).detail(format!(
                "by its `{claim}`, the token is not one of this provider's access tokens, but perhaps its ID token: the client must send its access token",
            )));
        }
    }
    let tenant =
        rules.family.as_ref().and_then(|family| family.template.tenant_of(claims.issuer()));
    match (tenant_claim, tenant) {
        (Some(claim), Some(tenant)) if !says(claim, tenant) => {
            Err(Denial::invalid(Reason::Issuer).detail(format!(
                "the token's `iss` and `{claim}` name different tenants, or it has no `{claim}`: no issuer does that",
            )))
        }
        _ => Ok(()),
    }
}

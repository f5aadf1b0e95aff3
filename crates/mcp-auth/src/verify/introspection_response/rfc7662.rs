//! Introspection responses, validated like the claims of a JWT
//! ([RFC 7662 §2.2](https://www.rfc-editor.org/rfc/rfc7662#section-2.2)).

use std::time::Duration;

use crate::model::denial::Denial;
use crate::model::error_codes::Reason;
use crate::model::verified_token::VerifiedToken;
use crate::util::json::{Object, Raw};
use crate::verify::jwt::{Claims, JwtRules};

/// Returns the token that `json`, an introspection response of `issuer`, describes
/// ([RFC 7662 §2.2](https://www.rfc-editor.org/rfc/rfc7662#section-2.2)).
///
/// For your own verifiers that call an introspection endpoint themselves; otherwise see
/// [`McpAuthBuilder::introspect`](crate::McpAuthBuilder). This function does not check audience, expiry and scopes;
/// [`Policy::authorize`](crate::Policy::authorize) does.
///
/// ```
/// use mcp_auth::{Reason, introspected};
///
/// let answer = br#"{"active":true,"sub":"alice","aud":"https://api.example.com/mcp"}"#;
/// assert_eq!(introspected(answer, "https://auth.example.com")?.subject(), "alice");
/// let denial = introspected(br#"{"active":false}"#, "https://auth.example.com").unwrap_err();
/// assert_eq!(denial.reason(), Some(Reason::Inactive));
/// # Ok::<(), mcp_auth::Denial>(())
/// ```
///
/// # Errors
///
/// [`InvalidToken`](crate::DenialKind::InvalidToken) with the [`Reason`] if the token is refused.
/// [`Unavailable`](crate::DenialKind::Unavailable) if `json` is not an introspection response: it is not JSON, has a
/// duplicate member, or has an `active` that is not a boolean.
pub fn introspected(json: &[u8], issuer: &str) -> Result<VerifiedToken, Denial> {
    validate_response(json, &JwtRules::new(issuer), None, false).unwrap_or_else(|why| {
        let why = format!("the introspection endpoint does not answer as RFC 7662 says: {why}");
        Err(Denial::unavailable(Duration::from_secs(1)).detail(why))
    })
}

/// Returns the token that a response describes. The inner error says why the token is refused, the outer error
/// what is wrong with the response itself.
pub(crate) fn validate_response(
    json: &[u8],
    rules: &JwtRules,
    audience_if_absent: Option<&str>,
    subject_is_username: bool,
) -> Result<Result<VerifiedToken, Denial>, &'static str> {
    let members =
        Object::read(json).map_err(|_| "it is not a JSON object with distinct members")?;
    match members.get("active").map(|active| active.get()) {
        Some("true") => {}
        Some("false") => return Ok(Err(inactive(rules))),
        _ => return Err("its `active` is neither true nor false"),
    }
    Ok(token(json, &members, rules, audience_if_absent, subject_is_username))
}

fn inactive(rules: &JwtRules) -> Denial {
    let denial = Denial::invalid(Reason::Inactive);
    let row = rules.overrides.as_ref().and_then(|overrides| overrides.provider);
    match row.map(|row| row.inactive).filter(|why| !why.is_empty()) {
        Some(why) => denial.detail(why),
        None => denial,
    }
}

fn token(
    json: &[u8],
    members: &Object<'_>,
    rules: &JwtRules,
    audience_if_absent: Option<&str>,
    subject_is_username: bool,
) -> Result<VerifiedToken, Denial> {
    let refuse = |reason, why: &str| Err(Denial::invalid(reason).detail(why));
    let claims = Claims::read(json.to_vec())?;
    if members.get("iss").is_some() && !rules.apply_to(claims.issuer()) {
        return refuse(
            Reason::Issuer,
            "the server answers about a token of another `iss`: set the issuer as it writes it, a final slash matters",
        );
    }
    let names_key = claims.confirmation.as_ref().is_some_and(|cnf| cnf.jkt_bytes().is_some());
    match members.get("token_type").map(Raw::string) {
        None => {}
        Some(Some(kind)) if kind.eq_ignore_ascii_case("Bearer") => {}
        // The response must name the key (`cnf`), so that the sender's proof can be compared with it.
        Some(Some(kind)) if kind.eq_ignore_ascii_case("DPoP") && names_key => {}
        Some(Some(kind)) if kind.eq_ignore_ascii_case("DPoP") => {
            return refuse(
                Reason::Binding,
                "the answer's `token_type` is `DPoP`, and it has no `cnf` with a valid `jkt`: let the server put it in",
            );
        }
        Some(_) => {
            return refuse(
                Reason::Type,
                "the answer's `token_type` is not `Bearer`: the client must send its access token",
            );
        }
    }
    if let Some(kind) = claims.non_access_token_kind {
        return Err(Denial::invalid(Reason::Type)
            .detail(format!("the token is {kind}: the client must send its access token")));
    }
    let claims = if subject_is_username {
        let name = members.get("username").and_then(Raw::string);
        let Some(claims) = name.and_then(|name| claims.with_username_as_subject(&name)) else {
            return refuse(
                Reason::Claims,
                "the answer has no `username`, or the client's own: it is the subject by `.dangerous_subject_is_username()`, and a user could have the name of a client",
            );
        };
        claims
    } else {
        claims
    };
    // A token without a user acts for its client. A token with a user must have a `sub`, because a user name can be
    // given to another user later.
    let speaks_for_client = members.get("username").is_none() && claims.has_client_id;
    if !claims.has_subject() && !speaks_for_client {
        return refuse(
            Reason::Claims,
            "the answer has no `sub` (`username` may be given to somebody else one day): let the server put it in, or see `Introspection::dangerous_subject_is_username`",
        );
    }
    let has_audience = claims.has_audience();
    let token = claims.into_token(rules)?;
    Ok(match audience_if_absent {
        Some(audience) if !has_audience => token.audience(audience),
        _ => token,
    })
}

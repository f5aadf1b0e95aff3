//! Checks that a JWT is an access token, and not another kind of JWT of the same issuer.

use crate::model::denial::Denial;
use crate::model::error_codes::Reason;
use crate::verify::jwt::claims::Claims;
use crate::verify::jwt::jws::Header;
use crate::verify::jwt::jwt_rules::{JwtRules, Profile};

/// Known `typ` values of other tokens, so that the error names the kind. Any other `typ` is refused as well.
const KNOWN_TYPES: [(&str, &str); 7] = [
    ("dpop+jwt", "a DPoP proof"),
    ("entity-statement+jwt", "an entity statement"),
    ("id_token+jwt", "an ID token"),
    ("logout+jwt", "a logout token"),
    ("oauth-id-jag+jwt", "an identity assertion (ID-JAG)"),
    ("secevent+jwt", "a security event"),
    ("token-introspection+jwt", "an introspection response"),
];

impl JwtRules {
    /// Checks `typ`, and the claims that the profile requires or refuses.
    pub(super) fn check_type<A>(&self, header: &Header<A>, claims: &Claims) -> Result<(), Denial> {
        let typ = header.media_type().unwrap_or("JWT");
        let is = |name: &str| typ.eq_ignore_ascii_case(name);
        let has_own = match &self.types {
            Some(types) if types.iter().any(|own| is(without_application(own))) => true,
            Some(_) => return Err(Denial::invalid(Reason::Type).detail(
                "the token's `typ` is none of those that `.typ(..)` names for its issuer: the client must send its access token, or the list lacks a type",
            )),
            None => false,
        };
        match self.profile {
            Profile::Compatible if is("at+jwt") => Ok(()),
            Profile::Compatible if is("jwt") || has_own => refuse_other_kinds(claims),
            Profile::Rfc9068 if is("at+jwt") => require_rfc9068_claims(claims),
            Profile::Rfc9068 if has_own => refuse_other_kinds(claims).and(require_rfc9068_claims(claims)),
            Profile::Rfc9068 if is("jwt") => Err(Denial::invalid(Reason::Type).detail(
                "the token's `typ` is not `at+jwt`: let the issuer follow RFC 9068, or use `Profile::Compatible`",
            )),
            _ => {
                let known = KNOWN_TYPES.iter().find(|(name, _)| is(name));
                Err(non_access_token_kind(known.map_or("of a kind that is not known here", |(_, kind)| kind)))
            }
        }
    }

    /// Returns what is wrong with the `typ` values that are set, if anything.
    pub(crate) fn types_config_error(&self) -> Option<&'static str> {
        let types = self.types.as_ref()?;
        let is_other =
            |typ: &str| KNOWN_TYPES.iter().any(|(other, _)| typ.eq_ignore_ascii_case(other));
        let is_type = |typ: &str| {
            !typ.is_empty() && typ.bytes().all(|b| b.is_ascii_graphic() && !b"\"\\/".contains(&b))
        };
        if types.iter().any(|typ| is_other(without_application(typ))) {
            return Some(
                "one of them is the type of other tokens, such as ID tokens or logout tokens, which would pass for access tokens",
            );
        }
        let are_types = types.iter().all(|typ| is_type(without_application(typ)));
        (types.is_empty() || !are_types).then_some("the list is empty, or one of them is no media type like `at+jwt`: is an environment variable unset?")
    }
}

/// Refuses a token whose claims show that it is not an access token.
fn refuse_other_kinds(claims: &Claims) -> Result<(), Denial> {
    claims.non_access_token_kind.map_or(Ok(()), |kind| Err(non_access_token_kind(kind)))
}

fn without_application(typ: &str) -> &str {
    match typ.split_once('/') {
        Some((application, rest)) if application.eq_ignore_ascii_case("application") => rest,
        _ => typ,
    }
}

fn non_access_token_kind(kind: &str) -> Denial {
    Denial::invalid(Reason::Type)
        .detail(format!("the token is {kind}: the client must send its access token"))
}

fn require_rfc9068_claims(claims: &Claims) -> Result<(), Denial> {
    let required = [
        ("client_id", claims.has_client_id),
        ("iat", claims.issued_at.is_some()),
        ("jti", claims.has_token_id),
    ];
    match required.iter().find(|(_, is_there)| !is_there) {
        None => Ok(()),
        Some((name, _)) => Err(Denial::invalid(Reason::Claims)
            .detail(format!("the claim `{name}` is missing, which RFC 9068 requires"))),
    }
}

//! Checks that a JWT is an access token, and not another kind of JWT of the same issuer.

use crate::model::denial::Denial;
use crate::model::error_codes::Reason;
use crate::verify::jwt::claims::Claims;
use crate::verify::jwt::jws::Header;
use crate::verify::jwt::jwt_rules::Profile;

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

impl Profile {
    pub(super) fn check<A>(self, header: &Header<A>, claims: &Claims) -> Result<(), Denial> {
        let typ = header.media_type().unwrap_or("JWT");
        let is = |name: &str| typ.eq_ignore_ascii_case(name);
        match self {
            Self::Compatible if is("at+jwt") => Ok(()),
            Self::Compatible if is("jwt") => claims.non_access_token_kind.map_or(Ok(()), |kind| Err(non_access_token_kind(kind))),
            Self::Rfc9068 if is("at+jwt") => require_rfc9068_claims(claims),
            Self::Rfc9068 if is("jwt") => Err(Denial::invalid(Reason::Type).detail(
                "the token's `typ` is not `at+jwt`: let the issuer follow RFC 9068, or use `Profile::Compatible`",
            )),
            _ => {
                let known = KNOWN_TYPES.iter().find(|(name, _)| is(name));
                Err(non_access_token_kind(known.map_or("of a kind that is not known here", |(_, kind)| kind)))
            }
        }
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

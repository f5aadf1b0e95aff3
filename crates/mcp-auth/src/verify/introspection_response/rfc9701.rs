//! Signed introspection responses ([RFC 9701](https://www.rfc-editor.org/rfc/rfc9701)): issuer, audience and age.

use std::time::{Duration, SystemTime};

use crate::util::json::{Object, Raw};
use crate::util::unix_time::unix_secs;
use crate::verify::jwt::{Jws, JwtRules};

/// Maximum difference between `iat` and now. A response is only as old as the request, but clocks differ.
const MAX_AGE: Duration = Duration::from_secs(60);

/// A signed response whose claims are valid. Its signature must still be verified with the keys of `issuer`.
pub(crate) struct SignedResponse<'r> {
    pub(crate) jws: Jws<'r>,
    pub(crate) issuer: String,
    /// The RFC 7662 response inside.
    pub(crate) json: String,
}

impl<'r> SignedResponse<'r> {
    /// Parses a response, whose audience must be `client_id`. The error says what is wrong with it.
    pub(crate) fn parse(
        response: &'r [u8],
        client_id: &str,
        rules: &JwtRules,
        now: SystemTime,
    ) -> Result<Self, &'static str> {
        let text = std::str::from_utf8(response).map_err(|_| "it is not a JWT")?;
        let jws = Jws::parse(text.trim_ascii()).map_err(|_| {
            "it is not a signed JWT: let the server sign its answers (RFC 9701), and not encrypt them"
        })?;
        let is_typed = |typ: &str| typ.eq_ignore_ascii_case("token-introspection+jwt");
        if !jws.header.media_type().is_some_and(is_typed) {
            return Err("its `typ` is not `token-introspection+jwt`");
        }
        if !rules.algorithms.contains(&jws.header.algorithm) {
            return Err("it is signed with an algorithm that `.algorithms(..)` leaves out");
        }
        let (issuer, json) = read(&jws.payload, rules, client_id, now)?;
        Ok(Self { jws, issuer, json })
    }
}

/// Returns the issuer, and the RFC 7662 response inside.
fn read(
    payload: &[u8],
    rules: &JwtRules,
    client_id: &str,
    now: SystemTime,
) -> Result<(String, String), &'static str> {
    let members =
        Object::read(payload).map_err(|_| "it is not a JSON object with distinct members")?;
    let issuer = members.get("iss").and_then(Raw::string);
    let issuer = issuer.filter(|it| rules.apply_to(it)).ok_or("its `iss` is not the issuer")?;
    let audience = members.get("aud").ok_or("it has no `aud`")?;
    let is_ours = audience.string().is_some_and(|one| one == client_id)
        || audience.strings().is_some_and(|all| all.iter().any(|one| one == client_id));
    if !is_ours {
        return Err("its `aud` is not the client id of this server");
    }
    let issued = members.get("iat").and_then(Raw::numeric_date).ok_or("it has no `iat`")? as u64;
    if issued.abs_diff(unix_secs(now)) > MAX_AGE.as_secs() {
        return Err("its `iat` is not now: compare the clocks");
    }
    let answer = members.get("token_introspection").ok_or("it has no `token_introspection`")?;
    Ok((issuer.into_owned(), answer.get().to_owned()))
}

//! Answers that the server signs ([RFC 9701](https://www.rfc-editor.org/rfc/rfc9701)): whose they are, and for whom.

use std::time::{Duration, SystemTime};

use crate::issuer::issuer_keys::Keyring;
use crate::model::denial::Refusal;
use crate::util::json::{Members, Raw};
use crate::util::unix_time::seconds;
use crate::verify::jwt::{Jws, JwtRules};

/// How old an answer may be, or how far ahead: clocks differ. It is one request old.
const GREATEST_AGE: Duration = Duration::from_secs(60);

/// Why an answer is not taken.
pub(super) enum NotTaken {
    /// The keys to judge it by are out of reach.
    KeysOutOfReach,
    Forged(&'static str),
}

/// The plain answer within a signed one.
pub(super) async fn open(
    answer: &[u8],
    client_id: &str,
    rules: &JwtRules,
    keyring: &Keyring,
    now: SystemTime,
) -> Result<String, NotTaken> {
    let forged = |why| NotTaken::Forged(why);
    let text = std::str::from_utf8(answer).map_err(|_| forged("it is no JWT"))?;
    let jws = Jws::parse(text.trim_ascii()).map_err(|_| {
        forged(
            "it is no signed JWT: let the server sign its answers (RFC 9701), and not encrypt them",
        )
    })?;
    let is_answer = |typ: &str| typ.eq_ignore_ascii_case("token-introspection+jwt");
    if !jws.header.media_type().is_some_and(is_answer) {
        return Err(forged("its `typ` is not `token-introspection+jwt`"));
    }
    if !rules.algorithms.contains(&jws.header.algorithm) {
        return Err(forged("it is signed with an algorithm that `.algorithms(..)` leaves out"));
    }
    let (issuer, answer) = read(&jws.payload, rules, client_id, now).map_err(forged)?;
    match keyring.verify(&jws, &issuer).await {
        Ok(_) => Ok(answer),
        Err(denial) if matches!(denial.refusal(), Refusal::Unavailable { .. }) => {
            Err(NotTaken::KeysOutOfReach)
        }
        Err(_) => Err(forged("no key of the issuer has signed it")),
    }
}

/// Who answers, and what.
fn read(
    payload: &[u8],
    rules: &JwtRules,
    client_id: &str,
    now: SystemTime,
) -> Result<(String, String), &'static str> {
    let members =
        Members::read(payload).map_err(|_| "it is no JSON object with distinct members")?;
    let issuer = members.get("iss").and_then(Raw::string);
    let issuer = issuer.filter(|it| rules.are_for(it)).ok_or("its `iss` is not the issuer")?;
    let audience = members.get("aud").ok_or("it has no `aud`")?;
    let is_ours = audience.string().is_some_and(|one| one == client_id)
        || audience.strings().is_some_and(|all| all.iter().any(|one| one == client_id));
    if !is_ours {
        return Err("its `aud` is not the client id of this server");
    }
    let issued = members.get("iat").and_then(Raw::numeric_date).ok_or("it has no `iat`")? as u64;
    if issued.abs_diff(seconds(now)) > GREATEST_AGE.as_secs() {
        return Err("its `iat` is not now: compare the clocks");
    }
    let answer = members.get("token_introspection").ok_or("it has no `token_introspection`")?;
    Ok((issuer.into_owned(), answer.get().to_owned()))
}

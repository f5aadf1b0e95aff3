//! What a provider's own API answers about a token, written as claims and then judged as those.

use std::collections::BTreeMap;

use serde_json::value::{RawValue, to_raw_value};

use super::{Claims, JwtRules};
use crate::denial::{Denial, Reason};
use crate::json::{self, Members};
use crate::provider::{Api, Words};
use crate::token::VerifiedToken;

/// What is wrong with an answer: it is not one of this API.
type Wrong = &'static str;

/// The claims that an answer does not have as they are.
#[derive(Default)]
struct Found {
    sub: Option<String>,
    client_id: Option<String>,
    exp: Option<u64>,
}

/// The token that an answer speaks of, or why it is none; or what is wrong with the answer itself.
pub(crate) fn judge_api_answer(
    api: &Api,
    json: &[u8],
    rules: &JwtRules,
) -> Result<Result<VerifiedToken, Denial>, Wrong> {
    let members = Members::read(json).map_err(|_| "it is no JSON object with distinct members")?;
    let found = match api.words {
        Words::GitHub => github(&members)?,
        Words::Google => google(&members)?,
    };
    let claims = written(api, &members, &found).ok_or("it cannot be written as claims")?;
    Ok(Claims::read(claims).and_then(|claims| token(api, claims, rules)))
}

/// Whether an answer with this status says, in the API's own words, that it knows no such token. Whoever
/// else stands at that URL, or on the way to it, does not say so.
pub(crate) fn knows_no_such_token(api: &Api, status: u16, json: &[u8]) -> bool {
    let Ok(members) = Members::read(json) else { return false };
    let text = |name| members.get(name).and_then(json::string);
    match api.words {
        Words::GitHub => matches!(status, 404 | 422) && text("message").is_some(),
        Words::Google => {
            let says = |name, word| text(name).is_some_and(|said| said == word);
            status == 400
                && (says("error", "invalid_token") || says("error_description", "Invalid Value"))
        }
    }
}

/// [Check a token](https://docs.github.com/en/rest/apps/oauth-applications#check-a-token). For whom it is, is
/// whose app's it is.
fn github(members: &Members<'_>) -> Result<Found, Wrong> {
    let app = member(members, "app").and_then(object).ok_or("its `app` is no object")?;
    let client_id = member(&app, "client_id").and_then(json::string);
    let client_id = client_id.ok_or("its `app` has no `client_id`")?.into_owned();
    if member(members, "scopes").is_some_and(|scopes| json::strings(scopes).is_none()) {
        return Err("its `scopes` are no list of texts");
    }
    let sub = member(members, "user").map(user).transpose()?;
    let exp = member(members, "expires_at").map(|end| {
        json::string(end).and_then(|end| moment(&end)).ok_or("its `expires_at` is no time")
    });
    Ok(Found { sub, client_id: Some(client_id), exp: exp.transpose()? })
}

/// A user by the number, which stays when the name changes.
fn user(user: &RawValue) -> Result<String, Wrong> {
    let user = object(user).ok_or("its `user` is no object")?;
    let id = member(&user, "id").map(RawValue::get);
    let is_number = |id: &&str| id.parse::<u64>().is_ok();
    id.filter(is_number).map(str::to_owned).ok_or("its `user` has no number as `id`")
}

/// What `tokeninfo` tells of an access token. Its numbers are texts.
fn google(members: &Members<'_>) -> Result<Found, Wrong> {
    member(members, "aud").and_then(json::string).ok_or("its `aud` is no text")?;
    let exp = member(members, "exp").and_then(|exp| {
        let exp = json::string(exp).unwrap_or(exp.get().into());
        let is_number = exp.bytes().all(|b| b.is_ascii_digit());
        exp.parse().ok().filter(|end| is_number && *end > 0)
    });
    Ok(Found { exp: Some(exp.ok_or("its `exp` is no time")?), ..Found::default() })
}

/// The claims as JSON: members of the answer that are kept, and what was found.
fn written(api: &Api, members: &Members<'_>, found: &Found) -> Option<Vec<u8>> {
    let mut claims: BTreeMap<&str, Box<RawValue>> = BTreeMap::new();
    for name in api.claims {
        if let Some(value) = member(members, name) {
            claims.insert(name, value.to_owned());
        }
    }
    if let Some(sub) = &found.sub {
        claims.insert("sub", to_raw_value(sub).ok()?);
    }
    if let Some(client_id) = &found.client_id {
        claims.insert("client_id", to_raw_value(client_id).ok()?);
    }
    if let Some(exp) = found.exp {
        claims.insert("exp", to_raw_value(&exp).ok()?);
    }
    serde_json::to_vec(&claims).ok()
}

fn token(api: &Api, claims: Claims, rules: &JwtRules) -> Result<VerifiedToken, Denial> {
    if !claims.has_subject() {
        return Err(Denial::invalid(Reason::Claims).detail(api.about_no_user));
    }
    // Whom it is for is judged by the policy. Who got it, where that is said besides, must be ours as well.
    let is_ours = |client: &str| {
        rules.dialect.as_ref().is_some_and(|dialect| {
            dialect.is_any_audience_ours || dialect.audiences.iter().any(|ours| ours == client)
        })
    };
    if claims.has_audience() && claims.client_id().is_some_and(|client| !is_ours(client)) {
        return Err(Denial::invalid(Reason::Audience).detail(
            "the token is for a client of this server, but another client got it (`azp`): name that one too, if it is yours",
        ));
    }
    claims.into_token(rules)
}

/// A member; `null` is as good as absent.
fn member<'a>(members: &Members<'a>, name: &str) -> Option<&'a RawValue> {
    members.get(name).filter(|value| value.get() != "null")
}

fn object(value: &RawValue) -> Option<Members<'_>> {
    Members::of(value.get()).ok()
}

/// A time as [RFC 3339 §5.6](https://www.rfc-editor.org/rfc/rfc3339#section-5.6) writes it, in seconds since
/// 1970. What is before the first second of that is that second: it is past.
fn moment(text: &str) -> Option<u64> {
    let number = |from: usize, length: usize| {
        let digits = text.get(from..from + length)?;
        digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse::<i64>().ok())?
    };
    let is = |at: usize, marks: &[u8]| text.as_bytes().get(at).is_some_and(|b| marks.contains(b));
    let marks: [(usize, &[u8]); 5] = [(4, b"-"), (7, b"-"), (10, b"Tt "), (13, b":"), (16, b":")];
    if !marks.iter().all(|(at, marks)| is(*at, marks)) {
        return None;
    }
    let (year, month, day) = (number(0, 4)?, number(5, 2)?, number(8, 2)?);
    let (hour, minute, second) = (number(11, 2)?, number(14, 2)?, number(17, 2)?);
    let is_leap_year = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 if is_leap_year => 29,
        2 => 28,
        _ => return None,
    };
    if !(1..=days).contains(&day) || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let mut zone = 19;
    if is(19, b".") {
        let digits = text.as_bytes().get(20..)?.iter().take_while(|b| b.is_ascii_digit()).count();
        zone = 20 + digits;
        if digits == 0 {
            return None;
        }
    }
    let offset = match text.get(zone..)? {
        "Z" | "z" => 0,
        rest if rest.len() == 6 && is(zone, b"+-") && is(zone + 3, b":") => {
            let (hours, minutes) = (number(zone + 1, 2)?, number(zone + 4, 2)?);
            let seconds = (hours * 60 + minutes) * 60;
            let is_offset = hours < 24 && minutes < 60;
            is_offset.then_some(if is(zone, b"-") { -seconds } else { seconds })?
        }
        _ => return None,
    };
    // Days since 1970, in years that begin with March, so that the day of a leap year is the last.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = year * 365 + year.div_euclid(4) - year.div_euclid(100)
        + year.div_euclid(400)
        + (month * 153 + 2) / 5
        + day
        - 719_469;
    let seconds = ((days * 24 + hour) * 60 + minute) * 60 + second - offset;
    Some(u64::try_from(seconds).unwrap_or(0).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_by_table() {
        for (text, seconds) in [
            ("1970-01-01T00:00:01Z", Some(1)),
            ("1970-01-01T00:00:00Z", Some(1)),
            ("1969-07-20T20:17:40Z", Some(1)),
            ("0000-01-01T00:00:00Z", Some(1)),
            ("2026-07-28T00:00:00Z", Some(1_785_196_800)),
            ("2026-07-28t00:00:00z", Some(1_785_196_800)),
            ("2026-07-28 00:00:00Z", Some(1_785_196_800)),
            ("2026-07-28T02:00:00+02:00", Some(1_785_196_800)),
            ("2026-07-27T16:30:00-07:30", Some(1_785_196_800)),
            ("2026-07-28T00:00:00.123456789Z", Some(1_785_196_800)),
            ("2000-02-29T12:00:00Z", Some(951_825_600)),
            ("2000-03-01T00:00:00Z", Some(951_868_800)),
            ("2024-02-29T23:59:60Z", Some(1_709_251_200)),
            ("2100-03-01T00:00:00Z", Some(4_107_542_400)),
            ("9999-12-31T23:59:59Z", Some(253_402_300_799)),
            ("2100-02-29T00:00:00Z", None),
            ("2026-02-29T00:00:00Z", None),
            ("2026-04-31T00:00:00Z", None),
            ("2026-00-01T00:00:00Z", None),
            ("2026-13-01T00:00:00Z", None),
            ("2026-07-00T00:00:00Z", None),
            ("2026-07-28T24:00:00Z", None),
            ("2026-07-28T00:60:00Z", None),
            ("2026-07-28T00:00:61Z", None),
            ("2026-07-28T00:00:00", None),
            ("2026-07-28T00:00:00.Z", None),
            ("2026-07-28T00:00:00ZZ", None),
            ("2026-07-28T00:00:00+0200", None),
            ("2026-07-28T00:00:00+24:00", None),
            ("2026-07-28T00:00:00+02:60", None),
            ("2026-07-28T00:00:00é", None),
            ("2026-07-28", None),
            ("2026-07-28T00:00Z", None),
            ("+026-07-28T00:00:00Z", None),
            (" 2026-07-28T00:00:00Z", None),
            ("1785196800", None),
            ("", None),
        ] {
            assert_eq!(moment(text), seconds, "{text}");
        }
    }
}

//! Responses of a provider's own API about a token, converted to claims and validated as claims.

use std::collections::BTreeMap;

use serde_json::value::{RawValue, to_raw_value};

use crate::model::denial::Denial;
use crate::model::error_codes::Reason;
use crate::model::provider::{Api, ApiProtocol};
use crate::model::verified_token::VerifiedToken;
use crate::util::json::{Object, Raw};
use crate::util::rfc3339;
use crate::verify::jwt::{Claims, JwtRules};

/// Why a response is not a valid response of this API.
type InvalidResponse = &'static str;

/// The claims that a response contains in another form.
#[derive(Default)]
struct Found {
    sub: Option<String>,
    client_id: Option<String>,
    exp: Option<u64>,
}

/// Returns the token that a response describes. The inner error says why the token is refused, the outer error
/// what is wrong with the response itself.
pub(crate) fn validate_provider_response(
    api: &Api,
    json: &[u8],
    rules: &JwtRules,
) -> Result<Result<VerifiedToken, Denial>, InvalidResponse> {
    let members =
        Object::read(json).map_err(|_| "it is not a JSON object with distinct members")?;
    let found = match api.protocol {
        ApiProtocol::GitHub => github(&members)?,
        ApiProtocol::Google => google(&members)?,
    };
    let claims = to_claims_json(api, &members, &found).ok_or("it cannot be written as claims")?;
    Ok(Claims::read(claims).and_then(|claims| token(api, claims, rules)))
}

/// Whether a response with this status says, in the form of this API, that the token is unknown. Another server
/// at that URL, or a proxy on the way to it, does not answer in this form.
pub(crate) fn is_unknown_token(api: &Api, status: u16, json: &[u8]) -> bool {
    let Ok(members) = Object::read(json) else { return false };
    let text = |name| members.get(name).and_then(Raw::string);
    match api.protocol {
        ApiProtocol::GitHub => matches!(status, 404 | 422) && text("message").is_some(),
        ApiProtocol::Google => {
            let says = |name, word| text(name).is_some_and(|said| said == word);
            status == 400
                && (says("error", "invalid_token") || says("error_description", "Invalid Value"))
        }
    }
}

/// Reads a response of [Check a token](https://docs.github.com/en/rest/apps/oauth-applications#check-a-token). It
/// has no audience: a token is meant for the owner of its app.
fn github(members: &Object<'_>) -> Result<Found, InvalidResponse> {
    let app = members.get("app").and_then(object).ok_or("its `app` is not an object")?;
    let client_id = app.get("client_id").and_then(Raw::string);
    let client_id = client_id.ok_or("its `app` has no `client_id`")?.into_owned();
    if members.get("scopes").is_some_and(|scopes| scopes.strings().is_none()) {
        return Err("its `scopes` are no list of texts");
    }
    let sub = members.get("user").map(user).transpose()?;
    let exp = members.get("expires_at").map(|end| {
        end.string().and_then(|end| rfc3339::parse(&end)).ok_or("its `expires_at` is not a time")
    });
    Ok(Found { sub, client_id: Some(client_id), exp: exp.transpose()? })
}

/// The id of a user: the number, which stays the same when the name changes.
fn user(user: Raw<'_>) -> Result<String, InvalidResponse> {
    let user = object(user).ok_or("its `user` is not an object")?;
    let id = user.get("id").map(Raw::get);
    let is_number = |id: &&str| id.parse::<u64>().is_ok();
    id.filter(is_number).map(str::to_owned).ok_or("its `user` has no number as `id`")
}

/// Reads a response of `tokeninfo` about an access token. Its numbers are strings.
fn google(members: &Object<'_>) -> Result<Found, InvalidResponse> {
    members.get("aud").and_then(Raw::string).ok_or("its `aud` is not a string")?;
    let exp = members.get("exp").and_then(|exp| {
        let exp = exp.string().unwrap_or(exp.get().into());
        let is_number = exp.bytes().all(|b| b.is_ascii_digit());
        exp.parse().ok().filter(|end| is_number && *end > 0)
    });
    Ok(Found { exp: Some(exp.ok_or("its `exp` is not a time")?), ..Found::default() })
}

/// The claims as JSON: the members of the response that are kept, and `found`.
fn to_claims_json(api: &Api, members: &Object<'_>, found: &Found) -> Option<Vec<u8>> {
    let mut claims: BTreeMap<&str, Box<RawValue>> = BTreeMap::new();
    for name in api.claims {
        if let Some(value) = members.get(name) {
            claims.insert(name, RawValue::from_string(value.get().to_owned()).ok()?);
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
        return Err(Denial::invalid(Reason::Claims).detail(api.no_user_detail));
    }
    // The policy checks the audience. If the response also names the client that got the token, it must be ours too.
    let is_ours = |client: &str| {
        rules.overrides.as_ref().is_some_and(|overrides| {
            overrides.accepts_any_audience || overrides.audiences.iter().any(|ours| ours == client)
        })
    };
    if claims.has_audience() && claims.client_id().is_some_and(|client| !is_ours(client)) {
        return Err(Denial::invalid(Reason::Audience).detail(
            "the token is for a client of this server, but another client got it (`azp`): name that one too, if it is yours",
        ));
    }
    claims.into_token(rules)
}

fn object(value: Raw<'_>) -> Option<Object<'_>> {
    Object::of(value.get()).ok()
}

//! Reads the response of a token endpoint to a token exchange
//! ([RFC 8693 §2.2](https://www.rfc-editor.org/rfc/rfc8693#section-2.2)).

use std::sync::Arc;

use crate::issuer::token_exchange::target::Grant;
use crate::issuer::token_exchange::token::{ExchangedToken, TokenFields};
use crate::model::credentials::{MAX_TOKEN_BYTES, is_token68};
use crate::model::scope::Scopes;
use crate::util::json::{Object, Raw};
use crate::util::unix_time::nonzero_secs;

pub(super) const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";

/// An access token that is a JWT may also be called this.
const JWT: &str = "urn:ietf:params:oauth:token-type:jwt";

/// Reads a successful response to a request that was sent at `sent_at`, in seconds since 1970, with the token `sent`, if
/// there was one.
///
/// The error says what is wrong with the response.
pub(super) fn parse(
    json: &[u8],
    grant: Grant,
    sent: Option<&str>,
    sent_at: u64,
) -> Result<ExchangedToken, &'static str> {
    let members =
        Object::read(json).map_err(|_| "it is not a JSON object with distinct members")?;
    let member = |name| members.get(name).filter(|value| !value.is_null());
    let text = |name| member(name).and_then(Raw::string);
    let token = text("access_token").ok_or("it has no `access_token`")?;
    if !is_token68(token.as_bytes()) || token.len() > MAX_TOKEN_BYTES {
        return Err("its `access_token` is empty, too long, or cannot be sent in a header");
    }
    // MCP authorization: "MUST NOT pass through the token it received".
    if Some(&*token) == sent {
        return Err("its `access_token` is the caller's own token, which must not be sent on");
    }
    match text("issued_token_type").as_deref() {
        Some(ACCESS_TOKEN | JWT) => {}
        // Only RFC 8693 has this member: the response to another grant is an access token (RFC 6749 §5.1).
        None if grant != Grant::Exchange => {}
        _ => return Err("its `issued_token_type` is not that of an access token"),
    }
    if !text("token_type").is_some_and(|it| it.eq_ignore_ascii_case("bearer")) {
        return Err(
            "its `token_type` is not `Bearer`, and other tokens need a key that this server does not have",
        );
    }
    let expires_in = match member("expires_in") {
        None => None,
        Some(value) => {
            let seconds = value.numeric_date().filter(|seconds| *seconds >= 1.0);
            Some(
                seconds
                    .ok_or("its `expires_in` is not a number of seconds, or is less than one")?,
            )
        }
    };
    let scopes = match member("scope") {
        None => None,
        Some(scope) => Some(Scopes::from(&*scope.string().ok_or("its `scope` is not a string")?)),
    };
    Ok(ExchangedToken(Arc::new(TokenFields {
        token: token.into(),
        expires_at: expires_in.map(|time| nonzero_secs(sent_at.saturating_add(time as u64))),
        scopes,
    })))
}

/// The `error` of an error response ([RFC 6749 §5.2](https://www.rfc-editor.org/rfc/rfc6749#section-5.2)).
pub(super) fn error_code(json: &[u8]) -> Option<String> {
    let members = Object::read(json).ok()?;
    let code = members.get("error").and_then(Raw::string)?;
    Some(code.into_owned()).filter(|code| !code.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(changes: &[(&str, serde_json::Value)]) -> Vec<u8> {
        let mut document = serde_json::json!({
            "access_token": "t", "issued_token_type": ACCESS_TOKEN, "token_type": "Bearer", "expires_in": 60,
        });
        for (name, value) in changes {
            document[*name] = value.clone();
        }
        document.to_string().into_bytes()
    }

    #[test]
    fn a_response_is_a_bearer_token_of_its_own_or_refused() {
        use serde_json::json as j;
        for (changes, expires_at) in [
            (&[][..], Some(Some(1060))),
            (&[("token_type", j!("bearer"))], Some(Some(1060))),
            (&[("issued_token_type", j!(JWT))], Some(Some(1060))),
            (&[("expires_in", j!(59.9))], Some(Some(1059))),
            (&[("expires_in", j!(null))], Some(None)),
            (&[("expires_in", j!(9_007_199_254_740_991_u64))], Some(Some(9_007_199_254_741_991))),
            (&[("expires_in", j!(1e300))], None),
            (&[("scope", j!("a b")), ("refresh_token", j!("r"))], Some(Some(1060))),
            (&[("expires_in", j!(0))], None),
            (&[("expires_in", j!(-1))], None),
            (&[("expires_in", j!("60"))], None),
            (&[("access_token", j!(null))], None),
            (&[("access_token", j!(""))], None),
            (&[("access_token", j!(7))], None),
            (&[("access_token", j!("a b"))], None),
            (&[("access_token", j!("a\r\nx-evil: 1"))], None),
            (&[("access_token", j!("a".repeat(MAX_TOKEN_BYTES + 1)))], None),
            (&[("access_token", j!("callers-own"))], None),
            (&[("issued_token_type", j!(null))], None),
            (&[("issued_token_type", j!("urn:ietf:params:oauth:token-type:refresh_token"))], None),
            (&[("issued_token_type", j!("urn:ietf:params:oauth:token-type:id_token"))], None),
            (&[("token_type", j!("N_A"))], None),
            (&[("token_type", j!("DPoP"))], None),
            (&[("token_type", j!(null))], None),
            (&[("scope", j!(["a"]))], None),
        ] {
            let parsed = parse(&json(changes), Grant::Exchange, Some("callers-own"), 1000);
            let found = parsed.map(|token| token.0.expires_at.map(std::num::NonZeroU64::get)).ok();
            assert_eq!(found, expires_at, "{changes:?}");
        }
        for text in ["", "[]", "{", "null", r#"{"access_token":"a","access_token":"b"}"#] {
            assert!(parse(text.as_bytes(), Grant::Exchange, Some("s"), 0).is_err(), "{text}");
        }
    }

    #[test]
    fn other_grants_need_not_say_that_the_token_is_an_access_token() {
        use serde_json::json as j;
        for (changes, sent, is_read) in [
            (&[("issued_token_type", j!(null))][..], None, true),
            (&[("issued_token_type", j!(null))], Some("callers-own"), true),
            (&[("issued_token_type", j!(null))], Some("t"), false),
            (&[("issued_token_type", j!(null)), ("token_type", j!("DPoP"))], None, false),
            (
                &[("issued_token_type", j!("urn:ietf:params:oauth:token-type:id_token"))],
                None,
                false,
            ),
        ] {
            for grant in [Grant::OnBehalfOf, Grant::ClientCredentials] {
                assert_eq!(parse(&json(changes), grant, sent, 0).is_ok(), is_read, "{changes:?}");
            }
        }
    }

    #[test]
    fn error_codes_are_read_from_objects_only() {
        for (text, code) in [
            (r#"{"error":"invalid_grant"}"#, Some("invalid_grant")),
            (r#"{"error":""}"#, None),
            (r#"{"error":null}"#, None),
            (r#"{"error":"a","error":"b"}"#, None),
            ("invalid_grant", None),
            ("<html>", None),
        ] {
            assert_eq!(error_code(text.as_bytes()).as_deref(), code, "{text}");
        }
    }
}

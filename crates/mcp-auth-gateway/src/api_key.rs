//! API keys in the header `X-API-Key`.

use http::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};

const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// In the extensions of a request: its credential came as an API key, and must be one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct IsApiKey;

/// Why the credentials of a request are not clear.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unclear;

/// Makes an API key the credential of a request. Returns whether there is one.
///
/// # Errors
///
/// If there is another credential, or several keys, or one that no header may have: it is not known then which one counts.
pub(crate) fn to_authorization(headers: &mut HeaderMap) -> Result<Option<IsApiKey>, Unclear> {
    let mut keys = headers.get_all(X_API_KEY).iter();
    let Some(key) = keys.next() else { return Ok(None) };
    if keys.next().is_some() || headers.contains_key(AUTHORIZATION) {
        return Err(Unclear);
    }
    let bearer = [b"Bearer ", key.as_bytes()].concat();
    let mut bearer = HeaderValue::from_bytes(&bearer).map_err(|_| Unclear)?;
    bearer.set_sensitive(true);
    headers.remove(X_API_KEY);
    headers.insert(AUTHORIZATION, bearer);
    Ok(Some(IsApiKey))
}

/// Whether a request seems to have an API key, which is not one of an issuer's tokens.
pub(crate) fn is_sent(headers: &HeaderMap) -> bool {
    const BEARER: &[u8] = b"bearer mcpk_";
    let start = headers.get(AUTHORIZATION).and_then(|value| value.as_bytes().get(..BEARER.len()));
    start.is_some_and(|start| start.eq_ignore_ascii_case(BEARER)) || headers.contains_key(X_API_KEY)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_api_key_is_told_from_a_token() {
        for (name, value, expected) in [
            ("authorization", "Bearer mcpk_abc", true),
            ("authorization", "bearer mcpk_abc", true),
            ("x-api-key", "anything", true),
            ("authorization", "Bearer eyJh.e30.x", false),
            ("authorization", "Bearer", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(name, HeaderValue::from_static(value));
            assert_eq!(is_sent(&headers), expected, "{value}");
        }
    }

    #[test]
    fn an_api_key_is_the_only_credential() {
        for (headers, expected) in [
            (&[] as &[(&'static str, &'static str)], Ok(None)),
            (&[("authorization", "Bearer a")], Ok(Some("Bearer a"))),
            (&[("x-api-key", "mcpk_a")], Ok(Some("Bearer mcpk_a"))),
            (&[("x-api-key", "mcpk_a"), ("authorization", "Bearer a")], Err(Unclear)),
            (&[("x-api-key", "mcpk_a"), ("x-api-key", "mcpk_a")], Err(Unclear)),
        ] {
            let mut all = HeaderMap::new();
            for (name, value) in headers {
                all.append(*name, HeaderValue::from_static(value));
            }
            let made = to_authorization(&mut all);
            let value = all.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
            assert_eq!(made.map(|_| value), expected, "{headers:?}");
            assert_eq!(
                made.is_ok_and(|made| made.is_some()),
                headers.len() == 1 && headers[0].0 == "x-api-key"
            );
        }
    }
}

//! The audience check: whether a token is meant for this resource.

use crate::model::denial::Denial;
use crate::model::error_codes::Reason;
use crate::model::issuer_overrides::IssuerOverrides;
use crate::model::provider::Provider;
use crate::model::verified_token::VerifiedToken;
use crate::util::shown;
use crate::util::url;

/// Checks that `aud` contains one of the `accepted` audiences, or that the issuer of the token has another rule
/// that accepts it.
pub(crate) fn check_audience(accepted: &[String], token: &VerifiedToken) -> Result<(), Denial> {
    // Most audiences match byte for byte. Only the others are parsed.
    let is_equal = |audience: &str| accepted.iter().any(|ours| ours == audience);
    let is_same = |audience: &str| accepted.iter().any(|ours| is_same_resource(ours, audience));
    if token.audiences().any(is_equal) || token.audiences().any(is_same) {
        return Ok(());
    }
    match &token.data().overrides {
        Some(overrides) if audience_exception(overrides, token) => Ok(()),
        _ => Err(wrong_audience(accepted, token)),
    }
}

/// Whether another audience rule of the token's issuer accepts it for this resource.
fn audience_exception(overrides: &IssuerOverrides, token: &VerifiedToken) -> bool {
    let is_ours = |audience: &str| overrides.audiences.iter().any(|ours| ours == audience);
    let data = token.data();
    let client_id = data.client_id.as_ref().map(|id| id.of(&data.claims));
    overrides.accepts_any_audience
        || token.audiences().any(is_ours)
        // The client counts only in a token without `aud`.
        || (data.audience.is_empty() && overrides.is_for_our_client(client_id))
}

fn wrong_audience(accepted: &[String], token: &VerifiedToken) -> Denial {
    let quoted = |audience| format!("\"{}\"", shown::name(audience));
    let found: Vec<_> = token.audiences().take(3).map(quoted).collect();
    let expected = accepted.first().map_or("", String::as_str);
    let named = token.data().overrides.as_ref().and_then(|overrides| overrides.provider);
    let recognized = || Provider::recognize(token.issuer(), token.audiences().next());
    let is_asserted = token.data().is_asserted;
    let change = match (token.audiences().next(), named.or_else(recognized)) {
        (None, _) if is_asserted => format!(
            "your verifier must say for which resource the token was issued: let it call `.audience({expected:?})` if that is this one"
        ),
        (Some(first), _) if first.trim_end_matches('/') == expected.trim_end_matches('/') => {
            "they differ in a final slash: use the same URL everywhere".to_owned()
        }
        (Some(_), _) if is_asserted => {
            "your verifier says with `.audience(..)` that the token is for another resource: let clients get a token for this one; or correct the verifier, if it was issued for this one".to_owned()
        }
        (_, Some(provider)) => format!("{}: {}", provider.name, provider.advice),
        (None, None) => "configure the audience (API, resource) in your provider".to_owned(),
        (Some(first), None) if is_web_url(first) => {
            "the token is for another resource, and must not be accepted here: let the client ask for a token with this resource's URL, or set this audience in your provider".to_owned()
        }
        (Some(first), None) => format!(
            "set the audience in your provider, or, if this is its name for this resource, add `.audience({})`",
            quoted(first),
        ),
    };
    Denial::invalid(Reason::Audience)
        .detail(format!("token `aud` is [{}], expected {expected:?}: {change}", found.join(", ")))
}

/// Whether an audience is the URL of some server, so that it is not another name of this resource.
fn is_web_url(audience: &str) -> bool {
    url::split(audience).is_some_and(|(scheme, _, _)| {
        scheme.eq_ignore_ascii_case("https") || scheme.eq_ignore_ascii_case("http")
    })
}

/// Whether two audiences name the same resource. They must be equal byte for byte, except for the case of
/// scheme and host, and for the slash of an empty path (`https://host` and `https://host/`).
///
/// "Implementations SHOULD accept uppercase scheme and host components" (MCP authorization,
/// *Canonical Server URI*).
pub(crate) fn is_same_resource(ours: &str, theirs: &str) -> bool {
    if ours == theirs {
        return true;
    }
    let (Some((scheme, host, path)), Some((their_scheme, their_host, their_path))) =
        (url::split(ours), url::split(theirs))
    else {
        return false;
    };
    scheme.eq_ignore_ascii_case(their_scheme)
        && host.eq_ignore_ascii_case(their_host)
        && or_slash(path) == or_slash(their_path)
}

fn or_slash(path: &str) -> &str {
    if path.is_empty() { "/" } else { path }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RESOURCE: &str = "https://api.example.com/mcp";

    #[test]
    fn audiences_are_compared_with_the_resource() {
        let rows = [
            (RESOURCE, "HTTPS://API.example.com/mcp", true),
            (RESOURCE, "https://api.example.com/MCP", false),
            (RESOURCE, "https://api.example.com/mcp/", false),
            (RESOURCE, "https://api.example.com/mcp?x", false),
            (RESOURCE, "https://api.example.com", false),
            (RESOURCE, "https://api.example.com.evil.example/mcp", false),
            (RESOURCE, "", false),
            ("https://api.example.com", "https://api.example.com/", true),
            ("https://api.example.com/", "https://API.example.com", true),
            ("https://api.example.com", "https://api.example.com//", false),
            ("https://api.example.com:8443", "https://api.example.com", false),
            ("api://orders", "API://orders", false),
            ("urn:x", "urn:x", true),
        ];
        for (ours, theirs, same) in rows {
            assert_eq!(is_same_resource(ours, theirs), same, "{ours} {theirs}");
        }
    }
}

//! The library's advice names its methods. Who has a file needs the keys.

use std::borrow::Cow;

/// What the library calls a setting, and how it is set in a file.
const KEYS: [(&str, &str); 40] = [
    ("alias", "`aliases`"),
    ("algorithms", "`algorithms`"),
    ("allowed_origins", "`allowed_origins`"),
    ("audience", "`audiences`"),
    ("authorization_server", "`[issuers.NAME]`"),
    ("client_certificates_from", "`client_certificates`"),
    ("dangerous_subject_is_username", "`dangerous_subject_is_username`"),
    ("endpoint", "`endpoint`"),
    ("fetch", "`http`"),
    ("forwarded_host_from", "`forwarded_host_from`"),
    ("implies", "`implies`"),
    ("initial_scopes", "`initial_scopes`"),
    ("insecure_http_hosts", "`insecure_http_hosts`"),
    ("internal_url", "`internal_url`"),
    ("introspect", "`introspection`"),
    ("introspect_jwts", "`also_jwts`"),
    ("introspection", "`introspection`"),
    ("jwks_cooldown", "`jwks_cooldown`"),
    ("map_introspection", "`introspection`"),
    ("max_events", "`max_events`"),
    ("max_message_bytes", "`max_message_bytes`"),
    ("max_token_age", "`max_token_age`"),
    ("nonce_keys", "`dpop = { nonce_keys = [..] }`"),
    ("replay_store", "`[redis]`"),
    ("requested_as", "`requested_as`"),
    ("requested_with_prefix", "`requested_with_prefix`"),
    ("required_scopes", "`scopes`"),
    ("replay_cache_capacity", "`dpop = { replay_cache_capacity = .. }`"),
    ("resource", "`[resources.resources]`"),
    ("revoke", "a program"),
    ("scope_claims", "`scope_claims`"),
    ("session_keys", "`session_keys`"),
    ("signed_responses", "`signed_responses`"),
    ("timeout", "`timeout`"),
    ("to_audience", "`audience`"),
    ("to_resource", "`resource`"),
    ("tool", "`[resources.tools]`"),
    ("trusted_issuer", "a program that uses the library"),
    ("typ", "`typ`"),
    ("verifier", "a program that uses the library"),
];

/// A text of the library, with keys of the file in place of its methods: `` `.audience("files")` `` becomes
/// `` `audiences` ("files") ``.
#[must_use]
pub fn in_keys(text: &str) -> Cow<'_, str> {
    let mut written = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('`') {
        written.push_str(before);
        let quoted = after.split_once('`').and_then(|(code, after)| Some((as_key(code)?, after)));
        rest = match quoted {
            Some((key, after)) => {
                written.push_str(&key);
                after
            }
            None => {
                written.push('`');
                after
            }
        };
    }
    match written.is_empty() {
        true => text.into(),
        false => (written + rest).into(),
    }
}

fn as_key(code: &str) -> Option<String> {
    if code.starts_with("McpAuth::builder") {
        return Some("`url`".into());
    }
    if let Some(constructor) = code.strip_prefix("AuthorizationServer::") {
        return Some(match constructor.split('(').next()? {
            "discover" => "`url`".into(),
            "external" => "a program that uses the library".into(),
            "template" => "`tenants`".into(),
            provider => format!("`provider = {provider:?}`"),
        });
    }
    let (method, arguments) = code.strip_prefix('.')?.split_once('(')?;
    let (_, key) = KEYS.iter().find(|(known, _)| *known == method)?;
    let arguments = arguments.strip_suffix(')')?;
    Some(match arguments {
        quoted if quoted.starts_with('"') && !quoted.contains("..") => format!("{key} ({quoted})"),
        _ => (*key).to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_become_keys() {
        for (text, expected) in [
            ("add `.audience(\"files\")`", "add `audiences` (\"files\")"),
            ("with `.audience(..)`, or `.alias(..)`.", "with `audiences`, or `aliases`."),
            ("leave `.introspect_jwts()` out", "leave `also_jwts` out"),
            ("`.map_introspection(|it| it.cache_for(..))`", "`introspection`"),
            (
                "trust it with `AuthorizationServer::entra_v1`",
                "trust it with `provider = \"entra_v1\"`",
            ),
            (
                "name it with `AuthorizationServer::github(..)`",
                "name it with `provider = \"github\"`",
            ),
            ("use `AuthorizationServer::discover`", "use `url`"),
            ("in `McpAuth::builder` and in clients", "in `url` and in clients"),
            ("`aud` is `.unknown(..)`", "`aud` is `.unknown(..)`"),
            ("`.resource(\"..\", ..)`", "`[resources.resources]`"),
            ("a lone `.audience(..)", "a lone `.audience(..)"),
            (
                "set `url`. Then `.audience(..)`, `.alias(..)`",
                "set `url`. Then `audiences`, `aliases`",
            ),
            ("a member (`method`, `name`...) `", "a member (`method`, `name`...) `"),
            ("", ""),
        ] {
            assert_eq!(in_keys(text), expected);
        }
    }
}

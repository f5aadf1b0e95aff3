//! Scopes that are missing only because they have another name: in tokens, in rules, or where clients request them.

use crate::model::provider::Provider;
use crate::model::resource_scopes::ResourceScopes;
use crate::model::scope::Scopes;
use crate::model::verified_token::TokenData;
use crate::util::shown;

/// What else the operator should look at, if a token lacks these scopes.
pub(crate) fn scope_hint(
    token: &TokenData,
    missing: &Scopes,
    resource: &ResourceScopes,
) -> Option<String> {
    let is_renamed = resource.request_prefix.is_some() || !resource.requested_as.is_empty();
    prefix_hint(&token.scopes, missing, &resource.known, is_renamed)
        .or_else(|| provider_hint(token).filter(|_| !is_renamed))
}

/// A scope that is there, with a prefix or without.
fn prefix_hint(
    granted: &Scopes,
    missing: &Scopes,
    known: &Scopes,
    is_renamed: bool,
) -> Option<String> {
    for missing in missing.iter() {
        let in_rule = granted.iter().find_map(|short| prefix(missing, short).map(|it| (short, it)));
        if let Some((short, prefix)) = in_rule {
            let short = shown::name(short);
            return Some(format!(
                "`{short}` is {missing:?} without its prefix: name it `{short}` in rules, as tokens do, and let clients request it with `.requested_with_prefix({prefix:?})`"
            ));
        }
        if let Some(long) = granted.iter().find(|long| prefix(long, missing).is_some()) {
            let long = shown::name(long);
            return Some(format!(
                "`{long}` is {missing:?} with a prefix: name it `{long}` in rules, as tokens do (`.requested_with_prefix(..)` is for issuers that leave the prefix out of tokens)"
            ));
        }
        let published = known.iter().find_map(|long| prefix(long, missing).map(|it| (long, it)));
        if let Some((long, prefix)) = published.filter(|_| !is_renamed) {
            return Some(format!(
                "this resource also names {long:?}: if clients must request {missing:?} by that name, as at Entra, set `.requested_with_prefix({prefix:?})`"
            ));
        }
    }
    None
}

/// What the provider of the token does with scopes.
fn provider_hint(token: &TokenData) -> Option<String> {
    let named = token.overrides.as_ref().and_then(|overrides| overrides.provider);
    let provider = named.or_else(|| Provider::recognize(&token.issuer, None))?;
    let about = Some(provider.about_scopes).filter(|about| !about.is_empty())?;
    Some(format!("{}: {about}", provider.name))
}

/// What stands before the short name of a scope in its long one: `api://orders/` before `notes.read`.
fn prefix<'l>(long: &'l str, short: &str) -> Option<&'l str> {
    let prefix = long.strip_suffix(short).filter(|_| !short.is_empty())?;
    prefix.ends_with(['/', ':']).then_some(prefix)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_before_a_scope_is_noticed() {
        let long = "api://orders/notes.read";
        for (granted, missing, known, is_renamed, expected) in [
            ("notes.read", long, "", false, Some("`.requested_with_prefix(\"api://orders/\")`")),
            (long, "notes.read", "", false, Some("name it `api://orders/notes.read` in rules")),
            ("", "notes.read", long, false, Some("`.requested_with_prefix(\"api://orders/\")`")),
            ("", "notes.read", long, true, None),
            ("other", "notes.read", "notes.read notes.write", false, None),
            ("read", "notes.read", "", false, None),
            ("urn:x:read", "read", "", false, Some("name it `urn:x:read`")),
            ("x=\"/read", "read", "", false, Some("`x\\u{3d}\\u{22}/read` is")),
        ] {
            let hint = prefix_hint(&granted.into(), &missing.into(), &known.into(), is_renamed);
            let has = expected.is_none_or(|it| hint.as_ref().is_some_and(|hint| hint.contains(it)));
            assert!(has && hint.is_some() == expected.is_some(), "{granted} {missing}: {hint:?}");
        }
    }
}

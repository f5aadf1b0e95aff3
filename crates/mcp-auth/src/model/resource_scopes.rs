//! `ResourceScopes`: the scopes of a resource, and the names by which clients request them.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::model::scope::Scopes;
use crate::model::scope_requirement::Hierarchy;

/// OpenID Connect scopes, which belong to the issuer and not to a resource.
const OPENID_SCOPES: [&str; 6] =
    ["openid", "profile", "email", "address", "phone", "offline_access"];

/// The scopes of a resource, and how clients request them.
#[derive(Clone, Debug, Default)]
pub(crate) struct ResourceScopes {
    /// Which scopes imply which others.
    pub(crate) hierarchy: Hierarchy,
    /// Every scope that the resource names anywhere, in a fixed order.
    pub(crate) known: Scopes,
    /// The name by which clients request a scope, if it differs from the name in tokens.
    pub(crate) requested_as: BTreeMap<Box<str>, Box<str>>,
    /// The prefix with which clients request every other scope, except those of OpenID Connect.
    pub(crate) request_prefix: Option<Box<str>>,
    /// Whether a challenge names only the required scopes.
    pub(crate) is_strict: bool,
}

impl ResourceScopes {
    /// The scopes of a challenge: the required ones, and (unless `is_strict`) the known ones that the token
    /// grants already, since many clients replace their scopes with those of the challenge. Always in the same
    /// order.
    pub(crate) fn to_challenge(&self, required: &Scopes, granted: &Scopes) -> Scopes {
        let is_kept = |scope: &&str| !self.is_strict && granted.contains(scope);
        let known = self.known.iter().filter(|scope| required.contains(scope) || is_kept(scope));
        known.chain(required.iter()).collect()
    }

    /// The scopes by the names that clients request.
    pub(crate) fn requested(&self, scopes: &Scopes) -> Scopes {
        if self.requested_as.is_empty() && self.request_prefix.is_none() {
            return scopes.clone();
        }
        scopes.iter().map(|scope| self.request_name(scope)).collect()
    }

    fn request_name<'s>(&'s self, scope: &'s str) -> Cow<'s, str> {
        match (self.requested_as.get(scope), &self.request_prefix) {
            (Some(name), _) => Cow::Borrowed(name),
            (None, Some(prefix)) if !OPENID_SCOPES.contains(&scope) => {
                format!("{prefix}{scope}").into()
            }
            _ => Cow::Borrowed(scope),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_challenge_includes_granted_known_scopes_in_a_fixed_order() {
        let resource_scopes = |is_strict| ResourceScopes {
            known: "a b c".into(),
            requested_as: [("b".into(), "api://x/b".into())].into(),
            is_strict,
            ..ResourceScopes::default()
        };
        for (is_strict, required, granted, challenged) in [
            (false, "c", "b a unknown", "a b c"),
            (false, "c", "", "c"),
            (false, "x", "b", "b x"),
            (true, "c", "b a", "c"),
        ] {
            let challenged_here =
                resource_scopes(is_strict).to_challenge(&required.into(), &granted.into());
            assert_eq!(challenged_here.as_str(), challenged);
        }
        assert_eq!(resource_scopes(false).requested(&"a b".into()).as_str(), "a api://x/b");
    }
}

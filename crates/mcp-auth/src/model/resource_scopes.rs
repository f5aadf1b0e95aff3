//! The scopes that a resource knows, and the names by which clients request them.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::model::require::Hierarchy;
use crate::model::scope::Scopes;

/// Scopes of OpenID Connect, which are of the issuer and of no resource.
const OPENID_SCOPES: [&str; 6] =
    ["openid", "profile", "email", "address", "phone", "offline_access"];

/// The scopes that a resource knows, and how clients request them.
#[derive(Clone, Debug, Default)]
pub(crate) struct ResourceScopes {
    /// What follows from what.
    pub(crate) hierarchy: Hierarchy,
    /// Every scope that the resource requires anywhere, in a fixed order.
    pub(crate) known: Scopes,
    /// By which name a client asks for a scope, where tokens name it otherwise.
    pub(crate) requested_as: BTreeMap<Box<str>, Box<str>>,
    /// What stands before the name of every other scope when a client asks for it.
    pub(crate) request_prefix: Option<Box<str>>,
    /// Whether a challenge names only what is required.
    pub(crate) is_strict: bool,
}

impl ResourceScopes {
    /// What a client should ask for: what is required, and what it holds already, since many clients
    /// replace their scopes by those of the challenge. Always in the same order.
    pub(crate) fn to_challenge(&self, required: &Scopes, granted: &Scopes) -> Scopes {
        let is_kept = |scope: &&str| !self.is_strict && granted.contains(scope);
        let known = self.known.iter().filter(|scope| required.contains(scope) || is_kept(scope));
        known.chain(required.iter()).collect()
    }

    /// The scopes as clients ask for them.
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
    fn a_challenge_keeps_what_is_held_and_known_in_one_order() {
        let vocabulary = |is_strict| ResourceScopes {
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
                vocabulary(is_strict).to_challenge(&required.into(), &granted.into());
            assert_eq!(challenged_here.as_str(), challenged);
        }
        assert_eq!(vocabulary(false).requested(&"a b".into()).as_str(), "a api://x/b");
    }
}

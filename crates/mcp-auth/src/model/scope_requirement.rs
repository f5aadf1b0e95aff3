//! Scope requirements, and the hierarchy of scopes.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::scope::Scopes;

/// A requirement: all of some scopes, any of some scopes, or several such conditions.
///
/// ```
/// use mcp_auth::{AnyOf, Require, Scopes};
///
/// let all = Require::from(["read", "write"]);
/// assert!(all.is_met_by(&Scopes::from("write read")));
/// assert!(!all.is_met_by(&Scopes::from("read")));
///
/// let any = Require::from(AnyOf(["admin", "root"]));
/// assert!(any.is_met_by(&Scopes::from("root")));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Require {
    /// All of these must be met, each by at least one of its scopes.
    conditions: Vec<Condition>,
}

/// One scope, or any of several.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Condition {
    /// The required scopes. A client is told to request the first one.
    alternatives: Scopes,
    /// Scopes that imply one of the alternatives.
    implied_by: Scopes,
}

/// Any one of these scopes is enough. A client that has none of them is told to request the first one.
///
/// ```
/// use mcp_auth::{AnyOf, Require};
///
/// assert_eq!(Require::from(AnyOf(["notes:admin", "admin"])).to_request().to_string(), "notes:admin");
/// ```
#[derive(Clone, Copy, Debug)]
pub struct AnyOf<S>(pub S);

impl Require {
    /// Whether the granted scopes meet the requirement.
    #[must_use]
    pub fn is_met_by(&self, granted: &Scopes) -> bool {
        self.conditions.iter().all(|condition| condition.is_met_by(granted))
    }

    /// The scopes that a client should request to meet this: all that are required, and the first one of
    /// alternatives.
    #[must_use]
    pub fn to_request(&self) -> Scopes {
        self.conditions
            .iter()
            .filter_map(|condition| condition.alternatives.iter().next())
            .collect()
    }

    /// The scopes that a client should request to meet what the granted scopes do not.
    pub(crate) fn missing_from(&self, granted: &Scopes) -> Scopes {
        let unmet = self.conditions.iter().filter(|condition| !condition.is_met_by(granted));
        unmet.filter_map(|condition| condition.alternatives.iter().next()).collect()
    }

    /// Requires both this and `other`.
    #[must_use]
    pub fn and(mut self, other: impl Into<Self>) -> Self {
        self.conditions.extend(other.into().conditions);
        self
    }

    /// The same requirement, also met by scopes that imply the named ones.
    #[must_use]
    pub fn under(mut self, hierarchy: &Hierarchy) -> Self {
        for condition in &mut self.conditions {
            condition.implied_by = hierarchy.implying(&condition.alternatives);
        }
        self
    }

    /// The alternatives of each condition, as lists separated by spaces. One scope of each list must be
    /// granted.
    pub(crate) fn alternatives(&self) -> impl Iterator<Item = &str> {
        self.conditions.iter().map(|condition| condition.alternatives.as_str())
    }

    /// Every scope that the requirement names. Includes the empty name of a condition that can never be met.
    pub(crate) fn named(&self) -> impl Iterator<Item = &str> {
        self.conditions.iter().flat_map(|condition| condition.alternatives.as_str().split(' '))
    }
}

impl Condition {
    fn is_met_by(&self, granted: &Scopes) -> bool {
        self.alternatives.intersects(granted) || self.implied_by.intersects(granted)
    }

    fn of(alternatives: Scopes) -> Self {
        Self { alternatives, implied_by: Scopes::default() }
    }
}

impl From<Scopes> for Require {
    fn from(scopes: Scopes) -> Self {
        Self { conditions: scopes.iter().map(|scope| Condition::of(scope.into())).collect() }
    }
}

/// Splits at spaces; all scopes are required. An empty text can never be met, since it may come from an unset
/// variable.
impl From<&str> for Require {
    fn from(scopes: &str) -> Self {
        match Scopes::from(scopes) {
            none if none.is_empty() => Self { conditions: vec![Condition::of(none)] },
            some => some.into(),
        }
    }
}

impl From<&String> for Require {
    fn from(scopes: &String) -> Self {
        Self::from(scopes.as_str())
    }
}

impl From<String> for Require {
    fn from(scopes: String) -> Self {
        Self::from(scopes.as_str())
    }
}

impl<S: AsRef<str>> FromIterator<S> for Require {
    fn from_iter<I: IntoIterator<Item = S>>(scopes: I) -> Self {
        scopes.into_iter().fold(Self::default(), |all, scope| all.and(scope.as_ref()))
    }
}

impl<S: AsRef<str>, const N: usize> From<[S; N]> for Require {
    fn from(scopes: [S; N]) -> Self {
        scopes.into_iter().collect()
    }
}

impl<S: AsRef<str>> From<Vec<S>> for Require {
    fn from(scopes: Vec<S>) -> Self {
        scopes.into_iter().collect()
    }
}

impl From<AnyOf<Scopes>> for Require {
    fn from(any_of: AnyOf<Scopes>) -> Self {
        Self { conditions: vec![Condition::of(any_of.0)] }
    }
}

/// Splits at spaces; any one scope is enough.
impl From<AnyOf<&str>> for Require {
    fn from(any_of: AnyOf<&str>) -> Self {
        AnyOf(Scopes::from(any_of.0)).into()
    }
}

impl From<AnyOf<&String>> for Require {
    fn from(any_of: AnyOf<&String>) -> Self {
        AnyOf(any_of.0.as_str()).into()
    }
}

impl From<AnyOf<String>> for Require {
    fn from(any_of: AnyOf<String>) -> Self {
        AnyOf(any_of.0.as_str()).into()
    }
}

impl<S: AsRef<str>, const N: usize> From<AnyOf<[S; N]>> for Require {
    fn from(any_of: AnyOf<[S; N]>) -> Self {
        one_by_one(&any_of.0)
    }
}

impl<S: AsRef<str>> From<AnyOf<Vec<S>>> for Require {
    fn from(any_of: AnyOf<Vec<S>>) -> Self {
        one_by_one(&any_of.0)
    }
}

/// Any of these, each of which is one scope. An element that contains a space is ignored. If it was built from
/// an argument, the part after the space must not become an alternative of the caller's choice.
fn one_by_one(scopes: &[impl AsRef<str>]) -> Require {
    let scopes = scopes.iter().map(AsRef::as_ref);
    AnyOf(scopes.filter(|scope| !scope.contains(' ')).collect::<Scopes>()).into()
}

/// Which scopes imply which others, transitively.
///
/// "Servers MUST account for scope hierarchies, where a broader scope implies narrower ones" (MCP
/// authorization, *Scope Challenge Handling*). A challenge still names the narrow scope.
///
/// ```
/// use mcp_auth::{Hierarchy, Require, Scopes};
///
/// let mut hierarchy = Hierarchy::default();
/// hierarchy.add("admin", ["notes:write"]);
/// hierarchy.add("notes:write", ["notes:read"]);
/// let read = Require::from(["notes:read"]).under(&hierarchy);
/// assert!(read.is_met_by(&Scopes::from("admin")));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hierarchy(BTreeMap<Box<str>, Scopes>);

impl Hierarchy {
    /// States that `broad` implies `narrow`.
    pub fn add(&mut self, broad: &str, narrow: impl Into<Scopes>) {
        let implied = self.0.entry(broad.into()).or_default();
        *implied = implied.iter().chain(narrow.into().iter()).collect();
    }

    /// A scope that implies itself, directly or through others. Returns `None` if the hierarchy has no cycle.
    pub(crate) fn circular(&self) -> Option<&str> {
        self.0.keys().map(|scope| &**scope).find(|scope| self.implied_by(scope).contains(scope))
    }

    /// Every scope in the hierarchy.
    pub(crate) fn named(&self) -> impl Iterator<Item = &str> {
        self.0.iter().flat_map(|(broad, narrow)| std::iter::once(&**broad).chain(narrow.iter()))
    }

    /// The scopes that imply at least one of `wanted`.
    fn implying(&self, wanted: &Scopes) -> Scopes {
        let follows_from = |broad: &str| {
            let implied = self.implied_by(broad);
            wanted.iter().any(|narrow| implied.contains(narrow))
        };
        self.0.keys().filter(|broad| follows_from(broad)).collect()
    }

    /// Every scope that `broad` implies, in any number of steps.
    fn implied_by<'h>(&'h self, broad: &'h str) -> BTreeSet<&'h str> {
        let mut implied = BTreeSet::new();
        let mut next = vec![broad];
        while let Some(scope) = next.pop() {
            let narrower = self.0.get(scope).into_iter().flat_map(Scopes::iter);
            next.extend(narrower.filter(|narrow| implied.insert(*narrow)));
        }
        implied
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_requirement_is_met_by_granted_and_implied_scopes() {
        let mut hierarchy = Hierarchy::default();
        hierarchy.add("root", ["admin"]);
        hierarchy.add("admin", ["write", "audit"]);
        hierarchy.add("write", ["read"]);
        let rows: [(Require, &str, bool); 14] = [
            (Require::default(), "", true),
            (["read"].into(), "", false),
            (["read"].into(), "write", true),
            (["read"].into(), "root", true),
            (["write"].into(), "read", false),
            (["read", "audit"].into(), "write", false),
            (["read", "audit"].into(), "admin", true),
            (AnyOf(["audit", "read"]).into(), "write", true),
            (Require::from(["audit"]).and(AnyOf(["x", "y"])), "admin", false),
            (AnyOf(["x", "y"]).into(), "z x y", true),
            (AnyOf(["x", "y"]).into(), "y x", true),
            (AnyOf(["x", "y"]).into(), "x yy", true),
            (AnyOf(["x", "y"]).into(), "xx y", true),
            (AnyOf(["x", "y"]).into(), "xx yy ax y.", false),
        ];
        for (require, granted, met) in rows {
            let require = require.under(&hierarchy);
            assert_eq!(require.is_met_by(&granted.into()), met, "{require:?} by {granted}");
        }
    }

    #[test]
    fn the_requested_scope_is_the_narrow_one_and_the_first_alternative() {
        let mut hierarchy = Hierarchy::default();
        hierarchy.add("admin", ["read"]);
        let require = Require::from(["read"]).and(AnyOf(["a", "b"])).under(&hierarchy);
        assert_eq!(require.to_request().to_string(), "read a");
    }

    #[test]
    fn an_empty_any_of_is_never_met() {
        assert!(!Require::from(AnyOf([""; 0])).is_met_by(&"read".into()));
    }

    #[test]
    fn circular_scopes_are_detected() {
        let mut hierarchy = Hierarchy::default();
        hierarchy.add("a", ["b"]);
        hierarchy.add("b", ["c"]);
        assert_eq!(hierarchy.circular(), None);
        hierarchy.add("c", ["a"]);
        assert!(hierarchy.circular().is_some());
        assert!(!Require::from(["z"]).under(&hierarchy).is_met_by(&"a".into()), "and end");
    }
}

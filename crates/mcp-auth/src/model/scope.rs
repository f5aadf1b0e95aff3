//! Scopes: what a token grants, what an operation requires, and which scope implies which.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

/// Up to this many bytes each scope is compared with each other one. A forged token may have
/// thousands of scopes, and they are read before its signature is verified.
const SHORT: usize = 256;

/// Scopes of OpenID Connect, which are of the issuer and of no resource.
const OPENID_SCOPES: [&str; 6] =
    ["openid", "profile", "email", "address", "phone", "offline_access"];

/// A list of scope tokens, in the order in which they were given, each once.
///
/// Written as [RFC 6749 §3.3](https://www.rfc-editor.org/rfc/rfc6749#section-3.3) says: separated by
/// single spaces, compared byte for byte.
///
/// ```
/// use mcp_auth::Scopes;
///
/// let granted = Scopes::from("notes:read notes:write");
/// assert!(granted.contains("notes:read"));
/// assert_eq!(granted.to_string(), "notes:read notes:write");
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Scopes(Arc<str>);

impl Scopes {
    /// Whether this very scope is in the list. Nothing is implied here: see [`Hierarchy`].
    #[must_use]
    pub fn contains(&self, scope: &str) -> bool {
        !scope.is_empty() && !scope.contains(' ') && self.holds(scope.as_bytes())
    }

    /// The scopes, in their order.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.split(' ').filter(|scope| !scope.is_empty())
    }

    /// Whether a scope is in both lists.
    pub(crate) fn shares_one_with(&self, others: &Self) -> bool {
        let all = self.0.as_bytes();
        // Mostly there is but one, and where all are held, so is one.
        !all.is_empty()
            && (others.holds(all) || all.split(|byte| *byte == b' ').any(|it| others.holds(it)))
    }

    /// Whether this is one of the words, or some of them in a row. Words are not cut out: each request looks for some.
    fn holds(&self, word: &[u8]) -> bool {
        let mut rest = self.0.as_bytes();
        loop {
            if rest
                .strip_prefix(word)
                .is_some_and(|after| after.first().is_none_or(|it| *it == b' '))
            {
                return true;
            }
            match rest.iter().position(|byte| *byte == b' ') {
                Some(space) => rest = rest.get(space + 1..).unwrap_or_default(),
                None => return false,
            }
        }
    }

    /// Whether there is no scope at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The scopes as the `scope` parameter is written: separated by single spaces.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for Scopes {
    fn default() -> Self {
        Self::from("")
    }
}

impl fmt::Debug for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl fmt::Display for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Splits at spaces, as the `scope` member of a token or a challenge is written.
impl From<&str> for Scopes {
    fn from(scopes: &str) -> Self {
        let parts = || scopes.as_bytes().split(|byte| *byte == b' ');
        let is_canonical = scopes.len() <= SHORT
            && parts().enumerate().all(|(i, scope)| {
                !scope.is_empty() && !parts().take(i).any(|earlier| earlier == scope)
            });
        if is_canonical { Self(scopes.into()) } else { scopes.split(' ').collect() }
    }
}

impl<S: AsRef<str>> FromIterator<S> for Scopes {
    fn from_iter<I: IntoIterator<Item = S>>(scopes: I) -> Self {
        let given: Vec<S> = scopes.into_iter().collect();
        let mut held = BTreeSet::new();
        let mut list = String::new();
        for scope in given.iter().flat_map(|scopes| scopes.as_ref().split(' ')) {
            if !scope.is_empty() && held.insert(scope) {
                list.push_str(if list.is_empty() { "" } else { " " });
                list.push_str(scope);
            }
        }
        Self(list.into())
    }
}

impl<S: AsRef<str>, const N: usize> From<[S; N]> for Scopes {
    fn from(scopes: [S; N]) -> Self {
        scopes.into_iter().collect()
    }
}

impl<S: AsRef<str>> From<Vec<S>> for Scopes {
    fn from(scopes: Vec<S>) -> Self {
        scopes.into_iter().collect()
    }
}

/// What must be granted: all of some scopes, or any of some scopes, or several such conditions.
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
    /// Each of these must be met by at least one of its scopes.
    conditions: Vec<Condition>,
}

/// One scope, or any of several.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Condition {
    /// The scopes as they were required; the first is the one a client is told to ask for.
    alternatives: Scopes,
    /// Scopes that imply one of the alternatives.
    implied_by: Scopes,
}

/// Any one of these scopes is enough. A client that has none is told to ask for the first.
///
/// ```
/// use mcp_auth::{AnyOf, Require};
///
/// assert_eq!(Require::from(AnyOf(["notes:admin", "admin"])).to_request().to_string(), "notes:admin");
/// ```
#[derive(Clone, Copy, Debug)]
pub struct AnyOf<S>(pub S);

impl Require {
    /// Whether the granted scopes are enough.
    #[must_use]
    pub fn is_met_by(&self, granted: &Scopes) -> bool {
        self.conditions.iter().all(|condition| condition.is_met_by(granted))
    }

    /// The scopes a client should ask for to meet this: all that are required, and of alternatives the first.
    #[must_use]
    pub fn to_request(&self) -> Scopes {
        self.conditions
            .iter()
            .filter_map(|condition| condition.alternatives.iter().next())
            .collect()
    }

    /// Both this and `other` must be met.
    #[must_use]
    pub fn and(mut self, other: impl Into<Self>) -> Self {
        self.conditions.extend(other.into().conditions);
        self
    }

    /// The same requirement, also met by the scopes that imply what it names.
    #[must_use]
    pub fn under(mut self, hierarchy: &Hierarchy) -> Self {
        for condition in &mut self.conditions {
            condition.implied_by = hierarchy.implying(&condition.alternatives);
        }
        self
    }

    /// The scopes of which one each must be granted, as lists separated by spaces.
    pub(crate) fn alternatives(&self) -> impl Iterator<Item = &str> {
        self.conditions.iter().map(|condition| condition.alternatives.as_str())
    }

    /// Every scope that is named, also the empty name of a condition that nothing meets.
    pub(crate) fn named(&self) -> impl Iterator<Item = &str> {
        self.conditions.iter().flat_map(|condition| condition.alternatives.as_str().split(' '))
    }
}

impl Condition {
    fn is_met_by(&self, granted: &Scopes) -> bool {
        self.alternatives.shares_one_with(granted) || self.implied_by.shares_one_with(granted)
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

/// Splits at spaces; all are required. Nothing meets an empty text: it may be an unset variable.
impl From<&str> for Require {
    fn from(scopes: &str) -> Self {
        match Scopes::from(scopes) {
            none if none.is_empty() => Self { conditions: vec![Condition::of(none)] },
            some => some.into(),
        }
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

/// Splits at spaces; any is enough.
impl From<AnyOf<&str>> for Require {
    fn from(any_of: AnyOf<&str>) -> Self {
        AnyOf(Scopes::from(any_of.0)).into()
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

/// Any of these, of which each is one scope. What holds a space is none: if it was made of an argument,
/// the rest of it must not become an alternative of the caller's choice.
fn one_by_one(scopes: &[impl AsRef<str>]) -> Require {
    let scopes = scopes.iter().map(AsRef::as_ref);
    AnyOf(scopes.filter(|scope| !scope.contains(' ')).collect::<Scopes>()).into()
}

/// Which scope implies which others, transitively.
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
    /// States that whoever holds `broad` also has `narrow`.
    pub fn add(&mut self, broad: &str, narrow: impl Into<Scopes>) {
        let implied = self.0.entry(broad.into()).or_default();
        *implied = implied.iter().chain(narrow.into().iter()).collect();
    }

    /// A scope that implies itself by a detour, if there is one: a hierarchy has no circles.
    pub(crate) fn circular(&self) -> Option<&str> {
        self.0.keys().map(|scope| &**scope).find(|scope| self.implied_by(scope).contains(scope))
    }

    /// Every scope that is named.
    pub(crate) fn named(&self) -> impl Iterator<Item = &str> {
        self.0.iter().flat_map(|(broad, narrow)| std::iter::once(&**broad).chain(narrow.iter()))
    }

    /// The scopes from which one of `wanted` follows.
    fn implying(&self, wanted: &Scopes) -> Scopes {
        let follows_from = |broad: &str| {
            let implied = self.implied_by(broad);
            wanted.iter().any(|narrow| implied.contains(narrow))
        };
        self.0.keys().filter(|broad| follows_from(broad)).collect()
    }

    /// Everything that follows from `broad`, by any number of steps.
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

/// The words of a resource: its own names, and the scopes that it speaks of.
#[derive(Clone, Debug, Default)]
pub(crate) struct Vocabulary {
    /// What the resource is called: its URL first.
    pub(crate) audiences: Vec<String>,
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

impl Vocabulary {
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

/// Whether `scope` is a scope token: visible ASCII without `"` and `\`
/// ([RFC 6749 §3.3](https://www.rfc-editor.org/rfc/rfc6749#section-3.3)).
pub(crate) fn is_scope_token(scope: &str) -> bool {
    !scope.is_empty() && scope.bytes().all(|b| matches!(b, 0x21 | 0x23..=0x5b | 0x5d..=0x7e))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_keep_their_order_and_come_once() {
        assert_eq!(Scopes::from("b  a b ").to_string(), "b a");
        assert!(Scopes::from("").is_empty());
        assert!(!Scopes::from("read").contains("READ"));
    }

    #[test]
    fn a_hundred_thousand_scopes_are_read() {
        // A stranger may write as many as fit into a token. Comparing each with each would take minutes here.
        let many: Vec<_> = (0..100_000).map(|i| i.to_string()).collect();
        let once = Scopes::from(&*many.join(" "));
        let twice = Scopes::from(&*[&many[..], &many[..]].concat().join(" "));
        assert_eq!(once, twice);
        assert_eq!(once.iter().count(), 100_000);
    }

    #[test]
    fn a_requirement_is_met_by_table() {
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
    fn what_to_ask_for_is_the_narrow_scope_and_the_first_alternative() {
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
    fn circles_are_found() {
        let mut hierarchy = Hierarchy::default();
        hierarchy.add("a", ["b"]);
        hierarchy.add("b", ["c"]);
        assert_eq!(hierarchy.circular(), None);
        hierarchy.add("c", ["a"]);
        assert!(hierarchy.circular().is_some());
        assert!(!Require::from(["z"]).under(&hierarchy).is_met_by(&"a".into()), "and end");
    }

    #[test]
    fn a_challenge_keeps_what_is_held_and_known_in_one_order() {
        let vocabulary = |is_strict| Vocabulary {
            known: "a b c".into(),
            requested_as: [("b".into(), "api://x/b".into())].into(),
            is_strict,
            ..Vocabulary::default()
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

    #[test]
    fn scope_tokens_have_no_quotes_spaces_or_controls() {
        for (scope, fine) in [
            ("read", true),
            ("api://x/read", true),
            ("", false),
            ("a b", false),
            ("a\"", false),
            ("a\\", false),
            ("é", false),
            ("a\n", false),
        ] {
            assert_eq!(is_scope_token(scope), fine, "{scope:?}");
        }
    }
}

//! `Scopes`: a list of OAuth scopes.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

/// Up to this length in bytes, a list is searched for duplicates by comparing all pairs. A forged token may
/// have thousands of scopes, and they are read before its signature is verified.
const MAX_PAIRWISE_BYTES: usize = 256;

/// A list of scope tokens in the given order, without duplicates.
///
/// Written as in [RFC 6749 §3.3](https://www.rfc-editor.org/rfc/rfc6749#section-3.3): separated by single
/// spaces, compared byte for byte.
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
    /// Whether exactly this scope is in the list. Implied scopes do not count: see
    /// [`Hierarchy`](crate::Hierarchy).
    #[must_use]
    pub fn contains(&self, scope: &str) -> bool {
        !scope.is_empty() && !scope.contains(' ') && self.contains_words(scope.as_bytes())
    }

    /// The scopes, in order.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.split(' ').filter(|scope| !scope.is_empty())
    }

    /// Whether the lists have a scope in common.
    pub(crate) fn intersects(&self, others: &Self) -> bool {
        let all = self.0.as_bytes();
        // Usually there is only one scope. If `others` contains the whole list in a row, it contains one of
        // them.
        !all.is_empty()
            && (others.contains_words(all)
                || all.split(|byte| *byte == b' ').any(|it| others.contains_words(it)))
    }

    /// Whether `word` is one of the scopes, or several of them in a row. Compares in place, since each request
    /// needs such a search.
    fn contains_words(&self, word: &[u8]) -> bool {
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

    /// Whether the list is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The scopes separated by single spaces, as in the `scope` parameter.
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

/// Splits at spaces, as in the `scope` member of a token or a challenge.
impl From<&str> for Scopes {
    fn from(scopes: &str) -> Self {
        let parts = || scopes.as_bytes().split(|byte| *byte == b' ');
        let is_canonical = scopes.len() <= MAX_PAIRWISE_BYTES
            && parts().enumerate().all(|(i, scope)| {
                !scope.is_empty() && !parts().take(i).any(|earlier| earlier == scope)
            });
        if is_canonical { Self(scopes.into()) } else { scopes.split(' ').collect() }
    }
}

impl From<&String> for Scopes {
    fn from(scopes: &String) -> Self {
        Self::from(scopes.as_str())
    }
}

impl From<String> for Scopes {
    fn from(scopes: String) -> Self {
        Self::from(scopes.as_str())
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
        // An attacker may write as many as fit into a token. Comparing all pairs would take minutes here.
        let many: Vec<_> = (0..100_000).map(|i| i.to_string()).collect();
        let once = Scopes::from(&*many.join(" "));
        let twice = Scopes::from(&*[&many[..], &many[..]].concat().join(" "));
        assert_eq!(once, twice);
        assert_eq!(once.iter().count(), 100_000);
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

//! `Table`: values by exact names and by patterns.

use std::collections::{BTreeMap, BTreeSet};

use crate::policy::rule::Rule;
use crate::policy::tool_scopes::pattern::Pattern;

/// A rule, and the name or pattern that it was written for.
#[derive(Clone, Debug)]
pub(super) struct NamedRule {
    name: Box<str>,
    rule: Rule,
}

/// Values by exact names and by patterns. A name may have several.
#[derive(Clone, Debug)]
pub(super) struct Table<V = NamedRule> {
    exact: BTreeMap<Box<str>, Vec<V>>,
    /// The patterns by their literal prefixes, so that a name is compared with few of them.
    patterns: BTreeMap<Box<str>, Vec<(Pattern, V)>>,
    /// The lengths of these prefixes.
    prefix_lengths: BTreeSet<usize>,
}

impl<V> Default for Table<V> {
    fn default() -> Self {
        Self {
            exact: BTreeMap::default(),
            patterns: BTreeMap::default(),
            prefix_lengths: BTreeSet::default(),
        }
    }
}

impl<V> Table<V> {
    pub(super) fn add_exact(&mut self, name: &str, value: V) {
        self.exact.entry(name.into()).or_default().push(value);
    }

    pub(super) fn add_pattern(&mut self, pattern: Pattern, value: V) {
        self.prefix_lengths.insert(pattern.prefix().len());
        self.patterns.entry(pattern.prefix().into()).or_default().push((pattern, value));
    }

    pub(super) fn exact(&self, name: &str) -> &[V] {
        self.exact.get(name).map_or(&[], Vec::as_slice)
    }

    /// The patterns with the right prefix, with the rest of the name.
    pub(super) fn candidates<'t, 'n>(
        &'t self,
        name: &'n str,
    ) -> impl Iterator<Item = (&'t (Pattern, V), &'n str)> {
        let prefix_lengths =
            self.prefix_lengths.iter().filter_map(move |length| name.split_at_checked(*length));
        prefix_lengths.flat_map(move |(prefix, rest)| {
            let patterns = self.patterns.get(prefix).into_iter().flatten();
            patterns.map(move |pattern| (pattern, rest))
        })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.exact.is_empty() && self.patterns.is_empty()
    }
}

impl Table {
    pub(super) fn add(&mut self, name: &str, rule: Rule) {
        match Pattern::of(name) {
            None => self.add_exact_rule(name, rule),
            Some(pattern) => self.add_pattern(pattern, NamedRule { name: name.into(), rule }),
        }
    }

    /// Adds a rule for a name that is exact, even if it looks like a pattern.
    pub(super) fn add_exact_rule(&mut self, name: &str, rule: Rule) {
        self.add_exact(name, NamedRule { name: name.into(), rule });
    }

    pub(super) fn append(&mut self, other: Self) {
        for (name, rules) in other.exact {
            self.exact.entry(name).or_default().extend(rules);
        }
        for (pattern, rule) in other.patterns.into_values().flatten() {
            self.add_pattern(pattern, rule);
        }
    }

    /// Calls `found` for each rule that applies to a name, with what it was written for: the exact ones, or the patterns with
    /// the most literal characters. Returns whether there is one.
    pub(super) fn find<'r>(
        &'r self,
        name: &str,
        found: &mut impl FnMut(&'r str, &'r Rule),
    ) -> bool {
        if let Some(rules) = self.exact.get(name) {
            rules.iter().for_each(|it| found(&it.name, &it.rule));
            return true;
        }
        let matching = || self.candidates(name).filter(|((it, _), rest)| it.matches(rest, 1));
        let Some(most) = matching().map(|((it, _), _)| it.literal_chars()).max() else {
            return false;
        };
        let most_specific = matching().filter(|((it, _), _)| it.literal_chars() == most);
        most_specific.for_each(|((_, it), _)| found(&it.name, &it.rule));
        true
    }

    pub(super) fn has_empty_name(&self) -> bool {
        self.exact.contains_key("")
    }

    pub(super) fn rules(&self) -> impl Iterator<Item = &Rule> {
        let patterns = self.patterns.values().flatten().map(|(_, it)| it);
        self.exact.values().flatten().chain(patterns).map(|it| &it.rule)
    }

    pub(super) fn rules_mut(&mut self) -> impl Iterator<Item = &mut Rule> {
        let patterns = self.patterns.values_mut().flatten().map(|(_, it)| it);
        self.exact.values_mut().flatten().chain(patterns).map(|it| &mut it.rule)
    }
}

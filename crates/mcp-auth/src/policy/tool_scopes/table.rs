//! `Table`: rules by exact names and by patterns.

use std::collections::{BTreeMap, BTreeSet};

use crate::policy::rule::Rule;
use crate::policy::tool_scopes::pattern::Pattern;

/// The rules for one kind of target.
#[derive(Clone, Debug, Default)]
pub(super) struct Table {
    pub(super) exact: BTreeMap<Box<str>, Rule>,
    /// The patterns by their literal prefixes, so that a name is compared with few of them.
    patterns: BTreeMap<Box<str>, Vec<(Pattern, Rule)>>,
    /// The lengths of these prefixes.
    prefix_lengths: BTreeSet<usize>,
}

impl Table {
    pub(super) fn add(&mut self, name: &str, rule: Rule) {
        match Pattern::of(name) {
            None => self.add_exact(name.into(), rule),
            Some(pattern) => self.add_pattern(pattern, rule),
        }
    }

    pub(super) fn add_exact(&mut self, name: Box<str>, rule: Rule) {
        let slot = self.exact.entry(name).or_default();
        *slot = std::mem::take(slot).and(rule);
    }

    fn add_pattern(&mut self, pattern: Pattern, rule: Rule) {
        self.prefix_lengths.insert(pattern.prefix().len());
        self.patterns.entry(pattern.prefix().into()).or_default().push((pattern, rule));
    }

    pub(super) fn append(&mut self, other: Self) {
        other.exact.into_iter().for_each(|(name, rule)| self.add_exact(name, rule));
        let patterns = other.patterns.into_values().flatten();
        patterns.for_each(|(pattern, rule)| self.add_pattern(pattern, rule));
    }

    /// Calls `found` for each rule that applies to a name. Returns whether there is one.
    pub(super) fn find<'r>(&'r self, name: &str, found: &mut impl FnMut(&'r Rule)) -> bool {
        self.find_from(0, name, found).is_some()
    }

    /// Like [`find`](Self::find), without patterns that have fewer literal characters than `least`. Returns how
    /// specific the rules are: the number of literal characters, or the maximum for an exact name.
    pub(super) fn find_from<'r>(
        &'r self,
        least: usize,
        name: &str,
        found: &mut impl FnMut(&'r Rule),
    ) -> Option<usize> {
        if let Some(rule) = self.exact.get(name) {
            found(rule);
            return Some(usize::MAX);
        }
        if self.patterns.is_empty() {
            return None;
        }
        let lengths = self.matching(name, None).map(|(pattern, _)| pattern.literal_len());
        let most = lengths.max().filter(|most| *most >= least)?;
        self.matching(name, Some(most)).for_each(|(_, rule)| found(rule));
        Some(most)
    }

    /// Like [`find_from`](Self::find_from), and also calls `found` for the rules of patterns that are at least as
    /// specific and match if a variable may be empty.
    pub(super) fn find_with_empty<'r>(
        &'r self,
        least: usize,
        name: &str,
        found: &mut impl FnMut(&'r Rule),
    ) -> Option<usize> {
        if self.exact.contains_key(name) || self.patterns.is_empty() {
            return self.find_from(least, name, found);
        }
        let (mut own, mut most) = (None, None);
        for (pattern, rest) in self.candidates(name).filter(|((it, _), rest)| it.may_match(rest)) {
            // Few patterns get here.
            let length = Some(pattern.0.literal_len());
            most = most.max(length);
            if pattern.0.matches(rest) {
                own = own.max(length);
            }
        }
        let most = most.filter(|most| *most >= least)?;
        let own = own.filter(|own| *own >= least);
        self.candidates(name)
            .filter(|((pattern, _), rest)| {
                let length = pattern.literal_len();
                (length == most && pattern.may_match(rest))
                    || (Some(length) == own && pattern.matches(rest))
            })
            .for_each(|((_, rule), _)| found(rule));
        own
    }

    /// Calls `found` for every rule that matches a name, however specific it is.
    pub(super) fn find_all<'r>(&'r self, name: &str, found: &mut impl FnMut(&'r Rule)) {
        self.exact.get(name).into_iter().for_each(&mut *found);
        self.matching(name, None).for_each(|(_, rule)| found(rule));
    }

    /// The patterns that match a name: all, or those with this number of literal characters.
    pub(super) fn matching(
        &self,
        name: &str,
        literal_len: Option<usize>,
    ) -> impl Iterator<Item = &(Pattern, Rule)> {
        let is_match = move |((pattern, _), rest): &(&(Pattern, Rule), &str)| {
            literal_len.is_none_or(|literal_len| literal_len == pattern.literal_len())
                && pattern.matches(rest)
        };
        self.candidates(name).filter(is_match).map(|(pattern, _)| pattern)
    }

    /// The patterns with the right prefix, with the rest of the name.
    fn candidates<'t, 'n>(
        &'t self,
        name: &'n str,
    ) -> impl Iterator<Item = (&'t (Pattern, Rule), &'n str)> {
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

    pub(super) fn rules(&self) -> impl Iterator<Item = &Rule> {
        self.exact.values().chain(self.patterns.values().flatten().map(|(_, rule)| rule))
    }

    pub(super) fn rules_mut(&mut self) -> impl Iterator<Item = &mut Rule> {
        let patterns = self.patterns.values_mut().flatten();
        self.exact.values_mut().chain(patterns.map(|(_, rule)| rule))
    }
}

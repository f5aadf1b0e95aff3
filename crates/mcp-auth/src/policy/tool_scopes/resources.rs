//! `ResourceRules`: the rules for URIs, which hold for every way in which servers read a URI.

use std::collections::BTreeSet;

use crate::model::denial::Denial;
use crate::model::error_codes::BadMessage;
use crate::policy::rule::Rule;
use crate::policy::tool_scopes::fold::{
    ENCODED_MARKS, ENCODED_QUERY, MARKS, Parts, folded, keys, split_query,
};
use crate::policy::tool_scopes::pattern::{Pattern, with_marked_wildcards};
use crate::policy::tool_scopes::table::Table;
use crate::policy::tool_scopes::{rule_uri, uri};

/// The rules for resources.
#[derive(Clone, Debug, Default)]
pub(super) struct ResourceRules {
    rules: Vec<ResourceRule>,
    /// The URIs that rules name.
    named: BTreeSet<Box<str>>,
    /// The rules that name a URI, by its folded form: their places in `rules`.
    by_name: Table<usize>,
    /// The rules by the folded form of their paths.
    by_path: Table<ByPath>,
    /// A rule that no request would meet.
    never_matching: Option<Box<str>>,
}

/// A rule for a URI or a pattern.
#[derive(Clone, Debug)]
struct ResourceRule {
    text: Box<str>,
    rule: Rule,
    /// How specific it is: its literal characters, or the maximum for an exact URI.
    specificity: usize,
    /// How specific it is without its query.
    path_specificity: usize,
    /// The rule as the operator wrote it, and in canonical form. Split at [`MARKS`], and at [`ENCODED_MARKS`].
    forms: [Vec<PathAndQuery>; 2],
    /// What it names, of that which some servers leave out.
    names: Parts,
}

/// A rule, or one of its forms, split where its query begins.
#[derive(Clone, Debug)]
struct PathAndQuery {
    path: Pattern,
    query: Pattern,
}

/// What a server could have in the place of a rule's path.
#[derive(Clone, Copy, Debug)]
struct ByPath {
    /// The place of the rule in the list of rules.
    place: usize,
    /// Whether the rule applies only to URIs with a query.
    has_query: bool,
    left_out: Parts,
}

impl PathAndQuery {
    fn of(text: &str, marks: &[&str]) -> Self {
        let (path, query) = split_query(text, marks);
        let path = Pattern::of_marked(&with_marked_wildcards(path));
        // A wildcard at the end of a path also stands for a query.
        let query = if query.is_empty() && path.ends_with_anything() { "*" } else { query };
        Self { path, query: Pattern::of_marked(&with_marked_wildcards(query)) }
    }

    fn matches(&self, path: &str, query: &str) -> bool {
        self.path.matches_all_of(path) && self.query.matches_all_of(query)
    }
}

impl ResourceRule {
    fn new(text: &str, rule: Rule) -> Self {
        let canonical = rule_uri::encoded(text);
        let other_root = rule_uri::with_other_root(&canonical);
        let forms = [MARKS, ENCODED_MARKS].map(|marks| {
            let written = Some(text).filter(|text| *text != canonical);
            let texts = [Some(&*canonical), written, other_root.as_deref()].into_iter().flatten();
            texts.map(|text| PathAndQuery::of(text, marks)).collect()
        });
        let path = with_marked_wildcards(split_query(&canonical, MARKS).0);
        let (specificity, path_specificity) = match Pattern::of(&canonical) {
            Some(whole) => (whole.literal_len(), Pattern::of_marked(&path).literal_len()),
            None => (usize::MAX, usize::MAX),
        };
        Self { text: text.into(), rule, specificity, path_specificity, forms, names: 0 }
    }

    /// Whether it applies to a URI in the reading of every server.
    fn surely_matches(&self, uri: &str, decoded: &str) -> bool {
        [uri, decoded].into_iter().all(|uri| {
            self.forms.iter().zip([MARKS, ENCODED_MARKS]).all(|(forms, marks)| {
                let (path, query) = split_query(uri, marks);
                forms.iter().any(|form| form.matches(path, query))
            })
        })
    }
}

impl ResourceRules {
    pub(super) fn add(&mut self, text: &str, rule: Rule) {
        let place = self.rules.len();
        let mut rule = ResourceRule::new(text, rule);
        let canonical = rule_uri::encoded(text);
        let is_name = rule.specificity == usize::MAX;
        let can_match = if is_name {
            text.trim() == text && rule_uri::is_stable(&canonical)
        } else {
            rule_uri::can_match(&canonical)
        };
        if !can_match && !text.is_empty() {
            self.never_matching.get_or_insert_with(|| text.into());
        }
        if is_name {
            self.named.extend([text.into(), canonical.as_ref().into()]);
            self.by_name.add_exact(folded(text).trim_end_matches('/'), place);
        }
        let (path, query) = split_query(text, MARKS);
        for key in keys(&with_marked_wildcards(path)) {
            rule.names |= key.left_out;
            // The query of a template's expression may be absent.
            let has_query = query.starts_with(['?', '#']) || key.left_out & ENCODED_QUERY != 0;
            let by_path = ByPath { place, has_query, left_out: key.left_out };
            let pattern = Pattern::of_marked(&key.text);
            if pattern.is_name() {
                self.by_path.add_exact(key.text.trim_end_matches('/'), by_path);
            } else {
                self.by_path.add_pattern(pattern.with_any_for_dots(), by_path);
            }
        }
        self.rules.push(rule);
    }

    pub(super) fn append(&mut self, other: Self) {
        other.rules.into_iter().for_each(|rule| self.add(&rule.text, rule.rule));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    pub(super) fn has_empty_name(&self) -> bool {
        self.named.contains("")
    }

    pub(super) fn never_matching(&self) -> Option<&str> {
        self.never_matching.as_deref()
    }

    pub(super) fn rules(&self) -> impl Iterator<Item = &Rule> {
        self.rules.iter().map(|rule| &rule.rule)
    }

    pub(super) fn rules_mut(&mut self) -> impl Iterator<Item = &mut Rule> {
        self.rules.iter_mut().map(|rule| &mut rule.rule)
    }

    /// Calls `found` for each rule that a request for a URI, or for a template, must meet.
    ///
    /// Servers read a URI in different ways. A URI that is not in canonical form is refused, unless a rule names
    /// it. What is left are differences that honest clients need. A rule applies if some server could read the URI
    /// so that it matches. It takes precedence over a less specific rule only if it matches in every reading.
    ///
    /// # Errors
    ///
    /// A [`BadMessage`] if the URI is not in canonical form.
    pub(super) fn find<'r>(
        &'r self,
        uri: &str,
        is_template: bool,
        found: &mut impl FnMut(&'r Rule),
    ) -> Result<(), Denial> {
        let rule = |place: &usize| self.rules.get(*place);
        if self.named.contains(uri) {
            let places = self.by_name.exact(folded(uri).trim_end_matches('/'));
            places.iter().filter_map(rule).for_each(|rule| found(&rule.rule));
            return Ok(());
        }
        let decoded = rule_uri::encoded(uri);
        check_form(uri, &decoded, is_template)?;
        let possible = self.possible(uri);
        let places: BTreeSet<_> = possible.iter().map(|(place, _)| *place).collect();
        let sure = places.iter().filter_map(rule).filter(|it| it.surely_matches(uri, &decoded));
        let (mut least, mut named) = (0, 0);
        for rule in sure {
            least = least.max(rule.path_specificity);
            named |= rule.names;
        }
        // The slash at the end does not make a pattern more specific than those of the URI without it.
        if least < usize::MAX && split_query(uri, MARKS).0.ends_with('/') {
            least = least.saturating_sub(1);
        }
        // Where a rule names a port, the server does not leave it out.
        let counts = |(_, left_out): &&(usize, Parts)| left_out & named == 0;
        let needed: BTreeSet<_> = possible.iter().filter(counts).map(|(place, _)| *place).collect();
        let needed = needed.iter().filter_map(rule).filter(|rule| rule.specificity >= least);
        needed.for_each(|rule| found(&rule.rule));
        Ok(())
    }

    /// The rules that apply to a URI in the reading of some server: their places, with what such a server leaves out
    /// of both the URI and the rule.
    fn possible(&self, uri: &str) -> Vec<(usize, Parts)> {
        let (path, query) = split_query(uri, MARKS);
        let mut possible = Vec::new();
        for mut key in keys(path) {
            let has_query = !query.is_empty() || key.left_out & ENCODED_QUERY != 0;
            let has_slash = key.text.ends_with('/');
            key.text.truncate(key.text.trim_end_matches('/').len());
            let exact = self.by_path.exact(&key.text);
            key.text.push('/');
            // Only the end that the client wrote is read with empty variables.
            let (shortest_with, shortest_without) = if has_slash { (0, 1) } else { (1, 0) };
            let matching = self.by_path.candidates(&key.text).filter(|((pattern, _), rest)| {
                let without_slash = rest.strip_suffix('/');
                pattern.matches(rest, shortest_with)
                    || without_slash.is_some_and(|rest| pattern.matches(rest, shortest_without))
            });
            let matching = exact.iter().chain(matching.map(|((_, rule), _)| rule));
            for rule in matching.filter(|rule| has_query || !rule.has_query) {
                let left_out = rule.left_out & key.left_out;
                // `file:///src/C%23/a` is not another file of `file:///src/C`.
                if left_out & ENCODED_QUERY == 0 {
                    possible.push((rule.place, left_out));
                }
            }
        }
        possible
    }
}

/// Checks the form of a URI, and of the spelling that a server makes of it when it decodes it.
fn check_form(uri: &str, decoded: &str, is_template: bool) -> Result<(), Denial> {
    let check = if is_template { rule_uri::check_template } else { uri::check };
    let spellings = [Some(uri), Some(decoded).filter(|decoded| *decoded != uri)];
    spellings.into_iter().flatten().try_for_each(check).map_err(|why| {
        Denial::bad_message(BadMessage::Uri).detail(format!(
            "the URI that the client asks for is not in canonical form, so that the server could read another resource than the rules see: {why}; if the server lists it so, name it in a rule, byte for byte: `.resource(\"..\", ..)`"
        ))
    })
}

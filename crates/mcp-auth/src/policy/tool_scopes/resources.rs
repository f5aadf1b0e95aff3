//! `ResourceRules`: the rules for URIs, which hold for every way in which servers read a URI.

use std::collections::BTreeSet;

use crate::model::denial::Denial;
use crate::model::error_codes::BadMessage;
use crate::policy::rule::Rule;
use crate::policy::tool_scopes::fold::{
    ENCODED_MARKS, ENCODED_QUERY, MARKS, Parts, Reading, as_parsed, folded, readings, split_query,
};
use crate::policy::tool_scopes::pattern::{Pattern, Steps, with_marked_wildcards};
use crate::policy::tool_scopes::table::Table;
use crate::policy::tool_scopes::{rule_uri, uri};

/// How many steps it may take to find the rules that apply to one URI, and again those that apply in every reading: about
/// 10 ms each. With more, every rule applies that could, and none takes precedence.
const MAX_STEPS: u32 = 1_000_000;

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
    /// What it can be compared with: split at [`MARKS`], and at [`ENCODED_MARKS`].
    forms: [Vec<PathAndQuery>; 2],
}

/// A rule, in one of the readings of its path.
#[derive(Clone, Debug)]
struct PathAndQuery {
    path: Pattern,
    query: Pattern,
    left_out: Parts,
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

/// A URI that is asked for: what each server reads, as it is written. In the two kinds of [`ResourceRule::forms`].
type Asked<'u> = [Vec<(Vec<Reading>, &'u str)>; 2];

impl ResourceRule {
    fn new(text: &str, rule: Rule) -> Self {
        let canonical = rule_uri::encoded(text);
        let written = Some(text).filter(|text| *text != canonical);
        let forms = [MARKS, ENCODED_MARKS].map(|marks| {
            let texts = [Some(&*canonical), written].into_iter().flatten();
            texts.flat_map(|text| forms(text, marks)).collect()
        });
        let (mut specificity, mut path_specificity) = (usize::MAX, usize::MAX);
        if Pattern::of(text).is_some() {
            // Of the folded form, so that it does not matter how a character is written.
            let literals =
                |text| Pattern::of_marked(&folded(&with_marked_wildcards(text))).literal_chars();
            specificity = literals(text);
            path_specificity = literals(split_query(text, MARKS).0);
        }
        Self { text: text.into(), rule, specificity, path_specificity, forms }
    }

    /// Whether it applies to a URI in the reading of every server. Where the rule names a part that some leave out, such
    /// as a port, it is compared without it.
    fn surely_matches(&self, asked: &Asked<'_>, steps: &Steps) -> bool {
        let is_met = |forms: &[PathAndQuery], reading: &Reading, query: &str| {
            forms.iter().any(|form| {
                form.left_out & !reading.left_out == 0
                    && form.query.may_match_all_of(query, steps)
                    && form.path.may_match_all_of(&reading.text, steps)
            })
        };
        let mut kinds = self.forms.iter().zip(asked);
        kinds.all(|(forms, asked)| {
            let mut asked = asked.iter();
            asked.all(|(readings, query)| readings.iter().all(|it| is_met(forms, it, query)))
        }) && steps.sufficed()
    }
}

/// A rule in each of its readings. Empty if it has too many, which is a configuration error.
fn forms(text: &str, marks: &[&str]) -> Vec<PathAndQuery> {
    let (path, query) = split_query(text, marks);
    let path = as_parsed(&with_marked_wildcards(path));
    let end = Pattern::of_marked(&path);
    // A wildcard at the end of a path also stands for a query; and a variable for what may only look like one.
    let is_open =
        end.ends_with_anything() || (marks.len() > MARKS.len() && end.ends_with_wildcard());
    let query = if query.is_empty() && is_open { "*" } else { query };
    let query = Pattern::of_marked(&with_marked_wildcards(query));
    let form = |reading: Reading| PathAndQuery {
        path: Pattern::of_marked(&reading.text),
        query: query.clone(),
        left_out: reading.left_out,
    };
    readings(path).unwrap_or_default().into_iter().map(form).collect()
}

impl ResourceRules {
    pub(super) fn add(&mut self, text: &str, rule: Rule) {
        let place = self.rules.len();
        let rule = ResourceRule::new(text, rule);
        let canonical = rule_uri::encoded(text);
        let is_name = rule.specificity == usize::MAX;
        let can_match = if is_name {
            text.trim() == text && rule_uri::is_stable(&canonical)
        } else {
            rule_uri::can_match(&canonical)
        };
        let (path, query) = split_query(text, MARKS);
        let readings = readings(folded(&with_marked_wildcards(path)));
        if (!can_match || readings.is_none()) && !text.is_empty() {
            self.never_matching.get_or_insert_with(|| text.into());
        }
        if is_name {
            self.named.extend([text.into(), canonical.as_ref().into()]);
            self.by_name.add_exact(folded(text).trim_end_matches('/'), place);
        }
        for Reading { text, left_out } in readings.unwrap_or_default() {
            // The query of a template's expression may be absent.
            let has_query = query.starts_with(['?', '#']) || left_out & ENCODED_QUERY != 0;
            let by_path = ByPath { place, has_query, left_out };
            let pattern = Pattern::of_marked(&text);
            if pattern.is_name() {
                self.by_path.add_exact(text.trim_end_matches('/'), by_path);
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

    /// Calls `found` for each rule that a request for a URI, or for a template, must meet, with what it was written for.
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
        found: &mut impl FnMut(&'r str, &'r Rule),
    ) -> Result<(), Denial> {
        let rule = |place: &usize| self.rules.get(*place);
        if self.named.contains(uri) {
            let places = self.by_name.exact(folded(uri).trim_end_matches('/'));
            places.iter().filter_map(rule).for_each(|rule| found(&rule.text, &rule.rule));
            return Ok(());
        }
        let decoded = rule_uri::encoded(uri);
        check_form(uri, &decoded, is_template)?;
        let read = self.possible(uri).zip(asked(uri, &decoded));
        let (possible, asked) = read
            .ok_or_else(|| refused("too many of its parts are such as some servers leave out"))?;
        let possible = || possible.iter().filter_map(rule);
        let steps = Steps::new(MAX_STEPS);
        let sure = possible().filter(|rule| rule.surely_matches(&asked, &steps));
        let mut least = sure.map(|rule| rule.path_specificity).max().unwrap_or(0);
        // The slash at the end does not make a pattern more specific than those of the URI without it.
        if least < usize::MAX && split_query(uri, MARKS).0.ends_with('/') {
            least = least.saturating_sub(1);
        }
        let needed = possible().filter(|rule| rule.specificity >= least);
        needed.for_each(|rule| found(&rule.text, &rule.rule));
        Ok(())
    }

    /// The rules that apply to a URI in the reading of some server: their places. Returns `None` if it has too many
    /// readings.
    fn possible(&self, uri: &str) -> Option<BTreeSet<usize>> {
        let (path, query) = split_query(uri, MARKS);
        let steps = Steps::new(MAX_STEPS);
        let mut possible = BTreeSet::new();
        let mut add = |reading: Reading, has_query: bool| {
            let Reading { mut text, left_out } = reading;
            let has_slash = text.ends_with('/');
            text.truncate(text.trim_end_matches('/').len());
            let exact = self.by_path.exact(&text);
            text.push('/');
            // A variable may be empty, except in a slash that the client did not write.
            let shortest = usize::from(!has_slash);
            let matching = self.by_path.candidates(&text).filter(|((pattern, _), rest)| {
                let without_slash = rest.strip_suffix('/');
                pattern.may_match(rest, shortest, &steps)
                    || without_slash.is_some_and(|rest| pattern.may_match(rest, 0, &steps))
            });
            let matching = exact.iter().chain(matching.map(|((_, rule), _)| rule));
            // Where both have a port, and it is not the same, the server does not leave it out.
            let matching = matching
                .filter(|rule| (has_query || !rule.has_query) && rule.left_out & left_out == 0);
            possible.extend(matching.map(|rule| rule.place));
        };
        for reading in readings(folded(path))? {
            let has_query = !query.is_empty() || reading.left_out & ENCODED_QUERY != 0;
            add(reading, has_query);
        }
        if !query.is_empty() {
            // A wildcard of a rule stands for any text.
            add(Reading { text: folded(uri), left_out: 0 }, false);
        }
        Some(possible)
    }
}

/// What each server reads of a URI, as it is written and decoded. Returns `None` if that is too much.
fn asked<'u>(uri: &'u str, decoded: &'u str) -> Option<Asked<'u>> {
    let kind = |marks| {
        let texts = [Some(uri), Some(decoded).filter(|decoded| *decoded != uri)];
        let split = texts.into_iter().flatten().map(|uri| split_query(uri, marks));
        split
            .map(|(path, query)| Some((readings(as_parsed(path))?, query)))
            .collect::<Option<Vec<_>>>()
    };
    Some([kind(MARKS)?, kind(ENCODED_MARKS)?])
}

/// Checks the form of a URI, and of the spelling that a server makes of it when it decodes it.
fn check_form(uri: &str, decoded: &str, is_template: bool) -> Result<(), Denial> {
    let check = if is_template { rule_uri::check_template } else { uri::check };
    let spellings = [Some(uri), Some(decoded).filter(|decoded| *decoded != uri)];
    spellings.into_iter().flatten().try_for_each(check).map_err(refused)
}

fn refused(why: &str) -> Denial {
    Denial::bad_message(BadMessage::Uri).detail(format!(
        "the URI that the client asks for is not in canonical form, so that the server could read another resource than the rules see: {why}; if the server lists it so, name it in a rule, byte for byte: `.resource(\"..\", ..)`"
    ))
}

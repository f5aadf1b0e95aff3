//! `ResourceRules`: the rules for URIs, which hold for every way in which servers read a URI.

use std::borrow::Cow;

use crate::model::denial::Denial;
use crate::model::error_codes::BadMessage;
use crate::policy::rule::Rule;
use crate::policy::tool_scopes::pattern::Pattern;
use crate::policy::tool_scopes::table::Table;
use crate::policy::tool_scopes::uri::{Form, form};
use crate::policy::tool_scopes::{readings, rule_uri};

/// The rules for resources.
#[derive(Clone, Debug, Default)]
pub(super) struct ResourceRules {
    rules: Table,
    /// The rules that name a query or a fragment, by what comes before it.
    by_path: Table,
    /// The rules with capitals in the host, or with plus signs, in their folded form.
    by_folded: Table,
    /// A rule that no request would meet.
    never_matching: Option<Box<str>>,
}

impl ResourceRules {
    pub(super) fn add(&mut self, text: &str, rule: Rule) {
        let normal = rule_uri::encoded(text);
        let can_match = match Pattern::of(&normal) {
            Some(pattern) => rule_uri::can_match(&normal, pattern.prefix()),
            None => text.trim() == text && rule_uri::is_stable(&normal),
        };
        if !can_match && !text.is_empty() {
            self.never_matching.get_or_insert_with(|| text.into());
        }
        if let Some(path) = readings::before_query(&normal).filter(|path| !path.is_empty()) {
            self.by_path.add(path, rule.clone());
        }
        let is_other = |folded: &String| {
            let pattern = Pattern::of(folded);
            pattern.is_none() || pattern != Pattern::of(&normal)
        };
        if let Some(folded) = readings::folded(&normal).filter(is_other) {
            self.by_folded.add(&folded, rule.clone());
        }
        // A rule also allows the bytes that the operator wrote.
        if normal != text {
            self.rules.add(text, rule.clone());
        }
        self.rules.add(&normal, rule);
    }

    pub(super) fn append(&mut self, other: Self) {
        self.rules.append(other.rules);
        self.by_path.append(other.by_path);
        self.by_folded.append(other.by_folded);
        self.never_matching = self.never_matching.take().or(other.never_matching);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    pub(super) fn never_matching(&self) -> Option<&str> {
        self.never_matching.as_deref()
    }

    pub(super) fn tables(&self) -> impl Iterator<Item = &Table> {
        [&self.rules, &self.by_path, &self.by_folded].into_iter()
    }

    pub(super) fn tables_mut(&mut self) -> impl Iterator<Item = &mut Table> {
        [&mut self.rules, &mut self.by_path, &mut self.by_folded].into_iter()
    }

    /// Calls `found` for each rule that a request for a URI, or for a template, must meet.
    ///
    /// Servers read a URI in different ways. A URI that is not in canonical form is refused, unless a rule names
    /// it byte for byte. What is left are differences that honest clients need. There, the rules for each
    /// reading must be met.
    pub(super) fn find<'r>(
        &'r self,
        uri: &str,
        is_template: bool,
        found: &mut impl FnMut(&'r Rule),
    ) -> Result<(), Denial> {
        let is_named = self.rules.exact.contains_key(uri);
        if !is_named {
            self.check_form(uri, is_template)?;
        }
        self.find_spelling(uri, is_named, is_template, found);
        if !is_named {
            for spelling in decoded_spellings(uri) {
                self.find_spelling(&spelling, false, is_template, found);
            }
        }
        Ok(())
    }

    /// Calls `found` for the rules of a URI in one of its spellings.
    fn find_spelling<'r>(
        &'r self,
        uri: &str,
        is_named: bool,
        is_template: bool,
        found: &mut impl FnMut(&'r Rule),
    ) {
        let own = self.find_readings(0, uri, found);
        if !is_named && !self.by_folded.is_empty() {
            let folded = readings::folded(uri);
            let least = own.unwrap_or(0);
            self.by_folded.find_from(least, folded.as_deref().unwrap_or(uri), found);
        }
        if is_template && uri.contains('{') {
            // The template, as the name of one resource.
            let encoded = uri.replace('{', "%7B").replace('}', "%7D");
            self.rules.find_from(usize::MAX, &encoded, found);
        }
        if !is_named && let Some(path) = readings::before_query(uri) {
            // Some servers ignore a query, and some take one parameter of it.
            let names_it = |(pattern, _): &(Pattern, Rule)| pattern.names_query_of(path);
            let is_named = own.is_some() && self.rules.matching(uri, own).any(names_it);
            self.find_readings(if is_named { own.unwrap_or(0) } else { 0 }, path, found);
            self.by_path.find_all(path, found);
        }
    }

    /// Calls `found` for the rules of a URI, and for those of its other readings that are as specific. Returns
    /// how specific the rules of the URI are.
    fn find_readings<'r>(
        &'r self,
        least: usize,
        uri: &str,
        found: &mut impl FnMut(&'r Rule),
    ) -> Option<usize> {
        let own = self.rules.find_with_empty(least, uri, found);
        let least = match own {
            // The slash at the end does not make a pattern more specific than those of the URI without it.
            Some(length) if length < usize::MAX && uri.ends_with('/') => length.saturating_sub(1),
            Some(length) => length,
            None => least,
        };
        let mut also = |reading: &str| {
            self.rules.find_from(least, reading, found);
        };
        also(&readings::with_other_end(uri));
        let readings = [readings::folded(uri), readings::with_plain_authority(uri)];
        for reading in readings.into_iter().flatten() {
            also(&reading);
            also(&readings::with_other_end(&reading));
        }
        own
    }

    fn check_form(&self, uri: &str, is_template: bool) -> Result<(), Denial> {
        let form_of =
            |uri: &str| if is_template { rule_uri::form_of_template(uri) } else { form(uri) };
        // The last spelling is the one that a URL parser would make of the decoded URI.
        let decoded = decoded_spellings(uri).last();
        let form = match (form_of(uri), decoded.map(|decoded| form_of(&decoded))) {
            (Form::Canonical | Form::Authority { .. }, Some(Form::Other(why))) => Form::Other(why),
            (form, _) => form,
        };
        let why = match form {
            Form::Canonical => return Ok(()),
            Form::Authority { end } => {
                let names = |(pattern, _): &(Pattern, Rule)| {
                    pattern.prefix().len() > end || pattern.prefix().len() == uri.len()
                };
                if self.rules.matching(uri, None).any(names) {
                    return Ok(());
                }
                "it has a port or user information, no host, or one where a file has none"
            }
            Form::Other(why) => why,
        };
        Err(Denial::bad_message(BadMessage::Uri).detail(format!(
            "the URI that the client asks for is not in canonical form, so that the server could read another resource than the rules see: {why}; if the server lists it so, name it in a rule, byte for byte: `.resource(\"..\", ..)`"
        )))
    }
}

/// The spellings of a canonical URI in which the characters of its path are not encoded that need not be. None if it
/// has no others.
fn decoded_spellings(uri: &str) -> impl Iterator<Item = String> {
    let decoded = Some(rule_uri::encoded(uri)).filter(|decoded| decoded != uri);
    let short = decoded.as_deref().and_then(readings::with_short_port);
    decoded.map(Cow::into_owned).into_iter().chain(short)
}

//! Patterns for names: globs, and simple URI templates.

use std::cell::Cell;
use std::ops::RangeInclusive;

/// A pattern: a literal prefix, then wildcards and literal texts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pattern {
    prefix: Box<str>,
    parts: Vec<Part>,
    literal_chars: usize,
}

/// How many steps comparisons may take, so that a text cannot be made for patterns that then take seconds.
#[derive(Debug)]
pub(super) struct Steps(Cell<u32>);

impl Steps {
    pub(super) fn new(number: u32) -> Self {
        Self(Cell::new(number))
    }

    /// Whether there were enough, so that the results are right.
    pub(super) fn sufficed(&self) -> bool {
        self.0.get() > 0
    }

    /// Takes steps. Returns `false` if there are none left.
    fn take(&self, number: usize) -> bool {
        let left = self.0.get().saturating_sub(u32::try_from(number).unwrap_or(u32::MAX));
        self.0.set(left);
        left > 0
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Literal(Box<str>),
    /// `*`, and RFC 6570 expressions that may cross a slash (`{+path}`, `{path*}`): any text, even empty.
    Anything,
    /// `{name}`: characters of one segment, `/` is none of them.
    Segment,
    /// Any one byte.
    Byte,
}

/// Characters that stand for wildcards while a pattern is folded as a text. No name has control characters.
pub(super) const ANYTHING: char = '\u{1}';
pub(super) const SEGMENT: char = '\u{2}';

/// Marks the wildcards of a text: [`Pattern::of_marked`] reads them.
pub(super) fn with_marked_wildcards(text: &str) -> String {
    let mut marked = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find(['*', '{']) {
        let (literal, gap) = rest.split_at(start);
        let (wildcard, after) = match (gap.strip_prefix('*'), gap.split_once('}')) {
            (Some(after), _) => (ANYTHING, after),
            (None, Some((expression, after))) => {
                let name = expression.trim_start_matches('{');
                // `{path*}` crosses slashes in FastMCP.
                let is_simple = name.starts_with(|c: char| c.is_alphanumeric() || c == '_')
                    && !name.ends_with('*');
                (if is_simple { SEGMENT } else { ANYTHING }, after)
            }
            (None, None) => break,
        };
        marked += literal;
        marked.push(wildcard);
        rest = after;
    }
    marked + rest
}

impl Pattern {
    /// Parses a pattern. Returns `None` if the text has no wildcard: then it is a name.
    pub(super) fn of(text: &str) -> Option<Self> {
        Some(Self::of_marked(&with_marked_wildcards(text))).filter(|it| !it.parts.is_empty())
    }

    /// A pattern whose wildcards are marked, or a name.
    pub(super) fn of_marked(text: &str) -> Self {
        let mut parts = Vec::new();
        for piece in text.split_inclusive([ANYTHING, SEGMENT]) {
            let literal = piece.trim_end_matches([ANYTHING, SEGMENT]);
            if !literal.is_empty() {
                parts.push(Part::Literal(literal.into()));
            }
            match piece.chars().next_back() {
                Some(ANYTHING) => parts.push(Part::Anything),
                Some(SEGMENT) => parts.push(Part::Segment),
                _ => {}
            }
        }
        Self::of_parts(parts)
    }

    fn of_parts(mut parts: Vec<Part>) -> Self {
        let count = |part: &Part| match part {
            Part::Literal(text) => text.chars().count(),
            _ => 0,
        };
        let literal_chars = parts.iter().map(count).sum();
        let prefix = match parts.first() {
            Some(Part::Literal(text)) => text.clone(),
            _ => Box::default(),
        };
        parts.drain(..usize::from(!prefix.is_empty()));
        Self { prefix, parts, literal_chars }
    }

    /// The same pattern, with any byte for each `.`, if it is a template: some servers make a regular expression
    /// of a template, and do not escape the text between its variables.
    pub(super) fn with_any_for_dots(self) -> Self {
        if !self.parts.contains(&Part::Segment) {
            return self;
        }
        let mut parts = Vec::new();
        for part in [Part::Literal(self.prefix)].into_iter().chain(self.parts) {
            let Part::Literal(text) = part else {
                parts.push(part);
                continue;
            };
            for (i, literal) in text.split('.').enumerate() {
                parts.extend((i > 0).then_some(Part::Byte));
                parts.extend((!literal.is_empty()).then(|| Part::Literal(literal.into())));
            }
        }
        Self::of_parts(parts)
    }

    /// The literal prefix of every name that matches. May be empty.
    pub(super) fn prefix(&self) -> &str {
        &self.prefix
    }

    /// The number of its literal characters. The more, the more specific it is.
    pub(super) fn literal_chars(&self) -> usize {
        self.literal_chars
    }

    pub(super) fn is_name(&self) -> bool {
        self.parts.is_empty()
    }

    pub(super) fn ends_with_anything(&self) -> bool {
        self.parts.last() == Some(&Part::Anything)
    }

    pub(super) fn ends_with_wildcard(&self) -> bool {
        matches!(self.parts.last(), Some(Part::Anything | Part::Segment))
    }

    pub(super) fn may_match_all_of(&self, name: &str, steps: &Steps) -> bool {
        name.strip_prefix(&*self.prefix).is_some_and(|rest| self.may_match(rest, 1, steps))
    }

    /// Whether a name with the right prefix matches, given the rest of the name, if a variable has at least so
    /// many bytes: one, or none. The time is at most proportional to the length of the pattern times that of the
    /// rest.
    pub(super) fn matches(&self, rest: &str, shortest_variable: usize) -> bool {
        self.may_match(rest, shortest_variable, &Steps::new(u32::MAX))
    }

    /// Like [`matches`](Self::matches). Returns `true` if the steps do not suffice to find out.
    pub(super) fn may_match(&self, rest: &str, shortest_variable: usize, steps: &Steps) -> bool {
        match &*self.parts {
            [Part::Anything] => true,
            [Part::Anything, Part::Literal(end)] => rest.ends_with(&**end),
            [.., Part::Literal(end)] if !rest.ends_with(&**end) => false,
            parts => {
                // Most names lack a literal, and this is fast.
                let has = |part: &Part| match part {
                    Part::Literal(literal) => {
                        !steps.take(1 + rest.len() / 32) || rest.contains(&**literal)
                    }
                    _ => true,
                };
                parts.iter().all(has) && follow(parts, rest.as_bytes(), shortest_variable, steps)
            }
        }
    }
}

/// Follows all possible matches at once. `places` are where the next part could begin: ascending ranges without
/// overlap, so that there are few of them.
fn follow(parts: &[Part], text: &[u8], shortest_variable: usize, steps: &Steps) -> bool {
    let mut places = vec![0..=0];
    let mut next = Vec::new();
    for part in parts {
        let bytes = |place: &RangeInclusive<usize>| 1 + place.end().saturating_sub(*place.start());
        if !steps.take(places.iter().map(bytes).sum()) {
            return true;
        }
        match part {
            Part::Anything => next.extend(places.first().map(|first| *first.start()..=text.len())),
            Part::Segment => {
                let mut covered = 0;
                for place in &places {
                    let mut start = *place.start().max(&covered);
                    while start <= *place.end() {
                        let rest = text.get(start..).unwrap_or_default();
                        let end = start + rest.iter().take_while(|byte| **byte != b'/').count();
                        if start + shortest_variable <= end {
                            next.push(start + shortest_variable..=end);
                        }
                        start = end + 1;
                        covered = start;
                    }
                }
            }
            Part::Byte => next.extend(
                places.iter().map(|place| place.start() + 1..=(place.end() + 1).min(text.len())),
            ),
            Part::Literal(literal) => {
                for place in &places {
                    let end = (place.end() + literal.len()).min(text.len());
                    let within = text.get(*place.start()..end).unwrap_or_default();
                    let found = within.windows(literal.len()).enumerate();
                    let found = found.filter(|(_, window)| *window == literal.as_bytes());
                    next.extend(found.map(|(at, _)| {
                        let after = place.start() + at + literal.len();
                        after..=after
                    }));
                }
            }
        }
        std::mem::swap(&mut places, &mut next);
        next.clear();
        if places.is_empty() {
            return false;
        }
    }
    places.last().is_some_and(|last| last.contains(&text.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Pattern {
        fn matches_all_of(&self, name: &str) -> bool {
            self.may_match_all_of(name, &Steps::new(u32::MAX))
        }
    }

    #[test]
    fn patterns_match_names_and_uris() {
        let rows = [
            ("*", "", true),
            ("*", "anything/at all", true),
            ("a*", "a", true),
            ("a*", "ba", false),
            ("*a", "ba", true),
            ("a*a", "a", false),
            ("a*a", "aa", true),
            ("a*b*c", "a-b-c", true),
            ("a*b*c", "a-c-b", false),
            ("*b*b*", "abab", true),
            ("*b*b*b", "abab", false),
            ("*ab*ab", "aabab", true),
            ("n://{owner}", "n://alice", true),
            ("n://{owner}", "n://alice/x", false),
            ("n://{owner}", "n://", false),
            ("n://{owner}/{id}", "n://a/b", true),
            ("n://{owner}/{id}", "n://a/b/c", false),
            ("n://{owner}/{id}{?format}", "n://a/b?format=c", true),
            ("n://{owner}/*", "n://a/b/c", true),
            ("n://{owner}/*", "n:///b", false),
            ("n://{+path}", "n://a/b", true),
            ("n://{/path*}", "n://a/b", true),
            ("n://{path*}", "n://a/b", true),
            ("{a}{b}", "x", false),
            ("{a}{b}", "xy", true),
            ("{a}{b}{c}", "xy", false),
            ("{a}-{b}", "x-y-z", true),
            ("{a}x", "xx", true),
            ("{a}x", "x", false),
            ("*{a}/x", "p/q/x", true),
            ("*{a}/x", "p//x", false),
            ("*/{a}", "p/q/r", true),
            ("*/{a}", "p/q/", false),
            ("é*ü", "éü", true),
        ];
        for (pattern, name, fits) in rows {
            let pattern = Pattern::of(pattern).expect(pattern);
            assert_eq!(pattern.matches_all_of(name), fits, "{pattern:?} {name}");
        }
        assert_eq!(Pattern::of("plain"), None);
        assert_eq!(Pattern::of("open{brace"), None);
    }

    #[test]
    fn a_variable_may_be_empty_in_some_servers() {
        for (pattern, name, expected) in [
            ("n://a/{id}", "n://a/", true),
            ("n://a/{id}", "n://a/b", true),
            ("n://a/{id}", "n://a/b/", false),
            ("n://a/{id}.x", "n://a/.x", true),
            ("n://{a}/{b}", "n:///", true),
            ("n://{a}/{b}", "n:///x/", false),
            ("{a}{b}", "", true),
        ] {
            let pattern = Pattern::of(pattern).expect(pattern);
            let rest = name.strip_prefix(pattern.prefix()).expect(name);
            assert_eq!(pattern.matches(rest, 0), expected, "{pattern:?} {name}");
        }
    }

    #[test]
    fn a_dot_of_a_template_may_be_any_byte() {
        for (pattern, name, expected) in [
            ("n://{owner}/private.txt", "n://a/private.txt", true),
            ("n://{owner}/private.txt", "n://a/private-txt", true),
            ("n://{owner}/private.txt", "n://a/privatetxt", false),
            ("n://{id}.secret", "n://a/secret", true),
            ("n://a.b/{id}", "n://a/b/c", true),
            ("n://{id}.", "n://a", false),
            ("n://{id}.", "n://ab", true),
            ("n://{id}..", "n://abc", true),
            ("n://*.txt", "n://a-txt", false),
        ] {
            let pattern = Pattern::of(pattern).expect(pattern).with_any_for_dots();
            assert_eq!(pattern.matches_all_of(name), expected, "{pattern:?} {name}");
        }
    }

    #[test]
    fn a_pattern_that_takes_too_many_steps_may_match() {
        let pattern = Pattern::of("*a*b*c").expect("a pattern");
        let rest = "ab".repeat(1000) + "xc";
        assert!(!pattern.may_match("ab", 1, &Steps::new(u32::MAX)));
        assert!(pattern.may_match(&rest, 1, &Steps::new(u32::MAX)));
        let other = "ba".repeat(1000) + "c";
        let pattern = Pattern::of("*ab*b*b{x}z*c").expect("a pattern");
        assert!(!pattern.may_match(&other, 1, &Steps::new(u32::MAX)));
        assert!(pattern.may_match(&(other + "zc"), 1, &Steps::new(100)));
    }

    #[test]
    fn long_names_and_many_gaps_take_no_time() {
        let pattern = Pattern::of(&"*a{x}".repeat(30)).expect("a pattern");
        assert!(!pattern.matches(&"a".repeat(8000).replace("aaaaaaaa", "aaaaaaa/"), 1));
    }
}

//! Patterns for names: globs, and simple URI templates.

/// A pattern: a literal prefix, then wildcards and literal texts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pattern {
    prefix: Box<str>,
    parts: Vec<Part>,
    literal_len: usize,
    /// What comes before its query, if it names one.
    path: Option<Box<Pattern>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Literal(Box<str>),
    /// `*`, and RFC 6570 expressions that may cross a slash (`{+path}`, `{path*}`): any text, even empty.
    Anything,
    /// `{name}`: one or more characters, but none that ends a segment of a path (`/`, `?`, `#`).
    Segment,
}

impl Pattern {
    /// Parses a pattern. Returns `None` if the text has no wildcard: then it is a name.
    pub(super) fn of(text: &str) -> Option<Self> {
        Some(Self::parsed(text)).filter(|pattern| !pattern.parts.is_empty())
    }

    fn parsed(text: &str) -> Self {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(start) = rest.find(['*', '{']) {
            let (literal, gap) = rest.split_at(start);
            let (part, after) = match gap.strip_prefix('*') {
                Some(after) => (Part::Anything, after),
                None => match gap.strip_prefix('{').and_then(|name| name.split_once('}')) {
                    Some((name, after)) => {
                        // `{path*}` crosses slashes in FastMCP.
                        let is_simple = name.starts_with(|c: char| c.is_alphanumeric() || c == '_')
                            && !name.ends_with('*');
                        (if is_simple { Part::Segment } else { Part::Anything }, after)
                    }
                    None => break,
                },
            };
            if !literal.is_empty() {
                parts.push(Part::Literal(literal.into()));
            }
            parts.push(part);
            rest = after;
        }
        if !rest.is_empty() {
            parts.push(Part::Literal(rest.into()));
        }
        let length = |part: &Part| if let Part::Literal(text) = part { text.len() } else { 0 };
        let literal_len = parts.iter().map(length).sum();
        let prefix = match parts.first() {
            Some(Part::Literal(text)) => text.clone(),
            _ => Box::default(),
        };
        parts.drain(..usize::from(!prefix.is_empty()));
        // A variable for a query has its mark in braces: `{?format}`.
        let path = text.split_once('?').map(|(path, _)| path.strip_suffix('{').unwrap_or(path));
        let path = path.map(|path| Box::new(Self::parsed(path)));
        Self { prefix, parts, literal_len, path }
    }

    /// The literal prefix of every name that matches. May be empty.
    pub(super) fn prefix(&self) -> &str {
        &self.prefix
    }

    /// The length of its literal text. The longer, the more specific it is.
    pub(super) fn literal_len(&self) -> usize {
        self.literal_len
    }

    /// Whether it names a query of this path.
    pub(super) fn names_query_of(&self, path: &str) -> bool {
        let is_same =
            |own: &Self| path.strip_prefix(own.prefix()).is_some_and(|it| own.matches(it));
        self.path.as_deref().is_some_and(is_same)
    }

    /// Whether a name with the right prefix matches, given the rest of the name. The time is at most
    /// proportional to the length of the pattern times that of the rest.
    pub(super) fn matches(&self, rest: &str) -> bool {
        self.fits(rest, 1)
    }

    /// Like [`matches`](Self::matches), also where a variable is empty: some servers match that too.
    pub(super) fn may_match(&self, rest: &str) -> bool {
        self.fits(rest, 0)
    }

    fn fits(&self, rest: &str, shortest_variable: usize) -> bool {
        match &*self.parts {
            [Part::Anything] => true,
            [Part::Anything, Part::Literal(end)] => rest.ends_with(&**end),
            [.., Part::Literal(end)] if !rest.ends_with(&**end) => false,
            parts => matches_all(parts, rest.as_bytes(), shortest_variable),
        }
    }
}

/// Follows all possible matches at once: `here` marks where the next part could begin.
#[expect(
    clippy::indexing_slicing,
    reason = "`here` and `next` have a place for each byte and one more"
)]
fn matches_all(parts: &[Part], text: &[u8], shortest_variable: usize) -> bool {
    let mut here = vec![false; text.len() + 1];
    here[0] = true;
    for part in parts {
        let mut next = vec![false; text.len() + 1];
        match part {
            Part::Literal(literal) => {
                for from in (0..=text.len()).filter(|from| here[*from]) {
                    if text[from..].starts_with(literal.as_bytes()) {
                        next[from + literal.len()] = true;
                    }
                }
            }
            Part::Anything => {
                let first = here.iter().position(|is_here| *is_here).unwrap_or(here.len());
                next[first..].fill(true);
            }
            Part::Segment => {
                if shortest_variable == 0 {
                    next.clone_from(&here);
                }
                for to in 1..=text.len() {
                    let is_inside = !matches!(text[to - 1], b'/' | b'?' | b'#');
                    next[to] |= is_inside && (here[to - 1] || next[to - 1]);
                }
            }
        }
        if !next.contains(&true) {
            return false;
        }
        here = next;
    }
    here.last() == Some(&true)
}

#[cfg(test)]
mod tests {
    use super::*;

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
            ("n://{owner}", "n://alice", true),
            ("n://{owner}", "n://alice/x", false),
            ("n://{owner}", "n://", false),
            ("n://{owner}/{id}", "n://a/b", true),
            ("n://{owner}/{id}", "n://a/b/c", false),
            ("n://{owner}", "n://a?x", false),
            ("n://{owner}", "n://a#x", false),
            ("n://{owner}/{id}{?format}", "n://a?x=/b", false),
            ("n://{owner}/{id}{?format}", "n://a/b?format=c", true),
            ("n://{owner}/*", "n://a/b/c", true),
            ("n://{owner}/*", "n:///b", false),
            ("n://{+path}", "n://a/b", true),
            ("n://{/path*}", "n://a/b", true),
            ("n://{path*}", "n://a/b", true),
            ("{a}{b}", "x", false),
            ("{a}{b}", "xy", true),
            ("{a}-{b}", "x-y-z", true),
            ("{a}x", "xx", true),
            ("{a}x", "x", false),
            ("é*ü", "éü", true),
        ];
        for (pattern, name, fits) in rows {
            let pattern = Pattern::of(pattern).expect(pattern);
            let rest = name.strip_prefix(pattern.prefix());
            assert_eq!(rest.is_some_and(|it| pattern.matches(it)), fits, "{pattern:?} {name}");
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
            ("n://{a}/{b}", "n://?/", false),
        ] {
            let pattern = Pattern::of(pattern).expect(pattern);
            let rest = name.strip_prefix(pattern.prefix()).expect(name);
            assert_eq!(pattern.may_match(rest), expected, "{pattern:?} {name}");
        }
    }

    #[test]
    fn a_pattern_names_the_queries_of_its_path() {
        for (pattern, path, expected) in [
            ("n://{owner}/{id}{?format}", "n://a/b", true),
            ("n://{owner}/{id}{?format}", "n://a", false),
            ("n://*/b?id=*", "n://a/b", true),
            ("n://*/b?id=*", "n://a", false),
            ("n://a?id=*", "n://a", true),
            ("n://a?id=*", "n://ab", false),
            ("n://*", "n://a", false),
        ] {
            let pattern = Pattern::of(pattern).expect(pattern);
            assert_eq!(pattern.names_query_of(path), expected, "{pattern:?} {path}");
        }
    }

    #[test]
    fn long_names_and_many_gaps_take_no_time() {
        let pattern = Pattern::of(&"*a{x}".repeat(30)).expect("a pattern");
        assert!(!pattern.matches(&"a".repeat(8000).replace("aaaaaaaa", "aaaaaaa/")));
    }
}

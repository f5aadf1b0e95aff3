//! Messages of serde and of the TOML parser, in other words.

/// How the message about an unknown key begins.
pub(crate) const UNKNOWN_KEY: &str = "unknown key `";

/// What the library and other programs call a key.
const OTHER_NAMES: [(&str, &str); 9] = [
    ("alias", "aliases"),
    ("api_keys", "api_keys_file"),
    ("audience", "audiences"),
    ("authorization_servers", "issuers"),
    ("issuer", "url"),
    ("issuer", "issuers"),
    ("required_scope", "scopes"),
    ("required_scopes", "scopes"),
    ("scopes_required", "scopes"),
];

/// A message of serde or of the TOML parser, in the words of somebody who writes a file.
pub(crate) fn in_words(message: &str) -> String {
    let message = message.trim_end();
    match message {
        "duplicate key" => return "this key is there twice: leave one out".into(),
        "string values must be quoted, expected literal string" => {
            return "a text must be in quotes".into();
        }
        _ => {}
    }
    if let Some(rest) = message.strip_prefix("unknown field `") {
        return with_nearest(rest);
    }
    if let Some(rest) = message.strip_prefix("missing field `") {
        return format!("the key `{} is missing", rest);
    }
    if let Some(rest) = message.strip_prefix("unknown variant `") {
        let mut words = rest.split('`').step_by(2);
        let unknown = words.next().unwrap_or_default();
        let known: Vec<_> = rest.split('`').skip(2).step_by(2).collect();
        return format!("{unknown:?} is not known here; known are: {}", known.join(", "));
    }
    let wrong = ["invalid type: ", "invalid value: "];
    let wrong = wrong.iter().find_map(|start| message.strip_prefix(start));
    match wrong.and_then(|wrong| wrong.rsplit_once(", expected ")) {
        Some((found, expected)) => {
            format!(
                "this is {}, and should be {}",
                found_in_words(found),
                expected_in_words(expected)
            )
        }
        None => message.into(),
    }
}

fn found_in_words(found: &str) -> String {
    let (kind, value) = found.split_once(' ').unwrap_or((found, ""));
    match kind {
        "string" => format!("the text {value}"),
        "integer" => format!("the number {}", value.trim_matches('`')),
        "floating" => {
            format!("the number {}", value.trim_start_matches("point ").trim_matches('`'))
        }
        "boolean" => value.trim_matches('`').into(),
        "sequence" => "a list".into(),
        "map" => "a table".into(),
        _ => found.into(),
    }
}

fn expected_in_words(expected: &str) -> &str {
    match expected {
        "a sequence" => "a list, such as [\"a\", \"b\"]",
        "a string" | "path string" | "a borrowed string" => "a text in quotes",
        "a boolean" => "`true` or `false`",
        "usize" | "u64" | "u32" | "u16" => "a whole number, 0 or more",
        "a map" => "a table",
        name if name.starts_with("struct ") || name.starts_with("internally tagged") => "a table",
        other => other,
    }
}

/// About an unknown key, with the nearest of the known ones.
fn with_nearest(rest: &str) -> String {
    let mut words = rest.split('`').step_by(2);
    let unknown = words.next().unwrap_or_default();
    let known: Vec<_> = rest.split('`').skip(2).step_by(2).collect();
    let is_other = |(other, key): &&(&str, &str)| *other == unknown && known.contains(key);
    if let Some((_, key)) = OTHER_NAMES.iter().find(is_other) {
        return format!("`{unknown}` is called `{key}` here");
    }
    // A key that is not near may be a safe one for a dangerous one, and whoever follows the advice loses a check.
    let nearest = known.iter().min_by_key(|known| distance(unknown, known));
    match nearest.filter(|nearest| distance(unknown, nearest) <= unknown.len().div_ceil(4)) {
        Some(nearest) => format!("unknown key `{unknown}`; did you mean `{nearest}`?"),
        None => format!("unknown key `{unknown}`; the keys here are: {}", known.join(", ")),
    }
}

/// The number of characters to insert, delete or replace (Levenshtein).
fn distance(one: &str, other: &str) -> usize {
    let mut row: Vec<_> = (0..=other.chars().count()).collect();
    for (i, a) in one.chars().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        for (b, above) in other.chars().zip(row.iter_mut().skip(1)) {
            let here = (diagonal + usize::from(a != b)).min(*above + 1).min(left + 1);
            diagonal = std::mem::replace(above, here);
            left = here;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_counted() {
        for (one, other, expected) in [
            ("", "", 0),
            ("abc", "", 3),
            ("", "abc", 3),
            ("scope", "scopes", 1),
            ("kitten", "sitting", 3),
        ] {
            assert_eq!(distance(one, other), expected, "{one} {other}");
        }
    }

    #[test]
    fn messages_are_in_words() {
        for (message, expected) in [
            (
                "unknown field `scope`, expected one of `url`, `scopes`",
                "unknown key `scope`; did you mean `scopes`?",
            ),
            (
                "unknown field `zzzz`, expected `url` or `scopes`",
                "unknown key `zzzz`; the keys here are: url, scopes",
            ),
            (
                "unknown field `required_scopes`, expected one of `url`, `scopes`, `initial_scopes`",
                "`required_scopes` is called `scopes` here",
            ),
            (
                "unknown field `needed_scopes`, expected one of `url`, `initial_scopes`",
                "unknown key `needed_scopes`; the keys here are: url, initial_scopes",
            ),
            ("unknown field `issuer`, expected `url` or `keys`", "`issuer` is called `url` here"),
            ("missing field `url`", "the key `url` is missing"),
            (
                "unknown variant `maybe`, expected `optional` or `required`",
                "\"maybe\" is not known here; known are: optional, required",
            ),
            (
                "invalid type: string \"a, expected b\", expected a sequence",
                "this is the text \"a, expected b\", and should be a list, such as [\"a\", \"b\"]",
            ),
            (
                "invalid type: integer `5`, expected a string",
                "this is the number 5, and should be a text in quotes",
            ),
            ("anything else", "anything else"),
        ] {
            assert_eq!(in_words(message), expected);
        }
    }
}

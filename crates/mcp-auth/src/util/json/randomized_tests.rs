//! Randomized tests: thousands of generated and corrupted texts are read as by serde_json.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::*;

/// A pseudo-random number generator with a fixed seed (xorshift).
struct Rng(u64);

impl Rng {
    fn below(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % sides as u64).expect("small")
    }

    fn one_of<'a>(&mut self, all: &[&'a str]) -> &'a str {
        all[self.below(all.len())]
    }

    fn space(&mut self) -> &'static str {
        self.one_of(&["", "", "", "", "", " ", "\n", "\t", "\r\n ", "  "])
    }

    fn string(&mut self) -> String {
        let pieces = [
            "a",
            "b",
            "exp",
            "name",
            "aaaaaaaa",
            "é",
            "😀",
            "\u{7f}",
            "\u{80}",
            "\u{2028}",
            "\\u0061",
            "\\u0065xp",
            "\\n",
            "\\\\",
            "\\/",
            "\\\"",
            "\\ud83d\\ude00",
            "\\ud800",
            "\\udc00",
            "\\u0000",
            "\\u00E9",
            "$serde_json::private::RawValue",
            "0123456789abcdef0123456789abcdef0123456789abcdef",
        ];
        let mut text = String::from('"');
        for _ in 0..self.below(4) {
            text += self.one_of(&pieces);
        }
        text + "\""
    }

    fn value(&mut self, depth: usize) -> String {
        let scalars = [
            "0",
            "-0",
            "1.5",
            "-2e+3",
            "1E400",
            "12345678901234567890",
            "true",
            "false",
            "null",
            "[]",
            "{}",
        ];
        let value = match self.below(if depth == 0 { 6 } else { 10 }) {
            0..=2 => self.one_of(&scalars).to_owned(),
            3..=5 => self.string(),
            6..=7 => {
                let all: Vec<_> = (0..self.below(5)).map(|_| self.value(depth - 1)).collect();
                format!("[{}{}]", self.space(), all.join(","))
            }
            _ => self.object(depth - 1),
        };
        format!("{}{value}{}", self.space(), self.space())
    }

    fn object(&mut self, depth: usize) -> String {
        let number = [0, 1, 2, 3, 5, 9, 12, 20, 127, 128, 129, 140]
            [self.below(if depth == 0 { 12 } else { 6 })];
        let members: Vec<_> = (0..number)
            .map(|i| {
                let name = match self.below(8) {
                    0 => self.string(),
                    1 => format!("\"\\u{:04x}{i}\"", b'm'),
                    _ => format!("\"m{i}\""),
                };
                format!("{}{name}{}:{}", self.space(), self.space(), self.value(depth))
            })
            .collect();
        format!("{{{}}}", members.join(","))
    }

    /// The text with one or two random changes.
    fn mutated(&mut self, text: &str) -> String {
        let signs = [
            "\0", "\t", "\n", " ", "\"", "\\", "/", "{", "}", "[", "]", ":", ",", ".", "-", "+",
            "e", "E", "u", "0", "9", "a", "x", "null", "\\u12", "\u{1f}", "\u{7f}", "\u{a0}",
            "\u{feff}", "\u{ff11}",
        ];
        let mut text: Vec<char> = text.chars().collect();
        for _ in 0..=self.below(2) {
            let place = self.below(text.len() + 1);
            let end = (place + self.below(2)).min(text.len());
            let sign = if self.below(3) == 0 { "" } else { self.one_of(&signs) };
            text.splice(place..end, sign.chars());
        }
        text.into_iter().collect()
    }
}

/// Collects all members of an object with serde_json: decoded names, raw values.
struct All;

impl<'de> Visitor<'de> for All {
    type Value = Vec<(String, &'de RawValue)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut all = Vec::new();
        while let Some(name) = map.next_key_seed(Name)? {
            all.push((name.into_owned(), map.next_value()?));
        }
        Ok(all)
    }
}

fn all(text: &str) -> Option<Vec<(String, &RawValue)>> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let all = deserializer.deserialize_map(All).ok()?;
    deserializer.end().ok().map(|()| all)
}

fn has_each_once<'n>(names: impl Iterator<Item = &'n String>) -> bool {
    let mut counts = BTreeMap::new();
    names.for_each(|name| *counts.entry(name).or_insert(0) += 1);
    counts.values().all(|count| *count == 1)
}

/// Compares the readings of a text and of the values in it. Returns how many values were compared.
fn compare(text: &str) -> usize {
    let value = Raw::read(text);
    assert_eq!(value.is_some(), serde_json::from_str::<IgnoredAny>(text).is_ok(), "{text:?}");

    let object = all(text);
    let fits = |all: &Vec<(String, &RawValue)>| has_each_once(all.iter().map(|it| &it.0));
    let expected = object.as_ref().filter(|all| fits(all)).map(|all| {
        all.iter().map(|(name, value)| (name.clone(), value.get().to_owned())).collect::<Vec<_>>()
    });
    let found = Object::of(text);
    let members = found.as_ref().ok().map(|it| {
        it.iter().map(|(name, value)| (name.to_owned(), value.get().to_owned())).collect()
    });
    assert_eq!(members, expected, "{text:?}");
    if let (Some(object), Err(why)) = (&object, found.as_ref()) {
        let is_duplicate = !has_each_once(object.iter().map(|it| &it.0));
        assert_eq!(*why == ObjectError::Duplicate, is_duplicate, "{text:?}");
    }

    let names = ["exp", "name", "m0", "m1", "a", ""];
    let picked = pick(text, names).ok().map(|values| values.map(|value| value.map(Raw::get)));
    let expected = object.as_ref().and_then(|object| {
        let of = |name: &str| {
            object.iter().filter(|it| it.0 == name).map(|it| it.1.get()).collect::<Vec<_>>()
        };
        names
            .iter()
            .all(|name| of(name).len() < 2)
            .then(|| names.map(|name| of(name).first().copied()))
    });
    assert_eq!(picked, expected, "{text:?}");

    let mut names = Names::default();
    let added = object.as_ref().map(|object| {
        object.iter().all(|(name, _)| {
            // Some names are owned, as if they were written with escapes.
            names
                .add(if name.len().is_multiple_of(3) {
                    Cow::Owned(name.clone())
                } else {
                    Cow::Borrowed(name)
                })
                .is_ok()
        })
    });
    assert_eq!(
        added,
        object.as_ref().map(|object| has_each_once(object.iter().map(|it| &it.0))),
        "{text:?}"
    );

    let Some(value) = value else { return 0 };
    let string = serde_json::from_str::<String>(text).ok();
    assert_eq!(value.string().map(Cow::into_owned), string, "{text:?}");
    let array = serde_json::from_str::<Vec<&RawValue>>(text).ok();
    let elements = value.array().map(|all| all.into_iter().map(Raw::get).collect::<Vec<_>>());
    assert_eq!(
        elements,
        array.as_ref().map(|all| all.iter().map(|it| it.get()).collect()),
        "{text:?}"
    );
    // Both must agree whether it is a number. Its value may differ: serde_json is not exact in the last bits.
    let number = serde_json::from_str::<f64>(text)
        .ok()
        .filter(|it| (0.0..9e15).contains(it) && !value.get().starts_with('-'));
    let difference =
        value.numeric_date().zip(number).map(|(one, other)| (one - other).abs() <= one * 1e-15);
    assert!(
        difference.unwrap_or(value.numeric_date().is_none_or(|it| it > 9e15) && number.is_none()),
        "{text:?}"
    );
    let values = array.into_iter().flatten().chain(object.into_iter().flatten().map(|it| it.1));
    1 + values.map(|value| compare(value.get())).sum::<usize>()
}

#[test]
fn random_and_corrupted_json_is_parsed_like_serde_json() {
    const ROUNDS: usize = 1500;
    let (mut dice, mut compared) = (Rng(0x9e37_79b9_7f4a_7c15), 0);
    for _ in 0..ROUNDS {
        let depth = dice.below(4);
        let text = match dice.below(3) {
            0 => dice.value(depth),
            _ => dice.object(depth),
        };
        assert!(compare(&text) > 0, "{text:?}");
        for _ in 0..3 {
            let mutated = dice.mutated(&text);
            compared += compare(&mutated).min(1);
        }
    }
    assert!(
        (ROUNDS / 2..ROUNDS * 2).contains(&compared),
        "some are JSON, and some are not: {compared}"
    );
}

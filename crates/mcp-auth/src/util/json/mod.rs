//! Untrusted JSON objects: duplicate members are refused, and values stay raw until they are read.

mod reader;

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

pub(crate) use reader::{Member, Raw, Reader, SyntaxError};

/// How many names are searched one by one for duplicates, which is the fastest way for few. Later ones are hashed, so
/// that the time stays linear for any number of members.
const MAX_SEARCHED: usize = 16;

/// The members of one JSON object, without duplicates.
pub(crate) struct Object<'a>(Vec<(Cow<'a, str>, Raw<'a>)>);

/// Why a text is not a valid [`Object`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ObjectError {
    /// A name occurs twice, perhaps with different escapes (`"exp"` and `"\u0065xp"`).
    Duplicate,
    /// It is not JSON, or is not an object.
    Malformed,
}

impl From<SyntaxError> for ObjectError {
    fn from(_: SyntaxError) -> Self {
        Self::Malformed
    }
}

impl<'a> Object<'a> {
    /// Reads `json`, which must consist of one object.
    pub(crate) fn read(json: &'a [u8]) -> Result<Self, ObjectError> {
        Self::of(std::str::from_utf8(json).map_err(|_| ObjectError::Malformed)?)
    }

    /// Like [`read`](Self::read), for a `str`.
    pub(crate) fn of(json: &'a str) -> Result<Self, ObjectError> {
        let mut members: Vec<(Cow<'a, str>, Raw<'a>)> = Vec::with_capacity(12);
        let mut names = Names::default();
        each_member(json, |name, value| {
            names.add(name.clone())?;
            members.push((name, value));
            Ok(())
        })?;
        Ok(Self(members))
    }

    /// The members, in the order of the text.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, Raw<'a>)> {
        self.0.iter().map(|(name, value)| (&**name, *value))
    }

    /// The value of the member with this name. Returns `None` if it is absent or null, which is the same: whoever
    /// serializes an unset field writes null.
    ///
    /// Inlined, because a constant name is then compared in two instructions.
    #[inline(always)]
    pub(crate) fn get(&self, name: &str) -> Option<Raw<'a>> {
        let found = self.iter().find(|(given, _)| *given == name);
        found.map(|(_, value)| value).filter(|value| !value.is_null())
    }
}

/// A set of member names that refuses duplicates. The first names are stored inline, so that most objects need
/// no allocation.
#[derive(Default)]
pub(crate) struct Names<'j> {
    /// A filter by length and first byte: most names need no comparison with the earlier ones.
    kinds: u64,
    first: [&'j str; 8],
    number: usize,
    /// Later names, and names written with escapes.
    others: Vec<Cow<'j, str>>,
    rest: HashSet<Cow<'j, str>>,
}

impl<'j> Names<'j> {
    pub(crate) fn add(&mut self, name: Cow<'j, str>) -> Result<(), ObjectError> {
        let first = name.bytes().next().unwrap_or(0);
        let kind = 1 << ((name.len() * 7 + usize::from(first)) % 64);
        let may_be_known = self.kinds & kind != 0;
        self.kinds |= kind;
        if may_be_known && self.contains(&name) {
            return Err(ObjectError::Duplicate);
        }
        match (self.first.get_mut(self.number), name) {
            (Some(place), Cow::Borrowed(name)) => {
                *place = name;
                self.number += 1;
            }
            (_, name) if self.others.len() < MAX_SEARCHED => self.others.push(name),
            (_, name) => drop(self.rest.insert(name)),
        }
        Ok(())
    }

    fn contains(&self, name: &str) -> bool {
        self.first.iter().take(self.number).any(|known| *known == name)
            || self.others.iter().any(|known| known == name)
            || self.rest.contains(name)
    }
}

/// The values of the members with these names. `json` must consist of one object, in which none of the names
/// occurs twice. Other members are skipped, however many there are.
pub(crate) fn pick<'a, const N: usize>(
    json: &'a str,
    names: [&str; N],
) -> Result<[Option<Raw<'a>>; N], ObjectError> {
    let mut picked = [None; N];
    each_member(json, |name, value| {
        let mut wanted = names.iter().zip(&mut picked);
        match wanted.find(|(wanted, _)| **wanted == name) {
            Some((_, place)) => set_once(place, value),
            None => Ok(()),
        }
    })?;
    Ok(picked)
}

/// Whether `json` consists of one object without duplicate members, however many there are.
pub(crate) fn check_distinct(json: &str) -> Result<(), ObjectError> {
    let mut names = Names::default();
    each_member(json, |name, _| names.add(name))
}

/// Calls `show` for each member. `json` must consist of one object.
pub(crate) fn each_member<'j>(
    json: &'j str,
    mut show: impl FnMut(Cow<'j, str>, Raw<'j>) -> Result<(), ObjectError>,
) -> Result<(), ObjectError> {
    let mut reader = Reader::new(json);
    reader.enter(b'{')?;
    while let Some(name) = reader.member()? {
        show(name, reader.value()?)?;
    }
    Ok(reader.end()?)
}

/// The text without the byte order mark, which some editors put in front of a file. A reader may ignore it
/// ([RFC 8259 §8.1](https://www.rfc-editor.org/rfc/rfc8259#section-8.1)).
pub(crate) fn without_bom(text: &[u8]) -> &[u8] {
    text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text)
}

/// Stores the value of a member, which may occur only once.
pub(crate) fn set_once<T>(place: &mut Option<T>, value: T) -> Result<(), ObjectError> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(ObjectError::Duplicate),
    }
}

/// A member's name, borrowed if it is written without escapes.
struct Name;

impl<'de> DeserializeSeed<'de> for Name {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Name {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_borrowed_str<E>(self, name: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(name))
    }

    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(name.to_owned()))
    }
}

/// Whether `json` can safely be read as a `serde_json::Value`. Returns `false` if it contains a private member
/// name of serde_json: serde_json would parse that member's string as JSON again, with a new recursion limit.
/// Also returns `false` if it is nested deeper than serde_json allows.
pub(crate) fn is_safe_for_serde_value(json: &[u8]) -> bool {
    serde_json::from_slice::<SerdeSafe>(json).is_ok()
}

struct SerdeSafe;

impl<'de> Deserialize<'de> for SerdeSafe {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Self)
    }
}

impl<'de> Visitor<'de> for SerdeSafe {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON without serde_json's private members")
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_str<E>(self, _: &str) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_unit<E>(self) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self, A::Error> {
        while let Some(name) = map.next_key_seed(Name)? {
            if name.starts_with("$serde_json::private::") {
                return Err(A::Error::custom("a private member of serde_json"));
            }
            map.next_value::<Self>()?;
        }
        Ok(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut array: A) -> Result<Self, A::Error> {
        while array.next_element::<Self>()?.is_some() {}
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(json: &str) -> Result<Vec<String>, ObjectError> {
        Ok(Object::read(json.as_bytes())?.iter().map(|(name, _)| name.to_owned()).collect())
    }

    #[test]
    fn an_object_is_read_in_order() {
        assert_eq!(
            names(r#" {"b":1, "\u0061":[{}], "":null} "#),
            Ok(vec!["b".into(), "a".into(), String::new()])
        );
    }

    #[test]
    fn anything_but_a_well_formed_object_is_refused() {
        let malformed = [
            "",
            "null",
            "[]",
            r#"["a"]"#,
            "1",
            "\"a\"",
            "{",
            r#"{"a":1}x"#,
            r#"{"a":1}{}"#,
            "\u{feff}{}",
            r#"{"a":1,}"#,
            r#"{"a":01}"#,
            r#"{a:1}"#,
            "{\"a\":\"\u{1}\"}",
            r#"{"a":"\x"}"#,
            "{/**/}",
            r#"{"\ud800":1}"#,
            "{\"a\":1}\0",
        ];
        for json in malformed {
            assert_eq!(names(json), Err(ObjectError::Malformed), "{json:?}");
        }
        assert_eq!(Object::read(b"{\"a\":\"\xff\"}").err(), Some(ObjectError::Malformed));
    }

    #[test]
    fn any_number_of_members_is_read_and_each_duplicate_is_found() {
        let member = |i: usize| format!("\"member-{i}\":0");
        let many: Vec<_> = (0..50_000).map(member).collect();
        let object = format!("{{{}}}", many.join(","));
        assert_eq!(names(&object).map(|names| names.len()), Ok(50_000));
        for again in [0, 7, 8, 23, 24, 25, 49_999] {
            let object = format!("{{{},{}}}", many.join(","), member(again));
            assert_eq!(names(&object), Err(ObjectError::Duplicate), "{again}");
        }
    }

    #[test]
    fn a_member_that_is_null_is_absent() {
        let object = Object::of(r#"{"a":null,"b":"null","c":[null]}"#).expect("an object");
        let found = ["a", "b", "c", "d"].map(|name| object.get(name).map(Raw::get));
        assert_eq!(found, [None, Some("\"null\""), Some("[null]"), None]);
        assert_eq!(names(r#"{"a":null,"a":1}"#), Err(ObjectError::Duplicate));
    }

    #[test]
    fn a_duplicate_is_found_however_it_is_written() {
        for json in [r#"{"exp":1,"exp":2}"#, r#"{"exp":1,"x":0,"\u0065xp":2}"#, r#"{"":1,"":2}"#] {
            assert_eq!(names(json), Err(ObjectError::Duplicate), "{json}");
        }
    }

    #[test]
    fn picked_members_are_found_among_many_and_must_not_repeat() {
        let picked = |json: &str| {
            let picked = pick(json, ["a", "b"]).map(|values| values.map(|it| it.map(Raw::get)));
            picked.map(|values| values.map(|value| value.map(str::to_owned)))
        };
        let some = |text: &str| Some(text.to_owned());
        let many = (0..1000).map(|i| format!("\"{i}\":0,")).collect::<String>();
        for (json, expected) in [
            (
                r#"{"b": 1.0 ,"a":[12345678901234567890]}"#,
                Ok([some("[12345678901234567890]"), some("1.0")]),
            ),
            (r#"{"\u0061":null,"c":{"a":1}}"#, Ok([some("null"), None])),
            ("{}", Ok([None, None])),
            (&format!(r#"{{{many}"b":1}}"#), Ok([None, some("1")])),
            (r#"{"a":1,"\u0061":1}"#, Err(ObjectError::Duplicate)),
            (r#"{"c":1,"c":1,"a":1}"#, Ok([some("1"), None])),
            (r#"{"a":1}x"#, Err(ObjectError::Malformed)),
            (r#"[]"#, Err(ObjectError::Malformed)),
        ] {
            assert_eq!(picked(json), expected, "{json}");
        }
    }

    #[test]
    fn deep_nesting_and_the_raw_value_key_of_serde_json_are_harmless() {
        let deep = format!(r#"{{"a":{}{}}}"#, "[".repeat(100_000), "]".repeat(100_000));
        assert!(names(&deep).is_ok());
        assert_eq!(
            names(r#"{"$serde_json::private::RawValue":"{}","a":1}"#).map(|n| n.len()),
            Ok(2)
        );
    }

    #[test]
    fn values_are_read_by_type() {
        let value = |json| Raw::read(json).expect("JSON");
        for (json, expected) in [
            (r#""a""#, Some("a")),
            (r#""\u0061\n""#, Some("a\n")),
            (r#""""#, Some("")),
            ("1", None),
            ("null", None),
            (r#""\ud800""#, None),
        ] {
            assert_eq!(value(json).string().as_deref(), expected, "{json}");
        }
        for (json, expected) in [
            ("1", Some(1.0)),
            ("1.5", Some(1.5)),
            ("1e3", Some(1000.0)),
            ("0", Some(0.0)),
            ("-1", None),
            ("1e400", None),
            ("9007199254740992", None),
            ("\"1\"", None),
            ("true", None),
            ("null", None),
        ] {
            assert_eq!(value(json).numeric_date(), expected, "{json}");
        }
        assert_eq!(value(r#"["a","b"]"#).strings().map(|s| s.len()), Some(2));
        assert_eq!(value(r#"["a",1]"#).strings(), None);
        assert_eq!(value(r#""a""#).strings(), None);
    }
}

#[cfg(test)]
mod randomized_tests;

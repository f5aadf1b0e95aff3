//! Members of objects by name, each once and in one spelling.

use std::cell::Cell;
use std::fmt;

use serde::de::{Deserializer as _, Error, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::denial::BadMessage;
use crate::json;

/// The members of these names of a small object, each once and in one spelling.
pub(super) fn fields<'m, const N: usize>(
    object: &'m RawValue,
    names: [&'static str; N],
) -> Result<[Option<&'m RawValue>; N], BadMessage> {
    let why = Cell::new(BadMessage::NotAMessage);
    let mut found = [None; N];
    let visitor = FieldsVisitor { names: &names, found: &mut found, why: &why };
    serde_json::Deserializer::from_str(object.get())
        .deserialize_any(visitor)
        .map_err(|_| why.get())?;
    Ok(found)
}

/// Which of the names a member has. An error for what another parser could take for one of them:
/// Go's ignores case, as Unicode folds it; C's ends at a NUL; Python's knows fields by two names, `taskId`
/// and `task_id`; a copy in JavaScript inherits from `__proto__`; and serde_json's `Value` reads the string
/// of its private member in place of the object.
fn which(names: &[&str], member: &str) -> Result<Option<usize>, BadMessage> {
    if let Some(found) = names.iter().position(|name| *name == member) {
        return Ok(Some(found));
    }
    let has_gaps = member.contains('_');
    let is_variant = |name: &&str| {
        (member.len() == name.len() && member.eq_ignore_ascii_case(name))
            || (!member.is_ascii() && folded(member).eq_ignore_ascii_case(name))
            || (has_gaps && without_gaps(member).eq(without_gaps(name)))
    };
    let is_private = member.starts_with("$serde_json::private::") || member == "__proto__";
    if is_private || member.contains('\0') || names.iter().any(is_variant) {
        return Err(BadMessage::Ambiguous);
    }
    Ok(None)
}

/// A name as Python's models see it: `task_id` and `taskId` are the same.
fn without_gaps(name: &str) -> impl Iterator<Item = u8> {
    name.bytes().filter(|byte| *byte != b'_').map(|byte| byte.to_ascii_lowercase())
}

/// The two characters beyond ASCII that fold into it.
fn folded(member: &str) -> String {
    member.replace('\u{17f}', "s").replace('\u{212a}', "k")
}

/// What a visitor says when it is done with a message: the reason is in its cell.
pub(super) fn refused<E: Error>(cell: &Cell<BadMessage>, why: BadMessage) -> E {
    cell.set(why);
    E::custom("refused")
}

/// The next member whose name is one of `names`; each may come once. Others are skipped.
pub(super) fn next_of<'de, A: MapAccess<'de>>(
    map: &mut A,
    names: &[&str],
    seen: &mut u8,
    why: &Cell<BadMessage>,
) -> Result<Option<usize>, A::Error> {
    while let Some(member) = map.next_key_seed(json::Name)? {
        match which(names, &member) {
            Ok(Some(i)) if *seen & (1 << i) == 0 => {
                *seen |= 1 << i;
                return Ok(Some(i));
            }
            Ok(None) => map.next_value::<IgnoredAny>().map(drop)?,
            _ => return Err(refused(why, BadMessage::Ambiguous)),
        }
    }
    Ok(None)
}

struct FieldsVisitor<'f, 'm> {
    names: &'f [&'static str],
    found: &'f mut [Option<&'m RawValue>],
    why: &'f Cell<BadMessage>,
}

impl<'de> Visitor<'de> for FieldsVisitor<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut seen = 0;
        while let Some(member) = next_of(&mut map, self.names, &mut seen, self.why)? {
            let value = map.next_value()?;
            if let Some(place) = self.found.get_mut(member) {
                *place = Some(value);
            }
        }
        Ok(())
    }
}

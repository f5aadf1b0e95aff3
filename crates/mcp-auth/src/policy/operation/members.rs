//! Members of objects by name, each once and in one spelling.

use crate::model::error_codes::BadMessage;
use crate::util::json::{Member, Raw, Reader, SyntaxError};

impl From<SyntaxError> for BadMessage {
    fn from(_: SyntaxError) -> Self {
        Self::NotJson
    }
}

/// The members of these names of a small object, each once and in one spelling.
pub(super) fn fields<'m, const N: usize>(
    object: Raw<'m>,
    names: [&'static str; N],
) -> Result<[Option<Raw<'m>>; N], BadMessage> {
    members(&mut Reader::new(object.get()), &names)
}

/// The same of the object that comes next.
pub(super) fn members<'m, const N: usize>(
    reader: &mut Reader<'m>,
    names: &[&'static str; N],
) -> Result<[Option<Raw<'m>>; N], BadMessage> {
    let (mut found, mut seen) = ([None; N], 0);
    enter(reader)?;
    while let Some(member) = next_of(reader, names, &mut seen)? {
        let value = reader.value()?;
        if let Some(place) = found.get_mut(member) {
            *place = Some(value);
        }
    }
    Ok(found)
}

/// Goes into the object that must come next: MCP has no other messages, parameters and the like.
pub(super) fn enter(reader: &mut Reader<'_>) -> Result<(), BadMessage> {
    match reader.peek() {
        Some(b'{') => Ok(reader.enter(b'{')?),
        _ => {
            reader.skip()?;
            Err(BadMessage::NotAMessage)
        }
    }
}

/// The next member whose name is one of `names`; each may come once. Others are skipped.
#[inline(always)]
pub(super) fn next_of<const N: usize>(
    reader: &mut Reader<'_>,
    names: &[&str; N],
    seen: &mut u8,
) -> Result<Option<usize>, BadMessage> {
    const { assert!(N <= 8, "a bit each") };
    next_among(reader, names, seen)
}

/// One for all objects: most of a request runs through code that is not in the nearest cache, and so little code is quick code.
#[inline(never)]
fn next_among(
    reader: &mut Reader<'_>,
    names: &[&str],
    seen: &mut u8,
) -> Result<Option<usize>, BadMessage> {
    while let Some(member) = reader.member_of(names)? {
        match member {
            Member::Other(name) => pass_over(reader, names, &name)?,
            Member::Wanted(i) if *seen & (1 << i) == 0 => {
                *seen |= 1 << i;
                return Ok(Some(i));
            }
            Member::Wanted(_) => return Err(BadMessage::Ambiguous),
        }
    }
    Ok(None)
}

/// Skips a member that has none of the names. An error for what another parser could take for one of them:
/// Go's ignores case, as Unicode folds it; C's ends at a NUL; Python's knows fields by two names, `taskId`
/// and `task_id`; a copy in JavaScript inherits from `__proto__`; and serde_json's `Value` reads the string
/// of its private member in place of the object.
fn pass_over(reader: &mut Reader<'_>, names: &[&str], member: &str) -> Result<(), BadMessage> {
    // Of letters, digits and `-./`, as most: only their case can be in question.
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() | matches!(byte, b'-'..=b'/');
    let is_simple = member.bytes().fold(true, |simple, byte| simple & is_plain(byte));
    let is_variant = |name: &&str| member.len() == name.len() && member.eq_ignore_ascii_case(name);
    if names.iter().any(is_variant) || (!is_simple && is_odd(names, member)) {
        return Err(BadMessage::Ambiguous);
    }
    Ok(reader.skip()?)
}

/// Whether another parser could take a name with signs, or with letters beyond ASCII, for one of the names.
fn is_odd(names: &[&str], member: &str) -> bool {
    let has_gaps = member.contains('_');
    let is_variant = |name: &&str| {
        (!member.is_ascii() && folded(member).eq_ignore_ascii_case(name))
            || (has_gaps && without_gaps(member).eq(without_gaps(name)))
    };
    let is_private = member.starts_with("$serde_json::private::") || member == "__proto__";
    is_private || member.contains('\0') || names.iter().any(is_variant)
}

/// A name as Python's models see it: `task_id` and `taskId` are the same.
fn without_gaps(name: &str) -> impl Iterator<Item = u8> {
    name.bytes().filter(|byte| *byte != b'_').map(|byte| byte.to_ascii_lowercase())
}

/// The two characters beyond ASCII that fold into it.
fn folded(member: &str) -> String {
    member.replace('\u{17f}', "s").replace('\u{212a}', "k")
}

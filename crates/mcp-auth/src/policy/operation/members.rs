//! Reads members of objects by name. Duplicates and other spellings are refused.

use crate::model::error_codes::BadMessage;
use crate::util::json::{Member, Raw, Reader, SyntaxError};

impl From<SyntaxError> for BadMessage {
    fn from(_: SyntaxError) -> Self {
        Self::NotJson
    }
}

/// The values of the members with these names in a small object. Each name may occur once, and in one spelling.
pub(super) fn fields<'m, const N: usize>(
    object: Raw<'m>,
    names: [&'static str; N],
) -> Result<[Option<Raw<'m>>; N], BadMessage> {
    members(&mut Reader::new(object.get()), &names)
}

/// Like [`fields`], for the object that comes next.
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

/// Enters the object that must come next: in MCP, messages, parameters and the like are always objects.
pub(super) fn enter(reader: &mut Reader<'_>) -> Result<(), BadMessage> {
    match reader.peek() {
        Some(b'{') => Ok(reader.enter(b'{')?),
        _ => {
            reader.skip()?;
            Err(BadMessage::NotAMessage)
        }
    }
}

/// The index of the next member's name in `names`, or `None` after the last member. Each name may occur once.
/// Other members are skipped.
#[inline(always)]
pub(super) fn next_of<const N: usize>(
    reader: &mut Reader<'_>,
    names: &[&str; N],
    seen: &mut u8,
) -> Result<Option<usize>, BadMessage> {
    const { assert!(N <= 8, "a bit each") };
    next_among(reader, names, seen)
}

/// One function for all objects. Most of the code that a request runs is not in the nearest cache, so less code
/// is faster.
#[inline(never)]
fn next_among(
    reader: &mut Reader<'_>,
    names: &[&str],
    seen: &mut u8,
) -> Result<Option<usize>, BadMessage> {
    while let Some(member) = reader.member_of(names)? {
        match member {
            Member::Other(name) => skip_unambiguous(reader, names, &name)?,
            Member::Wanted(i) if *seen & (1 << i) == 0 => {
                *seen |= 1 << i;
                return Ok(Some(i));
            }
            Member::Wanted(_) => return Err(BadMessage::Ambiguous),
        }
    }
    Ok(None)
}

/// Skips a member that has none of the names. Fails if another parser could take its name for one of them:
///
/// Go ignores case, by Unicode's case folding. C ends a string at a NUL. Python knows fields by two names,
/// `taskId` and `task_id`. In JavaScript, a copy of the object inherits from `__proto__`. serde_json's `Value`
/// replaces an object that has its private member with what that member's string contains.
fn skip_unambiguous(
    reader: &mut Reader<'_>,
    names: &[&str],
    member: &str,
) -> Result<(), BadMessage> {
    // Most names consist of letters, digits and `-./`. Only their case can differ.
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() | matches!(byte, b'-'..=b'/');
    let is_simple = member.bytes().fold(true, |simple, byte| simple & is_plain(byte));
    let is_variant = |name: &&str| member.len() == name.len() && member.eq_ignore_ascii_case(name);
    if names.iter().any(is_variant) || (!is_simple && is_lookalike(names, member)) {
        return Err(BadMessage::Ambiguous);
    }
    Ok(reader.skip()?)
}

/// Whether another parser could take a name with special characters, or with letters beyond ASCII, for one of
/// the names.
fn is_lookalike(names: &[&str], member: &str) -> bool {
    let has_underscores = member.contains('_');
    let is_variant = |name: &&str| {
        (!member.is_ascii() && folded(member).eq_ignore_ascii_case(name))
            || (has_underscores && without_underscores(member).eq(without_underscores(name)))
    };
    let is_private = member.starts_with("$serde_json::private::") || member == "__proto__";
    is_private || member.contains('\0') || names.iter().any(is_variant)
}

/// A name without underscores and in lower case. Python's models treat `task_id` and `taskId` as the same name.
fn without_underscores(name: &str) -> impl Iterator<Item = u8> {
    name.bytes().filter(|byte| *byte != b'_').map(|byte| byte.to_ascii_lowercase())
}

/// Replaces the two characters beyond ASCII that case folding turns into ASCII letters.
fn folded(member: &str) -> String {
    member.replace('\u{17f}', "s").replace('\u{212a}', "k")
}

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
/// the names. Compares in place, because a message may have very many such members.
fn is_lookalike(names: &[&str], member: &str) -> bool {
    let is_private = member.starts_with("$serde_json::private::") || member == "__proto__";
    let may_vary = member.contains('_') || !member.is_ascii();
    let is_variant = |name: &&str| folded(member).eq(folded(name));
    is_private || member.contains('\0') || (may_vary && names.iter().any(is_variant))
}

/// The characters of a name without underscores, since Python's models treat `task_id` and `taskId` as the same
/// name, and in lower case. Two characters beyond ASCII are folded into ASCII letters.
fn folded(name: &str) -> impl Iterator<Item = char> {
    name.chars().filter(|c| *c != '_').map(|c| match c {
        '\u{17f}' => 's',
        '\u{212a}' => 'k',
        c => c.to_ascii_lowercase(),
    })
}

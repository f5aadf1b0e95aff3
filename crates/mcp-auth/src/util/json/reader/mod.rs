//! A strict single-pass reader for JSON ([RFC 8259](https://www.rfc-editor.org/rfc/rfc8259)).
//!
//! The caller asks for the members and values that it expects. Text outside the grammar is refused.
//!
//! The caller decides how to treat duplicate members. For why this is not a library, see
//! `docs/decisions/2026-11-25-json-reader.md`.

use std::borrow::Cow;

use crate::util::byte_scan::skip_blocks;

/// The text is not JSON, or does not have the expected shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SyntaxError;

type Result<T> = std::result::Result<T, SyntaxError>;

/// A value, as it is written in the text.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Raw<'j> {
    text: &'j str,
    /// Whether it is a string without escapes.
    is_plain: bool,
}

/// A position in a JSON text.
#[derive(Clone, Debug)]
pub(crate) struct Reader<'j> {
    text: &'j str,
    at: usize,
    /// Whether nothing was read yet of the object or array that was entered last.
    is_fresh: bool,
}

/// The name of a member, matched against the wanted names.
pub(crate) enum Member<'j> {
    /// One of the wanted names: its index among them.
    Wanted(usize),
    Other(Cow<'j, str>),
}

/// Which of the open values are objects (the others are arrays). One bit each, since an attacker chooses the
/// depth.
#[derive(Default)]
struct Nesting {
    depth: usize,
    innermost: u64,
    outer: Vec<u64>,
}

impl<'j> Raw<'j> {
    /// Reads a text that consists of one value. Returns `None` if it does not.
    pub(crate) fn read(text: &'j str) -> Option<Self> {
        let mut reader = Reader::new(text);
        let value = reader.value().ok()?;
        reader.end().ok().map(|()| value)
    }

    /// The text of the value.
    pub(crate) fn get(self) -> &'j str {
        self.text
    }

    pub(crate) fn is_null(self) -> bool {
        self.text == "null"
    }

    /// The decoded string, borrowed if it is written without escapes. Returns `None` if the value is not a
    /// string, or has an invalid escape.
    #[inline(never)]
    pub(crate) fn string(self) -> Option<Cow<'j, str>> {
        if self.is_plain {
            return self.text.get(1..self.text.len() - 1).map(Cow::Borrowed);
        }
        if self.text.starts_with('"') { unescaped(self.text) } else { None }
    }

    /// The elements of the array. Returns `None` if the value is not an array.
    pub(crate) fn array(self) -> Option<Vec<Raw<'j>>> {
        let mut reader = Reader::new(self.text);
        reader.enter(b'[').ok()?;
        let mut elements = Vec::new();
        while reader.element().ok()? {
            elements.push(reader.value().ok()?);
        }
        Some(elements)
    }

    /// The strings of the array. Returns `None` if the value is not an array, or has an element that is not a
    /// string.
    pub(crate) fn strings(self) -> Option<Vec<Cow<'j, str>>> {
        self.array()?.into_iter().map(Self::string).collect()
    }

    /// The number as a NumericDate ([RFC 7519 §2](https://www.rfc-editor.org/rfc/rfc7519#section-2)), an
    /// integer or a fraction. Returns `None` unless it is a number, at least 0 and below 2^53.
    #[inline(never)]
    pub(crate) fn numeric_date(self) -> Option<f64> {
        const LIMIT: f64 = 9_007_199_254_740_992.0;
        if !self.text.starts_with(|c: char| c.is_ascii_digit()) {
            return None;
        }
        self.text.parse().ok().filter(|number| (0.0..LIMIT).contains(number))
    }
}

impl<'j> Reader<'j> {
    pub(crate) fn new(text: &'j str) -> Self {
        Self { text, at: 0, is_fresh: false }
    }

    /// Checks that only white space follows.
    pub(crate) fn end(&mut self) -> Result<()> {
        match self.peek() {
            None => Ok(()),
            Some(_) => Err(SyntaxError),
        }
    }

    /// Skips white space and returns the next byte without consuming it.
    #[inline]
    pub(crate) fn peek(&mut self) -> Option<u8> {
        loop {
            match self.byte()? {
                byte if byte > b' ' => return Some(byte),
                b' ' | b'\n' | b'\r' | b'\t' => self.at += 1,
                byte => return Some(byte),
            }
        }
    }

    /// Enters an object (`{`) or an array (`[`).
    pub(crate) fn enter(&mut self, bracket: u8) -> Result<()> {
        self.expect_byte(bracket)?;
        self.is_fresh = true;
        Ok(())
    }

    /// The name of the next member; its value comes next. Returns `None` after the last member.
    pub(crate) fn member(&mut self) -> Result<Option<Cow<'j, str>>> {
        if !self.next_item(b'}')? {
            return Ok(None);
        }
        self.expect_byte(b'"')?;
        self.rest_of_name().map(Some)
    }

    /// Like [`member`](Self::member), but looks for `names`, none of which needs escapes. They are compared in
    /// place, without a search for the end of the name.
    pub(crate) fn member_of(&mut self, names: &[&str]) -> Result<Option<Member<'j>>> {
        if !self.next_item(b'}')? {
            return Ok(None);
        }
        self.expect_byte(b'"')?;
        let rest = self.rest();
        let is_next =
            |name: &str| rest.get(name.len()) == Some(&b'"') && rest.starts_with(name.as_bytes());
        let wanted = names.iter().enumerate().find(|(_, name)| is_next(name));
        let Some((place, name)) = wanted else { return self.other_member(names).map(Some) };
        self.at += name.len() + 1;
        self.expect_byte(b':')?;
        Ok(Some(Member::Wanted(place)))
    }

    /// Reads a name that is not written as any of `names`. With escapes, it may still be one of them.
    fn other_member(&mut self, names: &[&str]) -> Result<Member<'j>> {
        let name = self.rest_of_name()?;
        let place = names.iter().position(|wanted| *wanted == name);
        Ok(place.map_or(Member::Other(name), Member::Wanted))
    }

    /// Reads the rest of a name after its opening quote, and the colon after it.
    #[inline]
    fn rest_of_name(&mut self) -> Result<Cow<'j, str>> {
        let start = self.at;
        let name = match self.rest_of_string()? {
            true => Cow::Borrowed(self.text.get(start..self.at - 1).ok_or(SyntaxError)?),
            false => unescaped(self.since(start - 1)?).ok_or(SyntaxError)?,
        };
        self.expect_byte(b':')?;
        Ok(name)
    }

    /// Whether there is another element; it comes next.
    pub(crate) fn element(&mut self) -> Result<bool> {
        self.next_item(b']')
    }

    /// Reads the next value.
    pub(crate) fn value(&mut self) -> Result<Raw<'j>> {
        let is_string = self.peek() == Some(b'"');
        let start = self.at;
        let is_plain = if is_string {
            self.at += 1;
            self.rest_of_string()?
        } else {
            self.skip()?;
            false
        };
        Ok(Raw { text: self.since(start)?, is_plain })
    }

    /// Skips the next value, however deep it is.
    pub(crate) fn skip(&mut self) -> Result<()> {
        match self.scalar_or_bracket()? {
            None => Ok(()),
            Some(bracket) => self.skip_all_in(bracket),
        }
    }

    fn skip_all_in(&mut self, bracket: u8) -> Result<()> {
        let mut open = Nesting::default();
        let mut entered = Some(bracket);
        loop {
            if let Some(bracket) = entered {
                self.is_fresh = true;
                open.push(bracket == b'{');
            }
            // Advance to the next value: leave objects and arrays that end here, and skip the name of a member.
            loop {
                match open.is_object() {
                    None => return Ok(()),
                    Some(true) if self.next_item(b'}')? => {
                        self.expect_byte(b'"')?;
                        self.rest_of_string()?;
                        self.expect_byte(b':')?;
                        break;
                    }
                    Some(false) if self.next_item(b']')? => break,
                    _ => open.pop(),
                }
            }
            entered = self.scalar_or_bracket()?;
        }
    }

    /// Skips a scalar, or the opening bracket of an object or array. Returns that bracket.
    fn scalar_or_bracket(&mut self) -> Result<Option<u8>> {
        match self.peek().ok_or(SyntaxError)? {
            b'"' => {
                self.at += 1;
                self.rest_of_string()?;
            }
            b'-' | b'0'..=b'9' => self.number()?,
            b't' => self.word("true")?,
            b'f' => self.word("false")?,
            b'n' => self.word("null")?,
            bracket @ (b'{' | b'[') => {
                self.at += 1;
                return Ok(Some(bracket));
            }
            _ => return Err(SyntaxError),
        }
        Ok(None)
    }

    /// Advances to the next item of an object or array. Returns `false` at its end, which is skipped.
    #[inline]
    fn next_item(&mut self, end: u8) -> Result<bool> {
        let is_fresh = std::mem::take(&mut self.is_fresh);
        let next = self.peek().ok_or(SyntaxError)?;
        if next == end || (next == b',' && !is_fresh) {
            self.at += 1;
            return Ok(next != end);
        }
        if is_fresh { Ok(true) } else { Err(SyntaxError) }
    }

    /// Skips the rest of a string after its opening quote. Returns whether it has no escapes.
    #[inline]
    fn rest_of_string(&mut self) -> Result<bool> {
        self.at += plain_prefix_len(self.rest());
        if self.byte() == Some(b'"') {
            self.at += 1;
            return Ok(true);
        }
        self.quoted_with_escapes().map(|()| false)
    }

    /// Skips the rest of a string from its first escape on.
    #[cold]
    fn quoted_with_escapes(&mut self) -> Result<()> {
        let mut rest = self.rest();
        loop {
            rest = match rest {
                [b'\\', b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't', after @ ..] => {
                    after
                }
                [b'\\', b'u', a, b, c, d, after @ ..]
                    if [a, b, c, d].iter().all(|digit| digit.is_ascii_hexdigit()) =>
                {
                    after
                }
                [b'"', after @ ..] => {
                    self.at = self.text.len() - after.len();
                    return Ok(());
                }
                _ => return Err(SyntaxError),
            };
            rest = rest.get(plain_prefix_len(rest)..).unwrap_or_default();
        }
    }

    fn number(&mut self) -> Result<()> {
        self.at += usize::from(self.byte() == Some(b'-'));
        match self.byte() {
            Some(b'0') => self.at += 1,
            _ => self.digits()?,
        }
        if self.byte() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.byte() {
            self.at += 1;
            self.at += usize::from(matches!(self.byte(), Some(b'+' | b'-')));
            self.digits()?;
        }
        Ok(())
    }

    /// Skips one or more digits.
    fn digits(&mut self) -> Result<()> {
        let rest = self.rest();
        let digits = rest.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(rest.len());
        self.at += digits;
        if digits > 0 { Ok(()) } else { Err(SyntaxError) }
    }

    fn word(&mut self, word: &str) -> Result<()> {
        if !self.rest().starts_with(word.as_bytes()) {
            return Err(SyntaxError);
        }
        self.at += word.len();
        Ok(())
    }

    #[inline]
    fn expect_byte(&mut self, byte: u8) -> Result<()> {
        if self.peek() != Some(byte) {
            return Err(SyntaxError);
        }
        self.at += 1;
        Ok(())
    }

    #[inline]
    fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    #[inline]
    fn rest(&self) -> &'j [u8] {
        self.text.as_bytes().get(self.at..).unwrap_or_default()
    }

    #[inline]
    fn since(&self, start: usize) -> Result<&'j str> {
        self.text.get(start..self.at).ok_or(SyntaxError)
    }
}

/// Decodes a quoted string. This module reads no escapes itself. Returns `None` for an escape without a
/// meaning: half of a surrogate pair.
#[cold]
fn unescaped(string: &str) -> Option<Cow<'static, str>> {
    serde_json::from_str(string).ok().map(Cow::Owned)
}

/// The number of bytes before the first quote, backslash or control character.
#[inline]
fn plain_prefix_len(bytes: &[u8]) -> usize {
    let mut rest = bytes;
    while let Some((chunk, after)) = rest.split_first_chunk() {
        let found = special_mask(u64::from_le_bytes(*chunk));
        if found != 0 {
            return bytes.len() - rest.len() + found.trailing_zeros() as usize / 8;
        }
        rest = after;
        if bytes.len() - rest.len() == BLOCK_SCAN_FROM {
            rest = skip_blocks(rest, is_special);
        }
    }
    bytes.len() - rest.len() + rest.iter().position(|byte| is_special(*byte)).unwrap_or(rest.len())
}

/// Few strings are longer. Longer ones are scanned in blocks, which the compiler can vectorize.
const BLOCK_SCAN_FROM: usize = 32;

fn is_special(byte: u8) -> bool {
    (byte == b'"') | (byte == b'\\') | (byte < 0x20)
}

/// A mask with the highest bit of each special byte. Only the lowest bit that is set is reliable.
#[inline]
fn special_mask(bytes: u64) -> u64 {
    const EACH: u64 = u64::from_le_bytes([1; 8]);
    // The subtraction sets the highest bit of a byte below 0x80 if the byte is smaller than the subtrahend.
    // Borrows only move up, so the lowest of these bits is correct.
    let quote = (bytes ^ (EACH * u64::from(b'"'))).wrapping_sub(EACH);
    let backslash = (bytes ^ (EACH * u64::from(b'\\'))).wrapping_sub(EACH);
    let control = bytes.wrapping_sub(EACH * 0x20);
    (quote | backslash | control) & !bytes & (EACH << 7)
}

impl Nesting {
    fn push(&mut self, is_object: bool) {
        if self.depth > 0 && self.depth.is_multiple_of(64) {
            self.outer.push(self.innermost);
        }
        self.innermost = self.innermost << 1 | u64::from(is_object);
        self.depth += 1;
    }

    fn pop(&mut self) {
        self.depth = self.depth.saturating_sub(1);
        self.innermost >>= 1;
        if self.depth > 0 && self.depth.is_multiple_of(64) {
            self.innermost = self.outer.pop().unwrap_or_default();
        }
    }

    /// Whether the innermost open value is an object. Returns `None` if none is open.
    fn is_object(&self) -> Option<bool> {
        (self.depth > 0).then_some(self.innermost & 1 == 1)
    }
}

#[cfg(test)]
mod tests;

//! `RevocationRecord`: a revocation as processes tell it to each other.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::model::revocation::RevokedKind;
use crate::util::hex;
use crate::verify::jwt::sha256;

/// The longest issuer of a record that is read. RFC 8414 sets no limit; no issuer in use has a tenth of it.
const MAX_ISSUER_BYTES: usize = 2048;

/// The digits of the largest number of 64 bits.
const DIGITS: usize = 20;

const KINDS: [(RevokedKind, &str); 6] = [
    (RevokedKind::Everything, "everything"),
    (RevokedKind::EverySession, "every_session"),
    (RevokedKind::Session, "session"),
    (RevokedKind::Subject, "subject"),
    (RevokedKind::SubjectWithoutSession, "subject_without_session"),
    (RevokedKind::Token, "token"),
];

/// Tokens issued before these times are revoked, and those that do not say when they were issued. For
/// [`RevokedKind::EverySession`], the login counts instead. All are seconds since 1970.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Entry {
    /// By the clock of the issuer, like the `iat` of its tokens.
    pub(super) before: u64,
    /// By our clock.
    pub(super) before_ours: u64,
    /// When the entry may be removed.
    pub(super) until: u64,
}

/// A truncated digest of a `jti`, `sid` or subject, and of its issuer.
///
/// Names are kept and compared as digests, so that what processes share names nobody. It has no key: a store that several
/// processes can read would need one that all of them have, and who can write to the store can revoke anything anyway.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct NameHash([u8; 16]);

impl NameHash {
    /// The separator is unambiguous: no trusted issuer has a NUL in its name.
    pub(super) fn of(issuer: &str, name: &str) -> Self {
        let both = [b"mcp-auth revocation\0", issuer.as_bytes(), b"\0", name.as_bytes()].concat();
        let mut start = [0; 16];
        start.iter_mut().zip(sha256(&both)).for_each(|(kept, byte)| *kept = byte);
        Self(start)
    }
}

/// One entry of [`Revocations`](crate::Revocations), in a form in which it can be kept elsewhere and given to other processes.
///
/// It has the issuer in the clear, and a digest of the `jti`, `sid` or subject.
#[derive(Clone, PartialEq, Eq)]
pub struct RevocationRecord {
    pub(super) issuer: Arc<str>,
    pub(super) kind: RevokedKind,
    pub(super) name: NameHash,
    pub(super) entry: Entry,
}

impl RevocationRecord {
    /// Reads what [`to_text`](Self::to_text) has written. Returns `None` for any other text.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        let mut words = text.splitn(6, ' ');
        let mut number = || words.next().and_then(parse_number);
        let entry = Entry { before: number()?, before_ours: number()?, until: number()? };
        let kind = words.next()?;
        let (kind, _) = KINDS.iter().find(|(_, name)| *name == kind)?;
        let name = NameHash(hex::decode_16(words.next()?)?);
        let issuer = words.next().filter(|issuer| {
            (1..=MAX_ISSUER_BYTES).contains(&issuer.len()) && !issuer.contains(char::is_control)
        })?;
        Some(Self { issuer: issuer.into(), kind: *kind, name, entry })
    }

    /// The record as one line of text: three numbers of 20 digits, a space after each, and what is revoked.
    ///
    /// Of two records of one [`id`](Self::id), the stronger has the larger one of each number, and they are compared as text.
    #[must_use]
    pub fn to_text(&self) -> String {
        let Entry { before, before_ours, until } = self.entry;
        let kind = KINDS.iter().find(|(kind, _)| *kind == self.kind).map_or("", |(_, name)| *name);
        let name = hex::encode(&self.name.0);
        format!("{before:020} {before_ours:020} {until:020} {kind} {name} {}", self.issuer)
    }

    /// Identifies what is revoked: records of one id replace each other. 32 hexadecimal digits.
    #[must_use]
    pub fn id(&self) -> String {
        let kind = [self.kind as u8];
        let whole = sha256(&[&self.name.0, &kind[..], self.issuer.as_bytes()].concat());
        hex::encode(whole.get(..16).unwrap_or_default())
    }

    /// Whether this record revokes all that another record of the same [`id`](Self::id) revokes.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        self.entry.before >= other.entry.before && self.entry.before_ours >= other.entry.before_ours
    }

    /// When it may be removed: its tokens have expired.
    #[must_use]
    pub fn expires_at(&self) -> SystemTime {
        let end = UNIX_EPOCH.checked_add(Duration::from_secs(self.entry.until));
        // Later than a clock can show.
        end.unwrap_or_else(|| UNIX_EPOCH + Duration::from_secs(u32::MAX.into()))
    }
}

/// Exactly 20 digits.
fn parse_number(text: &str) -> Option<u64> {
    let is_number = text.len() == DIGITS && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| is_number)
}

impl fmt::Debug for RevocationRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RevocationRecord")
            .field("issuer", &self.issuer)
            .field("kind", &self.kind)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_read_as_they_were_written_and_nothing_else_is() {
        let entry = Entry { before: u64::MAX, before_ours: 7, until: 1_785_196_800 };
        let name = NameHash::of("https://a.example", "alice");
        let record = RevocationRecord {
            issuer: "https://a b.example".into(),
            kind: RevokedKind::Subject,
            name,
            entry,
        };
        let text = record.to_text();
        assert!(!text.contains("alice"));
        assert_eq!(RevocationRecord::from_text(&text), Some(record.clone()));
        for (kind, _) in KINDS {
            let other = RevocationRecord { kind, ..record.clone() };
            assert_eq!(RevocationRecord::from_text(&other.to_text()), Some(other.clone()));
            assert_eq!(other.id() == record.id(), kind == RevokedKind::Subject);
        }
        for (from, to) in [
            ("00000000000000000007", "7"),
            ("00000000000000000007", "+0000000000000000007"),
            ("00000000000000000007", "99999999999999999999"),
            ("00000000000000000007 ", ""),
            (" subject ", " somebody "),
            ("https://a b.example", ""),
            ("https://a b.example", "https://a\n.example"),
            ("https://a b.example", &"x".repeat(2049)),
            (&hex::encode(&name.0), "00"),
            (&hex::encode(&name.0), &"g".repeat(32)),
            (&text, ""),
        ] {
            assert_eq!(RevocationRecord::from_text(&text.replace(from, to)), None, "{from} {to}");
        }
    }

    #[test]
    fn names_of_different_issuers_have_different_digests() {
        assert_eq!(NameHash::of("https://a", "b"), NameHash::of("https://a", "b"));
        assert_ne!(NameHash::of("https://a", "b"), NameHash::of("https://b", "b"));
        assert_ne!(NameHash::of("https://a", "bc"), NameHash::of("https://ab", "c"));
    }
}

//! What is revoked of one issuer, and whether a token is.

use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::HashMap;
use std::num::NonZeroU64;

use crate::model::revocation::RevokedKind;
use crate::model::verified_token::TokenData;
use crate::util::json::{self, Raw};
use crate::util::shown;

/// How many seconds the clock of an issuer may be ahead of ours where a revocation means "until now": the accuracy
/// of NTP, and a margin. It is added to what is known about the clock of this issuer.
pub(super) const SKEW: u64 = 5;

/// What is known about one issuer.
#[derive(Default)]
pub(super) struct IssuerEntries {
    /// One table for each [`RevokedKind`], by name.
    tables: [HashMap<Box<str>, Entry>; 5],
    /// How far its clock is ahead of ours, as far as its tokens have shown it: when more became known, and how many
    /// seconds. Both grow.
    clock: Vec<(u64, u64)>,
}

/// Tokens issued before these times are revoked, and those that do not say when they were issued. All are seconds
/// since 1970.
#[derive(Clone, Copy, Default)]
pub(super) struct Entry {
    /// By the clock of the issuer, like the `iat` of its tokens.
    pub(super) before: u64,
    /// By our clock.
    pub(super) before_ours: u64,
    /// When the entry may be removed.
    pub(super) until: u64,
}

impl IssuerEntries {
    #[expect(clippy::indexing_slicing, reason = "there is a table for each kind")]
    pub(super) fn table(&self, kind: RevokedKind) -> &HashMap<Box<str>, Entry> {
        &self.tables[kind as usize]
    }

    #[expect(clippy::indexing_slicing, reason = "there is a table for each kind")]
    fn table_mut(&mut self, kind: RevokedKind) -> &mut HashMap<Box<str>, Entry> {
        &mut self.tables[kind as usize]
    }

    /// Returns whether more is revoked than before.
    pub(super) fn insert(&mut self, kind: RevokedKind, name: &str, new: Entry) -> bool {
        let known = self.table(kind).get(name).copied();
        let old = known.unwrap_or_default();
        let entry = Entry {
            before: old.before.max(new.before),
            before_ours: old.before_ours.max(new.before_ours),
            until: old.until.max(new.until),
        };
        self.table_mut(kind).insert(name.into(), entry);
        known.is_none() || old.before < entry.before || old.before_ours < entry.before_ours
    }

    pub(super) fn len(&self) -> usize {
        self.tables.iter().map(HashMap::len).sum()
    }

    /// How many seconds its clock was ahead, as far as that was known at a moment.
    fn clock_ahead(&self, moment: u64) -> u64 {
        let known = self.clock.iter().rev().find(|(since, _)| *since <= moment);
        known.map_or(0, |(_, ahead)| *ahead)
    }

    pub(super) fn knows_clock_ahead(&self, ahead: u64) -> bool {
        self.clock.last().is_some_and(|(_, known)| *known >= ahead)
    }

    pub(super) fn learn_clock_ahead(&mut self, now: u64, ahead: u64) {
        if !self.knows_clock_ahead(ahead) {
            self.clock.push((now, ahead));
        }
    }

    /// Whether a token is revoked at a moment. No token can have been issued later than the leeway after it.
    pub(super) fn revokes(&self, data: &TokenData, now: u64, leeway: u64) -> bool {
        let latest = now.saturating_add(leeway);
        // Who knows what claims say that cannot be read: they may name anything that is revoked.
        let Ok([jti, sid, sub]) = json::pick(&data.claims, ["jti", "sid", "sub"]) else {
            return self.len() > 0;
        };
        let issued_at = data.issued_at.map(NonZeroU64::get).filter(|time| *time <= latest);
        let covers = |entry: &Entry| {
            // What became known about its clock much later says nothing about the moment of the revocation.
            let known_by = entry.before_ours.saturating_add(leeway);
            let before_ours = entry.before_ours.saturating_add(self.clock_ahead(known_by));
            issued_at.is_none_or(|time| time < entry.before.max(before_ours))
        };
        let subject = Name::Is(Cow::Borrowed(data.subject.of(&data.claims)));
        let names_session = sid.and_then(Raw::string).is_some_and(|sid| !sid.is_empty());
        let (jti, sid, sub) = (Name::of(jti), Name::of(sid), Name::of(sub));
        // The issuer names the subject by `sub`, whatever its name is here.
        let of_subject = [&subject, &sub];
        let revokes = |kind, name: &Name<'_>| match name {
            Name::Absent => false,
            Name::Is(name) => self.table(kind).get(&**name).is_some_and(covers),
            Name::Unreadable => self.table(kind).values().any(covers),
        };
        self.table(RevokedKind::Everything).values().any(covers)
            || revokes(RevokedKind::Token, &jti)
            || revokes(RevokedKind::Session, &sid)
            || of_subject.iter().any(|name| revokes(RevokedKind::Subject, name))
            || !names_session
                && of_subject.iter().any(|name| revokes(RevokedKind::SubjectWithoutSession, name))
    }

    /// Removes expired entries. If that is not enough, replaces all by one.
    pub(super) fn make_room(&mut self, issuer: &str, capacity: usize, now: u64) {
        self.remove_expired(now);
        if self.len() >= capacity {
            self.compact(issuer, now);
        }
    }

    pub(super) fn remove_expired(&mut self, now: u64) {
        self.tables.iter_mut().for_each(|table| table.retain(|_, entry| entry.until > now));
    }

    /// Replaces the entries by one that revokes everything that the issuer has issued until now. Its ended sessions
    /// are kept, since tokens may still be issued for them: the newest, in up to half of its entries.
    pub(super) fn compact(&mut self, issuer: &str, now: u64) {
        tracing::error!(
            target: "mcp_auth", issuer = &*shown::field(issuer), entries = self.len(),
            "the list of revocations is full: everything that this issuer issued until now is revoked instead; raise `Revocations::capacity(..)`",
        );
        let max_sessions = self.len() / 2;
        let mut all = Entry { before: 0, before_ours: now.saturating_add(1 + SKEW), until: now };
        for entry in self.tables.iter().flat_map(HashMap::values) {
            all.until = all.until.max(entry.until);
            all.before_ours = all.before_ours.max(entry.before_ours);
            if entry.before < u64::MAX {
                all.before = all.before.max(entry.before);
            }
        }
        let sessions = std::mem::take(self.table_mut(RevokedKind::Session));
        let mut sessions: Vec<_> = sessions.into_iter().collect();
        sessions.sort_unstable_by_key(|(_, entry)| Reverse(entry.until));
        sessions.truncate(max_sessions);
        self.tables = Default::default();
        self.table_mut(RevokedKind::Session).extend(sessions);
        self.insert(RevokedKind::Everything, "", all);
    }
}

/// What a claim names.
enum Name<'c> {
    Absent,
    Is(Cow<'c, str>),
    /// It cannot be compared with what is revoked, so it may be any of it.
    Unreadable,
}

impl<'c> Name<'c> {
    fn of(claim: Option<Raw<'c>>) -> Self {
        let Some(claim) = claim.filter(|claim| !claim.is_null()) else { return Self::Absent };
        match claim.string() {
            Some(name) if name.is_empty() => Self::Absent,
            Some(name) => Self::Is(name),
            // Some issuers write ids as numbers.
            None if claim.get().bytes().all(|b| b.is_ascii_digit()) => {
                Self::Is(Cow::Borrowed(claim.get()))
            }
            None => Self::Unreadable,
        }
    }
}

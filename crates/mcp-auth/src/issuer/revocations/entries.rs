//! What is revoked of one issuer, and whether a token is.

use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::HashMap;
use std::num::NonZeroU64;

use crate::issuer::revocations::record::{Entry, NameHash};
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
    /// One table for each [`RevokedKind`].
    tables: [HashMap<NameHash, Entry>; 6],
    /// How far its clock is ahead of ours, as far as its tokens have shown it: when more became known, and how many
    /// seconds. Both grow.
    clock: Vec<(u64, u64)>,
}

impl IssuerEntries {
    #[expect(clippy::indexing_slicing, reason = "there is a table for each kind")]
    pub(super) fn table(&self, kind: RevokedKind) -> &HashMap<NameHash, Entry> {
        &self.tables[kind as usize]
    }

    #[expect(clippy::indexing_slicing, reason = "there is a table for each kind")]
    fn table_mut(&mut self, kind: RevokedKind) -> &mut HashMap<NameHash, Entry> {
        &mut self.tables[kind as usize]
    }

    /// Returns whether more is revoked than before.
    pub(super) fn insert(&mut self, kind: RevokedKind, name: NameHash, new: Entry) -> bool {
        let known = self.table(kind).get(&name).copied();
        let old = known.unwrap_or_default();
        let entry = Entry {
            before: old.before.max(new.before),
            before_ours: old.before_ours.max(new.before_ours),
            until: old.until.max(new.until),
        };
        self.table_mut(kind).insert(name, entry);
        known.is_none() || old.before < entry.before || old.before_ours < entry.before_ours
    }

    /// Everything that is revoked, with its kind.
    pub(super) fn iter(&self) -> impl Iterator<Item = (RevokedKind, NameHash, Entry)> {
        RevokedKind::ALL.into_iter().flat_map(|kind| {
            self.table(kind).iter().map(move |(name, entry)| (kind, *name, *entry))
        })
    }

    pub(super) fn len(&self) -> usize {
        self.tables.iter().map(HashMap::len).sum()
    }

    /// Whether it has entries, or its clock was learned after a moment.
    pub(super) fn is_needed(&self, since: u64) -> bool {
        self.len() > 0 || self.clock.last().is_some_and(|(learned, _)| *learned > since)
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
        let names = ["jti", "sid", "sub", "auth_time"];
        let Ok([jti, sid, sub, auth_time]) = json::pick(&data.claims, names) else {
            return self.len() > 0;
        };
        let is_before = |entry: &Entry, time: Option<u64>| {
            // What became known about its clock much later says nothing about the moment of the revocation.
            let known_by = entry.before_ours.saturating_add(leeway);
            let before_ours = entry.before_ours.saturating_add(self.clock_ahead(known_by));
            let time = time.filter(|time| *time <= latest);
            time.is_none_or(|time| time < entry.before.max(before_ours))
        };
        let covers = |entry: &Entry| is_before(entry, data.issued_at.map(NonZeroU64::get));
        let login = auth_time.and_then(Raw::numeric_date).map(|seconds| seconds as u64);
        let covers_login = |entry: &Entry| entry.until > now && is_before(entry, login);
        let subject = Name::Is(Cow::Borrowed(data.subject.of(&data.claims)));
        let names_session = sid.and_then(Raw::string).is_some_and(|sid| !sid.is_empty());
        let (jti, sid, sub) = (Name::of(jti), Name::of(sid), Name::of(sub));
        // The issuer names the subject by `sub`, whatever its name is here. They are mostly the same.
        let of_subject = [Some(&subject), Some(&sub).filter(|sub| **sub != subject)];
        let revokes = |kind, name: &Name<'_>| match name {
            // Without a digest.
            _ if self.table(kind).is_empty() => false,
            Name::Absent => false,
            Name::Is(name) => {
                self.table(kind).get(&NameHash::of(&data.issuer, name)).is_some_and(covers)
            }
            Name::Unreadable => self.table(kind).values().any(covers),
        };
        self.table(RevokedKind::Everything).values().any(covers)
            || !matches!(sid, Name::Absent)
                && self.table(RevokedKind::EverySession).values().any(covers_login)
            || revokes(RevokedKind::Token, &jti)
            || revokes(RevokedKind::Session, &sid)
            || of_subject.iter().flatten().any(|name| revokes(RevokedKind::Subject, name))
            || !names_session
                && of_subject
                    .iter()
                    .flatten()
                    .any(|name| revokes(RevokedKind::SubjectWithoutSession, name))
    }

    /// Removes expired entries. If that is not enough, replaces them.
    pub(super) fn make_room(&mut self, issuer: &str, capacity: usize, now: u64) {
        self.remove_expired(now);
        if self.len() >= capacity {
            self.compact(issuer, now);
        }
    }

    pub(super) fn remove_expired(&mut self, now: u64) {
        self.tables.iter_mut().for_each(|table| table.retain(|_, entry| entry.until > now));
    }

    /// Makes room because of what this issuer itself has sent. All that it has issued until now is revoked. Its ended
    /// sessions are kept, since tokens may still be issued for them: the newest, in up to half of its entries.
    fn compact(&mut self, issuer: &str, now: u64) {
        tracing::error!(
            target: "mcp_auth", issuer = &*shown::field(issuer), entries = self.len(),
            "the list of revocations is full: everything that this issuer issued until now is revoked instead; raise `Revocations::capacity(..)`",
        );
        let max_sessions = self.len() / 2;
        let mut sessions: Vec<_> = self.revoke_everything(issuer, now).into_iter().collect();
        sessions.sort_unstable_by_key(|(_, entry)| Reverse(entry.until));
        sessions.truncate(max_sessions);
        self.table_mut(RevokedKind::Session).extend(sessions);
    }

    /// Makes room because of what others have sent too, so nothing that it has revoked may come back. All that it has
    /// issued until now is revoked, and until its ended sessions would have been removed, so are all sessions of which
    /// a token does not show that they began later.
    pub(super) fn close(&mut self, issuer: &str, now: u64) {
        tracing::error!(
            target: "mcp_auth", issuer = &*shown::field(issuer), entries = self.len(),
            "the issuers of one resolver have sent too many revocations, this one the most: everything that it issued until now is revoked instead, and its sessions are refused unless `auth_time` shows a later login; raise `Revocations::capacity(..)`",
        );
        let sessions = self.revoke_everything(issuer, now);
        if let Some(until) = sessions.values().map(|entry| entry.until).max() {
            let began = Entry { before: 0, before_ours: now.saturating_add(1 + SKEW), until };
            self.insert(RevokedKind::EverySession, NameHash::of(issuer, ""), began);
        }
    }

    /// Replaces the entries by one that revokes everything that the issuer has issued until now. Returns its ended
    /// sessions, for which tokens may still be issued.
    fn revoke_everything(&mut self, issuer: &str, now: u64) -> HashMap<NameHash, Entry> {
        let mut all = Entry { before: 0, before_ours: now.saturating_add(1 + SKEW), until: now };
        for entry in self.tables.iter().flat_map(HashMap::values) {
            all.until = all.until.max(entry.until);
            all.before_ours = all.before_ours.max(entry.before_ours);
            if entry.before < u64::MAX {
                all.before = all.before.max(entry.before);
            }
        }
        let sessions = std::mem::take(self.table_mut(RevokedKind::Session));
        let every_session = std::mem::take(self.table_mut(RevokedKind::EverySession));
        self.tables = Default::default();
        *self.table_mut(RevokedKind::EverySession) = every_session;
        self.insert(RevokedKind::Everything, NameHash::of(issuer, ""), all);
        sessions
    }
}

/// What a claim names.
#[derive(PartialEq)]
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

//! The memory of proofs: each is accepted once ([RFC 9449 §11.1](https://www.rfc-editor.org/rfc/rfc9449#section-11.1)).

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Mutex, PoisonError};

use crate::model::verified_token::VerifiedToken;
use crate::verify::jwt::sha256;

/// Proofs that end within the same minute are forgotten at once.
const STEP: u64 = 60;

/// The proofs that were accepted and could come again, by their digests: 16 bytes each.
///
/// It never forgets a proof that would still be accepted. When it is full, new ones are refused; and no
/// owner may take more than a quarter of it, with however many keys, so that nobody can lock out the others alone.
pub(super) struct ReplayCache {
    capacity: usize,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    /// By the minute in which they end.
    minutes: BTreeMap<u64, Minute>,
    /// The latest minute of which proofs were forgotten. It lies ahead if the clock was set back.
    forgotten: Option<u64>,
}

/// Whose token it is: the start of a digest of issuer and subject.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct ReplayQuotaKey([u8; 8]);

impl ReplayQuotaKey {
    /// No issuer that is trusted has a NUL in its name.
    pub(super) fn of(token: &VerifiedToken) -> Self {
        let both = [token.issuer().as_bytes(), &[0], token.subject().as_bytes()].concat();
        Self(start(sha256(&both)))
    }
}

#[derive(Default)]
struct Minute {
    proofs: HashSet<[u8; 16]>,
    /// How many of them each owner has sent.
    of_owner: HashMap<ReplayQuotaKey, usize>,
}

/// What the memory knows of a proof.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ReplayCheck {
    Replayed,
    /// Perhaps: those of its minute were forgotten, by a clock that was ahead.
    Evicted,
    /// Never before, and from now on it is known.
    New,
    /// It is not known, and there is no place to remember it.
    Full,
}

impl ReplayCache {
    pub(super) fn new(capacity: usize) -> Self {
        Self { capacity, known: Mutex::default() }
    }

    /// Whether a proof of this key comes for the first time. It could come again `until` then.
    pub(super) fn check_and_insert(
        &self,
        quota_key: ReplayQuotaKey,
        key: &[u8; 32],
        id: &str,
        until: u64,
        now: u64,
    ) -> ReplayCheck {
        let proof = start(sha256(&[key, id.as_bytes()].concat()));
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let Known { minutes, forgotten } = &mut *known;
        while let Some(oldest) = minutes.first_entry().filter(|oldest| *oldest.key() < now / STEP) {
            *forgotten = (*forgotten).max(Some(*oldest.key()));
            oldest.remove();
        }
        if minutes.values().any(|minute| minute.proofs.contains(&proof)) {
            return ReplayCheck::Replayed;
        }
        if Some(until / STEP) <= *forgotten {
            return ReplayCheck::Evicted;
        }
        let all: usize = minutes.values().map(|minute| minute.proofs.len()).sum();
        let theirs: usize =
            minutes.values().filter_map(|minute| minute.of_owner.get(&quota_key)).sum();
        if all >= self.capacity || theirs >= self.capacity.div_ceil(4) {
            return ReplayCheck::Full;
        }
        let minute = minutes.entry(until / STEP).or_default();
        minute.proofs.insert(proof);
        *minute.of_owner.entry(quota_key).or_default() += 1;
        ReplayCheck::New
    }
}

/// Enough of a digest: nobody finds another one that begins so.
fn start<const N: usize>(digest: [u8; 32]) -> [u8; N] {
    let mut start = [0; N];
    for (kept, byte) in start.iter_mut().zip(digest) {
        *kept = byte;
    }
    start
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(replays: &ReplayCache) -> usize {
        let known = replays.known.lock().expect("no panic before");
        known.minutes.values().map(|minute| minute.proofs.len()).sum()
    }

    fn quota_key(name: &str) -> ReplayQuotaKey {
        ReplayQuotaKey::of(&VerifiedToken::assert("https://auth.example.com", name))
    }

    #[test]
    fn a_proof_is_known_until_it_ends_and_then_forgotten() {
        let replays = ReplayCache::new(100);
        let see = |id: &str, now| {
            replays.check_and_insert(quota_key("alice"), &[1; 32], id, now + 120, now)
        };
        assert_eq!(see("a", 600), ReplayCheck::New);
        assert_eq!(see("a", 600), ReplayCheck::Replayed);
        assert_eq!(see("a", 700), ReplayCheck::Replayed, "with another time in it too");
        let another_key = replays.check_and_insert(quota_key("alice"), &[2; 32], "a", 720, 600);
        assert_eq!(another_key, ReplayCheck::New);
        let another_token = replays.check_and_insert(quota_key("bob"), &[1; 32], "a", 720, 600);
        assert_eq!(
            another_token,
            ReplayCheck::Replayed,
            "a proof belongs to its key, whoever sends it"
        );
        assert_eq!(see("b", 720), ReplayCheck::New);
        assert_eq!(ids(&replays), 3);
        assert_eq!(see("c", 780), ReplayCheck::New);
        assert_eq!(ids(&replays), 2, "those that ended are gone");
    }

    #[test]
    fn what_was_forgotten_by_a_clock_that_was_ahead_is_not_new() {
        let replays = ReplayCache::new(100);
        let see = |id: &str, now| {
            replays.check_and_insert(quota_key("alice"), &[1; 32], id, now + 120, now)
        };
        assert_eq!(see("a", 600), ReplayCheck::New);
        assert_eq!(see("ahead", 6000), ReplayCheck::New);
        assert_eq!(see("a", 600), ReplayCheck::Evicted);
        assert_eq!(see("b", 659), ReplayCheck::Evicted, "nobody knows");
        assert_eq!(see("ahead", 6000), ReplayCheck::Replayed, "what lies ahead is still known");
        assert_eq!(see("b", 660), ReplayCheck::New, "two minutes later all is well");
        assert_eq!(see("b", 660), ReplayCheck::Replayed);

        // So it is for who looked at the clock, and then had to wait.
        assert_eq!(see("late", 661), ReplayCheck::New);
        assert_eq!(see("later", 841), ReplayCheck::New);
        assert_eq!(see("late", 661), ReplayCheck::Evicted);
    }

    #[test]
    fn when_it_is_full_new_proofs_are_refused_and_known_ones_stay_known() {
        let replays = ReplayCache::new(8);
        let see =
            |name, key, id| replays.check_and_insert(quota_key(name), &[key; 32], id, 700, 600);
        for (key, name) in (0..).zip(["alice", "bob", "carol", "dave"]) {
            assert_eq!(see(name, key, "a"), ReplayCheck::New);
            assert_eq!(see(name, key + 10, "a"), ReplayCheck::New);
            assert_eq!(see(name, key + 20, "a"), ReplayCheck::Full, "their share, with any key");
        }
        assert_eq!(see("erin", 9, "a"), ReplayCheck::Full);
        assert_eq!(see("alice", 0, "a"), ReplayCheck::Replayed);
        assert_eq!(ids(&replays), 8);
        let later = replays.check_and_insert(quota_key("erin"), &[9; 32], "a", 900, 720);
        assert_eq!(later, ReplayCheck::New, "time helps");
    }

    #[test]
    fn owners_are_told_apart_by_issuer_and_subject() {
        let of = |issuer, subject| ReplayQuotaKey::of(&VerifiedToken::assert(issuer, subject)).0;
        assert_eq!(of("https://a", "b"), of("https://a", "b"));
        assert_ne!(of("https://a", "b"), of("https://b", "b"));
        assert_ne!(of("https://a", "bc"), of("https://ab", "c"));
    }

    #[test]
    fn an_identifier_of_any_length_takes_sixteen_bytes() {
        let replays = ReplayCache::new(10);
        let long = "a".repeat(10_000);
        assert_eq!(
            replays.check_and_insert(quota_key("alice"), &[1; 32], &long, 700, 600),
            ReplayCheck::New
        );
        assert_eq!(size_of::<[u8; 16]>() * ids(&replays), 16);
    }

    #[test]
    fn nothing_is_remembered_where_there_is_no_place() {
        let seen =
            ReplayCache::new(0).check_and_insert(quota_key("alice"), &[1; 32], "a", 700, 600);
        assert_eq!(seen, ReplayCheck::Full);
    }
}

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
pub(super) struct Replays {
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
pub(super) struct Owner([u8; 8]);

impl Owner {
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
    of_owner: HashMap<Owner, usize>,
}

/// What the memory knows of a proof.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    Again,
    /// Perhaps: those of its minute were forgotten, by a clock that was ahead.
    Forgotten,
    /// Never before, and from now on it is known.
    First,
    /// It is not known, and there is no place to remember it.
    NoPlace,
}

impl Replays {
    pub(super) fn new(capacity: usize) -> Self {
        Self { capacity, known: Mutex::default() }
    }

    /// Whether a proof of this key comes for the first time. It could come again `until` then.
    pub(super) fn first_seen(
        &self,
        owner: Owner,
        key: &[u8; 32],
        id: &str,
        until: u64,
        now: u64,
    ) -> Seen {
        let proof = start(sha256(&[key, id.as_bytes()].concat()));
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let Known { minutes, forgotten } = &mut *known;
        while let Some(oldest) = minutes.first_entry().filter(|oldest| *oldest.key() < now / STEP) {
            *forgotten = (*forgotten).max(Some(*oldest.key()));
            oldest.remove();
        }
        if minutes.values().any(|minute| minute.proofs.contains(&proof)) {
            return Seen::Again;
        }
        if Some(until / STEP) <= *forgotten {
            return Seen::Forgotten;
        }
        let all: usize = minutes.values().map(|minute| minute.proofs.len()).sum();
        let theirs: usize = minutes.values().filter_map(|minute| minute.of_owner.get(&owner)).sum();
        if all >= self.capacity || theirs >= self.capacity.div_ceil(4) {
            return Seen::NoPlace;
        }
        let minute = minutes.entry(until / STEP).or_default();
        minute.proofs.insert(proof);
        *minute.of_owner.entry(owner).or_default() += 1;
        Seen::First
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

    fn ids(replays: &Replays) -> usize {
        let known = replays.known.lock().expect("no panic before");
        known.minutes.values().map(|minute| minute.proofs.len()).sum()
    }

    fn owner(name: &str) -> Owner {
        Owner::of(&VerifiedToken::assert("https://auth.example.com", name))
    }

    #[test]
    fn a_proof_is_known_until_it_ends_and_then_forgotten() {
        let replays = Replays::new(100);
        let see = |id: &str, now| replays.first_seen(owner("alice"), &[1; 32], id, now + 120, now);
        assert_eq!(see("a", 600), Seen::First);
        assert_eq!(see("a", 600), Seen::Again);
        assert_eq!(see("a", 700), Seen::Again, "with another time in it too");
        let another_key = replays.first_seen(owner("alice"), &[2; 32], "a", 720, 600);
        assert_eq!(another_key, Seen::First);
        let another_token = replays.first_seen(owner("bob"), &[1; 32], "a", 720, 600);
        assert_eq!(another_token, Seen::Again, "a proof belongs to its key, whoever sends it");
        assert_eq!(see("b", 720), Seen::First);
        assert_eq!(ids(&replays), 3);
        assert_eq!(see("c", 780), Seen::First);
        assert_eq!(ids(&replays), 2, "those that ended are gone");
    }

    #[test]
    fn what_was_forgotten_by_a_clock_that_was_ahead_is_not_new() {
        let replays = Replays::new(100);
        let see = |id: &str, now| replays.first_seen(owner("alice"), &[1; 32], id, now + 120, now);
        assert_eq!(see("a", 600), Seen::First);
        assert_eq!(see("ahead", 6000), Seen::First);
        assert_eq!(see("a", 600), Seen::Forgotten);
        assert_eq!(see("b", 659), Seen::Forgotten, "nobody knows");
        assert_eq!(see("ahead", 6000), Seen::Again, "what lies ahead is still known");
        assert_eq!(see("b", 660), Seen::First, "two minutes later all is well");
        assert_eq!(see("b", 660), Seen::Again);

        // So it is for who looked at the clock, and then had to wait.
        assert_eq!(see("late", 661), Seen::First);
        assert_eq!(see("later", 841), Seen::First);
        assert_eq!(see("late", 661), Seen::Forgotten);
    }

    #[test]
    fn when_it_is_full_new_proofs_are_refused_and_known_ones_stay_known() {
        let replays = Replays::new(8);
        let see = |name, key, id| replays.first_seen(owner(name), &[key; 32], id, 700, 600);
        for (key, name) in (0..).zip(["alice", "bob", "carol", "dave"]) {
            assert_eq!(see(name, key, "a"), Seen::First);
            assert_eq!(see(name, key + 10, "a"), Seen::First);
            assert_eq!(see(name, key + 20, "a"), Seen::NoPlace, "their share, with any key");
        }
        assert_eq!(see("erin", 9, "a"), Seen::NoPlace);
        assert_eq!(see("alice", 0, "a"), Seen::Again);
        assert_eq!(ids(&replays), 8);
        let later = replays.first_seen(owner("erin"), &[9; 32], "a", 900, 720);
        assert_eq!(later, Seen::First, "time helps");
    }

    #[test]
    fn owners_are_told_apart_by_issuer_and_subject() {
        let of = |issuer, subject| Owner::of(&VerifiedToken::assert(issuer, subject)).0;
        assert_eq!(of("https://a", "b"), of("https://a", "b"));
        assert_ne!(of("https://a", "b"), of("https://b", "b"));
        assert_ne!(of("https://a", "bc"), of("https://ab", "c"));
    }

    #[test]
    fn an_identifier_of_any_length_takes_sixteen_bytes() {
        let replays = Replays::new(10);
        let long = "a".repeat(10_000);
        assert_eq!(replays.first_seen(owner("alice"), &[1; 32], &long, 700, 600), Seen::First);
        assert_eq!(size_of::<[u8; 16]>() * ids(&replays), 16);
    }

    #[test]
    fn nothing_is_remembered_where_there_is_no_place() {
        let seen = Replays::new(0).first_seen(owner("alice"), &[1; 32], "a", 700, 600);
        assert_eq!(seen, Seen::NoPlace);
    }
}

//! The replay cache for DPoP proofs: each proof is accepted once
//! ([RFC 9449 §11.1](https://www.rfc-editor.org/rfc/rfc9449#section-11.1)).

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Mutex, PoisonError};

use crate::model::verified_token::VerifiedToken;
use crate::verify::jwt::sha256;

/// Seconds per bucket. Proofs that expire within the same minute are dropped together.
const BUCKET_SECS: u64 = 60;

/// The proofs that were accepted and could be replayed, as digests of 16 bytes each.
///
/// A proof that would still be accepted is never dropped. When the cache is full, new proofs are refused. An owner, with
/// however many keys, may use a third of what is free beside it: one alone a quarter of the cache, and each further one
/// leaves room for others. So no few owners can lock out the others.
pub(crate) struct ReplayCache {
    capacity: usize,
    entries: Mutex<Entries>,
}

#[derive(Default)]
struct Entries {
    /// Keyed by the minute in which the proofs expire.
    minutes: BTreeMap<u64, Minute>,
    /// The latest minute whose proofs were dropped. It is in the future if the clock was set back.
    latest_dropped_minute: Option<u64>,
}

/// The owner of a token: a truncated digest of issuer and subject.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct ReplayQuotaKey([u8; 8]);

impl ReplayQuotaKey {
    /// The separator is unambiguous: no trusted issuer has a NUL in its name.
    pub(super) fn of(token: &VerifiedToken) -> Self {
        let both = [token.issuer().as_bytes(), &[0], token.subject().as_bytes()].concat();
        Self(truncate(sha256(&both)))
    }
}

/// Identifies a DPoP proof at a resource: a truncated digest of the resource, of the key and of the `jti`. It has nothing of
/// them in the clear.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ProofId([u8; 16]);

impl ProofId {
    /// The bytes of the digest.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// The separators are unambiguous: no URL has a NUL, and the key has a fixed length.
    pub(super) fn of(resource: &str, key: &[u8; 32], id: &str) -> Self {
        let all = [b"mcp-auth dpop proof\0", resource.as_bytes(), b"\0", key, id.as_bytes()];
        Self(truncate(sha256(&all.concat())))
    }
}

/// A proof that was accepted, for other processes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NewProof {
    pub(crate) id: ProofId,
    /// Until when it could be replayed, in seconds since 1970.
    pub(crate) until: u64,
}

#[derive(Default)]
struct Minute {
    proofs: HashSet<[u8; 16]>,
    /// How many of them each owner has sent.
    count_by_owner: HashMap<ReplayQuotaKey, usize>,
}

/// What the replay cache knows about a proof.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ReplayCheck {
    Replayed,
    /// It is unknown whether the proof was seen: the proofs of its minute were dropped while the clock was ahead.
    Unknown,
    /// Seen for the first time. It is stored now.
    New,
    /// Not seen before, but there is no space to store it.
    Full,
}

impl ReplayCache {
    pub(crate) fn new(capacity: usize) -> Self {
        Self { capacity, entries: Mutex::default() }
    }

    /// Stores a proof of this key if it is seen for the first time. It could be replayed until `until`.
    ///
    /// Times are in seconds since 1970.
    pub(super) fn check_and_insert(
        &self,
        quota_key: ReplayQuotaKey,
        key: &[u8; 32],
        id: &str,
        until: u64,
        now: u64,
    ) -> ReplayCheck {
        let proof = truncate(sha256(&[key, id.as_bytes()].concat()));
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let Entries { minutes, latest_dropped_minute } = &mut *entries;
        while let Some(oldest) =
            minutes.first_entry().filter(|oldest| *oldest.key() < now / BUCKET_SECS)
        {
            *latest_dropped_minute = (*latest_dropped_minute).max(Some(*oldest.key()));
            oldest.remove();
        }
        if minutes.values().any(|minute| minute.proofs.contains(&proof)) {
            return ReplayCheck::Replayed;
        }
        if Some(until / BUCKET_SECS) <= *latest_dropped_minute {
            return ReplayCheck::Unknown;
        }
        let all: usize = minutes.values().map(|minute| minute.proofs.len()).sum();
        let theirs: usize =
            minutes.values().filter_map(|minute| minute.count_by_owner.get(&quota_key)).sum();
        let free = self.capacity.saturating_sub(all);
        if theirs.saturating_mul(3) >= free {
            return ReplayCheck::Full;
        }
        let minute = minutes.entry(until / BUCKET_SECS).or_default();
        minute.proofs.insert(proof);
        *minute.count_by_owner.entry(quota_key).or_default() += 1;
        ReplayCheck::New
    }
}

/// Truncates a digest. Enough is kept that nobody finds another digest that begins with the same bytes.
fn truncate<const N: usize>(digest: [u8; 32]) -> [u8; N] {
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
        let entries = replays.entries.lock().expect("no panic before");
        entries.minutes.values().map(|minute| minute.proofs.len()).sum()
    }

    fn quota_key(name: &str) -> ReplayQuotaKey {
        ReplayQuotaKey::of(&VerifiedToken::assert("https://auth.example.com", name))
    }

    #[test]
    fn a_proof_is_cached_until_it_expires() {
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
    fn proofs_evicted_by_a_clock_that_was_ahead_are_not_accepted_as_new() {
        let replays = ReplayCache::new(100);
        let see = |id: &str, now| {
            replays.check_and_insert(quota_key("alice"), &[1; 32], id, now + 120, now)
        };
        assert_eq!(see("a", 600), ReplayCheck::New);
        assert_eq!(see("ahead", 6000), ReplayCheck::New);
        assert_eq!(see("a", 600), ReplayCheck::Unknown);
        assert_eq!(see("b", 659), ReplayCheck::Unknown);
        assert_eq!(see("ahead", 6000), ReplayCheck::Replayed, "what lies ahead is still known");
        assert_eq!(see("b", 660), ReplayCheck::New, "two minutes later all is well");
        assert_eq!(see("b", 660), ReplayCheck::Replayed);

        // The same holds for a thread that read the clock and then waited for the lock.
        assert_eq!(see("late", 661), ReplayCheck::New);
        assert_eq!(see("later", 841), ReplayCheck::New);
        assert_eq!(see("late", 661), ReplayCheck::Unknown);
    }

    #[test]
    fn a_full_cache_refuses_new_proofs_and_keeps_known_ones() {
        let replays = ReplayCache::new(8);
        let see =
            |name, key, id| replays.check_and_insert(quota_key(name), &[key; 32], id, 700, 600);
        for (key, (name, share)) in (0..).zip([
            ("alice", 2),
            ("bob", 2),
            ("carol", 1),
            ("dave", 1),
            ("erin", 1),
            ("fay", 1),
        ]) {
            for other_key in 0..share {
                assert_eq!(see(name, key + 10 * other_key, "a"), ReplayCheck::New, "{name}");
            }
            assert_eq!(see(name, key + 100, "a"), ReplayCheck::Full, "{name} with any key");
        }
        assert_eq!(see("gus", 9, "a"), ReplayCheck::Full);
        assert_eq!(see("alice", 0, "a"), ReplayCheck::Replayed);
        assert_eq!(ids(&replays), 8);
        let later = replays.check_and_insert(quota_key("gus"), &[9; 32], "a", 900, 720);
        assert_eq!(later, ReplayCheck::New, "time helps");
    }

    #[test]
    fn users_who_send_all_they_can_leave_room_for_another() {
        for attackers in [1, 4, 20, 100] {
            let replays = ReplayCache::new(100_000);
            let mut free: usize = 100_000;
            for attacker in 0..attackers {
                let key = quota_key(&format!("attacker-{attacker}"));
                let mut id = 0;
                while replays.check_and_insert(key, &[1; 32], &format!("{attacker}-{id}"), 700, 600)
                    == ReplayCheck::New
                {
                    id += 1;
                    free -= 1;
                }
            }
            let honest = quota_key("alice");
            let mut id = 0;
            while replays.check_and_insert(honest, &[2; 32], &id.to_string(), 700, 600)
                == ReplayCheck::New
            {
                id += 1;
            }
            assert_eq!(id, free.div_ceil(4), "{attackers}");
        }
    }

    #[test]
    fn quota_keys_differ_by_issuer_and_subject() {
        let of = |issuer, subject| ReplayQuotaKey::of(&VerifiedToken::assert(issuer, subject)).0;
        assert_eq!(of("https://a", "b"), of("https://a", "b"));
        assert_ne!(of("https://a", "b"), of("https://b", "b"));
        assert_ne!(of("https://a", "bc"), of("https://ab", "c"));
    }

    #[test]
    fn a_proof_has_an_id_at_each_resource_and_for_each_key() {
        let id = ProofId::of("https://a/mcp", &[1; 32], "a");
        assert_eq!(id, ProofId::of("https://a/mcp", &[1; 32], "a"));
        for other in [
            ProofId::of("https://b/mcp", &[1; 32], "a"),
            ProofId::of("https://a/mcp", &[2; 32], "a"),
            ProofId::of("https://a/mcp", &[1; 32], "b"),
        ] {
            assert_ne!(id, other);
        }
    }

    #[test]
    fn a_jti_of_any_length_takes_sixteen_bytes() {
        let replays = ReplayCache::new(10);
        let long = "a".repeat(10_000);
        assert_eq!(
            replays.check_and_insert(quota_key("alice"), &[1; 32], &long, 700, 600),
            ReplayCheck::New
        );
        assert_eq!(size_of::<[u8; 16]>() * ids(&replays), 16);
    }

    #[test]
    fn a_cache_without_capacity_is_always_full() {
        let seen =
            ReplayCache::new(0).check_and_insert(quota_key("alice"), &[1; 32], "a", 700, 600);
        assert_eq!(seen, ReplayCheck::Full);
    }
}

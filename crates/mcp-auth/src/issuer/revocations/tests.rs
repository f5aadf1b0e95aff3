//! What a revocation matches, and what it does not.

use std::time::UNIX_EPOCH;

use serde_json::json;

use super::*;
use crate::model::verified_token::VerifiedToken;

const ISSUER: &str = "https://auth.example.com";

fn at(second: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(second)
}

fn token(issuer: &str, subject: &str, claims: serde_json::Value) -> VerifiedToken {
    VerifiedToken::assert(issuer, subject).with_claims(&claims).expect("an object")
}

fn is_revoked(revocations: &Revocations, token: &VerifiedToken) -> bool {
    revocations.is_revoked(token.data())
}

#[test]
fn a_revocation_matches_only_what_it_names() {
    let alice = || token(ISSUER, "alice", json!({"jti": "t1", "sid": "s1", "iat": 1000}));
    let later = || token(ISSUER, "alice", json!({"jti": "t2", "sid": "s2", "iat": 2000}));
    let bare = || token(ISSUER, "alice", json!({}));
    let bob = || token(ISSUER, "bob", json!({"jti": "t3", "sid": "s3", "iat": 1000}));
    let foreign =
        || token("https://other.example", "alice", json!({"jti": "t1", "sid": "s1", "iat": 1000}));
    let sessionless = || token(ISSUER, "alice", json!({"jti": "t4", "iat": 1000}));
    let odd = || token(ISSUER, "alice", json!({"jti": ["t1"], "sid": 7, "iat": "1000"}));
    let without_session = Revocation::subject_without_session(ISSUER, "alice");
    // Revoked at 1500. The columns: alice, later, bare, bob, foreign, sessionless, odd.
    let rows = [
        (Revocation::token(ISSUER, "t1"), [true, false, false, false, false, false, false]),
        (Revocation::session(ISSUER, "s1"), [true, false, false, false, false, false, false]),
        (Revocation::subject(ISSUER, "alice"), [true, false, true, false, false, true, true]),
        (without_session, [false, false, true, false, false, true, true]),
        (
            Revocation::issued_before(ISSUER, at(1000)),
            [false, false, true, false, false, false, true],
        ),
        (Revocation::issued_before(ISSUER, at(1001)), [true, false, true, true, false, true, true]),
        (Revocation::issued_before(ISSUER, at(2001)), [true, true, true, true, false, true, true]),
        (Revocation::token(ISSUER, "alice"), [false; 7]),
        (Revocation::subject(ISSUER, "Alice"), [false; 7]),
        (Revocation::subject("https://auth.example.com/", "alice"), [false; 7]),
        (Revocation::session(ISSUER, ""), [false; 7]),
    ];
    for (revocation, expected) in rows {
        let revocations = Revocations::new();
        revocations.insert(&revocation, at(1500));
        let tokens = [alice(), later(), bare(), bob(), foreign(), sessionless(), odd()];
        assert_eq!(
            tokens.map(|token| is_revoked(&revocations, &token)),
            expected,
            "{revocation:?}"
        );
    }
}

/// As with `dangerous_subject_is_username`, or with a custom verifier.
#[test]
fn a_subject_is_matched_by_subject_and_by_sub_claim() {
    let alice = || token(ISSUER, "alice", json!({"sub": "4711", "iat": 1000}));
    let in_session = || token(ISSUER, "alice", json!({"sub": "4711", "sid": "s1", "iat": 1000}));
    // Revoked at 1500. The columns: alice, and alice in a session.
    for (revocation, expected) in [
        (Revocation::subject(ISSUER, "alice"), [true, true]),
        (Revocation::subject(ISSUER, "4711"), [true, true]),
        (Revocation::subject_without_session(ISSUER, "4711"), [true, false]),
        (Revocation::subject(ISSUER, "4712"), [false, false]),
        (Revocation::session(ISSUER, "4711"), [false, false]),
    ] {
        let revocations = Revocations::new();
        revocations.insert(&revocation, at(1500));
        let tokens = [alice(), in_session()];
        assert_eq!(
            tokens.map(|token| is_revoked(&revocations, &token)),
            expected,
            "{revocation:?}"
        );
    }
}

#[test]
fn a_revocation_until_now_has_a_margin_and_an_explicit_until_has_none() {
    let issued = |second: u64| token(ISSUER, "alice", json!({"iat": second}));
    let revocations = Revocations::new();
    revocations.insert(&Revocation::subject(ISSUER, "alice"), at(1000));
    assert!(is_revoked(&revocations, &issued(1005)) && !is_revoked(&revocations, &issued(1006)));
    let revocations = Revocations::new();
    revocations.insert(&Revocation::subject(ISSUER, "alice").until(900), at(1000));
    assert!(is_revoked(&revocations, &issued(900)) && !is_revoked(&revocations, &issued(901)));
    revocations.insert(&Revocation::subject(ISSUER, "alice").until(800), at(1000));
    assert!(is_revoked(&revocations, &issued(900)), "an older word takes nothing back");
    assert_eq!(revocations.len(), 1);
}

#[test]
fn entries_go_when_their_tokens_have_expired() {
    let revocations = Revocations::new().retention(Duration::from_secs(3600)).capacity(2);
    revocations.insert(&Revocation::subject(ISSUER, "alice"), at(1000));
    revocations.insert(&Revocation::token(ISSUER, "t"), at(4000));
    revocations.insert(&Revocation::token(ISSUER, "t"), at(4001));
    assert_eq!(revocations.len(), 2);
    revocations.insert(&Revocation::token(ISSUER, "u"), at(4600));
    assert_eq!(revocations.len(), 2, "the oldest has gone");
    let alice = token(ISSUER, "alice", json!({"jti": "a", "iat": 900}));
    assert!(!is_revoked(&revocations, &alice));
    for name in ["t", "u"] {
        assert!(
            is_revoked(&revocations, &token(ISSUER, "bob", json!({"jti": name, "iat": 900}))),
            "{name}"
        );
    }
}

#[test]
fn a_full_revocation_list_refuses_more_tokens_never_fewer() {
    let other = "https://other.example";
    let revocations = Revocations::new().capacity(100);
    revocations.insert(&Revocation::token(other, "t"), at(1000));
    for i in 0..1000 {
        revocations.insert(&Revocation::token(ISSUER, format!("t{i}")), at(1000));
        assert!(revocations.len() <= 100);
    }
    for i in [0, 99, 500, 999] {
        let token = token(ISSUER, "alice", json!({"jti": format!("t{i}"), "iat": 990}));
        assert!(is_revoked(&revocations, &token), "t{i}");
    }
    assert!(is_revoked(
        &revocations,
        &token(ISSUER, "bob", json!({"jti": "unheard of", "iat": 990}))
    ));
    assert!(!is_revoked(&revocations, &token(ISSUER, "bob", json!({"jti": "new", "iat": 1010}))));
    assert!(
        !is_revoked(&revocations, &token(other, "bob", json!({"jti": "x", "iat": 990}))),
        "of another"
    );
    assert!(is_revoked(&revocations, &token(other, "bob", json!({"jti": "t", "iat": 990}))));

    let revocations = Revocations::new().capacity(2);
    revocations.insert(&Revocation::subject(ISSUER, "alice").until(1060), at(1000));
    for name in ["t", "u"] {
        revocations.insert(&Revocation::token(ISSUER, name), at(1000));
    }
    let ahead = token(ISSUER, "alice", json!({"iat": 1050}));
    assert!(is_revoked(&revocations, &ahead), "by the clock of the issuer");
}

#[test]
fn a_full_revocation_list_keeps_the_newest_sessions_in_half_of_its_space() {
    let later = |session: &str| token(ISSUER, "alice", json!({"sid": session, "iat": 5000}));
    let revocations = Revocations::new().capacity(100);
    for i in 0..40 {
        revocations.insert(&Revocation::session(ISSUER, format!("s{i}")), at(1000));
    }
    for i in 0..1000 {
        revocations.insert(&Revocation::subject(ISSUER, format!("bob{i}")), at(1001));
        assert!(revocations.len() <= 100);
    }
    for i in 0..40 {
        assert!(is_revoked(&revocations, &later(&format!("s{i}"))), "s{i}");
    }
    assert!(!is_revoked(&revocations, &later("another")));
    for i in 40..1000 {
        revocations.insert(&Revocation::session(ISSUER, format!("s{i}")), at(1000 + i));
        assert!(revocations.len() <= 100);
    }
    assert!(is_revoked(&revocations, &later("s999")) && is_revoked(&revocations, &later("s951")));
    assert!(
        !is_revoked(&revocations, &later("s0")),
        "one of a thousand sessions, with room for a hundred"
    );
    let before = token(ISSUER, "alice", json!({"sid": "s0", "iat": 1900}));
    assert!(
        is_revoked(&revocations, &before),
        "it refuses what was issued until then all the same"
    );
}

#[test]
fn an_api_key_stays_revoked() {
    let revocations = Revocations::new().retention(Duration::from_secs(1)).capacity(1);
    revocations.insert(&Revocation::subject(API_KEY_ISSUER, "ci"), at(1000));
    revocations.insert(&Revocation::token(ISSUER, "t"), at(9_000_000));
    let key = VerifiedToken::assert(API_KEY_ISSUER, "ci");
    assert!(is_revoked(&revocations, &key));
}

#[test]
fn times_at_the_edges_do_not_overflow() {
    let revocations = Revocations::new().retention(Duration::MAX);
    revocations.insert(&Revocation::subject(ISSUER, "a").until(u64::MAX), at(0));
    revocations
        .insert(&Revocation::issued_before("x", UNIX_EPOCH), UNIX_EPOCH - Duration::from_secs(5));
    assert!(is_revoked(
        &revocations,
        &token(ISSUER, "a", json!({"iat": 9_007_199_254_740_991_u64}))
    ));
}

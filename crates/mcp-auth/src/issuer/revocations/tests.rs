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

const LEEWAY: Duration = Duration::from_secs(60);

/// Long after every token was issued, so that only what the list knows about clocks counts.
fn is_revoked(revocations: &Revocations, token: &VerifiedToken) -> bool {
    revocations.is_revoked(token.data(), at(1 << 60), LEEWAY)
}

/// What a request with this token finds at this second.
fn is_refused(revocations: &Revocations, token: &VerifiedToken, second: u64) -> bool {
    revocations.learn_clock(token.data(), at(second), LEEWAY);
    revocations.check(token.data(), at(second), LEEWAY).is_err()
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
        // An array may name any token. A number is a name, and not this one.
        (Revocation::token(ISSUER, "t1"), [true, false, false, false, false, false, true]),
        (Revocation::session(ISSUER, "s1"), [true, false, false, false, false, false, false]),
        (Revocation::session(ISSUER, "7"), [false, false, false, false, false, false, true]),
        (Revocation::subject(ISSUER, "alice"), [true, false, true, false, false, true, true]),
        (without_session, [false, false, true, false, false, true, true]),
        (
            Revocation::issued_before(ISSUER, at(1000)),
            [false, false, true, false, false, false, true],
        ),
        (Revocation::issued_before(ISSUER, at(1001)), [true, false, true, true, false, true, true]),
        (Revocation::issued_before(ISSUER, at(2001)), [true, true, true, true, false, true, true]),
        (Revocation::token(ISSUER, "alice"), [false, false, false, false, false, false, true]),
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
        assert!(revocations.len() <= 1 + 100);
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

/// Whatever one issuer revokes, no token of another is revoked for it.
#[test]
fn each_issuer_has_its_own_quota() {
    let issuer = |i: usize| format!("https://{i}.example");
    let alice = |i| token(&issuer(i), "alice", json!({"jti": "mine", "iat": 990}));
    // The numbers of revocations of issuers in a list with a capacity of 100, in turns; and which are cut.
    let rows: &[(&[usize], &[usize])] = &[
        (&[60, 41], &[]),
        (&[100, 100, 1], &[]),
        (&[99, 101, 100], &[1]),
        (&[1000, 100], &[0]),
        (&[100; 10], &[]),
        (&[5000, 100, 100, 100, 100, 100, 100, 100, 100, 99], &[0]),
        (&[], &[]),
    ];
    for (numbers, cut) in rows {
        let revocations = Revocations::new().capacity(100);
        for i in 0..numbers.iter().copied().max().unwrap_or(0) {
            for (of, _) in numbers.iter().enumerate().filter(|(_, number)| i < **number) {
                let session = Revocation::token(issuer(of), format!("t{i}"));
                revocations.insert(&session, at(1000));
            }
        }
        for of in 0..numbers.len() {
            let is_cut = is_revoked(&revocations, &alice(of));
            assert_eq!(is_cut, cut.contains(&of), "{numbers:?}: {of}");
            for i in 0..numbers[of] {
                let token = token(&issuer(of), "bob", json!({"jti": format!("t{i}"), "iat": 990}));
                assert!(is_revoked(&revocations, &token), "{numbers:?}: {of}, t{i}");
            }
        }
    }
}

/// A resolver may trust thousands of tenants. What all have together is limited, and the largest pays for it.
#[test]
fn the_memory_of_all_issuers_is_bounded_and_small_issuers_never_pay() {
    let revocations = Revocations::new().capacity(10);
    let honest = "https://honest.example";
    for jti in ["a", "b"] {
        revocations.insert(&Revocation::token(honest, jti), at(1000));
    }
    for i in 0..10_000 {
        let tenant = format!("https://t{}.example", i % 40);
        revocations.insert(&Revocation::token(tenant, format!("{i}")), at(1000));
        assert!(revocations.len() <= 100, "{i}: {}", revocations.len());
    }
    assert!(!is_revoked(&revocations, &token(honest, "alice", json!({"jti": "c", "iat": 990}))));
    assert!(is_revoked(&revocations, &token(honest, "alice", json!({"jti": "a", "iat": 990}))));

    // With more issuers than places, each keeps what it says.
    let revocations = Revocations::new().capacity(1);
    for i in 0..100 {
        revocations.insert(&Revocation::token(format!("https://{i}.example"), "t"), at(1000));
    }
    for i in 0..100 {
        let of = |jti| token(&format!("https://{i}.example"), "a", json!({"jti": jti, "iat": 1}));
        assert!(is_revoked(&revocations, &of("t")) && !is_revoked(&revocations, &of("u")), "{i}");
    }
}

/// A parse error is not "not revoked".
#[test]
fn a_claim_is_found_among_any_number_or_the_token_is_revoked() {
    let many = |number: usize, claims: serde_json::Value| {
        let mut claims = claims.as_object().expect("an object").clone();
        let others = (0..number).map(|i| (format!("c{i:05}"), json!(i)));
        claims.extend(others);
        token(ISSUER, "alice", serde_json::Value::Object(claims))
    };
    for number in [0, 127, 128, 129, 5000] {
        let one = many(number, json!({"jti": "t", "sid": "s", "sub": "4711", "iat": 1000}));
        for revocation in [
            Revocation::token(ISSUER, "t"),
            Revocation::session(ISSUER, "s"),
            Revocation::subject(ISSUER, "alice"),
            Revocation::subject(ISSUER, "4711"),
            Revocation::issued_before(ISSUER, at(1001)),
        ] {
            let revocations = Revocations::new();
            revocations.insert(&revocation, at(1500));
            assert!(is_revoked(&revocations, &one), "{number}: {revocation:?}");
        }
        let revocations = Revocations::new();
        revocations.insert(&Revocation::subject(ISSUER, "alice"), at(900));
        assert!(!is_revoked(&revocations, &one), "{number}: it was issued later");
    }

    // Each claim, what is revoked, and whether the token may be meant.
    for (claims, revocation, expected) in [
        (json!({"jti": 42}), Revocation::token(ISSUER, "42"), true),
        (json!({"jti": 42}), Revocation::token(ISSUER, "43"), false),
        (json!({"jti": -42}), Revocation::token(ISSUER, "43"), true),
        (json!({"jti": 4.2}), Revocation::token(ISSUER, "43"), true),
        (json!({"jti": true}), Revocation::token(ISSUER, "x"), true),
        (json!({"jti": ["t"]}), Revocation::token(ISSUER, "x"), true),
        (json!({"jti": {"id": "t"}}), Revocation::token(ISSUER, "x"), true),
        (json!({"jti": {"id": "t"}}), Revocation::session(ISSUER, "x"), false),
        (json!({"jti": null}), Revocation::token(ISSUER, "x"), false),
        (json!({"jti": ""}), Revocation::token(ISSUER, "x"), false),
        (json!({"sid": ["s"]}), Revocation::session(ISSUER, "x"), true),
        (json!({"sid": ["s"]}), Revocation::subject_without_session(ISSUER, "alice"), true),
        (json!({"sub": 4711}), Revocation::subject(ISSUER, "4711"), true),
        (json!({"sub": {}}), Revocation::subject(ISSUER, "bob"), true),
        (json!({"sub": null}), Revocation::subject(ISSUER, "bob"), false),
        // Who does not say when a token was issued cannot say that it is new.
        (json!({"iat": "2000"}), Revocation::subject(ISSUER, "alice"), true),
        (json!({"iat": -1}), Revocation::subject(ISSUER, "alice"), true),
        (json!({"iat": 1e300}), Revocation::subject(ISSUER, "alice"), true),
        (json!({"iat": null}), Revocation::subject(ISSUER, "alice"), true),
        (json!({"iat": 0}), Revocation::subject(ISSUER, "alice"), true),
        (json!({"iat": 2000.5}), Revocation::subject(ISSUER, "alice"), false),
    ] {
        let revocations = Revocations::new();
        revocations.insert(&revocation, at(1500));
        let one = token(ISSUER, "alice", claims.clone());
        assert_eq!(is_revoked(&revocations, &one), expected, "{claims} {revocation:?}");
    }

    // Claims that cannot be read at all may name anything that is revoked.
    for claims in ["", "[]", "{", r#"{"jti":"a","jti":"b"}"#, r#"{"sid":"a","sid":"b"}"#] {
        let odd = VerifiedToken::assert(ISSUER, "bob").with(|data| data.claims = claims.into());
        let revocations = Revocations::new();
        assert!(!is_revoked(&revocations, &odd), "{claims}: nothing is revoked");
        revocations.insert(&Revocation::token("https://other.example", "x"), at(1500));
        assert!(!is_revoked(&revocations, &odd), "{claims}: of another issuer");
        revocations.insert(&Revocation::token(ISSUER, "x"), at(1500));
        assert!(is_revoked(&revocations, &odd), "{claims}");
    }
}

/// The clock of the issuer is `ahead` of ours. A token is issued at 1000 and seen here at `seen`, if at all. Its
/// subject is revoked at 1100, and it comes at 1101 and much later.
#[test]
fn tokens_from_before_a_revocation_are_refused_whatever_the_clock_of_their_issuer() {
    let subject = || Revocation::subject(ISSUER, "alice");
    let issued = |second: u64| token(ISSUER, "alice", json!({"iat": second}));
    for ahead in [0, 1, 4, 5, 6, 10, 30, 55, 60] {
        for seen in [1000, 1001, 1030, 1059, 1099, 1100] {
            for issued_at in [1000, seen, 1090.min(seen)] {
                let revocations = Revocations::new();
                let old = issued(issued_at + ahead);
                assert!(!is_refused(&revocations, &old, seen), "{ahead} {seen} {issued_at}");
                revocations.insert(&subject(), at(1100));
                for now in [1100, 1101, 1106, 1130, 1161, 5000] {
                    assert!(
                        is_refused(&revocations, &old, now),
                        "{ahead} {seen} {issued_at} {now}"
                    );
                }
                assert!(is_revoked(&revocations, &old), "for streams");
            }
        }
        // Another user's token, seen when it was new, tells how far the clock is ahead. So does a refused one.
        for teacher in ["bob", "alice"] {
            let revocations = Revocations::new();
            let (hidden, new) = (issued(1099 + ahead), issued(1107 + ahead));
            revocations.insert(&subject(), at(1100));
            let teaches = token(ISSUER, teacher, json!({"iat": 1100 + ahead}));
            is_refused(&revocations, &teaches, 1100);
            for now in [1101, 1120, 1200] {
                assert!(is_refused(&revocations, &hidden, now), "{ahead} {teacher} {now}");
            }
            assert!(!is_refused(&revocations, &new, 1107), "{ahead}: a new login");
            assert!(!is_refused(&revocations, &new, 1200), "{ahead}: a new login, later");
        }
    }

    // The clock of one issuer says nothing about that of another, and a claim that no clock explains nothing at all.
    for (teacher, iat) in [("https://other.example", 1060), (ISSUER, 1061), (ISSUER, 9000)] {
        let revocations = Revocations::new();
        is_refused(&revocations, &token(teacher, "bob", json!({"iat": iat})), 1000);
        revocations.insert(&subject(), at(1100));
        assert!(!is_refused(&revocations, &issued(1107), 1107), "{teacher} {iat}");
    }
    // Such a claim does not make a token new either.
    let revocations = Revocations::new();
    revocations.insert(&subject(), at(1100));
    for iat in [1162, 5000, 1 << 50] {
        assert!(is_refused(&revocations, &issued(iat), 1101), "{iat}");
    }

    // What an issuer says about a time is by its own clock.
    let revocations = Revocations::new();
    is_refused(&revocations, &token(ISSUER, "bob", json!({"iat": 1030})), 1000);
    revocations.insert(&subject().until(1130), at(1100));
    assert!(is_refused(&revocations, &issued(1130), 1101));
    assert!(!is_refused(&revocations, &issued(1131), 1101), "a login in the next second");
    // What the operator says is by ours.
    let before = Revocation::issued_before(ISSUER, at(1200));
    revocations.insert(&before, at(1200));
    assert!(is_refused(&revocations, &issued(1229), 1201));
    assert!(!is_refused(&revocations, &issued(1230), 1201));
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

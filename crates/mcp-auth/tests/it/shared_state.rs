//! State that several processes share: the store of used DPoP proofs, and revocations as records.

use std::error::Error;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::header::{AUTHORIZATION, HeaderMap};
use mcp_auth::{
    BadProof, BoxFuture, Clock as _, DenialKind, Dpop, McpAuth, ProofId, ReplayStore, Revocation,
    RevocationRecord, Revocations,
};
use mcp_auth_testkit::{DpopKey, TestIssuer};

use crate::world::{RESOURCE, admit, bearer};

type Answer = Result<bool, Box<dyn Error + Send + Sync>>;

/// A store that several resources share. It answers as it is told to, and records what it was asked.
#[derive(Clone)]
struct Store {
    proofs: Arc<Mutex<Vec<(ProofId, Duration)>>>,
    answer: Option<fn() -> BoxFuture<'static, Answer>>,
}

impl Store {
    fn new() -> Self {
        Self { proofs: Arc::default(), answer: None }
    }

    fn asked(&self) -> Vec<(ProofId, Duration)> {
        self.proofs.lock().expect("a list").clone()
    }
}

impl ReplayStore for Store {
    fn insert(&self, proof: ProofId, keep_for: Duration) -> BoxFuture<'_, Answer> {
        let mut proofs = self.proofs.lock().expect("a list");
        let is_new = !proofs.iter().any(|(known, _)| *known == proof);
        proofs.push((proof, keep_for));
        match self.answer {
            Some(answer) => answer(),
            None => Box::pin(std::future::ready(Ok(is_new))),
        }
    }
}

/// Two processes of one resource.
struct World {
    issuer: TestIssuer,
    key: DpopKey,
    token: String,
    auths: [McpAuth; 2],
    store: Store,
}

impl World {
    fn new(store: Store) -> Self {
        let issuer = TestIssuer::new();
        let key = DpopKey::generate(issuer.clone());
        let token = issuer.token().scopes(["read"]).dpop_bound(&key).sign();
        let auth = || {
            let builder =
                issuer.protects(RESOURCE).required_scopes(["read"]).dpop(Dpop::optional());
            builder.replay_store(store.clone()).build().expect("a description")
        };
        let auths = [auth(), auth()];
        Self { issuer, key, token, auths, store }
    }

    fn headers(&self, proof: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, format!("DPoP {}", self.token).parse().expect("a value"));
        headers.insert("dpop", proof.parse().expect("a value"));
        headers
    }

    fn proof(&self) -> String {
        self.key.proof("POST", RESOURCE).token(&self.token).sign()
    }
}

#[tokio::test]
async fn a_proof_that_one_process_has_accepted_is_refused_by_the_others() {
    let world = World::new(Store::new());
    let [here, there] = &world.auths;
    let headers = world.headers(&world.proof());
    assert!(admit(here, &headers).await.is_ok());
    for auth in [there, here, there] {
        let denial = admit(auth, &headers).await.expect_err("used");
        assert_eq!(denial.kind(), &DenialKind::InvalidProof(BadProof::Replayed));
    }
    assert!(admit(there, &world.headers(&world.proof())).await.is_ok());
    // The first, at both, and the last: what a process knows itself costs no request.
    let asked = world.store.asked();
    assert_eq!(asked.len(), 3, "{asked:?}");
    for (_, keep_for) in asked {
        // Its age and the leeway, and a minute for the clocks of others.
        assert_eq!(keep_for, Duration::from_secs(60 + 60 + 60));
    }
}

#[tokio::test]
async fn the_store_is_asked_after_everything_else_was_checked() {
    let world = World::new(Store::new());
    let [auth, _] = &world.auths;
    let other = DpopKey::generate(world.issuer.clone());
    let proof = || world.key.proof("POST", RESOURCE).token(&world.token);
    let expired = world.issuer.token().expired().scopes(["read"]).dpop_bound(&world.key).sign();
    let elsewhere =
        world.issuer.token().audience("https://other.example").dpop_bound(&world.key).sign();
    let with = |token: &str, proof: String| {
        let mut headers = world.headers(&proof);
        headers.insert(AUTHORIZATION, format!("DPoP {token}").parse().expect("a value"));
        headers
    };
    for (name, headers) in [
        ("no token", HeaderMap::new()),
        ("a forged token", with("forged", proof().sign())),
        (
            "an expired token",
            with(&expired, world.key.proof("POST", RESOURCE).token(&expired).sign()),
        ),
        (
            "another audience",
            with(&elsewhere, world.key.proof("POST", RESOURCE).token(&elsewhere).sign()),
        ),
        ("another key", world.headers(&other.proof("POST", RESOURCE).token(&world.token).sign())),
        (
            "another method",
            world.headers(&world.key.proof("GET", RESOURCE).token(&world.token).sign()),
        ),
        (
            "another URL",
            world.headers(
                &world.key.proof("POST", "https://other.example").token(&world.token).sign(),
            ),
        ),
        ("an old proof", world.headers(&proof().claim("iat", 1000).sign())),
        ("no proof", bearer(&world.token)),
    ] {
        assert!(admit(auth, &headers).await.is_err(), "{name}");
        assert!(world.store.asked().is_empty(), "{name}");
    }
    // A bearer token needs no store.
    let plain = world.issuer.token().scopes(["read"]).sign();
    assert!(admit(auth, &bearer(&plain)).await.is_ok() && world.store.asked().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_store_that_fails_panics_or_hangs_is_a_503_for_requests_with_proofs_only() {
    for answer in [
        (|| Box::pin(async { Err("out of order".into()) })) as fn() -> BoxFuture<'static, Answer>,
        || Box::pin(async { panic!("a bug") }),
        || panic!("a bug"),
        || Box::pin(std::future::pending()),
    ] {
        let world = World::new(Store { answer: Some(answer), ..Store::new() });
        let [auth, _] = &world.auths;
        let denial = admit(auth, &world.headers(&world.proof())).await.expect_err("unavailable");
        assert!(matches!(denial.kind(), DenialKind::Unavailable { .. }), "{denial}");
        let detail = denial.operator_detail().unwrap_or_default();
        assert!(detail.contains("`.replay_store(..)`"), "{detail}");
        assert!(!denial.to_string().contains(&world.token));
        let plain = world.issuer.token().scopes(["read"]).sign();
        assert!(admit(auth, &bearer(&plain)).await.is_ok());
    }
}

#[tokio::test]
async fn a_revocation_is_the_same_in_another_process() {
    let issuer = TestIssuer::new();
    let (here, there) = (Revocations::new(), Revocations::new());
    let auth = |list: &Revocations| {
        issuer.protects(RESOURCE).revocations(list).build().expect("a description")
    };
    let (one, other) = (auth(&here), auth(&there));
    let token = |subject: &str, id: &str, session: &str| {
        issuer.token().subject(subject).claim("jti", id).claim("sid", session).sign()
    };
    let mut changes = here.changes();
    let rows = [
        (Revocation::subject(issuer.url(), "alice"), token("alice", "1", "1")),
        (Revocation::token(issuer.url(), "2"), token("bob", "2", "2")),
        (Revocation::session(issuer.url(), "3"), token("carol", "3", "3")),
    ];
    for (revocation, token) in rows {
        assert!(admit(&other, &bearer(&token)).await.is_ok(), "{revocation:?}");
        one.revoke(revocation.clone());
        one.revoke(revocation.clone());
        let text = changes.next().await.expect("a record").to_text();
        assert!(!text.contains("alice") && text.contains(issuer.url()), "{text}");
        let record = RevocationRecord::from_text(&text).expect("a record");
        there.merge(&record, issuer.clock().now());
        for auth in [&one, &other] {
            let denial = admit(auth, &bearer(&token)).await.expect_err("revoked");
            assert_eq!(denial.code(), "inactive");
        }
    }
    assert!(admit(&other, &bearer(&token("dave", "4", "4"))).await.is_ok());
    assert_eq!((here.len(), there.len()), (3, 3));
    // What was merged is not told again, and both know the same.
    one.revoke(Revocation::subject(issuer.url(), "eve"));
    let mut of_there = there.changes();
    let now = issuer.clock().now();
    here.records(now).iter().for_each(|record| there.merge(record, now));
    other.revoke(Revocation::subject(issuer.url(), "frank"));
    let ids = |list: &Revocations| {
        let mut ids: Vec<_> = list.records(now).iter().map(RevocationRecord::id).collect();
        ids.sort();
        ids
    };
    let told = of_there.next().await.expect("a record");
    let both: Vec<_> = ids(&there).into_iter().filter(|id| *id != told.id()).collect();
    assert_eq!(both, ids(&here), "frank is what was told first");
}

#[tokio::test]
async fn a_record_is_kept_no_longer_than_the_list_says_and_no_weaker_one_replaces_it() {
    let issuer = TestIssuer::new();
    let hour = Duration::from_secs(3600);
    let (long, short) = (Revocations::new(), Revocations::new().retention(hour));
    let auth = issuer.protects(RESOURCE).revocations(&long).build().expect("a description");
    let now = issuer.clock().now();
    auth.revoke(Revocation::issued_before(issuer.url(), now));
    let weak = long.records(now);
    auth.revoke(Revocation::issued_before(issuer.url(), now + hour));
    let strong = long.records(now);
    assert!(strong[0].covers(&weak[0]) && !weak[0].covers(&strong[0]));
    assert_eq!(weak[0].id(), strong[0].id());
    [&strong, &weak].into_iter().flatten().for_each(|record| short.merge(record, now));
    assert!(short.records(now)[0].covers(&strong[0]));
    assert_eq!(short.records(now)[0].expires_at(), now + hour);
    assert!(short.records(now + hour).is_empty());
    let late = Revocations::new();
    late.merge(&strong[0], now + 49 * hour);
    assert!(late.is_empty(), "it has expired");
}

#[tokio::test]
async fn until_the_revocations_of_others_are_known_every_token_is_a_503() {
    let issuer = TestIssuer::new();
    let list = Revocations::new();
    let auth = issuer.protects(RESOURCE).revocations(&list).build().expect("a description");
    let token = issuer.token().sign();
    for (is_complete, expected) in [(true, None), (false, Some("unavailable")), (true, None)] {
        list.set_complete(is_complete);
        assert_eq!(list.is_complete(), is_complete);
        let denial = admit(&auth, &bearer(&token)).await.err();
        assert_eq!(denial.as_ref().map(|denial| denial.code()), expected);
        let forged = admit(&auth, &bearer("forged")).await.expect_err("forged");
        assert_ne!(forged.code(), "unavailable", "what is wrong otherwise is said first");
    }
}

#[tokio::test]
async fn whoever_is_slow_to_take_changes_is_told_that_some_were_missed() {
    let issuer = TestIssuer::new();
    let list = Revocations::new();
    let auth = issuer.protects(RESOURCE).revocations(&list).build().expect("a description");
    let mut changes = list.changes();
    for i in 0..5000 {
        auth.revoke(Revocation::token(issuer.url(), i.to_string()));
    }
    assert!(changes.next().await.is_none());
    assert_eq!(list.records(issuer.clock().now()).len(), 5000);
    assert!(changes.next().await.is_some());
}

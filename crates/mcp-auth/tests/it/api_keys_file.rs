//! API keys in a file that changes while the server runs.

use std::error::Error;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use mcp_auth::{
    ApiKey, ApiKeys, CallerKind, Credentials, Denial, Dpop, GeneratedKey, McpAuth, Reason,
};
use mcp_auth_testkit::TestIssuer;

use crate::static_keys::KeysFile;
use crate::world::{RESOURCE, admit, bearer, status};

const LOOK: Duration = Duration::from_secs(10);

fn protected(issuer: &TestIssuer, file: &KeysFile) -> McpAuth {
    let keys = ApiKeys::new().file(&file.0);
    issuer.protects(RESOURCE).api_keys(keys).build().expect("a description")
}

fn new_key() -> GeneratedKey {
    ApiKeys::generate().expect("random numbers")
}

/// The text of a file with these keys and their names.
fn list(keys: &[(&str, &GeneratedKey)]) -> String {
    let entry = |(name, key): &(&str, &GeneratedKey)| serde_json::json!({ "name": name, "sha256": key.digest, "scopes": ["read"] });
    serde_json::json!({ "keys": keys.iter().map(entry).collect::<Vec<_>>() }).to_string()
}

async fn refused(auth: &McpAuth, token: &str) -> Option<Reason> {
    admit(auth, &bearer(token)).await.err().and_then(|denial| denial.reason())
}

/// The error of `warm_up`, with its causes.
async fn complaint(auth: &McpAuth) -> String {
    let error = auth.warm_up().await.expect_err("it has a mistake");
    let (mut text, mut cause) = (error.to_string(), error.source());
    while let Some(error) = cause {
        text += &format!(": {error}");
        cause = error.source();
    }
    text
}

#[tokio::test]
async fn a_file_of_api_keys_is_read_again_when_it_changes() {
    let (issuer, file) = (TestIssuer::new(), KeysFile::new("changes.api-keys.json"));
    let (ci, importer, late) = (new_key(), new_key(), new_key());
    file.write(&list(&[("ci", &ci), ("importer", &importer)]));
    let auth = protected(&issuer, &file);
    let caller = admit(&auth, &bearer(&ci.key)).await.expect("admitted");
    assert_eq!((caller.subject(), caller.issuer()), ("ci", ApiKeys::ISSUER));
    assert_eq!((caller.kind(), caller.scopes().as_str()), (CallerKind::ApiKey, "read"));
    assert_eq!(status(&auth, &importer.key).await, 200);

    file.write(&list(&[("ci", &ci), ("late", &late)]));
    assert_eq!(status(&auth, &importer.key).await, 200, "until the next look");
    assert_eq!(status(&auth, &late.key).await, 200, "an unknown key is looked for at once");
    issuer.clock().advance(Duration::from_secs(1));
    assert_eq!(refused(&auth, &importer.key).await, Some(Reason::Inactive), "and it is removed");

    file.write(&list(&[("late", &late)]));
    assert_eq!(status(&auth, &ci.key).await, 200);
    issuer.clock().advance(LOOK);
    assert_eq!(refused(&auth, &ci.key).await, Some(Reason::Inactive));
    file.write(r#"{"keys":[]}"#);
    issuer.clock().advance(LOOK);
    assert_eq!(refused(&auth, &late.key).await, Some(Reason::Inactive));
    assert_eq!(status(&auth, &issuer.token().sign()).await, 200);
}

#[tokio::test]
async fn a_broken_or_missing_file_keeps_the_cached_keys_for_a_day() {
    let (issuer, file) = (TestIssuer::new(), KeysFile::new("broken.api-keys.json"));
    let (ci, other) = (new_key(), new_key());
    file.write(&list(&[("ci", &ci)]));
    let auth = protected(&issuer, &file);
    assert_eq!(status(&auth, &ci.key).await, 200);
    // One error invalidates the whole file: no key is added and none is removed.
    let broken = list(&[("other", &other)]).replace("scopes", "scope");
    for hour in 0..23 {
        match hour % 2 {
            0 => file.write(&broken),
            _ => fs::remove_file(&file.0).expect("it is there"),
        }
        issuer.clock().advance(Duration::from_secs(60 * 60));
        assert_eq!(status(&auth, &ci.key).await, 200, "hour {hour}");
        assert_eq!(status(&auth, &other.key).await, 503, "hour {hour}: nobody can say");
    }
    issuer.clock().advance(Duration::from_secs(2 * 60 * 60));
    assert_eq!(status(&auth, &ci.key).await, 503);
    assert_eq!(status(&auth, &issuer.token().sign()).await, 200);
    file.write(&list(&[("ci", &ci)]));
    issuer.clock().advance(Duration::from_secs(30));
    assert_eq!(status(&auth, &ci.key).await, 200, "fixed within half a minute");
}

#[tokio::test]
async fn an_unknown_key_is_503_before_the_file_was_ever_read() {
    let (issuer, file) = (TestIssuer::new(), KeysFile::new("missing.api-keys.json"));
    let (given, ci) = (new_key(), new_key());
    let asked = Arc::new(AtomicUsize::new(0));
    let counter = asked.clone();
    let others = move |_: Credentials| {
        counter.fetch_add(1, Ordering::SeqCst);
        std::future::ready(Err(Denial::invalid(Reason::Malformed)))
    };
    let keys = ApiKeys::new().key(ApiKey::new("given", &given.key)).file(&file.0);
    let auth = issuer.protects(RESOURCE).verifier(others).api_keys(keys);
    let auth = auth.build().expect("nothing is read");
    assert!(complaint(&auth).await.contains("cannot be read"));
    let jwt = issuer.token().sign();
    let rows = [
        (&*ci.key, 503, 0, "it may be listed"),
        ("opaque-and-perhaps-a-key", 503, 0, "and so may this"),
        (&given.key, 200, 0, "it is known without the file"),
        (&jwt, 401, 1, "it is no key"),
    ];
    for (token, expected, times, why) in rows {
        assert_eq!(status(&auth, token).await, expected, "{why}");
        assert_eq!(asked.load(Ordering::SeqCst), times, "{why}");
    }
    file.write(&list(&[("ci", &ci)]));
    issuer.clock().advance(LOOK);
    auth.warm_up().await.expect("it is there now");
    for (token, expected, times) in [(&*ci.key, 200, 1), ("opaque-and-no-key", 401, 2)] {
        assert_eq!(status(&auth, token).await, expected, "{token}");
        assert_eq!(asked.load(Ordering::SeqCst), times, "{token}");
    }
}

#[tokio::test]
async fn unknown_keys_do_not_cause_constant_reads_of_the_file() {
    let (issuer, file) = (TestIssuer::new(), KeysFile::new("unknown.api-keys.json"));
    let (ci, late) = (new_key(), new_key());
    file.write(&list(&[("ci", &ci)]));
    let auth = protected(&issuer, &file);
    auth.warm_up().await.expect("it is there");
    assert_eq!(status(&auth, &new_key().key).await, 401);
    // The unknown keys cause one extra read a second. A key that was added since is not called invalid.
    file.write(&list(&[("ci", &ci), ("late", &late)]));
    for _ in 0..100 {
        assert_eq!(status(&auth, &new_key().key).await, 503);
    }
    assert_eq!(status(&auth, &late.key).await, 503);
    issuer.clock().advance(Duration::from_secs(1));
    assert_eq!(status(&auth, &late.key).await, 200);
}

#[tokio::test]
async fn file_entries_follow_the_same_rules_as_given_keys() {
    let (issuer, file) = (TestIssuer::new(), KeysFile::new("judged.api-keys.json"));
    let (old, new, unscoped) = (new_key(), new_key(), new_key());
    // The clock of the issuer begins at 2026-07-28T00:00:00Z.
    let text = serde_json::json!({ "keys": [
        { "name": "ci", "sha256": [old.digest, new.digest], "scopes": ["read"], "expires_at": "2026-07-28T01:00:00Z" },
        { "name": "x", "sha256": unscoped.digest },
    ] });
    file.write(&text.to_string());
    let keys = ApiKeys::new().file(&file.0);
    let auth = issuer.protects(RESOURCE).required_scopes(["read"]).api_keys(keys).build();
    let auth = auth.expect("a description");
    let caller = admit(&auth, &bearer(&old.key)).await.expect("admitted");
    assert_eq!(caller.subject(), "ci");
    assert_eq!((status(&auth, &new.key).await, status(&auth, &unscoped.key).await), (200, 403));
    issuer.clock().advance(Duration::from_secs(60 * 60));
    assert_eq!(refused(&auth, &new.key).await, Some(Reason::Expired));
}

#[tokio::test]
async fn an_error_in_the_file_names_its_line_and_no_value() {
    let (issuer, file) = (TestIssuer::new(), KeysFile::new("mistakes.api-keys.json"));
    let (ci, given) = (new_key(), new_key());
    let plain = list(&[("ci", &ci)]).replace(&ci.digest, &ci.key);
    let rows = [
        (plain, "entry 1, line 1: its `sha256`"),
        (list(&[("ci", &ci)]).replace("scopes", "scope"), "it has a member other than"),
        (list(&[("ci", &ci), ("ci", &new_key())]), "entry 2, line 1: its name comes twice"),
        (list(&[("ci", &ci), ("cd", &ci)]), "entry 2, line 1: its digest comes twice"),
        (list(&[("ci", &given)]), "also given by `ApiKeys::key(..)`"),
        (ci.key.clone(), "it is not JSON, as line 1 shows"),
        (" ".repeat(513 * 1024), "longer than 524288 bytes"),
    ];
    for (text, expected) in rows {
        file.write(&text);
        let keys = ApiKeys::new().key(ApiKey::new("given", &given.key)).file(&file.0);
        let auth = issuer.protects(RESOURCE).api_keys(keys.clone()).build().expect("fine as yet");
        let complaint = complaint(&auth).await;
        assert!(complaint.contains(expected), "{complaint}");
        assert!(complaint.contains(ApiKeys::ISSUER), "{complaint}");
        assert_eq!((status(&auth, &given.key).await, status(&auth, &ci.key).await), (200, 503));
        for secret in [&ci.key, &ci.digest, &given.key, &given.digest] {
            assert!(!complaint.contains(&**secret) && !format!("{keys:?}").contains(&**secret));
        }
    }
    assert!(auth_is_ready(&issuer, &file).await, "issuers are not to blame");
}

/// Whether a resource with this file is ready, once its issuer is.
async fn auth_is_ready(issuer: &TestIssuer, file: &KeysFile) -> bool {
    let auth = protected(issuer, file);
    let _ = auth.warm_up().await;
    auth.readiness().is_ready()
}

#[tokio::test]
async fn where_dpop_is_required_api_keys_are_refused() {
    let (issuer, file) = (TestIssuer::new(), KeysFile::new("dpop.api-keys.json"));
    let (given, listed) = (new_key(), new_key());
    file.write(&list(&[("ci", &listed)]));
    let keys = || ApiKeys::new().key(ApiKey::new("given", &given.key)).file(&file.0);
    for (dpop, reason) in
        [(Dpop::optional(), None), (Dpop::required(), Some(Reason::NotSenderConstrained))]
    {
        let auth = issuer.protects(RESOURCE).dpop(dpop).api_keys(keys()).build().expect("fine");
        for key in [&given.key, &listed.key] {
            assert_eq!(refused(&auth, key).await, reason);
        }
    }
    let auth = issuer.protects(RESOURCE).certificate_bound_tokens_required().api_keys(keys());
    assert_eq!(
        refused(&auth.build().expect("fine"), &given.key).await,
        Some(Reason::NotSenderConstrained)
    );
}

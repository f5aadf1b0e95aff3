//! API keys beside OAuth: whom they admit, and what is never accepted as one.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use http::header::{AUTHORIZATION, HeaderMap};
use mcp_auth::{
    ApiKey, ApiKeys, CallerKind, ConfigError, Credentials, Denial, McpAuth, Reason, Rule,
    VerifiedToken,
};
use mcp_auth_testkit::TestIssuer;

use crate::streams::{EVENTS, data, next, streamed};
use crate::world::{RESOURCE, admit, answer, bearer, request, status};

const KEY: &str = "mcpk_0123456789abcdefghijkl";

fn protected(issuer: &TestIssuer, keys: ApiKeys) -> McpAuth {
    issuer.protects(RESOURCE).api_keys(keys).build().expect("a description")
}

async fn refused(auth: &McpAuth, token: &str) -> Option<Reason> {
    admit(auth, &bearer(token)).await.err().and_then(|denial| denial.reason())
}

#[tokio::test]
async fn an_api_key_admits_a_caller_of_kind_api_key() {
    let issuer = TestIssuer::new();
    let new = ApiKeys::generate().expect("random numbers");
    assert!(new.key.starts_with("mcpk_") && new.key.len() == 5 + 43 && new.digest.len() == 64);
    let keys = ApiKeys::new()
        .key(ApiKey::new("ci", KEY).scopes(["read"]))
        .key(ApiKey::of_digest("ci", new.digest.to_uppercase()).scopes(["read", "write"]));
    let auth = issuer.protects(RESOURCE).required_scopes(["read"]).api_keys(keys);
    let auth = auth.build().expect("a description");
    for (key, scopes) in [(KEY, "read"), (&new.key, "read write")] {
        let caller = admit(&auth, &bearer(key)).await.expect("admitted");
        assert_eq!((caller.subject(), caller.issuer()), ("ci", ApiKeys::ISSUER));
        assert_eq!((caller.kind(), caller.client_id()), (CallerKind::ApiKey, None));
        assert_eq!(caller.scopes().as_str(), scopes);
        assert_eq!(caller.audience().collect::<Vec<_>>(), [RESOURCE]);
    }
    assert_eq!(issuer.requests(), 0);
    let caller = admit(&auth, &bearer(&issuer.token().scopes(["read"]).sign())).await;
    assert_eq!(caller.expect("tokens are as welcome").kind(), CallerKind::Unknown);
}

#[tokio::test]
async fn rules_apply_to_keys_as_to_tokens() {
    let issuer = TestIssuer::new();
    let now = mcp_auth::Clock::now(&issuer);
    let limited = ApiKey::new("ci", KEY).expires_at(now + Duration::from_secs(60));
    let auth = issuer
        .protects(RESOURCE)
        .required_scopes(["read"])
        .max_token_age(Duration::from_secs(1))
        .api_keys(ApiKeys::new().key(limited.scopes(["read"])))
        .build()
        .expect("a description");
    assert_eq!(status(&auth, KEY).await, 200);
    issuer.clock().advance(Duration::from_secs(60));
    assert_eq!(refused(&auth, KEY).await, Some(Reason::Expired));

    let unscoped = || ApiKeys::new().key(ApiKey::new("ci", KEY));
    let auth = issuer.protects(RESOURCE).required_scopes(["read"]).api_keys(unscoped());
    assert_eq!(status(&auth.build().expect("a description"), KEY).await, 403);
    let auth = issuer.protects(RESOURCE).required(Rule::default().client("x")).api_keys(unscoped());
    assert_eq!(status(&auth.build().expect("a description"), KEY).await, 403, "it has no client");
}

/// API keys have no leeway, which exists for the clocks of issuers.
#[tokio::test(start_paused = true)]
async fn an_api_key_and_its_stream_end_exactly_at_expires_at() {
    let issuer = TestIssuer::new();
    let end = mcp_auth::Clock::now(&issuer) + Duration::from_secs(60);
    let keys = ApiKeys::new().key(ApiKey::new("ci", KEY).expires_at(end));
    let auth = protected(&issuer, keys);
    let (frames, response) = streamed(&auth, Some(KEY), &[EVENTS]).await;
    let mut body = response.into_body();
    for (passed, is_good) in [(59_999, true), (1, false)] {
        issuer.clock().advance(Duration::from_millis(passed));
        assert_eq!(admit(&auth, &bearer(KEY)).await.is_ok(), is_good);
        frames.send(data(": alive\n\n")).await.expect("open");
        assert_eq!(next(&mut body).await.is_some(), is_good);
    }
    assert_eq!(refused(&auth, KEY).await, Some(Reason::Expired));
}

#[tokio::test]
async fn only_listed_api_keys_are_accepted_and_other_tokens_are_verified_as_usual() {
    let issuer = TestIssuer::new();
    let looks_like_a_jwt = "mcpk_0123456789.abcdefghijkl.mnopqrstuv";
    let auth = protected(&issuer, ApiKeys::new().key(ApiKey::new("ci", KEY)));
    let rows = [
        (KEY.to_owned(), None),
        (KEY.to_uppercase(), Some(Reason::Malformed)),
        (KEY[..KEY.len() - 1].to_owned(), Some(Reason::Inactive)),
        (format!("{KEY}m"), Some(Reason::Inactive)),
        (format!("{KEY}="), Some(Reason::Inactive)),
        ("mcpk_".to_owned(), Some(Reason::Inactive)),
        ("an-opaque-token-of-the-issuer".to_owned(), Some(Reason::Malformed)),
        (looks_like_a_jwt.to_owned(), Some(Reason::Inactive)),
        (looks_like_a_jwt.replace("mcpk_", "sk_"), Some(Reason::Encoding)),
        (format!("mcpk_{}", "a".repeat(10_000)), Some(Reason::Inactive)),
        ("a".repeat(10_000), Some(Reason::Malformed)),
    ];
    for (token, reason) in rows {
        assert_eq!(refused(&auth, &token).await, reason, "{token:.60}");
    }
    // A text in the form of a JWT does not become a key by listing its digest.
    let digest = "2ebb1686f278149afb078e45a4a11a6109d41f57842518ac4c2da21fa8597cff";
    let of_digest = || ApiKey::of_digest("ci", digest);
    let auth = protected(&issuer, ApiKeys::new().key(of_digest()));
    assert_eq!(refused(&auth, looks_like_a_jwt).await, Some(Reason::Inactive));
    let auth = issuer.protects(RESOURCE).api_keys(ApiKeys::new().key(of_digest()).prefix(""));
    let auth = auth.build().expect("a description");
    assert_eq!(refused(&auth, looks_like_a_jwt).await, Some(Reason::Encoding));
}

#[tokio::test]
async fn an_api_key_is_read_from_the_authorization_header_only() {
    let auth = protected(&TestIssuer::new(), ApiKeys::new().key(ApiKey::new("ci", KEY)));
    let mut elsewhere = request(HeaderMap::new());
    *elsewhere.uri_mut() = format!("/mcp?access_token={KEY}&api_key={KEY}").parse().expect("a URI");
    elsewhere.headers_mut().insert("x-api-key", KEY.parse().expect("a value"));
    elsewhere.headers_mut().insert("cookie", format!("key={KEY}").parse().expect("a value"));
    assert_eq!(answer(&auth, elsewhere).await.status(), 401);
    for scheme in ["Basic", "ApiKey", "DPoP"] {
        let value = format!("{scheme} {KEY}").parse().expect("a value");
        let headers: HeaderMap = [(AUTHORIZATION, value)].into_iter().collect();
        assert_eq!(answer(&auth, request(headers)).await.status(), 401, "{scheme}");
    }
}

#[tokio::test]
async fn api_keys_are_not_passed_to_a_custom_verifier() {
    let asked = Arc::new(AtomicUsize::new(0));
    let counter = asked.clone();
    let introspect = move |credentials: Credentials| {
        counter.fetch_add(1, Ordering::SeqCst);
        async move {
            match credentials.token().expose() {
                "opaque" => {
                    Ok(VerifiedToken::assert("https://issuer.test", "a").audience(RESOURCE))
                }
                _ => Err(Denial::invalid(Reason::Inactive)),
            }
        }
    };
    let issuer = TestIssuer::new();
    let auth = issuer.protects(RESOURCE).verifier(introspect);
    let auth = auth.api_keys(ApiKeys::new().key(ApiKey::new("ci", KEY)).prefix("sk_live_"));
    let auth = auth.build().expect("a description");
    for (token, expected, times) in [
        (KEY, 200, 0),
        ("sk_live_of_somebody_else", 401, 0),
        ("opaque", 200, 1),
        ("mcpk_x", 401, 2),
    ] {
        assert_eq!(status(&auth, token).await, expected, "{token}");
        assert_eq!(asked.load(Ordering::SeqCst), times, "{token}");
    }
}

#[test]
fn each_invalid_setting_has_its_config_error() {
    let good = || ApiKey::new("ci", KEY);
    let digest = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
    let rows = [
        (ApiKeys::new(), None),
        (ApiKeys::new().key(good()), None),
        (ApiKeys::new().key(ApiKey::new("ci", &KEY[..22])), None),
        (ApiKeys::new().key(ApiKey::new("ci", &KEY[..21])), Some("shorter than 22")),
        (ApiKeys::new().key(ApiKey::new("ci", "")), Some("shorter than 22")),
        (ApiKeys::new().key(ApiKey::new("ci", KEY.repeat(10))), Some("longer than 256")),
        (ApiKeys::new().key(ApiKey::new("ci", "aaaaaaaaaa.bbbbbbbbbb.cccccccc")), Some("two dots")),
        (
            ApiKeys::new().key(ApiKey::new("ci", "a key with spaces in it, and a comma")),
            Some("cannot be sent"),
        ),
        (ApiKeys::new().key(ApiKey::new("", KEY)), Some("no name")),
        (ApiKeys::new().key(good()).key(ApiKey::new("other", KEY)), Some("comes twice")),
        (ApiKeys::new().key(ApiKey::of_digest("ci", digest)), None),
        (ApiKeys::new().key(ApiKey::of_digest("ci", &digest[..63])), Some("64 hexadecimal")),
        (
            ApiKeys::new().key(ApiKey::of_digest("ci", digest.replace('9', "g"))),
            Some("64 hexadecimal"),
        ),
        (ApiKeys::new().key(ApiKey::of_digest("ci", "")), Some("64 hexadecimal")),
        (ApiKeys::new().key(ApiKey::of_digest("ci", "é".repeat(32))), Some("64 hexadecimal")),
    ];
    for (keys, why) in rows {
        let shown = format!("{keys:?}");
        let built = TestIssuer::new().protects(RESOURCE).api_keys(keys).build();
        match (built, why) {
            (Ok(_), None) => {}
            (Err(ConfigError::ApiKey { why, .. }), Some(part)) if why.contains(part) => {}
            (built, _) => panic!("{shown}: {built:?}"),
        }
        assert!(!shown.contains(&KEY[5..12]) && !shown.contains("9f86"), "{shown}");
    }
    let new = ApiKeys::generate().expect("random numbers");
    assert!(!format!("{new:?}").contains(&new.key));
}

//! The issuer without sockets: its URLs, its counters, its failures.

use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use mcp_auth::{Clock as _, Fetch as _, FetchError, Limits};
use mcp_auth_testkit::{Endpoint, MetadataPath, TestIssuer, Trouble};
use serde_json::Value;

const LIMITS: Limits = Limits { timeout: Duration::from_secs(5), max_bytes: 1 << 20 };
const PLAIN: &str = "https://issuer.test/.well-known/oauth-authorization-server";
const JWKS: &str = "https://issuer.test/jwks";

fn request(url: &str) -> Request<Bytes> {
    Request::get(url).body(Bytes::new()).expect("a request")
}

/// Fetches from an issuer without sockets, which answers at the first poll unless it hangs.
fn fetch(issuer: &TestIssuer, url: &str) -> Result<Response<Bytes>, FetchError> {
    let mut future = pin!(issuer.fetch(request(url), LIMITS));
    match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(answer) => answer,
        Poll::Pending => panic!("no answer"),
    }
}

fn json(issuer: &TestIssuer, url: &str) -> Value {
    let answer = fetch(issuer, url).expect("an answer");
    assert_eq!(answer.status(), 200, "{url}");
    assert_eq!(answer.headers()["content-type"], "application/json");
    serde_json::from_slice(answer.body()).expect("JSON")
}

fn status(issuer: &TestIssuer, url: &str) -> u16 {
    fetch(issuer, url).expect("an answer").status().as_u16()
}

#[test]
fn the_metadata_is_at_each_of_its_urls() {
    let issuer = TestIssuer::builder().issuer("https://auth.example.com/tenant").build();
    for url in [
        "https://auth.example.com/.well-known/oauth-authorization-server/tenant",
        "https://auth.example.com/.well-known/openid-configuration/tenant",
        "https://auth.example.com/tenant/.well-known/openid-configuration",
    ] {
        let metadata = json(&issuer, url);
        assert_eq!(metadata["issuer"], "https://auth.example.com/tenant");
        assert_eq!(metadata["jwks_uri"], "https://auth.example.com/tenant/jwks");
    }
    assert_eq!(json(&issuer, &issuer.jwks_uri())["keys"][0]["kid"], "es256-1");
    assert_eq!(status(&issuer, "https://auth.example.com/jwks"), 404);
    assert_eq!(status(&issuer, PLAIN), 404);
}

#[test]
fn the_metadata_is_only_where_it_was_put() {
    for place in MetadataPath::ALL {
        let issuer = TestIssuer::builder()
            .issuer("https://auth.example.com/tenant")
            .metadata_at([place])
            .build();
        for other in MetadataPath::ALL {
            let expected = if other == place { 200 } else { 404 };
            assert_eq!(status(&issuer, &other.url(issuer.url())), expected);
        }
    }
}

#[test]
fn a_trailing_slash_stays_in_the_issuer_and_out_of_the_urls() {
    let issuer = TestIssuer::builder().issuer("https://auth.example.com/").build();
    let metadata = json(&issuer, "https://auth.example.com/.well-known/openid-configuration");
    assert_eq!(metadata["issuer"], "https://auth.example.com/");
    assert_eq!(metadata["jwks_uri"], "https://auth.example.com/jwks");
}

#[test]
fn requests_are_counted_by_kind_and_clones_count_together() {
    let issuer = TestIssuer::new();
    json(&issuer.clone(), PLAIN);
    json(&issuer, JWKS);
    json(&issuer, JWKS);
    status(&issuer, "https://issuer.test/elsewhere");
    assert_eq!(issuer.requests(), 4);
    assert_eq!(issuer.metadata_requests(), 1);
    assert_eq!(issuer.jwks_requests(), 2);
}

#[test]
fn trouble_strikes_one_endpoint_until_recovery() {
    let issuer = TestIssuer::new();
    issuer.trouble(Endpoint::Jwks, Trouble::Down);
    assert!(matches!(fetch(&issuer, JWKS), Err(FetchError::Unreachable(_))));
    json(&issuer, PLAIN);
    issuer.trouble(Endpoint::Jwks, Trouble::Status(503));
    assert_eq!(status(&issuer, JWKS), 503);
    issuer.recover();
    json(&issuer, JWKS);
    assert_eq!(issuer.jwks_requests(), 3);
}

#[test]
fn each_trouble_shows_at_each_endpoint() {
    for (endpoint, url) in [(Endpoint::Metadata, PLAIN), (Endpoint::Jwks, JWKS)] {
        let issuer = TestIssuer::new();
        let answer = |trouble| {
            issuer.trouble(endpoint, trouble);
            fetch(&issuer, url)
        };
        assert!(matches!(answer(Trouble::Down), Err(FetchError::Unreachable(_))));
        assert_eq!(answer(Trouble::Status(418)).expect("an answer").status(), 418);
        assert!(matches!(answer(Trouble::Oversize), Err(FetchError::TooLarge(_))));
        let html = answer(Trouble::InvalidDocument).expect("an answer");
        assert_eq!(html.headers()["content-type"], "text/html");
        let redirect = answer(Trouble::Redirect).expect("an answer");
        assert_eq!(redirect.status(), 302);
        assert_eq!(redirect.headers()["location"], url);
        let empty = answer(Trouble::Empty).expect("an answer");
        assert!(empty.body().len() < 12);
    }
}

#[test]
fn the_metadata_can_lie() {
    let issuer = TestIssuer::new();
    issuer.trouble(Endpoint::Metadata, Trouble::OtherIssuer);
    assert_eq!(json(&issuer, PLAIN)["issuer"], "https://other.test");
    issuer.trouble(Endpoint::Metadata, Trouble::InsecureJwksUri);
    assert_eq!(json(&issuer, PLAIN)["jwks_uri"], "http://issuer.test/jwks");
    assert_eq!(json(&issuer, PLAIN)["issuer"], "https://issuer.test");
}

#[test]
fn a_good_key_stands_among_unusable_ones() {
    let issuer = TestIssuer::new();
    issuer.trouble(Endpoint::Jwks, Trouble::UnusableKeys);
    let answer = fetch(&issuer, JWKS).expect("an answer");
    let text = std::str::from_utf8(answer.body()).expect("text");
    assert!(text.contains(r#"{"kty":"OKP","kty":"EC","#));
    let keys = json(&issuer, JWKS);
    let keys = keys["keys"].as_array().expect("keys");
    assert_eq!(keys.len(), 6);
    assert_eq!(keys[1]["kid"], 7);
    assert_eq!(keys[5]["kid"], "es256-1");
}

#[test]
fn recovery_wakes_a_hanging_request() {
    struct Flag(std::sync::atomic::AtomicBool);
    impl std::task::Wake for Flag {
        fn wake(self: std::sync::Arc<Self>) {
            self.0.store(true, std::sync::atomic::Ordering::SeqCst);
        }
    }
    let issuer = TestIssuer::new();
    issuer.trouble(Endpoint::Jwks, Trouble::Hang);
    let flag = std::sync::Arc::new(Flag(false.into()));
    let waker = Waker::from(flag.clone());
    let mut context = Context::from_waker(&waker);
    let mut hanging = pin!(issuer.fetch(request(JWKS), LIMITS));
    assert!(hanging.as_mut().poll(&mut context).is_pending());
    assert_eq!(issuer.jwks_requests(), 1, "it has come, though it hangs");
    json(&issuer, PLAIN);

    issuer.recover();
    assert!(flag.0.load(std::sync::atomic::Ordering::SeqCst));
    let Poll::Ready(Ok(answer)) = hanging.as_mut().poll(&mut context) else {
        panic!("it still hangs");
    };
    assert_eq!(answer.status(), 200);
}

#[test]
fn rotation_adds_a_key_and_withdrawal_takes_one_out() {
    let issuer = TestIssuer::new();
    let kids = || -> Vec<String> {
        let jwks = json(&issuer, JWKS);
        let keys = jwks["keys"].as_array().expect("keys").clone();
        keys.iter().map(|key| key["kid"].as_str().expect("kid").to_owned()).collect()
    };
    assert_eq!(issuer.rotate(), "es256-2");
    assert_eq!(kids(), ["es256-1", "es256-2"]);
    issuer.withdraw("es256-1");
    assert_eq!(kids(), ["es256-2"]);
    issuer.rotate();
    issuer.withdraw_old_keys();
    assert_eq!(kids(), ["es256-3"]);
}

#[test]
fn the_key_set_can_have_max_age() {
    let issuer = TestIssuer::new();
    assert!(!fetch(&issuer, JWKS).expect("an answer").headers().contains_key("cache-control"));
    issuer.jwks_max_age(600);
    let answer = fetch(&issuer, JWKS).expect("an answer");
    assert_eq!(answer.headers()["cache-control"], "max-age=600");
}

#[test]
fn the_issuer_is_its_own_clock() {
    let issuer = TestIssuer::new();
    let before = issuer.now();
    issuer.clock().advance(Duration::from_secs(5));
    assert_eq!(issuer.now(), before + Duration::from_secs(5));
}

//! What unauthenticated clients, malicious or broken issuers and configuration errors must not achieve.

use std::future::pending;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, HeaderMap, HeaderValue, WWW_AUTHENTICATE};
use http::{Request, Response};
use mcp_auth::{
    AnyOf, AuthInfo, AuthorizationServer, BoxFuture, Clock, ConfigError, Credentials, Denial,
    Fetch, FetchError, Limits, McpAuth, Require, VerifiedToken,
};
use mcp_auth_testkit::TestIssuer;
use tower::{Layer as _, ServiceExt as _};

use crate::world::{RESOURCE, answer, bearer, request, status};

/// An issuer that publishes metadata chosen by an attacker, and records the URLs that were requested.
#[derive(Clone)]
struct Liar {
    metadata: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Liar {
    fn telling(metadata: impl Into<String>) -> Self {
        Self { metadata: metadata.into(), asked: Arc::default() }
    }

    fn asked_for(&self) -> Vec<String> {
        self.asked.lock().expect("a list").clone()
    }
}

impl Fetch for Liar {
    fn fetch(
        &self,
        request: Request<Bytes>,
        _: Limits,
    ) -> BoxFuture<'_, Result<Response<Bytes>, FetchError>> {
        self.asked.lock().expect("a list").push(request.uri().to_string());
        Box::pin(std::future::ready(Ok(Response::new(self.metadata.clone().into()))))
    }
}

/// Nested arrays and `RawValue` objects, whose text serde_json parses again without counting the depth.
fn bottomless(levels: usize) -> String {
    let mut escape = String::from(r"\u0022");
    let (mut start, mut end) = (String::new(), String::new());
    let mut quote = String::from("\"");
    for _ in 0..levels {
        let open = "[".repeat(100);
        start += &format!("{open}{{{quote}$serde_json::private::RawValue{quote}:{quote}");
        end = format!("{quote}}}{}{end}", "]".repeat(100));
        quote = escape.clone();
        escape = escape.replace('\\', r"\u005c");
    }
    format!("{start}0{end}")
}

#[tokio::test]
async fn no_document_of_an_issuer_overflows_the_stack() {
    let metadata = format!(
        r#"{{"issuer":"https://issuer.test","jwks_uri":"https://issuer.test/jwks","x":{}}}"#,
        bottomless(150)
    );
    assert!(metadata.len() < 512 * 1024, "{}", metadata.len());
    let issuer = TestIssuer::new();
    let server = AuthorizationServer::discover(issuer.url()).fetch(Liar::telling(metadata));
    let auth = McpAuth::builder(RESOURCE)
        .authorization_server(server)
        .clock(issuer.clock())
        .build()
        .expect("a description");
    assert_eq!(status(&auth, &issuer.token().sign()).await, 503);
}

#[tokio::test]
async fn a_remote_issuer_cannot_make_us_fetch_from_loopback() {
    let issuer = TestIssuer::new();
    let liar = Liar::telling(
        r#"{"issuer":"https://issuer.test","jwks_uri":"http://127.0.0.1:9200/_all"}"#,
    );
    let server = AuthorizationServer::discover(issuer.url()).fetch(liar.clone());
    let auth = McpAuth::builder(RESOURCE)
        .authorization_server(server)
        .clock(issuer.clock())
        .build()
        .expect("a description");
    assert_eq!(status(&auth, &issuer.token().sign()).await, 503);
    assert!(
        liar.asked_for().iter().all(|url| url.starts_with("https://")),
        "{:?}",
        liar.asked_for()
    );
}

#[tokio::test(start_paused = true)]
async fn a_hanging_map_metadata_is_503_and_recovers() {
    let issuer = TestIssuer::new();
    let calls = AtomicUsize::new(0);
    let server = issuer.authorization_server().map_metadata_async(move |document| {
        let is_first = calls.fetch_add(1, Ordering::SeqCst) == 0;
        async move { if is_first { pending().await } else { document } }
    });
    let auth = McpAuth::builder(RESOURCE)
        .authorization_server(server)
        .clock(issuer.clock())
        .build()
        .expect("a description");
    let token = issuer.token().sign();
    let patience = Duration::from_secs(60);
    let first = tokio::time::timeout(patience, status(&auth, &token)).await;
    assert_eq!(first.ok(), Some(503));
    issuer.clock().advance(Duration::from_secs(30));
    assert_eq!(status(&auth, &token).await, 200);
}

#[test]
fn a_runtime_shutdown_does_not_hang_its_callers() {
    let (done, is_done) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let auth = TestIssuer::new().protects(RESOURCE).build().expect("a description");
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let handle = runtime.handle().clone();
        drop(runtime);
        let _entered = handle.enter();
        let _ = done.send(auth.readiness().is_ready());
    });
    assert_eq!(is_done.recv_timeout(Duration::from_secs(10)), Ok(false), "it has not hung");
}

#[tokio::test]
async fn a_clock_that_was_ahead_does_not_keep_withdrawn_keys() {
    let issuer = TestIssuer::new();
    let auth = issuer.protects(RESOURCE).build().expect("a description");
    let right = Clock::now(&issuer);
    issuer.clock().advance(Duration::from_secs(365 * 86_400));
    auth.warm_up().await.expect("the issuer is up");
    issuer.clock().set(right);
    issuer.rotate();
    issuer.withdraw_old_keys();
    let mut last = 0;
    for _ in 0..48 {
        issuer.clock().advance(Duration::from_secs(60 * 60));
        let stolen = issuer.token().kid("es256-1").sign();
        last = status(&auth, &stolen).await;
        tokio::task::yield_now().await;
    }
    assert_eq!(last, 401, "two days after the key was withdrawn");
}

#[test]
fn untrusted_text_in_a_denial_cannot_inject_challenge_parameters() {
    let auth = TestIssuer::new().protects(RESOURCE).build().expect("a description");
    for text in ["read\", error=\"x", "read \r\nset-cookie:a=b", "read \\", "read é"] {
        let response = auth.refuse(&Denial::insufficient_scope([text]));
        let challenge = response.headers()[WWW_AUTHENTICATE].to_str().expect("ASCII");
        assert!(
            challenge.starts_with("Bearer error=\"insufficient_scope\", ")
                && challenge.matches("error=").count() == 1
                && !challenge.contains(['\\', '\n']),
            "{challenge}"
        );
    }
}

#[test]
fn an_empty_scope_from_an_unset_variable_is_a_config_error() {
    let unset = || Vec::from([String::new()]);
    for require in [Require::from(unset()), "".into(), [""].into(), AnyOf([""]).into()] {
        let built = McpAuth::builder(RESOURCE)
            .authorization_server("https://auth.example.com")
            .required_scopes(require.clone())
            .build();
        assert_eq!(built.err(), Some(ConfigError::Scope(String::new())), "{require:?}");
    }
    let none = Vec::<String>::new();
    let builder = McpAuth::builder(RESOURCE).authorization_server("https://auth.example.com");
    assert!(builder.required_scopes(none).build().is_ok());
}

#[tokio::test]
async fn only_a_request_without_credentials_is_anonymous() {
    let issuer = TestIssuer::new();
    let revoked = |_: Credentials| async { Err::<VerifiedToken, _>(Denial::no_credentials()) };
    let auths = [
        issuer.protects(RESOURCE).optional().build().expect("a description"),
        issuer.protects(RESOURCE).optional().verifier(revoked).build().expect("a description"),
    ];
    let rows = [
        (0, "Basic YWxpY2U6c2VjcmV0"),
        (0, "DPoP abc"),
        (0, "Bearer\tabc"),
        (0, ""),
        (1, "Bearer revoked"),
    ];
    for (auth, field) in rows {
        let headers: HeaderMap =
            [(AUTHORIZATION, HeaderValue::from_static(field))].into_iter().collect();
        assert_eq!(answer(&auths[auth], request(headers)).await.status(), 401, "{field:?}");
    }
    assert_eq!(answer(&auths[0], request(HeaderMap::new())).await.status(), 200);
}

#[tokio::test]
async fn a_caller_of_an_outer_resource_is_anonymous_in_an_inner_one() {
    let issuer = TestIssuer::new();
    let outer = issuer.protects("https://api.example.com/").build().expect("a description");
    let token = issuer.token().sign();
    let inner = issuer.protects(RESOURCE).optional().build().expect("a description");
    let whoami = tower::service_fn(|request: Request<_>| async move {
        let caller = request.extensions().get::<AuthInfo>().is_some();
        Ok::<_, std::convert::Infallible>(Response::new(caller.to_string()))
    });
    let stack = outer.bearer_auth().layer(inner.bearer_auth().layer(whoami));
    let mut request = Request::post("/mcp").body(String::new()).expect("a request");
    *request.headers_mut() = bearer(&token);
    let response = stack.oneshot(request).await.expect("an answer");
    assert_eq!(
        http_body_util::BodyExt::collect(response.into_body()).await.expect("a body").to_bytes(),
        "false"
    );
}

#[tokio::test]
async fn a_path_that_looks_like_a_route_pattern_is_taken_literally() {
    let issuer = TestIssuer::new();
    for path in ["/:tenant/mcp", "/*", "/a/*b", "//mcp", "/a//b", "/%7Bx%7D"] {
        let auth = issuer.protects(&format!("https://api.example.com{path}")).build();
        let app = auth.expect("a description").protect(axum::routing::get(|| async {}));
        for (path, expected) in [(path, 401), ("/other/mcp", 404)] {
            let request = Request::get(path).body(axum::body::Body::empty()).expect("a request");
            let response = app.clone().oneshot(request).await.expect("an answer");
            assert_eq!(response.status(), expected, "{path}");
        }
    }
}

#[tokio::test]
async fn a_zero_jwks_max_age_still_limits_fetches_by_the_cooldown() {
    let issuer = TestIssuer::new();
    let server = issuer.authorization_server().jwks_max_age(Duration::ZERO);
    let auth = McpAuth::builder(RESOURCE)
        .authorization_server(server)
        .clock(issuer.clock())
        .build()
        .expect("a description");
    for _ in 0..20 {
        let forged = TestIssuer::new().token().claim("iat", 1_785_196_700).sign();
        assert_eq!(status(&auth, &forged).await, 401);
    }
    assert_eq!(issuer.jwks_requests(), 2, "the first, and one per cooldown for what does not fit");
}

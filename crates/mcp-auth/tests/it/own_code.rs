//! Functions of the application that the library calls: what they break by hanging, by panicking, or by saying nothing.

use std::future::pending;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Method, Request, Response};
use mcp_auth::{
    AuthorizationServer, BoxFuture, Credentials, Denial, Fetch, FetchError, Introspection, Limits,
    McpAuth, Secret, VerifiedToken,
};
use mcp_auth_testkit::TestIssuer;
use tracing::Level;

use crate::logs::Log;
use crate::rmcp_world::{Mode, Visitor, app, whole};
use crate::world::{RESOURCE, answer, bearer, request, status};

const ISSUER: &str = "https://keys.example.com";
const TOKEN: &str = "a-secret-token";

/// A verifier whose tokens are the names of cases.
async fn by_case(credentials: Credentials) -> Result<VerifiedToken, Denial> {
    let case = credentials.token().expose().to_owned();
    let alice = VerifiedToken::assert(ISSUER, "alice").scopes(["read"]);
    let outage = Denial::unavailable(Duration::from_secs(7));
    match &*case {
        "hangs" => pending().await,
        "panics" => panic!("the token is {TOKEN}"),
        "panics-later" => {
            tokio::task::yield_now().await;
            panic!("the token is {TOKEN}")
        }
        "silent" => Err(outage),
        "caused" => Err(outage.caused_by("the pool is empty")),
        "explained" => Err(outage.detail("the database is down").caused_by("no route")),
        "no-audience" => Ok(alice),
        "other-resource" => Ok(alice.audience("https://api.example.com/mail")),
        "other-name" => Ok(alice.audience("api://notes")),
        "slow" => {
            tokio::time::sleep(Duration::from_secs(4)).await;
            Ok(alice.audience(RESOURCE))
        }
        _ => Ok(alice.audience(RESOURCE)),
    }
}

fn panics_at_once(_: Credentials) -> std::future::Ready<Result<VerifiedToken, Denial>> {
    panic!("before there is a future")
}

fn external() -> mcp_auth::McpAuthBuilder {
    McpAuth::builder(RESOURCE).authorization_server(AuthorizationServer::external(ISSUER))
}

#[tokio::test(start_paused = true)]
async fn a_verifier_that_hangs_or_panics_is_a_503_that_the_log_explains() {
    let named = "the verifier `it::own_code::by_case` given to `.verifier(..)`";
    let auth = external().verifier(by_case).build().expect("a description");
    for (token, expected, line) in [
        ("good", 200, String::new()),
        ("slow", 200, String::new()),
        ("hangs", 503, format!("{named} did not answer within 5s")),
        ("panics", 503, format!("{named} panicked")),
        ("panics-later", 503, format!("{named} panicked")),
        ("silent", 503, format!("{named} answered so: let it say why, with `.detail(..)`")),
        ("caused", 503, "the pool is empty".to_owned()),
        ("explained", 503, "the database is down".to_owned()),
        ("explained", 503, "no route".to_owned()),
        (
            "no-audience",
            401,
            format!(
                "your verifier must say for which resource the token was issued: let it call `.audience(\"{RESOURCE}\")`"
            ),
        ),
        (
            "other-resource",
            401,
            "your verifier says with `.audience(..)` that the token is for another resource"
                .to_owned(),
        ),
        (
            "other-name",
            401,
            "your verifier says with `.audience(..)` that the token is for another resource"
                .to_owned(),
        ),
    ] {
        let (log, guard) = Log::at(Level::INFO);
        let response = answer(&auth, request(bearer(token))).await;
        let text = log.text();
        drop(guard);
        assert_eq!(response.status(), expected, "{token}");
        assert_eq!(expected == 503, response.headers().contains_key("retry-after"), "{token}");
        assert!(text.contains(&line), "{token}: {text}");
        assert!(!text.contains(TOKEN) && !text.contains("in your provider"), "{token}: {text}");
        assert!(!String::from_utf8_lossy(response.body()).contains("verifier"), "{token}");
        assert_eq!(text.lines().count(), usize::from(expected != 200), "{token}: {text}");
    }
    let auth = external().verifier(panics_at_once).build().expect("a description");
    assert_eq!(status(&auth, "x").await, 503);
}

#[tokio::test(start_paused = true)]
async fn the_time_limit_of_a_verifier_can_be_set() {
    for (limit, token, expected, seconds) in
        [(2, "slow", 503, 2), (4, "hangs", 503, 4), (60, "slow", 200, 4), (60, "hangs", 503, 60)]
    {
        let limited = external().verifier_timeout(Duration::from_secs(limit)).verifier(by_case);
        let auth = limited.build().expect("a description");
        let begin = tokio::time::Instant::now();
        assert_eq!(status(&auth, token).await, expected, "{limit} {token}");
        assert_eq!(begin.elapsed().as_secs(), seconds, "{limit} {token}");
    }
}

#[test]
fn a_verifier_that_does_not_wait_needs_no_timer() {
    let auth = external().verifier(by_case).build().expect("a description");
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(async {
        let parts = request(bearer("good")).into_parts();
        assert!(auth.admit(&parts.0, parts.1).await.is_ok());
    });
}

#[tokio::test]
async fn an_issuer_resolver_that_panics_is_a_503_that_the_log_explains() {
    let (log, _guard) = Log::at(Level::INFO);
    let issuer = TestIssuer::new();
    let resolving =
        issuer.protects(RESOURCE).issuer_resolver("https://{tenant}.example.org", |_| async {
            panic!("the token is {TOKEN}")
        });
    let auth = resolving.build().expect("a configuration");
    let token = issuer.token().claim("iss", "https://acme.example.org").sign();
    assert_eq!(status(&auth, &token).await, 503);
    let text = log.text();
    assert!(text.contains("the issuer resolver panicked") && !text.contains(TOKEN), "{text}");
    assert!(!text.contains("acme"), "{text}");
}

/// A client that panics for URLs with this part, and otherwise passes requests on.
#[derive(Clone)]
struct Panicking(TestIssuer, &'static str);

impl Fetch for Panicking {
    fn fetch(
        &self,
        request: Request<Bytes>,
        limits: Limits,
    ) -> BoxFuture<'_, Result<Response<Bytes>, FetchError>> {
        assert!(!request.uri().path().contains(self.1), "a panic of the client: {TOKEN}");
        self.0.fetch(request, limits)
    }
}

#[tokio::test]
async fn a_client_or_a_secret_that_panics_is_a_503_that_the_log_explains() {
    let issuer = TestIssuer::builder().client("notes", "secret").build();
    issuer.resource(RESOURCE, [""; 0]);
    let server = |path| {
        AuthorizationServer::discover(issuer.url())
            .fetch(Panicking(issuer.clone(), path))
            .clock(issuer.clock())
    };
    let secret = || Secret::from_fn(|| async { panic!("{TOKEN}") as std::io::Result<String> });
    let asking = || Introspection::basic("notes", "secret");
    let (jwt, opaque) = (issuer.token().sign(), issuer.token().opaque());
    for (name, server, token, line) in [
        ("metadata", server(".well-known"), &jwt, "the HTTP client panicked"),
        ("keys", server("jwks"), &jwt, "the HTTP client panicked"),
        (
            "introspection",
            server("introspect").introspection(asking()),
            &opaque,
            "the client given with `.fetch(..)` panicked",
        ),
        (
            "secret",
            server("nowhere").introspection(Introspection::basic("notes", secret())),
            &opaque,
            "it panicked",
        ),
        ("bearer", server("nowhere").bearer(secret()), &jwt, "it panicked"),
    ] {
        let (log, guard) = Log::at(Level::INFO);
        let auth = McpAuth::builder(RESOURCE).authorization_server(server).clock(issuer.clock());
        let auth = auth.build().expect("a configuration");
        let begin = Instant::now();
        assert_eq!(status(&auth, token).await, 503, "{name}");
        assert!(begin.elapsed() < Duration::from_secs(5), "{name}: nobody waits for a time limit");
        let text = log.text();
        drop(guard);
        assert!(text.contains(line) && !text.contains(TOKEN), "{name}: {text}");
    }
}

#[tokio::test]
async fn an_item_about_which_list_only_panics_is_left_out() {
    let issuer = TestIssuer::new();
    let auth = issuer.protects(RESOURCE).list_only(|_, _, name| match name {
        "slow" => panic!("the token is {TOKEN}"),
        _ => true,
    });
    let auth = auth.build().expect("a configuration");
    let (router, _) = app(Some(&auth), Mode::Json);
    let (log, _guard) = Log::at(Level::INFO);
    let visitor = Visitor::new(&router, &issuer.token().sign())
        .with("mcp-protocol-version", "2026-07-28")
        .with("mcp-method", "tools/list");
    let list = r#"{"jsonrpc":"2.0","id":5,"method":"tools/list","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}"#;
    let (status, _, body) = whole(visitor.send(Method::POST, list).await).await;
    assert_eq!(status, 200, "{body}");
    assert!(body.contains("whoami") && !body.contains("\"slow\""), "{body}");
    let text = log.text();
    assert!(text.contains("the function given to `.list_only(..)` panicked"), "{text}");
    assert!(!text.contains(TOKEN), "{text}");
}

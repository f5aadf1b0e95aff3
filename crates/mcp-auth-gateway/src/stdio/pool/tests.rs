use std::convert::Infallible;

use http::Request;
use mcp_auth::{Credentials, Denial, Revocation, VerifiedToken};
use mcp_auth_config::{EnvValue, Template};
use tower_layer::Layer as _;
use tower_service::Service as _;

use super::*;

const RESOURCE: &str = "https://mcp.example.com/mcp";

fn auth() -> McpAuth {
    let verifier = |credentials: Credentials| async move {
        let token = credentials.token().expose().to_owned();
        let mut parts = token.split('-');
        let mut part = || parts.next().unwrap_or_default();
        let verified = VerifiedToken::assert("https://login.example.com", part());
        let verified = verified.scopes([part()]).client_id(part());
        Ok::<_, Denial>(verified.audience(RESOURCE))
    };
    let auth = McpAuth::builder(RESOURCE).authorization_server("https://login.example.com");
    auth.verifier(verifier).build().expect("a description")
}

/// A service that keeps its caller.
#[derive(Clone, Default)]
struct Keep(Arc<Mutex<Option<AuthInfo>>>);

impl<B> tower_service::Service<Request<B>> for Keep {
    type Response = http::Response<http_body_util::Empty<bytes::Bytes>>;
    type Error = Infallible;
    type Future = std::future::Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(
        &mut self,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Result<(), Infallible>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        *self.0.lock().expect("unlocked") = request.extensions().get().cloned();
        std::future::ready(Ok(http::Response::new(http_body_util::Empty::new())))
    }
}

/// The caller that is admitted with a token, `SUBJECT-SCOPE-CLIENT`.
async fn admitted(auth: &McpAuth, token: &str) -> AuthInfo {
    let keep = Keep::default();
    let request = Request::get("/mcp").header("authorization", format!("Bearer {token}"));
    let request = request.body(http_body_util::Empty::<bytes::Bytes>::new()).expect("a request");
    let Ok(_) = auth.bearer_auth().layer(keep.clone()).call(request).await;
    keep.0.lock().expect("unlocked").take().expect("a caller")
}

fn pool(auth: &McpAuth, scope: ProcessScope) -> Arc<Pool> {
    pool_with(auth, scope, "")
}

/// A pool of processes whose environment has this template of claims.
fn pool_with(auth: &McpAuth, scope: ProcessScope, template: &str) -> Arc<Pool> {
    let template = EnvValue::Template(Template::parse(template).expect("a template"));
    let server = StdioServer {
        program: "cat".into(),
        arguments: Vec::new(),
        scope,
        env: [("CLAIM".to_owned(), template)].into(),
        max_processes: 10,
        max_processes_per_principal: 4,
        idle_timeout: Duration::from_secs(600),
    };
    Pool::new(server, auth.clone())
}

async fn over(process: &Process) {
    tokio::time::timeout(Duration::from_secs(30), process.over()).await.expect("in time");
}

#[tokio::test]
async fn a_revocation_ends_the_processes_of_its_caller() {
    let auth = auth();
    let pool = pool(&auth, ProcessScope::Session);
    let alice = admitted(&auth, "alice-1").await;
    let bob = admitted(&auth, "bob-1").await;
    let of_alice = pool.begin_session("a".into(), Some(&alice)).await.expect("a process");
    let without_session = pool.of_caller(Some(&alice)).await.expect("a process");
    let of_bob = pool.begin_session("b".into(), Some(&bob)).await.expect("a process");
    // The token was renewed: what counts is the newest.
    let renewed = admitted(&auth, "alice-2").await;
    pool.session("a", Some(&renewed)).expect("a session");
    auth.revoke(Revocation::subject(alice.issuer(), alice.subject()));
    over(&of_alice.process).await;
    over(&without_session.process).await;
    assert!(pool.session("a", Some(&alice)).is_none());
    assert!(pool.session("b", Some(&bob)).is_some() && !of_bob.process.is_ending());
    pool.close();
    over(&of_bob.process).await;
    assert!(matches!(pool.of_caller(Some(&bob)).await, Err(Refusal::Limit)), "it is closed");
}

/// A client that registers again at each login has another name then, and is the same user's.
#[tokio::test]
async fn a_process_is_for_a_user_and_for_what_its_environment_says_of_the_token() {
    let auth = auth();
    let first = admitted(&auth, "alice-read-desktop").await;
    for (template, client, scope) in [
        ("", true, true),
        ("{sub}", true, true),
        ("{client_id}", false, true),
        ("{scope}", true, false),
    ] {
        for (token, is_shared) in [
            ("alice-read-desktop", true),
            ("alice-read-editor", client),
            ("alice-write-desktop", scope),
            ("bob-read-desktop", false),
        ] {
            let other = admitted(&auth, token).await;
            let row = format!("{template} {token}");
            for of in [ProcessScope::Principal, ProcessScope::Session] {
                let pool = pool_with(&auth, of, template);
                let of_first = pool.of_caller(Some(&first)).await.expect("a process");
                let of_other = pool.of_caller(Some(&other)).await.expect("a process");
                let is_same = Arc::ptr_eq(&of_first.process, &of_other.process);
                assert_eq!(is_same, is_shared, "{row}");
                let is_one_client = of_first.client == of_other.client;
                assert_eq!(
                    is_one_client,
                    token.starts_with("alice") && token.ends_with("desktop"),
                    "{row}"
                );
                // The layer lets only the user into the session. Its process must fit the token all the same.
                if !token.starts_with("bob") {
                    pool.begin_session("s".into(), Some(&first)).await.expect("a process");
                    assert_eq!(pool.session("s", Some(&other)).is_some(), is_shared, "{row}");
                }
                pool.close();
            }
        }
    }
}

#[tokio::test]
async fn sessions_that_share_a_process_are_bounded() {
    let auth = auth();
    let pool = pool(&auth, ProcessScope::Principal);
    let alice = admitted(&auth, "alice-1").await;
    let bob = admitted(&auth, "bob-1").await;
    let of_bob = pool.begin_session("b".into(), Some(&bob)).await.expect("a process");
    let mut last = None;
    for number in 0..=MAX_SESSIONS_PER_PRINCIPAL {
        let id = format!("a{number}").into();
        let place = pool.begin_session(id, Some(&alice)).await.expect("a process");
        let first = last.replace(place);
        let is_same = |first: &ClientProcess| {
            last.as_ref().is_some_and(|last| Arc::ptr_eq(&first.process, &last.process))
        };
        assert!(first.as_ref().is_none_or(is_same), "one process for all");
    }
    assert!(pool.session("a0", Some(&alice)).is_none(), "the oldest has made place");
    assert!(pool.session("a1", Some(&alice)).is_some());
    assert!(pool.session("b", Some(&bob)).is_some() && !of_bob.process.is_ending());
    assert!(pool.end_session("a1") && !pool.end_session("a1"));
    assert!(last.is_some_and(|last| !last.process.is_ending()), "the others go on");
    pool.close();
}

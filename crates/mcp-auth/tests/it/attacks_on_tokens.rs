//! Attacks other than on plain JWTs: opaque and bound tokens, tenants, API keys, security events, principals.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::future::join_all;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap};
use http::{Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt as _, Full, StreamBody};
use mcp_auth::{
    ApiKey, ApiKeys, AuthInfo, AuthorizationServer, BoxFuture, CallerKind, ClientCertHeader, Clock,
    Denial, Dpop, Fetch, FetchError, GuardedBody, Introspection, Limits, McpAuth, PeerAddr, Reason,
    Revocation, Revocations, ToolScopes,
};
use mcp_auth_testkit::{DpopKey, Endpoint, TestIssuer, Trouble};
use serde_json::json;
use tower::{Layer as _, ServiceExt as _, service_fn};

use crate::streams::{EVENTS, data, next, streamed};
use crate::world::{RESOURCE, Web, admit, bearer, request, status};

const SECRET: &str = "a secret of thirty-two bytes or more";
const CLIENT: &str = "my-client";
const TENANT: &str = "22222222-2222-2222-2222-222222222222";

fn issuer() -> TestIssuer {
    TestIssuer::builder().client("notes", SECRET).build()
}

fn basic() -> Introspection {
    Introspection::basic("notes", SECRET)
}

/// Serves documents, and answers introspection requests by a function of the token.
#[derive(Clone)]
struct Answering<F> {
    documents: Web,
    answer: F,
    questions: Arc<AtomicUsize>,
}

const QUESTIONS: &str = "https://login.example.com/introspect";

impl<F: Fn(&str) -> Result<String, FetchError> + Send + Sync + 'static> Answering<F> {
    fn new(documents: Web, answer: F) -> Self {
        Self { documents, answer, questions: Arc::default() }
    }

    fn questions(&self) -> usize {
        self.questions.load(Ordering::SeqCst)
    }
}

impl<F: Fn(&str) -> Result<String, FetchError> + Send + Sync + 'static> Fetch for Answering<F> {
    fn fetch(
        &self,
        request: Request<Bytes>,
        limits: Limits,
    ) -> BoxFuture<'_, Result<Response<Bytes>, FetchError>> {
        if request.uri() != QUESTIONS {
            return self.documents.fetch(request, limits);
        }
        self.questions.fetch_add(1, Ordering::SeqCst);
        Box::pin(async move {
            let form = String::from_utf8_lossy(request.body()).into_owned();
            let token = form.split('&').find_map(|it| it.strip_prefix("token=")).unwrap_or("");
            let body = (self.answer)(token)?;
            let mut response = Response::new(body.into());
            response.headers_mut().insert(CONTENT_TYPE, "application/json".parse().expect("it"));
            Ok(response)
        })
    }
}

fn metadata(issuer: &str, jwks_uri: &str) -> String {
    json!({ "issuer": issuer, "jwks_uri": jwks_uri }).to_string()
}

fn dpop(token: &str, proof: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(AUTHORIZATION, format!("DPoP {token}").parse().expect("a header value"));
    headers.insert("dpop", proof.parse().expect("a header value"));
    headers
}

async fn send_event(auth: &McpAuth, content_type: &str, body: String) -> u16 {
    let request = Request::post("/security-events").header(CONTENT_TYPE, content_type);
    let request = request.body(Full::<Bytes>::new(body.into())).expect("a request");
    let response = auth.security_event_receiver([CLIENT]).oneshot(request).await;
    response.unwrap_or_else(|never| match never {}).status().as_u16()
}

/// `introspect_jwts` promises that a revoked JWT is refused before it expires. Each of these issuers answers that
/// the token is not active.
#[tokio::test]
async fn introspect_jwts_applies_to_every_kind_of_issuer() {
    let keys = TestIssuer::new();
    let asks = || basic().endpoint(QUESTIONS).introspect_jwts();
    let inactive = |web| Answering::new(web, |_: &str| Ok(r#"{"active":false}"#.to_owned()));
    let resource = || McpAuth::builder(RESOURCE).clock(keys.clock());

    let (template, place) = ("https://login.example.com/{tenant}", "https://login.example.com/m");
    let web = Web::default()
        .serve(place, metadata(template, "https://login.example.com/keys"))
        .serve("https://login.example.com/keys", keys.jwks());
    let server = AuthorizationServer::template(template, place).tenants(["t1"]);
    let server = server.introspection(asks()).fetch(inactive(web)).clock(keys.clock());
    let of_tenant = (
        "a template",
        resource().authorization_server(server).build(),
        keys.token().audience(RESOURCE).claim("iss", "https://login.example.com/t1").sign(),
    );

    let customer = "https://acme.customers.example.com";
    let web = Web::default()
        .serve(
            "https://acme.customers.example.com/.well-known/oauth-authorization-server",
            metadata(customer, "https://acme.customers.example.com/jwks"),
        )
        .serve("https://acme.customers.example.com/jwks", keys.jwks());
    let server = AuthorizationServer::discover(customer).introspection(asks());
    let server = server.fetch(inactive(web)).clock(keys.clock());
    let of_customer = (
        "a resolver",
        resource()
            .authorization_server(AuthorizationServer::external("https://login.example.com"))
            .issuer_resolver("https://{tenant}.customers.example.com", move |_| {
                let server = server.clone();
                async { Ok(Some(server)) }
            })
            .build(),
        keys.token().audience(RESOURCE).claim("iss", customer).sign(),
    );

    let server = AuthorizationServer::with_secret(keys.url(), SECRET).introspection(asks());
    let server = server.fetch(inactive(Web::default())).clock(keys.clock());
    let of_secret = (
        "a secret",
        resource().authorization_server(server).build(),
        keys.token().audience(RESOURCE).sign_with_secret(SECRET),
    );

    let given = mcp_auth::jwt::KeySet::parse(keys.jwks().as_bytes()).expect("keys");
    let server = AuthorizationServer::with_keys(keys.url(), given).introspection(asks());
    let server = server.fetch(inactive(Web::default())).clock(keys.clock());
    let of_keys = (
        "one of its own, which is asked", // shows that the other cases can fail
        resource().authorization_server(server).build(),
        keys.token().audience(RESOURCE).sign(),
    );

    let mut passed = Vec::new();
    for (name, auth, token) in [of_keys, of_tenant, of_customer, of_secret] {
        // An error from `build()` is fine too.
        let Ok(auth) = auth else { continue };
        if status(&auth, &token).await != 401 {
            passed.push(name);
        }
    }
    assert!(passed.is_empty(), "revoked tokens pass: {passed:?}");
}

/// Envoy copies `URI=` and `DNS=` from the certificate without quotes ("TODO: Handle the special characters in By
/// and URI fields", `conn_manager_utility.cc`), and a URI may contain commas. So the author of a certificate
/// controls the end of the header, and RFC 8705 §2.2 allows self-signed certificates.
#[tokio::test]
async fn a_name_in_a_certificate_cannot_forge_an_xfcc_hash() {
    const VICTIM: &[u8] = &[0x30, 0x03, 0x02, 0x01, 0x01];
    let issuer = TestIssuer::new();
    let auth = issuer
        .protects(RESOURCE)
        .client_certificates_from(ClientCertHeader::Xfcc, ["10.1.2.3"])
        .build()
        .expect("a description");
    let stolen = issuer.token().certificate_bound(VICTIM).sign();
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, VICTIM);
    let digest: String = digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    let of_thief = "ab".repeat(32);
    // The thief's certificate has one name: spiffe://x,Hash=<the hash of the victim's>
    let header = format!("Hash={of_thief};Subject=\"CN=x\";URI=spiffe://x,Hash={digest}");
    let (mut parts, body) = request(bearer(&stolen)).into_parts();
    parts.extensions.insert(PeerAddr("10.1.2.3".parse().expect("an address")));
    parts.headers.insert("x-forwarded-client-cert", header.parse().expect("a header value"));
    let admitted = auth.admit(&parts, body).await;
    assert_eq!(admitted.err().and_then(|denial| denial.reason()), Some(Reason::Certificate));
}

/// A caller is a `User` only if a claim shows a login. `uid` does not: all access tokens of Authentik have it, those
/// of service accounts too (in its row of the table it marks access tokens).
#[tokio::test]
async fn uid_or_empty_login_claims_do_not_make_a_client_a_user() {
    let issuer = TestIssuer::new();
    let auth = issuer.protects(RESOURCE).build().expect("a description");
    let token = || issuer.token().subject("0a1b2c").client_id("batch");
    let rows = [
        ("a service account of Authentik", token().claim("uid", "Kx0").sign()),
        ("no way to log in", token().claim("amr", json!([])).sign()),
        ("no time of a login, as Keycloak wrote it", token().claim("auth_time", 0).sign()),
    ];
    let mut users = Vec::new();
    for (name, token) in rows {
        let caller = admit(&auth, &bearer(&token)).await.expect("admitted");
        if caller.kind() == CallerKind::User {
            users.push(name);
        }
    }
    assert!(users.is_empty(), "taken for users: {users:?}");
}

/// The replay cache never forgets a proof that would still be accepted (`verify/dpop/replay_cache.rs`).
#[tokio::test]
async fn a_clock_that_was_ahead_does_not_allow_a_proof_replay() {
    let issuer = TestIssuer::new();
    let auth = issuer.protects(RESOURCE).build().expect("a description");
    let key = DpopKey::generate(issuer.clone());
    let token = issuer.token().expires_in(Duration::from_secs(7200)).dpop_bound(&key).sign();
    let proof = || key.proof("POST", RESOURCE).token(&token).sign();
    let seen = dpop(&token, &proof());
    assert!(admit(&auth, &seen).await.is_ok());

    let now = Clock::now(&issuer);
    issuer.clock().set(now + Duration::from_secs(600));
    assert!(admit(&auth, &dpop(&token, &proof())).await.is_ok(), "another, by the wrong time");
    issuer.clock().set(now);
    assert!(admit(&auth, &seen).await.is_err(), "a proof is used once");
}

/// No client can lock out the others by itself (`verify/dpop/replay_cache.rs`).
#[tokio::test]
async fn a_user_with_several_keys_does_not_lock_out_the_others() {
    let issuer = TestIssuer::new();
    let auth = issuer.protects(RESOURCE).dpop(Dpop::optional().replay_cache_capacity(400));
    let auth = auth.build().expect("a description");
    for _ in 0..5 {
        let key = DpopKey::generate(issuer.clone());
        let token = issuer.token().subject("mallory").client_id("evil").dpop_bound(&key).sign();
        for _ in 0..100 {
            let proof = key.proof("POST", RESOURCE).token(&token).sign();
            let _ = admit(&auth, &dpop(&token, &proof)).await;
        }
    }
    let key = DpopKey::generate(issuer.clone());
    let token = issuer.token().subject("alice").dpop_bound(&key).sign();
    let proof = key.proof("POST", RESOURCE).token(&token).sign();
    let alice = admit(&auth, &dpop(&token, &proof)).await;
    assert!(alice.is_ok(), "{:?}", alice.err());
}

/// A failure that the token may have caused pauses only that token (docs/decisions). Firewalls, and nginx with
/// `return 444`, close the connection on requests that they reject.
#[tokio::test]
async fn a_token_that_closes_the_connection_does_not_pause_introspection_of_others() {
    let issuer = TestIssuer::new();
    let of_alice = json!({ "active": true, "sub": "alice", "aud": RESOURCE }).to_string();
    let web = Answering::new(Web::default(), move |token: &str| {
        if token.contains("passwd") {
            return Err(FetchError::Transport("connection closed before message completed".into()));
        }
        Ok(of_alice.clone())
    });
    let server = AuthorizationServer::external(issuer.url())
        .introspection(basic().endpoint(QUESTIONS))
        .fetch(web.clone())
        .clock(issuer.clone());
    let auth = McpAuth::builder(RESOURCE).authorization_server(server).clock(issuer.clone());
    let auth = auth.build().expect("a description");
    let mut refused = 0;
    for i in 0..10 {
        assert_eq!(status(&auth, "../../etc/passwd").await, 503);
        refused += usize::from(status(&auth, &format!("good-{i}")).await != 200);
        issuer.clock().advance(Duration::from_secs(2));
    }
    assert_eq!(refused, 0, "of 10 good tokens, after one bad one each");
}

/// A logout token names the user by `sub`, but the caller's subject is the `username`.
#[tokio::test]
async fn a_logout_token_revokes_where_the_subject_is_the_username() {
    let issuer = issuer();
    let server = issuer.authorization_server();
    let server = server.introspection(basic().dangerous_subject_is_username());
    issuer.resource(RESOURCE, [""; 0]);
    let auth = McpAuth::builder(RESOURCE).authorization_server(server).clock(issuer.clone());
    let auth = auth.build().expect("a description");
    let token = issuer.token().subject("4711").claim("username", "alice").opaque();
    let caller = admit(&auth, &bearer(&token)).await.expect("admitted");
    assert_eq!(caller.subject(), "alice");

    let logout = format!("logout_token={}", issuer.logout_token(CLIENT).subject("4711").sign());
    let answer = send_event(&auth, "application/x-www-form-urlencoded", logout).await;
    // The receiver must not report a revocation that has no effect.
    assert_eq!((answer, status(&auth, &token).await), (200, 401));
}

/// RFC 7662 §2.2 with RFC 9449 §6.2 and RFC 8705 §3.2: `cnf` in the answer binds the token.
#[tokio::test]
async fn a_jwt_with_cnf_in_its_introspection_answer_is_not_a_bearer_token() {
    let issuer = TestIssuer::new();
    let key = DpopKey::generate(issuer.clone());
    let answer = json!({
        "active": true, "sub": "alice", "aud": RESOURCE, "token_type": "DPoP",
        "cnf": { "jkt": key.thumbprint() },
    });
    let answer = answer.to_string();
    let web = Answering::new(Web::default(), move |_: &str| Ok(answer.clone()));
    let keys = mcp_auth::jwt::KeySet::parse(issuer.jwks().as_bytes()).expect("keys");
    let server = AuthorizationServer::with_keys(issuer.url(), keys)
        .introspection(basic().endpoint(QUESTIONS).introspect_jwts())
        .fetch(web.clone())
        .clock(issuer.clone());
    let auth = McpAuth::builder(RESOURCE).authorization_server(server).clock(issuer.clone());
    let auth = auth.build().expect("a description");
    let token = issuer.token().audience(RESOURCE).sign();
    for time in ["asked", "remembered"] {
        assert_eq!(status(&auth, &token).await, 401, "{time}");
    }
    assert_eq!(web.questions(), 1);
}

/// A text with the prefix of API keys that is not a listed key is refused at once, and never introspected.
#[tokio::test]
async fn a_token_with_the_api_key_prefix_is_never_introspected() {
    let key = "mcpk_2aVvwqjTq0dVz4yHcJkLmNoPqRsTuVwXyZ012345678";
    let issuer = issuer();
    let auth = issuer.protects(RESOURCE).introspect("notes", SECRET);
    let auth = auth.api_keys(ApiKeys::new().key(ApiKey::new("ci", key))).build();
    let auth = auth.expect("a description");
    let mut sent = Vec::new();
    for token in [
        format!("{key}="),
        format!("{key}/a.b.c"),        // a key, and more after it
        format!("{key}.{key}.{key}="), // pasted three times
        key.repeat(6),                 // pasted six times
    ] {
        let before = issuer.introspection_requests();
        assert_eq!(status(&auth, &token).await, 401);
        if issuer.introspection_requests() > before {
            sent.push(token);
        }
    }
    assert!(sent.is_empty(), "the issuer was told the key: {sent:?}");
}

/// A body may take 30 seconds to arrive. If the token is revoked meanwhile, the operation must not be executed.
#[tokio::test]
async fn a_token_revoked_while_its_body_arrives_is_refused() {
    let issuer = TestIssuer::new();
    let auth = issuer.protects(RESOURCE).tools(ToolScopes::new().tool("pay", ["pay"]));
    let auth = auth.build().expect("a description");
    auth.warm_up().await.expect("the issuer is up");
    let token = issuer.token().scopes(["pay"]).sign();
    let (mut parts, _) = request(bearer(&token)).into_parts();
    parts.headers.insert(CONTENT_TYPE, "application/json".parse().expect("a value"));
    let message = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"pay"}}"#;
    let (sender, receiver) = tokio::sync::oneshot::channel::<()>();
    let late = futures_util::stream::once(async move {
        receiver.await.expect("it comes");
        Ok::<_, Infallible>(Frame::data(Bytes::from_static(message.as_bytes())))
    });
    let admitting = auth.admit(&parts, StreamBody::new(late.boxed()));
    let revoking = async {
        tokio::task::yield_now().await;
        auth.revoke(Revocation::subject(issuer.url(), "alice"));
        sender.send(()).expect("somebody waits");
    };
    let (admitted, ()) = tokio::join!(admitting, revoking);
    assert_eq!(admitted.err().and_then(|denial| denial.reason()), Some(Reason::Inactive));
}

/// A full revocation list refuses more tokens, not fewer (docs/decisions). An ended session stays ended.
#[tokio::test]
async fn a_full_revocation_list_keeps_ended_sessions_revoked() {
    let issuer = TestIssuer::new();
    let of_session = || issuer.token().claim("sid", "s1").sign();
    for others in [vec![], vec!["bob", "carol"]] {
        let book = Revocations::new().capacity(2);
        let auth = issuer.protects(RESOURCE).revocations(&book).build().expect("a description");
        auth.revoke(Revocation::session(issuer.url(), "s1"));
        for user in &others {
            auth.revoke(Revocation::subject(issuer.url(), *user));
        }
        issuer.clock().advance(Duration::from_secs(60));
        assert_eq!(status(&auth, &of_session()).await, 401, "and {} more", others.len());
    }
}

/// The inner service never sees these headers, whoever sends them (docs/guide/bound-tokens.md). CGI and WSGI
/// gateways do not distinguish `_` from `-`, so all spellings are removed (`stripped_headers.rs`).
#[tokio::test]
async fn no_spelling_of_a_certificate_header_reaches_the_inner_service() {
    let issuer = TestIssuer::new();
    let auth = issuer.protects(RESOURCE).build().expect("a description");
    let mut sent = request(bearer(&issuer.token().sign()));
    for name in ["client_cert", "client_cert_chain", "client-cert_chain", "x_forwarded_client_cert"]
    {
        sent.headers_mut().insert(name, ":MAMCAf8=:".parse().expect("a value"));
    }
    let show = service_fn(|request: Request<GuardedBody<Full<Bytes>>>| async move {
        let names: Vec<_> = request.headers().keys().map(ToString::to_string).collect();
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::from(names.join(" "))))
    });
    let response = auth.bearer_auth().layer(show).oneshot(sent).await;
    let body = response.unwrap_or_else(|never| match never {}).into_body();
    let body = body.collect().await.unwrap_or_else(|never| match never {}).to_bytes();
    assert_eq!(String::from_utf8_lossy(&body), "", "what the inner service sees");
}

/// A revoked token may be accepted only for the time of `Introspection::cache_for`. Its streams must end as well,
/// although an answer need not have an `exp`.
#[tokio::test(start_paused = true)]
async fn a_stream_ends_after_its_opaque_token_is_revoked() {
    let issuer = issuer();
    let auth = issuer.protects(RESOURCE).introspect("notes", SECRET).build().expect("it");
    let token = issuer.token().without("exp").opaque();
    let (frames, response) = streamed(&auth, Some(&token), &[EVENTS]).await;
    let mut body = response.into_body();
    issuer.revoke(&token);
    issuer.clock().advance(Duration::from_secs(86_400));
    assert_eq!(status(&auth, &token).await, 401);
    frames.send(data(": a day later\n\n")).await.expect("open");
    assert_eq!(next(&mut body).await, None);
}

/// The `aud` of Entra's v2 access tokens is the application, as in the constructor's example. So is the `aud` of ID
/// tokens that the application gets for itself. These have a `nonce` only if the client sent one.
#[tokio::test]
async fn an_entra_id_token_for_the_same_application_is_not_an_access_token() {
    let app = "11111111-1111-1111-1111-111111111111";
    let keys = TestIssuer::new();
    let url = format!("https://login.microsoftonline.com/{TENANT}/v2.0");
    let place = format!("{url}/.well-known/openid-configuration");
    let jwks_uri = "https://login.microsoftonline.com/keys";
    let web = Web::default().serve(&place, metadata(&url, jwks_uri)).serve(jwks_uri, keys.jwks());
    let server = AuthorizationServer::entra(TENANT).audience(app).fetch(web).clock(keys.clock());
    let auth = McpAuth::builder(RESOURCE).authorization_server(server).clock(keys.clock());
    let auth = auth.build().expect("a description");
    let claims = json!({
        "iss": url, "aud": app, "sub": "AAAA", "oid": "o", "tid": TENANT, "ver": "2.0",
        "name": "Alice", "preferred_username": "alice@example.com", "rh": "r", "uti": "u",
        "iat": 1_785_196_700, "nbf": 1_785_196_700, "exp": 1_785_200_000,
    });
    let id_token = keys.token().typ("JWT").payload(claims.to_string()).sign();
    let admitted = admit(&auth, &bearer(&id_token)).await;
    assert_eq!(admitted.err().and_then(|denial| denial.reason()), Some(Reason::Type));
}

/// Issuers of a resolver are trusted too: their logout tokens must not be discarded.
#[tokio::test]
async fn an_issuer_known_at_run_time_can_log_out_its_users() {
    let keys = TestIssuer::new();
    let customer = "https://acme.customers.example.com";
    let web = Web::default()
        .serve(
            "https://acme.customers.example.com/.well-known/oauth-authorization-server",
            metadata(customer, "https://acme.customers.example.com/jwks"),
        )
        .serve("https://acme.customers.example.com/jwks", keys.jwks());
    let server = AuthorizationServer::discover(customer).fetch(web).clock(keys.clock());
    let auth = McpAuth::builder(RESOURCE)
        .authorization_server(AuthorizationServer::external("https://login.example.com"))
        .issuer_resolver("https://{tenant}.customers.example.com", move |_| {
            let server = server.clone();
            async { Ok(Some(server)) }
        })
        .clock(keys.clock())
        .build()
        .expect("a description");
    let token = keys.token().audience(RESOURCE).claim("iss", customer).sign();
    assert_eq!(status(&auth, &token).await, 200);
    let logout = keys.logout_token(CLIENT).claim("iss", customer).sign();
    let logout = format!("logout_token={logout}");
    let answer = send_event(&auth, "application/x-www-form-urlencoded", logout).await;
    assert_eq!((answer, status(&auth, &token).await), (200, 401));
}

#[tokio::test]
async fn an_issuer_cannot_revoke_tokens_of_another_issuer() {
    let (a, b) = (TestIssuer::new(), TestIssuer::builder().issuer("https://b.test").build());
    for issuer in [&a, &b] {
        issuer.resource(RESOURCE, [""; 0]);
    }
    let auth = a.protects(RESOURCE).authorization_server(b.authorization_server());
    let auth = auth.build().expect("a description");
    let of_b = b.token().claim("sid", "s1").claim("jti", "t1").sign();
    let alice = json!({ "format": "iss_sub", "iss": b.url(), "sub": "alice" });
    let session = json!({ "format": "opaque", "id": "s1" });
    for sub_id in [
        alice.clone(),
        session.clone(),
        json!({ "format": "complex", "user": alice, "session": session }),
        json!({ "format": "iss_sub", "sub": "alice" }),
        json!({ "format": "iss_sub", "iss": "", "sub": "alice" }),
    ] {
        let event = "https://schemas.openid.net/secevent/caep/event-type/session-revoked";
        let event = a.security_event(CLIENT, event, sub_id.clone()).sign();
        assert_eq!(send_event(&auth, "application/secevent+jwt", event).await, 202);
        assert_eq!(status(&auth, &of_b).await, 200, "{sub_id}");
    }
    // Nor by a logout token in the name of the other issuer, signed with its own key.
    let forged = a.logout_token(CLIENT).claim("iss", b.url()).sign();
    let forged = format!("logout_token={forged}");
    assert_eq!(send_event(&auth, "application/x-www-form-urlencoded", forged).await, 400);
    assert_eq!(status(&auth, &of_b).await, 200);
}

/// A panic during introspection is an outage for all waiting requests, and the next attempt comes on time.
#[tokio::test]
async fn a_panic_during_introspection_is_503_and_recovers() {
    let issuer = TestIssuer::new();
    let good = json!({ "active": true, "sub": "alice", "aud": RESOURCE }).to_string();
    let crashes = Arc::new(AtomicUsize::new(1));
    let web = Answering::new(Web::default(), move |_: &str| {
        let left = crashes.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |it| it.checked_sub(1));
        assert!(left.is_err(), "a bug in somebody's `Fetch`");
        Ok(good.clone())
    });
    let server = AuthorizationServer::external(issuer.url())
        .introspection(basic().endpoint(QUESTIONS))
        .fetch(web.clone())
        .clock(issuer.clone());
    let auth = McpAuth::builder(RESOURCE).authorization_server(server).clock(issuer.clone());
    let auth = auth.build().expect("a description");
    let all = join_all((0..50).map(|_| status(&auth, "opaque"))).await;
    assert!(all.iter().all(|status| *status == 503), "{all:?}");
    assert_eq!(web.questions(), 1);
    issuer.clock().advance(Duration::from_secs(1));
    assert_eq!((status(&auth, "opaque").await, web.questions()), (200, 2));
}

/// The whole token is the key of the cache: no other text matches its entry.
#[tokio::test]
async fn a_changed_token_does_not_match_a_cached_one() {
    let issuer = issuer();
    let auth = issuer.protects(RESOURCE).introspect("notes", SECRET).build().expect("it");
    for token in [issuer.token().sign(), issuer.token().opaque()] {
        assert_eq!(status(&auth, &token).await, 200);
        for (i, byte) in token.bytes().enumerate() {
            let other = if byte == b'A' { "B" } else { "A" };
            let changed = format!("{}{other}{}", &token[..i], &token[i + 1..]);
            let status = status(&auth, &changed).await;
            assert!([401, 503].contains(&status), "byte {i}: {status}");
        }
        for changed in [format!("{token}="), format!("{token}A"), token[1..].to_owned()] {
            let status = status(&auth, &changed).await;
            assert!([401, 503].contains(&status), "{status}");
        }
        assert_eq!(status(&auth, &token).await, 200);
    }
}

/// Subjects with unusual characters: no two of them are the same principal, nor shown as the same.
#[tokio::test]
async fn unusual_subjects_are_distinct_principals() {
    let (a, b) = (issuer(), TestIssuer::builder().issuer("https://issuer.test/x").build());
    for issuer in [&a, &b] {
        issuer.resource(RESOURCE, [""; 0]);
    }
    let auth = a.protects(RESOURCE).authorization_server(b.authorization_server());
    let key = "mcpk_2aVvwqjTq0dVz4yHcJkLmNoPqRsTuVwXyZ012345678";
    let auth = auth.api_keys(ApiKeys::new().key(ApiKey::new("alice", key)));
    let auth = auth.build().expect("a description");
    let names = [
        "alice",
        "Alice",
        "alice ",
        " alice",
        "alice\u{0}",
        "alice\n",
        "alice\u{200b}",
        "ali\u{301}ce",
        "al\u{ed}ce",
        "alice\" of \"https://issuer.test",
        "alice\\\"",
        "alice@clients",
        "\u{202e}ecila",
    ];
    let mut seen: HashMap<String, (String, String)> = HashMap::new();
    let principals = Arc::new(Mutex::new(std::collections::HashSet::new()));
    let mut number = 0;
    let mut note = |caller: AuthInfo| {
        number += 1;
        let whole = (caller.issuer().to_owned(), caller.subject().to_owned());
        assert!(principals.lock().expect("it").insert(caller.principal()), "{whole:?}");
        let shown = caller.principal().to_string();
        assert_eq!(seen.insert(shown.clone(), whole), None, "{shown}");
    };
    for issuer in [&a, &b] {
        for name in names {
            let token = issuer.token().subject(name).sign();
            note(admit(&auth, &bearer(&token)).await.expect("admitted"));
        }
    }
    let caller: Result<AuthInfo, Denial> = admit(&auth, &bearer(key)).await;
    note(caller.expect("admitted"));
    assert_eq!(number, 2 * names.len() + 1);
}

/// With several threads, not only with cooperative tasks: each proof is accepted once.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn threads_do_not_share_a_proof() {
    let issuer = TestIssuer::new();
    let auth = issuer.protects(RESOURCE).build().expect("a description");
    auth.warm_up().await.expect("the issuer is up");
    let key = DpopKey::generate(issuer.clone());
    let token = issuer.token().dpop_bound(&key).sign();
    for _ in 0..50 {
        let headers = dpop(&token, &key.proof("POST", RESOURCE).token(&token).sign());
        let start = Arc::new(tokio::sync::Barrier::new(8));
        let tries: Vec<_> = (0..8)
            .map(|_| {
                let (auth, headers, start) = (auth.clone(), headers.clone(), start.clone());
                tokio::spawn(async move {
                    start.wait().await;
                    admit(&auth, &headers).await.is_ok()
                })
            })
            .collect();
        let admitted = join_all(tries).await.into_iter().filter(|it| matches!(it, Ok(true)));
        assert_eq!(admitted.count(), 1);
    }
}

/// A token that is revoked during its introspection is refused, whatever the answer.
#[tokio::test]
async fn a_token_revoked_during_introspection_is_refused() {
    let issuer = issuer();
    let auth = issuer.protects(RESOURCE).introspect("notes", SECRET).build().expect("it");
    let token = issuer.token().opaque();
    issuer.trouble(Endpoint::Introspection, Trouble::Hang);
    let waiting = {
        let (auth, token) = (auth.clone(), token.clone());
        tokio::spawn(async move { status(&auth, &token).await })
    };
    while issuer.introspection_requests() == 0 {
        tokio::task::yield_now().await;
    }
    auth.revoke(Revocation::subject(issuer.url(), "alice"));
    issuer.recover();
    assert_eq!(waiting.await.expect("an answer"), 401);
    assert_eq!(status(&auth, &token).await, 401, "from the cache too");
}

/// The characters of a token are checked in several places, and late if it is cached or a JWT. No verifier receives a
/// text that is not a token.
#[tokio::test]
async fn a_malformed_token_is_400_with_every_verifier() {
    let issuer = issuer();
    let (jwt, opaque) = (issuer.token().sign(), issuer.token().opaque());
    let described = || issuer.protects(RESOURCE);
    let asking = |how| {
        let server = issuer.authorization_server().introspection(how);
        McpAuth::builder(RESOURCE).authorization_server(server).clock(issuer.clone())
    };
    let ours = AuthorizationServer::with_secret("https://internal.example.com", SECRET);
    let keys = ApiKeys::new().key(ApiKey::new("ci", "mcpk_0123456789012345678901"));
    let of_ones_own = |credentials: mcp_auth::Credentials| async move {
        panic!("a verifier was shown {:?}", credentials.token().expose())
    };
    let rows = [
        ("JWTs", described(), &jwt),
        ("opaque ones", asking(basic()), &opaque),
        ("both", asking(basic().introspect_jwts()), &opaque),
        ("API keys too", described().api_keys(keys), &jwt),
        ("a secret too", described().authorization_server(ours), &jwt),
        ("a verifier", described().verifier(of_ones_own), &jwt),
        ("anonymous too", described().optional(), &jwt),
    ];
    for (how, described, known) in rows {
        let auth = described.build().expect(how);
        auth.warm_up().await.expect("the issuer is up");
        if how != "a verifier" {
            assert_eq!(status(&auth, known).await, 200, "{how}");
        }
        let before = issuer.requests();
        let (start, end) = known.split_at(known.len() / 2);
        for sign in [" ", ",", "\t", "\"", "é", "=", "\\", "%"] {
            for token in [format!("{start}{sign}{end}"), format!("{sign}{known}")] {
                let is_one = sign == " " && token.starts_with(' '); // leading spaces are allowed
                assert!(is_one || status(&auth, &token).await == 400, "{how}: {token}");
            }
        }
        assert_eq!(issuer.requests(), before, "{how}");
    }
}

//! What the log contains for the operator, and what it must never contain.

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::Body;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Request;
use http_body_util::BodyExt as _;
use mcp_auth::jwt::Algorithm;
use mcp_auth::{ApiKey, ApiKeys, Introspection, McpAuth};
use mcp_auth_testkit::{Endpoint, SigningAlgorithm, TestIssuer, Trouble};
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use tower::ServiceExt as _;
use tracing::Level;
use tracing_subscriber::fmt::MakeWriter;

use crate::polling::{Play, Transmitter, poll, revoking, sets};
use crate::provider_apis::{self, Api, Who};
use crate::static_keys::KeysFile;
use crate::streams::{EVENTS, refused_by_handler, streamed_later};
use crate::world::{RESOURCE, admit, answer, bearer, request, status};

#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    /// Collects everything at `level` and above until the guard is dropped.
    pub(crate) fn at(level: Level) -> (Self, tracing::subscriber::DefaultGuard) {
        // Where another test meets a line of the library for the first time just now, without a subscriber, tracing
        // could take the line for one that nobody wants. With a global subscriber it cannot.
        _ = tracing::subscriber::set_global_default(tracing_subscriber::registry());
        let log = Self::default();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(level)
            .with_ansi(false)
            .with_writer(log.clone())
            .finish();
        (log, tracing::subscriber::set_default(subscriber))
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().expect("the log")).into_owned()
    }

    fn take(&self) -> String {
        String::from_utf8_lossy(&std::mem::take(&mut *self.0.lock().expect("the log"))).into_owned()
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("the log").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Log {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

fn protected(issuer: &TestIssuer) -> McpAuth {
    issuer.protects(RESOURCE).required_scopes(["read"]).build().expect("a description")
}

#[tokio::test]
async fn no_token_is_in_any_log_at_any_level() {
    let (log, _guard) = Log::at(Level::TRACE);
    let issuer = TestIssuer::new();
    let auth = protected(&issuer);
    let token = || issuer.token().scopes(["read"]);
    let tokens = [
        token().sign(),
        token().expired().sign(),
        token().audience("https://api.example.com/mail").sign(),
        token().claim("iss", "https://evil.example").sign(),
        token().typ("logout+jwt").sign(),
        token().kid("invented").sign(),
        token().claim("cnf", "x").sign(),
        issuer.token().sign(),
        "opaque-secret".to_owned(),
        "half.a.token".to_owned(),
        format!("{}.{}", "s".repeat(10_000), "e".repeat(10_000)),
    ];
    for token in &tokens {
        let response = answer(&auth, request(bearer(token))).await;
        tracing::trace!(?response, "a user's own log of the response");
    }
    issuer.trouble(Endpoint::Jwks, Trouble::Down);
    status(&protected(&issuer), &tokens[0]).await;
    let caller = admit(&auth, &bearer(&tokens[0])).await.expect("admitted");
    tracing::trace!(?caller, ?auth, "a user's own log of the caller");

    let text = log.text();
    assert!(
        text.contains("admitted") && text.contains("refused: audience"),
        "the log was written: {text}"
    );
    for token in &tokens {
        for part in token.split('.').filter(|part| part.len() > 5) {
            assert!(!text.contains(part), "{part} in {text}");
        }
    }
}

#[tokio::test]
async fn api_keys_and_security_events_are_in_no_log_at_any_level() {
    let (log, _guard) = Log::at(Level::TRACE);
    let issuer = TestIssuer::new();
    let known = ApiKeys::generate().expect("random numbers");
    let keys = ApiKeys::new().key(ApiKey::new("ci", &known.key));
    let auth = issuer.protects(RESOURCE).api_keys(keys.clone()).build().expect("a description");
    let unknown = ApiKeys::generate().expect("random numbers");
    status(&auth, &known.key).await;
    status(&auth, &unknown.key).await;
    let events = [issuer.logout_token("my-client").sign(), issuer.logout_token("other").sign()];
    for token in &events {
        let _ = auth.receive_logout_token(token, &["my-client"]).await;
    }
    tracing::trace!(?keys, ?known, ?auth, "a user's own log");

    let text = log.text();
    assert!(text.contains("inactive") && text.contains("revoked"), "the log was written: {text}");
    let secrets = [&known.key, &unknown.key, &events[0], &events[1]];
    for part in secrets.iter().flat_map(|secret| secret.split(['.', '_'])).filter(|it| it.len() > 5)
    {
        assert!(!text.contains(part), "{part} in {text}");
    }
}

#[tokio::test]
async fn an_api_key_file_error_is_logged_once_without_its_value() {
    let (issuer, file) = (TestIssuer::new(), KeysFile::new("log.api-keys.json"));
    let new = ApiKeys::generate().expect("random numbers");
    file.write(&format!(r#"{{"keys":[{{"name":"ci","sha256":"{}"}}]}}"#, new.key));
    let keys = ApiKeys::new().file(&file.0);
    let auth = issuer.protects(RESOURCE).api_keys(keys).build().expect("a description");
    let (log, guard) = Log::at(Level::WARN);
    for _ in 0..10 {
        assert_eq!(status(&auth, &new.key).await, 503);
    }
    let text = log.take();
    drop(guard);
    let told = text.matches("could not read the file of API keys").count();
    assert_eq!(
        (told, text.matches("entry 1, line 1: its `sha256` must be").count()),
        (1, 1),
        "{text}"
    );

    let (log, _guard) = Log::at(Level::TRACE);
    issuer.clock().advance(std::time::Duration::from_secs(60));
    status(&auth, &new.key).await;
    file.write(&format!(r#"{{"keys":[{{"name":"ci","sha256":"{}"}}]}}"#, new.digest));
    issuer.clock().advance(std::time::Duration::from_secs(60));
    assert_eq!(status(&auth, &new.key).await, 200);
    let text = log.text();
    assert!(text.contains("entry 1, line 1") && text.contains("mcp_auth: read the file"), "{text}");
    for secret in [&new.key[5..], &new.digest] {
        assert!(!text.contains(secret), "{secret} in {text}");
    }
}

#[tokio::test]
async fn introspected_tokens_and_client_secrets_are_in_no_log_at_any_level() {
    let (log, _guard) = Log::at(Level::TRACE);
    let issuer = TestIssuer::builder().client("notes-server", "very-secret-0").build();
    issuer.introspection_bearer("very-secret-1");
    let key = issuer.client_key("signer", SigningAlgorithm::Es256);
    let token = || issuer.token().subject("alice-the-admin").scopes(["read"]);
    let tokens = [
        token().opaque(),
        token().audience("https://api.example.com/mail").opaque(),
        token().payload("very-secret-nonsense").opaque(),
        "invented-token".to_owned(),
    ];
    issuer.resource(RESOURCE, [""; 0]);
    for introspection in [
        Introspection::basic("notes-server", "very-secret-0"),
        Introspection::post("notes-server", "very-secret-0").signed_responses(),
        Introspection::bearer("very-secret-1"),
        Introspection::bearer("very-secret-wrong"),
        Introspection::private_key_jwt("signer", &key, Algorithm::Es256),
    ] {
        tracing::trace!(?introspection, "a user's own log of the settings");
        let server = issuer.authorization_server().introspection(introspection);
        let auth = McpAuth::builder(RESOURCE).authorization_server(&server).clock(issuer.clone());
        let auth = auth.build().expect("a description");
        for token in &tokens {
            let response = answer(&auth, request(bearer(token))).await;
            tracing::trace!(?response, ?server, ?auth, "a user's own log of the response");
        }
    }
    let text = log.text();
    assert!(
        text.contains("refused: inactive") && text.contains("refuses this server's credentials"),
        "the log was written: {text}"
    );
    let body = key.lines().nth(1).expect("a line of the key");
    for secret in tokens.iter().map(String::as_str).chain(["very-secret", "eyJ", "Basic ", body]) {
        assert!(!text.contains(secret), "{secret} in {text}");
    }
}

#[tokio::test(start_paused = true)]
async fn event_polling_logs_few_lines_and_no_secrets() {
    let issuer = TestIssuer::new();
    let event = |sub: &str| revoking(&issuer, sub).sign();
    let nobody = |i: usize| (format!("n{i}"), revoking(&issuer, "x").without("sub_id").sign());
    let nobodies: Vec<_> = (0..50).map(nobody).collect();
    let nobodies = nobodies.iter().map(|(jti, set)| (jti.as_str(), set.clone())).collect();
    // The most lines in an hour: one for the revocation, and one for each kind of failure every five minutes.
    let rows = [
        ("fine", Play::Wait(30), 0, ""),
        ("refuses the token", Play::Status(401), 12, "check the bearer token"),
        ("is down", Play::Down, 12, "check that it is up"),
        ("never answers", Play::Hang, 12, "`.timeout(..)`"),
        ("has another page", Play::Text("<html>"), 12, "RFC 8936"),
        ("redirects", Play::Status(302), 12, "not followed"),
        ("sends one event for ever", sets(vec![("e", event("alice"))]), 13, "was acknowledged"),
        ("invents events", Play::Junk, 12, "not accepted, and perhaps others: encoding"),
        ("knows nobody", sets(nobodies), 24, "let the transmitter use `iss_sub`"),
    ];
    for (name, play, lines, advice) in rows {
        let (log, guard) = Log::at(Level::INFO);
        let transmitter = Transmitter::new([play]);
        poll(&protected(&issuer), transmitter.events(), 3599).await;
        let text = log.take();
        drop(guard);
        assert!((lines / 2..=lines).contains(&text.lines().count()), "{name}: {text}");
        assert!(text.contains(advice), "{name}: {text}");
    }

    let (log, _guard) = Log::at(Level::TRACE);
    let (good, bad) = (event("alice"), revoking(&issuer, "bob").audience("other").sign());
    let (good_row, bad_row) = (("jti-of-a", good.clone()), ("jti-of-b", bad.clone()));
    let transmitter = Transmitter::new([sets(vec![good_row, bad_row]), Play::Status(401)]);
    let events = transmitter.events();
    tracing::trace!(?events, "a user's own log of the settings");
    poll(&protected(&issuer), events, 60).await;
    let text = log.text();
    assert!(text.contains("revoked") && text.contains("not accepted"), "{text}");
    let parts = [&good, &bad].into_iter().flat_map(|set| set.split('.'));
    for secret in parts.chain(["very-secret", "jti-of", "alice", "bob"]) {
        assert!(!text.contains(secret), "{secret} in {text}");
    }
}

#[tokio::test]
async fn tokens_sent_to_provider_apis_are_in_no_log_at_any_level() {
    let (log, _guard) = Log::at(Level::TRACE);
    for who in Who::ALL {
        let api = Api::of(who);
        let (auth, _) = api.protects();
        for token in [who.token(), &format!("{}unknown", who.token()), "ghp_personal-secret"] {
            status(&auth, token).await;
        }
        let caller = admit(&auth, &bearer(who.token())).await.expect("admitted");
        tracing::trace!(?caller, ?auth, claims = caller.claims_json(), "a user's own log");
        api.trouble(Some(provider_apis::Trouble::Html(401)));
        status(&auth, &format!("{}new", who.token())).await;
    }
    let text = log.text();
    assert!(text.contains("583231") && text.contains("refused: inactive"), "{text}");
    let basic = STANDARD.encode(provider_apis::SECRET); // is in the Base64 of `id:secret`, given the length of the id
    for secret in
        ["exampleexample", "Example_token", "personal-secret", provider_apis::SECRET, &basic[..16]]
    {
        assert!(!text.contains(secret), "{secret} in {text}");
    }
}

#[tokio::test]
async fn refused_client_credentials_are_logged_only_once_in_a_while() {
    let issuer = TestIssuer::new();
    let server = issuer.authorization_server().introspection(Introspection::basic("id", "wrong"));
    let auth = McpAuth::builder(RESOURCE).authorization_server(server).clock(issuer.clone());
    let auth = auth.build().expect("a description");
    let (log, _guard) = Log::at(Level::WARN);
    for _ in 0..100 {
        status(&auth, &issuer.token().opaque()).await;
        issuer.clock().advance(std::time::Duration::from_millis(500));
    }
    let text = log.take();
    assert_eq!(
        text.matches("refuses this server's credentials: check the client id").count(),
        2,
        "{text}"
    );
    assert_eq!(text.lines().count(), 2, "{text}");
    assert!(text.contains("answered HTTP status 401"), "{text}");
}

#[tokio::test]
async fn each_decision_is_one_event_that_names_the_subject_of_a_verified_token_only() {
    let issuer = TestIssuer::new();
    let auth = protected(&issuer);
    auth.warm_up().await.expect("the issuer is up");
    let rows = [
        (issuer.token().subject("alice-the-admin").scopes(["read"]).sign(), "admitted", ""),
        (
            issuer.token().subject("alice-the-admin").sign(),
            "insufficient_scope",
            "requires \"read\"",
        ),
        (
            issuer.token().subject("alice-the-admin").audience("api://default").sign(),
            "audience",
            "add `.audience(\"api://default\")`",
        ),
        // Advice that is followed must not open the door to tokens for another server.
        (
            issuer
                .token()
                .subject("alice-the-admin")
                .audience("https://api.example.com/mcp/admin")
                .sign(),
            "audience",
            "the token is for another resource, and must not be accepted here",
        ),
        (
            issuer.token().subject("alice-the-admin").expired().sign(),
            "expired",
            "compare the clocks",
        ),
        (
            issuer.token().subject("alice-the-admin").claim("iss", "https://evil.example").sign(),
            "issuer",
            "https://issuer.test",
        ),
        (issuer.token().subject("alice-the-admin").typ("dpop+jwt").sign(), "type", "a DPoP proof"),
    ];
    for (token, decision, advice) in rows {
        let (log, guard) = Log::at(Level::INFO);
        status(&auth, &token).await;
        let text = log.take();
        drop(guard);
        let is_named = matches!(decision, "insufficient_scope" | "audience");
        assert_eq!(text.contains("subject=\"alice-the-admin\""), is_named, "{decision}: {text}");
        assert_eq!(text.contains("alice"), is_named, "{decision}: {text}");
        assert!(!text.contains("evil.example"), "{decision}: {text}");
        assert_eq!(text.lines().count(), usize::from(decision != "admitted"), "{decision}: {text}");
        assert!(text.contains(advice), "{decision}: {text}");

        let (log, guard) = Log::at(Level::DEBUG);
        status(&auth, &token).await;
        let text = log.take();
        drop(guard);
        assert_eq!(
            text.matches(&format!("decision=\"{decision}\"")).count(),
            1,
            "{decision}: {text}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_handlers_denial_is_logged_once_even_if_too_late_for_a_challenge() {
    let issuer = TestIssuer::new();
    let auth = protected(&issuer);
    auth.warm_up().await.expect("the issuer is up");
    let token = issuer.token().scopes(["read"]).sign();
    for (refuses_at, says_something, line) in [
        (60, false, "refused: insufficient_scope decision"),
        (
            130,
            false,
            "refused by its handler, too late for a challenge: insufficient_scope decision",
        ),
        (60, true, "refused by its handler, too late for a challenge: insufficient_scope decision"),
    ] {
        let (log, _guard) = Log::at(Level::INFO);
        let (response, _) = refused_by_handler(&auth, &token, refuses_at, says_something).await;
        response.into_body().collect().await.expect("no error");
        let text = log.take();
        assert_eq!(text.lines().count(), 1, "{text}");
        assert!(text.contains(line) && text.contains("the handler requires \"admin\""), "{text}");
    }
    let (log, _guard) = Log::at(Level::INFO);
    let (frames, response) = streamed_later(&auth, Some(&token), &[EVENTS]);
    frames.send(Err("broken")).await.expect("open");
    assert_eq!(response.await.status(), 502);
    let text = log.take();
    assert!(text.contains("ERROR") && text.contains("the server broke off its answer"), "{text}");
}

#[tokio::test]
async fn mcp_name_is_logged_only_from_2026_07_28_on() {
    let issuer = TestIssuer::new();
    let auth = protected(&issuer);
    auth.warm_up().await.expect("the issuer is up");
    for (scope, decision) in [("read", "admitted"), ("other", "insufficient_scope")] {
        for (version, is_named) in [("2025-11-25", false), ("", false), ("2026-07-28", true)] {
            let mut headers = bearer(&issuer.token().scopes([scope]).sign());
            headers.insert("mcp-name", "show".parse().expect("a value"));
            if !version.is_empty() {
                headers.insert("mcp-protocol-version", version.parse().expect("a value"));
            }
            let (log, _guard) = Log::at(Level::DEBUG);
            answer(&auth, request(headers)).await;
            let text = log.take();
            assert!(text.contains(&format!("decision=\"{decision}\"")), "{text}");
            assert_eq!(text.contains("tool=\"show\""), is_named, "{version} {text}");
        }
    }
}

#[tokio::test]
async fn an_id_of_another_caller_is_logged_without_the_id() {
    let issuer = TestIssuer::new();
    let auth = protected(&issuer);
    let token = issuer.token().subject("bob-the-thief").scopes(["read"]).sign();
    for (header, line) in [
        ("mcp-session-id", "a session id that was not issued to this caller"),
        ("last-event-id", "an event id that was not issued to this caller"),
    ] {
        let mut headers = bearer(&token);
        headers.insert(header, "stolen-id.AAAA".parse().expect("a value"));
        auth.warm_up().await.expect("the issuer is up");
        let (log, guard) = Log::at(Level::INFO);
        answer(&auth, request(headers)).await;
        let text = log.take();
        drop(guard);
        assert_eq!(text.lines().count(), 1, "{text}");
        assert!(text.contains(line) && !text.contains("stolen") && !text.contains("bob"), "{text}");
    }
}

#[tokio::test]
async fn an_outage_is_logged_once_with_its_cause() {
    let issuer = TestIssuer::new();
    issuer.trouble(Endpoint::Metadata, Trouble::Down);
    let auth = protected(&issuer);
    let (log, _guard) = Log::at(Level::WARN);
    for _ in 0..10 {
        status(&auth, &issuer.token().sign()).await;
    }
    let text = log.text();
    assert_eq!(text.lines().count(), 1, "{text}");
    assert!(
        text.contains("could not fetch the metadata of the issuer")
            && text.contains("connection refused"),
        "{text}"
    );
}

#[tokio::test]
async fn a_key_set_without_a_usable_key_is_a_warning_once() {
    let (log, _guard) = Log::at(Level::WARN);
    let issuer = TestIssuer::new();
    let auth = protected(&issuer);
    let token = issuer.token().scopes(["read"]).expires_in(Duration::from_secs(86_400)).sign();
    assert_eq!(status(&auth, &token).await, 200);
    issuer.trouble(Endpoint::Jwks, Trouble::Empty);
    issuer.clock().advance(Duration::from_secs(60 * 60));
    for _ in 0..300 {
        assert_eq!(status(&auth, &token).await, 503);
        issuer.clock().advance(Duration::from_secs(1));
    }
    let text = log.take();
    assert_eq!(text.matches("no key that this version can use: it is empty").count(), 1, "{text}");
    assert_eq!(text.lines().count(), 1, "{text}");
    issuer.recover();
    issuer.clock().advance(Duration::from_secs(30));
    assert_eq!(status(&auth, &token).await, 200);
    assert_eq!(log.take(), "");
}

#[tokio::test]
async fn untrusted_input_cannot_inject_log_lines() {
    let issuer = TestIssuer::new();
    let auth = protected(&issuer);
    let (log, _guard) = Log::at(Level::TRACE);
    let forged = "x\n2026-01-01 INFO forged line\u{1b}[31m";
    status(&auth, &issuer.token().audience(forged).sign()).await;
    status(&auth, &issuer.token().claim("iss", forged).sign()).await;
    status(&auth, &issuer.token().subject(forged).scopes(["read"]).sign()).await;
    let text = log.text();
    assert!(!text.contains("\n2026-01-01") && !text.contains('\u{1b}'), "{text}");
}

#[tokio::test]
async fn a_host_that_is_not_allowed_is_logged_at_debug_and_an_invalid_entry_at_warn() {
    struct Server;
    impl rmcp::ServerHandler for Server {}

    for (level, is_refusal_told, is_host_told) in
        [(Level::WARN, false, false), (Level::INFO, true, false), (Level::DEBUG, true, true)]
    {
        let (log, _guard) = Log::at(level);
        let config = StreamableHttpServerConfig::default().with_allowed_hosts([
            "localhost",
            "*.internal",
            "mcp.internal",
        ]);
        let sessions = Arc::<LocalSessionManager>::default();
        let mcp = StreamableHttpService::new(|| Ok(Server), sessions, config);
        let app = protected(&TestIssuer::new()).protect_mcp(mcp);
        let request = Request::post("/mcp").header("host", "evil.example").body(Body::empty());
        let response = app.oneshot(request.expect("a request")).await.expect("an answer");
        assert_eq!(response.status(), 403);
        let text = log.text();
        assert_eq!(text.matches("an allowed host that names none").count(), 1, "{text}");
        assert!(text.contains("*.internal"), "{text}");
        assert_eq!(text.contains("refused: host_not_allowed"), is_refusal_told, "{text}");
        assert_eq!(text.contains("evil.example"), is_host_told, "{text}");
    }
}

#[test]
fn offline_access_among_the_scopes_is_warned_of() {
    let builder = || McpAuth::builder(RESOURCE).authorization_server("https://auth.example.com");
    for (builder, lines) in [
        (builder().required_scopes("read"), 0),
        (builder().required_scopes("read offline_access"), 1),
        (builder().metadata(|it| it.scopes_supported("read offline_access")), 1),
    ] {
        let (log, _guard) = Log::at(Level::WARN);
        assert!(builder.build().is_ok());
        assert_eq!(log.text().matches("`offline_access`").count(), lines, "{}", log.text());
    }
}

#[tokio::test]
async fn the_error_of_an_issuer_resolver_is_in_no_log_at_info_or_above() {
    let (log, _guard) = Log::at(Level::INFO);
    let issuer = TestIssuer::new();
    let auth = issuer
        .protects(RESOURCE)
        .issuer_resolver("https://{tenant}.example.org", |issuer| async move {
            Err(format!("postgres://user:very-secret@db has no {issuer}").into())
        })
        .build()
        .expect("a configuration");
    let token = issuer.token().claim("iss", "https://acme.example.org").sign();
    assert_eq!(answer(&auth, request(bearer(&token))).await.status(), 503);
    let text = log.text();
    assert!(text.contains("the issuer resolver returned an error"), "{text}");
    assert!(!text.contains("very-secret") && !text.contains("acme"), "{text}");
}

//! What others write never becomes a line or a field of the log, on any path, at any level, for any subscriber.

use std::fmt;
use std::sync::{Arc, Mutex};

use axum::body::Body;
use http::Request;
use http::header::{HOST, HeaderMap, HeaderValue, ORIGIN};
use http_body_util::Full;
use mcp_auth::{
    AuthorizationServer, Credentials, Denial, EventPoll, Introspection, McpAuth, Reason, Rule,
    ToolScopes, VerifiedToken,
};
use mcp_auth_testkit::{TestIssuer, TokenBuilder};
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use serde_json::json;
use tower::ServiceExt as _;
use tracing::Level;
use tracing::field::{Field, Visit};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};

use crate::logs::Log;
use crate::world::{RESOURCE, Web, admit, answer, bearer, request, status};

/// Line breaks, a field, an escape sequence, a text that runs backwards, invisible characters.
const FORGED: &str = "x\r\nFORGED \u{2028}FORGED decision=\"admitted\" resource=\"r\" \u{1b}[31m\u{202e}\u{2066}\u{200b}\u{0}\u{85}y";

/// What fits into a header.
const FORGED_HEADER: &str = "x FORGED decision=\"admitted\" resource=\"r\" 'y' `z";

fn forged() -> String {
    FORGED.to_owned() + &"FORGED".repeat(2_000)
}

/// Records each value of each span and event as a subscriber receives it.
#[derive(Clone, Default)]
struct Values(Arc<Mutex<Vec<String>>>);

impl Visit for Values {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.lock().expect("a list").push(format!("{}={value}", field.name()));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.lock().expect("a list").push(format!("{}={value:?}", field.name()));
    }
}

impl<S: tracing::Subscriber> Layer<S> for Values {
    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        if event.metadata().target() == "mcp_auth" {
            event.record(&mut self.clone());
        }
    }

    fn on_new_span(
        &self,
        attributes: &tracing::span::Attributes<'_>,
        _: &tracing::Id,
        _: Context<'_, S>,
    ) {
        if attributes.metadata().target() == "mcp_auth" {
            attributes.record(&mut self.clone());
        }
    }
}

fn protected(issuer: &TestIssuer) -> McpAuth {
    issuer.protects(RESOURCE).required_scopes(["read"]).build().expect("a configuration")
}

/// Tokens, of which the signature is that of the issuer, or of nobody.
async fn tokens() {
    let issuer = TestIssuer::new();
    let auth = protected(&issuer);
    let changes: [fn(TokenBuilder) -> TokenBuilder; 14] = [
        |it| it.claim("iss", forged()),
        |it| it.audience(forged()),
        |it| it.audience(vec![forged(), FORGED.to_owned(), "\u{202e}".to_owned()]),
        |it| it.subject(forged()),
        |it| it.subject(forged()).scopes(["read"]),
        |it| it.client_id(forged()).scopes(["read"]),
        |it| it.claim("scope", forged()),
        |it| it.claim("scope", json!([forged(), FORGED])),
        |it| it.kid(FORGED),
        |it| it.typ(FORGED),
        |it| it.header("alg", FORGED),
        |it| it.header("crit", json!([FORGED])),
        |it| it.claim("cnf", json!({ FORGED: FORGED })),
        |it| it.claim(FORGED, FORGED).claim("typ", FORGED),
    ];
    let other = TestIssuer::new();
    for change in changes {
        status(&auth, &change(issuer.token()).sign()).await;
        status(&auth, &change(other.token()).sign()).await;
    }
    for event in [
        issuer.logout_token(FORGED),
        issuer.logout_token("c").subject(forged()),
        issuer.logout_token("c").claim("iss", forged()),
        issuer.logout_token("c").claim("sid", forged()).claim("jti", forged()),
        issuer.logout_token("c").claim("events", json!({ FORGED: FORGED })),
    ] {
        let receiver = auth.security_event_receiver(["c"]);
        let body = Full::new(format!("logout_token={}", event.sign()).into());
        let request =
            Request::post("/").header("content-type", "application/x-www-form-urlencoded");
        let _ = receiver.oneshot(request.body(body).expect("a request")).await;
    }
}

/// Headers and bodies, with a token and without.
async fn requests() {
    let issuer = TestIssuer::new();
    let rules =
        ToolScopes::default().tool("*", "admin").prompt("*", Rule::never()).resource("*", "admin");
    let auth = issuer.protects(RESOURCE).tools(rules).build().expect("a configuration");
    let good = issuer.token().sign();
    let value = || HeaderValue::from_static(FORGED_HEADER);
    for token in [&good, "invented"] {
        for (method, member) in [
            ("tools/call", "name"),
            ("prompts/get", "name"),
            ("resources/read", "uri"),
            (FORGED_HEADER, "name"),
        ] {
            for name in [FORGED_HEADER.to_owned(), forged(), "a=b".to_owned()] {
                let params = json!({ (member): name });
                let body = json!({"jsonrpc":"2.0","id":FORGED,"method":method,"params":params});
                let mut headers = bearer(token);
                headers.insert("content-type", HeaderValue::from_static("application/json"));
                headers.insert("mcp-name", value());
                let mut modern = headers.clone();
                modern.insert("mcp-protocol-version", HeaderValue::from_static("2026-07-28"));
                for headers in [headers, modern] {
                    let mut request = request(headers);
                    *request.body_mut() = Full::new(body.to_string().into());
                    answer(&auth, request).await;
                }
            }
        }
        for name in ["mcp-name", "mcp-method", "mcp-session-id", "last-event-id", "origin", "dpop"]
        {
            let mut headers = bearer(token);
            headers.insert("mcp-protocol-version", HeaderValue::from_static("2026-07-28"));
            headers.insert(name, value());
            answer(&auth, request(headers)).await;
        }
    }
    for scheme in ["Bearer", "DPoP", ""] {
        let mut headers = HeaderMap::new();
        let credentials = format!("{scheme} {FORGED_HEADER}").parse().expect("a value");
        headers.insert("authorization", credentials);
        answer(&auth, request(headers)).await;
    }

    struct Server;
    impl rmcp::ServerHandler for Server {}
    let config = StreamableHttpServerConfig::default().with_allowed_hosts(["localhost"]);
    let sessions = Arc::<LocalSessionManager>::default();
    let app = auth.protect_mcp(StreamableHttpService::new(|| Ok(Server), sessions, config));
    for (name, text) in
        [(HOST, FORGED_HEADER.to_owned()), (HOST, "h".repeat(5_000)), (ORIGIN, "h".repeat(5_000))]
    {
        let request = Request::post("/mcp").header(name, text).body(Body::empty());
        let _ = app.clone().oneshot(request.expect("a request")).await;
    }
    let long = format!("http://{}/mcp", "h".repeat(5_000));
    let request = Request::post(long).header(HOST, "localhost").body(Body::empty());
    let _ = app.oneshot(request.expect("a request")).await;
}

/// Documents and answers of issuers, and of transmitters.
async fn documents() {
    let keys = TestIssuer::new();
    let (issuer, place) =
        ("https://a.example", "https://a.example/.well-known/oauth-authorization-server");
    let good = json!({ "issuer": issuer, "jwks_uri": "https://a.example/jwks" });
    let with = |name: &str, text: &str| {
        let mut document = good.clone();
        document[name] = json!(text);
        document.to_string()
    };
    let token = keys.token().audience(RESOURCE).claim("iss", issuer).sign();
    let mut texts = vec![FORGED.to_owned(), forged()];
    texts.extend(
        [" ", "\n", "\" ", "'"]
            .map(|end| format!("https://a.example/x{end}FORGED decision=\"admitted\"")),
    );
    for text in &texts {
        for document in [
            with("issuer", text),
            with("jwks_uri", text),
            with("introspection_endpoint", text),
            text.clone(),
        ] {
            let web = Web::default().serve(place, document).serve("https://a.example/jwks", text);
            let asking = Introspection::basic("id", "secret");
            let server = AuthorizationServer::discover(issuer);
            for server in [server.clone(), server.introspection(asking)] {
                let server = server.fetch(web.clone()).clock(keys.clock());
                let auth = McpAuth::builder(RESOURCE).authorization_server(server);
                let auth = auth.clock(keys.clock()).build().expect("a configuration");
                let _ = auth.warm_up().await;
                status(&auth, &token).await;
                status(&auth, "opaque").await;
            }
        }
        let sets = json!({ "sets": { (FORGED): text, "b": text } }).to_string();
        let url = "https://a.example/poll";
        let events = EventPoll::at(url, ["c"]).fetch(Web::default().serve(url, sets));
        let auth = protected(&keys);
        let polling = auth.poll_security_events(events).expect("settings");
        let _ = tokio::time::timeout(std::time::Duration::from_millis(50), polling).await;
    }
}

/// Verifiers of one's own.
async fn verifiers() {
    let issuer = TestIssuer::new();
    let denials = [
        Denial::invalid(Reason::Signature).detail(forged()),
        Denial::invalid(Reason::Signature).caused_by(forged()),
        Denial::forbidden().detail(FORGED),
        Denial::insufficient_scope("admin").detail(FORGED).caused_by(FORGED),
        Denial::unavailable(std::time::Duration::ZERO).caused_by(FORGED),
    ];
    for denial in denials {
        let own = move |_: Credentials| std::future::ready(Err::<VerifiedToken, _>(denial.clone()));
        let auth = issuer.protects(RESOURCE).verifier(own).build().expect("a configuration");
        status(&auth, "opaque").await;
    }
    let own = |_: Credentials| async { Ok::<_, Denial>(VerifiedToken::assert(forged(), forged())) };
    let auth = issuer.protects(RESOURCE).verifier(own).build().expect("a configuration");
    status(&auth, "opaque").await;
}

async fn all() {
    tokens().await;
    requests().await;
    documents().await;
    verifiers().await;
}

#[tokio::test]
async fn no_text_of_others_makes_a_line_or_a_field() {
    for level in [Level::INFO, Level::DEBUG, Level::TRACE] {
        let (log, guard) = Log::at(level);
        all().await;
        let text = log.text();
        drop(guard);
        assert!(
            text.contains("refused: ") && text.contains("FORGED"),
            "the log was written: {text}"
        );
        for line in text.lines() {
            assert!(line.starts_with("20") && line.contains(" mcp_auth"), "{level}: {line:?}");
            assert!(!line.contains("FORGED decision=\"admitted\""), "{level}: {line}");
            assert!(line.chars().count() < 4_000, "{level}: {}", line.chars().count());
        }
        if level == Level::INFO {
            assert!(!text.contains("decision=\"admitted\""), "{text}");
        }
    }
}

/// A detail is not put into quotes, so what others write stands in it as one word.
#[tokio::test]
async fn text_of_others_is_one_word_of_a_detail() {
    const SMUGGLED: &str = "x decision=\"admitted\" y";
    const SHOWN: &str = "\"x\\u{20}decision\\u{3d}\\u{22}admitted\\u{22}\\u{20}y\"";
    /// As the elements of a list.
    const SHOWN_SCOPES: &str = "\"x decision\\u{3d}\\u{22}admitted\\u{22} y\"";
    let issuer = TestIssuer::new();
    let auth = protected(&issuer);
    let token = || issuer.token();
    for (name, token, shown) in [
        ("aud", token().audience(SMUGGLED), format!("`aud` is [{SHOWN}], expected")),
        (
            "aud, a list",
            token().audience(vec!["a", SMUGGLED, "b=c", "d"]),
            format!("`aud` is [\"a\", {SHOWN}, \"b\\u{{3d}}c\"], expected"),
        ),
        ("aud, the advice", token().audience(SMUGGLED), format!("add `.audience({SHOWN})`")),
        ("scope", token().claim("scope", SMUGGLED), format!("grants {SHOWN_SCOPES}: ")),
        ("scp", token().claim("scp", json!([SMUGGLED])), format!("grants {SHOWN_SCOPES}: ")),
    ] {
        let denial = admit(&auth, &bearer(&token.sign())).await.expect_err(name);
        let detail = denial.operator_detail().expect(name);
        assert!(detail.contains(&shown), "{name}: {detail}");
    }

    let good = token().scopes(["read", SMUGGLED]).sign();
    let caller = admit(&auth, &bearer(&good)).await.expect("a caller");
    let detail = caller.require("admin").expect_err("refused").operator_detail().map(str::to_owned);
    let shown = "grants \"read x decision\\u{3d}\\u{22}admitted\\u{22} y\", and";
    assert!(detail.as_ref().is_some_and(|detail| detail.contains(shown)), "{detail:?}");

    let body = json!({"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":SMUGGLED}});
    let rules = ToolScopes::default().tool("*", "admin");
    let auth = issuer.protects(RESOURCE).tools(rules).build().expect("a configuration");
    let (log, guard) = Log::at(Level::INFO);
    let mut call = request(bearer(&good));
    *call.body_mut() = Full::new(body.to_string().into());
    assert_eq!(answer(&auth, call).await.status(), 403);
    drop(guard);
    let shown = SHOWN.trim_matches('"');
    assert!(log.text().contains(&format!("`tools/call {shown}` requires")), "{}", log.text());

    let place = "https://a.example/.well-known/oauth-authorization-server";
    let document = json!({ "issuer": SMUGGLED, "jwks_uri": "https://a.example/jwks" });
    let web = Web::default().serve(place, document.to_string());
    let server = AuthorizationServer::discover("https://a.example").fetch(web);
    let auth = McpAuth::builder(RESOURCE).authorization_server(server).build();
    let error = auth.expect("a configuration").warm_up().await.expect_err("another issuer");
    let causes = std::iter::successors(Some(&error as &dyn std::error::Error), |it| it.source());
    let causes: Vec<_> = causes.map(ToString::to_string).collect();
    assert!(causes.join(": ").contains(&format!("its issuer is {SHOWN}")), "{causes:?}");
}

#[tokio::test]
async fn subscribers_receive_escaped_and_bounded_values() {
    let values = Values::default();
    let guard =
        tracing::subscriber::set_default(tracing_subscriber::registry().with(values.clone()));
    all().await;
    drop(guard);
    let values = values.0.lock().expect("a list").clone();
    assert!(values.len() > 500, "{}", values.len());
    for value in values {
        let odd = |c: char| c.is_control() || "\u{202e}\u{2066}\u{200b}\u{2028}".contains(c);
        assert!(!value.contains(odd), "{value:?}");
        assert!(value.chars().count() < 2_100, "{}", value.chars().count());
    }
}

/// A token names its issuer before it is verified. A resolver may trust whatever fits its pattern.
#[tokio::test]
async fn an_unverified_issuer_is_logged_at_debug_only() {
    let keys = TestIssuer::new();
    for level in [Level::INFO, Level::DEBUG] {
        let (log, _guard) = Log::at(level);
        for web in [
            Web::default(),
            Web::default().serve(
                "https://invented.example.org/.well-known/oauth-authorization-server",
                json!({"issuer": "https://invented.example.org", "jwks_uri": "http://invented"})
                    .to_string(),
            ),
        ] {
            let clock = keys.clock().clone();
            let auth = keys.protects(RESOURCE);
            let auth = auth.issuer_resolver("https://{tenant}.example.org", move |issuer| {
                let server = AuthorizationServer::discover(issuer);
                let server = server.fetch(web.clone()).clock(clock.clone());
                async move { Ok(Some(server)) }
            });
            let auth = auth.build().expect("a configuration");
            let token = keys.token().audience(RESOURCE);
            let token = token.claim("iss", "https://invented.example.org").sign();
            assert_eq!(status(&auth, &token).await, 503);
            let unknown = keys.token().claim("iss", "https://invented.example.com").sign();
            assert_eq!(status(&auth, &unknown).await, 401);
        }
        let text = log.text();
        assert!(text.contains("https://{tenant}.example.org"), "{text}");
        assert!(text.contains("could not fetch the metadata of an issuer"), "{text}");
        assert_eq!(text.contains("invented"), level == Level::DEBUG, "{text}");
    }
}

//! Keys of the file, seen from outside: names, bounds, security events, metrics.

use mcp_auth_config::Config;
use mcp_auth_gateway::Gateway;
use mcp_auth_testkit::TestIssuer;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::world::{OK, PATIENCE, Upstream, World};

/// The value of a series in the text of the metrics.
fn value(metrics: &str, series: &str) -> f64 {
    let line = metrics.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.and_then(|value| value.parse().ok()).unwrap_or_default()
}

#[tokio::test]
async fn an_alias_is_another_door_to_the_same_resource() {
    let upstream = Upstream::answering(OK).await;
    let rules = "aliases = [\"https://files.example.org/mcp\"]\nserve_issuer_metadata = true";
    let top = "forwarded_host_from = [\"127.0.0.1\"]";
    let behind = World::with(upstream.address, top, rules).await;
    let direct = World::new(upstream.address, rules).await;
    for (world, path, host, forwarded, status) in [
        (&direct, "/mcp", "files.example.org", "", "200"),
        (&direct, "/files", "files.example.org", "", "404"),
        (&direct, "/mcp", "GATEWAY", "", "404"),
        // A client may not say which host it called.
        (&direct, "/mcp", "GATEWAY", "files.example.org", "404"),
        (&behind, "/mcp", "backend", "files.example.org", "200"),
        (&behind, "/files", "backend", "GATEWAY", "200"),
        (&behind, "/mcp", "backend", "evil.example", "403"),
        (&behind, "/mcp", "backend", "files.example.org, evil.example", "403"),
        (&behind, "/mcp", "backend", "", "403"),
        (&behind, "/mcp", "files.example.org", "", "200"),
    ] {
        let named = |name: &str| name.replace("GATEWAY", &world.gateway.to_string());
        let (host, forwarded, token) = (named(host), named(forwarded), world.token(&["read"]));
        let forwarded = match forwarded.is_empty() {
            true => String::new(),
            false => format!("X-Forwarded-Host: {forwarded}\r\n"),
        };
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {host}\r\n{forwarded}Authorization: Bearer {token}\r\n\r\n"
        );
        let response = world.send(&request).await;
        assert!(response.starts_with(&format!("HTTP/1.1 {status}")), "{request}: {response}");
    }
    // Its metadata and its challenge name the alias, and the metadata of the issuer is there.
    for (path, expected) in [
        (
            "/.well-known/oauth-protected-resource/mcp",
            "\"resource\":\"https://files.example.org/mcp\"",
        ),
        ("/mcp", "https://files.example.org/.well-known/oauth-protected-resource/mcp"),
        ("/.well-known/oauth-authorization-server", "\"token_endpoint\""),
    ] {
        let request = format!("GET {path} HTTP/1.1\r\nHost: files.example.org\r\n\r\n");
        let response = direct.send(&request).await;
        assert!(response.contains(expected), "{path}: {response}");
    }
}

#[tokio::test]
async fn a_request_with_too_many_headers_is_refused() {
    let upstream = Upstream::answering(OK).await;
    let world = World::new(upstream.address, "").await;
    for (number, status) in [(50, "200"), (99, "431"), (3000, "431")] {
        let lines: String = (0..number).map(|i| format!("X-{i}: a\r\n")).collect();
        let response = world.post(&world.token(&["read"]), &lines, "{}").await;
        assert!(response.starts_with(&format!("HTTP/1.1 {status}")), "{number}: {response}");
    }
}

/// Callers without a token can send long messages slowly, and there are many of them.
#[tokio::test]
async fn what_anonymous_callers_send_is_bounded_in_all() {
    const BUDGET: usize = 100_000;
    let upstream = Upstream::answering(OK).await;
    let top = format!("max_anonymous_buffered_bytes = {BUDGET}");
    let rules = "optional = true\n[resources.tools]\n\"*\" = []";
    let world = World::with(upstream.address, &top, rules).await;
    let head = |length: usize| {
        format!(
            "POST /files HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n",
            world.gateway
        )
    };
    let held = async || {
        let metrics = world.ask_admin("/metrics").await;
        value(&metrics, "mcp_auth_gateway_buffered_bytes{callers=\"anonymous\"}")
    };
    // Ten callers send a tenth of the budget each, and then nothing.
    let mut slow = Vec::new();
    for _ in 0..10 {
        let mut stream = TcpStream::connect(world.gateway).await.expect("a connection");
        let part = " ".repeat(BUDGET / 10);
        stream.write_all(format!("{}{part}", head(1_000_000)).as_bytes()).await.expect("sent");
        slow.push(stream);
    }
    timeout(PATIENCE, async { while held().await < BUDGET as f64 {} }).await.expect("in time");
    let list = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{}}"#;
    let refused = world.send(&format!("{}{list}", head(list.len()))).await;
    assert!(refused.starts_with("HTTP/1.1 503"), "{refused}");
    assert!(refused.contains("retry-after: 1"), "{refused}");
    assert_eq!(held().await, BUDGET as f64, "no more is held");
    // Callers with a token have a budget of their own.
    let admitted = world.post(&world.token(&["read"]), "", list).await;
    assert!(admitted.starts_with("HTTP/1.1 200"), "{admitted}");
    // A token that does not verify is refused before a byte is read.
    let invented = world.post("x", "", &" ".repeat(1000)).await;
    assert!(invented.starts_with("HTTP/1.1 401"), "{invented}");
    // What they held is free again when they are gone.
    drop(slow);
    timeout(PATIENCE, async { while held().await > 0.0 {} }).await.expect("in time");
    let admitted = world.send(&format!("{}{list}", head(list.len()))).await;
    assert!(admitted.starts_with("HTTP/1.1 200"), "{admitted}");
}

#[tokio::test]
async fn the_upstream_gets_a_token_of_its_own_for_the_callers() {
    const TOKEN: &str = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 141\r\n\r\n{\"access_token\":\"for-upstream\",\"issued_token_type\":\"urn:ietf:params:oauth:token-type:access_token\",\"token_type\":\"Bearer\",\"expires_in\":60 }   ";
    const REFUSED: &str = "HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\nContent-Length: 25\r\n\r\n{\"error\":\"access_denied\"}";
    const BROKEN: &str = "HTTP/1.1 500 X\r\nContent-Length: 0\r\n\r\n";
    for (answer, status, is_passed_on) in
        [(TOKEN, "200", true), (REFUSED, "403", false), (BROKEN, "503", false)]
    {
        let (upstream, endpoint) =
            (Upstream::answering(OK).await, Upstream::answering(answer).await);
        let keys = format!(
            "exchange = {{ client_id = \"gateway\", secret = \"env:CARGO_PKG_NAME\", endpoint = \"http://{}/token\", audience = \"files\", scopes = [\"a\"] }}",
            endpoint.address
        );
        let world = World::new(upstream.address, &keys).await;
        let token = world.token(&["read"]);
        for _ in 0..2 {
            let response = world.post(&token, "", "{}").await;
            assert!(response.starts_with(&format!("HTTP/1.1 {status}")), "{response}");
        }
        let asked = endpoint.requests();
        assert!(asked[0].contains("audience=files") && asked[0].contains(&token), "{asked:?}");
        let passed = upstream.requests();
        assert_eq!(passed.len(), if is_passed_on { 2 } else { 0 }, "{status}");
        for request in &passed {
            assert!(request.contains("authorization: Bearer for-upstream\r\n"), "{request}");
            assert!(!request.contains(&token), "{request}");
        }
        if is_passed_on {
            assert_eq!(asked.len(), 1, "it is cached");
        }
        // Who is not admitted causes no exchange.
        let number = endpoint.requests().len();
        assert!(world.post(&world.token(&["other"]), "", "{}").await.starts_with("HTTP/1.1 403"));
        assert!(world.post("x", "", "{}").await.starts_with("HTTP/1.1 401"));
        assert_eq!(endpoint.requests().len(), number);
    }
}

#[tokio::test]
async fn the_upstream_gets_a_token_of_the_gateway_itself() {
    const TOKEN: &str = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 68\r\n\r\n{\"access_token\":\"of-gateway\",\"token_type\":\"Bearer\",\"expires_in\":60 }";
    const REFUSED: &str = "HTTP/1.1 401 X\r\nContent-Type: application/json\r\nContent-Length: 26\r\n\r\n{\"error\":\"invalid_client\"}";
    for (answer, status) in [(TOKEN, "200"), (REFUSED, "502")] {
        let (upstream, endpoint) =
            (Upstream::answering(OK).await, Upstream::answering(answer).await);
        let keys = format!(
            "exchange = {{ grant = \"client_credentials\", client_id = \"gateway\", secret = \"env:CARGO_PKG_NAME\", endpoint = \"http://{}/token\", scopes = [\"files\"] }}",
            endpoint.address
        );
        let world = World::new(upstream.address, &keys).await;
        // Who is not admitted causes no request for it.
        assert!(world.post(&world.token(&["other"]), "", "{}").await.starts_with("HTTP/1.1 403"));
        assert!(world.post("x", "", "{}").await.starts_with("HTTP/1.1 401"));
        assert_eq!(endpoint.requests().len(), 0);
        for subject in ["alice", "bob"] {
            let token = world.issuer.token().audience(world.resource.as_str()).subject(subject);
            let token = token.scopes(["read"]).sign();
            let response = world.post(&token, "", "{}").await;
            assert!(response.starts_with(&format!("HTTP/1.1 {status}")), "{response}");
            let asked = endpoint.requests();
            assert!(asked[0].contains("grant_type=client_credentials&scope=files"), "{asked:?}");
            assert!(!asked.iter().any(|request| request.contains(&token)), "{asked:?}");
        }
        assert_eq!(endpoint.requests().len(), 1, "one for all callers");
        for request in upstream.requests() {
            assert!(request.contains("authorization: Bearer of-gateway\r\n"), "{request}");
        }
    }
}

#[tokio::test]
async fn an_issuer_ends_a_session_at_the_gateway() {
    let upstream = Upstream::answering(OK).await;
    let rules = "security_events = { audiences = [\"gateway\"] }";
    let world = World::new(upstream.address, rules).await;
    let token = world.token(&["read"]);
    assert!(world.post(&token, "", "{}").await.starts_with("HTTP/1.1 200"));
    let push = async |event: String| {
        let (host, form) = (world.gateway, format!("logout_token={event}"));
        world.send(&format!("POST /security-events HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{form}", form.len())).await
    };
    // One that another issuer has signed, and one for another client, revoke nothing.
    let other = TestIssuer::new().serve("127.0.0.1:0").await.expect("an issuer");
    for event in [other.logout_token("gateway").sign(), world.issuer.logout_token("other").sign()] {
        assert!(push(event).await.starts_with("HTTP/1.1 400"));
        assert!(world.post(&token, "", "{}").await.starts_with("HTTP/1.1 200"));
    }
    let ended = push(world.issuer.logout_token("gateway").sign()).await;
    assert!(ended.starts_with("HTTP/1.1 200"), "{ended}");
    let refused = world.post(&token, "", "{}").await;
    assert!(refused.starts_with("HTTP/1.1 401"), "{refused}");
    let metrics = world.ask_admin("/metrics").await;
    assert!(metrics.contains("mcp_auth_revocations"), "{metrics}");
}

#[tokio::test]
async fn the_operator_sees_what_was_decided_and_how_long_it_took() {
    let upstream = Upstream::answering(OK).await;
    let world = World::new(upstream.address, "").await;
    let before = world.ask_admin("/metrics").await;
    for token in [world.token(&["read"]), world.token(&["other"]), "x".to_owned()] {
        world.post(&token, "", "{}").await;
    }
    world.send("GET /files HTTP/1.1\r\nHost: evil.example\r\n\r\n").await;
    let after = world.ask_admin("/metrics").await;
    assert!(after.contains("content-type: text/plain; version=0.0.4; charset=utf-8"), "{after}");
    for series in [
        "mcp_auth_decisions_total{decision=\"admitted\"}".to_owned(),
        "mcp_auth_decisions_total{decision=\"insufficient_scope\"}".into(),
        "mcp_auth_gateway_decision_seconds_count{outcome=\"passed_on\"}".into(),
        "mcp_auth_gateway_decision_seconds_count{outcome=\"refused\"}".into(),
        "mcp_auth_gateway_requests_total{outcome=\"unknown_host\"}".into(),
        format!("mcp_auth_gateway_upstream_seconds_count{{resource=\"{}\"}}", world.resource),
        format!(
            "mcp_auth_refreshes_total{{document=\"keys\",issuer=\"{}\",outcome=\"ok\"}}",
            world.issuer.url()
        ),
    ] {
        assert!(value(&after, &series) > value(&before, &series), "{series}\n{after}");
    }
    assert!(after.contains("mcp_auth_gateway_ready "), "{after}");
    let keys = format!("mcp_auth_keys{{issuer=\"{}\"}}", world.issuer.url());
    assert!(value(&after, &keys) > 0.0, "{after}");
    // Each line is a comment or a series, and nothing that a caller wrote is a label.
    let (_, text) = after.split_once("\r\n\r\n").expect("a body");
    for line in text.lines() {
        assert!(line.starts_with("# ") || line.starts_with("mcp_auth_"), "{line}");
        assert!(!line.contains("evil"), "{line}");
    }
    // Every metric has a type and a sentence, once.
    let mut heads: Vec<_> = text.lines().filter(|line| line.starts_with("# ")).collect();
    let number = heads.len();
    heads.sort_unstable();
    heads.dedup();
    assert_eq!(heads.len(), number);
    let help = heads.iter().filter(|line| line.starts_with("# HELP")).count();
    assert_eq!(help * 2, number, "{text}");
}

#[tokio::test]
async fn what_cannot_work_is_an_error() {
    let issuer = "[issuers.login]\nurl = \"https://login.example.com\"\n";
    for keys in [
        "security_events = { path = \"/mcp\", audiences = [\"a\"] }",
        "exchange = { client_id = \"a\", secret = \"env:PATH\" }",
        "exchange = { client_id = \"a\", secret = \"env:PATH\", audience = \"a\", resource = \"https://b\" }",
        "exchange = { client_id = \"a\", secret = \"env:PATH\", audience = \"a\", issuer = \"other\" }",
        "exchange = { client_id = \"a\", secret = \"env:PATH\", audience = \"a\" }\nupstream_headers = { Authorization = \"env:CARGO_PKG_NAME\" }",
        "exchange = { grant = \"client_credentials\", client_id = \"a\", secret = \"env:PATH\" }",
        "optional = true\nexchange = { grant = \"client_credentials\", client_id = \"a\", secret = \"env:PATH\", scopes = [\"b\"] }",
        "exchange = { client_id = \"a\", method = \"tls_client_auth\", audience = \"a\" }",
        "exchange = { grant = \"on_behalf_of\", client_id = \"a\", secret = \"env:PATH\" }",
        "exchange = { grant = \"on_behalf_of\", client_id = \"a\", secret = \"env:PATH\", scopes = [\"b\"], audience = \"a\" }",
        "security_events = { path = \"events\", audiences = [\"a\"] }",
        "security_events = { path = \"/.well-known/oauth-protected-resource\", audiences = [\"a\"] }",
        "metadata_url = \"https://a.example/security-events\"\nsecurity_events = { audiences = [\"a\"] }",
        "event_polls = [{ url = \"http://login.example.com/events\", audiences = [\"a\"] }]",
    ] {
        let file = format!(
            "{issuer}[[resources]]\nurl = \"https://a.example/mcp\"\nupstream = \"http://b/\"\n{keys}"
        );
        let config = Config::from_toml(&file).expect(keys);
        assert!(Gateway::start(&config).await.is_err(), "{keys}");
    }
}

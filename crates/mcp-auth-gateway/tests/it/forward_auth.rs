//! The questions of proxies (forward-auth): as they are documented to ask, and as an attacker would like them to.

use mcp_auth_testkit::TestIssuer;
use tokio::net::TcpListener;

use crate::world::World;

/// A gateway with a resource that a proxy passes on, and with these keys of it.
async fn asked_by(proxy: &str, from: &str, keys: &str) -> World {
    asked(&format!(
        "mode = \"forward-auth\"\nstreams_outlive_tokens = true\nforward_auth = {{ proxy = \"{proxy}\", from = [\"{from}\"] }}\n{keys}"
    ))
    .await
}

async fn asked(keys: &str) -> World {
    let issuer = TestIssuer::new().serve("127.0.0.1:0").await.expect("an issuer");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    drop(listener);
    World::at(issuer, port, "https://mcp.example.com/files".into(), "", keys).await
}

const HEADERS: &str = "identity = \"headers\"\nidentity_claims = { email = \"X-Mail\" }";
const NGINX: &str =
    "Host: mcp.example.com\r\nX-Original-Method: POST\r\nX-Original-URI: /files\r\n";
const TRAEFIK: &str = "Host: 127.0.0.1:8080\r\nX-Forwarded-Method: POST\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: mcp.example.com\r\nX-Forwarded-Uri: /files\r\nX-Forwarded-For: 203.0.113.7\r\n";
/// Caddy leaves the `Host` of the client.
const CADDY: &str = "Host: mcp.example.com\r\nX-Forwarded-Method: POST\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: mcp.example.com\r\nX-Forwarded-Uri: /files\r\nX-Forwarded-For: 203.0.113.7\r\nAccept-Encoding: gzip\r\n";

impl World {
    /// A question with this token. `line` is its first line.
    async fn ask(&self, line: &str, token: &str, lines: &str) -> String {
        let token = match token {
            "" => String::new(),
            token => format!("Authorization: Bearer {token}\r\n"),
        };
        self.send(&format!("{line}\r\n{token}{lines}\r\n")).await
    }
}

fn status(response: &str) -> &str {
    response.split(' ').nth(1).unwrap_or(response)
}

fn header<'r>(response: &'r str, name: &str) -> Option<&'r str> {
    let mut lines = response.lines().filter_map(|line| line.split_once(':'));
    lines.find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
}

#[tokio::test]
async fn each_proxy_gets_a_status_a_challenge_and_who_calls() {
    for (proxy, line, lines) in [
        // https://nginx.org/en/docs/http/ngx_http_auth_request_module.html; its requests are of HTTP/1.0
        ("nginx", "GET /forward-auth HTTP/1.0", NGINX),
        ("nginx", "GET /forward-auth HTTP/1.1", NGINX),
        // https://caddyserver.com/docs/caddyfile/directives/forward_auth
        ("caddy", "GET /forward-auth HTTP/1.1", CADDY),
        // https://doc.traefik.io/traefik/reference/routing-configuration/http/middlewares/forwardauth/
        ("traefik", "GET /forward-auth HTTP/1.1", TRAEFIK),
        // The same with `preserveRequestMethod`.
        ("traefik", "POST /forward-auth HTTP/1.1", TRAEFIK),
        // https://www.envoyproxy.io/docs/envoy/latest/api-v3/extensions/filters/http/ext_authz/v3/ext_authz.proto
        (
            "envoy",
            "POST /forward-auth/files HTTP/1.1",
            "Host: mcp.example.com\r\nContent-Length: 0\r\nX-Envoy-Internal: true\r\nX-Forwarded-For: 203.0.113.7\r\n",
        ),
    ] {
        let world = asked_by(proxy, "127.0.0.1", HEADERS).await;
        let token = world.issuer.token().audience(world.resource.as_str());
        let token = token.scopes(["read"]).claim("email", "a@example.com").sign();
        let admitted = world.ask(line, &token, lines).await;
        assert_eq!(status(&admitted), "200", "{proxy}: {admitted}");
        assert_eq!(header(&admitted, "cache-control"), Some("no-store"), "{proxy}");
        assert_eq!(header(&admitted, "x-auth-issuer"), Some(world.issuer.url()), "{proxy}");
        assert_eq!(header(&admitted, "x-auth-scopes"), Some("read"), "{proxy}");
        assert_eq!(header(&admitted, "x-mail"), Some("a@example.com"), "{proxy}");
        let removed = header(&admitted, "x-envoy-auth-headers-to-remove");
        assert_eq!(removed.is_some_and(|it| it.contains("authorization")), proxy == "envoy");

        let metadata = "resource_metadata=\"https://mcp.example.com/.well-known/oauth-protected-resource/files\"";
        for (token, expected) in [("", "401"), ("x", "401"), (&*world.token(&["write"]), "403")] {
            let refused = world.ask(line, token, lines).await;
            assert_eq!(status(&refused), expected, "{proxy}: {refused}");
            let challenge = header(&refused, "www-authenticate").unwrap_or_default();
            assert!(challenge.contains(metadata), "{proxy}: {refused}");
            assert!(challenge.contains("scope=\"read\""), "{proxy}: {refused}");
            assert_eq!(header(&refused, "cache-control"), Some("no-store"), "{proxy}");
            assert_eq!(header(&refused, "x-auth-subject"), None, "{proxy}");
        }
        let document = world
            .send("GET /.well-known/oauth-protected-resource/files HTTP/1.1\r\nHost: mcp.example.com\r\n\r\n")
            .await;
        assert!(document.contains("\"resource\":\"https://mcp.example.com/files\""), "{document}");
    }
}

#[tokio::test]
async fn a_question_is_about_exactly_what_the_client_asked_for() {
    let nginx = asked_by("nginx", "127.0.0.1", HEADERS).await;
    let traefik = asked_by("traefik", "127.0.0.1", HEADERS).await;
    let envoy = asked_by("envoy", "127.0.0.1", HEADERS).await;
    let of = |host: &str, method: &str, uri: &str| format!("{host}{method}{uri}");
    let (host, post) = ("Host: mcp.example.com\r\n", "X-Original-Method: POST\r\n");
    let uri = |path: &str| format!("X-Original-URI: {path}\r\n");
    let files = uri("/files");
    for (lines, expected) in [
        (of(host, post, &files), "200"),
        (of(host, post, &uri("/files/")), "200"),
        (of(host, post, &uri("/files?a=/other")), "200"),
        (of("Host: MCP.example.com:443\r\n", post, &files), "200"),
        (of(host, "X-Original-Method: GET\r\n", &files), "200"),
        // What is missing, double or of others.
        (of("", post, &files), "403"),
        (of("Host: 127.0.0.1:8080\r\n", post, &files), "403"),
        (of("Host: other.example.com\r\n", post, &files), "403"),
        (of("Host: mcp.example.com:8443\r\n", post, &files), "403"),
        (of(host, "", &files), "403"),
        (of(host, post, ""), "403"),
        (of(host, &post.repeat(2), &files), "403"),
        (of(host, post, &files.repeat(2)), "403"),
        (of(host, post, &format!("{files}{}", uri("/other"))), "403"),
        (of(host, "X-Original-Method: POST\r\nX-Original-Method: GET\r\n", &files), "403"),
        (of(host, "X-Original-Method: POST, GET\r\n", &files), "403"),
        (of(host, "X-Original-Method: \r\n", &files), "403"),
        (of(host, "X-Original-Method: TRACE\r\n", &files), "405"),
        (of(host, "X-Original-Method: post\r\n", &files), "405"),
        // What another proxy writes does not count, as a client can send it through this one.
        (of(host, "X-Forwarded-Method: POST\r\n", "X-Forwarded-Uri: /files\r\n"), "403"),
        (of(host, post, "X-Forwarded-Uri: /files\r\nX-Original-URI: /other\r\n"), "403"),
        (of(host, post, "X-Original-URL: https://mcp.example.com/files\r\n"), "403"),
        // Paths that a proxy takes for this one, and a server for another.
        (of(host, post, &uri("//files")), "403"),
        (of(host, post, &uri("/files//")), "403"),
        (of(host, post, &uri("/files/x")), "403"),
        (of(host, post, &uri("/%66iles")), "403"),
        (of(host, post, &uri("/files%2f")), "403"),
        (of(host, post, &uri("/files/..")), "403"),
        (of(host, post, &uri("/x/../files")), "403"),
        (of(host, post, &uri("/files;a=b")), "403"),
        (of(host, post, &uri("/FILES")), "403"),
        (of(host, post, &uri("files")), "403"),
        (of(host, post, &uri("https://mcp.example.com/files")), "403"),
        (of(host, post, &uri("")), "403"),
        // A body, or the length of one that does not come.
        (of(host, post, &format!("{files}Content-Length: 5\r\n")), "403"),
        (of(host, post, &format!("{files}Transfer-Encoding: chunked\r\n")), "403"),
        // What the client must not send, since the server would believe it.
        (of(host, post, &format!("{files}X-Auth-Subject: root\r\n")), "403"),
        (of(host, post, &format!("{files}X_Auth_Subject: root\r\n")), "403"),
        (of(host, post, &format!("{files}X-Auth.Client-Id: root\r\n")), "403"),
        (of(host, post, &format!("{files}x_mail: root\r\n")), "403"),
        (of(host, post, &format!("{files}X-HTTP-Method-Override: DELETE\r\n")), "403"),
        (of(host, post, &format!("{files}Upgrade: h2c\r\n")), "403"),
        (of(host, post, &format!("{files}Upgrade: websocket\r\n")), "403"),
        (of(host, post, &uri("/files#/../admin")), "403"),
        (of(host, post, &format!("{files}X_Method_Override: DELETE\r\n")), "403"),
        // Sessions, which nothing binds to their callers.
        (of(host, post, &format!("{files}Mcp-Session-Id: 1\r\n")), "403"),
        (of(host, post, &format!("{files}Mcp_Session_Id: 1\r\n")), "403"),
        (of(host, post, &format!("{files}Last-Event-ID: 1\r\n")), "403"),
    ] {
        let token = nginx.token(&["read"]);
        let answer = nginx.ask("GET /forward-auth HTTP/1.1", &token, &lines).await;
        assert_eq!(status(&answer), expected, "{lines:?}: {answer}");
    }
    for (lines, expected) in [
        (TRAEFIK.to_owned(), "200"),
        (TRAEFIK.replace("Host: 127.0.0.1:8080", "Host: other"), "200"),
        (TRAEFIK.replace("X-Forwarded-Proto: https", "X-Forwarded-Proto: http"), "403"),
        (TRAEFIK.replace("X-Forwarded-Proto: https", "X-Forwarded-Proto: https, http"), "403"),
        (TRAEFIK.replace("X-Forwarded-Proto: https\r\n", ""), "403"),
        (TRAEFIK.replace("X-Forwarded-Host: mcp.example.com\r\n", ""), "403"),
        (TRAEFIK.replace("mcp.example.com", "other.example.com"), "403"),
        (TRAEFIK.replace("mcp.example.com", "mcp.example.com, mcp.example.com"), "403"),
        (format!("{TRAEFIK}X-Forwarded-Host: other.example.com\r\n"), "403"),
        (format!("{TRAEFIK}X-Forwarded-Proto: http\r\n"), "403"),
        (format!("{TRAEFIK}X-Forwarded-Uri: /other\r\n"), "403"),
        (format!("{TRAEFIK}X-Forwarded-Method: GET\r\n"), "403"),
        (TRAEFIK.replace("Uri: /files", "Uri: /files/x"), "403"),
        (NGINX.to_owned(), "403"),
        // The client's own do not count.
        (format!("{TRAEFIK}X-Original-URI: /other\r\nX-Original-Method: GET\r\n"), "200"),
    ] {
        let token = traefik.token(&["read"]);
        let answer = traefik.ask("GET /forward-auth HTTP/1.1", &token, &lines).await;
        assert_eq!(status(&answer), expected, "{lines:?}: {answer}");
    }
    for (target, lines, expected) in [
        ("/forward-auth/files", host, "200"),
        ("/forward-auth/files?a=b", host, "200"),
        ("/forward-auth/files/", host, "200"),
        ("/forward-auth/files", "Host: other.example.com\r\n", "403"),
        (
            "/forward-auth/files",
            "Host: mcp.example.com\r\nX-Envoy-Auth-Partial-Body: true\r\n",
            "403",
        ),
        (
            "/forward-auth/files",
            "Host: mcp.example.com\r\nX-Envoy-Auth-Partial-Body: false\r\n",
            "200",
        ),
        ("/forward-auth/files", "Host: mcp.example.com\r\nX-Original-URI: /other\r\n", "200"),
        // No question, so a request to a host and a path.
        ("/forward-auth//files", host, "404"),
        ("/forward-auth/%66iles", host, "404"),
        ("/forward-auth/files/x", host, "404"),
        ("/forward-auth", host, "404"),
    ] {
        let line = format!("POST {target} HTTP/1.1");
        let answer = envoy.ask(&line, &envoy.token(&["read"]), lines).await;
        assert_eq!(status(&answer), expected, "{target} {lines:?}: {answer}");
    }
}

#[tokio::test]
async fn only_the_named_proxy_is_answered_and_nothing_is_passed_on() {
    let world = asked_by("nginx", "10.0.0.0/8", "").await;
    let token = world.token(&["read"]);
    let answer = world.ask("GET /forward-auth HTTP/1.1", &token, NGINX).await;
    assert_eq!(status(&answer), "403", "{answer}");
    assert_eq!(header(&answer, "www-authenticate"), None, "no login helps: {answer}");
    let world = asked_by("nginx", "127.0.0.1", "").await;
    let direct = "Host: mcp.example.com\r\nContent-Length: 0\r\n";
    let answer = world.ask("POST /files HTTP/1.1", &world.token(&["read"]), direct).await;
    assert_eq!(status(&answer), "404", "{answer}");
}

#[tokio::test]
async fn every_header_that_says_who_calls_is_in_the_answer() {
    let world = asked_by("nginx", "127.0.0.1", &format!("{HEADERS}\noptional = true")).await;
    let anonymous = world.ask("GET /forward-auth HTTP/1.1", "", NGINX).await;
    assert_eq!(status(&anonymous), "200", "{anonymous}");
    for name in ["x-auth-subject", "x-auth-issuer", "x-auth-client-id", "x-auth-scopes", "x-mail"] {
        assert_eq!(header(&anonymous, name), Some(""), "{anonymous}");
    }
    let world = asked_by("nginx", "127.0.0.1", "identity = \"jwt\"").await;
    let admitted = world.ask("GET /forward-auth HTTP/1.1", &world.token(&["read"]), NGINX).await;
    let token = header(&admitted, "authorization").unwrap_or_default();
    assert!(token.starts_with("Bearer ey"), "{admitted}");
    assert_ne!(token, format!("Bearer {}", world.token(&["read"])), "a token of its own");
}

#[tokio::test]
async fn sessions_pass_where_the_file_says_that_the_server_binds_them() {
    let world = asked(
        "mode = \"forward-auth\"\nstreams_outlive_tokens = true\nforward_auth = { proxy = \"nginx\", from = [\"127.0.0.1\"], unsigned_sessions = true }",
    )
    .await;
    let lines = format!("{NGINX}Mcp-Session-Id: 1\r\nLast-Event-ID: 1\r\n");
    let answer = world.ask("GET /forward-auth HTTP/1.1", &world.token(&["read"]), &lines).await;
    assert_eq!(status(&answer), "200", "{answer}");
}

#[tokio::test]
async fn a_request_that_a_web_page_sends_does_not_pass_as_a_preflight() {
    let world = asked_by("nginx", "127.0.0.1", "").await;
    for lines in [
        "Origin: https://mcp.example.com\r\nAccess-Control-Request-Method: POST\r\n",
        "Origin: https://evil.example\r\nAccess-Control-Request-Method: POST\r\n",
    ] {
        let lines = format!("{}{lines}", NGINX.replace("POST", "OPTIONS"));
        let answer = world.ask("GET /forward-auth HTTP/1.1", "", &lines).await;
        assert!(!status(&answer).starts_with('2'), "{answer}");
    }
}

#[tokio::test]
async fn rules_for_tools_hold_where_the_proxy_sends_the_body() {
    let rules = "[resources.tools]\n\"delete_*\" = [\"write\"]\n\"*\" = []";
    let call = |tool: &str| {
        format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"{tool}"}}}}"#)
    };
    for (proxy, line, asked_lines) in [
        ("envoy", "POST /forward-auth/files HTTP/1.1", "Host: mcp.example.com\r\n"),
        ("traefik", "GET /forward-auth HTTP/1.1", TRAEFIK),
    ] {
        let world = asked(&format!(
            "mode = \"forward-auth\"\nstreams_outlive_tokens = true\nforward_auth = {{ proxy = \"{proxy}\", from = [\"127.0.0.1\"], body = true }}\n{rules}"
        ))
        .await;
        for (body, expected) in [
            (call("list"), "200"),
            (call("delete_all"), "403"),
            // A proxy that is not set up to send the body.
            (String::new(), "400"),
            // A part of a body.
            (call("list")[..40].to_owned(), "400"),
            (format!("{}{}", call("list"), call("delete_all")), "400"),
        ] {
            let length = body.len();
            let lines = format!(
                "{asked_lines}Authorization: Bearer {}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}",
                world.token(&["read"])
            );
            let answer = world.send(&format!("{line}\r\n{lines}")).await;
            assert_eq!(status(&answer), expected, "{proxy} {body}: {answer}");
        }
    }
}

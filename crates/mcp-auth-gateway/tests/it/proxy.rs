//! What passes between a raw client and a raw upstream, so that each byte is seen.

use std::time::Duration;

use mcp_auth::{AuthorizationServer, McpAuth};
use mcp_auth_config::Config;
use mcp_auth_gateway::{Gateway, StartError};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::world::{OK, PATIENCE, Upstream, World, read_message};

#[tokio::test]
async fn an_admitted_request_reaches_the_upstream_byte_for_byte() {
    let upstream = Upstream::answering(OK).await;
    let world = World::new(upstream.address, "[resources.tools]\n\"*\" = []").await;
    let body =
        r#"{"params":{ "name" : "\u0061dd" },"id":1e2, "method":"tools/call","jsonrpc":"2.0"}"#;
    let lines = "Cookie: a=b\r\nX-Forwarded-For: 10.0.0.1\r\nX_Forwarded_User: root\r\nX-Trace: 1\r\nMcp-Param-A: b\r\n";
    let response = world.post(&world.token(&["read"]), lines, body).await;
    assert!(response.starts_with("HTTP/1.1 200 OK") && response.ends_with("{}"), "{response}");
    assert!(!response.contains("set-cookie") && response.contains("x-own: 1"), "{response}");
    let requests = upstream.requests();
    let request = requests.first().map(String::as_str).unwrap_or_default();
    let (head, passed) = request.split_once("\r\n\r\n").expect("a head");
    assert_eq!(passed, body);
    assert!(head.starts_with("POST /mcp HTTP/1.1"), "{head}");
    assert!(head.contains(&format!("host: {}", upstream.address)), "{head}");
    for (name, is_passed_on) in [
        ("x-trace: 1", true),
        ("mcp-param-a: b", true),
        ("content-type: application/json", true),
        ("authorization", false),
        ("cookie", false),
        ("forwarded", false),
    ] {
        assert_eq!(head.contains(name), is_passed_on, "{name}: {head}");
    }
}

#[tokio::test]
async fn a_client_is_told_where_to_log_in_and_which_scope_it_lacks() {
    let upstream = Upstream::answering(OK).await;
    let rules = "[resources.tools]\n\"delete_*\" = [\"write\"]\n\"*\" = []";
    let world = World::new(upstream.address, rules).await;
    let call = |tool: &str| {
        format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"{tool}"}}}}"#)
    };

    let unknown = world.post("x", "", &call("list")).await;
    assert!(unknown.starts_with("HTTP/1.1 401"), "{unknown}");
    let metadata = format!("http://{}/.well-known/oauth-protected-resource/files", world.gateway);
    assert!(unknown.contains(&format!("resource_metadata=\"{metadata}\"")), "{unknown}");
    let host = world.gateway;
    let document = world
        .send(&format!(
            "GET /.well-known/oauth-protected-resource/files HTTP/1.1\r\nHost: {host}\r\n\r\n"
        ))
        .await;
    assert!(document.contains(&format!("\"resource\":\"{}\"", world.resource)), "{document}");
    assert!(document.contains(world.issuer.url()), "{document}");

    let refused = world.post(&world.token(&["read"]), "", &call("delete_all")).await;
    assert!(refused.starts_with("HTTP/1.1 403"), "{refused}");
    assert!(refused.contains("insufficient_scope") && refused.contains("write"), "{refused}");
    assert_eq!(upstream.requests().len(), 0);
    let admitted = world.post(&world.token(&["read", "write"]), "", &call("delete_all")).await;
    assert!(admitted.starts_with("HTTP/1.1 200"), "{admitted}");
}

#[tokio::test]
async fn other_hosts_and_paths_reach_nothing() {
    let upstream = Upstream::answering(OK).await;
    let world = World::new(upstream.address, "").await;
    let (host, token) = (world.gateway, world.token(&["read"]));
    for (target, named, status) in [
        ("/files", host.to_string(), "200"),
        ("/files/", host.to_string(), "200"),
        ("/files?a=b", host.to_string(), "200"),
        ("/files", "evil.example".to_owned(), "403"),
        ("http://evil.example/files", host.to_string(), "403"),
        ("/files/../admin", host.to_string(), "404"),
        ("/files/%2e%2e/admin", host.to_string(), "404"),
        ("/files//", host.to_string(), "404"),
        ("/files/admin", host.to_string(), "404"),
        ("/FILES", host.to_string(), "404"),
        ("/mcp", host.to_string(), "404"),
        ("/", host.to_string(), "404"),
    ] {
        let request = format!(
            "GET {target} HTTP/1.1\r\nHost: {named}\r\nAuthorization: Bearer {token}\r\n\r\n"
        );
        let response = world.send(&request).await;
        assert!(
            response.starts_with(&format!("HTTP/1.1 {status}")),
            "{target} {named}: {response}"
        );
    }
    let targets: Vec<_> =
        upstream.requests().iter().filter_map(|it| it.lines().next().map(str::to_owned)).collect();
    assert_eq!(targets, ["GET /mcp HTTP/1.1", "GET /mcp HTTP/1.1", "GET /mcp?a=b HTTP/1.1"]);
}

#[tokio::test]
async fn requests_that_two_parsers_read_differently_reach_nothing() {
    let upstream = Upstream::answering(OK).await;
    let world = World::new(upstream.address, "").await;
    let (host, token) = (world.gateway, world.token(&["read"]));
    let head = format!("POST /files HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\n");
    for lines in [
        "Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}x",
        "Content-Length: +2\r\n\r\n{}",
        "Transfer-Encoding: chunked, identity\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
        "Transfer-Encoding : chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
        "X: 1\r\n Authorization: x\r\nContent-Length: 2\r\n\r\n{}",
        "Host: evil.example\r\nContent-Length: 2\r\n\r\n{}",
        "X\u{0}Y: 1\r\nContent-Length: 2\r\n\r\n{}",
    ] {
        let response = world.send(&format!("{head}{lines}")).await;
        let status = response.split(' ').nth(1).unwrap_or_default();
        assert!(status.is_empty() || status.starts_with('4'), "{lines:?}: {response}");
    }
    assert_eq!(upstream.requests().len(), 0);
    // Length and chunks: the chunks count, and only they are passed on.
    let both = format!(
        "{head}Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{{}}\r\n0\r\n\r\n"
    );
    let response = world.send(&both).await;
    let passed = upstream.requests();
    let has_two = passed.iter().any(|request| {
        let head = request.to_lowercase();
        head.contains("content-length") && head.contains("transfer-encoding")
    });
    assert!(!has_two && passed.len() <= 1, "{response} {passed:?}");
}

#[tokio::test]
async fn an_upstream_that_fails_is_a_502() {
    let closed = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = closed.local_addr().expect("an address");
    drop(closed);
    let world = World::new(address, "").await;
    let response = world.post(&world.token(&["read"]), "", "{}").await;
    assert!(response.starts_with("HTTP/1.1 502"), "{response}");
    for answer in [
        "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Bearer\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 307 X\r\nLocation: http://127.0.0.1:1/mcp/\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 407 X\r\nContent-Length: 0\r\n\r\n",
        "no HTTP at all\r\n\r\n",
    ] {
        let upstream = Upstream::answering(answer).await;
        let world = World::new(upstream.address, "").await;
        let response = world.post(&world.token(&["read"]), "", "{}").await;
        assert!(response.starts_with("HTTP/1.1 502"), "{answer}: {response}");
        let lower = response.to_lowercase();
        assert!(!lower.contains("www-authenticate") && !lower.contains("location"), "{response}");
    }
}

#[tokio::test]
async fn each_event_of_a_stream_arrives_at_once_and_a_client_that_leaves_ends_it() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let world = World::new(address, "").await;
    let request = format!(
        "GET /files HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\nAccept: text/event-stream\r\n\r\n",
        world.gateway,
        world.token(&["read"])
    );
    let mut client = TcpStream::connect(world.gateway).await.expect("a connection");
    client.write_all(request.as_bytes()).await.expect("sent");
    let (mut upstream, _) = listener.accept().await.expect("a connection");
    read_message(&mut upstream).await.expect("a request");
    let head =
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
    upstream.write_all(head.as_bytes()).await.expect("sent");
    let mut received = String::new();
    for i in 0..3 {
        let event = format!("data: {{\"jsonrpc\":\"2.0\",\"method\":\"n{i}\"}}\n\n");
        upstream
            .write_all(format!("{:x}\r\n{event}\r\n", event.len()).as_bytes())
            .await
            .expect("sent");
        while !received.contains(&format!("\"n{i}\"")) {
            let mut part = [0; 1024];
            let read =
                tokio::time::timeout(PATIENCE, client.read(&mut part)).await.expect("in time");
            received += &String::from_utf8_lossy(&part[..read.expect("bytes")]);
        }
    }
    drop(client);
    let mut rest = [0; 16];
    let end = tokio::time::timeout(PATIENCE, upstream.read(&mut rest)).await.expect("in time");
    assert!(matches!(end, Ok(0) | Err(_)), "{end:?}");
}

#[tokio::test]
async fn requests_under_way_are_answered_before_it_ends() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let mut world = World::new(address, "").await;
    let (token, gateway) = (world.token(&["read"]), world.gateway);
    let request = format!(
        "POST /files HTTP/1.1\r\nHost: {gateway}\r\nAuthorization: Bearer {token}\r\nContent-Length: 2\r\n\r\n{{}}"
    );
    let mut client = TcpStream::connect(gateway).await.expect("a connection");
    client.write_all(request.as_bytes()).await.expect("sent");
    let (mut upstream, _) = listener.accept().await.expect("a connection");
    read_message(&mut upstream).await.expect("a request");
    drop(world.stop.take());
    // It does not accept any more.
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while TcpStream::connect(gateway).await.is_ok() {
        assert!(tokio::time::Instant::now() < deadline, "it still accepts connections");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    upstream.write_all(OK.as_bytes()).await.expect("sent");
    let response = read_message(&mut client).await.expect("a response");
    assert!(response.starts_with("HTTP/1.1 200"), "{response}");
}

#[tokio::test]
async fn connections_that_say_nothing_do_not_delay_the_end() {
    let upstream = Upstream::answering(OK).await;
    let mut world = World::new(upstream.address, "").await;
    let mut silent = TcpStream::connect(world.gateway).await.expect("a connection");
    let mut begun = TcpStream::connect(world.gateway).await.expect("a connection");
    begun.write_all(b"PRI * HT").await.expect("sent");
    let mut idle = TcpStream::connect(world.gateway).await.expect("a connection");
    let request = format!("GET / HTTP/1.1\r\nHost: {}\r\n\r\n", world.gateway);
    idle.write_all(request.as_bytes()).await.expect("sent");
    read_message(&mut idle).await.expect("a response");
    drop(world.stop.take());
    // Less than the time that requests under way may take.
    tokio::time::timeout(PATIENCE, &mut world.ended).await.expect("in time").expect("an end");
    for stream in [&mut silent, &mut begun, &mut idle] {
        assert!(matches!(stream.read(&mut [0; 16]).await, Ok(0) | Err(_)));
    }
}

#[tokio::test]
async fn the_operator_sees_whether_it_is_ready() {
    let upstream = Upstream::answering(OK).await;
    let world = World::new(upstream.address, "").await;
    assert!(world.ask_admin("/livez").await.starts_with("HTTP/1.1 200"));
    assert!(world.ask_admin("/other").await.starts_with("HTTP/1.1 404"));
    world.post(&world.token(&["read"]), "", "{}").await;
    let ready = world.ask_admin("/readyz").await;
    assert!(ready.starts_with("HTTP/1.1 200") && ready.contains("\"ready\":true"), "{ready}");
    assert!(ready.contains(world.issuer.url()) && ready.contains("\"keys\":1"), "{ready}");
}

#[tokio::test]
async fn a_wrong_configuration_says_what_to_change() {
    let issuer = "[issuers.login]\nurl = \"https://login.example.com\"\n";
    for (rest, expected) in [
        ("[[resources]]\nurl = \"https://a.example/mcp\"", "set `upstream`"),
        (
            "[[resources]]\nurl = \"https://a.example/mcp\"\nupstream = \"localhost:3000\"",
            "is not an http or https URL",
        ),
        ("", "there is no resource"),
        (
            "[[resources]]\nurl = \"https://a.example/mcp\"\nupstream = []",
            "`upstream` is an empty list",
        ),
        (
            "[[resources]]\nurl = \"https://a.example/mcp\"\nupstream = [\"http://b/\", \"http://b/\"]",
            "`upstream` has \"http://b/\" twice",
        ),
        (
            "[[resources]]\nurl = \"https://a.example/mcp\"\nupstream = \"http://b/\"\n[[resources]]\nurl = \"https://a.example/mcp/\"\nupstream = \"http://c/\"",
            "something else is at the same host and path, \"/mcp\": choose another",
        ),
        (
            "[[resources]]\nurl = \"https://a.example/mcp\"\nupstream = \"http://b/\"\n[tls]\ncertificate = \"/none\"\nkey = \"/none\"",
            "tls: /none has no certificate in PEM",
        ),
    ] {
        let config = Config::from_toml(&format!("{issuer}{rest}")).expect(rest);
        let started: Result<Gateway, StartError> = Gateway::start(&config).await;
        let error = started.err().map(|error| error.to_string()).unwrap_or_default();
        assert!(error.contains(expected), "{rest}: {error}");
    }
}

#[tokio::test]
async fn an_upstream_learns_from_headers_who_calls() {
    let upstream = Upstream::answering(OK).await;
    let rules = format!(
        "optional = true\nidentity = \"headers\"\nupstream_headers = {{ X-Api-Key = \"file:{}\" }}\n[resources.identity_claims]\nemail = \"X-Email\"\ngroups = \"X-Groups\"\nnone = \"X-None\"\n",
        file_with("upstream-key", "its-key\n")
    );
    let world = World::new(upstream.address, &rules).await;
    let groups: serde_json::Value = vec!["a", "b"].into();
    let token = world.issuer.token().audience(world.resource.as_str()).scopes(["read", "b"]);
    let token = token
        .subject("jos\u{e9} %\r\nX-Groups: root")
        .client_id("cli")
        .claim("email", "jose@example.com")
        .claim("none", serde_json::Value::Null)
        .claim("groups", groups)
        .sign();
    let lines = "X-Auth-Subject: root\r\nX_Auth_Issuer: root\r\nx.email: root\r\nX_Groups: root\r\nX-None: root\r\nX_Api_Key: theirs\r\n";
    world.post(&token, lines, "{}").await;
    let head = upstream.requests().concat();
    let mut told: Vec<_> =
        head.lines().filter(|line| line.to_lowercase().starts_with('x')).collect();
    told.sort_unstable();
    let issuer = format!("x-auth-issuer: {}", world.issuer.url());
    let expected = [
        "x-api-key: its-key",
        "x-auth-client-id: cli",
        &issuer,
        "x-auth-scopes: read b",
        "x-auth-subject: jos%C3%A9 %25%0D%0AX-Groups: root",
        "x-email: jose@example.com",
        r#"x-groups: ["a","b"]"#,
    ];
    assert_eq!(told, expected);

    // Nobody is told of an anonymous caller, whatever the caller says.
    let host = world.gateway;
    world
        .send(&format!(
            "POST /files HTTP/1.1\r\nHost: {host}\r\nContent-Length: 2\r\n{lines}\r\n{{}}"
        ))
        .await;
    let requests = upstream.requests();
    let anonymous = requests.get(1).expect("an anonymous request");
    assert!(!anonymous.contains("root") && !anonymous.contains("theirs"), "{anonymous}");
}

#[tokio::test]
async fn an_upstream_can_verify_a_token_about_who_calls() {
    let upstream = Upstream::answering(OK).await;
    let rules = "identity = \"jwt\"\n[resources.identity_claims]\nemail = \"mail\"\n";
    let world = World::new(upstream.address, rules).await;
    let token = world.issuer.token().audience(world.resource.as_str()).scopes(["read"]);
    let token = token.client_id("cli").claim("email", "alice@example.com").sign();
    for _ in 0..2 {
        world.post(&token, "", "{}").await;
    }
    let requests = upstream.requests();
    let told: Vec<_> = requests
        .iter()
        .filter_map(|request| request.lines().find_map(|line| line.strip_prefix("authorization: ")))
        .collect();
    assert!(told.len() == 2 && told[0] == told[1] && !told[0].contains(&token), "{told:?}");

    let mut admin = TcpStream::connect(world.admin).await.expect("a connection");
    admin.write_all(b"GET /jwks.json HTTP/1.1\r\nHost: localhost\r\n\r\n").await.expect("sent");
    let answer = read_message(&mut admin).await.expect("an answer");
    let jwks = answer.split("\r\n\r\n").nth(1).expect("a body");
    let keys = mcp_auth::jwt::KeySet::parse(jwks.as_bytes()).expect("keys");
    let address = format!("http://{}/mcp", upstream.address);
    let server = |at: &str| {
        McpAuth::builder(at)
            .authorization_server(AuthorizationServer::with_keys(&world.resource, keys.clone()))
            .required_scopes(["read"])
            .build()
            .expect("a resource")
    };
    let request =
        http::Request::get("/mcp").header("authorization", told[0]).body(()).expect("one");
    let (parts, ()) = request.into_parts();
    let body = || http_body_util::Empty::<bytes::Bytes>::new();
    let (caller, _) = server(&address).admit(&parts, body()).await.expect("admitted");
    let claims: serde_json::Value = caller.claims().expect("claims");
    assert_eq!((caller.subject(), caller.client_id()), ("alice", Some("cli")));
    assert_eq!(claims["mail"], "alice@example.com");
    assert_eq!(claims["sub_id"]["iss"], world.issuer.url());
    let lifetime = claims["exp"].as_u64().zip(claims["iat"].as_u64()).map(|(exp, iat)| exp - iat);
    assert_eq!(lifetime, Some(60));
    // Another server does not accept it.
    assert!(server("http://127.0.0.1:1/other").admit(&parts, body()).await.is_err());
    // Nor does the gateway.
    let own = told[0].strip_prefix("Bearer ").expect("a scheme");
    assert!(world.post(own, "", "{}").await.starts_with("HTTP/1.1 401"));
}

#[test]
fn who_calls_is_described_without_contradictions() {
    let base = "[issuers.a]\nurl = \"https://a.example.com\"\n[[resources]]\nurl = \"https://m.example.com/mcp\"\nupstream = \"http://127.0.0.1:1/mcp\"\n";
    for (lines, expected) in [
        ("identity = \"jwt\"", "needs `admin`"),
        ("identity_claims = { email = \"X-Email\" }", "`identity_claims` needs `identity"),
        (
            "identity = \"headers\"\nidentity_claims = { email = \"X-Auth-Subject\" }",
            "the name of another header",
        ),
        (
            "identity = \"headers\"\nidentity_claims = { email = \"Content-Type\" }",
            "a header of the message itself",
        ),
        (
            "identity = \"headers\"\nidentity_claims = { email = \"a b\" }",
            "not the name of a header",
        ),
        ("upstream_headers = { Host = \"env:PATH\" }", "a header of the message itself"),
        ("upstream_headers = { X-Key = \"env:MCP_AUTH_TEST_NOT_SET\" }", "is not set"),
        (
            "identity = \"headers\"\nidentity_claims = { email = \"X-Key\" }\nupstream_headers = { x-key = \"env:PATH\" }",
            "both set",
        ),
    ] {
        let config = Config::from_toml(&format!("{base}{lines}\n")).expect(lines);
        let error = mcp_auth_gateway::check(&config).expect_err(lines).to_string();
        assert!(error.contains(expected), "{lines}: {error}");
    }
    let with = |top: &str, lines: &str| {
        Config::from_toml(&format!(
            "admin = \"127.0.0.1:0\"\n{top}\n{base}identity = \"jwt\"\n{lines}\n"
        ))
    };
    for (top, lines, expected) in [
        ("signing_key = \"env:PATH\"", "", "not a key for ES256"),
        ("", "identity_claims = { email = \"sub\" }", "a claim of the gateway's own"),
        (
            "",
            "upstream_headers = { Authorization = \"env:PATH\" }",
            "uses the header `Authorization`",
        ),
    ] {
        let config = with(top, lines).expect(lines);
        let error = mcp_auth_gateway::check(&config).expect_err(lines).to_string();
        assert!(error.contains(expected), "{lines}: {error}");
    }
}

/// A file of this test process.
fn file_with(name: &str, text: &str) -> String {
    let path = std::env::temp_dir().join(format!("mcp-auth-{}-{name}", std::process::id()));
    std::fs::write(&path, text).expect("a file");
    path.display().to_string()
}

#[tokio::test]
async fn only_the_methods_of_mcp_are_passed_on() {
    let upstream = Upstream::answering(OK).await;
    let world = World::new(upstream.address, "upstream_headers = { X-Key = \"env:PATH\" }\n").await;
    let token = world.token(&["read"]);
    for method in ["TRACE", "CONNECT", "PUT", "PATCH", "PROPFIND", "post"] {
        let host = world.gateway;
        let target = if method == "CONNECT" { format!("{host}/files") } else { "/files".into() };
        let request = format!(
            "{method} {target} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\nContent-Length: 0\r\n\r\n"
        );
        let response = world.send(&request).await;
        let status = response.split(' ').nth(1).unwrap_or_default();
        assert!(["405", "400", "404", ""].contains(&status), "{method}: {response}");
    }
    assert_eq!(upstream.requests().len(), 0);
}

#[tokio::test]
async fn an_upstream_does_not_lead_a_client_out_of_http() {
    let answer =
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n";
    let upstream = Upstream::answering(answer).await;
    let world = World::new(upstream.address, "").await;
    let response = world.post(&world.token(&["read"]), "", "{}").await;
    assert!(response.starts_with("HTTP/1.1 502"), "{response}");
}

#[tokio::test]
async fn web_pages_learn_nothing_from_the_admin_listener() {
    let upstream = Upstream::answering(OK).await;
    let world = World::new(upstream.address, "").await;
    let admin = world.admin;
    for (method, lines, expected) in [
        ("GET", format!("Host: {admin}"), "200"),
        ("GET", "Host: localhost:9090".to_owned(), "200"),
        ("HEAD", format!("Host: {admin}"), "200"),
        ("GET", "Host: rebind.example".to_owned(), "403"),
        ("GET", format!("Host: {admin}\r\nOrigin: http://page.example"), "403"),
        ("DELETE", format!("Host: {admin}"), "405"),
        ("GET", String::from("X: 1"), "403"),
    ] {
        let mut stream = TcpStream::connect(admin).await.expect("a connection");
        let request = format!("{method} /livez HTTP/1.1\r\n{lines}\r\n\r\n");
        stream.write_all(request.as_bytes()).await.expect("sent");
        let mut answer = String::new();
        let read = stream.read_to_string(&mut answer); // it closes the connection
        tokio::time::timeout(PATIENCE, read).await.expect("in time").expect("an answer");
        assert_eq!(answer.split(' ').nth(1), Some(expected), "{method} {lines}: {answer}");
    }
}

//! The audit log: a line for each decision, in the form that is published.

use mcp_auth_gateway::{AuditDecision, AuditLine, AuditedDecision, AuditedMessage};

use crate::world::{OK, Upstream, World, call, hang_up, header, status, until};

const SCHEMA: &str = include_str!("../../../../docs/audit.schema.json");

pub(crate) fn file(upstream: &str, audit: &str, rest: &str) -> String {
    format!(
        "audit = {{ {audit} }}\n{{issuer}}\n[[resources]]\nurl = \"http://127.0.0.1:{{port}}/files\"\nupstream = \"http://{upstream}/mcp\"\nscopes = [\"read\"]\n{rest}"
    )
}

impl World {
    pub(crate) fn log(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.folder.join("audit.jsonl")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// The decisions, of which there are this many.
    pub(crate) async fn decisions(&self, number: usize) -> Vec<AuditDecision> {
        let lines = until(async || Some(self.log()).filter(|lines| lines.len() >= number)).await;
        assert_eq!(lines.len(), number, "{lines:?}");
        lines.iter().map(|line| decision(line)).collect()
    }
}

/// A line must have the published form, and no members besides.
fn decision(line: &str) -> AuditDecision {
    let parsed: AuditLine = serde_json::from_str(line).expect(line);
    let written: serde_json::Value = serde_json::from_str(line).expect(line);
    assert_eq!(serde_json::to_value(&parsed).expect("JSON"), written);
    match parsed {
        AuditLine::Decision(decision) => *decision,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_published_schema_is_that_of_the_lines() {
    let schema = serde_json::to_string_pretty(&schemars::schema_for!(AuditLine)).expect("JSON");
    assert_eq!(SCHEMA.trim_end(), schema, "write this into docs/audit.schema.json");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_decision_is_a_line_that_says_who_did_what_and_why() {
    let upstream = Upstream::answering(OK).await;
    let rules = "[resources.tools]\n\"delete_*\" = [\"write\"]\n\"*\" = []\n[resources.limits]\ntools = { \"slow_*\" = \"1/d\" }\n";
    let audit =
        "file = \"{folder}/audit.jsonl\", caller = \"email\", arguments = [\"path\", \"long\"]";
    let world = World::new("audit", &file(&upstream.address.to_string(), audit, rules)).await;
    let token = |scopes: &[&str]| {
        let token = world.issuer.token().subject("u-1").audience(world.url("/files"));
        token.claim("email", "alice@example.com").client_id("desktop").scopes(scopes).sign()
    };
    let reader = token(&["read"]);
    let (signed, signature) = reader.rsplit_once('.').expect("a signature");
    let first = if signature.starts_with('A') { "B" } else { "A" };
    let forged = format!("{signed}.{first}{}", &signature[1..]);
    let elsewhere = world.token("/other", "bob", &["read"]);
    let send = async |token: &str, body: &str| {
        let lines = format!(
            "Authorization: Bearer {token}\r\nTraceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\nX-Request-Id: mine\r\n"
        );
        status(&world.send(&world.post("/files", &lines, body)).await)
    };
    let arguments = call("add\u{202e}").replace(
        "\"params\":{",
        &format!("\"params\":{{\"arguments\":{{\"path\":\"/etc\",\"password\":\"hunter2\",\"long\":\"{}\"}},", "x".repeat(600)),
    );
    let mut statuses = Vec::new();
    for (token, body) in [
        (&reader, arguments),
        (&reader, call("delete_all")),
        (&elsewhere, call("list")),
        (&forged, call("list")),
        (&reader, r#"{"jsonrpc":"2.0","id":1,"id":2,"method":"ping"}"#.into()),
        (
            &reader,
            r#"{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":"file:///a"}}"#
                .into(),
        ),
        (&reader, call("slow_one")),
        (&reader, call("slow_two")),
    ] {
        statuses.push(send(token, &body).await);
    }
    assert_eq!(statuses, [200, 403, 401, 401, 400, 200, 200, 429]);
    let lines = world.decisions(8).await;
    for (line, text) in lines.iter().zip(world.log()) {
        for secret in
            [&reader, &elsewhere, &forged, "hunter2", "4bf92f3577b34da6a3ce929d0e0e4736-00"]
        {
            assert!(!text.contains(secret), "{text}");
        }
        assert!(text.is_ascii() && line.v == 1 && line.resource == world.url("/files"));
        assert_eq!(line.request.trace_id.as_deref(), Some("4bf92f3577b34da6a3ce929d0e0e4736"));
        assert_eq!(line.request.address.as_deref(), Some("127.0.0.1"));
        assert_eq!(line.request.http_method, "POST");
    }
    let shown: Vec<_> = lines
        .iter()
        .map(|line| {
            let caller = line.caller.as_ref().map(|caller| {
                (
                    caller.name.as_deref().unwrap_or_default(),
                    caller.client.as_deref().unwrap_or_default(),
                )
            });
            let request = &line.request;
            let what = request.tool.as_deref().or(request.name.as_deref()).unwrap_or_default();
            (
                line.decision,
                line.reason.as_deref(),
                line.status,
                line.upstream_status,
                caller,
                what,
                request.message,
            )
        })
        .collect();
    use AuditedDecision::{Admitted, Denied, Limited};
    use AuditedMessage::{Read, Unread, Unreadable};
    let alice = Some(("alice@example.com", "desktop"));
    assert_eq!(
        shown,
        [
            (Admitted, None, Some(200), Some(200), alice, "add\u{202e}", Read),
            (Denied, Some("insufficient_scope"), Some(403), None, alice, "delete_all", Read),
            (Denied, Some("audience"), Some(401), None, Some(("", "test-client")), "", Unread),
            (Denied, Some("signature"), Some(401), None, None, "", Unread),
            (Denied, Some("ambiguous_message"), Some(400), None, alice, "", Unreadable),
            (Admitted, None, Some(200), Some(200), alice, "file:///a", Read),
            (Admitted, None, Some(200), Some(200), alice, "slow_one", Read),
            (Limited, Some("tools"), Some(429), None, alice, "slow_two", Read),
        ]
    );
    // Who has no such claim is known by the subject.
    let subject = |i: usize| lines[i].caller.as_ref().map(|caller| caller.subject.as_str());
    assert_eq!((subject(0), subject(2)), (Some("u-1"), Some("bob")));
    assert_eq!(lines[1].rules, ["delete_*"]);
    assert!(lines[1].detail.as_deref().is_some_and(|detail| detail.contains("write")));
    let arguments = serde_json::to_string(&lines[0].request.arguments).expect("JSON");
    assert_eq!(arguments, r#"{"long":null,"path":"/etc"}"#);
    let first = upstream.requests().remove(0);
    assert_eq!(header(&first, "x-request-id"), Some(&*lines[0].request_id));
    assert_eq!(lines[0].upstream, Some(upstream.address.to_string()));
    let ids: std::collections::BTreeSet<_> = lines.iter().map(|line| &line.request_id).collect();
    assert_eq!(ids.len(), lines.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_without_an_answer_and_long_messages_are_written_down_too() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let audit = "file = \"{folder}/audit.jsonl\"";
    let rest = "optional = true\nmax_message_bytes = 120\n";
    let mut world = World::new("gone", &file(&address.to_string(), audit, rest)).await;
    let token = world.token("/files", "alice", &["read"]);
    let lines = format!("Authorization: Bearer {token}\r\n");
    let request = world.post("/files", &lines, &call("list"));
    let client = tokio::net::TcpStream::connect(world.gateway).await.expect("a connection");
    let mut client = client;
    tokio::io::AsyncWriteExt::write_all(&mut client, request.as_bytes()).await.expect("sent");
    let (mut upstream, _) = listener.accept().await.expect("a connection");
    crate::world::read_message(&mut upstream).await.expect("a request");
    drop(client);
    let gone = world.decisions(1).await.remove(0);
    assert_eq!((gone.decision, gone.status), (AuditedDecision::Admitted, None));
    assert_eq!(gone.request.tool.as_deref(), Some("list"));
    drop((upstream, listener));
    // Nobody listens any more.
    assert_eq!(status(&world.send(&world.post("/files", &lines, &call("list"))).await), 502);
    let get = format!("GET /files HTTP/1.1\r\nHost: {}\r\n\r\n", world.gateway);
    assert_eq!(status(&world.send(&get).await), 502);
    let long = call(&"x".repeat(200));
    assert_eq!(status(&world.send(&world.post("/files", &lines, &long)).await), 413);
    let lines = world.decisions(4).await;
    assert_eq!((lines[1].status, lines[1].upstream_status), (Some(502), None));
    assert_eq!(lines[2].decision, AuditedDecision::Anonymous);
    assert!(lines[2].caller.is_none());
    assert_eq!(lines[2].request.message, AuditedMessage::None);
    assert_eq!((lines[3].decision, lines[3].status), (AuditedDecision::Denied, Some(413)));
    world.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_cannot_be_written_refuses_requests_where_it_is_required() {
    let upstream = Upstream::answering(OK).await;
    for (name, audit, expected) in [
        ("full", "file = \"/dev/full\"", 200),
        ("required", "file = \"/dev/full\", required = true", 503),
    ] {
        let world = World::new(name, &file(&upstream.address.to_string(), audit, "")).await;
        let token = world.token("/files", "alice", &["read"]);
        // The first one finds out.
        assert_eq!(status(&world.call("/files", &token, "list").await), 200);
        let seen = async || Some(status(&world.call("/files", &token, "list").await));
        until(async || seen().await.filter(|status| *status == expected)).await;
        let passed = upstream.requests().len();
        assert_eq!(seen().await, Some(expected));
        assert_eq!(upstream.requests().len() - passed, usize::from(expected == 200), "{name}");
    }
    let config = mcp_auth_config::Config::from_toml(
        "audit = { file = \"/none/audit\" }\n[issuers.a]\nurl = \"https://a.example\"\n[[resources]]\nurl = \"https://b.example/mcp\"\nupstream = \"http://c/\"\n",
    );
    let started = mcp_auth_gateway::Gateway::start(&config.expect("a configuration")).await;
    let error = started.err().map(|error| error.to_string()).unwrap_or_default();
    assert!(error.starts_with("audit: /none/audit cannot be opened"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_file_is_opened_again_when_the_process_is_told() {
    let upstream = Upstream::answering(OK).await;
    let audit = "file = \"{folder}/audit.jsonl\"";
    let world = World::new("rotated", &file(&upstream.address.to_string(), audit, "")).await;
    let token = world.token("/files", "alice", &["read"]);
    world.call("/files", &token, "list").await;
    world.decisions(1).await;
    std::fs::rename(world.folder.join("audit.jsonl"), world.folder.join("moved")).expect("moved");
    hang_up();
    until(async || {
        world.call("/files", &token, "list").await;
        (!world.log().is_empty()).then_some(())
    })
    .await;
}

//! How often a resource may be called, and API keys in their header.

use mcp_auth::{ApiKeys, GeneratedKey};

use crate::world::{OK, Upstream, World, call, hang_up, header, status};

fn file(upstream: &Upstream, rest: &str) -> String {
    format!(
        "{{issuer}}\n[[resources]]\nurl = \"http://127.0.0.1:{{port}}/files\"\nupstream = \"http://{}/mcp\"\nscopes = [\"read\"]\n{rest}",
        upstream.address
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn each_limit_counts_its_own_and_is_a_429_that_says_when() {
    for (name, limits, calls, expected) in [
        // Each call: its subject, its client, its tool.
        (
            "principal",
            "principal = \"2/h\"",
            &["alice a x", "alice b y", "alice a x", "bob a x"] as &[_],
            &[200_u16, 200, 429, 200] as &[_],
        ),
        (
            "client",
            "client = \"2/h\"",
            &["alice a x", "bob a x", "carol a x", "carol b x"],
            &[200, 200, 429, 200],
        ),
        (
            "tools",
            "tools = { \"slow_*\" = \"1/h\", \"slow_most\" = \"2/h\" }",
            &[
                "alice a slow_1",
                "alice a slow_2",
                "alice a fast",
                "alice a slow_most",
                "alice a slow_most",
                "alice a slow_most",
                "bob a slow_1",
            ],
            &[200, 429, 200, 200, 200, 429, 200],
        ),
        (
            "address",
            "address = \"3/h\"",
            &["alice a x", "bob b y", "- - x", "carol c z"],
            &[200, 200, 401, 429],
        ),
    ] {
        let upstream = Upstream::answering(OK).await;
        let world = World::new(name, &file(&upstream, &format!("limits = {{ {limits} }}\n"))).await;
        let mut responses = Vec::new();
        for caller in calls {
            let mut words = caller.split(' ');
            let mut next = || words.next().unwrap_or_default();
            let (subject, client, tool) = (next(), next(), next());
            let token = world.issuer.token().subject(subject).client_id(client);
            let token = token.audience(world.url("/files")).scopes(["read"]).sign();
            let token = if subject == "-" { "forged".into() } else { token };
            responses.push(world.call("/files", &token, tool).await);
        }
        let statuses: Vec<_> = responses.iter().map(|response| status(response)).collect();
        assert_eq!(statuses, expected, "{name}");
        for response in responses.iter().filter(|response| status(response) == 429) {
            let seconds: u64 =
                header(response, "retry-after").and_then(|it| it.parse().ok()).expect("seconds");
            assert!((1..=3600).contains(&seconds), "{response}");
        }
        let passed = expected.iter().filter(|status| **status == 200).count();
        assert_eq!(
            upstream.requests().len(),
            passed,
            "{name}: what is over a limit reaches nothing"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_used_of_a_limit_survives_a_change_of_other_keys() {
    let upstream = Upstream::answering(OK).await;
    let limits = |rate: &str, name: &str| {
        file(&upstream, &format!("name = \"{name}\"\nlimits = {{ principal = \"{rate}\" }}\n"))
    };
    let world = World::new("survives", &limits("1/h", "One")).await;
    let token = world.token("/files", "alice", &["read"]);
    let seen = async || status(&world.call("/files", &token, "list").await);
    assert_eq!((seen().await, seen().await), (200, 429));
    let describes = async |name: &str| {
        let request = format!(
            "GET /.well-known/oauth-protected-resource/files HTTP/1.1\r\nHost: {}\r\n\r\n",
            world.gateway
        );
        world.send(&request).await.contains(name).then_some(())
    };
    world.write(&limits("1/h", "Two"));
    hang_up();
    crate::world::until(async || describes("Two").await).await;
    assert_eq!(seen().await, 429);
    world.write(&limits("2/h", "Three"));
    hang_up();
    crate::world::until(async || describes("Three").await).await;
    assert_eq!(seen().await, 200, "another limit begins anew");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_key_is_accepted_in_its_header_and_nothing_else_is() {
    let upstream = Upstream::answering(OK).await;
    let keys = "api_keys_file = \"{folder}/keys.json\"\n";
    let GeneratedKey { key, digest, .. } = ApiKeys::generate().expect("a key");
    let folder = std::env::temp_dir().join(format!("mcp-auth-keys-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let list = format!(r#"{{"keys":[{{"name":"ci","sha256":"{digest}","scopes":["read"]}}]}}"#);
    std::fs::write(folder.join("keys.json"), list).expect("written");
    let world = World::new("keys", &file(&upstream, keys)).await;
    let token = world.token("/files", "alice", &["read"]);
    for (lines, expected) in [
        (format!("X-API-Key: {key}\r\n"), 200),
        (format!("Authorization: Bearer {key}\r\n"), 200),
        (format!("X-API-Key: {key}x\r\n"), 401),
        (format!("X-API-Key: {token}\r\n"), 401),
        (format!("X-API-Key: {key}\r\nX-API-Key: {key}\r\n"), 400),
        (format!("X-API-Key: {key}\r\nAuthorization: Bearer {token}\r\n"), 400),
        (format!("X_API_Key: {key}\r\n"), 401),
    ] {
        let passed = upstream.requests().len();
        let response = world.send(&world.post("/files", &lines, &call("list"))).await;
        assert_eq!(status(&response), expected, "{lines}: {response}");
        let requests = upstream.requests();
        assert_eq!(requests.len() - passed, usize::from(expected == 200));
        let has_credential = |it: &String| it.contains("mcpk_") || it.contains(&token);
        assert!(!requests.iter().any(has_credential));
    }
    // Where there are no API keys, the header is not a credential.
    let world = World::new("none", &file(&upstream, "")).await;
    let token = world.token("/files", "alice", &["read"]);
    let both = format!("X-API-Key: {key}\r\nAuthorization: Bearer {token}\r\n");
    for (lines, expected) in [(both, 200), (format!("X-API-Key: {token}\r\n"), 401)] {
        let response = world.send(&world.post("/files", &lines, &call("list"))).await;
        assert_eq!(status(&response), expected, "{lines}");
    }
}

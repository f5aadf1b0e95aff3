//! Replicas that share a Redis.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mcp_auth_config::Config;
use mcp_auth_gateway::{Gateway, check};
use mcp_auth_testkit::{DpopKey, ServedIssuer, TestIssuer};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::server::{Server, free_port};
use crate::world::{OK, Upstream, call, exchange, header, status, until};

const SECOND: Duration = Duration::from_secs(1);

/// What all replicas have in common: the URL of their resource, behind a load balancer.
struct Replicas {
    issuer: ServedIssuer,
    upstream: Upstream,
    host: String,
    redis: String,
}

/// One of them. It ends with this value.
struct Replica {
    gateway: SocketAddr,
    admin: SocketAddr,
    _stop: oneshot::Sender<()>,
    _ended: JoinHandle<()>,
}

impl Replicas {
    async fn new(redis: String) -> Self {
        let issuer = TestIssuer::new().serve("127.0.0.1:0").await.expect("an issuer");
        let host = format!("127.0.0.1:{}", free_port());
        Self { issuer, upstream: Upstream::answering(OK).await, host, redis }
    }

    fn url(&self) -> String {
        format!("http://{}/files", self.host)
    }

    async fn start(&self, rest: &str) -> Replica {
        let (issuer, url, upstream) = (self.issuer.url(), self.url(), self.upstream.address);
        let file = format!(
            "listen = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"\n[redis]\nurl = \"{}\"\n[issuers.login]\nurl = \"{issuer}\"\n[[resources]]\nurl = \"{url}\"\nupstream = \"http://{upstream}/mcp\"\ndpop = \"optional\"\nsecurity_events = {{ audiences = [\"client\"] }}\n{rest}",
            self.redis
        );
        let config = Config::from_toml(&file).expect("a configuration");
        let gateway = Gateway::start(&config).await.expect("a gateway");
        let (address, admin) = (gateway.local_addr(), gateway.admin_addr().expect("an address"));
        let (stop, stopped) = oneshot::channel();
        let ended = tokio::spawn(gateway.run_until(async { _ = stopped.await }));
        Replica { gateway: address, admin, _stop: stop, _ended: ended }
    }

    /// One that says that it is ready.
    async fn ready(&self, rest: &str) -> Replica {
        let replica = self.start(rest).await;
        until(async || (status(&replica.readyz().await) == 200).then_some(())).await;
        replica
    }

    fn token(&self, subject: &str) -> String {
        self.issuer.token().subject(subject).audience(self.url()).sign()
    }

    /// What a replica answers to a request with these lines in its head.
    async fn send(&self, replica: &Replica, path: &str, lines: &str, body: &str) -> String {
        let (host, length) = (&self.host, body.len());
        let request = format!(
            "POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {length}\r\n{lines}\r\n{body}"
        );
        exchange(replica.gateway, &request).await.unwrap_or_default()
    }

    async fn call(&self, replica: &Replica, token: &str) -> u16 {
        let lines = format!("Content-Type: application/json\r\nAuthorization: Bearer {token}\r\n");
        status(&self.send(replica, "/files", &lines, &call("list")).await)
    }

    async fn prove(&self, replica: &Replica, token: &str, proof: &str) -> String {
        let lines = format!(
            "Content-Type: application/json\r\nAuthorization: DPoP {token}\r\nDPoP: {proof}\r\n"
        );
        self.send(replica, "/files", &lines, &call("list")).await
    }
}

impl Replica {
    async fn readyz(&self) -> String {
        let request = format!("GET /readyz HTTP/1.1\r\nHost: {}\r\n\r\n", self.admin);
        exchange(self.admin, &request).await.unwrap_or_default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proof_is_accepted_by_one_replica_and_refused_without_redis() {
    let Some(mut server) = Server::start(&[]) else { return };
    let replicas = Replicas::new(server.url()).await;
    let (here, there) = (replicas.ready("").await, replicas.ready("").await);
    let key = DpopKey::generate(replicas.issuer.issuer());
    let token = replicas.issuer.token().audience(replicas.url()).dpop_bound(&key).sign();
    let proof = || key.proof("POST", replicas.url().as_str()).token(&token).sign();
    let used = proof();
    assert_eq!(status(&replicas.prove(&here, &token, &used).await), 200);
    let refused = replicas.prove(&there, &token, &used).await;
    assert_eq!(status(&refused), 401);
    assert!(refused.contains("invalid_dpop_proof"), "{refused}");
    assert_eq!(status(&replicas.prove(&there, &token, &proof()).await), 200);
    for state in ["killed", "hung"] {
        if state == "killed" {
            server.kill()
        } else {
            server.hang()
        }
        until(async || here.readyz().await.contains("\"connected\":false").then_some(())).await;
        let unavailable = replicas.prove(&here, &token, &proof()).await;
        assert_eq!((status(&unavailable), header(&unavailable, "retry-after")), (503, Some("1")));
        assert_eq!(replicas.call(&here, &replicas.token("alice")).await, 200, "{state}");
        // Not ready for a Redis that is down would be an outage of all replicas.
        let readyz = here.readyz().await;
        assert!(status(&readyz) == 200 && readyz.contains("\"error\":\"Redis: "), "{readyz}");
        if state == "killed" {
            server.restart()
        } else {
            server.go_on()
        }
        let back = Instant::now();
        until(async || {
            (status(&replicas.prove(&here, &token, &proof()).await) == 200).then_some(())
        })
        .await;
        assert!(back.elapsed() < 2 * SECOND, "{state}: {:?}", back.elapsed());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_logout_at_one_replica_is_one_at_all_within_a_second_and_after_a_restart() {
    let Some(mut server) = Server::start(&[]) else { return };
    let replicas = Replicas::new(server.url()).await;
    let (here, there) = (replicas.ready("").await, replicas.ready("").await);
    let token = replicas.token("alice");
    assert_eq!(
        (replicas.call(&here, &token).await, replicas.call(&there, &token).await),
        (200, 200)
    );
    let form =
        format!("logout_token={}", replicas.issuer.logout_token("client").subject("alice").sign());
    let lines = "Content-Type: application/x-www-form-urlencoded\r\n";
    assert_eq!(status(&replicas.send(&here, "/security-events", lines, &form).await), 200);
    let begin = Instant::now();
    until(async || (replicas.call(&there, &token).await == 401).then_some(())).await;
    assert!(begin.elapsed() < SECOND, "{:?}", begin.elapsed());
    assert_eq!(replicas.call(&there, &replicas.token("bob")).await, 200);
    // All end, and another one starts.
    drop((here, there));
    let later = replicas.ready("").await;
    assert_eq!(replicas.call(&later, &token).await, 401);
    assert_eq!(replicas.call(&later, &replicas.token("bob")).await, 200);
    // One that starts without Redis admits nobody, says why, and is ready when Redis is back.
    server.kill();
    let alone = replicas.start("").await;
    let readyz = until(async || {
        Some(alone.readyz().await).filter(|readyz| readyz.contains("nothing listens there"))
    })
    .await;
    assert!(status(&readyz) == 503 && readyz.contains("\"has_revocations\":false"), "{readyz}");
    assert_eq!(replicas.call(&alone, &token).await, 503);
    server.restart();
    until(async || (status(&alone.readyz().await) == 200).then_some(())).await;
    until(async || (replicas.call(&alone, &token).await == 401).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_holds_for_the_sum_of_all_replicas_and_for_each_without_redis() {
    let Some(mut server) = Server::start(&[]) else { return };
    for (name, limits, admitted) in [
        ("principal", "principal = \"4/h\"", 4),
        ("client", "client = \"3/h\"", 3),
        ("tools", "tools = { \"list\" = \"2/h\" }", 2),
        // Those of an address are counted by each.
        ("address", "address = \"4/h\"", 8),
    ] {
        let replicas = Replicas::new(server.url()).await;
        let rest = format!("limits = {{ {limits} }}\n");
        let (here, there) = (replicas.ready(&rest).await, replicas.ready(&rest).await);
        let token = replicas.issuer.token().subject("alice").client_id("app");
        let token = token.audience(replicas.url()).sign();
        let mut statuses = Vec::new();
        for _ in 0..10 {
            statuses.push(replicas.call(&here, &token).await);
            statuses.push(replicas.call(&there, &token).await);
        }
        let passed = statuses.iter().filter(|status| **status == 200).count();
        assert_eq!(passed, admitted, "{name}: {statuses:?}");
        assert!(statuses.iter().all(|status| [200, 429].contains(status)), "{statuses:?}");
    }
    let replicas = Replicas::new(server.url()).await;
    let rest = "limits = { principal = \"3/h\" }\n";
    let (here, there) = (replicas.ready(rest).await, replicas.ready(rest).await);
    server.kill();
    let token = replicas.token("alice");
    for replica in [&here, &there] {
        let mut passed = 0;
        for _ in 0..6 {
            passed += usize::from(replicas.call(replica, &token).await == 200);
        }
        assert_eq!(passed, 3, "each counts for itself");
    }
}

#[test]
fn what_is_wrong_with_a_redis_is_said_when_the_file_is_checked() {
    let file = |redis: &str| {
        format!(
            "[redis]\n{redis}\n[issuers.login]\nurl = \"https://login.example.com\"\n[[resources]]\nurl = \"https://mcp.example.com/mcp\"\nupstream = \"http://127.0.0.1:1/mcp\"\n"
        )
    };
    for (redis, expected) in [
        ("url = \"redis://127.0.0.1:6379/0\"", ""),
        (
            "url = \"rediss://cache.internal\"\npassword = \"env:PATH\"\nprefix = \"a\"\nunchecked_proofs = \"accept\"",
            "",
        ),
        ("", "the key `url` is missing"),
        ("url = \"redis://:hunter2@127.0.0.1\"", "a URL with a password is not written here"),
        ("url = \"127.0.0.1:6379\"", "it has no scheme"),
        ("url = \"rediss://h#insecure\"", "a query or a fragment"),
        ("url = \"env:MCP_AUTH_NONE\"", "MCP_AUTH_NONE is not set"),
        ("url = \"redis://h\"\npassword = \"hunter2\"", "a secret is not written here"),
        ("url = \"redis://h\"\nprefix = \"{a}\"", "1 to 64 characters"),
        ("url = \"redis://h\"\nca = \"/nonexistent\"", "cannot be read"),
        ("url = \"redis://h\"\nunchecked_proofs = \"maybe\"", "known are: refuse, accept"),
        ("url = \"redis://h\"\ncluster = true", "unknown key `cluster`"),
    ] {
        let config = Config::from_toml(&file(redis)).map_err(|error| error.to_string());
        let checked = config.and_then(|config| check(&config).map_err(|error| error.to_string()));
        let message = checked.err().unwrap_or_default();
        assert_eq!(message.is_empty(), expected.is_empty(), "{redis}: {message}");
        assert!(message.contains(expected) && !message.contains("hunter2"), "{redis}: {message}");
    }
}

//! Everything that goes wrong with a server: what happens then, and what the operator is told.

use std::time::{Duration, Instant};

use mcp_auth::Revocation;
use mcp_auth_redis::RedisSettings;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;

use crate::server::{Server, free_port};
use crate::world::{World, until, until_async};

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test]
async fn a_process_starts_without_redis_and_is_ready_when_it_is_up() {
    let Some(mut server) = Server::stopped(&[]) else { return };
    let world = World::new();
    let process = world.process(RedisSettings::at(server.url()));
    until(|| process.redis.status().error.is_some_and(|error| error.contains("nothing listens")))
        .await;
    let token = world.issuer.token().sign();
    assert_eq!(process.bearer(&token).await.expect_err("not ready").code(), "unavailable");
    assert_eq!(process.proof(&world, &world.proof()).await, "unavailable");
    server.restart();
    let took = until_async(async || process.bearer(&token).await.is_ok()).await;
    assert!(took < 2 * SECOND, "{took:?}");
    assert_eq!(process.proof(&world, &world.proof()).await, "admitted");
    assert_eq!(process.redis.status().error, None);
}

#[tokio::test]
async fn a_server_that_hangs_slows_few_requests_and_is_used_again_within_two_seconds() {
    let Some(server) = Server::start(&[]) else { return };
    let world = World::new();
    let process = world.ready(RedisSettings::at(server.url())).await;
    let alice = world.issuer.token().subject("alice").sign();
    server.hang();
    let (begin, mut slow) = (Instant::now(), 0);
    while begin.elapsed() < 3 * SECOND {
        let sent = Instant::now();
        assert_eq!(process.proof(&world, &world.proof()).await, "unavailable");
        slow += usize::from(sent.elapsed() >= Duration::from_millis(50));
        assert!(sent.elapsed() < Duration::from_millis(400), "{:?}", sent.elapsed());
        assert!(process.bearer(&alice).await.is_ok(), "what is known goes on");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    assert!(slow <= 3, "{slow} requests have waited for it");
    assert!(!process.redis.status().is_connected);
    process.auth.revoke(Revocation::subject(world.issuer.url(), "alice"));
    assert!(process.refuses(&alice).await);
    server.go_on();
    let took =
        until_async(async || process.proof(&world, &world.proof()).await == "admitted").await;
    assert!(took < 2 * SECOND, "{took:?}");
    assert!(world.ready(RedisSettings::at(server.url())).await.refuses(&alice).await);
}

#[tokio::test]
async fn a_server_that_is_killed_and_back_is_used_again_within_two_seconds() {
    let Some(mut server) = Server::start(&[]) else { return };
    let world = World::new();
    let process = world.ready(RedisSettings::at(server.url())).await;
    for _ in 0..2 {
        server.kill();
        until_async(async || process.proof(&world, &world.proof()).await == "unavailable").await;
        server.restart();
        let took =
            until_async(async || process.proof(&world, &world.proof()).await == "admitted").await;
        assert!(took < 2 * SECOND, "{took:?}");
    }
}

#[tokio::test]
async fn an_operator_is_told_what_to_change() {
    // What is done to the server, and what is said. A word in braces is the key of a proof.
    for (arguments, url, commands, expected) in [
        (
            &["--requirepass", "right"] as &[&str],
            "redis://127.0.0.1:{port}",
            &[] as &[&str],
            "NOAUTH",
        ),
        (&["--requirepass", "right"], "redis://:wrong@127.0.0.1:{port}", &[], "WRONGPASS"),
        (&[], "redis://nobody:wrong@127.0.0.1:{port}", &[], "WRONGPASS"),
        (&[], "redis://127.0.0.1:{port}/99", &[], "ERR"),
        (&[], "redis://127.0.0.1:{port}", &["SET mcp-auth:revocations:1 x"], "WRONGTYPE"),
        (&[], "redis://127.0.0.1:{port}", &["SET mcp-auth:revocation-changes:1 x"], "WRONGTYPE"),
        (&[], "redis://127.0.0.1:{port}", &["ACL SETUSER default -hscan"], "NOPERM"),
    ] {
        let Some(server) = Server::start(arguments) else { return };
        commands.iter().for_each(|command| drop(server.command(command)));
        let world = World::new();
        let process =
            world.process(RedisSettings::at(url.replace("{port}", &server.port.to_string())));
        let says = |code: &str| {
            process
                .redis
                .status()
                .error
                .is_some_and(|error| error.starts_with(&format!("Redis: {code}: ")))
        };
        until(|| says(expected)).await;
        let error = process.redis.status().error.unwrap_or_default();
        assert!(!error.contains("wrong") && error.len() > 40, "{error}");
        // Nothing is admitted before the revocations are known.
        let token = world.issuer.token().sign();
        assert_eq!(process.bearer(&token).await.expect_err(expected).code(), "unavailable");
    }
}

#[tokio::test]
async fn a_server_that_refuses_to_write_is_a_503_for_proofs_and_nothing_else() {
    for (name, commands, ends) in [
        ("OOM", &["CONFIG SET maxmemory 1"] as &[&str], &["CONFIG SET maxmemory 0"] as &[&str]),
        ("READONLY", &["REPLICAOF 127.0.0.1 1"], &["REPLICAOF NO ONE"]),
        (
            "MISCONF or NOREPLICAS",
            &["CONFIG SET min-replicas-to-write 1"],
            &["CONFIG SET min-replicas-to-write 0"],
        ),
        ("NOPERM", &["ACL SETUSER default -set"], &["ACL SETUSER default +set"]),
    ] {
        let Some(server) = Server::start(&[]) else { return };
        let world = World::new();
        let process = world.ready(RedisSettings::at(server.url())).await;
        let token = world.issuer.token().subject("alice").sign();
        commands.iter().for_each(|command| drop(server.command(command)));
        assert_eq!(process.proof(&world, &world.proof()).await, "unavailable", "{name}");
        assert!(process.bearer(&token).await.is_ok(), "{name}");
        process.auth.revoke(Revocation::subject(world.issuer.url(), "alice"));
        assert!(process.refuses(&token).await, "{name}");
        ends.iter().for_each(|command| drop(server.command(command)));
        let took =
            until_async(async || process.proof(&world, &world.proof()).await == "admitted").await;
        assert!(took < 2 * SECOND, "{name} {took:?}");
        // What was revoked meanwhile is stored now.
        let stored = || format!("{:?}", server.command("HLEN mcp-auth:revocations:1"));
        until(|| stored().contains('1')).await;
    }
}

#[tokio::test]
async fn a_server_that_loads_its_data_is_waited_for() {
    let loading = answering(b"-LOADING Redis is loading the dataset in memory\r\n").await;
    let garbage = answering(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
    let silent = answering(b"").await;
    let closing = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let closes = closing.local_addr().expect("an address").port();
    tokio::spawn(async move { while closing.accept().await.is_ok() {} });
    for (port, expected) in [
        (loading, "LOADING"),
        (garbage, "protocol"),
        (silent, "timeout"),
        (closes, "closed"),
        (free_port(), "refused"),
    ] {
        let world = World::new();
        let process = world.process(RedisSettings::at(format!("redis://127.0.0.1:{port}")));
        let error = || process.redis.status().error.unwrap_or_default();
        until(|| error().starts_with(&format!("Redis: {expected}: "))).await;
        let token = world.issuer.token().sign();
        assert_eq!(process.bearer(&token).await.expect_err(expected).code(), "unavailable");
        assert_eq!(process.proof(&world, &world.proof()).await, "unavailable");
    }
}

/// The port of something that answers every connection with these bytes.
async fn answering(bytes: &'static [u8]) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    tokio::spawn(async move {
        let mut open = Vec::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            _ = stream.write_all(bytes).await;
            open.push(stream);
        }
    });
    port
}

#[tokio::test]
async fn a_key_of_somebody_else_refuses_one_limit_or_proof_and_no_other() {
    let Some(server) = Server::start(&[]) else { return };
    let redis = RedisSettings::at(server.url()).connect().expect("settings");
    until(|| redis.status().is_connected).await;
    assert_eq!(redis.take(&["alice"], 1, SECOND).await, Ok(None));
    let [(key, _)] = &*server.keys() else { panic!("one key") };
    let key = key.clone();
    server.command(&format!("DEL {key}"));
    server.command(&format!("LPUSH {key} x"));
    let error = redis.take(&["alice"], 1, SECOND).await.expect_err("a list");
    assert!(error.to_string().contains("WRONGTYPE"), "{error}");
    assert_eq!(redis.take(&["bob"], 1, SECOND).await, Ok(None));
    assert!(redis.status().is_connected);
}

/// Every command has one key, so that each works at whichever node of a cluster has it.
#[tokio::test]
async fn each_command_has_one_key() {
    let nodes = format!("mcp-auth-nodes-{}.conf", std::process::id());
    let Some(server) =
        Server::start(&["--cluster-enabled", "yes", "--cluster-config-file", &nodes])
    else {
        return;
    };
    server.command("CLUSTER ADDSLOTSRANGE 0 16383");
    until(|| format!("{:?}", server.command("CLUSTER INFO")).contains("cluster_state:ok")).await;
    let world = World::new();
    let process = world.ready(RedisSettings::at(server.url())).await;
    process.auth.revoke(Revocation::subject(world.issuer.url(), "alice"));
    until(|| server.keys().len() == 2).await;
    assert_eq!(process.proof(&world, &world.proof()).await, "admitted");
    assert_eq!(process.redis.take(&["alice"], 1, SECOND).await, Ok(None));
    assert_eq!(process.redis.status().error, None);
}

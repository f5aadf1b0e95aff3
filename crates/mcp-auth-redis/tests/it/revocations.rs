//! A revocation is everywhere within a second, and survives restarts.

use std::time::{Duration, SystemTime};

use mcp_auth::{Revocation, Revocations};
use mcp_auth_redis::RedisSettings;

use crate::server::Server;
use crate::world::{World, until, until_async};

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test]
async fn a_revocation_is_everywhere_within_a_second_and_survives_restarts() {
    let Some(server) = Server::start(&[]) else { return };
    let world = World::new();
    let settings = || RedisSettings::at(server.url());
    let (here, there) = (world.ready(settings()).await, world.ready(settings()).await);
    let url = world.issuer.url();
    let token = |subject: &str| {
        let token = world.issuer.token().subject(subject);
        token
            .claim("jti", format!("id of {subject}"))
            .claim("sid", format!("session of {subject}"))
            .sign()
    };
    // By what it is revoked; and whose token.
    let by_event = |event: String| {
        let auth = here.auth.clone();
        async move { auth.receive_logout_token(&event, &["client"]).await.expect("a logout token") }
    };
    for subject in ["alice", "bob", "carol", "dave", "frank"] {
        let token = token(subject);
        assert!(there.bearer(&token).await.is_ok(), "{subject}");
        match subject {
            "alice" => here.auth.revoke(Revocation::subject(url, "alice")),
            "bob" => here.auth.revoke(Revocation::token(url, "id of bob")),
            "carol" => here.auth.revoke(Revocation::session(url, "session of carol")),
            "dave" => {
                by_event(
                    world
                        .issuer
                        .logout_token("client")
                        .subject("dave")
                        .claim("sid", "session of dave")
                        .sign(),
                )
                .await
            }
            _ => here.auth.revoke(Revocation::issued_before(url, SystemTime::now() + 60 * SECOND)),
        }
        let took = until_async(async || there.refuses(&token).await).await;
        assert!(took < SECOND, "{subject}: {took:?}");
    }
    // A new process knows it before it is ready.
    let late = world.process(settings());
    assert_eq!(late.bearer(&token("alice")).await.expect_err("not ready").code(), "unavailable");
    until(|| late.redis.status().has_revocations).await;
    for subject in ["alice", "bob", "carol", "dave", "frank"] {
        assert!(late.refuses(&token(subject)).await, "{subject}");
    }
    assert_eq!(late.revocations.len(), here.revocations.len());
    for (key, left) in server.keys() {
        let hours = left / 3_600_000;
        assert!((47..=49).contains(&hours), "{key} {left}");
    }
    // Nobody is named.
    let stored = format!(
        "{:?} {:?}",
        server.command("HGETALL mcp-auth:revocations:1"),
        server.command("XRANGE mcp-auth:revocation-changes:1 - +")
    );
    assert!(
        stored.contains(url)
            && !["alice", "bob", "carol", "dave"].iter().any(|name| stored.contains(name)),
        "{stored}"
    );
}

#[tokio::test]
async fn what_redis_loses_and_what_was_revoked_meanwhile_is_stored_again() {
    let Some(mut server) = Server::start(&[]) else { return };
    let world = World::new();
    let settings = || RedisSettings::at(server.url());
    let (here, there) = (world.ready(settings()).await, world.ready(settings()).await);
    let (url, token) =
        (world.issuer.url(), |subject: &str| world.issuer.token().subject(subject).sign());
    let (alice, bob, carol) = (token("alice"), token("bob"), token("carol"));
    here.auth.revoke(Revocation::subject(url, "alice"));
    until_async(async || there.refuses(&alice).await).await;
    // Somebody empties it.
    server.command("FLUSHALL");
    until(|| server.keys().len() == 2).await;
    assert!(world.ready(settings()).await.refuses(&alice).await);
    // It ends, and both revoke what the other cannot learn at the time.
    server.kill();
    here.auth.revoke(Revocation::subject(url, "bob"));
    there.auth.revoke(Revocation::subject(url, "carol"));
    assert!(here.refuses(&alice).await && here.refuses(&bob).await, "what is known here goes on");
    assert!(there.bearer(&bob).await.is_ok());
    server.restart();
    let settings = || RedisSettings::at(server.url());
    let took = until_async(async || there.refuses(&bob).await && here.refuses(&carol).await).await;
    assert!(took < 2 * SECOND, "{took:?}");
    let late = world.ready(settings()).await;
    for token in [&alice, &bob, &carol] {
        assert!(late.refuses(token).await);
    }
}

#[tokio::test]
async fn a_process_that_was_away_for_longer_than_the_stream_reaches_reads_all_again() {
    let Some(server) = Server::start(&[]) else { return };
    let world = World::new();
    let settings = || RedisSettings::at(server.url());
    let (here, there) = (world.ready(settings()).await, world.ready(settings()).await);
    let (url, alice) = (world.issuer.url(), world.issuer.token().subject("alice").sign());
    here.auth.revoke(Revocation::subject(url, "bob"));
    until(|| there.revocations.len() == 1).await;
    // The stream is cut off before this process has read what comes now.
    here.auth.revoke(Revocation::subject(url, "alice"));
    until(|| format!("{:?}", server.command("HLEN mcp-auth:revocations:1")).contains('2')).await;
    server.command("DEL mcp-auth:revocation-changes:1");
    until_async(async || there.refuses(&alice).await).await;
}

#[tokio::test]
async fn the_memory_is_bounded_whatever_an_issuer_sends() {
    let Some(server) = Server::start(&[]) else { return };
    let world = World::new();
    let small = || Revocations::new().capacity(100);
    let settings = || RedisSettings::at(server.url());
    let here = world.process_with(settings(), small());
    let there = world.process_with(settings(), small());
    until(|| here.redis.status().has_revocations && there.redis.status().has_revocations).await;
    let (url, first) = (world.issuer.url(), world.issuer.token().claim("jti", "0").sign());
    for i in 0..5000 {
        here.auth.revoke(Revocation::token(url, i.to_string()));
        if i % 100 == 0 {
            tokio::task::yield_now().await;
        }
    }
    until_async(async || there.refuses(&first).await).await;
    let number = || match server.command("HLEN mcp-auth:revocations:1") {
        redis::Value::Int(number) => number,
        other => panic!("{other:?}"),
    };
    until(|| here.revocations.len() <= 100 && number() > 0).await;
    // The same again and again is one entry.
    let before = number();
    for _ in 0..100 {
        here.auth.revoke(Revocation::subject(url, "bob"));
    }
    until(|| number() <= before + 1).await;
    // Whoever reads all removes what is covered by "everything of this issuer".
    let late = world.process_with(settings(), small());
    until(|| late.redis.status().has_revocations && number() <= 200).await;
    assert!(late.refuses(&first).await);
}

#[tokio::test]
async fn what_somebody_else_has_put_there_is_skipped_and_kept() {
    let Some(server) = Server::start(&[]) else { return };
    let world = World::new();
    for (field, value) in
        [("x", "y"), ("ff", "00000000000000000001"), ("", ""), ("nul\0", "\u{1f600}")]
    {
        let mut command = redis::cmd("HSET");
        command.arg("mcp-auth:revocations:1").arg(field).arg(value);
        let () = command.query(&mut server.operator()).expect("written");
    }
    server.command("XADD mcp-auth:revocation-changes:1 * a b r c");
    let process = world.ready(RedisSettings::at(server.url())).await;
    assert!(process.revocations.is_empty());
    server.command("XADD mcp-auth:revocation-changes:1 * a b");
    process.auth.revoke(Revocation::subject(world.issuer.url(), "alice"));
    let other = world.ready(RedisSettings::at(server.url())).await;
    until(|| other.revocations.len() == 1).await;
    assert!(format!("{:?}", server.command("HLEN mcp-auth:revocations:1")).contains('5'));
}

#[tokio::test]
async fn of_two_revocations_of_one_name_the_stronger_is_kept() {
    let Some(server) = Server::start(&[]) else { return };
    let world = World::new();
    let settings = || RedisSettings::at(server.url());
    let (here, there) = (world.ready(settings()).await, world.ready(settings()).await);
    let url = world.issuer.url();
    let far = SystemTime::now() + Duration::from_secs(30);
    here.auth.revoke(Revocation::issued_before(url, far));
    there.auth.revoke(Revocation::issued_before(url, SystemTime::now() - SECOND));
    let token = world.issuer.token().sign();
    for process in [&here, &there] {
        until_async(async || process.refuses(&token).await).await;
    }
    for _ in 0..2 {
        let late = world.ready(settings()).await;
        assert!(late.refuses(&token).await);
    }
}

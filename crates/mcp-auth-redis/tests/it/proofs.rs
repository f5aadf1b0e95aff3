//! A DPoP proof is accepted by one process.

use mcp_auth_redis::RedisSettings;

use crate::server::Server;
use crate::world::{World, until};

#[tokio::test]
async fn a_proof_that_one_process_has_accepted_is_refused_by_the_other() {
    let Some(server) = Server::start(&[]) else { return };
    let world = World::new();
    let settings = || RedisSettings::at(server.url());
    let (here, there) = (world.ready(settings()).await, world.ready(settings()).await);
    for (first, second) in [(&here, &there), (&there, &here)] {
        let proof = world.proof();
        assert_eq!(first.proof(&world, &proof).await, "admitted");
        assert_eq!(second.proof(&world, &proof).await, "proof_replayed");
        assert_eq!(first.proof(&world, &proof).await, "proof_replayed");
    }
    // Another prefix is another resource, or another stage of it.
    let elsewhere = world.ready(settings().prefix("other")).await;
    let proof = world.proof();
    assert_eq!(here.proof(&world, &proof).await, "admitted");
    assert_eq!(elsewhere.proof(&world, &proof).await, "admitted");
    for (key, left) in server.keys() {
        let digits = key.rsplit(':').next().expect("a part");
        let is_hash = digits.len() == 32 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        assert!(is_hash && (1..=180_000).contains(&left), "{key} {left}");
    }
    assert_eq!(server.keys().len(), 4);
}

#[tokio::test]
async fn of_many_processes_that_get_a_proof_at_once_one_accepts_it() {
    let Some(server) = Server::start(&[]) else { return };
    let world = World::new();
    let mut processes = Vec::new();
    for _ in 0..8 {
        processes.push(world.ready(RedisSettings::at(server.url())).await);
    }
    for _ in 0..20 {
        let proof = world.proof();
        let all = processes.iter().map(|process| process.proof(&world, &proof));
        let mut admitted = 0;
        for outcome in futures_util::future::join_all(all).await {
            admitted += usize::from(outcome == "admitted");
        }
        assert_eq!(admitted, 1);
    }
}

#[tokio::test]
async fn while_redis_is_down_a_proof_is_a_503_or_checked_by_this_process_alone() {
    let Some(mut server) = Server::start(&[]) else { return };
    let world = World::new();
    let closed = world.ready(RedisSettings::at(server.url())).await;
    let open = world.ready(RedisSettings::at(server.url()).accept_unchecked_proofs()).await;
    let used = world.proof();
    assert_eq!(open.proof(&world, &used).await, "admitted");
    server.kill();
    until(|| !closed.redis.status().is_connected && !open.redis.status().is_connected).await;
    assert_eq!(closed.proof(&world, &world.proof()).await, "unavailable");
    assert_eq!(open.proof(&world, &world.proof()).await, "admitted");
    assert_eq!(open.proof(&world, &used).await, "proof_replayed", "this process knows it");
    let plain = world.issuer.token().sign();
    assert!(closed.bearer(&plain).await.is_ok(), "without a proof, nothing is asked");
}

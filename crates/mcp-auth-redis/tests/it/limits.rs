//! A limit holds for the sum of what all processes take.

use std::time::Duration;

use mcp_auth_redis::{Redis, RedisSettings};

use crate::server::Server;
use crate::world::until;

async fn connected(server: &Server) -> Redis {
    let redis = RedisSettings::at(server.url()).connect().expect("settings");
    until(|| redis.status().is_connected).await;
    redis
}

#[tokio::test]
async fn a_bucket_holds_its_requests_for_all_processes() {
    let Some(server) = Server::start(&[]) else { return };
    let (here, there) = (connected(&server).await, connected(&server).await);
    let hour = Duration::from_secs(3600);
    for (bucket, requests) in
        [(&["alice"] as &[&str], 10_u32), (&["bob"], 1), (&["a", "b"], 3), (&["ab"], 3)]
    {
        let mut taken = 0;
        for i in 0..requests * 2 {
            let redis = if i % 2 == 0 { &here } else { &there };
            let wait = redis.take(bucket, requests, hour).await.expect("an answer");
            taken += u32::from(wait.is_none());
            if let Some(wait) = wait {
                let interval = hour / requests;
                assert!(wait <= interval && wait + Duration::from_secs(5) > interval, "{wait:?}");
            }
        }
        assert_eq!(taken, requests, "{bucket:?}");
    }
    // Another rate is another bucket.
    assert_eq!(here.take(&["alice"], 20, hour).await, Ok(None));
    for (key, left) in server.keys() {
        assert!(!key.contains("alice") && (1..=3_600_001).contains(&left), "{key} {left}");
    }
}

#[tokio::test]
async fn a_bucket_is_filled_again_evenly() {
    let Some(server) = Server::start(&[]) else { return };
    let redis = connected(&server).await;
    let take = || redis.take(&["alice"], 100, Duration::from_secs(1));
    while take().await.expect("an answer").is_none() {}
    let wait = take().await.expect("an answer").unwrap_or_default();
    assert!(wait <= Duration::from_millis(10), "{wait:?}");
    tokio::time::sleep(wait).await;
    assert_eq!(take().await, Ok(None));
    // Full buckets take no memory.
    until(|| server.keys().is_empty()).await;
}

#[tokio::test]
async fn a_time_that_no_request_has_caused_does_not_lock_a_bucket() {
    let Some(server) = Server::start(&[]) else { return };
    let redis = connected(&server).await;
    let second = Duration::from_secs(1);
    assert_eq!(redis.take(&["alice"], 10, second).await, Ok(None));
    let [(key, _)] = &*server.keys() else { panic!("one key") };
    for value in ["9e99", "99999999999999999999", "-1", "garbage", "nan"] {
        server.command(&format!("SET {key} {value}"));
        let wait = redis.take(&["alice"], 10, second).await.expect("an answer");
        assert!(wait.unwrap_or_default() <= second, "{value} {wait:?}");
    }
}

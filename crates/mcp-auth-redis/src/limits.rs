//! Rate limits: one key for each bucket that is not full.

use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};

use crate::failure::RedisUnavailable;
use crate::link::COMMAND_TIMEOUT;
use crate::redis::{Redis, hex};

/// The generic cell rate algorithm: the key holds the moment at which its bucket is full again, in microseconds of Redis's clock.
/// Returns for how many microseconds the bucket is empty. A moment that no request can have caused counts as an empty bucket.
const TAKE: &str = r"
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local interval, whole = tonumber(ARGV[1]), tonumber(ARGV[2])
local full_at = tonumber(redis.call('GET', KEYS[1])) or 0
if full_at ~= full_at then full_at = 0 end
full_at = math.max(now, math.min(full_at, now + whole)) + interval
local over = full_at - now - whole
if over > 1 then return math.ceil(over) end
redis.call('SET', KEYS[1], string.format('%.3f', full_at), 'PX', math.ceil((full_at - now) / 1000) + 1)
return 0";

impl Redis {
    /// Takes one request out of a bucket that all processes share. It holds `requests`, and is filled evenly in the time `per`.
    /// `bucket` names it: its words are hashed.
    ///
    /// Returns how long to wait for the next request if the bucket is empty, and `None` if it is not.
    ///
    /// # Errors
    ///
    /// If Redis does not answer. Then a limit of this process should apply, which does not need Redis: ask that first, so that
    /// who is over it causes no command.
    pub async fn take(
        &self,
        bucket: &[&str],
        requests: u32,
        per: Duration,
    ) -> Result<Option<Duration>, RedisUnavailable> {
        let whole = per.as_secs_f64() * 1e6;
        let interval = whole / f64::from(requests.max(1));
        // The rate is part of the name: another rate begins anew. The lengths keep words apart.
        let mut name = format!("mcp-auth limit\0{requests} {}\0", per.as_micros());
        for word in bucket {
            name.push_str(&format!("{} {word}", word.len()));
        }
        let name = digest(&SHA256, name.as_bytes());
        let mut take = redis::cmd("EVAL");
        take.arg(TAKE).arg(1);
        take.arg(self.key("limit", &hex(name.as_ref().get(..16).unwrap_or_default())));
        take.arg(format!("{interval:.3}")).arg(format!("{whole:.3}"));
        let over: u64 = self.link().ask("limit", &take, COMMAND_TIMEOUT).await?;
        Ok((over > 0).then(|| Duration::from_micros(over)))
    }
}

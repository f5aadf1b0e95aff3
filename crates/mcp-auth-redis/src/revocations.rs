//! Revocations: a hash has all that is revoked, and a stream the newest, so that they are noticed at once.
//!
//! A process that connects reads the hash, and then the stream five times a second. If the stream no longer has the entry that
//! the process has read last, it reads the hash again: the stream was cut off, or Redis has lost its data. Whenever it has read the hash, it adds what is
//! missing there and removes what is no longer needed. So all processes together keep what Redis loses.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use mcp_auth::{RevocationChanges, RevocationRecord, Revocations};
use tokio::time::sleep;

use crate::failure::RedisUnavailable;
use crate::link::{BATCH_TIMEOUT, COMMAND_TIMEOUT, Link};

/// How often the stream is read. A revocation is everywhere within a second, and five small commands a second are no load.
const POLL_INTERVAL: Duration = Duration::from_millis(200);

/// The pause after Redis has answered with an error. The connection stays: others can use it.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);

/// How often the hash is read again, to remove what has expired and to add what is missing.
const READ_INTERVAL: Duration = Duration::from_secs(60 * 60);

/// The shortest time between two such reads because the hash has become large.
const MIN_READ_INTERVAL: Duration = Duration::from_secs(10);

/// How many entries the stream keeps: more than all processes read between two polls.
const STREAM_LENGTH: usize = 10_000;

/// How many entries are read or written in one batch: some milliseconds of work for Redis.
const BATCH: usize = 500;

/// How many more entries than this process knows the hash may have before it is read to remove some.
const SLACK: usize = 1000;

/// How long both keys are kept after the last change, beyond the entries themselves.
const MARGIN: Duration = Duration::from_secs(60 * 60);

/// Stores a record, or the strongest of it and of the one that is stored: three numbers of 20 digits each, which compare as text.
const STORE: &str = r"
local old, new, merged = redis.call('HGET', KEYS[1], ARGV[1]), ARGV[2], ''
for start = 1, 43, 21 do
  local a, b = string.sub(old or '', start, start + 19), string.sub(new, start, start + 19)
  if string.match(a, '^%d+$') and #a == 20 and a > b then b = a end
  merged = merged .. b .. ' '
end
redis.call('HSET', KEYS[1], ARGV[1], merged .. string.sub(new, 64))
if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[3]) then redis.call('PEXPIRE', KEYS[1], ARGV[3]) end
return 1";

/// Removes a record, unless it has changed since it was read.
const REMOVE: &str = r"
if redis.call('HGET', KEYS[1], ARGV[1]) == ARGV[2] then redis.call('HDEL', KEYS[1], ARGV[1]) end
return 1";

/// Shares one list.
pub(crate) struct Sharing {
    link: Arc<Link>,
    revocations: Revocations,
    changes: RevocationChanges,
    hash: String,
    stream: String,
    /// The last entry of the stream that was read. `None` if it was empty.
    position: Option<String>,
    /// What could not be stored yet. If it was too much, all that is known is stored.
    unsent: Vec<RevocationRecord>,
    has_missed: bool,
    read_at: Option<Instant>,
}

/// Names and values: text, unless somebody else has put something there.
type Fields = Vec<(Vec<u8>, Vec<u8>)>;

/// Entries of the stream, by id.
type Entries = Vec<(String, Fields)>;

impl Sharing {
    pub(crate) fn new(link: Arc<Link>, revocations: &Revocations, prefix: &str) -> Self {
        // The version of the form, so that a later one does not meet it.
        let (hash, stream) =
            (format!("{prefix}:revocations:1"), format!("{prefix}:revocation-changes:1"));
        Self {
            link,
            revocations: revocations.clone(),
            changes: revocations.changes(),
            hash,
            stream,
            position: None,
            unsent: Vec::new(),
            has_missed: false,
            read_at: None,
        }
    }

    /// Shares until the connection is lost.
    pub(crate) async fn run(&mut self) {
        self.read_at = None;
        loop {
            match self.step().await {
                Ok(()) => {
                    self.link.set_sharing_failure(None);
                    self.wait().await;
                }
                Err(failure) if failure.ends_connection => return,
                Err(failure) => {
                    self.link.set_sharing_failure(Some(failure));
                    self.read_at = None;
                    sleep(RETRY_INTERVAL).await;
                }
            }
        }
    }

    /// Waits for the next poll, or for something to store.
    async fn wait(&mut self) {
        tokio::select! {
            () = sleep(POLL_INTERVAL) => {}
            change = self.changes.next() => self.keep(change),
        }
    }

    fn keep(&mut self, change: Option<RevocationRecord>) {
        match change {
            Some(record) if self.unsent.len() < STREAM_LENGTH => self.unsent.push(record),
            _ => self.has_missed = true,
        }
    }

    async fn step(&mut self) -> Result<(), RedisUnavailable> {
        if self.read_at.is_none_or(|at| at.elapsed() >= READ_INTERVAL) {
            self.read().await?;
        }
        if self.has_missed {
            self.unsent = self.revocations.records(SystemTime::now());
            self.has_missed = false;
        }
        while !self.unsent.is_empty() {
            let batch: Vec<_> = self.unsent.iter().take(BATCH).cloned().collect();
            self.store(&batch).await?;
            self.unsent.drain(..batch.len());
        }
        self.poll().await
    }

    /// Reads what others have revoked since.
    async fn poll(&mut self) -> Result<(), RedisUnavailable> {
        loop {
            let mut range = redis::cmd("XRANGE");
            range.arg(&self.stream).arg(self.position.as_deref().unwrap_or("-")).arg("+");
            range.arg("COUNT").arg(BATCH);
            let entries: Entries = self.ask(&range, COMMAND_TIMEOUT).await?;
            let known = entries.first().map(|(id, _)| id);
            if known != self.position.as_ref() {
                return self.read().await;
            }
            let now = SystemTime::now();
            let records = entries.iter().skip(1).flat_map(|(_, fields)| fields);
            records
                .filter_map(|(_, text)| parse(text))
                .for_each(|it| self.revocations.merge(&it, now));
            let is_last = entries.len() < BATCH;
            self.position = entries.into_iter().next_back().map(|(id, _)| id);
            if is_last {
                return Ok(());
            }
        }
    }

    /// Reads all that is revoked. Adds what is missing in Redis, and removes what is no longer needed.
    async fn read(&mut self) -> Result<(), RedisUnavailable> {
        // Before the hash, so that what is added meanwhile is read from the stream.
        let mut last = redis::cmd("XREVRANGE");
        last.arg(&self.stream).arg("+").arg("-").arg("COUNT").arg(1);
        let last: Entries = self.ask(&last, COMMAND_TIMEOUT).await?;
        let mut stored: HashMap<String, RevocationRecord> = HashMap::new();
        let (mut cursor, now) = (0_u64, SystemTime::now());
        loop {
            let mut scan = redis::cmd("HSCAN");
            scan.arg(&self.hash).arg(cursor).arg("COUNT").arg(BATCH);
            let (next, page): (u64, Fields) = self.ask(&scan, BATCH_TIMEOUT).await?;
            for (id, text) in page {
                let record = parse(&text);
                if let Some(record) = record.filter(|record| record.id().as_bytes() == id) {
                    self.revocations.merge(&record, now);
                    stored.insert(record.id(), record);
                }
            }
            cursor = next;
            if cursor == 0 {
                break;
            }
        }
        self.position = last.into_iter().next().map(|(id, _)| id);
        let is_first = !self.revocations.is_complete();
        self.revocations.set_complete(true);
        if is_first {
            tracing::info!(target: "mcp_auth", number = stored.len(), "the revocations of other processes were read from Redis");
        }
        self.read_at = Some(Instant::now());
        let known = self.revocations.records(now);
        let is_missing = |record: &&RevocationRecord| {
            !stored.get(&record.id()).is_some_and(|stored| stored.covers(record))
        };
        let missing: Vec<_> = known.iter().filter(is_missing).cloned().collect();
        for batch in missing.chunks(BATCH) {
            self.store(batch).await?;
        }
        // Those that have expired, and those in place of which everything of their issuer is revoked.
        let ids: HashSet<_> = known.iter().map(RevocationRecord::id).collect();
        stored.retain(|id, _| !ids.contains(id));
        let stale: Vec<_> = stored.into_iter().collect();
        for batch in stale.chunks(BATCH) {
            let mut pipeline = redis::pipe();
            for (id, record) in batch {
                let remove = pipeline.cmd("EVAL").arg(REMOVE).arg(1);
                remove.arg(&self.hash).arg(id).arg(record.to_text()).ignore();
            }
            let () = self.ask(&pipeline, BATCH_TIMEOUT).await?;
        }
        Ok(())
    }

    /// Stores records in the hash, and then tells the other processes.
    async fn store(&mut self, records: &[RevocationRecord]) -> Result<(), RedisUnavailable> {
        let now = SystemTime::now();
        let mut pipeline = redis::pipe();
        for record in records {
            let left = record.expires_at().duration_since(now).unwrap_or_default() + MARGIN;
            let (text, left) =
                (record.to_text(), u64::try_from(left.as_millis()).unwrap_or(u64::MAX));
            let store = pipeline.cmd("EVAL").arg(STORE).arg(1);
            store.arg(&self.hash).arg(record.id()).arg(&text).arg(left).ignore();
            let add = pipeline.cmd("XADD").arg(&self.stream);
            add.arg("MAXLEN").arg("~").arg(STREAM_LENGTH).arg("*").arg("r").arg(text).ignore();
            pipeline.cmd("PEXPIRE").arg(&self.stream).arg(left).ignore();
        }
        pipeline.cmd("HLEN").arg(&self.hash);
        let (number,): (usize,) = self.ask(&pipeline, BATCH_TIMEOUT).await?;
        let is_large = number > self.revocations.len().saturating_mul(2).saturating_add(SLACK);
        if is_large && self.read_at.is_some_and(|at| at.elapsed() >= MIN_READ_INTERVAL) {
            self.read_at = None;
        }
        Ok(())
    }

    async fn ask<T: redis::FromRedisValue + Send>(
        &self,
        commands: &(impl crate::link::Commands + Sync),
        limit: Duration,
    ) -> Result<T, RedisUnavailable> {
        self.link.ask("revocations", commands, limit).await
    }
}

fn parse(text: &[u8]) -> Option<RevocationRecord> {
    RevocationRecord::from_text(std::str::from_utf8(text).ok()?)
}

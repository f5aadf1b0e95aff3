//! The DPoP proofs that were used: one key for each, which Redis removes by itself.

use std::error::Error;
use std::time::Duration;

use mcp_auth::{BoxFuture, ProofId, ReplayStore};

use crate::failure::RedisUnavailable;
use crate::link::COMMAND_TIMEOUT;
use crate::redis::{Redis, hex};

impl ReplayStore for Redis {
    fn insert(
        &self,
        proof: ProofId,
        keep_for: Duration,
    ) -> BoxFuture<'_, Result<bool, Box<dyn Error + Send + Sync>>> {
        Box::pin(async move {
            let stored = self.insert_proof(proof, keep_for).await;
            // This process has not seen the proof.
            Ok(if self.accepts_unchecked_proofs() { stored.unwrap_or(true) } else { stored? })
        })
    }
}

impl Redis {
    async fn insert_proof(
        &self,
        proof: ProofId,
        keep_for: Duration,
    ) -> Result<bool, RedisUnavailable> {
        let mut set = redis::cmd("SET");
        let milliseconds = u64::try_from(keep_for.as_millis()).unwrap_or(u64::MAX).max(1);
        set.arg(self.key("proof", &hex(proof.as_bytes()))).arg(1);
        set.arg("NX").arg("PX").arg(milliseconds);
        // `OK`, or nil if there is one.
        let stored: Option<String> = self.link().ask("proof", &set, COMMAND_TIMEOUT).await?;
        Ok(stored.is_some())
    }
}

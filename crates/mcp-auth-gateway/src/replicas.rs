//! What this gateway shares with its replicas, through Redis.

use std::sync::Arc;

use mcp_auth_config::{Config, RedisConfig, SharedState, UncheckedProofs};
use mcp_auth_redis::{Redis, RedisSettings};

use crate::start_error::StartError;

/// What resources share: with each other, and with those of the replicas if there is a Redis.
#[derive(Clone, Default)]
pub(crate) struct Replicas {
    pub(crate) redis: Option<Redis>,
    pub(crate) state: SharedState,
}

impl Replicas {
    /// Checks what the configuration says, and connects to nothing.
    pub(crate) fn check(config: &Config) -> Result<(), StartError> {
        let Some(redis) = &config.redis else { return Ok(()) };
        settings(redis)?.check().map_err(|error| StartError::Redis(error.to_string()))
    }

    /// Begins to connect. Redis is not waited for.
    pub(crate) fn connect(config: &Config) -> Result<Self, StartError> {
        let Some(redis) = &config.redis else { return Ok(Self::default()) };
        let revocations = config.revocations.to_revocations();
        let connected = settings(redis)?.revocations(&revocations).connect();
        let redis = connected.map_err(|error| StartError::Redis(error.to_string()))?;
        let state = SharedState {
            revocations: Some(revocations),
            replay_store: Some(Arc::new(redis.clone())),
        };
        Ok(Self { redis: Some(redis), state })
    }
}

fn settings(redis: &RedisConfig) -> Result<RedisSettings, StartError> {
    let mut settings = RedisSettings::at(redis.url()?);
    if let Some(name) = &redis.username {
        settings = settings.username(name);
    }
    if let Some(password) = redis.password()? {
        settings = settings.password(password);
    }
    if let Some(ca) = redis.ca()? {
        settings = settings.root_certificates(ca);
    }
    if let Some(prefix) = &redis.prefix {
        settings = settings.prefix(prefix);
    }
    Ok(match redis.unchecked_proofs {
        Some(UncheckedProofs::Accept) => settings.accept_unchecked_proofs(),
        Some(UncheckedProofs::Refuse) | None => settings,
    })
}

//! How often a resource may be called.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use bytes::Bytes;
use http::header::RETRY_AFTER;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};
use mcp_auth::{AuthInfo, Operation, Rule, ToolScopes};
use mcp_auth_config::{LimitsConfig, Rate, ResourceConfig};
use mcp_auth_redis::Redis;

use crate::because::Because;
use crate::buckets::{Buckets, Wait};
use crate::connections::network_of;
use crate::log_limit::LogLimit;
use crate::telemetry;

/// The limits of one resource, and how much of them is used.
pub(crate) struct Limits {
    config: LimitsConfig,
    address: Option<Buckets>,
    principal: Option<Limit>,
    client: Option<Limit>,
    tools: Option<ToolLimits>,
    /// Limits the lines about each limit.
    said: [(&'static str, LogLimit); 4],
}

/// The limits of tools, by their patterns.
struct ToolLimits {
    /// Finds the pattern for a tool, as rules do.
    patterns: ToolScopes,
    limits: HashMap<String, Limit>,
}

/// One limit of admitted callers.
struct Limit {
    rate: Rate,
    /// The key of the configuration.
    by: &'static str,
    /// Its resource, `by`, and the pattern of a tool.
    name: [String; 3],
    buckets: Buckets,
    /// Those of callers without a token, who could otherwise take the places of the others.
    anonymous: Buckets,
    /// Where the replicas count together.
    redis: Option<Redis>,
}

/// A limit that a request is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limited {
    /// Which one: the key of the configuration.
    pub(crate) by: &'static str,
    pub(crate) wait: Duration,
}

/// Who is admitted.
pub(crate) enum Caller<'c> {
    Known(&'c AuthInfo),
    /// Told apart by address only.
    Anonymous(IpAddr),
}

/// For the log: quoted and escaped.
impl std::fmt::Display for Caller<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Known(caller) => caller.principal().fmt(f),
            Self::Anonymous(address) => network_of(*address).fmt(f),
        }
    }
}

impl Limits {
    /// Returns `None` if there is no limit.
    pub(crate) fn of(resource: &ResourceConfig, redis: Option<&Redis>) -> Option<Self> {
        let config = &resource.limits;
        let limit = |by: &'static str, pattern: &str, rate: Rate| Limit {
            rate,
            by,
            name: [resource.url.clone(), by.to_owned(), pattern.to_owned()],
            buckets: Buckets::new(rate),
            anonymous: Buckets::new(rate),
            redis: redis.cloned(),
        };
        if *config == LimitsConfig::default() {
            return None;
        }
        let tools = (!config.tools.is_empty()).then(|| ToolLimits {
            patterns: config
                .tools
                .keys()
                .fold(ToolScopes::new(), |all, name| all.tool(name, Rule::default())),
            limits: config
                .tools
                .iter()
                .map(|(name, rate)| (name.clone(), limit("tools", name, *rate)))
                .collect(),
        });
        Some(Self {
            config: config.clone(),
            address: config.address.map(Buckets::new),
            principal: config.principal.map(|rate| limit("principal", "", rate)),
            client: config.client.map(|rate| limit("client", "", rate)),
            tools,
            said: ["address", "principal", "client", "tools"].map(|by| (by, LogLimit::default())),
        })
    }

    pub(crate) fn config(&self) -> &LimitsConfig {
        &self.config
    }

    /// Whether the message of a request must be known.
    pub(crate) fn need_message(&self) -> bool {
        self.tools.is_some()
    }

    /// Counts a request whose token has not been looked at. Replicas count for themselves: a client without a token causes no
    /// command to Redis.
    pub(crate) fn check_address(&self, address: IpAddr) -> Result<(), Limited> {
        let (Some(buckets), network) = (&self.address, network_of(address)) else { return Ok(()) };
        let taken = buckets.take(network).map_err(|Wait(wait)| over("address", wait));
        taken.inspect_err(|limited| self.say(*limited, &network))
    }

    /// Says who is over a limit, once in a while.
    fn say(&self, limited: Limited, caller: &dyn std::fmt::Display) {
        let mut said = self.said.iter();
        if said.any(|(by, limit)| *by == limited.by && limit.is_due()) {
            tracing::warn!(target: "mcp_auth", limit = limited.by, %caller, "a caller is over a limit of `limits` and gets a 429; that of others is logged at debug for five minutes");
        }
    }

    /// Counts a request that is admitted.
    pub(crate) async fn check_caller(&self, caller: &Caller<'_>) -> Result<(), Limited> {
        let counted = self.count_caller(caller).await;
        counted.inspect_err(|limited| self.say(*limited, caller))
    }

    async fn count_caller(&self, caller: &Caller<'_>) -> Result<(), Limited> {
        if let Some(principal) = &self.principal {
            principal.take_of(caller).await?;
        }
        if let (Some(limit), Caller::Known(caller)) = (&self.client, caller)
            && let Some(client) = caller.client_id()
        {
            limit.take(&[caller.issuer(), client]).await?;
        }
        Ok(())
    }

    /// Counts the calls of tools in the message of an admitted request.
    pub(crate) async fn check_tools(
        &self,
        caller: &Caller<'_>,
        method: &Method,
        headers: &HeaderMap,
        message: &Bytes,
    ) -> Result<(), Limited> {
        let Some(tools) = &self.tools else { return Ok(()) };
        // The layer has refused what cannot be read.
        let Ok(operation) = Operation::read(method, headers, message) else { return Ok(()) };
        for name in tools.patterns.names_for(&operation) {
            if let Some(limit) = tools.limits.get(name) {
                let taken = limit.take_of(caller).await;
                taken.inspect_err(|limited| self.say(*limited, caller))?;
            }
        }
        Ok(())
    }
}

impl Limit {
    async fn take_of(&self, caller: &Caller<'_>) -> Result<(), Limited> {
        match caller {
            Caller::Known(caller) => self.take(&[caller.issuer(), caller.subject()]).await,
            // It causes no command to Redis either.
            Caller::Anonymous(address) => {
                let taken = self.anonymous.take(network_of(*address));
                taken.map_err(|Wait(wait)| over(self.by, wait))
            }
        }
    }

    /// Who is over the limit here causes no command to Redis. Without an answer from there, this one goes on alone.
    async fn take(&self, who: &[&str; 2]) -> Result<(), Limited> {
        self.buckets.take(who).map_err(|Wait(wait)| over(self.by, wait))?;
        let Some(redis) = &self.redis else { return Ok(()) };
        let ([resource, by, pattern], [issuer, name]) = (&self.name, who);
        let bucket = [&**resource, by, pattern, issuer, name];
        match redis.take(&bucket, self.rate.requests.get(), self.rate.per).await {
            Ok(Some(wait)) => Err(over(self.by, wait)),
            Ok(None) | Err(_) => Ok(()),
        }
    }
}

fn over(by: &'static str, wait: Duration) -> Limited {
    telemetry::limited(by);
    tracing::debug!(target: "mcp_auth", limit = by, "a request is over a limit");
    Limited { by, wait }
}

/// What the operator's page calls it.
fn code_of(limit: &str) -> &'static str {
    match limit {
        "address" => "limits.address",
        "principal" => "limits.principal",
        "client" => "limits.client",
        _ => "limits.tools",
    }
}

/// The response to a request that is over a limit.
pub(crate) fn too_many<B>(mut response: Response<B>, limited: Limited) -> Response<B> {
    *response.status_mut() = StatusCode::TOO_MANY_REQUESTS;
    let seconds = limited.wait.as_secs_f64().ceil().max(1.0) as u64;
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    response.extensions_mut().insert(Because {
        code: code_of(limited.by),
        advice: "a caller is over this limit: raise it if its calls are meant",
    });
    response
}

//! How often a resource may be called.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use bytes::Bytes;
use http::header::RETRY_AFTER;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};
use mcp_auth::{AuthInfo, Operation, Rule, ToolScopes};
use mcp_auth_config::LimitsConfig;

use crate::buckets::{Buckets, Wait};
use crate::connections::network_of;
use crate::log_limit::LogLimit;
use crate::refusals::Because;
use crate::telemetry;

/// The limits of one resource, and how much of them is used.
pub(crate) struct Limits {
    config: LimitsConfig,
    address: Option<Buckets>,
    principal: Option<Buckets>,
    client: Option<Buckets>,
    tools: Option<ToolLimits>,
    /// Limits the lines about each limit.
    said: [(&'static str, LogLimit); 4],
}

/// The limits of tools, by their patterns.
struct ToolLimits {
    /// Finds the pattern for a tool, as rules do.
    patterns: ToolScopes,
    buckets: HashMap<String, Buckets>,
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
    pub(crate) fn of(config: &LimitsConfig) -> Option<Self> {
        if *config == LimitsConfig::default() {
            return None;
        }
        let tools = (!config.tools.is_empty()).then(|| ToolLimits {
            patterns: config
                .tools
                .keys()
                .fold(ToolScopes::new(), |all, name| all.tool(name, Rule::default())),
            buckets: config
                .tools
                .iter()
                .map(|(name, rate)| (name.clone(), Buckets::new(*rate)))
                .collect(),
        });
        Some(Self {
            config: config.clone(),
            address: config.address.map(Buckets::new),
            principal: config.principal.map(Buckets::new),
            client: config.client.map(Buckets::new),
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

    /// Counts a request whose token has not been looked at.
    pub(crate) fn check_address(&self, address: IpAddr) -> Result<(), Limited> {
        let network = network_of(address);
        take("address", self.address.as_ref(), network)
            .inspect_err(|limited| self.say(*limited, &network))
    }

    /// Says who is over a limit, once in a while.
    fn say(&self, limited: Limited, caller: &dyn std::fmt::Display) {
        let mut said = self.said.iter();
        if said.any(|(by, limit)| *by == limited.by && limit.is_due()) {
            tracing::warn!(target: "mcp_auth", limit = limited.by, %caller, "a caller is over a limit of `limits` and gets a 429; that of others is logged at debug for five minutes");
        }
    }

    /// Counts a request that is admitted.
    pub(crate) fn check_caller(&self, caller: &Caller<'_>) -> Result<(), Limited> {
        self.count_caller(caller).inspect_err(|limited| self.say(*limited, caller))
    }

    fn count_caller(&self, caller: &Caller<'_>) -> Result<(), Limited> {
        let principal = self.principal.as_ref();
        match caller {
            Caller::Known(caller) => {
                take("principal", principal, (caller.issuer(), caller.subject()))?;
                let client = self.client.as_ref().zip(caller.client_id());
                client.map_or(Ok(()), |(buckets, client)| {
                    take("client", Some(buckets), (caller.issuer(), client))
                })
            }
            Caller::Anonymous(address) => take("principal", principal, network_of(*address)),
        }
    }

    /// Counts the calls of tools in the message of an admitted request.
    pub(crate) fn check_tools(
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
            let buckets = tools.buckets.get(name);
            let taken = match caller {
                Caller::Known(caller) => {
                    take("tools", buckets, (caller.issuer(), caller.subject()))
                }
                Caller::Anonymous(address) => take("tools", buckets, network_of(*address)),
            };
            taken.inspect_err(|limited| self.say(*limited, caller))?;
        }
        Ok(())
    }
}

fn take(
    by: &'static str,
    buckets: Option<&Buckets>,
    key: impl std::hash::Hash,
) -> Result<(), Limited> {
    let Some(buckets) = buckets else { return Ok(()) };
    buckets.take(key).map_err(|Wait(wait)| {
        telemetry::limited(by);
        tracing::debug!(target: "mcp_auth", limit = by, "a request is over a limit");
        Limited { by, wait }
    })
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

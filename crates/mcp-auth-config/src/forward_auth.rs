//! Resources that another proxy passes on, after it has asked the gateway (forward-auth), as data.

use mcp_auth::Cidr;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::Error;

/// Where the proxy asks, if the configuration does not say otherwise.
const DEFAULT_PATH: &str = "/forward-auth";

/// Who passes the requests of a resource on.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// The gateway.
    #[default]
    Proxy,
    /// Another proxy, which asks the gateway about each request before.
    ForwardAuth,
}

/// How a proxy asks about requests.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ForwardAuthConfig {
    /// The proxy, which says in headers of its own what the client asked for.
    pub proxy: ForwardAuthProxy,
    /// Its addresses and networks, where nothing but the proxy runs: `10.0.7.0/24`.
    pub from: Vec<String>,
    /// The path at which it asks about this resource. Envoy appends that of the client. Default: `/forward-auth`.
    pub path: Option<String>,
    /// Whether the proxy sends the body too (Envoy: `with_request_body`; Traefik: `forwardBody`). Rules for operations need it.
    #[serde(default)]
    pub body: bool,
    /// Whether requests of sessions are admitted. The gateway cannot sign session ids here, so the MCP server must bind
    /// each session to its caller.
    #[serde(default)]
    pub unsigned_sessions: bool,
}

/// A proxy that asks.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ForwardAuthProxy {
    /// `auth_request`.
    Nginx,
    /// `forward_auth`.
    Caddy,
    /// `forwardAuth`.
    Traefik,
    /// `ext_authz` over HTTP.
    Envoy,
}

/// How a proxy asks about the requests of a resource: valid settings.
#[derive(Clone, Debug)]
pub struct ForwardAuth {
    /// The proxy.
    pub proxy: ForwardAuthProxy,
    /// Its addresses.
    pub from: Vec<Cidr>,
    /// Where it asks: a path without a slash at its end.
    pub path: String,
    /// Whether it sends bodies.
    pub has_body: bool,
    /// Whether requests of sessions are admitted.
    pub has_sessions: bool,
}

impl ForwardAuthConfig {
    pub(crate) fn to_forward_auth(&self) -> Result<ForwardAuth, Error> {
        if self.from.is_empty() {
            return Err(Error::new(
                "`forward_auth.from` is empty: name the addresses of the proxy, such as \"127.0.0.1\"",
            ));
        }
        let network = |text: &String| {
            Cidr::parse(text).ok_or_else(|| {
                Error::new(format!(
                    "`forward_auth.from`: {text:?} is not an address or a network, such as \"10.0.7.0/24\""
                ))
            })
        };
        let from = self.from.iter().map(network).collect::<Result<_, _>>()?;
        let path = self.path.as_deref().unwrap_or(DEFAULT_PATH);
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-_.".contains(&byte);
        let is_path = path.strip_prefix('/').is_some_and(|rest| !rest.is_empty());
        if !is_path || path.ends_with('/') || path.contains("//") || !path.bytes().all(is_plain) {
            return Err(Error::new(format!(
                "`forward_auth.path`: {path:?} is not a path of letters, digits, `-`, `_` and `.`, such as \"/forward-auth\""
            )));
        }
        let sends_bodies =
            matches!(self.proxy, ForwardAuthProxy::Envoy | ForwardAuthProxy::Traefik);
        if self.body && !sends_bodies {
            return Err(Error::new(
                "`forward_auth.body`: only Envoy (`with_request_body`) and Traefik (`forwardBody`) send the body when they ask",
            ));
        }
        Ok(ForwardAuth {
            proxy: self.proxy,
            from,
            path: path.to_owned(),
            has_body: self.body,
            has_sessions: self.unsigned_sessions,
        })
    }
}

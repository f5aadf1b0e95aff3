//! How an MCP server learns who calls, as data.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How an MCP server learns who calls.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum IdentityMode {
    /// Not at all.
    #[default]
    None,
    /// In the headers `X-Auth-Subject`, `X-Auth-Issuer`, `X-Auth-Client-Id` and `X-Auth-Scopes`.
    Headers,
    /// In a token of the gateway's own, which it sends as `Authorization: Bearer` and which only this server accepts.
    Jwt,
}

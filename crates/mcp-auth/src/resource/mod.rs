//! One protected resource: `McpAuth`, its builder, and the whole decision.

pub(crate) mod body;
pub(crate) mod mcp_auth;

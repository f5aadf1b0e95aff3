//! An MCP server that speaks stdio, behind the gateway: Streamable HTTP on one side, processes on the other.

mod framing;
mod message;
mod own_messages;
mod ids;
mod stream;
mod owner;
mod client;
mod dispatch;
mod environment;
#[cfg(unix)]
mod group;
#[cfg(not(unix))]
mod no_group;
mod pumps;
mod process;
mod back_off;
mod pool;
mod events;
mod responses;
mod http;

/// Whether servers can be started on this system: they and what they start must end with the gateway, for which Unix has
/// groups of processes.
pub(crate) const IS_SUPPORTED: bool = cfg!(unix);

pub(crate) use http::StdioUpstream;
pub(crate) use responses::StdioBody;
